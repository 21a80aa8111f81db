"""Writes simulated patients as Medical-Diff-VQA on MIMIC-CXR, with scene graphs and the truth beside.

    mimic-cxr-jpg/, mimic-cxr/   films, reports and their tables, see layouts/mimic_cxr.py
    medical-diff-vqa/            mimic_pair_questions.csv, mimic_all.csv, all_diseases.json
    chest-imagenome/             scene graphs and split lists, see layouts/imagenome.py
    simulated-truth/             what no real data set has, see layouts/simulated_truth.py

Difference rows. Release 1.0.1 writes (study_id later, ref_id earlier). In 1.0.0 48% of the pairs have the earlier
study as study_id; their answer belongs to the row as it stands (study_id is the main image, ref_id the reference), so
it tells the change backwards in time. In both releases the other rows of such a group are about the earlier study.
With quirks=False, 1.0.1 asks every question about the later study. `generator` is what the published code makes, which
made neither release: every question is about the later study, no row repeats, and where a level has changed in a
location that both studies name, the difference question is about that location alone, always.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from intervalchange.atomic_files import write_atomically
from intervalchange.data.extraction import questions
from intervalchange.data.extraction.account import Attributes
from intervalchange.findings import FINDINGS
from intervalchange.simulation.layouts import GENERATOR, Fragment, imagenome, mimic_cxr, simulated_truth
from intervalchange.simulation.records import SimulatedPatient

REVERSED_SHARE = 0.48
"""Share of the pairs whose group was generated with the earlier study as the main one."""
PREVIOUS_SHARE = 0.75
"""Share of the pairs whose reference is the study just before; any earlier one otherwise."""
QUESTIONS = "medical-diff-vqa"

# --- one patient -----------------------------------------------------------------------------------------------


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write a patient's films, reports, opacity maps and scene graphs; return the rows for the tables."""
    quirk_rng, question_rng = patient.generator(1000), patient.generator(1001)
    for study in patient.studies:
        mimic_cxr.write_study(patient.patient_id, study, out, work)
        simulated_truth.write_opacity(study, out, work)
    imagenome.write_patient(patient, out, work, quirks)
    return {
        "subject_id": patient.patient_id,
        "studies": [_study_rows(patient, visit, quirk_rng, quirks) for visit in range(len(patient.studies))],
        "questions": _question_rows(patient, question_rng, release, quirks),
        "same_state": simulated_truth.same_state_pairs(patient),
    }


def _study_rows(patient: SimulatedPatient, visit: int, rng: np.random.Generator, quirks: bool) -> Fragment:
    study = patient.studies[visit]
    images = mimic_cxr.metadata_rows(patient, visit, rng, quirks)
    return {
        "study_id": study.study.study_id,
        "dicom_id": study.dicom_id,
        "date": int(study.acquired.strftime("%Y%m%d")),
        "view": images[0]["ViewCodeSequence_CodeMeaning"],
        "images": images,
        "labels": mimic_cxr.report_labels(study),
        "entity": {name: _entity(name, attributes) for name, attributes in study.account.attributes.items()},
        "no_entity": list(study.account.denied),
        **simulated_truth.truth_rows(patient, visit),
    }


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
        turned = rng.random() < REVERSED_SHARE and (quirks or release == "1.0.0") and release != GENERATOR
        subject, reference = (prior, current) if turned else (current, prior)
        rows += [(subject.study.study_id, reference.study.study_id, *item) for item in questions.ask(rng, subject)]
        if release != "1.0.0":
            subject, reference = current, prior
        areas: questions.Areas = "always" if release == GENERATOR else "rare"
        difference = questions.ask_difference(rng, reference, subject, areas)
        repeats = 2 if quirks and rng.random() < 0.02 and release != GENERATOR else 1
        rows += [(subject.study.study_id, reference.study.study_id, *difference)] * repeats
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
    labels = mimic_cxr.label_table(in_order, rng, quirks)
    tables = {
        **mimic_cxr.image_tables(in_order),
        f"{mimic_cxr.JPG}/mimic-cxr-2.0.0-chexpert.csv.gz": labels,
        f"{mimic_cxr.JPG}/mimic-cxr-2.0.0-negbio.csv.gz": labels,
        f"{QUESTIONS}/mimic_all.csv": _all_studies(studies, labels),
        f"{QUESTIONS}/mimic_pair_questions.csv": _pair_questions(fragments, splits),
        f"{simulated_truth.TRUTH}/same_state.csv": simulated_truth.same_state_table(fragments),
    }
    for name, table in tables.items():
        text = table.to_csv(index=False, lineterminator="\n").encode("utf-8")
        write_atomically(out / name, work, gzip.compress(text, mtime=0) if name.endswith(".gz") else text)
    write_atomically(out / mimic_cxr.JPG / "IMAGE_FILENAMES", work, mimic_cxr.image_names(in_order))
    write_atomically(out / QUESTIONS / "all_diseases.json", work, json.dumps(_key_info(studies)).encode())
    simulated_truth.write_truth_tables(studies, out, work)
    imagenome.write_tables(fragments, out, work, splits, seed, quirks)


def _all_studies(studies: Sequence[Fragment], labels: pd.DataFrame) -> pd.DataFrame:
    """mimic_all.csv: the label table plus film, view, split, date and rank of the date within the patient."""
    table = pd.DataFrame(
        {
            "study_id": study["study_id"],
            "dicom_id": study["dicom_id"],
            "view": study["view"],
            "split": mimic_cxr.mimic_split(study["split"]),
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
