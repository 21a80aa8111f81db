"""Image encoders: films (b, 1, h, w) -> feature map (b, c, g, g), read as n = g * g tokens of width c.

These are the encoders that a configuration can name (`Backbone`); `encoder_weights.py` loads weights into them.
`ConvEncoder` is small, trained from scratch, with group normalisation so that a batch of one is like any other.
`PyramidEncoder` is the trunk of set_difference, `EfficientNetLiteEncoder` a small net that has ImageNet weights.
`ResNetEncoder` is ResNet-50 of transformers with one input channel, `HubEncoder` any vision model of Hugging Face. The
chest encoders of others are in `published_encoders.py`.
"""

from __future__ import annotations

import inspect
import json
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, ResNetConfig, ResNetModel

from intervalchange.blocks import efficientnet_lite
from intervalchange.blocks.efficientnet_lite import EfficientNetLite0
from intervalchange.blocks.features import Features as Features
from intervalchange.blocks.features import Shape as Shape
from intervalchange.blocks.published import PUBLISHED, GreyScale
from intervalchange.blocks.published_encoders import (
    BioViLT,
    PublishedFilmEncoder,
    build_published,
    in_greys,
    released_dinov2,
)
from intervalchange.blocks.pyramid import FeaturePyramid
from intervalchange.data.films import Greys
from intervalchange.errors import ConfigError

Backbone = Literal[
    "conv",
    "pyramid",
    "efficientnet_lite0",
    "resnet50",
    "hub",
    "rad_dino",
    "biovil",
    "biovil_t",
    "torchxrayvision",
    "mgca",
    "gloria",
    "chexnet",
]

_PROBE = 256
"""Side of the film by which a model of the hub shows its shape, where it reads any."""

_PROBED: dict[tuple[str, Greys, GreyScale | None], tuple[int, int]] = {}
"""Description and grey levels of a model of the hub -> width and rows of its map: asked once, for it takes a second."""

COLOURS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""Mean and deviation of each colour that published weights were trained with."""


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
        residual: Tensor = self.layers(x)
        return x + residual


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
    """`FeaturePyramid` (stride 8), as set_difference has it."""

    def __init__(self, widths: tuple[int, ...], width: int, depth: int = 1) -> None:
        super().__init__()
        self.network = FeaturePyramid(widths, width, depth)
        self.width = width

    def forward(self, films: Tensor) -> Features:
        return Features(self.network(films))


class EfficientNetLiteEncoder(nn.Module):
    """EfficientNet-lite0 (3.0 M parameters, stride 32, width 320) on one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNetLite0()
        self.width = efficientnet_lite.SHAPE[-1][0]

    def forward(self, films: Tensor) -> Features:
        return Features(self.network(films)[-1])


def in_colours(films: Tensor, greys: Greys, channels: int) -> Tensor:
    """Films (b, 1, h, w) as `films.normalised` gives them -> (b, channels, h, w).

    `imagenet`, `clip`: by the mean and deviation of each colour; otherwise the same on every channel.
    """
    films = films.expand(-1, channels, -1, -1)
    if greys not in COLOURS:
        return films
    mean, deviation = (films.new_tensor(values)[:, None, None] for values in COLOURS[greys])
    return ((films + 1) / 2 - mean) / deviation


class ResNetEncoder(nn.Module):
    """ResNet-50 (He et al. 2016; 23.5 M parameters, stride 32, width 2048), as in transformers: on one channel, but on
    three where colours are normalised apart."""

    width = 2048

    def __init__(self, greys: Greys = "ranks") -> None:
        super().__init__()
        self.greys: Greys = greys
        self.channels = 3 if greys in COLOURS else 1
        self.network = ResNetModel(ResNetConfig(num_channels=self.channels))

    def forward(self, films: Tensor) -> Features:
        return Features(self.network(in_colours(films, self.greys, self.channels)).last_hidden_state)

    def load_pretrained(self, name: str) -> None:
        """Weights of a three-channel ResNet-50 on the hub or in a folder; for one channel the first filters are summed
        over colour."""
        published = ResNetModel.from_pretrained(name).state_dict()
        first = "embedder.embedder.convolution.weight"
        if self.channels == 1:
            published[first] = published[first].sum(dim=1, keepdim=True)
        self.network.load_state_dict(published)


