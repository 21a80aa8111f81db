"""Writes simulated films as the SIIM-ACR Pneumothorax Segmentation Challenge, both stages as they lie after download.

    dicom-images-train/<StudyUID>/<SeriesUID>/<ImageId>.dcm    films of the train patients: 8-bit JPEG in DICOM
    dicom-images-test/<StudyUID>/<SeriesUID>/<ImageId>.dcm     films of the val patients, the test films of stage 1
    stage_2_images/<ImageId>.dcm                               films of the test patients, whose masks are hidden
    train-rle.csv                    stage 1: train; its second column and every -1 begin with a blank
    sample_submission.csv            stage 1: val
    stage_2_train.csv                stage 2: train and val, without the blanks
    stage_2_sample_submission.csv    stage 2: test

One row for each connected part of the mask of a visible pneumothorax: pairs of gap and length down the columns, the gap
counted from the end of the run before. Quirks: rows in no order, and some mask twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from intervalchange.atomic_files import write_atomically
from intervalchange.data.run_length import encode_gaps
from intervalchange.simulation.dicom_files import dicom_bytes
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.files import digest, films_with_split, move_films, parts, write_lines
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

FINDING = "pneumothorax"
STAGE_1_TRAIN, STAGE_1_TEST, STAGE_2_TEST = "dicom-images-train", "dicom-images-test", "stage_2_images"


def uid_of_film(seed: int, index: int, visit: int, kind: int = 4) -> str:
    """A UID in the form of the real ones, of a process number and a time that they do not have.

    kind: 4 of the film, which is the ImageId, 3 of its series, 2 of its study.
    """
    number = int(digest(seed, index, visit, "siim"), 16)
    process, time, counter = 9_000_000 + number % 10**6, 4_000_000_000 + number // 10**6 % 10**8, number // 10**14
    return f"1.2.276.0.7230010.3.1.{kind}.8323329.{process}.{time}.{100_000 + counter % 900_000}"


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the films of a patient; return their masks."""
    films = []
    for number, study in enumerate(patient.studies):
        image, series, examination = (uid_of_film(patient.seed, patient.index, number, kind) for kind in (4, 3, 2))
        path = f"{examination}/{series}/{image}.dcm"
        if study.film is not None:
            content = dicom_bytes(
                study.film.pixels,
                patient_id=image,
                study_uid=examination,
                series_uid=series,
                instance_uid=image,
                view=study.study.view,
                sex=study.study.sex,
                jpeg=True,
                elements={"PatientAge": str(int(study.study.age)), "ConversionType": "WSD"},
            )
            write_atomically(out / STAGE_1_TRAIN / path, work, content)
        films.append({"image": image, "path": path, "masks": masks_of(study)})
    return {"films": films}


def masks_of(study: SimulatedStudy) -> list[str]:
    """The parts of a visible pneumothorax, in the form of the tables."""
    if study.film is None or study.study.findings[FINDING] != 1 or FINDING not in study.film.finding_masks:
        return []
    return [encode_gaps(part) for part in parts(study.film.finding_masks[FINDING])]


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables, and move the films of the val and test patients to their folders."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0, 4]))
    films = list(films_with_split(fragments, splits))
    for film, split in films:
        new = {"val": f"{STAGE_1_TEST}/{film['path']}", "test": f"{STAGE_2_TEST}/{film['image']}.dcm"}
        if split in new:
            move_films(out, {f"{STAGE_1_TRAIN}/{film['path']}": new[split]})
    rows = [(film["image"], mask, split) for film, split in films for mask in film["masks"] or ["-1"]]
    if quirks:
        rows = [rows[index] for index in rng.permutation(len(rows))]
        rows += [row for row in rows if row[1] != "-1" and rng.random() < 0.05]
    unseen = {name: [film["image"] for film, split in films if split == name] for name in ("val", "test")}
    for name, lines in (
        ("train-rle.csv", ["ImageId, EncodedPixels", *(f"{i}, {mask}" for i, mask, split in rows if split == "train")]),
        (
            "stage_2_train.csv",
            ["ImageId,EncodedPixels", *(f"{i},{mask}" for i, mask, split in rows if split != "test")],
        ),
        ("sample_submission.csv", ["ImageId,EncodedPixels", *(f"{image},-1" for image in unseen["val"])]),
        ("stage_2_sample_submission.csv", ["ImageId,EncodedPixels", *(f"{image},-1" for image in unseen["test"])]),
    ):
        write_lines(out / name, work, lines)
