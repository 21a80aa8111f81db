"""The head of YOLOv3 (Redmon and Farhadi 2018) on the maps of any encoder, as the MGCA family puts it on a ResNet.

Three scales of 8, 16 and 32 pixels a cell, three anchors each; the coarser scale is mixed into the finer one. An
encoder without a map of such a stride gives the next finer one, pooled, or else its finest, enlarged, as in the simple
pyramid of ViTDet (Li et al., ECCV 2022).

Differs: GroupNorm in place of BatchNorm, so that a film does not depend on its batch.
Differs: an anchor is probably empty at the start (RetinaNet), not at even odds.
Differs: with several labels the score is the object's times the label's, as in YOLOv3; with one it is the object's, as
    in the family. No box is left out for a low score: `compat_score` does that for the family's metric alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.encoders import Shape
from intervalchange.blocks.processes import average_over_processes
from intervalchange.losses.yolo import TargetRule, anchor_boxes, anchor_labels, anchor_objects, anchor_targets

ANCHORS = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
"""Width and height on films of `ANCHOR_SIDE` pixels, fine to coarse: those of COCO, which the family keeps."""
ANCHOR_SIDE = 416
STRIDES = (8, 16, 32)
OVERLAP = 0.5
"""IoU from which the less confident of two boxes of a label is dropped."""
TRIED = 300
"""Boxes per film that are compared with each other."""
LARGEST = 4.0
"""Logarithm of a box's side over its anchor's, at most."""
RARE = 0.01


def _block(width_in: int, width: int, kernel: int) -> nn.Sequential:
    """Convolution, norm, LeakyReLU."""
    convolution = nn.Conv2d(width_in, width, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(math.gcd(8, width), width), nn.LeakyReLU(0.1))


class Branch(nn.Module):
    """Six blocks, 1x1 and 3x3 in turn, then the anchors' outputs; the fifth block's map goes to the finer scale."""

    def __init__(self, width_in: int, width: int, labels: int) -> None:
        super().__init__()
        self.anchors = len(ANCHORS[0])
        steps = pairwise((width_in, width, 2 * width, width, 2 * width, width))
        self.trunk = nn.Sequential(*(_block(a, b, 3 if index % 2 else 1) for index, (a, b) in enumerate(steps)))
        self.last = _block(width, 2 * width, 3)
        self.boxes = nn.Conv2d(2 * width, 4 * self.anchors, 1)
        self.object = nn.Conv2d(2 * width, self.anchors, 1)
        self.label = nn.Conv2d(2 * width, labels * self.anchors, 1)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        for last in (self.boxes, self.object, self.label):
            init.normal_(last.weight, std=0.01)
        init.constant_(self.object.bias, -math.log((1 - RARE) / RARE))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(b, width_in, g, g) -> (b, width, g, g) to hand on, and (b, a, 5 + k, g, g): x, y, w, h, object, labels."""
        features = self.trunk(features)
        top = self.last(features)
        outputs = [part(top).unflatten(1, (self.anchors, -1)) for part in (self.boxes, self.object, self.label)]
        return features, torch.cat(outputs, dim=2)


