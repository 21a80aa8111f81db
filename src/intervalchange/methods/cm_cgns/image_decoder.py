"""From tokens on a grid back to a film: the decoder of a reconstruction."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.encoders import sincos_2d


class ImageDecoder(nn.Module):
    """Tokens of the film and what was read at each place -> pixels.

    With `layers`, a transformer first lets the places look at each other and at what was read, each layer with weights
    of its own; then both are set side by side, and convolutions double the side until it is that of the film. The last
    layer is a plain convolution: it paints below zero as well as above.
    """

    def __init__(self, width: int, paint_width: int, stride: int, *, layers: int, heads: int) -> None:
        """stride: pixels of a place, a power of two; each doubling halves the channels, to 8 at least."""
        super().__init__()
        self.mixer = None
        if layers:
            layer = nn.TransformerDecoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
            self.mixer = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(width))
        steps: list[nn.Module] = []
        inward, outward = 2 * width, paint_width
        for _ in range(round(math.log2(stride))):
            steps += [nn.Conv2d(inward, outward, 3, padding=1), nn.ReLU()]
            steps += [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)]
            inward, outward = outward, max(8, outward // 2)
        self.steps = nn.Sequential(*steps, nn.Conv2d(inward, 1, 3, padding=1, bias=False))
        # Added by itself: its gradient is a sum over all pixels, which a convolution adds up one by one in single
        # precision, so that it would depend on how films are shared out over processes.
        self.grey = nn.Parameter(torch.empty(()))

    def draw_weights(self, init: ModuleType) -> None:
        """See `Method._init_weights`. It begins with almost the mean grey."""
        init.normal_(self.steps[-1].weight, std=0.02)
        init.zeros_(self.grey)

    def forward(self, tokens: Tensor, read: Tensor, grid: tuple[int, int], pixels: tuple[int, int]) -> Tensor:
        """(b, n, d), (b, n, d) on a grid of n places -> (b, 1, h, w)."""
        if self.mixer is not None:
            tokens = self.mixer(tokens + sincos_2d(tokens.shape[-1], *grid, like=tokens), read)
        both = torch.cat([tokens, read], dim=-1).transpose(1, 2).unflatten(2, grid)
        painted: Tensor = self.steps(both) + self.grey
        if painted.shape[-2:] != pixels:
            painted = F.interpolate(painted, size=pixels, mode="bilinear", align_corners=False)
        return painted
