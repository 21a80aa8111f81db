"""The image backbone of FFA-CL: how it is built, the vector of a film, and vectors of frozen backbones kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

from intervalchange.blocks.encoders import ConvEncoder, Features, ResNetEncoder, in_colours
from intervalchange.blocks.pyramid import FeaturePyramid
from intervalchange.data.films import Greys

CLIP_WIDTH = 512
MOST_CACHED = 500_000
"""Films whose vectors are kept; beyond that the cache starts again."""


def build_backbone(
    name: str, widths: tuple[int, ...], depth: int, pyramid_width: int, pool: int, greys: Greys = "ranks"
) -> tuple[nn.Module, int]:
    """The encoder, and the length of the vector of a film. A pyramid has the tensor names of set_difference."""
    if name == "clip":
        return CLIPVisionModelWithProjection(CLIPVisionConfig()), CLIP_WIDTH
    encoder: nn.Module
    if name == "pyramid":
        encoder, width = FeaturePyramid(widths, pyramid_width, depth), pyramid_width
    else:
        convolutional = ConvEncoder(widths, depth) if name == "conv" else ResNetEncoder(greys)
        encoder, width = convolutional, convolutional.width
    return encoder, width * (pool**2 + 1)


def film_vectors(encoder: nn.Module, films: Tensor, pool: int, greys: Greys = "ranks") -> Tensor:
    """Films (b, 1, h, w) as `films.normalised` gives them -> (b, v)."""
    if isinstance(encoder, CLIPVisionModelWithProjection):
        embeds: Tensor = encoder(pixel_values=in_colours(films, greys, 3)).image_embeds
        return embeds
    features = encoder(films)
    return pooled(features.map if isinstance(features, Features) else features, pool)


def pooled(maps: Tensor, parts: int) -> Tensor:
    """(b, c, g, g) -> (b, c (parts^2 + 1)): means over parts x parts, then the maximum of each channel."""
    means = F.adaptive_avg_pool2d(maps, parts).flatten(1)
    return torch.cat([means, maps.amax(dim=(2, 3))], dim=1)


def clip_prompts(name: str, prompts: Sequence[str]) -> Tensor:
    """(l, 512) of unit length: the prompts as encoded by a CLIP text tower (hub name or folder)."""
    tokens = AutoTokenizer.from_pretrained(name)(list(prompts), padding=True, truncation=True, return_tensors="pt")
    tower: nn.Module = CLIPTextModelWithProjection.from_pretrained(name)
    with torch.no_grad():
        embeds = tower.eval()(**tokens).text_embeds
    return F.normalize(embeds.float(), dim=-1)


class VectorCache:
    """Vectors of films under frozen weights, each computed once in a process. The key is the content of the film, so
    an augmented film is another one."""

    def __init__(self) -> None:
        self._cached: dict[bytes, Tensor] = {}
        self._weights = -1

    def __len__(self) -> int:
        return len(self._cached)

    @torch.no_grad()
    def __call__(self, films: Tensor, encoder: nn.Module, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """films (b, 1, h, w) -> (b, v). The cache is emptied when the encoder's weights have been written to since."""
        weights = sum(parameter._version for parameter in encoder.parameters())
        if weights != self._weights or len(self._cached) > MOST_CACHED:
            self._cached, self._weights = {}, weights
        keys = [hashlib.blake2b(film.tobytes(), digest_size=16).digest() for film in films.cpu().numpy()]
        missing = [row for row, key in enumerate(keys) if key not in self._cached]
        if missing:
            for row, vector in zip(missing, encode(films[missing]).float().cpu(), strict=True):
                self._cached[keys[row]] = vector
        return torch.stack([self._cached[key] for key in keys]).to(films.device)
