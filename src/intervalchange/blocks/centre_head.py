"""A head without anchors: a heatmap of centres for each label, the four sides of a box at each cell.

CenterNet and TTFNet, see `losses/detection.py`. Peaks of the heatmap are the boxes; overlaps are not suppressed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.processes import average_over_processes
from intervalchange.losses.detection import box_sides, box_targets, centre_focal

RARE = 0.05
"""The heatmap before training."""


@dataclass(frozen=True)
class CentreOutputs:
    """Outputs of the head for b films."""

    heatmap: Tensor
    """(b, l, g, g) logits."""
    boxes: Tensor
    """(b, 4, g, g) x1, y1, x2, y2 in pixels."""


class CentreHead(nn.Module):
    """A shared 3x3 convolution, then heatmap and sides by 1x1."""

    def __init__(self, width_in: int, width: int, labels: int, stride: int) -> None:
        super().__init__()
        self.labels, self.stride = labels, stride
        self.mix = nn.Conv2d(width_in, width, 3, padding=1)
        self.heatmap = nn.Conv2d(width, labels, 1)
        self.sides = nn.Conv2d(width, 4, 1)

    def draw_weights(self, init: Any) -> None:
        """Centres are rare: otherwise the first steps only learn to predict none (RetinaNet, Lin et al. 2017)."""
        for last in (self.heatmap, self.sides):
            init.normal_(last.weight, std=0.01)
        init.constant_(self.heatmap.bias, -math.log((1 - RARE) / RARE))

    def forward(self, features: Tensor) -> CentreOutputs:
        features = F.relu(self.mix(features))
        away = F.softplus(self.sides(features).float()) * 2 * self.stride
        rows, columns = (torch.arange(n, device=away.device) + 0.5 for n in features.shape[-2:])
        x, y = (columns * self.stride).expand(len(rows), -1), (rows * self.stride)[:, None].expand(-1, len(columns))
        boxes = torch.stack([x - away[:, 0], y - away[:, 1], x + away[:, 2], y + away[:, 3]], dim=1)
        return CentreOutputs(self.heatmap(features), boxes)

    def terms(
        self, maps: Sequence[Tensor], side: int, boxes: Tensor, labels: Tensor, known: Tensor
    ) -> dict[str, Tensor]:
        """Losses: `centres`, `sides`. Arguments as `Detection` has them; the last map is read."""
        outputs: CentreOutputs = self(maps[-1])
        grid = (outputs.heatmap.shape[-2], outputs.heatmap.shape[-1])
        targets = box_targets(boxes, labels, self.labels, grid, self.stride)
        return {
            "centres": centre_focal(outputs.heatmap, targets.heatmap, known, reduce_mean=average_over_processes),
            "sides": box_sides(outputs.boxes, targets, reduce_mean=average_over_processes),
        }

    def detect(self, maps: Sequence[Tensor], side: int, most: int) -> Tensor:
        """(b, n, 6): number of the label, score, box of the most confident peaks; score 0 where there is no peak."""
        outputs: CentreOutputs = self(maps[-1])
        heights = outputs.heatmap.float().sigmoid()
        peaks = heights * (heights == F.max_pool2d(heights, 3, 1, 1))
        scores, order = peaks.flatten(1).topk(min(most, peaks[0].numel()))
        cells = peaks.shape[-2] * peaks.shape[-1]
        index = (order % cells)[:, None].expand(-1, 4, -1)
        boxes = outputs.boxes.flatten(2).gather(2, index).transpose(1, 2)
        return torch.cat([(order // cells).float()[..., None], scores[..., None], boxes], dim=2)