class HubEncoder(nn.Module):
    """Any vision model that `AutoModel` knows: its last map, and its class token where it has one.

    Films are shown on every channel, resized to the size the model was made for.
    """

    def __init__(self, description: str, greys: Greys = "ranks", published: GreyScale | None = None) -> None:
        """description: the model's configuration as JSON; published: the grey levels of a published chest encoder."""
        super().__init__()
        self.greys: Greys = greys
        self._published = published
        self._attends = False
        facts = json.loads(description)
        config = AutoConfig.for_model(facts.pop("model_type"), **facts)
        kind: Any = AutoModel._model_mapping[type(config)]
        bare = (
            {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind.__init__).parameters else {}
        )
        if config.model_type == "vit_mae":
            raise ConfigError(
                "a ViT-MAE hides three quarters of the patches of a film, at random.",
                remedy='Describe it as a plain one in --model.hub_model: "model_type": "vit"; its weights fit.',
            )
        self.channels, self.side = int(getattr(config, "num_channels", 3)), getattr(config, "image_size", None)
        key = (description, greys, published)
        if key not in _PROBED:
            with torch.device("meta"), torch.no_grad():  # What it makes of a film, without computing it.
                self.network = AutoModel.from_config(config, **bare).eval()
                width, rows = self(torch.empty(1, 1, _PROBE, _PROBE)).map.shape[1:3]
            _PROBED[key] = int(width), int(rows)
        self.width, rows = _PROBED[key]
        side = self.side if isinstance(self.side, int) else self.side[0] if self.side else _PROBE
        self.stride = side // rows
        self.network = AutoModel.from_config(config, **bare)

    def return_attention(self) -> None:
        """Give the class token's attention with the features, which fused kernels do not."""
        self.network.set_attn_implementation("eager")
        self._attends = True

    def forward(self, films: Tensor) -> Features:
        if self.side is not None:
            side = (self.side, self.side) if isinstance(self.side, int) else tuple(self.side)
            films = F.interpolate(films, size=side, mode="bilinear", align_corners=False, antialias=True)
        more = {"output_attentions": True} if self._attends else {}
        shown = in_greys(films, self._published) if self._published else films
        output = self.network(in_colours(shown, self.greys, self.channels), **more)
        state = output.last_hidden_state
        if state.ndim == 4:
            return Features(state)
        grid = int(state.shape[1] ** 0.5)
        token = state[:, 0] if state.shape[1] > grid * grid else None
        patches = state[:, state.shape[1] - grid * grid :]
        attention = None
        if self._attends and token is not None:
            attention = output.attentions[-1][:, :, 0, -grid * grid :].mean(1).detach()
        return Features(patches.transpose(1, 2).unflatten(2, (grid, grid)), token, attention)

    def load_pretrained(self, name: str) -> None:
        """Weights of the hub or of a folder written by `save_pretrained`."""
        kind: Any = type(self.network)
        published, found = kind.from_pretrained(name, output_loading_info=True)
        if self._published and (lacking := [*found["missing_keys"], *found["mismatched_keys"]]):
            raise ConfigError(
                f"these are not the weights of this encoder: {lacking[0]!r} is missing or of another shape.",
                where=name,
                remedy="Name the folder or the model on the hub as it was published.",
            )
        self.network.load_state_dict(published.state_dict(), strict=False)


def describe_hub_model(name: str) -> str:
    """The configuration of a vision model on the hub, as JSON: kept with the weights, so that they load offline."""
    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"there is no model {name!r}.",
            remedy="Set --model.backbone_weights to a name on the hub (once online) or a folder of save_pretrained.",
        ) from error
    config = getattr(config, "vision_config", config)
    return str(config.to_json_string(use_diff=True))


Encoder = ConvEncoder | PyramidEncoder | EfficientNetLiteEncoder | ResNetEncoder | HubEncoder | PublishedFilmEncoder


