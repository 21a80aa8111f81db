"""What several training processes must agree on. With one process every function is the identity."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist


@torch.no_grad()
def average_over_processes(count: Tensor) -> Tensor:
    """The mean of a number over the processes.

    Passed to losses as `reduce_mean`: a loss divided by the mean count, and gradients averaged as DDP does, are those
    of the joined batch.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return count
    total = count.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
