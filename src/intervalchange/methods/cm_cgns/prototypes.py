"""Prototypes of what films and reports are about (MGCA's disease-level alignment)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Prototypes(nn.Module):
    """`count` vectors of length 1. In training each step first brings them back to it, without a gradient."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width))
        nn.init.normal_(self.weight)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`. Their direction is what counts."""
        init.normal_(self.weight)

    @torch.no_grad()
    def to_unit_length(self) -> None:
        """Every prototype to length 1, in place."""
        self.weight.copy_(F.normalize(self.weight, dim=1))

    def forward(self, rows: Tensor, trained: bool = True) -> Tensor:
        """(b, d) of length 1 -> (b, count): their cosines. trained: False gives the prototypes a gradient of 0."""
        weight = self.weight if self.training else F.normalize(self.weight, dim=1)
        if not trained:
            weight = weight.detach() + 0 * weight  # Still in the graph: DDP waits for every parameter.
        return rows @ weight.T
