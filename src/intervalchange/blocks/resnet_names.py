"""The tensors of a ResNet as torchvision names them, and as transformers does."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_PARTS = {"convolution": ("conv", "0"), "normalization": ("bn", "1")}
_OUR_STEM = re.compile(r"^embedder\.embedder\.(\w+)\.(\w+)$")
_OUR_LAYER = re.compile(r"^encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.(\d)\.(\w+)\.(\w+)$")
_OUR_SHORTCUT = re.compile(r"^encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.(\w+)\.(\w+)$")
_STEM = re.compile(r"^(.*?)(conv1|bn1)\.(\w+)$")
_BLOCK = re.compile(r"^(.*?)layer([1-4])\.(\d+)\.(?:(conv|bn)(\d)|downsample\.([01]))\.(\w+)$")


def in_names_of_transformers(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """ResNet tensors named as in torchvision under their names in transformers; anything else as it is."""
    if not any(name.endswith("layer1.0.conv1.weight") for name in tensors):
        return tensors
    return {name_in_transformers(name): tensor for name, tensor in tensors.items()}


def name_in_transformers(name: str) -> str:
    """Of one tensor; a name that is not of a ResNet stays."""
    part = {"conv": "convolution", "bn": "normalization"}
    block = _BLOCK.match(name)
    if block is not None:
        before, stage, layer, kind, number, shortcut, what = block.groups()
        inner = (
            f"layer.{int(number) - 1}.{part[kind]}"
            if kind
            else f"shortcut.{'convolution' if shortcut == '0' else 'normalization'}"
        )
        return f"{before}encoder.stages.{int(stage) - 1}.layers.{layer}.{inner}.{what}"
    stem = _STEM.match(name)
    if stem is not None:
        return f"{stem[1]}embedder.embedder.{part[stem[2].removesuffix('1')]}.{stem[3]}"
    return name


def name_in_torchvision(name: str) -> str:
    """The inverse, of a tensor of `ResNetModel`."""
    if stem := _OUR_STEM.match(name):
        return f"{_PARTS[stem[1]][0]}1.{stem[2]}"
    if layer := _OUR_LAYER.match(name):
        stage, block, number, kind, what = layer.groups()
        return f"layer{int(stage) + 1}.{block}.{_PARTS[kind][0]}{int(number) + 1}.{what}"
    if shortcut := _OUR_SHORTCUT.match(name):
        stage, block, kind, what = shortcut.groups()
        return f"layer{int(stage) + 1}.{block}.downsample.{_PARTS[kind][1]}.{what}"
    return name
