"""The film side of CM-CGNS, after the image encoder: patches and one vector per film in the common space.

b films, n patches, c channels of the encoder, d width of the space.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.projection import FirstBatchNorm
from intervalchange.methods.cm_cgns.cross_modal import AttentionPool, UnitVectors
from intervalchange.methods.cm_cgns.heads import HeadKind, head, projected


@dataclass(frozen=True)
class FilmEncoding:
    """Films in the common space."""

    patches: Tensor
    """(b, n, d), each of length 1 but with `unit_parts` off."""
    vector: Tensor
    """(b, d) of length 1."""
    attention: Tensor | None = None
    """(b, n): how much the class token attends to each patch in the last layer, where that is asked of the encoder."""


class FilmHead(nn.Module):
    """Tokens of the image encoder -> patches and vector."""

    def __init__(
        self,
        in_width: int,
        width: int,
        *,
        standardise: bool,
        patches: HeadKind | None,
        projection: HeadKind | None,
        pool_heads: int,
        tokens: int,
        patch_width: int = 0,
        hidden: int = 0,
        unit_parts: bool = True,
    ) -> None:
        """patches: their projection, None where no term needs them in the common space. projection: of the film's
        vector; None where no term needs one, and the vector is then the mean patch. pool_heads: of the attention over
        the `tokens` of a film that makes a vector of them; 0 for their mean. patch_width: channels of the map that
        patches are taken from, where it is another than that of the vector. hidden: width inside the projections."""
        super().__init__()
        self.norm = FirstBatchNorm(in_width) if standardise else nn.Identity()
        self.patch_norm = FirstBatchNorm(patch_width) if standardise and patch_width else nn.Identity()
        self.patch_projection = head(patches, patch_width or in_width, width, hidden) if patches else None
        self.pool = AttentionPool(in_width, pool_heads, tokens) if pool_heads else None
        self.projection: nn.Module | None = None
        if projection is not None:
            made = head(projection, in_width, width, hidden)
            self.projection = nn.Sequential(made) if isinstance(made, nn.Linear) else made
        self.unit_parts = unit_parts
        self.unit_patches, self.unit_vector = (
            UnitVectors(width, standardise and kind != "mlp_norm" and unit)
            for kind, unit in ((patches, unit_parts), (projection, True))
        )

    def forward(self, tokens: Tensor, class_token: Tensor | None, local: Tensor | None = None) -> FilmEncoding:
        """(b, m, c), (b, c) where the encoder has a class token, and the tokens (b, n, c') that patches are made of,
        where they are others -> films in the common space."""
        tokens = self.norm(tokens)
        local = tokens if local is None else self.patch_norm(local)
        if self.patch_projection is None:
            patches = F.normalize(local, dim=-1)
        else:
            patches = projected(self.patch_projection, local)
            patches = self.unit_patches(patches) if self.unit_parts else patches
        if self.projection is None:
            return FilmEncoding(patches, F.normalize(patches.mean(1), dim=-1))
        if class_token is None:
            class_token = tokens.mean(1) if self.pool is None else self.pool(tokens)
        return FilmEncoding(patches, self.unit_vector(projected(self.projection, class_token)))
