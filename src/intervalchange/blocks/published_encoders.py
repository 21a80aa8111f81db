"""The networks of `published.py`: films as every method has them -> maps, in the grey levels of their own training.

A film arrives standardised by rank (`data.films.standardise`): its grey levels are spread evenly, as in the equalised
JPEGs of MIMIC-CXR-JPG and CheXpert. `in_greys` brings them to the range, mean and deviation of the encoder's training,
and repeats the one channel where it was trained on three.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Dinov2Config, ResNetConfig, ResNetModel

from intervalchange.blocks.change_pooler import ChangePooler
from intervalchange.blocks.features import Features, Shape
from intervalchange.blocks.published import PUBLISHED, RELEASED, GreyScale, TrunkShape
from intervalchange.blocks.resnet_names import name_in_torchvision
from intervalchange.errors import MissingPackageError

STRIDES = (4, 8, 16, 32)


def in_greys(films: Tensor, greys: GreyScale) -> Tensor:
    """Standardised films (b, 1, h, w) -> (b, channels, h, w) in the grey levels of an encoder's training."""
    even = (films / math.sqrt(12) + 0.5).clamp(0, 1)
    values = greys.low + (greys.high - greys.low) * even
    mean, deviation = (values.new_tensor(each).view(1, -1, 1, 1) for each in (greys.mean, greys.deviation))
    return (values - mean) / deviation


def resized(films: Tensor, side: int) -> Tensor:
    """(b, 1, h, w) -> (b, 1, side, side)."""
    if films.shape[-2:] == (side, side):
        return films
    return F.interpolate(films, size=(side, side), mode="bilinear", align_corners=False, antialias=True)


class PublishedFilmEncoder(nn.Module):
    """Base: one film at a time. A subclass builds `network` and gives its maps."""

    network: nn.Module
    width: int
    shape: Shape

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.facts, self.side = name, PUBLISHED[name], PUBLISHED[name].side

    @abstractmethod
    def maps(self, films: Tensor) -> list[Tensor]:
        """Films (b, channels, side, side) in the encoder's grey levels -> maps, fine to coarse."""

    @abstractmethod
    def published_name(self, name: str) -> str:
        """The published name, inside the encoder, of a tensor of the state dict."""

    def levels(self, films: Tensor) -> list[Tensor]:
        """Standardised films (b, 1, h, w) -> maps as `shape` says, fine to coarse."""
        return self.maps(in_greys(resized(films, self.side), self.facts.greys))

    def forward(self, films: Tensor) -> Features:
        """Standardised films (b, 1, h, w) -> the coarsest map."""
        return Features(self.levels(films)[-1])


class PublishedResNet(PublishedFilmEncoder):
    """ResNet-50 on three channels (BioViL, MGCA, GLoRIA): width 2048, stride 32."""

    network: ResNetModel

    def __init__(self, name: str, trunk: TrunkShape) -> None:
        super().__init__(name)
        widths, depths = list(trunk.widths), list(trunk.depths)
        shape = ResNetConfig(num_channels=3, embedding_size=trunk.stem, hidden_sizes=widths, depths=depths)
        self.network = ResNetModel(shape)
        self.width, self.shape = trunk.widths[-1], tuple(zip(trunk.widths, STRIDES, strict=True))

    def maps(self, films: Tensor) -> list[Tensor]:
        return list(self.network(films, output_hidden_states=True).hidden_states[1:])

    def published_name(self, name: str) -> str:
        return name_in_torchvision(name.removeprefix("network."))


class PublishedDenseNet(PublishedFilmEncoder):
    """DenseNet-121 (CheXNet, torchxrayvision): width 1024, stride 32. The network is MONAI's."""

    def __init__(self, name: str, trunk: TrunkShape) -> None:
        super().__init__(name)
        try:
            from monai.networks.nets.densenet import DenseNet
        except ImportError as error:
            raise MissingPackageError(
                f"the network of {name} is MONAI's:", remedy="pip install 'intervalchange[segmentation]'"
            ) from error
        self.network = DenseNet(
            2,
            len(self.facts.greys.mean),
            1,
            init_features=trunk.stem,
            growth_rate=trunk.growth,
            block_config=trunk.depths,
            bn_size=trunk.bottleneck,
        ).features
        shape, width = [], trunk.stem
        for depth, stride in zip(trunk.depths, STRIDES, strict=True):
            shape.append((width + depth * trunk.growth, stride))
            width = shape[-1][0] // 2
        self.width, self.shape = shape[-1][0], tuple(shape)

    def maps(self, films: Tensor) -> list[Tensor]:
        levels, features = [], films
        for name, layer in self.network.named_children():
            features = layer(features)
            if name.startswith("denseblock") and name != "denseblock4":
                # The layers after it work in place on their input.
                levels.append(features.clone())
        return [*levels, features.relu()]

    def published_name(self, name: str) -> str:
        return name.removeprefix("network.").replace(".layers.", ".")


class BioViLT(PublishedResNet):
    """BioViL-T: patches of the film, and beside them what has changed since its prior (`ChangePooler`).

    Width 512: 256 of the film itself, 256 of the change, which for a film without a prior are one learnt vector.
    """

    def __init__(self, name: str, trunk: TrunkShape) -> None:
        super().__init__(name, trunk)
        self.backbone_to_vit = nn.Conv2d(trunk.widths[-1], trunk.pooled, 1, bias=False)
        self.vit_pooler = ChangePooler(trunk.pooled, trunk.blocks)
        self.missing_previous_emb = nn.Parameter(torch.empty(1, trunk.pooled, 1, 1))
        self.width = 2 * trunk.pooled
        self.shape = (*self.shape[:-1], (self.width, STRIDES[-1]))

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        init.trunc_normal_(self.missing_previous_emb, std=0.02)

    def maps(self, films: Tensor) -> list[Tensor]:
        *finer, last = super().maps(films)
        static = self.backbone_to_vit(last)
        return [*finer, torch.cat([static, self.missing_previous_emb.expand_as(static)], dim=1)]

    def pair(self, prior: Tensor, current: Tensor, has_prior: Tensor) -> tuple[Tensor, Tensor]:
        """Films (b, 1, h, w), has_prior (b) bool -> maps (b, c, g, g) of the prior by itself and of the current film.

        The current film's change is that since the prior, where there is one; the prior has none.
        """
        alone = super().forward(torch.cat([prior, current])).map
        half = alone.shape[1] // 2
        of_prior, of_current = alone.chunk(2)
        change = self.vit_pooler(of_current[:, :half], of_prior[:, :half])
        change = torch.where(has_prior.view(-1, 1, 1, 1), change, of_current[:, half:])
        return of_prior, torch.cat([of_current[:, :half], change], dim=1)


def build_published(name: str, description: str = "") -> PublishedFilmEncoder:
    """A published encoder but RAD-DINO (`HubEncoder`), random weights; description: `TrunkShape` as JSON."""
    trunk = PUBLISHED[name].trunk
    shape = TrunkShape.from_json(description) if description else RELEASED[trunk]
    if trunk == "densenet":
        return PublishedDenseNet(name, shape)
    return BioViLT(name, shape) if trunk == "biovil_t" else PublishedResNet(name, shape)


def released_dinov2() -> str:
    """The configuration of RAD-DINO as JSON: ViT-B/14 at 518 pixels."""
    config = Dinov2Config(image_size=518, patch_size=14, hidden_size=768, num_hidden_layers=12, num_attention_heads=12)
    return str(config.to_json_string(use_diff=True))
