"""Losses of a detector that has one query for each region, and of the findings in the regions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from intervalchange.losses.detection import generalised_iou
from intervalchange.losses.labels import masked_bce
from intervalchange.losses.language import identity


def region_boxes(
    boxes: Tensor, targets: Tensor, exists: Tensor, reduce_mean: Callable[[Tensor], Tensor] = identity
) -> tuple[Tensor, Tensor]:
    """L1 and 1 - generalised IoU of (b, r, 4) boxes, each a mean over the regions that exist.

    targets: (b, r, 4), anything where `exists` (b, r) is False. No matching: query i is region i.
    """
    count = reduce_mean(exists.sum().to(boxes.dtype)).clamp(min=1)
    distance = (boxes - targets).abs().mean(-1)
    overlap = 1 - generalised_iou(boxes, targets)
    return (distance * exists).sum() / count, (overlap * exists).sum() / count


def findings_in_regions(boxes: Tensor, exists: Tensor, locations: Tensor, findings: Tensor, least: float) -> Tensor:
    """Which finding is in which region: (b, r, f) 1, 0, NaN unknown, from where the findings of a film are.

    boxes: (b, r, 4) in [0, 1]; exists: (b, r) bool; findings: (b, f) 1, 0, NaN. locations: (b, f, g, g), 1 where the
    finding is, 0 where not, NaN inside a box without a mask (which counts as where it is). A finding is in a region
    that holds at least the share `least` of it, or at least half of which it fills. A finding that is absent is in
    none; one that is present without a location is unknown everywhere.
    """
    side = locations.shape[-1]
    middle = (torch.arange(side, device=boxes.device, dtype=boxes.dtype) + 0.5) / side
    columns = (middle > boxes[..., 0, None]) & (middle < boxes[..., 2, None])
    rows = (middle > boxes[..., 1, None]) & (middle < boxes[..., 3, None])
    inside = (rows[..., :, None] & columns[..., None, :]).flatten(2).to(locations.dtype)
    unlocated = torch.isnan(locations).flatten(2).all(-1)
    extent = ((locations != 0) & ~unlocated[..., None, None]).flatten(2).to(locations.dtype)
    shared = inside @ extent.transpose(1, 2)
    of_finding = shared / extent.sum(-1)[:, None, :].clamp(min=1)
    of_region = shared / inside.sum(-1)[:, :, None].clamp(min=1)
    overlaps = ((of_finding >= least) | (of_region >= 0.5)).to(locations.dtype)
    target = torch.where((findings == 1)[:, None, :], overlaps, torch.zeros_like(overlaps))
    unknown = torch.isnan(findings) | ((findings == 1) & unlocated)
    return target.masked_fill(unknown[:, None, :] | ~exists[..., None], float("nan"))


def any_region(logits: Tensor, present: Tensor) -> Tensor:
    """Logits (b, f) that a finding is in any region, from (b, r, f) logits and (b, r) presence logits.

    1 - prod(1 - p): regions are independent. Computed in logarithms; a region that is not present adds nothing.
    """
    probability = torch.sigmoid(logits.float()) * torch.sigmoid(present.float()).unsqueeze(-1)
    absent = torch.log1p(-probability.clamp(max=1 - 1e-6)).sum(1)
    return torch.log(-torch.expm1(absent.clamp(max=-1e-6))) - absent


def region_findings(
    logits: Tensor, targets: Tensor, balance: float, reduce_mean: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """Binary cross-entropy over the known (b, r, f) entries, those that are present weighed by `balance`."""
    weight = torch.where(targets == 1, balance, 1.0)
    return masked_bce(logits, targets, weight=weight, reduce_mean=reduce_mean)
