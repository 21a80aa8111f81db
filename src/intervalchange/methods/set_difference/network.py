"""The parts of set_difference's network: what a film shows, and what one film shows that another does not.

n films, f findings, d width, g grid.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.pyramid import StridedResidualBlock


@dataclass(frozen=True)
class FilmEncoding:
    """The outputs of the network for n films."""

    features: Tensor
    """(n, d, g, g)"""
    whole: Tensor
    """(n, c) mean of the coarsest map of the trunk."""
    maps: Tensor
    """(n, f, g, g) logits of each finding at each location."""
    findings: Tensor
    """(n, f) logits of presence."""
    severity: Tensor
    """(n, f) on the scale of the cuts between levels."""
    opacity: Tensor
    """(n, 1, g, g) logits of the share of the path taken by abnormal density."""

    def halves(self) -> tuple[FilmEncoding, FilmEncoding]:
        """The first n / 2 films and the last."""
        first, second = zip(*(getattr(self, field.name).chunk(2) for field in fields(self)), strict=True)
        return FilmEncoding(*first), FilmEncoding(*second)

    def at(self, films: Tensor) -> FilmEncoding:
        """The films at these indices."""
        return FilmEncoding(*(getattr(self, field.name)[films] for field in fields(self)))


class Pooling(nn.Module):
    """(n, f, g, g) logits of locations -> (n, f) logits of the film: a smooth maximum.

    Log-mean-exp with a learned sharpness (Pinheiro and Collobert, CVPR 2015): one location is enough, more raise the
    probability. Presence is computed from the map alone, so the map shows every finding that the film is given.
    """

    def __init__(self, findings: int) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.empty(findings))
        self.scale = nn.Parameter(torch.empty(findings))
        self.shift = nn.Parameter(torch.empty(findings))

    def draw_weights(self, init: Any) -> None:
        """All findings start at sharpness and scale softplus(1) = 1.3, without a shift."""
        init.constant_(self.sharpness, 1.0)
        init.constant_(self.scale, 1.0)
        init.zeros_(self.shift)

    def forward(self, maps: Tensor) -> Tensor:
        sharpness, scale = F.softplus(self.sharpness), F.softplus(self.scale)
        logits = maps.float().flatten(2)
        peak = torch.logsumexp(sharpness[:, None] * logits, dim=-1) - np.log(logits.shape[-1])
        pooled: Tensor = scale * peak / sharpness + self.shift
        return pooled


class PairBranch(nn.Module):
    """h(first, second): what is on `first` and not on `second`, location by location."""

    def __init__(self, width: int, findings: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3 * width, width, 1)
        self.block = StridedResidualBlock(width, width)
        self.maps = nn.Conv2d(width, findings, 1)
        self.pooling = Pooling(findings)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Features (b, d, g, g) of two films -> logits of the maps (b, f, g, g) and of the pair (b, f)."""
        features = self.block(F.relu(self.mix(torch.cat([first, second, first - second], dim=1))))
        maps = self.maps(features)
        return maps, self.pooling(maps)


def rank_probabilities(severity: Tensor, cuts: Tensor) -> Tensor:
    """Severities (n, f) and cuts (f, 3) -> (n, f, 4): probabilities of the ranks 1 to 4 of a finding that is present.

    Cuts that have crossed in training are sorted.
    """
    above = torch.sigmoid(severity[..., None] - cuts.sort(dim=-1).values)
    ones, zeros = torch.ones_like(above[..., :1]), torch.zeros_like(above[..., :1])
    return torch.cat([ones, above], dim=-1) - torch.cat([above, zeros], dim=-1)
