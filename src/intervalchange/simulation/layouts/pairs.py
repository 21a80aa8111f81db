"""The simulated cohort as anyone's table of pairs: `pairs.csv` and `films/*.png`.

A row is a pair of neighbouring studies of a patient, with dates, views, reports, the findings seen on each film,
and the answer. `same_state` is `yes` where nothing changed in the patient but the exposure, else empty. Quirks: some
rows have the later film as `prior`, with the answer to the row as it stands; some leave the question empty; the rows
are in no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from intervalchange.atomic_files import write_atomically
from intervalchange.grammar import DIFFERENCE_QUESTION, render
from intervalchange.records import Change
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.files import png_bytes
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

FILMS = "films"
SIDES = ("study", "date", "view", "note", "findings")
COLUMNS = (
    *("patient", "prior", "current", "question", "answer", "kind", "split", "case_id", "days_between", "same_state"),
    *(f"{film}_{what}" for film in ("prior", "current") for what in SIDES),
)


def film_name(study: SimulatedStudy) -> str:
    """Path of a film, relative to the table."""
    return f"{FILMS}/{study.dicom_id}.png"


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the films of a patient; return the rows of their pairs. A patient with one study has none."""
    rng = patient.generator(1400)
    for study in patient.studies:
        if study.film is not None:
            write_atomically(out / film_name(study), work, png_bytes(study.film.pixels))
    rows = []
    for earlier, later in pairwise(patient.studies):
        turned = quirks and rng.random() < 0.1
        row = _row(patient.patient_id, *((later, earlier) if turned else (earlier, later)))
        rows.append(row | {"question": "" if quirks and rng.random() < 0.1 else DIFFERENCE_QUESTION})
    return {"rows": rows}


def _row(patient: str, prior: SimulatedStudy, current: SimulatedStudy) -> Fragment:
    """One row, without its question and split."""
    row: Fragment = {
        "patient": patient,
        "prior": film_name(prior),
        "current": film_name(current),
        "answer": render(Change.between(prior.study, current.study)),
        "kind": "difference",
        "case_id": f"{current.study.study_id}-{prior.study.study_id}",
        "days_between": (current.acquired.date() - prior.acquired.date()).days,
        "same_state": "yes" if prior.visit.state.lesions == current.visit.state.lesions else "",
    }
    for name, study in (("prior", prior), ("current", current)):
        visible = [finding for finding, value in study.study.findings.items() if value == 1]
        cells = (study.study.study_id, study.study.acquired_at, study.study.view, study.study.report, "|".join(visible))
        row |= dict(zip((f"{name}_{what}" for what in SIDES), cells, strict=True))
    return row


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """`pairs.csv`."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0, 5]))
    rows = [
        {**row, "split": split} for fragment, split in zip(fragments, splits, strict=True) for row in fragment["rows"]
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if quirks:
        table = table.iloc[rng.permutation(len(table))]
    write_atomically(out / "pairs.csv", work, table.to_csv(index=False, lineterminator="\n").encode("utf-8"))
