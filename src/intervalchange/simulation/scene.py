"""What is in front of the X-ray tube and what comes out: the records shared by the simulator's parts.

Anatomy is fixed for a patient, a `State` for a visit, an `Acquisition` for one exposure. Each has a seed of its
own, so that one can be held while another moves.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Side = Literal["left", "right", "both", ""]
"""The patient's side (the patient's left is on the right of the film)."""


@dataclass(frozen=True, slots=True)
class Lesion:
    """One finding at one visit.

    The same lesion keeps its `seed` over a patient's visits, so that it grows or shrinks in place.
    """

    finding: str
    """Name in `intervalchange.findings.FINDINGS`."""
    severity: float
    """Latent extent, 0 < severity <= 1."""
    side: Side = ""
    """Where it has a side."""
    zone: Literal["upper", "middle", "lower", ""] = ""
    """Lung zone, where the finding has one."""
    type: str = ""
    """One of `findings.TYPES`, such as "patchy", or empty."""
    seed: int = 0
    """Place and shape inside side and zone."""


@dataclass(frozen=True, slots=True)
class ForeignObject:
    """Something left on the patient that hides the chest. Its seed says where it lies and how it is made."""

    kind: str
    """One of `foreign_objects.KINDS`."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is ill, or attached, at one visit."""

    lesions: tuple[Lesion, ...] = ()
    devices: tuple[str, ...] = ()
    """Unlabelled nuisance: "leads", "endotracheal tube", "central line", "pacemaker"."""
    objects: tuple[ForeignObject, ...] = ()
    """Only in the layouts that label them."""

    def severity(self, finding: str) -> float:
        """Largest latent severity of a finding, 0 where there is none."""
        return max((lesion.severity for lesion in self.lesions if lesion.finding == finding), default=0.0)


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One exposure: geometry, breath and film chain. Never changes a label."""

    view: Literal["PA", "AP"] = "PA"
    source_distance_cm: float = 180.0
    """Tube to detector: 180 for PA, 100 for bedside AP."""
    yaw_deg: float = 0.0
    """Rotation of the patient about the long axis."""
    roll_deg: float = 0.0
    """Rotation in the plane of the film."""
    tilt_deg: float = 0.0
    """Lordotic tilt, about the left-right axis."""
    inspiration: float = 1.0
    """Depth of breath: 1 full, 0 expiration. Raises the diaphragm and widens the heart."""
    shift_cm: tuple[float, float] = (0.0, 0.0)
    """Centring error on the film, right and down."""
    field_cm: float = 40.0
    """Side of the square field of view at the detector."""
    exposure: float = 0.0
    """Log exposure error; brighter or darker film before windowing."""
    scatter: float = 0.35
    """Scattered fraction of the detected signal."""
    noise: float = 1.0
    """Quantum noise relative to a usual film; 0 for the noise-free reference."""
    gamma: float = 1.0
    """Contrast of the display curve."""
    detail: float = 1.0
    """Strength of the vendor's edge and detail boost; 0 for none."""
    style: Literal["a", "b"] = "a"
    """Film chain and texture; b is withheld from training."""
    seed: int = 0
    """Noise and small irregularities of this exposure."""


REFERENCE = Acquisition(noise=0.0)
"""The noise-free standard PA film on which visibility is judged."""


@dataclass(frozen=True)
class RenderedFilm:
    """A rendered radiograph with its exact truth, all in the same (h, w) pixel frame."""

    pixels: np.ndarray
    """(h, w) float32 in [0, 1], white = dense."""
    lung: np.ndarray
    """(h, w) bool: projection of the two lungs, collapsed or not."""
    opacity: np.ndarray
    """(h, w) float32 in [0, 1]: fraction of the X-ray path through the lung field taken by abnormal density
    (effusion, consolidation, opacity, edema, atelectasis); 0 outside the lung field and when healthy."""
    finding_masks: dict[str, np.ndarray] = field(default_factory=dict)
    """Finding name -> (h, w) bool."""
    object_masks: tuple[np.ndarray, ...] = ()
    """(h, w) bool of each foreign object, in the order of the state."""
    region_boxes: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    """Anatomy name of Chest ImaGenome -> (x1, y1, x2, y2) in pixels; a region out of view is missing."""
