"""The space in which films and reports meet: attention between patches and sentences, pooling, unit vectors.

b pairs, n patches of a film, s sentences of its report, d width.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.projection import BatchNorm

Activation = Literal["sigmoid", "softmax"]


class CrossModalAttention(nn.Module):
    """One head in either direction, six linear layers (CM-CGNS).

    `sigmoid`: each weight on its own, so that sums grow with the number of keys. `softmax`: those of a row sum to 1.
    Only the directions that are used are built: queries of `sentences`, queries of `patches`.
    """

    def __init__(self, width: int, activation: Activation, *, sentences: bool = True, patches: bool = True) -> None:
        super().__init__()
        self.activation = activation
        self.scale = 1 / math.sqrt(width)
        if sentences:
            self.sentence_query, self.patch_key, self.patch_value = (nn.Linear(width, width) for _ in range(3))
        if patches:
            self.patch_query, self.sentence_key, self.sentence_value = (nn.Linear(width, width) for _ in range(3))

    def attend_to_patches(self, sentences: Tensor, patches: Tensor) -> Tensor:
        """(b, s, d), (b, n, d) -> (b, s, d): the film as each sentence attends to it."""
        return self._attend(self.sentence_query(sentences), self.patch_key(patches), self.patch_value(patches), None)

    def attend_to_sentences(self, patches: Tensor, sentences: Tensor, mask: Tensor) -> Tensor:
        """(b, n, d), (b, s, d), (b, s) -> (b, n, d): the report as each patch attends to it; 0 in the mask leaves a
        sentence out."""
        query, key, value = self.patch_query(patches), self.sentence_key(sentences), self.sentence_value(sentences)
        return self._attend(query, key, value, mask)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        scores = query @ key.transpose(1, 2) * self.scale
        if self.activation == "sigmoid":
            weights = torch.sigmoid(scores)
        else:
            weights = torch.softmax(scores if mask is None else scores.masked_fill(mask[:, None] == 0, -1e4), dim=-1)
        if mask is not None:
            weights = weights * (mask[:, None] > 0)
        return weights @ value


class AttentionPool(nn.Module):
    """Several vectors -> one: their mean attends to them and to itself (the pool of CLIP's ResNets)."""

    def __init__(self, width: int, heads: int, count: int = 0) -> None:
        """count: how many vectors there are, for learned positions; 0 for no positions."""
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.positions = nn.Parameter(torch.empty(count + 1, width)) if count else None
        if self.positions is not None:
            nn.init.normal_(self.positions, std=width**-0.5)

    def draw_weights(self, init: ModuleType) -> None:
        """See `Method._init_weights`."""
        if self.positions is not None:
            init.normal_(self.positions, std=self.positions.shape[1] ** -0.5)

    def forward(self, vectors: Tensor, mask: Tensor | None = None) -> Tensor:
        """(b, n, d), (b, n) 1 where a vector counts -> (b, d)."""
        weight = vectors.new_ones(vectors.shape[:2]) if mask is None else mask.to(vectors.dtype)
        mean = (vectors * weight[..., None]).sum(1, keepdim=True) / weight.sum(1).clamp(min=1)[:, None, None]
        tokens = torch.cat([mean, vectors], dim=1)
        if self.positions is not None:
            tokens = tokens + self.positions
        left_out = torch.cat([weight.new_zeros(len(weight), 1), 1 - weight], dim=1).bool()
        pooled, _ = self.attention(tokens[:, :1], tokens, tokens, key_padding_mask=left_out, need_weights=False)
        vector: Tensor = pooled[:, 0]
        return vector


class UnitVectors(nn.Module):
    """Rows of length 1, standardised over the batch of all processes first where `standardise` asks for it."""

    def __init__(self, width: int, standardise: bool) -> None:
        super().__init__()
        self.norm = BatchNorm(width) if standardise else None

    def forward(self, values: Tensor, counted: Tensor | None = None) -> Tensor:
        """(..., d), (...) which rows count for the statistics, None for all -> (..., d)."""
        return F.normalize(values if self.norm is None else self.norm(values, counted), dim=-1)
