"""Trees of the benchmarks on pairs, simulated once a test session and broken in copies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from intervalchange.records import Case
from intervalchange.simulation import cohort
from intervalchange.simulation.records import SimulatedPatient

PATIENTS, SEED, PIXELS = 4, 17, 64
"""Two of the patients have five studies, two have two."""
Rows = list[dict[str, object]]


@cache
def patients() -> tuple[SimulatedPatient, ...]:
    """The patients of every cohort, rendered once."""
    return tuple(cohort.simulate_patient(SEED, index, PIXELS) for index in range(PATIENTS))


def write_cohort(out: Path, layout: str) -> Path:
    """The same patients in a layout."""
    made = patients()

    def kept(seed: int, index: int, *_: object, **__: object) -> SimulatedPatient:
        assert seed == SEED
        return made[index]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohort, "simulate_patient", kept)
        return cohort.simulate(out, PATIENTS, SEED, layout, PIXELS, "2:0:1", workers=1, progress=False)


def copied(root: Path, out: Path) -> Path:
    return Path(shutil.copytree(root, out / "copy"))


def rows_of(path: Path) -> Rows:
    text = path.read_text()
    return list(json.loads(text)) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def change_rows(path: Path, change: Callable[[Rows], Rows]) -> None:
    """Rewrite a table of JSON or JSON lines; with a BOM, as some tools leave it."""
    rows = change(rows_of(path))
    text = json.dumps(rows) if path.suffix == ".json" else "\n".join(map(json.dumps, rows)) + "\n"
    path.write_text("\ufeff" + text)


def by_pair(cases: list[Case]) -> dict[tuple[str, str], Case]:
    """(prior, current) study -> case."""
    return {(case.prior.study_id, case.current.study_id): case for case in cases if case.prior is not None}
