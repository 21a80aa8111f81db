"""Regions of the anatomy on a film, without proposals or matching: one learned query for each.

Each region occurs at most once on a film, so query i always stands for region i: where it is, whether it is there, and
a vector of how it appears. A crop of the feature map around its box then says which findings are in it.

Boxes are x1, y1, x2, y2 as shares of the side of the square film, origin top left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.encoders import sincos_2d
from intervalchange.blocks.pyramid import FeaturePyramid


@dataclass(frozen=True)
class RegionView:
    """What is known of the regions of b films. r regions, d width, f findings."""

    boxes: Tensor
    """(b, r, 4) in [0, 1]."""
    presence: Tensor
    """(b, r) logits that the region is on the film."""
    anatomy: Tensor
    """(b, r, d) what the query found."""
    disease: Tensor
    """(b, r, d) what the crop shows."""
    findings: Tensor
    """(b, r, f) logits that the finding is in the region."""

    def packed(self) -> Tensor:
        """(b, r, 5 + 2d + f): everything in one tensor, as the region store keeps it."""
        return torch.cat([self.boxes, self.presence.unsqueeze(-1), self.anatomy, self.disease, self.findings], dim=-1)

    @classmethod
    def unpacked(cls, packed: Tensor, width: int) -> RegionView:
        """The inverse of `packed`."""
        findings = packed.shape[-1] - 5 - 2 * width
        boxes, presence, anatomy, disease, logits = packed.split([4, 1, width, width, findings], dim=-1)
        return cls(boxes, presence.squeeze(-1), anatomy, disease, logits)

    def half(self, second: bool) -> RegionView:
        """The first or the second half of the films."""
        fields = (self.boxes, self.presence, self.anatomy, self.disease, self.findings)
        return RegionView(*(field.chunk(2)[int(second)] for field in fields))


class RegionQueries(nn.Module):
    """Boxes, presence and a vector for each of r regions, from a feature map.

    One learned query per region reads the map through `layers` decoder layers. A box is the region's usual location
    (learned) plus what the query adds to it.
    """

    def __init__(self, regions: int, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(regions, width))
        self.usual = nn.Parameter(torch.empty(regions, 4))
        layer = nn.TransformerDecoderLayer(width, heads, 2 * width, dropout, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(width))
        self.box = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))
        self.presence = nn.Linear(width, 1)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`. Boxes start in the middle of the film, half its side."""
        init.normal_(self.queries, std=1.0)
        init.zeros_(self.usual)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(b, d, g, g) -> boxes (b, r, 4), presence logits (b, r), vectors (b, r, d)."""
        _, width, rows, columns = features.shape
        memory = features.flatten(2).transpose(1, 2)
        memory = memory + sincos_2d(width, rows, columns, like=memory)
        vectors = self.decoder(self.queries.expand(len(features), -1, -1), memory)
        centre, size = torch.sigmoid((self.box(vectors) + self.usual).float()).chunk(2, dim=-1)
        boxes = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
        return boxes, self.presence(vectors).squeeze(-1), vectors


def crop_regions(features: Tensor, boxes: Tensor, cells: int, samples: int = 2) -> Tensor:
    """RoI-align: the map inside each box, (b, d, h, w) and (b, r, 4) -> (b, r, d, cells, cells).

    Each cell is the mean of samples x samples bilinear readings (He et al., ICCV 2017). x runs along the columns: the
    first cells are those of the left, upper corner. Outside the map the border repeats. Gradients reach map and boxes.
    """
    side = cells * samples
    steps = (torch.arange(side, device=boxes.device, dtype=boxes.dtype) + 0.5) / side
    x = boxes[..., 0, None] + steps * (boxes[..., 2] - boxes[..., 0]).unsqueeze(-1)
    y = boxes[..., 1, None] + steps * (boxes[..., 3] - boxes[..., 1]).unsqueeze(-1)
    count, regions = boxes.shape[:2]
    columns = x[:, :, None, :].expand(-1, -1, side, -1)
    rows = y[:, :, :, None].expand(-1, -1, -1, side)
    grid = torch.stack([columns, rows], dim=-1).reshape(count, regions * side, side, 2) * 2 - 1
    read = F.grid_sample(features.float(), grid.float(), mode="bilinear", padding_mode="border", align_corners=False)
    crops = F.avg_pool2d(read, samples) if samples > 1 else read
    by_region: Tensor = crops.unflatten(2, (regions, cells)).transpose(1, 2)
    return by_region.to(features.dtype)


class RegionDiseases(nn.Module):
    """Which findings are in each region: the crop's vector f, then a linear layer on f + e, e learned for each region.

    The vector that is handed on is f alone, as in C2F.
    """

    def __init__(self, regions: int, findings: int, width: int, cells: int, margin: float, dropout: float) -> None:
        super().__init__()
        self.cells, self.margin = cells, margin
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.vector = nn.Linear(width * cells * cells, width)
        self.region = nn.Parameter(torch.empty(regions, width))
        self.findings = nn.Linear(width, findings)
        self.dropout = nn.Dropout(dropout)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        init.normal_(self.region, std=0.02)

    def forward(self, features: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """(b, d, g, g), (b, r, 4) -> vectors (b, r, d), logits (b, r, f). Boxes grow by `margin` of their sides."""
        sides = (boxes[..., 2:] - boxes[..., :2]).repeat(1, 1, 2)
        signs = boxes.new_tensor([-1.0, -1.0, 1.0, 1.0])
        crops = crop_regions(features, boxes + self.margin * signs * sides, self.cells)
        count, regions = crops.shape[:2]
        mixed = F.relu(self.mix(crops.flatten(0, 1)))
        vectors = self.vector(mixed.flatten(1)).unflatten(0, (count, regions))
        return vectors, self.findings(self.dropout(F.relu(vectors + self.region)))


class RegionVision(nn.Module):
    """From films to regions: a convolutional trunk (stride 8), one query and one crop per region."""

    def __init__(
        self,
        regions: int,
        findings: int,
        *,
        widths: tuple[int, ...],
        width: int,
        depth: int,
        layers: int,
        heads: int,
        cells: int,
        margin: float,
        dropout: float,
        diseases: bool,
    ) -> None:
        super().__init__()
        self.encoder = FeaturePyramid(widths, width, depth)
        self.anatomy = RegionQueries(regions, width, layers, heads, dropout)
        self.diseases = RegionDiseases(regions, findings, width, cells, margin, dropout) if diseases else None
        self.kinds = findings

    def forward(self, films: Tensor) -> tuple[RegionView, Tensor]:
        """(b, 1, h, w) -> regions, and the map (b, d, g, g). Without a disease head its fields are zeros."""
        features = self.encoder(films)
        boxes, presence, vectors = self.anatomy(features)
        if self.diseases is None:
            nothing = vectors.new_zeros(*vectors.shape[:2], self.kinds)
            return RegionView(boxes, presence, vectors, torch.zeros_like(vectors), nothing), features
        disease, findings = self.diseases(features, boxes)
        return RegionView(boxes, presence, vectors, disease, findings), features
