"""Which findings a reader could see: the rule that turns latent severity into labels."""

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

from intervalchange.simulation import film
from intervalchange.simulation.anatomy import Anatomy
from intervalchange.simulation.rendering import Exposure, solid_depth, without
from intervalchange.simulation.scene import REFERENCE, State

CNR_THRESHOLD = 3.0
"""A finding is labelled when its contrast-to-noise ratio on the standard film exceeds this."""


def visible(anatomy: Anatomy, state: State, pixels: int = 256) -> dict[str, float]:
    """Contrast-to-noise ratio of every finding in `state`, on the noise-free standard PA film with and without it."""
    names = list(dict.fromkeys(lesion.finding for lesion in state.lesions))
    if not names:
        return {}
    size = max(pixels // 2, 64)
    devoid = State(lesions=state.lesions)
    full = _density(Exposure.of(anatomy, devoid, REFERENCE), size)
    return {
        name: _contrast(full, _density(Exposure.of(anatomy, without(devoid, name), REFERENCE), size)) for name in names
    }


def _density(exposure: Exposure, size: int) -> np.ndarray:
    signal = film.detected(solid_depth(exposure, size), REFERENCE)
    return -np.log(np.maximum(signal, 1e-4))


def _contrast(present: np.ndarray, absent: np.ndarray) -> float:
    return float(np.abs(present - absent).max())
