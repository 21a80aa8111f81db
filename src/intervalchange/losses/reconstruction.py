"""Films painted from what is left of their features and from the report (CM-CGNS, second stage).

n = g * g places of a film of h x w pixels, row by row.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def hidden_places(lots: Tensor, ratio: float) -> Tensor:
    """(b, n) numbers in [0, 1) -> (b, n) bool: in each film the round(ratio * n) places of the smallest numbers."""
    count = round(ratio * lots.shape[1])
    rank = lots.argsort(dim=1).argsort(dim=1)
    return rank < count


def painted_error(painted: Tensor, films: Tensor, hidden: Tensor | None, total: Tensor) -> Tensor:
    """Mean absolute difference of (b, 1, h, w) painted and true pixels: scalar.

    hidden: (b, g, g) bool, the places whose pixels count; None for all. total: how many films a process has.
    """
    return film_errors(painted, films, hidden).sum() / total.clamp(min=1)


def film_errors(painted: Tensor, films: Tensor, hidden: Tensor | None = None) -> Tensor:
    """(b): the mean absolute difference within each film, over the pixels of its hidden places; 0 where none is."""
    error = (painted.float() - films.float()).abs()
    if hidden is None:
        return error.flatten(1).mean(1)
    weight = F.interpolate(hidden[:, None].to(error.dtype), size=error.shape[-2:], mode="nearest")
    return (error * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)


def bounded(raw: Tensor, output: str, span: float) -> Tensor:
    """A decoder's last map -> pixels of a standardised film: `linear`, or `tanh` within -span and span deviations.

    Never through ReLU, as published: the pixels darker than mid-grey were out of reach.
    """
    return span * torch.tanh(raw / span) if output == "tanh" else raw
