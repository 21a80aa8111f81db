"""From patches on a grid back to a film: the decoder of a reconstruction."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.encoders import sincos_2d


class ImageDecoder(nn.Module):
    """Patches of the film and the report as each attends to it -> pixels.

    With `layers`, a transformer first lets the patches attend to each other and to the report, each layer with weights
    of its own; then both are concatenated, and convolutions double the side until it is that of the film. The last
    layer is a plain convolution: its output may be negative as well as positive.
    """

    def __init__(self, in_width: int, width: int, stride: int, *, layers: int, heads: int) -> None:
        """width: channels of the first convolution; each doubling halves them, to 8 at least. stride: pixels per
        patch, a power of two."""
        super().__init__()
        self.mixer = None
        if layers:
            layer = nn.TransformerDecoderLayer(
                in_width, heads, 4 * in_width, dropout=0.0, batch_first=True, norm_first=True
            )
            self.mixer = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(in_width))
        steps: list[nn.Module] = []
        channels, outputs = 2 * in_width, width
        for _ in range(round(math.log2(stride))):
            steps += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU()]
            steps += [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)]
            channels, outputs = outputs, max(8, outputs // 2)
        self.steps = nn.Sequential(*steps, nn.Conv2d(channels, 1, 3, padding=1, bias=False))
        # Added on its own: its gradient is a sum over all pixels, which a convolution adds up one by one in single
        # precision, so that it would depend on how films are shared out over processes.
        self.grey = nn.Parameter(torch.empty(()))

    def draw_weights(self, init: ModuleType) -> None:
        """See `Method._init_weights`. Reconstructions start close to the mean grey."""
        init.normal_(self.steps[-1].weight, std=0.02)
        init.zeros_(self.grey)

    def forward(self, patches: Tensor, report: Tensor, grid: tuple[int, int], pixels: tuple[int, int]) -> Tensor:
        """(b, n, d), (b, n, d) on a grid of n patches -> (b, 1, h, w)."""
        if self.mixer is not None:
            patches = self.mixer(patches + sincos_2d(patches.shape[-1], *grid, like=patches), report)
        both = torch.cat([patches, report], dim=-1).transpose(1, 2).unflatten(2, grid)
        film: Tensor = self.steps(both) + self.grey
        return film if film.shape[-2:] == pixels else F.interpolate(film, size=pixels, mode="bilinear")
