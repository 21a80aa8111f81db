"""Losses of YOLOv3 (Redmon and Farhadi 2018), weighed as the MGCA family weighs them.

One scale at a time: a grid of cells, a anchors in each. A box belongs to the cell of its centre and to the anchor with
the most similar shape, on every scale. k labels, m boxes per film at most.

Differs: of two boxes for one anchor of one cell, the first in the list gets it; the family keeps the last.
Differs: shapes are compared by plain IoU; the family adds 1 to every side, in cells, which makes small shapes similar.
Differs: the anchor that holds a box is never told that it is empty; in the family it is, where the IoU of their shapes
    is at most .5.
The family's form of these three is `rule="published"`, as in the preset `paper`.
Differs: a film on which it is not known where a label is teaches no anchor that it is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from intervalchange.losses.language import identity

TargetRule = Literal["ours", "published"]

SIMILAR = 0.5
"""An anchor in the cell of a box with an IoU of shapes above this is not trained to be empty."""


@dataclass(frozen=True)
class AnchorTargets:
    """Targets of the anchors of one scale."""

    full: Tensor
    """(b, a, g, g) bool: holds a box."""
    empty: Tensor
    """(b, a, g, g) bool: is trained to be empty. An anchor may be neither; as published also both."""
    shift: Tensor
    """(b, a, 2, g, g): x, y of the centre inside its cell, in [0, 1]; zeros where there is no box."""
    stretch: Tensor
    """(b, a, 2, g, g): logarithm of width and height over the anchor's."""
    label: Tensor
    """(b, a, k, g, g): 1 for the label of the box."""


def shape_iou(sizes: Tensor, anchors: Tensor, border: float = 0.0) -> Tensor:
    """(..., 2) widths and heights, (a, 2) -> (..., a): IoU of boxes with one corner in common, `border` longer."""
    sizes, anchors = sizes + border, anchors + border
    shared = torch.minimum(sizes[..., None, :], anchors).prod(-1)
    return shared / (sizes.prod(-1)[..., None] + anchors.prod(-1) - shared).clamp(min=torch.finfo(sizes.dtype).eps)


def anchor_targets(
    boxes: Tensor,
    labels: Tensor,
    kinds: int,
    grid: tuple[int, int],
    stride: float,
    anchors: Tensor,
    rule: TargetRule = "ours",
) -> AnchorTargets:
    """Targets of one scale, without a loop over boxes.

    boxes: (b, m, 4) x1, y1, x2, y2 in pixels; labels: (b, m) number of the label, -1 for padding; kinds: k; stride:
    pixels per cell; anchors: (a, 2) width and height in pixels. rule: see the module's docstring.
    """
    real, (films, most) = labels >= 0, labels.shape
    published = rule == "published"
    sizes = (boxes[..., 2:] - boxes[..., :2]).clamp(min=torch.finfo(boxes.dtype).eps)
    centres = (boxes[..., :2] + boxes[..., 2:]) / (2 * stride)
    if published:
        # Centres are kept as shares of the film in single precision: one on the edge of a cell may fall into the other.
        cells_of_film = centres.new_tensor([grid[1], grid[0]])
        centres = (centres / cells_of_film).double() * cells_of_film.double()
    limits = centres.new_tensor([grid[1] - 1, grid[0] - 1])
    cells = torch.minimum(centres.floor().clamp(min=0), limits)
    centres, cells = centres.to(sizes.dtype), cells.to(sizes.dtype)
    similarity = shape_iou(sizes / stride, anchors / stride, border=1.0) if published else shape_iou(sizes, anchors)
    best, number = similarity.argmax(-1), torch.arange(len(anchors), device=boxes.device)
    slots = number * grid[0] * grid[1] + (cells[..., 1] * grid[1] + cells[..., 0]).long()[..., None]
    total = len(anchors) * grid[0] * grid[1]

    def slots_where(chosen: Tensor) -> Tensor:
        """(b, m, a) bool -> the slots of those, for the others a slot beyond the last: (b, m * a)."""
        return torch.where(chosen & real[..., None], slots, total).flatten(1)

    mine = number == best[..., None]
    rows = torch.arange(most, device=boxes.device)[:, None].expand(-1, len(anchors)).flatten().expand(films, -1)
    # Of several boxes the one of the smallest rank: the first of the list, or as published the last.
    ranks = most - 1 - rows if published else rows
    owner = torch.full((films, total + 1), most, device=boxes.device)
    owner = owner.scatter_reduce(1, slots_where(mine), ranks, "amin")[:, :-1]
    taken = torch.zeros(films, total + 1, dtype=torch.bool, device=boxes.device)
    spared = similarity > SIMILAR if published else mine | (similarity > SIMILAR)
    taken = taken.scatter(1, slots_where(spared), True)[:, :-1]
    full, chosen = owner < most, owner.clamp(max=most - 1)
    chosen = most - 1 - chosen if published else chosen
    facts = torch.cat([centres - cells, sizes.log(), F.one_hot(labels.clamp(min=0), kinds).to(boxes.dtype)], -1)
    target = facts.gather(1, chosen[..., None].expand(-1, -1, facts.shape[-1])) * full[..., None]
    target = target.unflatten(1, (len(anchors), *grid)).movedim(-1, 2)
    full = full.unflatten(1, (len(anchors), *grid))
    stretch = (target[:, :, 2:4] - anchors.log()[None, :, :, None, None]) * full[:, :, None]
    return AnchorTargets(
        full, ~taken.unflatten(1, (len(anchors), *grid)), target[:, :, :2].clamp(0, 1), stretch, target[:, :, 4:]
    )


def anchor_boxes(
    predicted: Tensor, targets: AnchorTargets, reduce_mean: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """Binary cross-entropy of the shift and squared error of the stretch of the full anchors, per anchor of the grid.

    predicted: (b, a, 4, g, g) logits of the shift, then the stretch.
    """
    predicted, full = predicted.float(), targets.full[:, :, None]
    shift = F.binary_cross_entropy_with_logits(predicted[:, :, :2], targets.shift, reduction="none")
    cost = ((shift + (predicted[:, :, 2:] - targets.stretch) ** 2) * full).sum()
    return cost / reduce_mean(predicted.new_tensor(targets.full.numel()))


def anchor_objects(
    logits: Tensor,
    targets: AnchorTargets,
    known: Tensor,
    empty: float = 0.5,
    reduce_mean: Callable[[Tensor], Tensor] = identity,
) -> Tensor:
    """Binary cross-entropy of what holds a box: full anchors, and with weight `empty` those that hold none, per anchor.

    logits: (b, a, g, g). known: (b) bool, films of which every box is known; the others teach full anchors alone.
    """
    logits = logits.float()
    full = F.softplus(-logits) * targets.full
    none = F.softplus(logits) * (targets.empty & known[:, None, None, None])
    return (full + empty * none).sum() / reduce_mean(logits.new_tensor(logits.numel()))


def anchor_labels(
    logits: Tensor, targets: AnchorTargets, known: Tensor, reduce_mean: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """Binary cross-entropy of the labels of full anchors, per anchor of the grid.

    logits: (b, a, k, g, g). known: (b, k) bool.
    """
    losses = F.binary_cross_entropy_with_logits(logits.float(), targets.label, reduction="none")
    counted = targets.full[:, :, None] & known[:, None, :, None, None]
    return (losses * counted).sum() / reduce_mean(losses.new_tensor(targets.full.numel()))
