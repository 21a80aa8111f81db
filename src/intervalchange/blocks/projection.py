"""From a feature map to a few tokens: learned queries read it through a small transformer decoder."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor, nn

from intervalchange.blocks.encoders import sincos_2d


class QueryProjection(nn.Module):
    """ReAl's projection, "a transformer decoder and fully connected layers" (MICCAI 2024).

    A feature map (b, c, h, w) is widened to (b, n, d) by a linear layer plus fixed 2-D positions; `queries` learned
    vectors attend to it through `layers` decoder layers; a linear layer gives (b, queries, out_width).
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        out_width: int,
        *,
        queries: int,
        layers: int,
        heads: int,
        feedforward: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(in_width, width)
        self.queries = nn.Parameter(torch.empty(queries, width))
        layer = nn.TransformerDecoderLayer(width, heads, feedforward, dropout, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(width))
        self.leave = nn.Linear(width, out_width)
        nn.init.normal_(self.queries, std=0.02)

    def draw_weights(self, init: ModuleType) -> None:
        """See `Method._init_weights`."""
        init.normal_(self.queries, std=0.02)

    def forward(self, features: Tensor) -> Tensor:
        batch, _, rows, columns = features.shape
        memory = self.enter(features.flatten(2).transpose(1, 2))
        memory = memory + sincos_2d(memory.shape[-1], rows, columns, like=memory)
        queries = self.queries.expand(batch, -1, -1)
        return self.leave(self.decoder(queries, memory))
