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


def outside_boxes(
    logits: Tensor, boxes: Tensor, counted: Tensor, across: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """Masked binary cross-entropy that wants nothing outside the box of a finding that is there.

    logits: (b, f, g, g) of places. boxes: (b, f, 4) x1, y1, x2, y2 as shares of the side, NaN where not known. counted:
    (b, f) bool: which findings to look at. A cell is outside when its whole square is. Inside, the pooled loss decides.
    """
    grid = logits.shape[-1]
    low = torch.arange(grid, device=logits.device) / grid
    high = low + 1 / grid
    x1, y1, x2, y2 = boxes.unsqueeze(-1).unbind(2)
    inside_x, inside_y = (high > x1) & (low < x2), (high > y1) & (low < y2)
    known = counted & ~torch.isnan(boxes).any(-1)
    outside = ~(inside_y.unsqueeze(-1) & inside_x.unsqueeze(-2)) & known[..., None, None]
    targets = torch.zeros_like(logits, dtype=torch.float32).masked_fill(~outside, float("nan"))
    return masked_bce(logits, targets, across=across)