class YoloHead(nn.Module):
    """Boxes at three scales."""

    def __init__(self, shape: Shape, width: int, labels: int, rule: TargetRule = "ours") -> None:
        """shape: as `encoders.shape_of` gives it; width: channels of the coarsest scale, half and a quarter above;
        rule: of `anchor_targets`."""
        super().__init__()
        self.labels, self.rule = labels, rule
        self.sources = tuple(max((n for n, (_, s) in enumerate(shape) if s <= own), default=0) for own in STRIDES)
        widths = (max(8, width // 4), max(8, width // 2), width)
        handed = (widths[1] // 2, widths[2] // 2, 0)
        self.branches = nn.ModuleList(
            Branch(shape[source][0] + extra, own, labels)
            for source, extra, own in zip(self.sources, handed, widths, strict=True)
        )
        self.handing = nn.ModuleList(_block(below, below // 2, 1) for below in widths[1:])

    def forward(self, maps: Sequence[Tensor], side: int) -> list[Tensor]:
        """Maps of an encoder -> for each scale, fine to coarse, (b, a, 5 + k, g, g): x, y, w, h, object, labels."""
        outputs: list[Tensor] = []
        handed: Tensor | None = None
        for scale in range(len(STRIDES) - 1, -1, -1):
            size = math.ceil(side / STRIDES[scale])
            features = _resized(maps[self.sources[scale]], size)
            if handed is not None:
                coarser = F.interpolate(self.handing[scale](handed), size=features.shape[-2:], mode="nearest")
                features = torch.cat([coarser, features], dim=1)
            handed, raw = self.branches[scale](features)
            outputs.append(raw)
        return outputs[::-1]

    def terms(
        self, maps: Sequence[Tensor], side: int, boxes: Tensor, labels: Tensor, known: Tensor
    ) -> dict[str, Tensor]:
        """Losses: `places`, `objects`, `labels`, each the sum of the scales. Arguments as `Detection` has them."""
        sums = dict.fromkeys(("places", "objects", "labels"), boxes.new_zeros(()))
        for scale, outputs in enumerate(self(maps, side)):
            grid = (outputs.shape[-2], outputs.shape[-1])
            anchors = _anchors(scale, side, boxes)
            targets = anchor_targets(boxes, labels, self.labels, grid, STRIDES[scale], anchors, self.rule)
            sums["places"] = sums["places"] + anchor_boxes(outputs[:, :, :4], targets, average_over_processes)
            sums["objects"] = sums["objects"] + anchor_objects(
                outputs[:, :, 4], targets, known.all(1), reduce_mean=average_over_processes
            )
            sums["labels"] = sums["labels"] + anchor_labels(outputs[:, :, 5:], targets, known, average_over_processes)
        return sums

    def detect(self, maps: Sequence[Tensor], side: int, most: int) -> Tensor:
        """(b, n, 6): number of the label, score, box, most confident first; score 0 for what was dropped."""
        scales = [_decoded(outputs, scale, side) for scale, outputs in enumerate(self(maps, side))]
        boxes, objects, labels = (torch.cat(parts, 1) for parts in zip(*scales, strict=True))
        probability, label = labels.max(-1)
        scores = objects if self.labels == 1 else objects * probability
        scores, order = scores.topk(min(TRIED, scores.shape[1]))
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
        label = label.gather(1, order)
        scores = scores * most_confident_of_overlapping(boxes, label)
        scores, order = scores.topk(min(most, scores.shape[1]))
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
        return torch.cat([label.gather(1, order).float()[..., None], scores[..., None], boxes], dim=2)


def _resized(features: Tensor, size: int) -> Tensor:
    """A map at (size, size): averaged down, or enlarged."""
    if features.shape[-1] >= size:
        return F.adaptive_avg_pool2d(features, size) if features.shape[-1] > size else features
    return F.interpolate(features, size=(size, size), mode="bilinear", align_corners=False)


def _anchors(scale: int, side: int, like: Tensor) -> Tensor:
    """(a, 2) in pixels of a film of this side."""
    return like.new_tensor(ANCHORS[scale]) * side / ANCHOR_SIDE


def _decoded(outputs: Tensor, scale: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """(b, a, 5 + k, g, g) -> boxes (b, n, 4) in pixels, probability of an object (b, n), of each label (b, n, k)."""
    outputs = outputs.float()
    rows, columns = (torch.arange(n, device=outputs.device, dtype=outputs.dtype) for n in outputs.shape[-2:])
    corner = torch.stack([columns.expand(len(rows), -1), rows[:, None].expand(-1, len(columns))])
    centres = (outputs[:, :, :2].sigmoid() + corner) * STRIDES[scale]
    halves = outputs[:, :, 2:4].clamp(max=LARGEST).exp() * _anchors(scale, side, outputs)[None, :, :, None, None] / 2
    boxes = torch.cat([centres - halves, centres + halves], 2).movedim(2, -1).flatten(1, 3)
    probabilities = outputs[:, :, 4:].sigmoid().movedim(2, -1).flatten(1, 3)
    return boxes, probabilities[..., 0], probabilities[..., 1:]


def most_confident_of_overlapping(boxes: Tensor, labels: Tensor, overlap: float = OVERLAP) -> Tensor:
    """(b, n, 4) boxes, most confident first, and (b, n) labels -> (b, n) bool: those that greedy suppression keeps.

    All films at once: a box is kept if no kept, more confident box of its label overlaps it, repeated until nothing
    changes (Cluster-NMS, Zheng et al. 2021).
    """
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared, area = (high - low).clamp(min=0).prod(-1), (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
    union = area[:, :, None] + area[:, None, :] - shared
    clash = (shared > overlap * union) & (labels[:, :, None] == labels[:, None, :])
    clash = clash & torch.ones_like(clash[0]).triu(1)
    kept = torch.ones_like(labels, dtype=torch.bool)
    for _ in range(boxes.shape[1]):
        again = ~(clash & kept[:, :, None]).any(1)
        if torch.equal(again, kept):
            break
        kept = again
    return kept
