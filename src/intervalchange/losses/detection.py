"""Losses of a detector without anchors: a heat map of centres and the four sides of a box at each cell.

CenterNet (Zhou et al. 2019, arXiv 1904.07850) for the heat, TTFNet (Liu et al., AAAI 2020) for training the sides on
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
    """What a grid of cells should say. m = the most boxes of a film."""

    heat: Tensor
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
    pixels a cell. Where two boxes want a cell, the one that is nearer, measured in its own size, has it.
    """
    real = labels >= 0
    sides = (boxes[..., 2:] - boxes[..., :2]) / stride
    centres = (boxes[..., :2] + boxes[..., 2:]) / (2 * stride)
    limits = centres.new_tensor([grid[1] - 1, grid[0] - 1])
    cells = torch.minimum(centres.floor().clamp(min=0), limits)
    spread = (sides * SPREAD).clamp(min=NARROWEST)
    along = torch.arange(grid[0], device=boxes.device) - cells[..., 1:]
    across = torch.arange(grid[1], device=boxes.device) - cells[..., :1]
    bell = [torch.exp(-0.5 * (away / spread[..., place, None]) ** 2) for away, place in ((across, 0), (along, 1))]
    heights = bell[1][..., :, None] * bell[0][..., None, :] * real[..., None, None]
    of_label = F.one_hot(labels.clamp(min=0), kinds).to(heights.dtype)
    heat = (heights[:, :, None] * of_label[..., None, None]).amax(1)
    height, owner = heights.max(1)
    weight = height * (height > FAR)
    mine = F.one_hot(owner, boxes.shape[1]).movedim(-1, 1) * weight[:, None]
    shares = mine / mine.sum((-2, -1), keepdim=True).clamp(min=torch.finfo(mine.dtype).tiny)
    index = owner.flatten(1)[..., None].expand(-1, -1, 4)
    chosen = boxes.gather(1, index).transpose(1, 2).unflatten(2, grid)
    return BoxTargets(heat, chosen, shares.sum(1), real.sum().to(heat.dtype))


def centre_focal(
    logits: Tensor, heat: Tensor, known: Tensor, reduce_mean: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """Focal loss of CornerNet and CenterNet (alpha 2, beta 4): sum over cells, divided by the number of centres.

    logits, heat: (b, l, g, g); known: (b, l) bool, False where it is not known where the label is. Cells near a centre
    are blamed less for being hot. Without any centre the sum is divided by 1.
    """
    logits, counted = logits.float(), known[..., None, None]
    hot = torch.sigmoid(logits)
    centre = (heat == 1) & counted
    found = F.logsigmoid(logits) * (1 - hot) ** 2 * centre
    cold = F.logsigmoid(-logits) * hot**2 * (1 - heat) ** 4 * (counted & ~centre)
    return -(found + cold).sum() / reduce_mean(centre.sum().to(logits.dtype)).clamp(min=1)


def generalised_iou(one: Tensor, other: Tensor) -> Tensor:
    """(..., 4) x1, y1, x2, y2 twice -> (...) in [-1, 1]: IoU less the empty share of the smallest box around both."""
    one, other = one.float(), other.float()
    tiny = torch.finfo(one.dtype).eps

    def area(low: Tensor, high: Tensor) -> Tensor:
        return (high - low).clamp(min=0).prod(-1)

    shared = area(torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:]))
    union = area(one[..., :2], one[..., 2:]) + area(other[..., :2], other[..., 2:]) - shared
    around = area(torch.minimum(one[..., :2], other[..., :2]), torch.maximum(one[..., 2:], other[..., 2:]))
    return shared / union.clamp(min=tiny) - (around - union) / around.clamp(min=tiny)


def box_sides(boxes: Tensor, targets: BoxTargets, reduce_mean: Callable[[Tensor], Tensor] = identity) -> Tensor:
    """1 - generalised IoU of (b, 4, g, g) boxes at the cells of their targets; every true box weighs the same."""
    cost = 1 - generalised_iou(boxes.movedim(1, -1), targets.boxes.movedim(1, -1))
    return (cost * targets.weight).sum() / reduce_mean(targets.count).clamp(min=1)