def build_encoder(
    backbone: Backbone,
    widths: tuple[int, ...] = (),
    depth: int = 1,
    stem_stride: int = 4,
    pyramid_width: int = 48,
    hub_model: str = "",
    published: str = "",
    greys: Greys = "ranks",
) -> Encoder:
    """The encoder a configuration names.

    widths, depth: of `conv` and `pyramid`; stem_stride: of `conv`; pyramid_width: of `pyramid`; hub_model: the
    configuration of `hub` as JSON; published: that of a published encoder, where it is not as released; greys: how
    films are scaled, of `resnet50` and `hub`.
    """
    if backbone == "rad_dino":
        return HubEncoder(published or released_dinov2(), published=PUBLISHED[backbone].greys)
    if backbone in PUBLISHED:
        return build_published(backbone, published)
    if backbone == "hub":
        return HubEncoder(hub_model, greys)
    if backbone == "efficientnet_lite0":
        return EfficientNetLiteEncoder()
    if backbone == "resnet50":
        return ResNetEncoder(greys)
    if backbone == "pyramid":
        return PyramidEncoder(widths, pyramid_width, depth)
    return ConvEncoder(widths, depth, stem_stride)


def shape_of(encoder: Encoder) -> Shape:
    """Width and stride of each map that `levels_of` gives."""
    if isinstance(encoder, PublishedFilmEncoder):
        return encoder.shape
    if isinstance(encoder, HubEncoder):
        return ((encoder.width, encoder.stride),)
    if isinstance(encoder, EfficientNetLiteEncoder):
        return efficientnet_lite.SHAPE
    if isinstance(encoder, ResNetEncoder):
        return tuple(zip(encoder.network.config.hidden_sizes or (), (4, 8, 16, 32), strict=True))
    if isinstance(encoder, PyramidEncoder):
        return ((encoder.network.stem.out_channels, 4), (encoder.width, encoder.network.stride))
    stride, shape = 1, []
    for layer in encoder.stages:
        if isinstance(layer, nn.Conv2d):
            stride *= int(layer.stride[0])
            shape.append((layer.out_channels, stride))
    return tuple(shape)


def levels_of(encoder: Encoder, films: Tensor) -> list[Tensor]:
    """Films (b, 1, h, w) -> maps, fine to coarse; the last one is the map that the encoder gives by itself."""
    if isinstance(encoder, PublishedFilmEncoder):
        return encoder.levels(films)
    if isinstance(encoder, HubEncoder):
        return [encoder(films).map]
    if isinstance(encoder, EfficientNetLiteEncoder):
        return list(encoder.network(films))
    if isinstance(encoder, ResNetEncoder):
        films = in_colours(films, encoder.greys, encoder.channels)
        return list(encoder.network(films, output_hidden_states=True).hidden_states[1:])
    if isinstance(encoder, PyramidEncoder):
        stages = encoder.network.levels(films)
        return [stages[0], encoder.network.merged(stages)]
    maps, features = [], films
    for layer in encoder.stages:
        if isinstance(layer, nn.Conv2d) and features is not films:
            maps.append(features)
        features = layer(features)
    return [*maps, features]


def encode_pairs(encoder: Encoder, prior: Tensor, current: Tensor, has_prior: Tensor) -> Tensor:
    """Films (b, 1, h, w), has_prior (b) bool -> maps (2b, c, g, g), those of the priors first.

    Each film by itself, but for BioViL-T, whose map of the current film says what has changed since the prior.
    """
    if isinstance(encoder, BioViLT):
        return torch.cat(encoder.pair(prior, current, has_prior))
    features: Features = encoder(torch.cat([prior, current]).contiguous())
    return features.map


def sincos_2d(width: int, rows: int, columns: int, like: Tensor) -> Tensor:
    """Fixed 2-D sine-cosine positions (rows * columns, width); width divisible by 4. Device and type of `like`."""
    quarter = width // 4
    rates = 1.0 / 10000 ** (torch.arange(quarter, device=like.device, dtype=torch.float32) / quarter)
    row = torch.arange(rows, device=like.device, dtype=torch.float32)[:, None] * rates
    column = torch.arange(columns, device=like.device, dtype=torch.float32)[:, None] * rates
    by_row = torch.cat([row.sin(), row.cos()], dim=1)[:, None].expand(rows, columns, 2 * quarter)
    by_column = torch.cat([column.sin(), column.cos()], dim=1)[None].expand(rows, columns, 2 * quarter)
    return torch.cat([by_row, by_column], dim=2).reshape(rows * columns, 4 * quarter).to(like.dtype)
