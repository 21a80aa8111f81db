"""Where in a film an answer comes from: gradient times activation of its log-probability on a feature map."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def activation_attribution(films: Tensor, gradient: Tensor) -> list[dict[str, np.ndarray] | None]:
    """Attribution maps of the current films, {"change": (g, g) in [0, 1]} each.

    films: (2b, c, g, g), the maps of all priors, then of all currents; gradient: of the log-probabilities, likewise.
    None where the map says nothing: no gradient, or the same everywhere.
    """
    current = (gradient * films).chunk(2)[1]
    maps = current.sum(dim=1).clamp(min=0).detach().float().cpu().numpy()
    return [{"change": map_ / map_.max()} if map_.max() > map_.min() else None for map_ in maps]
