"""The film side of CM-CGNS, after the image encoder: patches and one vector per film in the common space.

b films, n patches, c channels of the encoder, d width of the space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.projection import FirstBatchNorm
from intervalchange.methods.cm_cgns.cross_modal import AttentionPool, UnitVectors


@dataclass(frozen=True)
class FilmEncoding:
    """Films in the common space."""

    patches: Tensor
    """(b, n, d), each of length 1."""
    vector: Tensor
    """(b, d) of length 1."""


class FilmHead(nn.Module):
    """Tokens of the image encoder -> patches and vector."""

    def __init__(
        self,
        in_width: int,
        width: int,
        *,
        standardise: bool,
        patches: bool,
        projection: Literal["linear", "mlp"] | None,
        pool_heads: int,
        tokens: int,
    ) -> None:
        """patches: whether any term needs them in the common space. projection: of the film's vector; None where no
        term needs one, and the vector is then the mean patch. pool_heads: of the attention over the `tokens` of a film
        that makes a vector of them; 0 for their mean."""
        super().__init__()
        self.norm = FirstBatchNorm(in_width) if standardise else nn.Identity()
        self.patch_projection = nn.Linear(in_width, width) if patches else None
        self.pool = AttentionPool(in_width, pool_heads, tokens) if pool_heads else None
        self.projection: nn.Sequential | None = None
        if projection is not None:
            inner = [nn.Linear(in_width, in_width), nn.ReLU()] if projection == "mlp" else []
            self.projection = nn.Sequential(*inner, nn.Linear(in_width, width))
        self.unit_patches, self.unit_vector = (UnitVectors(width, standardise) for _ in range(2))

    def forward(self, tokens: Tensor, class_token: Tensor | None) -> FilmEncoding:
        """(b, n, c), (b, c) where the encoder has a class token -> films in the common space."""
        tokens = self.norm(tokens)
        if self.patch_projection is None:
            patches = F.normalize(tokens, dim=-1)
        else:
            patches = self.unit_patches(self.patch_projection(tokens))
        if self.projection is None:
            return FilmEncoding(patches, F.normalize(patches.mean(1), dim=-1))
        if class_token is None:
            class_token = tokens.mean(1) if self.pool is None else self.pool(tokens)
        return FilmEncoding(patches, self.unit_vector(self.projection(class_token)))
