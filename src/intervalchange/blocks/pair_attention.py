"""MCCFormers: two streams of tokens attend to each other, or to everything (Qiu et al., ICCV 2021, D and S).

Both take two streams (b, n, d) of corresponding tokens, for example a prior and a current film or a film and a
difference, and give two streams of the same shape. What is done with the two afterwards (side by side along the
channels, as published, or along the tokens, as in C2F) is the caller's.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

Pairing = Literal["D", "S"]


class CoAttentionLayer(nn.Module):
    """Each stream attends to the other with one set of weights; both read the values from before the layer.

    Post-norm: attention, residual and norm; feed-forward (ReLU), residual and norm. There is no attention inside a
    stream. Exchanging the streams exchanges the results.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, streams: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(2b, n, d): first the b of one stream, then the b of the other. hidden: (2b, n) bool, True is not read."""
        others = streams.roll(len(streams) // 2, dims=0)
        unread = None if hidden is None else hidden.roll(len(hidden) // 2, dims=0)
        read, _ = self.attention(streams, others, others, key_padding_mask=unread, need_weights=False)
        streams = self.norm(streams + self.dropout(read))
        fused: Tensor = self.feedforward_norm(streams + self.dropout(self.feedforward(streams)))
        return fused


class PairAttention(nn.Module):
    """MCCFormers-D (`D`: each stream reads the other) or -S (`S`: self-attention over both, end to end).

    Both streams pass one linear layer and get learned positions: in D the same for both; in S, `segments` decides: one
    table for both and an embedding per stream (C2F), or a table of 2n and no segments (as published).
    """

    def __init__(
        self,
        kind: Pairing,
        tokens: int,
        width_in: int,
        width: int,
        *,
        layers: int = 2,
        heads: int = 4,
        feedforward: int = 2048,
        dropout: float = 0.1,
        segments: bool = False,
        position_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.kind, self.position_std = kind, position_std
        self.enter = nn.Linear(width_in, width)
        positions = 2 * tokens if kind == "S" and not segments else tokens
        self.positions = nn.Parameter(torch.empty(positions, width))
        self.segments = nn.Parameter(torch.empty(2, 1, 1, width)) if kind == "S" and segments else None
        if kind == "D":
            self.layers = nn.ModuleList(CoAttentionLayer(width, heads, feedforward, dropout) for _ in range(layers))
        else:
            layer = nn.TransformerEncoderLayer(width, heads, feedforward, dropout, batch_first=True)
            self.layers = nn.ModuleList([nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)])

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`. The published positions are drawn from N(0, 1)."""
        init.normal_(self.positions, std=self.position_std)
        if self.segments is not None:
            init.normal_(self.segments, std=self.position_std)

    def forward(self, first: Tensor, second: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(b, n, width_in) twice -> (b, n, width) twice. hidden: (2, b, n) bool, True for tokens that are not read.

        A row of `hidden` must leave at least one token to be read.
        """
        streams = self.enter(torch.stack([first, second]))
        if len(self.positions) == streams.shape[2]:
            streams = streams + self.positions
        else:
            streams = streams + self.positions.unflatten(0, (2, 1, -1))
        if self.kind == "D":
            joined = streams.flatten(0, 1)
            unread = None if hidden is None else hidden.flatten(0, 1)
            for layer in self.layers:
                joined = layer(joined, unread)
            first, second = joined.chunk(2)
            return first, second
        if self.segments is not None:
            streams = streams + self.segments
        unread = None if hidden is None else torch.cat([hidden[0], hidden[1]], dim=1)
        both = self.layers[0](torch.cat([streams[0], streams[1]], dim=1), src_key_padding_mask=unread)
        first, second = both.chunk(2, dim=1)
        return first, second
