"""C2F, first stage over pairs: what was seen is brought together with the words for it, and no answer is written yet.

What it is and where it differs from the published code is said in `c2f.py`, the stage that answers; it adds a decoder
to this one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.gathering import gather_rows, padded_to, several_processes
from intervalchange.blocks.pair_attention import PairAttention, Pairing
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.region_queries import RegionView
from intervalchange.blocks.tokenizer import Tokens, encode
from intervalchange.blocks.type_embedding import TypeEmbedding
from intervalchange.blocks.word_masking import hide_words, mask_token
from intervalchange.data.answer_words import case_uniforms, key_vocabulary, key_words, text_code
from intervalchange.errors import ConfigError
from intervalchange.losses import answer_nll, contrastive
from intervalchange.losses.local_alignment import word_logits
from intervalchange.methods.base.hard_negatives import HardNegatives
from intervalchange.methods.base.method import MethodOutput
from intervalchange.methods.base.paired_regions import PairedRegions, PairedRegionsConfig
from intervalchange.methods.c2f.graph import GraphConvolution, organ_finding_graph
from intervalchange.methods.c2f.text_encoder import GroundedTextEncoder

MASKED, UNIQUE_KEY_WORDS, PLAIN_WORDS = 0.6, 1.0, 0.3
"""Chance that a word is masked: a key word among several; the only key word; any word of an answer without one."""


class AlignConfig(PairedRegionsConfig):
    """Sizes and loss weights. The rows of the ablation are `graph`, `difference`, `pairing`, and weights of 0."""

    model_type = "c2f_align"

    graph: bool = True
    """Add the nodes of the organ-finding graph to the tokens."""
    graph_hidden: int = 128
    aliases: tuple[str, ...] = ()
    """Other texts for nodes, each as "name=text": "aortic arch=aorta"."""
    difference: bool = True
    """Show the difference of the films to the co-attention; without it the films look at each other."""
    pairing: Pairing = "D"
    """MCCFormers-D, or -S."""
    pair_layers: int = 2
    pair_heads: int = 4
    pair_feedforward: int = 256
    token_width: int = 96
    """Width of the tokens, of the co-attention and of the text encoder."""
    text_layers: int = 1
    text_heads: int = 4
    text_feedforward: int = 192
    slots: int = 8
    """Learned vectors that read the films beside the words of the question."""
    question_tokens: int = 40
    answer_tokens: int = 96
    """Longest question and answer."""
    coarse_weight: float = 0.5
    """Of the contrast between the question's first token and the mean key word."""
    fine_weight: float = 0.5
    """Of the contrast between the tokens of the question and each key word."""
    matching_weight: float = 1.0
    """Of telling the answer from a hard negative."""
    masking_weight: float = 1.0
    """Of filling masked words of the answer."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        known = {*self.region_names, *self.findings}
        for alias in self.aliases:
            if alias.partition("=")[0] not in known or not alias.partition("=")[2]:
                raise ConfigError(f"alias {alias!r} renames no node.", remedy='Write "aortic arch=aorta".')

    @property
    def node_texts(self) -> tuple[str, ...]:
        """What each node of the graph is called: the regions, then the findings."""
        renamed = dict(alias.split("=", 1) for alias in self.aliases)
        return tuple(renamed.get(name, name) for name in (*self.region_names, *self.findings))


@dataclass(frozen=True)
class Seen:
    """What was seen of b pairs. n tokens a film: regions, crops, nodes."""

    current: Tensor
    """(b, n, d)."""
    prior: Tensor
    """(b, n, d); zeros where there is none."""
    has_prior: Tensor
    """(b) bool."""
    view: RegionView
    """Of the current films."""


@dataclass(frozen=True)
class Grounded:
    """Questions that have read the films."""

    tokens: Tensor
    """(b, s + t, d): slots, first token, words."""
    mask: Tensor
    """(b, s + t), 1 where it counts."""


class C2FAlign(HardNegatives, PairedRegions):
    """C2F, first stage. See the module's docstring."""

    config_class = AlignConfig
    config: AlignConfig
    name = "c2f/align"
    selection = "alignment"

    node_vectors: Tensor
    nodes_encoded: Tensor

    def __init__(self, config: AlignConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        width, regions = config.token_width, len(config.region_names)
        self.anatomy_tokens, self.disease_tokens = (nn.Linear(config.width, width) for _ in range(2))
        nodes = len(config.node_texts) if config.graph else 0
        if config.graph:
            self.graph = GraphConvolution(width, config.graph_hidden, width, config.dropout)
            self.register_buffer("node_vectors", torch.zeros(nodes, width))
            self.register_buffer("nodes_encoded", torch.zeros((), dtype=torch.bool))
        self.pairs = PairAttention(
            config.pairing,
            2 * regions + nodes,
            width,
            width,
            layers=config.pair_layers,
            heads=config.pair_heads,
            feedforward=config.pair_feedforward,
            dropout=config.dropout,
            segments=True,
            position_std=0.5,
        )
        self.text = GroundedTextEncoder(
            len(self.tokenizer),
            width,
            layers=config.text_layers,
            heads=config.text_heads,
            feedforward=config.text_feedforward,
            positions=1 + max(config.question_tokens, config.answer_tokens),
            dropout=config.dropout,
        )
        self.slots = TypeEmbedding(config.slots, width) if config.slots else None
        self.streams = TypeEmbedding(4 if config.difference else 2, width)
        if config.coarse_weight:
            self.coarse = nn.Linear(width, width)
            self.coarse_scale = nn.Parameter(torch.empty(()))
        if config.fine_weight:
            self.fine_scale = nn.Parameter(torch.empty(()))
        if config.matching_weight:
            self.belongs = nn.Linear(width, 2)
        if config.masking_weight:
            self.fill = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
            self.fill_bias = nn.Parameter(torch.empty(len(self.tokenizer)))
        words = [self.tokenizer.convert_tokens_to_ids(word) for word in sorted(key_vocabulary())]
        # Not a buffer: `from_pretrained` builds on the meta device and fills only what was saved.
        self._key_ids = sorted({one for one in words if one is not None and one != self.tokenizer.unk_token_id})
        self.allow_every_word()
        self._step = 0
        self._build()
        self.post_init()

    def _build(self) -> None:
        """What a later stage adds."""

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`. Scales of the contrasts start at 10, as in C2F."""
        for name in ("coarse_scale", "fine_scale"):
            if hasattr(self, name):
                init.constant_(getattr(self, name), math.log(10.0))
        if hasattr(self, "fill_bias"):
            init.zeros_(self.fill_bias)
        if hasattr(self, "belongs"):
            # Answers and hard negatives look alike at first: whatever the head says then is noise for all below it.
            init.normal_(self.belongs.weight, std=0.02)

    def progress(self, step: int, steps: int, epoch: float) -> None:
        self._step = step

    # --- seeing ------------------------------------------------------------------------------------------------

    def check_items(self, items: Any) -> None:
        """Hear the words of the training answers; refuse regions that other weights have stored."""
        super().check_items(items)
        self.restrict_words(items.answers)

    def _tokens(self, views: tuple[RegionView, RegionView]) -> Tensor:
        """(2b, n, d): F_a, F_d and F_g of the prior films, then of the current ones."""
        anatomy, disease, present = self.region_vectors(views)
        parts = [self.anatomy_tokens(anatomy), self.disease_tokens(disease)]
        parts = [present.unsqueeze(-1) * part for part in parts]
        if self.config.graph:
            findings = torch.sigmoid(torch.cat([view.findings for view in views]).float())
            parts.append(self.graph(self._nodes(), organ_finding_graph(present, findings)))
        return torch.cat(parts, dim=1)

    @torch.no_grad()
    def _nodes(self) -> Tensor:
        """(nodes, d): the first token of each name as the text encoder reads it, encoded once and kept."""
        if not self.nodes_encoded:
            training = self.text.training
            self.text.eval()
            names = self._words(self.config.node_texts, self.config.question_tokens)
            self.node_vectors.copy_(self.text(names)[:, 0])
            self.text.train(training)
            self.nodes_encoded.fill_(True)
        return self.node_vectors

    def see(self, batch: Mapping[str, Any]) -> Seen:
        """Films, or stored regions, of a batch -> tokens."""
        has_prior = batch["has_prior"].to(self.device)
        views = self.region_views(batch)
        prior, current = self._tokens(views).chunk(2)
        return Seen(current, prior * has_prior.view(-1, 1, 1), has_prior, views[1])

    def compare(self, seen: Seen) -> Grounded:
        """F_diff: (b, 4n, d) tokens of (current, D) and (prior, D) after the co-attention; 2n without D."""
        here = torch.ones_like(seen.has_prior)
        if self.config.difference:
            difference = (seen.current - seen.prior) * seen.has_prior.view(-1, 1, 1)
            films, twice = torch.cat([seen.current, seen.prior]), torch.cat([difference, difference])
            films, twice = self.pairs(films, twice)
            streams = [*films.chunk(2), *twice.chunk(2)]
        else:
            streams = list(self.pairs(seen.current, seen.prior))
        streams = [stream + mark for stream, mark in zip(streams, self.streams.weight, strict=True)]
        masks = [here, *([seen.has_prior] * (len(streams) - 1))]
        mask = torch.stack(masks, dim=1).repeat_interleave(seen.current.shape[1], dim=1).long()
        return Grounded(torch.cat(streams, dim=1), mask)

    def _words(self, texts: Sequence[str], limit: int) -> Tokens:
        """BOS, which every text begins with, and the words."""
        return encode(self.tokenizer, texts, bos=True, limit=limit + 1, device=self.device)

    def ask(self, pair: Grounded, questions: Sequence[str]) -> Grounded:
        """Q: the slots and words of the question after reading F_diff."""
        words = self._words(questions, self.config.question_tokens)
        extra = self.slots.weight if self.slots is not None else None
        tokens = self.text(words, pair.tokens, pair.mask, extra=extra)
        return Grounded(tokens, torch.cat([words.mask.new_ones(len(words.mask), self.config.slots), words.mask], dim=1))

    # --- losses ------------------------------------------------------------------------------------------------

    def forward(self, **batch: Any) -> MethodOutput:
        asked = self.ask(self.compare(self.see(batch)), batch["question"])
        terms = self._contrasts(asked, batch) | self._answer_terms(asked, batch) | self._more_terms(asked, batch)
        weights = {name.removesuffix("_weight"): getattr(self.config, name) for name in self.config.options()
                   if name.endswith("_weight")}  # fmt: skip
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return MethodOutput(loss=loss, terms={name: term.detach() for name, term in terms.items()})

    def _more_terms(self, asked: Grounded, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What a later stage adds."""
        return {}

    def _contrasts(self, asked: Grounded, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Coarse: first token against the mean key word. Fine: every token against every key word."""
        config = self.config
        if not (config.coarse_weight or config.fine_weight):
            return {}
        texts = [key_words(*pair) for pair in zip(batch["answer"], batch["kind"], strict=True)]
        tokens = encode(self.tokenizer, texts, limit=config.answer_tokens, device=self.device)
        words, word_mask, seen, seen_mask = self.text.embed(tokens.ids), tokens.mask, asked.tokens, asked.mask
        first = seen[:, config.slots]
        if several_processes():
            room = config.slots + 1 + config.question_tokens
            words, word_mask = (padded_to(one, config.answer_tokens) for one in (words, word_mask))
            seen, seen_mask = (padded_to(one, room) for one in (seen, seen_mask))
            words, word_mask, seen, seen_mask, first = map(gather_rows, (words, word_mask, seen, seen_mask, first))
        codes = gather_rows(torch.tensor([text_code(text) for text in texts], device=self.device))
        match, counted = contrastive.matches(codes), word_mask.any(dim=1)
        terms = {}
        if config.coarse_weight:
            said = contrastive.masked_mean(words, word_mask)
            logits = contrastive.cosine_logits(self.coarse(first), said, _scale(self.coarse_scale))
            terms["coarse"] = contrastive.multi_positive(logits, match, counted)
        if config.fine_weight:
            logits = word_logits(seen, seen_mask, words, word_mask, _scale(self.fine_scale))
            terms["fine"] = contrastive.multi_positive(logits, match, counted)
        return terms

    def _answer_terms(self, asked: Grounded, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Matching and masked words, read in one pass: answers, hard negatives, answers with holes."""
        config, terms = self.config, {}
        if not (config.matching_weight or config.masking_weight):
            return {}
        tried = self._tried(asked, batch, self._step)
        if config.matching_weight:
            total = average_over_processes(tried.has_miss.sum().float())
            terms["matching"] = contrastive.answer_matching(tried.true, tried.miss, tried.has_miss, total)
        if config.masking_weight:
            terms["masking"] = answer_nll(
                tried.filled.unsqueeze(0), tried.hidden.unsqueeze(0), torch.ones_like(tried.hidden).unsqueeze(0),
                reduce_mean=average_over_processes,
            )  # fmt: skip
        return terms

    def _tried(self, asked: Grounded, batch: Mapping[str, Any], step: int) -> Tried:
        """What the text encoder makes of the answers of a batch, in the light of its questions."""
        config, ids = self.config, batch["case_id"]
        answers, count = [" ".join(answer.split()) for answer in batch["answer"]], len(batch["answer"])
        choices = [self.hard_negatives(*pair) for pair in zip(answers, batch["kind"], strict=True)]
        hard_negatives = [
            _drawn(*one) for one in zip(answers, choices, case_uniforms(ids, step, "near miss", 2), strict=True)
        ]
        words = self._words([*answers, *hard_negatives], config.answer_tokens)
        true = Tokens(words.ids[:count], words.mask[:count])
        holes, hidden = self._holes(true, ids, step)
        parts, kept = [words], [slice(0, count), slice(count, 2 * count)]
        if config.masking_weight:
            parts.append(Tokens(holes, true.mask))
        text = Tokens(torch.cat([part.ids for part in parts]), torch.cat([part.mask for part in parts]))
        times = len(text.ids) // count
        read = self.text(text, asked.tokens.repeat(times, 1, 1), asked.mask.repeat(times, 1))
        logits = [self.belongs(read[rows, 0]) if config.matching_weight else read[rows, 0, :2] for rows in kept]
        filled = read.new_zeros(0, len(self.tokenizer))
        if config.masking_weight:
            filled = self.fill(read[2 * count :][hidden]) @ self.text.words.weight.T + self.fill_bias
        has_miss = torch.tensor([bool(wrong) for wrong in choices], device=self.device)
        return Tried(logits[0], logits[1], has_miss, filled, true.ids[hidden], hidden.nonzero()[:, 0])

    def _holes(self, true: Tokens, case_ids: Sequence[str], step: int) -> tuple[Tensor, Tensor]:
        """(b, t) ids with masked words, and which they are. Never BOS or padding.

        Key words are masked with a chance of .6, an only one always; in an answer without any, every word with .3 and
        at least one. Of those 80% become the mask, 10% another word, 10% stay.
        """
        length = true.ids.shape[1]
        lots = [
            torch.from_numpy(case_uniforms(case_ids, step, salt, length)).to(self.device)
            for salt in ("hide", "how", "word")
        ]
        open_ = true.mask.bool()
        open_ = open_ & (torch.arange(length, device=self.device) > 0)
        key = torch.isin(true.ids, torch.tensor(self._key_ids, device=self.device)) & open_
        number = key.sum(1, keepdim=True)
        chance = torch.where(number == 1, UNIQUE_KEY_WORDS, MASKED) * key + PLAIN_WORDS * (open_ & (number == 0))
        wanted = torch.where(number > 0, key, open_)
        mask_id, size = mask_token(self.tokenizer), len(self.tokenizer)
        return hide_words(true.ids, chance, wanted, (lots[0], lots[1], lots[2]), mask_id, size)

    # --- validation --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validation_outputs(self, batch: Any) -> list[Any]:
        """For each case: was the answer told from a hard negative, and how many masked words were filled right."""
        asked = self.ask(self.compare(self.see(batch)), batch["question"])
        tried = self._tried(asked, batch, step=0)
        right = (tried.true.float().softmax(-1)[:, 1] > tried.miss.float().softmax(-1)[:, 1]).cpu()
        hits = torch.zeros(len(right), 2)
        rows = tried.rows.cpu()
        if len(tried.filled):
            hits[:, 0].index_add_(0, rows, (tried.filled.argmax(-1) == tried.hidden).float().cpu())
            hits[:, 1].index_add_(0, rows, torch.ones(len(rows)))
        has = tried.has_miss.cpu()
        return [
            PairOutputs(bool(has[row]), bool(right[row]), int(hits[row, 0]), int(hits[row, 1]))
            for row in range(len(has))
        ]

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        matched = [one.matched for one in outputs if one.has_miss]
        hidden = sum(one.hidden for one in outputs)
        metrics = {}
        if self.config.matching_weight and matched:
            metrics["matching.accuracy"] = float(np.mean(matched))
        if self.config.masking_weight and hidden:
            metrics["masking.accuracy"] = sum(one.filled for one in outputs) / hidden
        return metrics | {"alignment": float(np.mean(list(metrics.values()))) if metrics else 0.0}


@dataclass(frozen=True)
class Tried:
    """What the text encoder said of answers. h hidden words in all."""

    true: Tensor
    """(b, 2) logits of (does not belong, belongs) of the answers."""
    miss: Tensor
    """(b, 2) of the hard negatives."""
    has_miss: Tensor
    """(b) bool."""
    filled: Tensor
    """(h, v) logits of the hidden words."""
    hidden: Tensor
    """(h) what they are."""
    rows: Tensor
    """(h) whose they are."""


@dataclass(frozen=True)
class PairOutputs:
    """What validation knows of one case."""

    has_miss: bool
    matched: bool
    """The answer was found likelier than its hard negative."""
    filled: int
    """Masked words that were found."""
    hidden: int


def _drawn(answer: str, groups: tuple[tuple[str, ...], ...], lots: np.ndarray) -> str:
    """One hard negative: first what is wrong, then how; the answer itself where there is none."""
    if not groups:
        return answer
    group = groups[int(lots[0] * len(groups))]
    return group[int(lots[1] * len(group))]


def _scale(logarithm: Tensor) -> Tensor:
    """exp, at most 100, as in CLIP."""
    return logarithm.clamp(max=math.log(100.0)).exp()
