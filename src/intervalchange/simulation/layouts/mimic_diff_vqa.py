"""Writes simulated patients as MIMIC-CXR-JPG 2.1.0, MIMIC-CXR reports and Medical-Diff-VQA, with the truth beside.

    mimic-cxr-jpg/     films as equalised JPEG, metadata, split and label tables
    mimic-cxr/         reports, record and study lists
    medical-diff-vqa/  mimic_pair_questions.csv, mimic_all.csv, all_diseases.json
    chest-imagenome/   scene graphs and split lists, see layouts/imagenome.py
    simulated-truth/   what no real data set has: regions, latent and studies.parquet,
                       same_state.csv, opacity/

Difference rows. Release 1.0.1 writes (study_id later, ref_id earlier). In 1.0.0 48% of the pairs have the earlier
study as study_id; their answer belongs to the row as it stands (study_id is the main image, ref_id the reference), so
it tells the change backwards in time. In both releases the other rows of such a group are about the earlier study.
With quirks=False, 1.0.1 asks every question about the later study.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from intervalchange.atomic_files import write_atomically
from intervalchange.data.extraction import questions
from intervalchange.findings import CHEXPERT, CHEXPERT_OF_FINDING, FINDINGS
from intervalchange.simulation.course import Attributes
from intervalchange.simulation.identifiers import dicom_id
from intervalchange.simulation.layouts import imagenome

if TYPE_CHECKING:
    from intervalchange.simulation.cohort import SimulatedPatient, SimulatedStudy

RELEASES = ("1.0.1", "1.0.0")
REVERSED_SHARE = 0.48
"""Share of the pairs whose group was generated with the earlier study as the main one."""
PREVIOUS_SHARE = 0.75
"""Share of the pairs whose reference is the study just before; any earlier one otherwise."""
OPACITY_SIZE = 64
"""Side of the stored opacity maps, which cover the whole film."""

JPG, REPORTS, QUESTIONS, TRUTH = "mimic-cxr-jpg", "mimic-cxr", "medical-diff-vqa", "simulated-truth"
Fragment = dict[str, Any]
"""The rows one patient adds to each table."""

METADATA = [
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
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
    return table.astype(np.uint8)[grey]


# --- one patient -----------------------------------------------------------------------------------------------


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write a patient's films, reports and opacity maps; return the rows for the tables."""
    quirk_rng, question_rng = (
        np.random.default_rng(np.random.SeedSequence([patient.seed, patient.index], spawn_key=(key,)))
        for key in (1000, 1001)
    )
    for study in patient.studies:
        _write_study(patient.patient_id, study, out, work)
    imagenome.write_patient(patient, out, work, quirks)
    return {
        "subject_id": patient.patient_id,
        "studies": [_study_rows(patient, number, quirk_rng, quirks) for number in range(len(patient.studies))],
        "questions": _question_rows(patient, question_rng, release, quirks),
        "same_state": [
            {"study_id": later.study.study_id, "ref_id": earlier.study.study_id}
            for earlier, later in combinations(patient.studies, 2)
            if earlier.visit.state.lesions == later.visit.state.lesions
        ],
    }


def _write_study(subject_id: str, study: SimulatedStudy, out: Path, work: Path) -> None:
    record = study.study
    report = out / REPORTS / f"{_study_path(subject_id, record.study_id)}.txt"
    write_atomically(report, work, record.report.encode("ascii"))
    if study.film is None:
        return
    jpeg, png = io.BytesIO(), io.BytesIO()
    Image.fromarray(equalise(study.film.pixels)).save(jpeg, "JPEG", quality=95)
    write_atomically(out / JPG / record.image, work, jpeg.getvalue())
    size = (OPACITY_SIZE, OPACITY_SIZE)
    opacity = Image.fromarray(study.film.opacity.astype(np.float32)).resize(size, Image.Resampling.BOX)
    grey = np.clip(np.round(np.asarray(opacity) * 255), 0, 255).astype(np.uint8)
    Image.fromarray(grey).save(png, "PNG", optimize=False)
    write_atomically(out / TRUTH / "opacity" / f"{study.dicom_id}.png", work, png.getvalue())


def _study_rows(patient: SimulatedPatient, number: int, rng: np.random.Generator, quirks: bool) -> Fragment:
    study = patient.studies[number]
    record, account = study.study, study.account
    height, width = study.film.pixels.shape if study.film is not None else (0, 0)
    images = [_metadata(study, study.dicom_id, record.view, height, width)]
    if quirks:
        if rng.random() < 0.02:
            images[0]["ViewPosition"] = ""
        elif rng.random() < 0.02:
            images[0]["ViewCodeSequence_CodeMeaning"] = ""
        if record.view == "PA" and rng.random() < 0.1:
            # A lateral film that the tables list and that is not on disk.
            lateral = dicom_id(patient.seed, patient.index, number, "lateral")
            images.append(_metadata(study, lateral, "LATERAL", height, width))
    return {
        "study_id": record.study_id,
        "dicom_id": study.dicom_id,
        "date": int(study.acquired.strftime("%Y%m%d")),
        "view": images[0]["ViewCodeSequence_CodeMeaning"],
        "images": images,
        "labels": said_labels(study),
        "entity": {name: _entity(name, account.attributes[name]) for name in account.attributes},
        "no_entity": list(account.denied),
        "regions": [[study.dicom_id, region.kind, region.name, *region.box, region.rle] for region in record.regions],
        "latent": [
            {
                "finding": name,
                "severity": severity,
                "cnr": study.cnr.get(name, 0.0),
                "visible": name in account.attributes,
                "level": record.levels.get(name, ""),
            }
            for name, severity in study.severity.items()
        ],
        "visit": {
            "visit": number,
            "days": study.visit.days,
            "same_state_as_previous": study.visit.same_state_as_previous,
            "age": record.age,
            "sex": record.sex,
            "reason": patient.reason,
            "devices": ";".join(record.devices),
            **_acquisition(study),
        },
    }


