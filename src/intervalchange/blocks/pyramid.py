"""A small residual trunk with a top-down path: features that are both fine and informed by the whole film."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.efficientnet_lite import SHAPE, EfficientNetLite0


class StridedResidualBlock(nn.Module):
    """Two 3x3 convolutions with GroupNorm around a shortcut (He et al. 2016; Wu and He 2018).

    GroupNorm, not BatchNorm: a film's features must not depend on its batch mates.
    """

    def __init__(self, width_in: int, width: int, stride: int = 1, groups: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.first_norm = nn.GroupNorm(groups, width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.second_norm = nn.GroupNorm(groups, width)
        same = width_in == width and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(width_in, width, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(b, width_in, h, w) -> (b, width, h / stride, w / stride)."""
        inner = F.relu(self.first_norm(self.first(features)))
        return F.relu(self.second_norm(self.second(inner)) + self.shortcut(features))


class FeaturePyramid(nn.Module):
    """Trunk of residual stages, then a top-down path to stride 8 (Lin et al., CVPR 2017).

    widths: channels of the stages at stride 4, 8, 16, 32; width: channels of the result.
    """

    stride = 8

    def __init__(self, widths: tuple[int, ...], width: int, depth: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, widths[0], 5, 2, 2)
        self.stages = nn.ModuleList()
        width_in = widths[0]
        for stage in widths:
            blocks = [
                StridedResidualBlock(width_in, stage, 2),
                *(StridedResidualBlock(stage, stage) for _ in range(depth - 1)),
            ]
            self.stages.append(nn.Sequential(*blocks))
            width_in = stage
        self.lateral = nn.ModuleList(nn.Conv2d(stage, width, 1) for stage in widths[1:])
        self.out = StridedResidualBlock(width, width)

    def levels(self, films: Tensor) -> list[Tensor]:
        """(n, 1, h, w) -> the map of each stage, fine to coarse: (n, widths[i], h / s, w / s), s = 4, 8, 16, 32."""
        levels = []
        features = F.relu(self.stem(films.contiguous(memory_format=torch.channels_last)))
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels

    def merged(self, levels: list[Tensor]) -> Tensor:
        """The top-down path over what `levels` gave: (n, width, h / 8, w / 8)."""
        merged: Tensor = self.out(top_down(self.lateral, levels))
        return merged

    def forward(self, films: Tensor) -> Tensor:
        """(n, 1, h, w) -> (n, width, h / 8, w / 8)."""
        return self.merged(self.levels(films))


class LitePyramid(nn.Module):
    """EfficientNet-lite0, then the same top-down path to stride 8.

    width: channels of the result. frozen: so many blocks of the trunk learn nothing, with all before them.
    """

    def __init__(self, width: int, frozen: int = 0) -> None:
        super().__init__()
        self.network = EfficientNetLite0()
        if frozen:
            network = self.network
            for part in (network.stem, network.stem_norm, *network.blocks[:frozen]):
                part.requires_grad_(False)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels, _ in SHAPE[1:])
        # The maps of a pretrained trunk are large: without it the first loss is in the hundreds.
        self.norm = nn.GroupNorm(8, width)
        self.out = StridedResidualBlock(width, width)

    def levels(self, films: Tensor) -> list[Tensor]:
        """(n, 1, h, w) -> the maps of `SHAPE`, fine to coarse."""
        levels: list[Tensor] = self.network(films)
        return levels

    def merged(self, levels: list[Tensor]) -> Tensor:
        """The top-down path over what `levels` gave: (n, width, h / 8, w / 8)."""
        merged: Tensor = self.out(self.norm(top_down(self.lateral, levels)))
        return merged

    def forward(self, films: Tensor) -> Tensor:
        """(n, 1, h, w) -> (n, width, h / 8, w / 8)."""
        return self.merged(self.levels(films))


def top_down(lateral: nn.ModuleList, levels: list[Tensor]) -> Tensor:
    """Maps of strides 4, 8, 16, 32 -> one of stride 8: each coarser one is added to the next finer one.

    lateral: of strides 8, 16, 32, to one width.
    """
    top: Tensor = lateral[-1](levels[-1])
    for layer, features in zip(list(lateral)[-2::-1], levels[-2:0:-1], strict=True):
        top = layer(features) + F.interpolate(top, size=features.shape[-2:], mode="nearest")
    return top
