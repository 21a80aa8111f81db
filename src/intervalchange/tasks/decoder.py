"""The decoder that detection and segmentation share: a ladder from the coarsest map of an encoder to a finer grid.

As the decoder of U-Net (Ronneberger et al. 2015): twice as fine at each rung, joined there with the encoder's map of
that stride. An encoder with one map, such as a ViT, leaves rungs without a join, as SETR's progressive upsampling does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.tasks.encoders import Shape


class Rung(nn.Module):
    """Twice as fine, joined with a map of `joined` channels, then a 3x3 convolution. GroupNorm: no batch mates."""

    def __init__(self, width_in: int, joined: int, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width_in + joined, width, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(math.gcd(8, width), width)

    def forward(self, features: Tensor, size: tuple[int, int], joined: Tensor | None) -> Tensor:
        features = F.interpolate(features, size=size, mode="bilinear", align_corners=False)
        if joined is not None:
            joined = joined if joined.shape[-2:] == size else F.interpolate(joined, size=size, mode="bilinear")
            features = torch.cat([features, joined.to(features.dtype)], dim=1)
        return F.relu(self.norm(self.mix(features)))


class Ladder(nn.Module):
    """Maps of an encoder -> one map of stride `until`; at stride 1 the film itself is joined."""

    def __init__(self, shape: Shape, width: int, until: int) -> None:
        """shape: as `shape_of` gives it; width: channels down to stride 4, half of it at 2, a quarter at 1."""
        super().__init__()
        last, start = shape[-1]
        self.entry = nn.Conv2d(last, width, 1)
        self.strides = [2**power for power in range(math.ceil(math.log2(start)) - 1, -1, -1) if 2**power >= until]
        self.joins = [next((n for n, (_, s) in enumerate(shape[:-1]) if s == stride), None) for stride in self.strides]
        self.rungs = nn.ModuleList()
        before = width
        for stride, join in zip(self.strides, self.joins, strict=True):
            now = max(8, width * stride // 4) if stride < 4 else width
            joined = 1 if stride == 1 else 0 if join is None else shape[join][0]
            self.rungs.append(Rung(before, joined, now))
            before = now
        self.width = before
        self.stride = self.strides[-1] if self.strides else start

    def forward(self, levels: Sequence[Tensor], films: Tensor) -> Tensor:
        """Maps fine to coarse and the films (b, 1, h, w) -> (b, width, h / stride, w / stride)."""
        features = self.entry(levels[-1])
        for stride, join, rung in zip(self.strides, self.joins, self.rungs, strict=True):
            size = (math.ceil(films.shape[-2] / stride), math.ceil(films.shape[-1] / stride))
            joined = films if stride == 1 else None if join is None else levels[join]
            features = rung(features, size, joined)
        return features