def _acquisition(study: SimulatedStudy) -> Fragment:
    plain = asdict(study.visit.acquisition)
    plain["shift_right_cm"], plain["shift_down_cm"] = plain.pop("shift_cm")
    return plain


def _metadata(study: SimulatedStudy, dicom_id: str, view: str, height: int, width: int) -> Fragment:
    time = study.acquired
    clock = time.hour * 10_000 + time.minute * 100 + time.second + time.microsecond / 1e6
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


def said_labels(study: SimulatedStudy) -> dict[str, float]:
    """CheXpert label -> 1 said to be there, 0 denied; not mentioned where missing."""
    labels = {CHEXPERT_OF_FINDING[name]: 0.0 for name in study.account.denied if name in CHEXPERT_OF_FINDING}
    labels |= {CHEXPERT_OF_FINDING[name]: 1.0 for name in study.account.attributes if name in CHEXPERT_OF_FINDING}
    if set(study.study.devices) - {"leads"}:
        labels["Support Devices"] = 1.0
    if not study.account.attributes:
        labels["No Finding"] = 1.0
    return labels


def _entity(name: str, attributes: Attributes) -> Fragment:
    return {
        "entity_name": name,
        "location": list(attributes.locations) or None,
        "type": list(attributes.types) or None,
        "level": [attributes.level] if attributes.level else None,
        "post_location": attributes.post_location or None,
        "location2": None,
        "type2": None,
        "level2": None,
        "post_location2": None,
    }


def _question_rows(
    patient: SimulatedPatient, rng: np.random.Generator, release: str, quirks: bool
) -> list[tuple[str, str, str, str, str]]:
    """study_id, ref_id, question_type, question, answer; one reference for each study that has an earlier one."""
    rows: list[tuple[str, str, str, str, str]] = []
    for number in range(1, len(patient.studies)):
        earlier = number - 1 if rng.random() < PREVIOUS_SHARE else int(rng.integers(number))
        current, prior = patient.studies[number].account, patient.studies[earlier].account
        turned = rng.random() < REVERSED_SHARE and (quirks or release == "1.0.0")
        asked, other = (prior, current) if turned else (current, prior)
        group = questions.ask(rng, asked)
        rows += [(asked.study.study_id, other.study.study_id, *item) for item in group]
        main, reference = (asked, other) if release == "1.0.0" else (current, prior)
        difference = questions.ask_difference(rng, reference, main)
        repeats = 2 if quirks and rng.random() < 0.02 else 1
        rows += [(main.study.study_id, reference.study.study_id, *difference)] * repeats
    return rows


# --- all patients ----------------------------------------------------------------------------------------------


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write every table from the rows of all patients. splits: train, val or test of each patient."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0, 2]))
    studies = [
        {"subject_id": fragment["subject_id"], "split": split, **study}
        for fragment, split in zip(fragments, splits, strict=True)
        for study in fragment["studies"]
    ]
    in_order = sorted(studies, key=lambda study: (study["subject_id"], study["study_id"]))
    labels = _label_table(in_order, rng, quirks)
    tables = {
        **_image_tables(in_order),
        f"{JPG}/mimic-cxr-2.0.0-chexpert.csv.gz": labels,
        f"{JPG}/mimic-cxr-2.0.0-negbio.csv.gz": labels,
        f"{QUESTIONS}/mimic_all.csv": _all_studies(studies, labels),
        f"{QUESTIONS}/mimic_pair_questions.csv": _pair_questions(fragments, splits),
        f"{TRUTH}/same_state.csv": _same_state(fragments),
    }
    for name, table in tables.items():
        text = table.to_csv(index=False, lineterminator="\n").encode("utf-8")
        write_atomically(out / name, work, gzip.compress(text, mtime=0) if name.endswith(".gz") else text)
    names = "".join(f"{path}\n" for path in _image_names(in_order))
    write_atomically(out / JPG / "IMAGE_FILENAMES", work, names.encode())
    write_atomically(out / QUESTIONS / "all_diseases.json", work, json.dumps(_key_info(studies)).encode())
    for name, table in _truth_tables(studies).items():
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        write_atomically(out / TRUTH / name, work, buffer.getvalue())
    imagenome.write_tables(fragments, out, work, splits, seed, quirks)


