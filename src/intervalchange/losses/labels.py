"""Losses on labels that are partly unknown: NaN means unknown and never counts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from intervalchange.losses.language import identity


def masked_bce(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None = None,
    reduce_mean: Callable[[Tensor], Tensor] = identity,
) -> Tensor:
    """Mean binary cross-entropy over the known entries.

    logits, targets: one shape, e.g. (b, f); targets in [0, 1], NaN where unknown. `weight` broadcasts to them: how
    much each entry counts; `reduce_mean` averages the sum of weights over processes. Nothing known gives 0.
    """
    known = ~torch.isnan(targets)
    losses = F.binary_cross_entropy_with_logits(logits.float(), torch.nan_to_num(targets).float(), reduction="none")
    counts = known.to(losses.dtype) if weight is None else known * weight.to(losses.dtype)
    return (losses * counts).sum() / reduce_mean(counts.sum()).clamp(min=torch.finfo(losses.dtype).tiny)


def cumulative_ordinal(
    scores: Tensor,
    cuts: Tensor,
    ranks: Tensor,
    values: Tensor,
    reduce_mean: Callable[[Tensor], Tensor] = identity,
) -> Tensor:
    """Proportional-odds loss for graded findings (McCullagh 1980), as a binary question at each cut.

    scores: (b, f) severity. cuts: (k,) or (f, k), increasing thresholds on the scale of `scores`. ranks: (b, f) target
    severity on the scale of `values`, NaN where unknown. values: (k,) increasing: cut j asks "is the rank > values[j]?"
    with logit scores - cuts[j]. Mean over known findings and cuts.
    """
    logits = scores.unsqueeze(-1) - cuts
    above = (ranks.unsqueeze(-1) > values).to(logits.dtype)
    targets = above.masked_fill(torch.isnan(ranks).unsqueeze(-1), float("nan"))
    return masked_bce(logits, targets, reduce_mean=reduce_mean)
