"""Image encoders: films (b, 1, h, w) -> feature map (b, c, g, g), read as n = g * g tokens of width c.

`ConvEncoder` is small, trained from scratch, with group normalisation so that a batch of one is like any other.
`PyramidEncoder` is the trunk of set_difference, and can start from a run of it: an encoder that has seen chest films.
`ResNetEncoder` is ResNet-50 of transformers with one input channel; published weights are loaded by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from intervalchange.blocks.pyramid import FeaturePyramid
from intervalchange.errors import ConfigError

Backbone = Literal["conv", "pyramid", "resnet50"]


@dataclass(frozen=True)
class Features:
    """What an image encoder returns."""

    map: Tensor
    """(b, c, g, g)."""

    @property
    def tokens(self) -> Tensor:
        """(b, n, c), row by row."""
        return self.map.flatten(2).transpose(1, 2)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        return self.map.shape[-2], self.map.shape[-1]


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // 8), channels)


class ResidualBlock(nn.Module):
    """x + conv(conv(x)), 3x3, pre-normalised. Shape (b, c, h, w) stays."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ConvEncoder(nn.Module):
    """One stage a width; each stage halves the map (the first by `stem_stride`) and adds `depth` residual blocks."""

    def __init__(self, widths: tuple[int, ...], depth: int = 1, stem_stride: int = 2, channels: int = 1) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for index, width in enumerate(widths):
            stride = stem_stride if index == 0 else 2
            kernel = max(3, stride + stride % 2)
            stages.append(nn.Conv2d(channels, width, kernel, stride=stride, padding=(kernel - 1) // 2, bias=False))
            stages += [ResidualBlock(width) for _ in range(depth)]
            stages += [_norm(width), nn.ReLU()]
            channels = width
        self.stages = nn.Sequential(*stages)
        self.width = channels

    def forward(self, films: Tensor) -> Features:
        return Features(self.stages(films))


class PyramidEncoder(nn.Module):
    """`FeaturePyramid` (stride 8). Weights are loaded from a run folder of set_difference of the same widths."""

    def __init__(self, widths: tuple[int, ...], width: int, depth: int = 1) -> None:
        super().__init__()
        self.network = FeaturePyramid(widths, width, depth)
        self.width = width

    def forward(self, films: Tensor) -> Features:
        return Features(self.network(films))

    def load_pretrained(self, name: str) -> None:
        """The encoder of a set_difference run."""
        path = Path(name) / "model.safetensors"
        if not path.is_file():
            raise ConfigError("there are no weights of an encoder.", where=name, remedy="Give a finished run folder.")
        prefix = "encoder."
        theirs = {key.removeprefix(prefix): value for key, value in load_file(path).items() if key.startswith(prefix)}
        try:
            self.network.load_state_dict(theirs)
        except RuntimeError as error:
            raise ConfigError(
                "the encoder of this run has another shape.",
                where=name,
                remedy="Give it the same widths: encoder_widths and pyramid_width here, widths and width there.",
            ) from error


class ResNetEncoder(nn.Module):
    """ResNet-50 (He et al. 2016; 23.5 M parameters, stride 32, width 2048) on one channel, as in transformers."""

    width = 2048

    def __init__(self) -> None:
        super().__init__()
        self.network = ResNetModel(ResNetConfig(num_channels=1))

    def forward(self, films: Tensor) -> Features:
        return Features(self.network(films).last_hidden_state)

    def load_pretrained(self, name: str) -> None:
        """Weights of a three-channel ResNet-50 on the hub or in a folder; the first filters are summed over colour."""
        published = ResNetModel.from_pretrained(name).state_dict()
        first = "embedder.embedder.convolution.weight"
        published[first] = published[first].sum(dim=1, keepdim=True)
        self.network.load_state_dict(published)


Encoder = ConvEncoder | PyramidEncoder | ResNetEncoder


def build_encoder(
    backbone: Backbone, widths: tuple[int, ...], depth: int, stem_stride: int, pyramid_width: int
) -> Encoder:
    """The encoder a configuration names; `stem_stride` is for `conv`, `pyramid_width` for `pyramid` alone."""
    if backbone == "resnet50":
        return ResNetEncoder()
    return (
        PyramidEncoder(widths, pyramid_width, depth)
        if backbone == "pyramid"
        else ConvEncoder(widths, depth, stem_stride)
    )


def sincos_2d(width: int, rows: int, columns: int, like: Tensor) -> Tensor:
    """Fixed 2-D sine-cosine positions (rows * columns, width); width divisible by 4. Device and type of `like`."""
    quarter = width // 4
    rates = 1.0 / 10000 ** (torch.arange(quarter, device=like.device, dtype=torch.float32) / quarter)
    row = torch.arange(rows, device=like.device, dtype=torch.float32)[:, None] * rates
    column = torch.arange(columns, device=like.device, dtype=torch.float32)[:, None] * rates
    by_row = torch.cat([row.sin(), row.cos()], dim=1)[:, None].expand(rows, columns, 2 * quarter)
    by_column = torch.cat([column.sin(), column.cos()], dim=1)[None].expand(rows, columns, 2 * quarter)
    return torch.cat([by_row, by_column], dim=2).reshape(rows * columns, 4 * quarter).to(like.dtype)
