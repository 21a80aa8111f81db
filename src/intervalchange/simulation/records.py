"""The records of a simulated patient, which every layout writes in the form of its data set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from intervalchange.data.extraction.account import Account
from intervalchange.records import Study
from intervalchange.simulation.anatomy import Anatomy
from intervalchange.simulation.course import Visit
from intervalchange.simulation.scene import RenderedFilm


@dataclass(frozen=True)
class SimulatedStudy:
    """One visit: what its report says, what is true of it, and its film."""

    account: Account
    dicom_id: str
    visit: Visit
    acquired: datetime
    severity: dict[str, float]
    """Finding -> latent severity, also where it is too faint to be seen."""
    cnr: dict[str, float]
    """Finding -> contrast-to-noise on the noise-free standard film."""
    film: RenderedFilm | None = None

    @property
    def study(self) -> Study:
        return self.account.study


@dataclass(frozen=True)
class SimulatedPatient:
    """One patient with all visits in time order."""

    patient_id: str
    seed: int
    index: int
    reason: str
    anatomy: Anatomy
    """Healthy, as sampled."""
    studies: tuple[SimulatedStudy, ...]

    def generator(self, *key: int) -> np.random.Generator:
        """Randomness of this patient alone; each layout has keys of its own."""
        return patient_generator(self.seed, self.index, *key)


def patient_generator(seed: int, index: int, *key: int) -> np.random.Generator:
    """Randomness of patient `index` of cohort `seed`, independent of what other keys give."""
    return np.random.default_rng(np.random.SeedSequence([seed, index], spawn_key=key))
