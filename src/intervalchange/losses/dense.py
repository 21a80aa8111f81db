"""Losses on dense maps that are partly unknown: NaN means unknown and never counts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from intervalchange.losses.labels import masked_bce
from intervalchange.losses.language import identity


def soft_dice(
    logits: Tensor, targets: Tensor, smooth: float = 1.0, reduce_mean: Callable[[Tensor], Tensor] = identity
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
    return (cost * counts).sum() / reduce_mean(counts.sum()).clamp(min=1)


def focal_and_batch_dice(
    logits: Tensor,
    targets: Tensor,
    *,
    weight: float = 10.0,
    gamma: float = 2.0,
    smooth: float = 1.0,
    gather: Callable[[Tensor], Tensor] = identity,
) -> Tensor:
    """The segmentation loss of GLoRIA, MGCA and CM-CGNS: `weight` times the focal loss (Lin et al., ICCV 2017, without
    its alpha) minus the logarithm of the soft Dice coefficient of all pixels of the batch at once. Nothing known
    gives 0.

    logits, targets: (b, c, h, w); targets in [0, 1], NaN where unknown. gather: (1, 5) sums of this process -> (p, 5)
    of all, with gradient, for the Dice of a batch that is shared out over processes.
    """
    known = (~torch.isnan(targets)).to(torch.float32)
    target, logits = torch.nan_to_num(targets).float(), logits.float()
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    focal = (1 - torch.exp(-losses)) ** gamma * losses
    prediction = torch.sigmoid(logits) * known
    parts = (focal * known, known, prediction * target, prediction, target * known)
    sums = gather(torch.stack([part.sum() for part in parts])[None]).sum(0)
    dice = (2 * sums[2] + smooth) / (sums[3] + sums[4] + smooth)
    return weight * sums[0] / sums[1].clamp(min=1) - dice.log()


def opacity(
    logits: Tensor, targets: Tensor, dice: float = 1.0, reduce_mean: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """Masked binary cross-entropy plus `dice` times the soft Dice loss of (b, c, h, w) opacity maps."""
    loss = masked_bce(logits, targets, reduce_mean=reduce_mean)
    return loss + dice * soft_dice(logits, targets, reduce_mean=reduce_mean) if dice else loss


def inside_and_outside(
    logits: Tensor, locations: Tensor, counted: Tensor, reduce_mean: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """Binary cross-entropy of a map: high where its finding is, low where it is not, both halves weighing the same.

    logits: (b, f, g, g). locations: (b, f, k, k), 1 where the finding is, 0 where it is not, NaN where unknown (inside
    a box without a mask, where the pooled loss decides). counted: (b, f) bool: which maps count. A cell of g that
    holds any 1 is inside, one that holds only 0 is outside. The mean over the inside of a map and the mean over its
    outside weigh the same, however small the lesion; nothing known gives 0.
    """
    size = (logits.shape[-2], logits.shape[-1])
    inside = F.adaptive_max_pool2d((locations == 1).to(logits.dtype), size)
    outside = 1 - F.adaptive_max_pool2d((locations != 0).to(logits.dtype), size)
    halves = [half / half.sum(dim=(-2, -1), keepdim=True).clamp(min=1) for half in (inside, outside)]
    weight = (halves[0] + halves[1]).float() * counted[..., None, None]
    return masked_bce(logits, inside, weight=weight, reduce_mean=reduce_mean)
