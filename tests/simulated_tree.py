"""A simulated cohort on disk together with the patients that it was written from."""

from __future__ import annotations

from pathlib import Path

import pytest

from intervalchange.simulation import cohort
from intervalchange.simulation.records import SimulatedPatient


def write_with_truth(
    out: Path, layout: str, splits: str, patients: int = 4, seed: int = 87, pixels: int = 64, quirks: bool = True
) -> tuple[Path, list[SimulatedPatient]]:
    """Simulate once, in this process, and keep what `simulate_patient` made: rendering twice would double the time."""
    made = []
    simulate_patient = cohort.simulate_patient

    def kept(*arguments: object, **options: object) -> SimulatedPatient:
        made.append(simulate_patient(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohort, "simulate_patient", kept)
        root = cohort.simulate(out, patients, seed, layout, pixels, splits, workers=1, progress=False, quirks=quirks)
    assert [patient.index for patient in made] == list(range(patients))
    return root, made
