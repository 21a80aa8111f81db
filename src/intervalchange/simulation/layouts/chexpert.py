"""Writes simulated films as CheXpert-v1.0-small.

    CheXpert-v1.0-small/train.csv    labels as the report says them: 1.0, 0.0, -1.0, empty
    CheXpert-v1.0-small/train/patient20000001/study1/view1_frontal.jpg
    CheXpert-v1.0-small/valid.csv, valid/          the val patients; every label 0.0 or 1.0, of what is visible
    CheXpert-v1.0-small/test_labels.csv, test/     the test patients, likewise; path and labels only

Studies are numbered in time. Patients have the eight digits of simulated subjects where real ones have five, for five
do not hold them all. Quirks: uncertain labels, of what is there and too faint to count; lateral films that train.csv
lists and that are not on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from intervalchange.atomic_files import write_atomically
from intervalchange.findings import CHEXPERT, CHEXPERT_OF_FINDING
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.files import films_with_split, jpeg_bytes, move_films, write_lines
from intervalchange.simulation.layouts.mimic_cxr import report_labels
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

COPY = "CheXpert-v1.0-small"
LABELS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture"),
    *("Support Devices",),
)
"""In the order of the tables."""
HEADER = ",".join(("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS))
TEST_LABELS = (*LABELS[1:], LABELS[0])
OLDEST = 90
"""Years; who is older is given this age."""
FOLDER = {"train": "train", "val": "valid", "test": "test"}


def labels_of(study: SimulatedStudy, quirks: bool) -> dict[str, float]:
    """Label -> 1 affirmed, 0 denied, -1 uncertain; not mentioned where missing."""
    labels = report_labels(study)
    faint = [CHEXPERT_OF_FINDING[name] for name in study.severity if name in CHEXPERT_OF_FINDING]
    uncertain = {label: -1.0 for label in faint if quirks and label not in labels}
    return uncertain | labels


def checked_labels_of(study: SimulatedStudy) -> dict[str, float]:
    """Every label as 0 or 1, as radiologists who look at the film would give them."""
    affirmed = {label for label, value in report_labels(study).items() if value == 1}
    return {label: float(label in affirmed) for label in CHEXPERT}


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the films of a patient, as if all were of train; return their rows."""
    rng = patient.generator(1400)
    films = []
    for number, study in enumerate(patient.studies, start=1):
        folder = f"patient{patient.patient_id}/study{number}"
        if study.film is not None:
            write_atomically(out / COPY / "train" / folder / "view1_frontal.jpg", work, jpeg_bytes(study.film.pixels))
        films.append(
            {
                "folder": folder,
                "who": f"{'Female' if study.study.sex == 'F' else 'Male'},{min(int(study.study.age), OLDEST)}",
                "view": study.study.view,
                "lateral": quirks and study.study.view == "PA" and rng.random() < 0.3,
                "labels": labels_of(study, quirks),
                "checked": checked_labels_of(study),
            }
        )
    return {"films": films}


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables, and move the films of val and test patients to their folders."""
    rows: dict[str, list[str]] = {split: [] for split in FOLDER}
    moves = {}
    for film, split in films_with_split(fragments, splits):
        view = f"{film['folder']}/view1_frontal.jpg"
        moves[f"{COPY}/train/{view}"] = f"{COPY}/{FOLDER[split]}/{view}"
        rows[split] += _rows(film, split)
    move_films(out, moves)
    for name, header, lines in (
        ("train.csv", HEADER, rows["train"]),
        ("valid.csv", HEADER, rows["val"]),
        ("test_labels.csv", ",".join(("Path", *TEST_LABELS)), rows["test"]),
    ):
        write_lines(out / COPY / name, work, (header, *lines))


def _rows(film: Fragment, split: str) -> list[str]:
    """The row of a film, and that of its lateral companion."""
    path = f"{FOLDER[split]}/{film['folder']}"
    if split == "test":
        return [f"{path}/view1_frontal.jpg,{_cells(film['checked'], TEST_LABELS)}"]
    cells = _cells(film["labels" if split == "train" else "checked"], LABELS)
    rows = [f"{COPY}/{path}/view1_frontal.jpg,{film['who']},Frontal,{film['view']},{cells}"]
    if film["lateral"]:
        rows.append(f"{COPY}/{path}/view2_lateral.jpg,{film['who']},Lateral,,{cells}")
    return rows


def _cells(labels: Mapping[str, float], columns: Sequence[str]) -> str:
    return ",".join(str(labels.get(name, "")) for name in columns)
