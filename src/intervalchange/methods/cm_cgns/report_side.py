"""The report side of CM-CGNS: a BERT whose words, sentences and one vector per report lie in the common space.

b reports, t tokens (or words, with `merge_pieces`), s sentences, d width of the space.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from intervalchange.losses.contrastive import masked_mean
from intervalchange.methods.cm_cgns.cross_modal import AttentionPool, UnitVectors
from intervalchange.methods.cm_cgns.heads import head, projected
from intervalchange.methods.cm_cgns.options import OF_SENTENCES, CmCgnsConfig
from intervalchange.methods.cm_cgns.report_tokens import ReportTokens, merged_pieces, sentence_means


@dataclass(frozen=True)
class ReportEncoding:
    """Reports in the common space."""

    tokens: ReportTokens
    words: Tensor
    """(b, t, d), each of length 1 but with `unit_parts` off."""
    is_word: Tensor
    """(b, t) int64: 1 for a word, 0 for padding and, but for `marks`, start and end tokens."""
    sentences: Tensor
    """(b, s, d): means of their words."""
    vector: Tensor
    """(b, d) of length 1."""
    attention: Tensor | None = None
    """(b, t): how much the start token attends to each in the last layer, where a term needs it."""

    @property
    def has_text(self) -> Tensor:
        """(b) bool: reports with any sentence."""
        return self.tokens.sentence_mask.any(dim=1)


@dataclass(frozen=True)
class _States:
    """What the text encoder says of the tokens of a batch, or of their words."""

    hidden: Tensor
    """(b, t, c)."""
    sentence: Tensor
    """(b, t), -1 for padding, start and end tokens."""
    mask: Tensor
    """(b, t) bool: no padding."""
    attention: Tensor | None
    """(b, t)."""


class ReportEncoder(nn.Module):
    """Tokens -> words, sentences and vector."""

    def __init__(self, shape: BertConfig, config: CmCgnsConfig) -> None:
        super().__init__()
        self.config = config
        weighted = config.token_form == "weighted" and bool(config.token_weight)
        if weighted:
            shape._attn_implementation = "eager"  # The fused kernels return no attention.
        self.returned = {"output_hidden_states": config.layers_summed > 1, "output_attentions": weighted}
        self.network = BertModel(shape, add_pooling_layer=False)
        for layer in self.network.encoder.layer[: config.text_frozen_layers]:
            layer.requires_grad_(False)
        width, hidden, standardise = config.width, config.projection_width, config.standardise
        of_sentences, has_vector = config.text_pool in OF_SENTENCES, bool(config.weights().keys() & VECTOR_TERMS)
        needs_words = of_sentences or bool(config.weights().keys() - VECTOR_TERMS)
        self.projection = head(config.word_projection, shape.hidden_size, width, hidden) if needs_words else None
        attends = has_vector and config.text_pool == "attention"
        self.pool = AttentionPool(width, config.pool_heads) if attends else None
        self.vector_projection: nn.Module | None = None
        if has_vector and not of_sentences:
            self.vector_projection = head(config.text_projection, shape.hidden_size, width, hidden)
        plain = config.word_projection != "mlp_norm" and config.unit_parts
        self.unit_words = UnitVectors(width, standardise and plain)
        self.unit_vector = UnitVectors(width, standardise and config.text_projection != "mlp_norm")

    def forward(self, tokens: ReportTokens) -> ReportEncoding:
        states, mask = self._states(tokens), tokens.sentence_mask
        is_word = states.sentence >= 0
        if self.config.marks != "none":
            is_word = is_word | _mark(self.config.marks, states.mask)
        counted = mask.any(dim=1)
        if self.projection is None:
            words = states.hidden
        else:
            words = projected(self.projection, states.hidden, is_word)
            words = self.unit_words(words, is_word) if self.config.unit_parts else words
        sentences = sentence_means(words, states.sentence, mask.shape[1])
        vector = self._vector(states, sentences, mask)
        return ReportEncoding(
            tokens, words, is_word.long(), sentences, self.unit_vector(vector, counted), states.attention
        )

    def _states(self, tokens: ReportTokens) -> _States:
        positions = torch.arange(tokens.ids.shape[1], device=tokens.ids.device).expand_as(tokens.ids)
        output = self.network(
            input_ids=tokens.ids,
            attention_mask=tokens.mask,
            token_type_ids=torch.zeros_like(tokens.ids),
            position_ids=positions,
            **{name: True for name, wanted in self.returned.items() if wanted},
        )
        count = self.config.layers_summed
        hidden = output.last_hidden_state if count == 1 else torch.stack(output.hidden_states[-count:]).sum(0)
        attention = output.attentions[-1][:, :, 0].mean(1).detach() if self.returned["output_attentions"] else None
        states = _States(hidden, tokens.sentence, tokens.mask > 0, attention)
        states = merged(states, tokens.word) if self.config.merge_pieces else states
        return states if attention is None else filled_up(states, self.config.tokens)

    def _vector(self, states: _States, sentences: Tensor, mask: Tensor) -> Tensor:
        """(b, d), before it is brought to length 1."""
        if self.vector_projection is not None:
            start = self.config.text_pool == "start"
            pooled = states.hidden[:, 0] if start else masked_mean(states.hidden, states.mask)
            return projected(self.vector_projection, pooled, mask.any(dim=1))
        return masked_mean(sentences, mask) if self.pool is None else self.pool(sentences, mask)


VECTOR_TERMS = frozenset({"global", "prototype"})
"""Terms that compare one vector per film with one per report; all others compare parts."""


def merged(states: _States, word: Tensor) -> _States:
    """The states of tokens -> of words, with the sum of a word's pieces. word: (b, t)."""
    hidden = merged_pieces(states.hidden, word)
    attention = None if states.attention is None else merged_pieces(states.attention, word)
    count = torch.arange(hidden.shape[1], device=word.device)
    # The pieces of a word are of one sentence: its number, or -1 of start and end tokens.
    sentence = word.new_full(hidden.shape[:2], -1).scatter_reduce(1, word.clamp(min=0), states.sentence, "amax")
    return _States(hidden, sentence, count <= word.amax(1, keepdim=True), attention)


def filled_up(states: _States, length: int) -> _States:
    """Padded to a fixed length with states of 0, as MGCA has it: padding is among the candidates of its term of words,
    which must not depend on how long the other texts of a batch are."""
    hidden = states.hidden * states.mask[..., None]
    missing = max(0, length - hidden.shape[1])
    attention = None if states.attention is None else F.pad(states.attention, (0, missing))
    sentence, mask = F.pad(states.sentence, (0, missing), value=-1), F.pad(states.mask, (0, missing))
    return _States(F.pad(hidden, (0, 0, 0, missing)), sentence, mask, attention)


def _mark(marks: str, mask: Tensor) -> Tensor:
    """(b, t) bool: the start token, or the end token, of each text."""
    position = torch.arange(mask.shape[1], device=mask.device)
    wanted = torch.zeros_like(mask[:, :1].long()) if marks == "start" else mask.sum(1, keepdim=True) - 1
    return position == wanted
