"""What an image encoder returns, whatever the encoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

Shape = tuple[tuple[int, int], ...]
"""(width, stride) of the maps of an encoder, fine to coarse."""


@dataclass(frozen=True)
class Features:
    """What an image encoder returns."""

    map: Tensor
    """(b, c, g, g)."""
    token: Tensor | None = None
    """(b, c), the class token of an encoder that has one."""
    attention: Tensor | None = None
    """(b, n): attention of the class token to each patch in the last layer, where that was asked for."""

    @property
    def tokens(self) -> Tensor:
        """(b, n, c), row by row."""
        return self.map.flatten(2).transpose(1, 2)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        return self.map.shape[-2], self.map.shape[-1]
