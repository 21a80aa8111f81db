"""Writes simulated films as NIH ChestX-ray14.

    images/<patient>_<number>.png        8-bit grey
    Data_Entry_2017_v2020.csv            one row per film
    BBox_List_2017.csv                   boxes of eight labels, in a frame of 1024 pixels whatever the size of the films
    train_val_list.txt, test_list.txt    train and val patients in the first

A finding that NIH has no label for (scoliosis, a fracture, ...) is left out; the nearest label stands for an opacity
and a granuloma. Quirks: rows in no order, and patients whose file numbers run against time, as `_000` of the real set
can be the latest film.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.files import films_with_split, png_bytes, write_lines
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOXES, TRAIN, TEST = "BBox_List_2017.csv", "train_val_list.txt", "test_list.txt"
FRAME = 1024
"""Side, in pixels, of the films that the boxes were drawn on."""
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
LABEL_OF_FINDING = MappingProxyType(
    {
        "atelectasis": "Atelectasis",
        "cardiomegaly": "Cardiomegaly",
        "consolidation": "Consolidation",
        "edema": "Edema",
        "emphysema": "Emphysema",
        "granuloma": "Nodule",
        "hernia": "Hernia",
        "lung opacity": "Infiltration",
        "pleural effusion": "Effusion",
        "pneumothorax": "Pneumothorax",
    }
)
"""Finding -> label."""
BOXED = MappingProxyType(
    {
        "atelectasis": "Atelectasis",
        "pleural effusion": "Effusion",
        "cardiomegaly": "Cardiomegaly",
        "lung opacity": "Infiltrate",
        "pneumothorax": "Pneumothorax",
        "granuloma": "Nodule",
    }
)
"""Finding -> label in the list of boxes."""
TURNED_SHARE = 0.4
"""Share of the patients whose file numbers run against time; a tenth in the real set."""


def image_name(patient_id: str, suffix: int) -> str:
    """Name of a film; simulated patients are beyond 20,000,000, real ones end at 30,805."""
    return f"{patient_id}_{suffix:03d}.png"


def labels_of(study: SimulatedStudy) -> list[str]:
    """What the film is labelled with, in the order of the alphabet."""
    labels = {
        LABEL_OF_FINDING[name] for name, value in study.study.findings.items() if value and name in LABEL_OF_FINDING
    }
    return sorted(labels) or ["No Finding"]


def suffixes(patient: SimulatedPatient, quirks: bool) -> list[int]:
    """File number of each study."""
    rng = patient.generator(1300)
    numbers = list(range(len(patient.studies)))
    return numbers[::-1] if quirks and rng.random() < TURNED_SHARE else numbers


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the films of a patient; return their rows."""
    films = []
    for visit, (study, suffix) in enumerate(zip(patient.studies, suffixes(patient, quirks), strict=True)):
        image, record = image_name(patient.patient_id, suffix), study.study
        if study.film is not None:
            write_atomically(out / "images" / image, work, png_bytes(study.film.pixels))
        person = f"{visit},{patient.patient_id},{int(record.age)},{record.sex},{record.view}"
        row = f"{image},{'|'.join(labels_of(study))},{person},2048,2048,0.168,0.168"
        films.append({"image": image, "row": row, "boxes": _boxes(image, study)})
    return {"films": films}


def _boxes(image: str, study: SimulatedStudy) -> list[str]:
    """One row per box: xywh in the frame of 1024 pixels, twelve decimals."""
    if study.film is None:
        return []
    height, width = study.film.pixels.shape
    rows = []
    for region in study.study.regions:
        if region.kind == "finding" and region.name in BOXED:
            x1, y1, x2, y2 = region.box
            scaled = (x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height)
            rows.append(",".join([image, BOXED[region.name], *(f"{edge * FRAME:.12f}" for edge in scaled)]))
    return rows


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables and the lists."""
    films = list(films_with_split(fragments, splits))
    rows = [film["row"] for film, _ in films]
    if quirks:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0, 4]))
        rows = [rows[index] for index in rng.permutation(len(rows))]
    for name, lines in (
        ("Data_Entry_2017_v2020.csv", [HEADER, *rows]),
        (BOXES, [BOX_HEADER, *(row for film, _ in films for row in film["boxes"])]),
        (TRAIN, [film["image"] for film, split in films if split != "test"]),
        (TEST, [film["image"] for film, split in films if split == "test"]),
    ):
        write_lines(out / name, work, lines)
