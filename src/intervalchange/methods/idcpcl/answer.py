"""IDCPCL: "Image Difference Captioning with Pre-training and Contrastive Learning" (Yao et al., AAAI 2022).

https://doi.org/10.1609/aaai.v36i3.20218 ; code: yaolinli/IDC, nothing of it copied.

Orientation: the first image of the paper is our `prior`, the second our `current`.

Each film is a grid of cells of an encoder. A transformer reads [CLS; film] for each film, a second one the two of them,
and a third one [CLS, prior, CLS, current, question, CLS, answer]: in pre-training its blocks attend to everything
(`pretrain.py`: masked words, masked cells, true and false sentences); to answer, films and question attend to each
other and the answer attends to them and to its earlier words. Pre-norm blocks, a norm before each stack, none after.

Differs: films are standardised one by one, also before a frozen ResNet of ImageNet, which was trained with one mean and
    one deviation for all images.
Differs: AdamW and a cosine in the smaller sizes; `paper` has Adam and the published schedules.
Differs: the question stands between films and answer; the paper asks nothing.
Differs: the third CLS is BOS and stands before the answer in both stages. Published, it is there in pre-training alone,
    and every word has another position afterwards.
Differs: answers are learnt as usual, each word from those before it; `objective="mask"` puts a mask in the place of
    each word, and 15% of them are learnt in a step. Published, those to the left may be masked too.
Differs: losses are means over words, not sums. Padding is masked; published, it is read in pre-training.
Differs: a linear projection of the cells (`sigmoid_projection`: published), standardised by the first batch
    (`standardise`), with positions in two dimensions; the encoder is trained too unless `frozen`. Published, features
    of a frozen ResNet-101, and positions in one dimension, half of whose frequencies vanish by a slip.
Differs: norms of PyTorch (deviation with n, eps inside the root).
Differs: AdamW and a cosine; no early stop on CIDEr, no pull to the pre-trained weights.
Differs: an answer ends at EOS and is generated with a cache. No second head for "changed or distractor" (CLEVR-Change).
Differs: where there is no prior, it is masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.decoders import PrefixDecoder
from intervalchange.blocks.encoders import sincos_2d
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.tokenizer import Tokens
from intervalchange.blocks.word_masking import mask_token
from intervalchange.data.answer_words import case_uniforms
from intervalchange.errors import ConfigError
from intervalchange.losses import answer_nll
from intervalchange.methods.base.answerer import Decoder
from intervalchange.methods.base.method import MethodOutput
from intervalchange.methods.base.paired_films import PairedFilms, PairedFilmsConfig
from intervalchange.methods.idcpcl.prefix_transformer import Memory, PrefixStack, Reading, sinusoid

HIDDEN_WORDS = 0.15
"""Probability that a word is masked, or learnt with `objective="mask"`."""


class IdcpclConfig(PairedFilmsConfig):
    """Configuration of IDCPCL. The stack that reads films and words is the `decoder`; it may have any length."""

    model_type = "idcpcl"

    grid: int = 8
    single_layers: int = 1
    """Blocks that read one film."""
    pair_layers: int = 1
    """Blocks that read both films."""
    sigmoid_projection: bool = False
    """A sigmoid behind the projection of the cells, as published."""
    objective: Literal["next", "mask"] = "next"
    """`next`: a word is predicted from the one before. `mask`: from a mask in its position."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.decoder_width % 4:
            raise ConfigError(
                f"model option 'decoder_width' is {self.decoder_width}.", remedy="For positions it is divisible by 4."
            )
        if self.beams != 1:
            raise ConfigError(f"model option 'beams' is {self.beams}.", remedy="IDCPCL is greedy: leave it at 1.")


@dataclass(frozen=True)
class Films:
    """The films of b pairs, n cells each."""

    raw: Tensor
    """(2b, n, c): the cells as they came, priors first, before any is hidden."""
    tokens: Tensor
    """(b, 2 + 2n, d): CLS and cells of the prior, then of the current film."""
    mask: Tensor
    """(b, 2 + 2n), 1 for tokens that are read."""


