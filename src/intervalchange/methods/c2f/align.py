"""C2F, first stage over pairs: encoded films are aligned with the words for them; no answer is written yet.

`answer.py`, which adds a decoder, says what the method is and where it differs from the published code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from intervalchange.findings import C2F_TEXTS, FINDINGS
from intervalchange.losses import answer_nll, contrastive
from intervalchange.methods.base.answerer import AnswererConfig
from intervalchange.methods.base.hard_negatives import HardNegatives, NegativeGroups
from intervalchange.methods.base.method import MethodOutput
from intervalchange.methods.base.paired_regions import PairedRegions, PairedRegionsConfig
from intervalchange.methods.c2f.contrast import SCALE, Contrast, coarse_logits, contrast_loss, fine_logits
from intervalchange.methods.c2f.encoded_pairs import AnswerReading, EncodedPair, MaskedTokens, PairOutputs
from intervalchange.methods.c2f.graph import GraphConvolution, organ_finding_graph
from intervalchange.methods.c2f.text_encoder import GroundedTextEncoder

MASKED, UNIQUE_KEY_WORDS, PLAIN_WORDS = 0.6, 1.0, 0.3
"""Probability that a word is masked: a key word among several; the only key word; any word of an answer without one."""


class AlignConfig(PairedRegionsConfig, AnswererConfig):
    """Sizes and loss weights. The rows of the ablation are `graph`, `difference`, `pairing`, and weights of 0."""

    model_type = "c2f_align"

    graph: bool = True
    """Add the nodes of the organ-finding graph to the tokens."""
    graph_hidden: int = 128
    graph_dropout: float | None = None
    """None: as `dropout`."""
    aliases: tuple[str, ...] = ()
    """Other texts for nodes, each as "name=text": "aortic arch=aorta". ["published"] for those of C2F."""
    difference: bool = True
    """Show the difference of the films to the co-attention; without it the films attend to each other."""
    pairing: Pairing = "D"
    """MCCFormers-D, or -S, as the published code runs."""
    pair_layers: int = 2
    pair_heads: int = 4
    pair_feedforward: int = 256
    pair_dropout: float | None = None
    """None: as `dropout`."""
    token_width: int = 96
    """Width of the tokens, of the co-attention and of the text encoder."""
    text_layers: int = 1
    text_heads: int = 4
    text_feedforward: int = 192
    slots: int = 8
    """Learned vectors that read the films beside the words of the question."""
    contrast: Contrast = "softmax"
    """See `contrast.py`. In the published form the question's first token has no part in the fine contrast."""
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
        if self.aliases == ("published",):
            self.aliases = tuple(f"{name}={text}" for name, text in C2F_TEXTS.items() if name in known)
        for alias in self.aliases:
            if alias.partition("=")[0] not in known or not alias.partition("=")[2]:
                raise ConfigError(f"alias {alias!r} renames no node.", remedy='Write "aortic arch=aorta".')

    def weights(self) -> dict[str, float]:
        """Loss term -> weight."""
        names = [name for name in self.options() if name.endswith("_weight")]
        return {name.removesuffix("_weight"): getattr(self, name) for name in names}

    @property
    def node_texts(self) -> tuple[str, ...]:
        """What each node of the graph is called: the regions, then the findings."""
        renamed = dict(alias.split("=", 1) for alias in self.aliases)
        return tuple(renamed.get(name, name) for name in (*self.region_names, *self.findings))


