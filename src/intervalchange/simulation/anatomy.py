"""Who the patient is: body, cage, lungs, heart and bones as numbers, the same at every visit.

Patient frame, in centimetres: x to the patient's left, y towards the feet, z to the front; the origin lies in the
middle of the chest at about the sixth thoracic vertebra, at full inspiration.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import PchipInterpolator

CAGE_HEIGHTS = (-0.06, 0.0, 0.06, 0.13, 0.22, 0.32, 0.44, 0.58, 0.72, 0.86, 1.0, 1.3)
"""Height in the cage, 0 at the apex of the lung and 1 at the costophrenic angle."""
CAGE_WIDTHS = (0.40, 0.52, 0.655, 0.775, 0.87, 0.925, 0.962, 0.985, 0.997, 1.0, 0.985, 0.94)
"""Lateral border of the lung at these heights, as a fraction of the greatest half-width."""

CAGE_LEVELS = (-0.1, 0.0, 0.1, 0.3, 0.55, 0.8, 1.0, 1.3)
CAGE_DEPTHS = (0.3, 0.4, 0.55, 0.8, 0.97, 1.0, 0.97, 0.9)
"""Depth of the lung at these heights, as a fraction of the greatest."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One patient's healthy chest at full inspiration. Lengths in cm, angles in degrees."""

    female: bool
    age: float
    fat: float
    """Thickness of the chest wall outside the muscles."""
    width: float
    """Greatest inner half-width of the cage."""
    depth: float
    """Greatest inner half-depth of the cage."""
    apex: float
    """y of the lung apex."""
    dome: float
    """y of the top of the right diaphragm."""
    left_drop: float
    """How much lower the left dome stands."""
    recess: float
    """Height of the dome above the costophrenic angle."""
    roundness: float
    """Exponent of the dome; below 1 is boxy, above 1 is pointed."""
    taper: float
    """Above 1 narrows the upper cage."""
    tilt: float
    """Asymmetry of the two sides of the cage, as a fraction of its width."""
    lung_density: float
    """Density of aerated lung relative to water."""
    heart: float
    """Size of the heart relative to usual."""
    heart_axis: float
    """Long axis below the horizontal."""
    heart_shift: float
    """Of the heart to the patient's left."""
    mediastinum: float
    """Half-width of the upper mediastinum."""
    knob: float
    """Radius of the aortic arch."""
    unfolding: float
    """0 straight and slender aorta, 1 long and tortuous."""
    trachea: float
    """Shift of the trachea."""
    hilum: float
    """y of the hila."""
    ribs: float
    """Slope of the ribs relative to usual."""
    rib_height: float
    rib_phase: float
    """Shift of all ribs along y."""
    bone: float
    """Mineral content relative to usual."""
    cartilage: float
    """Calcification of costal cartilage, 0 to 1."""
    spine_sway: tuple[float, float, float]
    """Lateral curve of the spine: amplitude, phase in radians, period in cm."""
    spine_width: float
    clavicle_rise: float
    """How far the outer end stands above the inner."""
    clavicle: float
    """y of the inner end."""
    shoulder: float
    """x of the shoulder joint."""
    shoulder_y: float
    scapula: float
    """How far the scapulae are turned out of the lungs."""
    breast: float
    """Radius; 0 for none."""
    breast_x: float
    breast_y: float
    pectoral: float
    """Thickness of the pectoral muscle."""
    bubble: float
    """Radius of the gas in the stomach; 0 for none."""
    bubble_x: float
    vascularity: float
    vessel_seed: int
    texture_seed: int
    lift: tuple[float, float] = (0.0, 0.0)
    """Rise of the right and left dome above their place at full inspiration; 0 in a healthy patient."""
    heart_spread: float = 1.0
    """Widening of the heart by disease, breath or lying."""

    @property
    def angle(self) -> float:
        """y of the right costophrenic angle."""
        return self.dome + self.recess


