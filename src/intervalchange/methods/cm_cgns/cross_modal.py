"""What films and reports read of each other, batched: places of a film and sentences of its report.

b pairs, n places, s sentences, d width.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["sigmoid", "softmax"]


class CrossModalAttention(nn.Module):
    """One head in either direction, six linear layers (CM-CGNS).

    `sigmoid`: each weight by itself, so that sums grow with what there is to read. `softmax`: those of a row sum to 1.
    Only the directions asked for are built: `sentences` read places, `places` read sentences.
    """

    def __init__(self, width: int, activation: Activation, *, sentences: bool = True, places: bool = True) -> None:
        super().__init__()
        self.activation = activation
        self.scale = 1 / math.sqrt(width)
        if sentences:
            self.sentence_query, self.place_key, self.place_value = (nn.Linear(width, width) for _ in range(3))
        if places:
            self.place_query, self.sentence_key, self.sentence_value = (nn.Linear(width, width) for _ in range(3))

    def sentences_read(self, sentences: Tensor, places: Tensor) -> Tensor:
        """(b, s, d), (b, n, d) -> (b, s, d): what each sentence finds on the film."""
        return self._read(self.sentence_query(sentences), self.place_key(places), self.place_value(places), None)

    def places_read(self, places: Tensor, sentences: Tensor, mask: Tensor) -> Tensor:
        """(b, n, d), (b, s, d), (b, s) -> (b, n, d): what the report says at each place, masked sentences left out."""
        return self._read(self.place_query(places), self.sentence_key(sentences), self.sentence_value(sentences), mask)

    def _read(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        scores = query @ key.transpose(1, 2) * self.scale
        if self.activation == "sigmoid":
            weights = torch.sigmoid(scores)
        else:
            weights = torch.softmax(scores if mask is None else scores.masked_fill(mask[:, None] == 0, -1e4), dim=-1)
        if mask is not None:
            weights = weights * (mask[:, None] > 0)
        return weights @ value


class AttentionPool(nn.Module):
    """Several vectors -> one: their mean asks them and itself (the pool of CLIP's ResNets)."""

    def __init__(self, width: int, heads: int, places: int = 0) -> None:
        """places: how many vectors there are, for learned positions; 0 for none."""
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.positions = nn.Parameter(torch.empty(places + 1, width)) if places else None
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
        unread = torch.cat([weight.new_zeros(len(weight), 1), 1 - weight], dim=1).bool()
        pooled, _ = self.attention(tokens[:, :1], tokens, tokens, key_padding_mask=unread, need_weights=False)
        return pooled[:, 0]
