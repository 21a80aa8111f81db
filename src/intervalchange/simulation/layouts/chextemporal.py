"""CheXTemporal on simulated trees: the patients of even number as `mimic_diff_vqa`, the others as `chexpert`, and

    chextemporal/gold_progression_pairs.parquet   the test patients; words in lower case
    chextemporal/silver_findings.parquet          the others; words with a capital, paths from the folder of the set on

A label per pair of neighbouring studies and finding seen on one of them. Gold paths begin at the patient. Quirks: a
finding that the answers have no word for, a row whose progression is no class. The columns are those of the data
card; a silver row has no mask, and of the columns that tell how a label was made only `reasoning` is filled."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.layouts import Fragment, chexpert, mimic_diff_vqa
from intervalchange.simulation.layouts.courses import BETTER, courses
from intervalchange.simulation.records import SimulatedPatient

GOLD = [
    *("patient_id", "study_id_prev", "study_id_curr", "img_path_prev", "img_path_curr", "disease_name", "progression"),
    "dataset",
]
SILVER = [
    *("dataset", "patient_id", "study_id_curr", "study_id_prev", "finding_token", "finding", "progression", "anatomy"),
    *("reasoning", "evidence", "silver_findings_path", "silver_sentences_path", "silver_mask_path"),
    *("parent_image_curr", "parent_image_prev", "has_mask"),
]
SETS = {"mimic": mimic_diff_vqa, "chexpert": chexpert}


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the films of a patient in the tree of its set; the fragment also holds the labels."""
    name = "chexpert" if patient.index % 2 else "mimic"
    fragment = SETS[name].write_patient(patient, out, work, release, quirks)
    rng = patient.generator(1006)
    labels = []
    for number, (prior, current) in enumerate(pairwise(patient.studies), start=1):
        ids = [_place(name, patient, index) for index in (number - 1, number)]
        for finding, word in courses(prior, current).items():
            labels.append((ids, finding.title(), "improved" if word == BETTER else word))
        if quirks and rng.random() < 0.2:
            labels.append((ids, "Support Devices", "stable"))
        if quirks and rng.random() < 0.1:
            labels.append((ids, "Edema", "unclear"))
    return {"set": name, "patient": f"patient{patient.patient_id}", "of_set": fragment, "labels": labels}


def _place(name: str, patient: SimulatedPatient, index: int) -> tuple[str, str, str]:
    """Study, path of its film from the patient on, and from the folder of the set on."""
    study, person = patient.studies[index], patient.patient_id
    if name == "chexpert":
        path = f"patient{person}/study{index + 1}/view1_frontal.jpg"
        return f"study{index + 1}", path, f"chexpert/train/{path}"
    number = study.study.study_id
    path = f"patient{person}/study{number}/{study.dicom_id}.jpg"
    return f"study{number}", path, f"mimic/p{person[:2]}/p{person}/s{number}/{study.dicom_id}.jpg"


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables of both trees, then the two of labels."""
    for name, layout in SETS.items():
        own = [(one["of_set"], split) for one, split in zip(fragments, splits, strict=True) if one["set"] == name]
        if own:
            layout.write_tables([one for one, _ in own], out, work, [split for _, split in own], seed, quirks)
    gold, silver = [], []
    for fragment, split in zip(fragments, splits, strict=True):
        for (prior, current), finding, word in fragment["labels"]:
            ids = {
                "dataset": fragment["set"],
                "patient_id": fragment["patient"],
                "study_id_prev": prior[0],
                "study_id_curr": current[0],
            }
            if split == "test":
                paths = {"img_path_prev": prior[1], "img_path_curr": current[1]}
                gold.append(ids | paths | {"disease_name": finding, "progression": word})
            else:
                paths = {"parent_image_prev": prior[2], "parent_image_curr": current[2]}
                said = {"finding": finding, "progression": word.capitalize(), "reasoning": f"{finding}: {word}."}
                silver.append(
                    ids | paths | said | {"finding_token": finding.lower().replace(" ", "_"), "has_mask": False}
                )
    for file, rows, columns in (
        ("gold_progression_pairs", gold, GOLD),
        ("silver_findings", silver, SILVER),
    ):
        buffer = io.BytesIO()
        pd.DataFrame(rows, columns=columns).to_parquet(buffer, index=False)
        write_atomically(out / "chextemporal" / f"{file}.parquet", work, buffer.getvalue())
