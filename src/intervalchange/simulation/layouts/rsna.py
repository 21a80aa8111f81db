"""Writes simulated films as stage 2 of the RSNA Pneumonia Detection Challenge.

    stage_2_train_images/<patientId>.dcm       films of the train and val patients: 8-bit JPEG in DICOM
    stage_2_test_images/<patientId>.dcm        films of the test patients, whose labels are hidden
    stage_2_train_labels.csv                   one row per box, empty fields for a film without
    stage_2_detailed_class_info.csv            one row per box too
    stage_2_sample_submission.csv              the test films
    nih_match.csv                              not of Kaggle: which person a film is of, as the public match has it

Target is 1 where a consolidation or a lung opacity is visible; its boxes are those of the connected parts of the two
masks together, at most four, as in the real set. A film on which no finding is visible is `Normal`, any other
`No Lung Opacity / Not Normal`. Quirks: rows in no order, an age beyond any reader's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.dicom_files import dicom_bytes, uid
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.files import boxes_of_parts, digest, films_with_split, move_films, write_lines
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

PNEUMONIA = ("consolidation", "lung opacity")
"""What a visible finding must be for Target to be 1."""
MOST_BOXES = 4
TRAIN, TEST = "stage_2_train_images", "stage_2_test_images"
SPACING = "0.14300000000000002"


def image_id(seed: int, index: int, visit: int) -> str:
    """A UUID of version 8 that begins with noughts; the real ones are of version 4."""
    text = digest(seed, index, visit, "rsna")
    return f"00000000-{text[:4]}-8{text[4:7]}-8{text[7:10]}-{text[10:22]}"


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the films of a patient; return their labels."""
    rng = patient.generator(1100)
    films = []
    for number, study in enumerate(patient.studies):
        image = image_id(patient.seed, patient.index, number)
        age = 150 if quirks and rng.random() < 0.02 else int(study.study.age)
        if study.film is not None:
            content = _dicom(image, study, study.film.pixels, age)
            write_atomically(out / TRAIN / f"{image}.dcm", work, content)
        films.append(
            {
                "image": image,
                "class": class_of(study),
                "boxes": boxes_of(study),
                "nih": f"{patient.patient_id}_{number:03d}.png",
            }
        )
    return {"films": films}


def class_of(study: SimulatedStudy) -> str:
    """One of the three classes."""
    visible = {name for name, value in study.study.findings.items() if value == 1}
    if visible & set(PNEUMONIA):
        return "Lung Opacity"
    return "No Lung Opacity / Not Normal" if visible else "Normal"


def boxes_of(study: SimulatedStudy) -> list[tuple[int, int, int, int]]:
    """x1, y1, x2, y2 of what counts as pneumonia; of the lungs where it is too thin for a pixel of its own."""
    visible = [name for name in PNEUMONIA if study.study.findings[name] == 1]
    if study.film is None or not visible:
        return []
    none = np.zeros_like(study.film.lung)
    mask = np.logical_or.reduce([study.film.finding_masks.get(name, none) for name in visible])
    return boxes_of_parts(mask if mask.any() else study.film.lung, MOST_BOXES)


def _dicom(image: str, study: SimulatedStudy, pixels: np.ndarray, age: int) -> bytes:
    plain = {"PatientAge": str(age), "ConversionType": "WSD", "PixelSpacing": [SPACING, SPACING]}
    return dicom_bytes(
        pixels,
        patient_id=image,
        study_uid=uid(image, "study"),
        instance_uid=uid(image),
        view=study.study.view,
        sex=study.study.sex,
        jpeg=True,
        elements=plain,
    )


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables, and move the films of the test patients to their folder."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0, 3]))
    films = list(films_with_split(fragments, splits))
    shown = [film for film, split in films if split != "test"]
    hidden = [film["image"] for film, split in films if split == "test"]
    move_films(out, {f"{TRAIN}/{image}.dcm": f"{TEST}/{image}.dcm" for image in hidden})
    labels, classes = [], []
    for film in shown:
        boxes = [f"{x1}.0,{y1}.0,{x2 - x1}.0,{y2 - y1}.0,1" for x1, y1, x2, y2 in film["boxes"]] or [",,,,0"]
        labels += [f"{film['image']},{box}" for box in boxes]
        classes += [f"{film['image']},{film['class']}"] * len(boxes)
    if quirks:
        labels = [labels[index] for index in rng.permutation(len(labels))]
    people = [f"{film['image']},{film['nih']},{rng.uniform(1, 3):.3f}" for film, _ in films]
    for name, header, rows in (
        ("stage_2_train_labels.csv", "patientId,x,y,width,height,Target", labels),
        ("stage_2_detailed_class_info.csv", "patientId,class", classes),
        ("stage_2_sample_submission.csv", "patientId,PredictionString", [f"{image}," for image in hidden]),
        ("nih_match.csv", "patientId,cxr_match,mse", people),
    ):
        write_lines(out / name, work, (header, *rows))
