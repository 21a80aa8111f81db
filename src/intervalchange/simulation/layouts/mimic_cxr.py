"""MIMIC-CXR-JPG 2.1.0 and the reports of MIMIC-CXR: the part of the tree of `mimic_diff_vqa` that has the films.

    mimic-cxr-jpg/     films as equalised JPEG, metadata, split and label tables
    mimic-cxr/         reports, record and study lists

Not a layout of its own: `mimic_diff_vqa` calls it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from intervalchange.atomic_files import write_atomically
from intervalchange.findings import CHEXPERT, CHEXPERT_OF_FINDING
from intervalchange.simulation.identifiers import dicom_id
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

JPG, REPORTS = "mimic-cxr-jpg", "mimic-cxr"
METADATA = [
    *("dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns"),
    *("StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning"),
    "PatientOrientationCodeSequence_CodeMeaning",
]
_CODE = {"PA": "postero-anterior", "AP": "antero-posterior", "LATERAL": "lateral"}
_PROCEDURE = {"PA": "CHEST (PA AND LAT)", "AP": "CHEST (PORTABLE AP)", "LATERAL": "CHEST (PA AND LAT)"}


def film_path(subject_id: str, study_id: str, dicom_id: str) -> str:
    """Path of a film inside `mimic-cxr-jpg`."""
    return f"{_study_path(subject_id, study_id)}/{dicom_id}.jpg"


def _study_path(subject_id: str, study_id: str) -> str:
    return f"files/p{subject_id[:2]}/p{subject_id}/s{study_id}"


def equalise(pixels: np.ndarray) -> np.ndarray:
    """(h, w) float -> (h, w) uint8: stretched to 0..255, then globally equalised, as MIMIC-CXR-JPG was made."""
    low, high = float(pixels.min()), float(pixels.max())
    if high <= low:
        return np.zeros(pixels.shape, np.uint8)
    grey = np.round((pixels - low) / (high - low) * 255).astype(np.uint8)
    counts = np.bincount(grey.ravel(), minlength=256)
    first = int(counts[np.flatnonzero(counts)[0]])
    if first == grey.size:
        return grey
    table = np.clip(np.round((np.cumsum(counts) - first) * (255.0 / (grey.size - first))), 0, 255)
    equalised: np.ndarray = table.astype(np.uint8)[grey]
    return equalised


def report_labels(study: SimulatedStudy) -> dict[str, float]:
    """CheXpert label -> 1 where the report affirms it, 0 where it denies it; not mentioned where missing."""
    labels = {CHEXPERT_OF_FINDING[name]: 0.0 for name in study.account.denied if name in CHEXPERT_OF_FINDING}
    labels |= {CHEXPERT_OF_FINDING[name]: 1.0 for name in study.account.attributes if name in CHEXPERT_OF_FINDING}
    if set(study.study.devices) - {"leads"}:
        labels["Support Devices"] = 1.0
    if not study.account.attributes:
        labels["No Finding"] = 1.0
    return labels


# --- one study -------------------------------------------------------------------------------------------------


def write_study(subject_id: str, study: SimulatedStudy, out: Path, work: Path) -> None:
    """Write the report of a study and its film."""
    report = out / REPORTS / f"{_study_path(subject_id, study.study.study_id)}.txt"
    write_atomically(report, work, study.study.report.encode("ascii"))
    if study.film is not None:
        jpeg = io.BytesIO()
        Image.fromarray(equalise(study.film.pixels)).save(jpeg, "JPEG", quality=95)
        write_atomically(out / JPG / study.study.image, work, jpeg.getvalue())


def metadata_rows(patient: SimulatedPatient, visit: int, rng: np.random.Generator, quirks: bool) -> list[Fragment]:
    """The rows of one study in the table of metadata. Quirks: a view given once only, a lateral film not on disk."""
    study = patient.studies[visit]
    view = study.study.view
    rows = [_metadata(study, study.dicom_id, view)]
    if quirks:
        if rng.random() < 0.02:
            rows[0]["ViewPosition"] = ""
        elif rng.random() < 0.02:
            rows[0]["ViewCodeSequence_CodeMeaning"] = ""
        if view == "PA" and rng.random() < 0.1:
            lateral = dicom_id(patient.seed, patient.index, visit, "lateral")
            rows.append(_metadata(study, lateral, "LATERAL"))
    return rows


def _metadata(study: SimulatedStudy, dicom_id: str, view: str) -> Fragment:
    time = study.acquired
    clock = time.hour * 10_000 + time.minute * 100 + time.second + time.microsecond / 1e6
    height, width = study.film.pixels.shape if study.film is not None else (0, 0)
    return {
        "dicom_id": dicom_id,
        "PerformedProcedureStepDescription": _PROCEDURE[view],
        "ViewPosition": view,
        "Rows": height,
        "Columns": width,
        "StudyDate": int(time.strftime("%Y%m%d")),
        "StudyTime": round(clock, 3),
        "ProcedureCodeSequence_CodeMeaning": _PROCEDURE[view],
        "ViewCodeSequence_CodeMeaning": _CODE[view],
        "PatientOrientationCodeSequence_CodeMeaning": "" if view == "AP" else "Erect",
    }


# --- all studies -----------------------------------------------------------------------------------------------


def image_names(studies: Sequence[Fragment]) -> bytes:
    """IMAGE_FILENAMES: the paths of the frontal films, which are the ones on disk."""
    paths = (film_path(study["subject_id"], study["study_id"], study["dicom_id"]) for study in studies)
    return "".join(f"{path}\n" for path in paths).encode()


def image_tables(studies: Sequence[Fragment]) -> dict[str, pd.DataFrame]:
    """File -> table of the films, their split, and the lists of records and studies."""
    metadata, splits, records, reports = [], [], [], []
    for study in studies:
        ids = {"subject_id": study["subject_id"], "study_id": study["study_id"]}
        for image in study["images"]:
            metadata.append(image | ids)
            splits.append({"dicom_id": image["dicom_id"], **ids, "split": mimic_split(study["split"])})
            path = film_path(study["subject_id"], study["study_id"], image["dicom_id"]).removesuffix("jpg") + "dcm"
            records.append({**ids, "dicom_id": image["dicom_id"], "path": path})
        reports.append({**ids, "path": _study_path(study["subject_id"], study["study_id"]) + ".txt"})
    return {
        f"{JPG}/mimic-cxr-2.0.0-metadata.csv.gz": pd.DataFrame(metadata, columns=METADATA),
        f"{JPG}/mimic-cxr-2.0.0-split.csv.gz": pd.DataFrame(splits)[["dicom_id", "study_id", "subject_id", "split"]],
        f"{REPORTS}/cxr-record-list.csv.gz": pd.DataFrame(records),
        f"{REPORTS}/cxr-study-list.csv.gz": pd.DataFrame(reports),
    }


def mimic_split(split: str) -> str:
    """train, val, test -> MIMIC's word."""
    return "validate" if split == "val" else split


def label_table(studies: Sequence[Fragment], rng: np.random.Generator, quirks: bool) -> pd.DataFrame:
    """subject_id, study_id and the fourteen labels. Quirks: some labels uncertain, one study without a row."""
    rows = []
    for study in studies:
        labels = dict(study["labels"])
        unmentioned = [name for name in CHEXPERT if name not in labels and name != "No Finding"]
        if quirks and unmentioned and rng.random() < 0.05:
            labels[unmentioned[int(rng.integers(len(unmentioned)))]] = -1.0
        rows.append({"subject_id": study["subject_id"], "study_id": study["study_id"], **labels})
    table = pd.DataFrame(rows, columns=["subject_id", "study_id", *CHEXPERT])
    if quirks and len(table) >= 50:
        table = table.drop(index=int(rng.integers(len(table)))).reset_index(drop=True)
    return table.astype(dict.fromkeys(CHEXPERT, float))
