"""Losses of a detector without anchors: a heatmap of centres and the four sides of a box at each cell.

CenterNet (Zhou et al. 2019, arXiv 1904.07850) for the heatmap, TTFNet (Liu et al., AAAI 2020) for training the sides on
the Gaussian around a centre and not on the centre alone, generalised IoU (Rezatofighi et al., CVPR 2019) for the sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from intervalchange.losses.language import identity

SPREAD = 0.54 / 6
"""Deviation of the Gaussian around a centre, as a part of the box's side (TTFNet)."""
NARROWEST = 0.5
"""Least deviation, in cells."""
FAR = 0.1
"""Below this height of its Gaussian a cell does not learn the sides of a box."""


@dataclass(frozen=True)
class BoxTargets:
    """Targets of a grid of cells. m = the most boxes of a film."""

    heatmap: Tensor
    """(b, l, g, g) in [0, 1]; exactly 1 in the cell of a centre."""
    boxes: Tensor
    """(b, 4, g, g): x1, y1, x2, y2 of the box that the cell belongs to, in pixels."""
    weight: Tensor
    """(b, g, g): how much the cell's box counts; the weights of one box sum to 1."""
    count: Tensor
    """Scalar: boxes in the batch."""


def box_targets(boxes: Tensor, labels: Tensor, kinds: int, grid: tuple[int, int], stride: float) -> BoxTargets:
    """Targets of a batch, without a loop over boxes.

    boxes: (b, m, 4) x1, y1, x2, y2 in pixels; labels: (b, m) number of the label, -1 for padding; kinds: l; stride:
    pixels per cell. Of two boxes for one cell, the one that is nearer, measured in its own size, gets it.
    """
    real = labels >= 0
    sides = (boxes[..., 2:] - boxes[..., :2]) / stride
    centres = (boxes[..., :2] + boxes[..., 2:]) / (2 * stride)
    limits = centres.new_tensor([grid[1] - 1, grid[0] - 1])
    cells = torch.minimum(centres.floor().clamp(min=0), limits)
    spread = (sides * SPREAD).clamp(min=NARROWEST)
    along = torch.arange(grid[0], device=boxes.device) - cells[..., 1:]
    across = torch.arange(grid[1], device=boxes.device) - cells[..., :1]
    bell = [torch.exp(-0.5 * (away / spread[..., axis, None]) ** 2) for away, axis in ((across, 0), (along, 1))]
    heights = bell[1][..., :, None] * bell[0][..., None, :] * real[..., None, None]
    of_label = F.one_hot(labels.clamp(min=0), kinds).to(heights.dtype)
    heatmap = (heights[:, :, None] * of_label[..., None, None]).amax(1)
    height, owner = heights.max(1)
    weight = height * (height > FAR)
    mine = F.one_hot(owner, boxes.shape[1]).movedim(-1, 1) * weight[:, None]
    shares = mine / mine.sum((-2, -1), keepdim=True).clamp(min=torch.finfo(mine.dtype).tiny)
    index = owner.flatten(1)[..., None].expand(-1, -1, 4)
    chosen = boxes.gather(1, index).transpose(1, 2).unflatten(2, grid)
    return BoxTargets(heatmap, chosen, shares.sum(1), real.sum().to(heatmap.dtype))


def centre_focal(
    logits: Tensor, heatmap: Tensor, known: Tensor, reduce_mean: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """Focal loss of CornerNet and CenterNet (alpha 2, beta 4): sum over cells, divided by the number of centres.

    logits, heatmap: (b, l, g, g); known: (b, l) bool, False where it is not known where the label is. Cells near
    a centre cost less for being high. Without any centre the sum is divided by 1.
    """
    logits, counted = logits.float(), known[..., None, None]
    height = torch.sigmoid(logits)
    centre = (heatmap == 1) & counted
    at_centres = F.logsigmoid(logits) * (1 - height) ** 2 * centre
    elsewhere = F.logsigmoid(-logits) * height**2 * (1 - heatmap) ** 4 * (counted & ~centre)
    return -(at_centres + elsewhere).sum() / reduce_mean(centre.sum().to(logits.dtype)).clamp(min=1)


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """(..., 4) x1, y1, x2, y2 twice -> (...) in [-1, 1]: IoU less the empty share of the smallest box around both."""
    first, second = first.float(), second.float()
    tiny = torch.finfo(first.dtype).eps

    def area(low: Tensor, high: Tensor) -> Tensor:
        return (high - low).clamp(min=0).prod(-1)

    shared = area(torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:]))
    union = area(first[..., :2], first[..., 2:]) + area(second[..., :2], second[..., 2:]) - shared
    around = area(torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:]))
    return shared / union.clamp(min=tiny) - (around - union) / around.clamp(min=tiny)


def box_sides(boxes: Tensor, targets: BoxTargets, reduce_mean: Callable[[Tensor], Tensor] = identity) -> Tensor:
    """1 - generalised IoU of (b, 4, g, g) boxes at the cells of their targets; every target box weighs the same."""
    cost = 1 - generalised_iou(boxes.movedim(1, -1), targets.boxes.movedim(1, -1))
    return (cost * targets.weight).sum() / reduce_mean(targets.count).clamp(min=1)
