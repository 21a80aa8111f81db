"""Reconstruction of films from the features that are left and from the report (CM-CGNS, second stage).

n = g * g patches of a film of h x w pixels, row by row.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def hidden_patches(uniforms: Tensor, ratio: float) -> Tensor:
    """(b, n) numbers in [0, 1) -> (b, n) bool: in each film the round(ratio * n) patches of the smallest numbers."""
    count = round(ratio * uniforms.shape[1])
    rank = uniforms.argsort(dim=1).argsort(dim=1)
    return rank < count


def reconstruction_error(reconstruction: Tensor, films: Tensor, hidden: Tensor | None, total: Tensor) -> Tensor:
    """Mean absolute difference of (b, 1, h, w) reconstructed and target pixels: scalar.

    hidden: (b, g, g) bool, the patches whose pixels count; None for all. total: the films per process.
    """
    return film_errors(reconstruction, films, hidden).sum() / total.clamp(min=1)


def film_errors(reconstruction: Tensor, films: Tensor, hidden: Tensor | None = None) -> Tensor:
    """(b): the mean absolute difference within each film, over the pixels of its hidden patches; 0 where none is."""
    error = (reconstruction.float() - films.float()).abs()
    if hidden is None:
        return error.flatten(1).mean(1)
    weight = F.interpolate(hidden[:, None].to(error.dtype), size=error.shape[-2:], mode="nearest")
    return (error * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)


def bounded(raw: Tensor, output: str, span: float) -> Tensor:
    """A decoder's last map -> pixels of a standardised film: `linear`, or `tanh` within -span and span deviations.

    Not through ReLU, as published, with which pixels darker than mid-grey cannot be reached.
    """
    return span * torch.tanh(raw / span) if output == "tanh" else raw
