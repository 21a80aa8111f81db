"""From an encoder to the common space: the projections of CM-CGNS and its relatives."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.projection import BatchNorm

HeadKind = Literal["linear", "mlp", "mlp_norm", "none"]


class NormedHead(nn.Module):
    """Linear, batch normalisation, ReLU, linear, batch normalisation without a gain (MGCA).

    Differs: normalised over the rows of all processes, and over words alone, not padding (published: over each
    process, padding included).
    """

    def __init__(self, in_width: int, hidden: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(in_width, hidden)
        self.norm, self.last_norm = BatchNorm(hidden), BatchNorm(width)
        self.gain, self.bias = nn.Parameter(torch.ones(hidden)), nn.Parameter(torch.zeros(hidden))
        self.leave = nn.Linear(hidden, width)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        init.ones_(self.gain)
        init.zeros_(self.bias)

    def forward(self, values: Tensor, counted: Tensor | None = None) -> Tensor:
        """(..., c), (...) which rows count for the statistics -> (..., width)."""
        hidden = F.relu(self.norm(self.enter(values), counted) * self.gain + self.bias)
        projected: Tensor = self.last_norm(self.leave(hidden), counted)
        return projected


def head(kind: HeadKind, in_width: int, width: int, hidden: int = 0) -> nn.Module:
    """The projection of one part. hidden: 0 for the width of the input."""
    if kind == "none":
        return nn.Identity()
    if kind == "linear":
        return nn.Linear(in_width, width)
    if kind == "mlp_norm":
        return NormedHead(in_width, hidden or in_width, width)
    return nn.Sequential(nn.Linear(in_width, hidden or in_width), nn.ReLU(), nn.Linear(hidden or in_width, width))


def projected(module: nn.Module, values: Tensor, counted: Tensor | None = None) -> Tensor:
    """(..., c) -> (..., width); `counted` is of use to normalised heads alone."""
    result: Tensor = module(values, counted) if isinstance(module, NormedHead) else module(values)
    return result
