"""Alignment losses between features of two films and of their difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from intervalchange.losses.language import identity

Reduction = Literal["mean", "sum"]


def residual_alignment(
    prior: Tensor,
    current: Tensor,
    residual: Tensor,
    *,
    sign: int = 1,
    reduction: Reduction = "mean",
    detach: bool = False,
    weight: Tensor | None = None,
    reduce_mean: Callable[[Tensor], Tensor] = identity,
) -> Tensor:
    """ReAl's L_con (MICCAI 2024): squared distance between the residual's features and the features' difference.

    prior, current, residual: features of one shape (b, ...). With sign=1, || (current - prior) - residual ||^2;
    sign=-1 is the printed form, || (prior - current) - residual ||^2. `reduction`: `mean` over the elements of a case,
    or the literal `sum`; both average over cases. `detach` stops the gradient into current - prior, so that the two
    image features cannot collapse to meet the residual. `weight`: (b,), 0 for cases that have no prior. `reduce_mean`
    averages the sum of weights over processes.
    """
    difference = sign * (current - prior)
    if detach:
        difference = difference.detach()
    error = (difference - residual).float().square().flatten(1)
    per_case = error.mean(dim=1) if reduction == "mean" else error.sum(dim=1)
    if weight is None:
        return per_case.mean()
    weight = weight.to(per_case.dtype)
    return (per_case * weight).sum() / reduce_mean(weight.sum()).clamp(min=1)