def sample_anatomy(rng: np.random.Generator) -> Anatomy:
    """One patient of a wide range of build, age and sex."""
    female = bool(rng.random() < 0.47)
    age = float(np.clip(rng.normal(60, 17), 20, 93))
    old = (age - 20) / 70
    size = rng.normal(0.955 if female else 1.035, 0.05)
    fat = float(np.clip(rng.lognormal(0.4, 0.55), 0.5, 5.0))

    def spread(mean: float, deviation: float, reach: float = 2.2) -> float:
        return float(mean + deviation * np.clip(rng.normal(), -reach, reach))

    return Anatomy(
        female=female,
        age=age,
        fat=fat,
        width=spread(13.7, 0.85) * size,
        depth=spread(7.6, 0.6) * size + 0.12 * fat,
        apex=spread(-13.3, 0.85) * size,
        dome=spread(7.5, 1.3) * size - 0.35 * (fat - 1.4),
        left_drop=spread(1.0, 0.6),
        recess=spread(4.6, 0.75) * size,
        roundness=spread(1.0, 0.1),
        taper=spread(1.0, 0.2),
        tilt=spread(0.0, 0.025),
        lung_density=spread(0.25, 0.025),
        heart=spread(0.965, 0.065) * size * (0.97 + 0.06 * old),
        heart_axis=spread(34.0, 7.0) - 2.0 * (fat - 1.4),
        heart_shift=spread(0.2, 0.4),
        mediastinum=spread(2.35, 0.28) * size + 0.15 * old,
        knob=spread(1.35, 0.12) * size + 0.35 * old,
        unfolding=float(np.clip(0.42 * old * old + rng.normal(0, 0.06), 0, 0.45)),
        trachea=spread(-0.25, 0.25),
        hilum=spread(-0.6, 0.6),
        ribs=spread(1.0, 0.16),
        rib_height=spread(0.66, 0.06) * size,
        rib_phase=spread(0.0, 0.7),
        bone=float(np.clip(rng.normal(1.12 - 0.32 * old, 0.1), 0.6, 1.35)),
        cartilage=float(np.clip(rng.normal(0.7 * old - 0.1, 0.2), 0, 0.8)),
        spine_sway=(spread(0.3, 0.22), float(rng.uniform(0, 2 * np.pi)), spread(38.0, 6.0)),
        spine_width=spread(1.72, 0.12) * size,
        clavicle_rise=spread(2.7, 1.1),
        clavicle=spread(-10.6, 0.7) * size,
        shoulder=spread(17.0, 1.1) * size,
        shoulder_y=spread(-12.6, 1.1) * size,
        scapula=spread(0.0, 0.9),
        breast=spread(5.0, 0.8, 2.0) + 0.5 * fat if female else 0.0,
        breast_x=spread(8.6, 0.7) * size,
        breast_y=spread(4.2, 1.1) + 1.6 * old,
        pectoral=spread(1.1 if female else 1.7, 0.3),
        bubble=max(0.0, spread(1.3, 0.9)),
        bubble_x=spread(6.2, 1.0),
        vascularity=spread(1.0, 0.1),
        vessel_seed=int(rng.integers(2**62)),
        texture_seed=int(rng.integers(2**62)),
    )


@lru_cache(maxsize=4)
def _profile(heights: tuple[float, ...], values: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A smooth curve through a few points, tabulated finely: `numpy.interp` is far cheaper than the spline."""
    fine = np.linspace(heights[0], heights[-1], 400)
    return fine, PchipInterpolator(heights, values)(fine)


def cage_half_width(anatomy: Anatomy, y: np.ndarray, side: int = 0) -> np.ndarray:
    """Lateral border of the lung at heights y (n,), positive; side 0 right, 1 left."""
    height = (np.asarray(y, float) - anatomy.apex) / (anatomy.angle - anatomy.apex)
    shape = np.interp(height, *_profile(CAGE_HEIGHTS, CAGE_WIDTHS))
    lean = 1 + anatomy.tilt * (1 if side == 1 else -1)
    width: np.ndarray = anatomy.width * lean * shape**anatomy.taper
    return width


def cage_half_depth(anatomy: Anatomy, y: np.ndarray) -> np.ndarray:
    """Half-depth of the lungs at heights y (n,): shallow at the apex, deepest below the middle."""
    height = (np.asarray(y, float) - anatomy.apex) / (anatomy.angle - anatomy.apex)
    depth: np.ndarray = anatomy.depth * np.interp(height, *_profile(CAGE_LEVELS, CAGE_DEPTHS))
    return depth


def cage_centre_depth(anatomy: Anatomy, y: np.ndarray) -> np.ndarray:
    """z of the middle of the cage at heights y (n,): the apex lies further back."""
    height = np.clip((np.asarray(y, float) - anatomy.apex) / (anatomy.angle - anatomy.apex), 0, 1)
    return -2.6 * (1 - height) ** 1.6


def spine_offset(anatomy: Anatomy, y: np.ndarray) -> np.ndarray:
    """x of the spine at heights y (n,)."""
    amplitude, phase, period = anatomy.spine_sway
    height = np.asarray(y, float)
    # The neck comes back to the middle.
    neck = 1 - 0.85 * np.clip((anatomy.apex + 3 - height) / 9, 0, 1)
    return neck * amplitude * np.sin(2 * np.pi * height / period + phase)