class DifferenceEncoder(nn.Module):
    """The image difference encoder: each film by itself, then both."""

    def __init__(self, width_in: int, config: IdcpclConfig) -> None:
        super().__init__()
        width = config.decoder_width
        sizes = (config.decoder_heads, config.decoder_feedforward, config.dropout)
        self.enter = nn.Linear(width_in, width)
        self.sigmoid = config.sigmoid_projection
        self.starts = nn.Parameter(torch.empty(2, 1, width))
        self.films = nn.Parameter(torch.empty(2, 1, width))
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(config.dropout)
        self.single = PrefixStack(width, config.single_layers, *sizes)
        self.pair = PrefixStack(width, config.pair_layers, *sizes)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        for vectors in (self.starts, self.films):
            init.normal_(vectors, std=0.5)

    def forward(self, cells: Tensor, has_prior: Tensor) -> tuple[Tensor, Tensor]:
        """Cells (2b, n, c), priors first -> tokens (b, 2 + 2n, d) and their mask (b, 2 + 2n)."""
        side = int(cells.shape[1] ** 0.5)
        tokens = torch.sigmoid(self.enter(cells)) if self.sigmoid else self.enter(cells)
        tokens = tokens + sincos_2d(tokens.shape[-1], side, side, like=tokens)
        films = tokens.unflatten(0, (2, -1)) + self.films[:, None]
        starts = self.starts[:, None].expand(-1, films.shape[1], -1, -1).to(films.dtype)
        films = self.dropout(self.norm(torch.cat([starts, films], dim=2))).flatten(0, 1)
        has_film = torch.stack([has_prior, torch.ones_like(has_prior)], dim=1)
        mask = has_film.repeat_interleave(films.shape[1], dim=1)
        single = self.single(films, torch.ones_like(films[..., 0], dtype=torch.bool)).hidden
        return self.pair(torch.cat(single.chunk(2), dim=1), mask).hidden, mask.long()


