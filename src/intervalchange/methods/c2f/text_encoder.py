"""A bidirectional text encoder that can also read films (BERT's layers with a cross-attention in each).

One set of weights encodes text alone (names of nodes), a question after reading two films, and an answer after
reading a question.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intervalchange.blocks.tokenizer import Tokens


class GroundedLayer(nn.Module):
    """Self-attention, cross-attention where there is a memory, feed-forward; each with a residual and a norm after."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.inside = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.across = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward), nn.GELU(), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, text: Tensor, padding: Tensor, memory: Tensor | None, unread: Tensor | None) -> Tensor:
        """text: (b, t, d); padding: (b, t) bool, True is not read; memory: (b, n, d) with unread (b, n) bool."""
        read, _ = self.inside(text, text, text, key_padding_mask=padding, need_weights=False)
        text = self.norms[0](text + self.dropout(read))
        if memory is not None:
            read, _ = self.across(text, memory, memory, key_padding_mask=unread, need_weights=False)
            text = self.norms[1](text + self.dropout(read))
        text = self.norms[2](text + self.dropout(self.feedforward(text)))
        return text


class GroundedTextEncoder(nn.Module):
    """Words and learned positions, normalised, then `layers` grounded layers."""

    def __init__(
        self, vocabulary: int, width: int, *, layers: int, heads: int, feedforward: int, positions: int, dropout: float
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(GroundedLayer(width, heads, feedforward, dropout) for _ in range(layers))

    def embed(self, ids: Tensor) -> Tensor:
        """(b, t) -> (b, t, d): the words before any layer."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        embedded: Tensor = self.dropout(self.norm(self.words(ids) + self.positions(positions)))
        return embedded

    def forward(
        self, text: Tokens, memory: Tensor | None = None, memory_mask: Tensor | None = None, extra: Tensor | None = None
    ) -> Tensor:
        """(b, t, d), or (b, s + t, d) with `extra` (s, d) learned vectors that stand before the words of every row.

        memory: (b, n, d) to attend to; memory_mask: (b, n), 1 where it counts. Each row needs at least one word.
        """
        hidden, mask = self.embed(text.ids), text.mask
        if extra is not None:
            hidden = torch.cat([extra.to(hidden.dtype).expand(len(hidden), -1, -1), hidden], dim=1)
            mask = torch.cat([mask.new_ones(len(mask), len(extra)), mask], dim=1)
        unread = None if memory_mask is None else memory_mask == 0
        for layer in self.layers:
            hidden = layer(hidden, mask == 0, memory, unread)
        return hidden
