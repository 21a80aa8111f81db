"""Language loss: the negative log-likelihood of an answer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def identity(count: Tensor) -> Tensor:
    """The count of one process alone; the other choice is `blocks.processes.average_over_processes`."""
    return count


def answer_nll(
    logits: Tensor,
    targets: Tensor,
    mask: Tensor,
    reduce_mean: Callable[[Tensor], Tensor] = identity,
    smoothing: float = 0.0,
) -> Tensor:
    """Mean negative log-likelihood of the answer tokens of a batch.

    logits: (b, t, v), the prediction *of* targets[:, t] (already shifted). targets: (b, t) token ids.
    mask: (b, t), 1 where a token counts. Every token weighs the same, whichever answer it is in, as in the usual
    captioning loss (Vaswani et al. 2017; ReAl's L_gen). No token at all gives 0. `reduce_mean` averages the count of
    tokens over processes. `smoothing` of the target's probability is spread over the whole vocabulary.
    """
    losses = F.cross_entropy(logits.float().transpose(1, 2), targets, reduction="none", label_smoothing=smoothing)
    mask = mask.to(losses.dtype)
    return (losses * mask).sum() / reduce_mean(mask.sum()).clamp(min=1)


def sequence_log_probability(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Log-probability of each answer: (b,). Arguments as in `answer_nll`."""
    chosen = torch.log_softmax(logits.float(), dim=-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return (chosen * mask).sum(dim=1)
