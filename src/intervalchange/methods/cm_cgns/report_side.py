"""The report side of CM-CGNS: a BERT whose words, sentences and one vector per report lie in the common space.

b reports, t tokens, s sentences, d width of the space.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from intervalchange.losses.contrastive import masked_mean
from intervalchange.methods.cm_cgns.cross_modal import AttentionPool, UnitVectors
from intervalchange.methods.cm_cgns.report_tokens import ReportTokens, sentence_means


@dataclass(frozen=True)
class ReportEncoding:
    """Reports in the common space."""

    tokens: ReportTokens
    words: Tensor
    """(b, t, d), each of length 1."""
    sentences: Tensor
    """(b, s, d): means of their words."""
    vector: Tensor
    """(b, d) of length 1."""

    @property
    def is_word(self) -> Tensor:
        """(b, t) int64: 1 for a word, 0 for start and end tokens and padding."""
        return (self.tokens.sentence >= 0).long()

    @property
    def has_text(self) -> Tensor:
        """(b) bool: reports with any sentence."""
        return self.tokens.sentence_mask.any(dim=1)


class ReportEncoder(nn.Module):
    """Tokens -> words, sentences and vector."""

    def __init__(self, shape: BertConfig, width: int, *, standardise: bool, pool_heads: int) -> None:
        """pool_heads: of the attention that makes one vector of the sentences; 0 for their mean."""
        super().__init__()
        self.network = BertModel(shape, add_pooling_layer=False)
        self.projection = nn.Linear(shape.hidden_size, width)
        self.pool = AttentionPool(width, pool_heads) if pool_heads else None
        self.unit_words, self.unit_vector = (UnitVectors(width, standardise) for _ in range(2))

    def forward(self, tokens: ReportTokens) -> ReportEncoding:
        positions = torch.arange(tokens.ids.shape[1], device=tokens.ids.device).expand_as(tokens.ids)
        hidden = self.network(
            input_ids=tokens.ids,
            attention_mask=tokens.mask,
            token_type_ids=torch.zeros_like(tokens.ids),
            position_ids=positions,
        ).last_hidden_state
        words = self.unit_words(self.projection(hidden), tokens.sentence >= 0)
        mask = tokens.sentence_mask
        sentences = sentence_means(words, tokens.sentence, mask.shape[1])
        vector = masked_mean(sentences, mask) if self.pool is None else self.pool(sentences, mask)
        return ReportEncoding(tokens, words, sentences, self.unit_vector(vector, mask.any(dim=1)))
