"""A pre-norm transformer that can continue a sequence: one set of weights for reading it at once and word by word.

What was read is kept as the keys and values of every block, so a sequence whose first part never attends to its second
(a prefix language model) is computed part by part, in training as in answering.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Memory:
    """What a stack has read of b sequences of m tokens."""

    blocks: tuple[tuple[Tensor, Tensor], ...]
    """Of each block, keys and values (b, heads, m, d / heads)."""
    mask: Tensor
    """(b, m) bool: True where a later token may attend."""

    def first(self, tokens: int) -> Memory:
        """The memory of the first so many tokens."""
        blocks = tuple((keys[:, :, :tokens], values[:, :, :tokens]) for keys, values in self.blocks)
        return Memory(blocks, self.mask[:, :tokens])


class PreNormBlock(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)), ReLU inside. Dropout also on the attention weights."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.enter, self.leave = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, visible: Tensor, read: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x: (b, t, d). read: keys and values of m earlier tokens. visible: (b, 1 or t, m + t) bool.

        Returns x (b, t, d), and keys and values of all m + t tokens.
        """
        queries, keys, values = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.enter(self.norms[0](x)).chunk(3, -1)
        )
        if read is not None:
            keys, values = (torch.cat(pair, dim=2) for pair in ((read[0], keys), (read[1], values)))
        rate = self.rate if self.training else 0.0
        mask = visible.unsqueeze(1).expand(-1, 1, queries.shape[2], -1)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, dropout_p=rate)
        x = x + self.dropout(self.leave(mixed.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feedforward(self.norms[1](x))), (keys, values)


class PrefixStack(nn.Module):
    """A norm of the input, then `layers` blocks; nothing is normalised at the end."""

    def __init__(self, width: int, layers: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(PreNormBlock(width, heads, feedforward, dropout) for _ in range(layers))

    def forward(self, x: Tensor, mask: Tensor, memory: Memory | None = None, within: Tensor | None = None) -> Reading:
        """x: (b, t, d). mask: (b, t) bool, True for tokens that others may attend to.

        Every token attends to all of `memory` and, of x, to what `within` (t, t) says: True where row i may attend to
        column j; where it is None, to everything. Each token must be able to attend to one.
        """
        visible = mask[:, None, :]
        if within is not None:
            visible = visible & within
        if memory is not None:
            visible = torch.cat([memory.mask[:, None, :].expand(-1, visible.shape[1], -1), visible], dim=2)
        x, blocks = self.norm(x), []
        for index, block in enumerate(self.blocks):
            x, keys_values = block(x, visible, None if memory is None else memory.blocks[index])
            blocks.append(keys_values)
        masks = mask if memory is None else torch.cat([memory.mask, mask], dim=1)
        return Reading(x, Memory(tuple(blocks), masks))


@dataclass(frozen=True)
class Reading:
    """What a stack made of a sequence."""

    hidden: Tensor
    """(b, t, d)."""
    memory: Memory
    """Of these tokens and all before them."""


def sinusoid(positions: Tensor, width: int) -> Tensor:
    """Fixed sine-cosine positions (Vaswani et al. 2017): (...) -> (..., width), width even."""
    rates = torch.arange(width // 2, device=positions.device, dtype=torch.float32) * (-math.log(10000.0) * 2 / width)
    angles = positions.float().unsqueeze(-1) * rates.exp()
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