def _image_names(studies: Iterable[Mapping[str, Any]]) -> list[str]:
    """Paths of the frontal films, which are the ones on disk."""
    return [film_path(study["subject_id"], study["study_id"], study["dicom_id"]) for study in studies]


def _image_tables(studies: Sequence[Fragment]) -> dict[str, pd.DataFrame]:
    metadata, split, records = [], [], []
    for study in studies:
        ids = {"subject_id": study["subject_id"], "study_id": study["study_id"]}
        mimic_split = "validate" if study["split"] == "val" else study["split"]
        for image in study["images"]:
            metadata.append(image | ids)
            split.append({"dicom_id": image["dicom_id"], **ids, "split": mimic_split})
            path = film_path(study["subject_id"], study["study_id"], image["dicom_id"]).removesuffix("jpg") + "dcm"
            records.append({**ids, "dicom_id": image["dicom_id"], "path": path})
    lists = [
        {
            "subject_id": study["subject_id"],
            "study_id": study["study_id"],
            "path": _study_path(study["subject_id"], study["study_id"]) + ".txt",
        }
        for study in studies
    ]
    return {
        f"{JPG}/mimic-cxr-2.0.0-metadata.csv.gz": pd.DataFrame(metadata, columns=METADATA),
        f"{JPG}/mimic-cxr-2.0.0-split.csv.gz": pd.DataFrame(split)[["dicom_id", "study_id", "subject_id", "split"]],
        f"{REPORTS}/cxr-record-list.csv.gz": pd.DataFrame(records),
        f"{REPORTS}/cxr-study-list.csv.gz": pd.DataFrame(lists),
    }


def _label_table(studies: Sequence[Fragment], rng: np.random.Generator, quirks: bool) -> pd.DataFrame:
    """subject_id, study_id and the fourteen labels. Quirks: some labels uncertain, one study without a row."""
    rows = []
    for study in studies:
        labels = dict(study["labels"])
        unsaid = [name for name in CHEXPERT if name not in labels and name != "No Finding"]
        if quirks and unsaid and rng.random() < 0.05:
            labels[unsaid[int(rng.integers(len(unsaid)))]] = -1.0
        rows.append({"subject_id": study["subject_id"], "study_id": study["study_id"], **labels})
    table = pd.DataFrame(rows, columns=["subject_id", "study_id", *CHEXPERT])
    if quirks and len(table) >= 50:
        table = table.drop(index=int(rng.integers(len(table)))).reset_index(drop=True)
    return table.astype(dict.fromkeys(CHEXPERT, float))


def _all_studies(studies: Sequence[Fragment], labels: pd.DataFrame) -> pd.DataFrame:
    """mimic_all.csv: the label table plus film, view, split, date and rank of the date within the patient."""
    table = pd.DataFrame(
        {
            "study_id": study["study_id"],
            "dicom_id": study["dicom_id"],
            "view": study["view"],
            "split": "validate" if study["split"] == "val" else study["split"],
            "study_date": study["date"],
            "subject": study["subject_id"],
        }
        for study in studies
    )
    table["study_order"] = table.groupby("subject")["study_date"].rank(method="min")
    return labels.merge(table.drop(columns="subject"), on="study_id", how="left", validate="one_to_one")


def _pair_questions(fragments: Sequence[Fragment], splits: Sequence[str]) -> pd.DataFrame:
    columns = ["study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split"]
    rows = [
        (study_id, fragment["subject_id"], ref_id, kind, question, answer, split)
        for fragment, split in zip(fragments, splits, strict=True)
        for study_id, ref_id, kind, question, answer in fragment["questions"]
    ]
    return pd.DataFrame(rows, columns=columns)


def _same_state(fragments: Sequence[Fragment]) -> pd.DataFrame:
    rows = [{"subject_id": fragment["subject_id"], **pair} for fragment in fragments for pair in fragment["same_state"]]
    return pd.DataFrame(rows, columns=["subject_id", "study_id", "ref_id"])


def _key_info(studies: Sequence[Fragment]) -> list[Fragment]:
    return [
        {
            "study_id": study["study_id"],
            "subject_id": study["subject_id"],
            "entity": {name: study["entity"][name] for name in FINDINGS if name in study["entity"]},
            "no_entity": study["no_entity"],
        }
        for study in studies
    ]


def _truth_tables(studies: Sequence[Fragment]) -> dict[str, pd.DataFrame]:
    regions = [row for study in studies for row in study["regions"]]
    ids = [{name: study[name] for name in ("subject_id", "study_id", "dicom_id")} for study in studies]
    latent = [key | row for key, study in zip(ids, studies, strict=True) for row in study["latent"]]
    columns = ["finding", "severity", "cnr", "visible", "level"]
    return {
        "regions.parquet": pd.DataFrame(regions, columns=["dicom_id", "kind", "name", "x1", "y1", "x2", "y2", "rle"]),
        "latent.parquet": pd.DataFrame(latent, columns=["subject_id", "study_id", "dicom_id", *columns]),
        "studies.parquet": pd.DataFrame([key | study["visit"] for key, study in zip(ids, studies, strict=True)]),
    }
