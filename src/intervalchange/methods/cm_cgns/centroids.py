"""Clusters of what sentences attend to on films (CM-CGNS)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from intervalchange.losses.clustering import farthest_chain, moved_centroids


class Centroids(nn.Module):
    """`count` unit vectors, filled over the first batches. Buffers: saved, and the same on all processes."""

    table: Tensor
    """(count, d)."""
    filled: Tensor
    """Scalar int64: how many rows of the table are in use."""

    def __init__(self, count: int, width: int, *, start: float, rate: float, how: Literal["mean", "sum"]) -> None:
        """start: the mean cosine of sentences and rows from which centroids start. rate, how: of `moved_centroids`."""
        super().__init__()
        self.start, self.rate, self.how = start, rate, how
        self.register_buffer("table", torch.zeros(count, width))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @property
    def complete(self) -> bool:
        return int(self.filled) == len(self.table)

    @torch.no_grad()
    def update(self, rows: Tensor, similarity: Tensor) -> None:
        """Move with the rows (n, d) of a step, or grow. similarity: (n, n) cosines of sentences and rows."""
        if self.complete:
            self.table.copy_(moved_centroids(self.table, rows, self.rate, self.how))
        elif float(similarity.mean()) <= self.start:
            filled = int(self.filled)
            chain = farthest_chain(rows, len(self.table) - filled, self.table[filled - 1] if filled else None)
            self.table[filled : filled + len(chain)] = chain
            self.filled.fill_(filled + len(chain))
