"""Where in a film an answer comes from: gradient times activation of its likelihood on a feature map."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def activation_attribution(likelihood: Tensor, films: Tensor) -> list[dict[str, np.ndarray] | None]:
    """Heat of the current films, {"change": (g, g) in [0, 1]} each.

    likelihood: (b), made from `films`. films: (2b, c, g, g), the maps of all priors, then of all currents.
    None where the map says nothing: no gradient, or the same everywhere.
    """
    (gradient,) = torch.autograd.grad(likelihood.sum(), films)
    current = (gradient * films).chunk(2)[1]
    attribution = current.sum(dim=1).clamp(min=0).detach().float().cpu().numpy()
    return [{"change": one / one.max()} if one.max() > one.min() else None for one in attribution]
