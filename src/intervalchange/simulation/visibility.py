"""Which findings a reader could see: the rule that turns latent severity into labels."""

from types import MappingProxyType

import numpy as np

from intervalchange.simulation import film
from intervalchange.simulation.anatomy import Anatomy
from intervalchange.simulation.rendering import Exposure, depths_without
from intervalchange.simulation.scene import REFERENCE, State

CNR_THRESHOLD = 3.0
"""A finding is labelled when its contrast-to-noise ratio on the standard film exceeds this."""

CLUTTER = 0.05
"""Anatomical noise: deviation of the film density by vessels and ribs over a finding's area."""

SEARCH_AREA_CM2 = MappingProxyType(
    {
        "pleural effusion": 60.0,
        "atelectasis": 70.0,
        "cardiomegaly": 190.0,
        "edema": 300.0,
        "hernia": 10.0,
        "pneumothorax": 45.0,
        "lung opacity": 80.0,
        "scoliosis": 380.0,
        "gastric distention": 150.0,
        "tortuosity of the thoracic aorta": 50.0,
        "emphysema": 700.0,
        "granuloma": 0.6,
        "consolidation": 130.0,
        "fracture": 6.0,
    }
)
"""Area of clutter a reader weighs each finding against. Wide where healthy people differ in the same way, so that a
heart a little larger than it might have been is no finding; chosen so that a finding on the threshold can just be found
by eye without its counterpart (docs/decisions/006)."""


def visible(anatomy: Anatomy, state: State, pixels: int = 256) -> dict[str, float]:
    """Contrast-to-noise ratio of every finding in `state`, on the noise-free standard PA film with and without it.

    The ratio is the root of the squared change of film density, integrated over the film, over that of the clutter
    in the finding's search area. Depends on nothing but anatomy, lesions and `pixels`; devices are left out.
    """
    size = max(pixels // 2, 64)
    exposure = Exposure.of(anatomy, State(lesions=state.lesions), REFERENCE)
    area = (REFERENCE.field_cm / size) ** 2
    ratios = {}
    for name, (full, rest) in depths_without(exposure, size).items():
        change = _density(full) - _density(rest)
        ratios[name] = float(np.sqrt((change**2).sum() * area / SEARCH_AREA_CM2[name]) / CLUTTER)
    return ratios


def _density(depth: np.ndarray) -> np.ndarray:
    """Film density before the display curve, (h, w)."""
    density: np.ndarray = -np.log(np.maximum(film.detected(depth, REFERENCE), 1e-4))
    return density
