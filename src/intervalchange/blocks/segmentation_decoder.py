"""From the maps of an encoder to a finer grid: our ladder, the decoder of U-Net by MONAI, SETR's for ViTs.

The ladder, which detection reads too, is as the decoder of U-Net (Ronneberger et al. 2015): twice as fine at each rung,
joined there with the encoder's map of that stride, at the end with the film itself. It serves an encoder with one map,
such as a ViT, which leaves rungs without a join. The other two are what the family (MGCA, CM-CGNS) trains.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.encoders import Shape
from intervalchange.errors import ConfigError


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
        mixed: Tensor = self.norm(self.mix(features))
        return F.relu(mixed)


class Ladder(nn.Module):
    """Maps of an encoder -> one map of stride `until`; at stride 1 the film itself is joined."""

    def __init__(self, shape: Shape, width: int, until: int) -> None:
        """shape: as `shape_of` gives it; width: channels down to stride 4, half of it at 2, a quarter at 1."""
        super().__init__()
        last, start = shape[-1]
        self.entry = nn.Conv2d(last, width, 1)
        self.strides = [2**power for power in range(math.ceil(math.log2(start)) - 1, -1, -1) if 2**power >= until]
        self.joins = [_joined_at(shape, stride) for stride in self.strides]
        self.rungs = nn.ModuleList()
        channels = width
        for stride, join in zip(self.strides, self.joins, strict=True):
            outputs = max(8, width * stride // 4) if stride < 4 else width
            joined = 1 if stride == 1 else 0 if join is None else shape[join][0]
            self.rungs.append(Rung(channels, joined, outputs))
            channels = outputs
        self.width = channels
        self.stride = self.strides[-1] if self.strides else start

    def forward(self, levels: Sequence[Tensor], films: Tensor) -> Tensor:
        """Maps fine to coarse and the films (b, 1, h, w) -> (b, width, h / stride, w / stride)."""
        features: Tensor = self.entry(levels[-1])
        for stride, join, rung in zip(self.strides, self.joins, self.rungs, strict=True):
            size = (math.ceil(films.shape[-2] / stride), math.ceil(films.shape[-1] / stride))
            joined = films if stride == 1 else None if join is None else levels[join]
            features = rung(features, size, joined)
        return features


def _joined_at(shape: Shape, stride: int) -> int | None:
    """Which map of an encoder, but for the coarsest, has this stride."""
    return next((number for number, (_, own) in enumerate(shape[:-1]) if own == stride), None)


def _film_sized(features: Tensor, films: Tensor) -> Tensor:
    size = (films.shape[-2], films.shape[-1])
    return features if features.shape[-2:] == size else F.interpolate(features, size=size, mode="bilinear")


class UNetDecoder(nn.Module):
    """The upward path of U-Net in the blocks of MONAI: nearest doubling, the encoder's map beside it, two convolutions.

    Widths halve at each step: 256, 128, 64, 32, 16 as published (segmentation_models on a ResNet).

    Differs: nothing is joined at stride 2, where the published one has the stem of the ResNet; GroupNorm.
    """

    def __init__(self, shape: Shape, width: int) -> None:
        """shape: as `shape_of` gives it; width: channels after the first step. Raises ConfigError without MONAI."""
        super().__init__()
        try:
            up: Any = importlib.import_module("monai.networks.nets.basic_unet").UpCat
        except ImportError as error:
            raise ConfigError(
                "the decoder of U-Net needs MONAI.",
                remedy="Run: pip install 'intervalchange[segmentation]', or set --model.decoder ladder.",
            ) from error
        channels, start = shape[-1]
        self.joins, steps = [], []
        for step, power in enumerate(range(math.ceil(math.log2(start)) - 1, -1, -1)):
            join, outputs = _joined_at(shape, 2**power), max(8, width >> step)
            joined = 0 if join is None else shape[join][0]
            norm = ("group", {"num_groups": math.gcd(8, outputs)})
            doubling = {"upsample": "nontrainable", "pre_conv": None, "interp_mode": "nearest", "align_corners": None}
            steps.append(up(2, channels, joined, outputs, "relu", norm, False, **doubling))
            self.joins.append(join)
            channels = outputs
        self.steps = nn.ModuleList(steps)
        self.width = channels

    def forward(self, levels: Sequence[Tensor], films: Tensor) -> Tensor:
        """Maps fine to coarse and the films (b, 1, h, w) -> (b, width, h, w)."""
        features = levels[-1]
        for join, step in zip(self.joins, self.steps, strict=True):
            features = step(features, None if join is None else levels[join])
        return _film_sized(features, films)


class SetrDecoder(nn.Module):
    """SETR's progressive upsampling of one map (Zheng et al., CVPR 2021): a 1x1 convolution, then convolution and
    bilinear doubling until the film's size; widths 512, 256, 128, 64 as published.

    Differs: GroupNorm, not BatchNorm.
    """

    def __init__(self, shape: Shape, width: int) -> None:
        """shape: as `shape_of` gives it, of which the coarsest map is read; width: channels of the first step."""
        super().__init__()
        channels, start = shape[-1]
        self.entry = nn.Conv2d(channels, channels, 1)
        self.steps = nn.ModuleList()
        for step in range(math.ceil(math.log2(start))):
            outputs = max(8, width >> step)
            convolution = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
            self.steps.append(nn.Sequential(convolution, nn.GroupNorm(math.gcd(8, outputs), outputs), nn.ReLU()))
            channels = outputs
        self.width = channels

    def forward(self, levels: Sequence[Tensor], films: Tensor) -> Tensor:
        """The last map and the films (b, 1, h, w) -> (b, width, h, w)."""
        features = self.entry(levels[-1])
        for step in self.steps:
            features = F.interpolate(step(features), scale_factor=2, mode="bilinear", align_corners=True)
        return _film_sized(features, films)
