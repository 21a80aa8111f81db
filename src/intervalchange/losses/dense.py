"""Losses on dense maps that are partly unknown: NaN means unknown and never counts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from intervalchange.losses.labels import masked_bce
from intervalchange.losses.language import identity


def soft_dice(
    logits: Tensor, targets: Tensor, smooth: float = 1.0, across: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """1 - soft Dice (Milletari et al. 2016), a mean over the maps that have a known pixel.

    logits, targets: (b, c, h, w); targets in [0, 1], NaN where unknown. `smooth` is added above and below, so an empty
    map that is predicted empty costs 0. Symmetric in prediction and target. Nothing known gives 0.
    """
    known = (~torch.isnan(targets)).to(logits.dtype)
    prediction = torch.sigmoid(logits.float()) * known
    target = torch.nan_to_num(targets).float() * known
    overlap = (prediction * target).flatten(2).sum(-1)
    total = prediction.flatten(2).sum(-1) + target.flatten(2).sum(-1)
    cost = 1 - (2 * overlap + smooth) / (total + smooth)
    counts = (known.flatten(2).sum(-1) > 0).to(cost.dtype)
    return (cost * counts).sum() / across(counts.sum()).clamp(min=1)


def opacity(
    logits: Tensor, targets: Tensor, dice: float = 1.0, across: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """Masked binary cross-entropy plus `dice` times the soft Dice loss of (b, c, h, w) opacity maps."""
    loss = masked_bce(logits, targets, across=across)
    return loss + dice * soft_dice(logits, targets, across=across) if dice else loss