class C2FAlign(HardNegatives, PairedRegions):
    """C2F, first stage. See the module's docstring."""

    config_class = AlignConfig
    config: AlignConfig
    name = "c2f/align"
    follows = ("c2f/diseases",)
    selection = "alignment"

    node_vectors: Tensor
    nodes_encoded: Tensor

    def __init__(self, config: AlignConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        width, regions = config.token_width, len(config.region_names)
        self.anatomy_tokens, self.disease_tokens = (nn.Linear(config.width, width) for _ in range(2))
        nodes = len(config.node_texts) if config.graph else 0
        if config.graph:
            dropout = config.dropout if config.graph_dropout is None else config.graph_dropout
            self.graph = GraphConvolution(width, config.graph_hidden, width, dropout)
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
            dropout=config.dropout if config.pair_dropout is None else config.pair_dropout,
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
        learnt = config.contrast == "softmax"
        if config.coarse_weight:
            self.coarse = nn.Linear(width, width)
        for term, weight in (("coarse", config.coarse_weight), ("fine", config.fine_weight)):
            if weight and learnt:
                self.register_parameter(f"{term}_scale", nn.Parameter(torch.empty(())))
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
                init.constant_(getattr(self, name), math.log(SCALE))
        if hasattr(self, "fill_bias"):
            init.zeros_(self.fill_bias)
        if hasattr(self, "belongs"):
            # At first answers and hard negatives are hardly told apart: large outputs would be noise for all below.
            init.normal_(self.belongs.weight, std=0.02)

    def progress(self, step: int, steps: int, epoch: float) -> None:
        self._step = step

    # --- films and question ----------------------------------------------------------------------------------------

    @property
    def false_findings(self) -> tuple[str, ...]:
        """Of the answers, whatever is looked for in the regions."""
        return FINDINGS

    def check_items(self, items: Any) -> None:
        """Restrict hard negatives to the words of training answers; refuse regions that other weights have stored."""
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

    def encode_films(self, batch: Mapping[str, Any]) -> EncodedPair:
        """Films, or stored regions, of a batch -> tokens."""
        has_prior = batch["has_prior"].to(self.device)
        views = self.region_views(batch)
        prior, current = self._tokens(views).chunk(2)
        return EncodedPair(current, prior * has_prior.view(-1, 1, 1), has_prior, views[1])

    def fuse_films(self, pair: EncodedPair) -> MaskedTokens:
        """F_diff: (b, 4n, d) tokens of (current, D) and (prior, D) after the co-attention; 2n without D."""
        if self.config.difference:
            difference = (pair.current - pair.prior) * pair.has_prior.view(-1, 1, 1)
            fused = self.pairs(torch.cat([pair.current, pair.prior]), difference.repeat(2, 1, 1))
            streams = [half for stream in fused for half in stream.chunk(2)]
        else:
            streams = list(self.pairs(pair.current, pair.prior))
        streams = [stream + kind for stream, kind in zip(streams, self.streams.weight, strict=True)]
        masks = [torch.ones_like(pair.has_prior), *([pair.has_prior] * (len(streams) - 1))]
        mask = torch.stack(masks, dim=1).repeat_interleave(pair.current.shape[1], dim=1).long()
        return MaskedTokens(torch.cat(streams, dim=1), mask)

    def _words(self, texts: Sequence[str], limit: int) -> Tokens:
        """BOS, which every text begins with, and the words."""
        return encode(self.tokenizer, texts, bos=True, limit=limit + 1, device=self.device)

    def fuse_question(self, films: MaskedTokens, questions: Sequence[str]) -> MaskedTokens:
        """Q: (b, s + 1 + t, d), the slots, BOS and the words of the question after reading F_diff."""
        words = self._words(questions, self.config.question_tokens)
        extra = self.slots.weight if self.slots is not None else None
        tokens = self.text(words, films.tokens, films.mask, extra=extra)
        return MaskedTokens(tokens, torch.cat([words.mask.new_ones(len(words.mask), self.config.slots), words.mask], 1))

    # --- losses ----------------------------------------------------------------------------------------------------

    def forward(self, **batch: Any) -> MethodOutput:
        question = self.fuse_question(self.fuse_films(self.encode_films(batch)), batch["question"])
        return MethodOutput.of(self._terms(question, batch), self.config.weights())

    def _terms(self, question: MaskedTokens, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The terms that have a weight."""
        return self._contrasts(question, batch) | self._answer_terms(question, batch)

    def _contrasts(self, question: MaskedTokens, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Coarse: first token against the mean key word. Fine: every token against every key word."""
        config = self.config
        if not (config.coarse_weight or config.fine_weight):
            return {}
        texts = [key_words(*case) for case in zip(batch["answer"], batch["kind"], strict=True)]
        ids = encode(self.tokenizer, texts, limit=config.answer_tokens, device=self.device)
        words, word_mask, tokens, mask = self.text.embed(ids.ids), ids.mask, question.tokens, question.mask
        first = tokens[:, config.slots]
        if several_processes():
            longest = config.slots + 1 + config.question_tokens
            words, word_mask = (padded_to(side, config.answer_tokens) for side in (words, word_mask))
            tokens, mask = (padded_to(side, longest) for side in (tokens, mask))
            words, word_mask, tokens, mask, first = map(gather_rows, (words, word_mask, tokens, mask, first))
        codes = gather_rows(torch.tensor([text_code(text) for text in texts], device=self.device))
        match, counted = contrastive.matches(codes), word_mask.any(dim=1)
        terms = {}
        if config.coarse_weight:
            mean_words = contrastive.masked_mean(words, word_mask)
            logits = coarse_logits(self.coarse(first), mean_words, self._scale("coarse"))
            terms["coarse"] = contrast_loss(config.contrast, logits, match, counted)
        if config.fine_weight:
            if config.contrast == "published":
                rest = torch.arange(tokens.shape[1], device=tokens.device) != config.slots
                tokens, mask = tokens[:, rest], mask[:, rest]
            logits = fine_logits(config.contrast, tokens, mask, words, word_mask, self._scale("fine"))
            terms["fine"] = contrast_loss(config.contrast, logits, match, counted)
        return terms

    def _scale(self, term: str) -> Tensor | float:
        """The learnt scale of a contrast, at most 100 as in CLIP, or the published one."""
        if self.config.contrast == "published":
            return SCALE
        logarithm: Tensor = getattr(self, f"{term}_scale")
        return logarithm.clamp(max=math.log(100.0)).exp()

    def _answer_terms(self, question: MaskedTokens, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Matching and masked words, read in one pass: answers, hard negatives, answers with hidden words."""
        config, terms = self.config, {}
        if not (config.matching_weight or config.masking_weight):
            return {}
        read = self._read_answers(question, batch, self._step)
        if config.matching_weight:
            total = average_over_processes(read.has_negative.sum().float())
            terms["matching"] = contrastive.answer_matching(
                read.answer_logits, read.negative_logits, read.has_negative, total
            )
        if config.masking_weight:
            words, ids = read.word_logits.unsqueeze(0), read.hidden_ids.unsqueeze(0)
            terms["masking"] = answer_nll(words, ids, torch.ones_like(ids), reduce_mean=average_over_processes)
        return terms

    def _read_answers(self, question: MaskedTokens, batch: Mapping[str, Any], step: int) -> AnswerReading:
        """The text encoder reads answers and hard negatives after their questions and, to be filled, hidden words."""
        count = len(batch["answer"])
        answers = [" ".join(answer.split()) for answer in batch["answer"]]
        choices = [self.hard_negatives(*case) for case in zip(answers, batch["kind"], strict=True)]
        uniforms = case_uniforms(batch["case_id"], step, "near miss", 2)
        negatives = [_drawn_negative(*case) for case in zip(answers, choices, uniforms, strict=True)]
        texts = self._words([*answers, *negatives], self.config.answer_tokens)
        answer = Tokens(texts.ids[:count], texts.mask[:count])
        holed, hidden = self._hide_words(answer, batch["case_id"], step)
        if self.config.masking_weight:
            texts = Tokens(torch.cat([texts.ids, holed]), torch.cat([texts.mask, answer.mask]))
        times = len(texts.ids) // count
        read = self.text(texts, question.tokens.repeat(times, 1, 1), question.mask.repeat(times, 1))
        return AnswerReading(
            answer_logits=self._matching_logits(read[:count, 0]),
            negative_logits=self._matching_logits(read[count : 2 * count, 0]),
            has_negative=torch.tensor([bool(groups) for groups in choices], device=self.device),
            word_logits=self._word_logits(read[2 * count :], hidden),
            hidden_ids=answer.ids[hidden],
            rows=hidden.nonzero()[:, 0],
        )

    def _matching_logits(self, first: Tensor) -> Tensor:
        """First tokens (b, d) -> logits (b, 2) of (does not belong, belongs); meaningless where neither is learnt."""
        return self.belongs(first) if self.config.matching_weight else first[:, :2]

    def _word_logits(self, read: Tensor, hidden: Tensor) -> Tensor:
        """(b, t, d) and (b, t) bool -> logits (h, v) of the hidden words; no rows where masked words are not learnt."""
        if not self.config.masking_weight:
            return read.new_zeros(0, len(self.tokenizer))
        logits: Tensor = self.fill(read[hidden]) @ self.text.words.weight.T + self.fill_bias
        return logits

    def _hide_words(self, answer: Tokens, case_ids: Sequence[str], step: int) -> tuple[Tensor, Tensor]:
        """(b, t) ids with masked words, and which they are. Never BOS or padding.

        Key words are masked with probability .6, an only one always; in an answer without any, every word with .3 and
        at least one. Of those 80% become the mask, 10% another word, 10% stay.
        """
        length = answer.ids.shape[1]
        hide, how, word = (
            torch.from_numpy(case_uniforms(case_ids, step, salt, length)).to(self.device)
            for salt in ("hide", "how", "word")
        )
        words = answer.mask.bool() & (torch.arange(length, device=self.device) > 0)
        key_words = torch.isin(answer.ids, torch.tensor(self._key_ids, device=self.device)) & words
        number = key_words.sum(1, keepdim=True)
        of_key_word = torch.where(number == 1, UNIQUE_KEY_WORDS, MASKED)
        probability = of_key_word * key_words + PLAIN_WORDS * (words & (number == 0))
        wanted = torch.where(number > 0, key_words, words)
        mask_id, size = mask_token(self.tokenizer), len(self.tokenizer)
        return hide_words(answer.ids, probability, wanted, (hide, how, word), mask_id, size)

    # --- validation ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validation_outputs(self, batch: Any) -> list[Any]:
        """Per case: was the answer preferred to a hard negative, and how many masked words were filled right."""
        question = self.fuse_question(self.fuse_films(self.encode_films(batch)), batch["question"])
        read = self._read_answers(question, batch, step=0)
        belongs = [logits.float().softmax(-1)[:, 1] for logits in (read.answer_logits, read.negative_logits)]
        hits = torch.zeros(len(read.has_negative), 2, device=self.device)
        if len(read.word_logits):
            right = read.word_logits.argmax(-1) == read.hidden_ids
            hits.index_add_(0, read.rows, torch.stack([right, torch.ones_like(right)], dim=1).float())
        facts = (read.has_negative, belongs[0] > belongs[1], *hits.long().T)
        return [PairOutputs(*case) for case in zip(*(fact.tolist() for fact in facts), strict=True)]

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        matched = [case.matched for case in outputs if case.has_negative]
        hidden = sum(case.hidden for case in outputs)
        metrics = {}
        if self.config.matching_weight and matched:
            metrics["matching.accuracy"] = float(np.mean(matched))
        if self.config.masking_weight and hidden:
            metrics["masking.accuracy"] = sum(case.filled for case in outputs) / hidden
        return metrics | {"alignment": float(np.mean(list(metrics.values()))) if metrics else 0.0}


def _drawn_negative(answer: str, groups: NegativeGroups, uniforms: np.ndarray) -> str:
    """One hard negative: first what is wrong, then how; the answer itself where there is none."""
    if not groups:
        return answer
    group = groups[int(uniforms[0] * len(groups))]
    return group[int(uniforms[1] * len(group))]
