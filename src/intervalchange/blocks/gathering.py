"""The rows of all training processes as one batch, for losses that set every row against every other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def several_processes() -> bool:
    """Whether there is anything to gather."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class _Gather(torch.autograd.Function):
    """Forward: rows of every process, one after another. Backward: the sum of what every process sends to mine.

    When every process computes the same loss of all rows, and DDP averages the gradients, they are those of one
    process with the joined batch.
    """

    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:
        ctx.rows = len(mine)
        parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, mine.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.rows
        return total[start : start + ctx.rows]


def gather_rows(mine: Tensor) -> Tensor:
    """(b, ...) -> (processes * b, ...), with gradient. Every process must give the same shape. Alone: unchanged."""
    gathered: Tensor = _Gather.apply(mine) if several_processes() else mine  # type: ignore[no-untyped-call]
    return gathered


def padded_to(tokens: Tensor, length: int) -> Tensor:
    """(b, t, ...) -> (b, length, ...) with zeros, so that all processes have one shape. Longer ones are cut."""
    missing = length - tokens.shape[1]
    if missing <= 0:
        return tokens[:, :length]
    return torch.cat([tokens, tokens.new_zeros(len(tokens), missing, *tokens.shape[2:])], dim=1)
