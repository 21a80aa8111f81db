"""C2F's training step and its answers, ours against the published code's own way of doing the same, as ratios.

    python benchmarks/c2f_speed.py --size small --batch 32

The published code cannot be run, so its way is re-created around our modules, at equal sizes and on the same stored
regions, from what was read of it (no code is copied):
- the name of every node goes through the text encoder by itself, for both films, in every step;
- matching texts are found by a double loop over the batch, one comparison of padded ids each;
- the fine contrast loops over the texts, and gathers the contexts of each word of a text on all films;
- questions, answers, hard negatives and key words are padded to their greatest lengths (30 and 90 words);
- answers and hard negatives are encoded one after the other;
- answers are written by a beam search of width 3 without a key-value cache.
Everything else (co-attention, graph convolution, encoder, decoder) is the same module, so a ratio is about what is
done around it. Ours also writes with 3 beams. `answers.greedy` is our default beside it. A step is timed in fp32, which
the published code trains in, and in bf16 as our trainer does it: `step.ratio` and `step.bf16.ratio` are at equal
precision, `step.ratio.ours in bf16` is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from harness.command import Command, write_part
from harness.timing import least_cpu_seconds
from torch import Tensor
from torch.nn import functional as F

from intervalchange.blocks.tokenizer import Tokens, encode, template_tokenizer
from intervalchange.config import load_preset
from intervalchange.data.answer_words import hard_negatives, key_words
from intervalchange.data.batch import Batch
from intervalchange.grammar import DIFFERENCE_QUESTION, render
from intervalchange.losses import answer_nll, contrastive
from intervalchange.losses.local_alignment import TOKEN_SHARPNESS, WORD_SHARPNESS
from intervalchange.methods.c2f.answer import C2F, C2FConfig
from intervalchange.methods.c2f.encoded_pairs import MaskedTokens
from intervalchange.records import Change
from intervalchange.training.trainer import bf16_on_a_cpu

QUESTION, ANSWER, BEAMS = 30, 90, 3


def padded(tokens: Tokens, length: int) -> Tokens:
    """To the greatest length, as the published code pads."""
    room = max(length - tokens.ids.shape[1], 0)
    return Tokens(F.pad(tokens.ids, (0, room)), F.pad(tokens.mask, (0, room)))


class AsPublished(C2F):
    """The same modules, driven as the published code drives its own."""

    def _nodes(self) -> Tensor:
        with torch.no_grad():
            for _ in range(2):
                rows = [self.text(padded(self._words([name], 10), 10))[:, 0] for name in self.config.node_texts]
        return torch.cat(rows)

    def fuse_question(self, pair: MaskedTokens, questions: Any) -> MaskedTokens:
        words = padded(self._words(questions, self.config.question_tokens), QUESTION)
        return MaskedTokens(self.text(words, pair.tokens, pair.mask), words.mask)

    def _contrasts(self, asked: MaskedTokens, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        texts = [key_words(*pair) for pair in zip(batch["answer"], batch["kind"], strict=True)]
        tokens = padded(encode(self.tokenizer, texts), ANSWER)
        words, count = self.text.embed(tokens.ids), len(texts)
        match = torch.zeros(count, count)
        for row in range(count):
            for column in range(row, count):
                if torch.equal(tokens.ids[row], tokens.ids[column]):
                    match[row, column] = 1
        match = torch.maximum(match, match.T)
        scale = self.coarse_scale.exp()
        said = contrastive.masked_mean(words, tokens.mask)
        coarse = contrastive.cosine_logits(self.coarse(asked.tokens[:, 0]), said, scale)
        columns = [
            scale * similarity_by_contexts(asked.tokens, asked.mask, words[row], tokens.mask[row])
            for row in range(count)
        ]
        fine = torch.stack(columns, dim=1)
        return {
            name: contrastive.multi_positive(logits, match) for name, logits in (("coarse", coarse), ("fine", fine))
        }

    def _answer_terms(self, asked: MaskedTokens, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        negatives = [hard_negatives(*pair)[0][0] for pair in zip(batch["answer"], batch["kind"], strict=True)]
        logits = [
            self.belongs(self.text(padded(self._words(texts, ANSWER), ANSWER), asked.tokens, asked.mask)[:, 0])
            for texts in (batch["answer"], negatives)
        ]
        every = torch.ones(len(negatives), dtype=torch.bool)
        return {
            "matching": contrastive.answer_matching(logits[0], logits[1], every, torch.tensor(float(len(negatives))))
        }

    def _terms(self, asked: MaskedTokens, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        answer = padded(encode(self.tokenizer, batch["answer"], eos=True), ANSWER)
        logits = self.decoder(self.to_decoder(asked.tokens), asked.mask, answer)
        terms = self._contrasts(asked, batch) | self._answer_terms(asked, batch)
        return terms | {"answer": answer_nll(logits, answer.ids, answer.mask)}

    @torch.no_grad()
    def write(self, batch: Batch, words: int) -> None:
        """Beam search without a cache: every step reads the whole sequence again."""
        asked = self.fuse_question(self.fuse_films(self.encode_films(batch)), batch.question)
        prefix, mask = (one.repeat_interleave(BEAMS, 0) for one in (self.to_decoder(asked.tokens), asked.mask))
        count = len(batch.case_id)
        ids = torch.zeros(count * BEAMS, 0, dtype=torch.long)
        score = torch.tensor([0.0] + [-1e9] * (BEAMS - 1)).repeat(count, 1)
        for _ in range(words):
            tried = F.pad(ids, (0, 1))
            likely = self.decoder(prefix, mask, Tokens(tried, torch.ones_like(tried)))[:, -1].log_softmax(-1)
            total = score.unsqueeze(-1) + likely.unflatten(0, (count, BEAMS))
            score, best = total.flatten(1).topk(BEAMS)
            rows = best // likely.shape[-1] + BEAMS * torch.arange(count)[:, None]
            ids = torch.cat([ids[rows.flatten()], (best % likely.shape[-1]).reshape(-1, 1)], dim=1)


def similarity_by_contexts(tokens: Tensor, mask: Tensor, words: Tensor, word_mask: Tensor) -> Tensor:
    """`word_logits` of one text, with its contexts: (b, n, d), (b, n), (l, d), (l) -> (b)."""
    tokens, words = F.normalize(tokens.float(), dim=-1), F.normalize(words.float(), dim=-1)
    over_words = torch.softmax((tokens @ words.T).masked_fill(word_mask == 0, -1e4), dim=-1)
    over_tokens = torch.softmax((WORD_SHARPNESS * over_words).masked_fill(mask[..., None] == 0, -1e4), dim=1)
    cosine = F.cosine_similarity(over_tokens.transpose(1, 2) @ tokens, words, dim=-1)
    sharp = (TOKEN_SHARPNESS * cosine).masked_fill(word_mask == 0, -1e4)
    return (sharp.logsumexp(-1) - word_mask.sum().log()) / TOKEN_SHARPNESS


def batch_of(size: int, width: int, config: C2FConfig) -> Batch:
    """Cases about change with random stored regions. Answers have the usual lengths; some are the same."""
    generator = torch.Generator().manual_seed(0)
    shape = (size, len(config.region_names), 5 + 2 * width + len(config.findings))
    names = [config.findings[row % 7] for row in range(size)]
    answers = [render(Change.of([name], ["hernia"] if row % 2 else [])) for row, name in enumerate(names)]
    regions = {f"features_{side}": torch.randn(shape, generator=generator) for side in ("current", "prior")}
    return Batch(
        has_prior=torch.ones(size, dtype=torch.bool),
        question=[DIFFERENCE_QUESTION] * size,
        answer=answers,
        kind=["difference"] * size,
        case_id=[f"case-{row}" for row in range(size)],
        patient_id=[f"patient-{row}" for row in range(size)],
        **regions,
    )


def step(model: C2F, batch: Batch, context: Callable[[], AbstractContextManager[Any]]) -> None:
    """Loss and gradients."""
    with context():
        loss = model(**batch).loss
    loss.backward()


def warm_seconds(work: Callable[[], Any], times: int) -> float:
    """Least CPU seconds of a call, after one that warms up."""
    work()
    return least_cpu_seconds(work, times)


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--size", choices=("small", "paper"), default="small")
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--words", type=int, default=30, help="of an answer; those of the templates have 4 to 60")
    options.add_argument("--times", type=int, default=3)
    options.result("--results", "c2f_speed.json")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    # Equal sizes: no slots in either, and a decoder with room for everything padded.
    config = C2FConfig(**{**load_preset("c2f/answer", chosen.size).model, "slots": 0, "regions": "fly", "beams": BEAMS,
                          "question_tokens": QUESTION, "answer_tokens": ANSWER})  # fmt: skip
    torch.manual_seed(0)
    ours = C2F(config, tokenizer=template_tokenizer())
    theirs = AsPublished(config, tokenizer=template_tokenizer())
    theirs.load_state_dict(ours.state_dict())
    batch = batch_of(chosen.batch, config.width, config)
    steps = {
        f"{name}, {precision}": warm_seconds(
            lambda model=model, context=context: step(model, batch, context), chosen.times
        )
        for precision, context in (("fp32", nullcontext), ("bf16", bf16_on_a_cpu))
        for name, model in (("ours", ours.train()), ("as published", theirs.train()))
    }
    # An untrained decoder ends anywhere: without an end, both write the same number of words.
    ours.decoder.eos = theirs.decoder.eos = len(ours.tokenizer)
    ours.config.answer_tokens = chosen.words
    answers = {
        "ours": warm_seconds(lambda: ours.eval().answer(batch), chosen.times),
        "as published": warm_seconds(lambda: theirs.eval().write(batch, chosen.words), chosen.times),
    }
    ours.config.beams = 1
    greedy = warm_seconds(lambda: ours.eval().answer(batch), chosen.times)
    result = {
        "parameters": sum(parameter.numel() for parameter in ours.parameters()),
        "batch": chosen.batch,
        "step.seconds": steps,
        "step.ratio": steps["as published, fp32"] / steps["ours, fp32"],
        "step.bf16.ratio": steps["as published, bf16"] / steps["ours, bf16"],
        "step.ratio.ours in bf16": steps["as published, fp32"] / steps["ours, bf16"],
        "step.pairs_a_second": chosen.batch / steps["ours, fp32"],
        "answers.words": chosen.words,
        "answers.seconds": answers,
        "answers.ratio": answers["as published"] / answers["ours"],
        "answers.a_second": chosen.batch / answers["ours"],
        "answers.greedy.a_second": chosen.batch / greedy,
        "bytes of region store a film": len(config.region_names) * (5 + 2 * config.width + len(config.findings)) * 2,
    }
    write_part(chosen.results, chosen.size, result)


if __name__ == "__main__":
    main()
