"""BioViL-T's transformer over the patches of a film and of its prior (Bannur et al., CVPR 2023, arXiv:2301.04558).

The patches of both films are one sequence; each gets a sine position in its grid and a vector that says which film it
is from, added before every attention. What comes out at the patches of the current film is the change.

Differs: no dropout and no stochastic depth while training; the grid may have any size (published: 14 x 14).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 8
EPSILON = 1e-6


class Attention(nn.Module):
    """Self-attention of 8 heads; queries, keys and values without bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj_q, self.proj_k, self.proj_v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, n, d) -> (b, n, d)."""
        heads = [
            project(tokens).unflatten(2, (HEADS, -1)).transpose(1, 2)
            for project in (self.proj_q, self.proj_k, self.proj_v)
        ]
        mixed: Tensor = self.proj(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
        return mixed


class FeedForward(nn.Module):
    """Two layers, as wide inside as outside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, n, d) -> (b, n, d)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return out


class Block(nn.Module):
    """Pre-normalised attention and feed-forward layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, EPSILON), Attention(width)
        self.norm2, self.mlp = nn.LayerNorm(width, EPSILON), FeedForward(width)

    def forward(self, tokens: Tensor, where: Tensor) -> Tensor:
        """tokens (b, n, d); where (n, d): positions and film."""
        tokens = tokens + self.attn(self.norm1(tokens) + where)
        after: Tensor = tokens + self.mlp(self.norm2(tokens))
        return after


class ChangePooler(nn.Module):
    """See the module's docstring. Tensors have the published names."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(width) for _ in range(blocks)])
        self.norm_post = nn.LayerNorm(width, EPSILON)
        self.type_embed = nn.Parameter(torch.empty(2, 1, width))

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        init.trunc_normal_(self.type_embed, std=0.02)

    def forward(self, current: Tensor, prior: Tensor) -> Tensor:
        """Maps (b, d, g, g) of both films -> the change (b, d, g, g) at the patches of the current one."""
        rows, columns = current.shape[-2:]
        positions = sine_positions(current.shape[1], rows, columns).to(current)
        where = torch.cat([positions + self.type_embed[0], positions + self.type_embed[1]])
        tokens = torch.cat([current.flatten(2), prior.flatten(2)], dim=2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens, where)
        change: Tensor = self.norm_post(tokens)[:, : rows * columns]
        return change.transpose(1, 2).reshape(current.shape)


def sine_positions(width: int, rows: int, columns: int) -> Tensor:
    """(rows * columns, width): sines and cosines of the row, then of the column, from 1 to the last at 2 pi.

    The positions of DETR (Carion et al., ECCV 2020), normalised.
    """
    half = width // 2
    rates = 10000.0 ** (2 * (torch.arange(half) // 2) / half)

    def along(count: int) -> Tensor:
        angles = torch.arange(1, count + 1)[:, None] / (count + 1e-6) * (2 * math.pi) / rates
        return torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=2).flatten(1)

    by_row = along(rows)[:, None].expand(rows, columns, half)
    by_column = along(columns)[None].expand(rows, columns, half)
    return torch.cat([by_row, by_column], dim=2).flatten(0, 1)