class CrossModal(nn.Module):
    """The cross-modal transformer, and the head that predicts words."""

    def __init__(self, vocabulary: int, config: IdcpclConfig, mask_id: int) -> None:
        super().__init__()
        width = config.decoder_width
        self.words = nn.Embedding(vocabulary, width)
        self.kinds = nn.Embedding(3, width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(config.dropout)
        sizes = (config.decoder_layers, config.decoder_heads, config.decoder_feedforward, config.dropout)
        self.stack = PrefixStack(width, *sizes)
        self.lm_head = nn.Linear(width, vocabulary)
        self.blanks, self.mask_id = config.objective == "mask", mask_id

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`. Words become as large as their positions."""
        init.normal_(self.words.weight, std=self.words.embedding_dim**-0.5)

    @property
    def base_model(self) -> CrossModal:
        """Itself: the head is called by who reads."""
        return self

    def get_input_embeddings(self) -> nn.Embedding:
        """Of the words, without position and kind."""
        return self.words

    def _positioned(self, words: Tensor, positions: Tensor, kinds: Tensor) -> Tensor:
        """(b, t, d) with positions (t) or (b, t) and kinds: 0 question, 1 the third CLS, 2 answer."""
        width = words.shape[-1]
        positioned = words * width**0.5 + self.kinds(kinds) + sinusoid(positions, width).to(words.dtype)
        normalised: Tensor = self.dropout(self.norm(positioned))
        return normalised

    def _question(self, words: Tensor, mask: Tensor) -> Tensor:
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        return self._positioned(words, positions, torch.zeros_like(positions))

    def _answer(self, words: Tensor, first: int) -> Tensor:
        positions = torch.arange(first, first + words.shape[1], device=words.device)
        return self._positioned(words, positions, (positions > 0).long() + 1)

    def forward(
        self, inputs_embeds: Tensor, attention_mask: Tensor, start: int, films: Tensor, films_mask: Tensor
    ) -> tuple[Tensor, Memory]:
        """[question; CLS; answer] (b, t, d), of which the question is the first `start` and `attention_mask` (b, t) is
        1 where it counts -> hidden states that predict the word after each position from `start` on, (b, t - start, d),
        and the memory of all of it.
        """
        question, mask = inputs_embeds[:, :start], attention_mask[:, :start]
        context = torch.cat([films, self._question(question, mask)], dim=1)
        memory = self.stack(context, torch.cat([films_mask, mask], dim=1) > 0).memory
        return self.extend(inputs_embeds[:, start:], 0, memory)

    def extend(self, words: Tensor, first: int, memory: Memory) -> tuple[Tensor, Memory]:
        """The next words of an answer, (b, t, d), from position `first` -> states that predict the word after each, and
        the extended memory.

        With blanks: a mask stands in the position after each word, attends to what that word attends to and itself,
        predicts the word, and is not remembered.
        """
        steps, x = words.shape[1], self._answer(words, first)
        within = torch.ones(steps, steps, dtype=torch.bool, device=x.device).tril()
        if self.blanks:
            blank = self.words.weight[self.mask_id].to(words.dtype).expand_as(words)
            x = torch.cat([x, self._answer(blank, first + 1)], dim=1)
            none, itself = torch.zeros_like(within), torch.eye(steps, dtype=torch.bool, device=x.device)
            within = torch.cat([torch.cat([within, none], 1), torch.cat([within, itself], 1)])
        reading = self.stack(x, torch.ones_like(x[..., 0], dtype=torch.bool), memory, within)
        return reading.hidden[:, -steps:], reading.memory.first(memory.mask.shape[1] + steps)

    def read(self, films: Tensor, films_mask: Tensor, question: Tensor, mask: Tensor, answer: Tokens) -> Tensor:
        """Everything attends to everything: (b, f + q + t, d) of films, question (b, q, d), and answer, which begins
        with the third CLS."""
        parts = [films, self._question(question, mask), self._answer(self.words(answer.ids), 0)]
        masks = torch.cat([films_mask, mask, answer.mask], dim=1) > 0
        reading: Reading = self.stack(torch.cat(parts, dim=1), masks)
        return reading.hidden


class CrossModalDecoder(PrefixDecoder):
    """Writes answers with a `CrossModal`. Greedy, batched, with a cache."""

    language_model: Any

    def forward(self, prefix: Tensor, prefix_mask: Tensor, answer: Tokens, **read: Tensor) -> Tensor:
        """As `PrefixDecoder`. read: `films` (b, n, d) and `films_mask` (b, n)."""
        opened, mask = self._opened(prefix, prefix_mask)
        inputs = torch.cat([opened, self.embed(answer.ids[:, :-1]).to(opened.dtype)], dim=1)
        hidden, _ = self.language_model(inputs_embeds=inputs, attention_mask=mask, start=prefix.shape[1], **read)
        return self.language_model.lm_head(self.dropout(hidden))  # type: ignore[no-any-return]

    @torch.no_grad()
    def generate(self, prefix: Tensor, prefix_mask: Tensor, *, limit: int, beams: int = 1, **read: Any) -> Tokens:
        """Answers of at most `limit` tokens, EOS included and the rest masked."""
        opened, mask = self._opened(prefix, prefix_mask)
        hidden, memory = self.language_model(inputs_embeds=opened, attention_mask=mask, start=prefix.shape[1], **read)
        ended = torch.zeros(len(prefix), dtype=torch.bool, device=prefix.device)
        answers: list[Tensor] = []
        while True:
            words = self.language_model.lm_head(hidden[:, -1]).argmax(-1)
            answers.append(torch.where(ended, self.pad, words))
            ended = ended | (words == self.eos)
            if len(answers) == limit or bool(ended.all()):
                return self.up_to_eos(torch.stack(answers, dim=1))
            hidden, memory = self.language_model.extend(self.embed(answers[-1])[:, None], len(answers), memory)


class Idcpcl(PairedFilms):
    """IDCPCL. See the module's docstring."""

    config_class = IdcpclConfig
    config: IdcpclConfig
    name: ClassVar[str] = "idcpcl/answer"
    follows: ClassVar[tuple[str, ...]] = ("idcpcl/pretrain",)

    decoder: CrossModalDecoder

    def __init__(self, config: IdcpclConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        self.difference = DifferenceEncoder(self.encoder.width, config)
        self._step = 0
        self._build()
        self.post_init()

    def _build(self) -> None:
        """What another stage adds."""

    def _build_decoder(self) -> Decoder:
        reader: Any = CrossModal(len(self.tokenizer), self.config, mask_token(self.tokenizer))
        return CrossModalDecoder(reader, self.tokenizer)

    def map_pretrained(self, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
        """All of a run of the other stage; of other runs, the encoder."""
        if any(name.startswith("difference.") for name in tensors):
            return tensors
        return super().map_pretrained(tensors, run)

    def progress(self, step: int, steps: int, epoch: float) -> None:
        super().progress(step, steps, epoch)
        self._step = step

    def memory(self, maps: Tensor, has_prior: Tensor) -> dict[str, Tensor]:
        """Films for the cross-modal transformer: (b, 2 + 2n, d), and which tokens are read."""
        films, mask = self.difference(self.tokens(maps), has_prior)
        return {"films": films, "films_mask": mask}

    def forward(self, **batch: Any) -> MethodOutput:
        if self.config.objective == "next":
            return super().forward(**batch)
        context, answer = self.context(self.encode_films(batch), batch), self.encode_answers(batch["answer"])
        logits = self.decoder(context.prefix, context.mask, answer, **context.memory)
        uniforms = self.uniforms(batch, "learn", answer.ids.shape[1])
        smallest = torch.where(answer.mask > 0, uniforms, 2.0).amin(1, True)
        learnt = answer.mask * (uniforms <= smallest.clamp(min=HIDDEN_WORDS))
        return MethodOutput.of(
            {"generation": answer_nll(logits, answer.ids, learnt, reduce_mean=average_over_processes)}
        )

    def uniforms(self, batch: Mapping[str, Any], salt: str, count: int) -> Tensor:
        """(b, count) in [0, 1), drawn by case and step: the same for a case whatever stands beside it."""
        return torch.from_numpy(case_uniforms(batch["case_id"], self._step, salt, count)).to(self.device)
