"""MS-CXR-T 1.0.0 on a simulated MIMIC tree: the tree of `mimic_diff_vqa` and, beside it,

    ms-cxr-t/MS_CXR_T_temporal_image_classification_v1.0.0.csv   one row per pair of neighbouring studies
    ms-cxr-t/MS_CXR_T_temporal_sentence_similarity_v1.0.0.csv    sentences that say the same or the opposite

A finding progresses where it is seen on at least one of the two films: worsening where it is new or graded higher,
improving where it is gone or graded lower, else stable. The order of the columns is from memory. Quirks: in a few
rows the previous film is the later one, and the labels are about the row as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.layouts import Fragment, mimic_diff_vqa
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy
from intervalchange.simulation.reports import direction

NAME = "ms-cxr-t/MS_CXR_T_temporal_{}_v1.0.0.csv"
FINDINGS = ("consolidation", "edema", "pleural_effusion", "pneumonia", "pneumothorax")
"""As the columns name them."""
QUALITIES = ("one_expert", "multiple_experts", "disagreement")
COLUMNS = [
    *("subject_id", "study_id", "dicom_id", "previous_study_id", "previous_dicom_id"),
    *(f"{finding}_{what}" for finding in FINDINGS for what in ("progression", "label_quality")),
]
_BACKWARDS = {"improving": "worsening", "stable": "stable", "worsening": "improving"}
_WORDS = {1: "worsening", 0: "stable", -1: "improving"}
_PHRASES = {
    "worsening": ("has increased", "is larger"),
    "stable": ("is unchanged", "is stable"),
    "improving": ("has decreased", "is smaller"),
}
"""Progression -> two ways to say it."""


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the MIMIC tree of a patient; its fragment also holds the rows of both tables."""
    fragment = mimic_diff_vqa.write_patient(patient, out, work, release, quirks)
    rng = patient.generator(1004)
    rows = [_row(patient.patient_id, prior, current, rng, quirks) for prior, current in pairwise(patient.studies)]
    rows = [row for row in rows if any(row[f"{finding}_progression"] for finding in FINDINGS)]
    return {**fragment, "pairs": rows, "sentences": _sentences(rng)}


def progression(finding: str, prior: SimulatedStudy, current: SimulatedStudy) -> str:
    """How a finding progresses between two studies; empty where neither shows it."""
    before, now = finding in prior.account.attributes, finding in current.account.attributes
    if before and now:
        return _WORDS[direction(finding, prior.account, current.account)]
    return _WORDS[int(now) - int(before)] if before or now else ""


def _row(
    subject: str, prior: SimulatedStudy, current: SimulatedStudy, rng: np.random.Generator, quirks: bool
) -> Fragment:
    words = {finding: progression(finding.replace("_", " "), prior, current) for finding in FINDINGS}
    if quirks and rng.random() < 0.05:
        prior, current = current, prior
        words = {finding: _BACKWARDS.get(word, "") for finding, word in words.items()}
    row = {"subject_id": subject}
    for name, study in (("", current), ("previous_", prior)):
        row[f"{name}study_id"] = study.study.study_id
        row[f"{name}dicom_id"] = study.study.image.removeprefix("files/").removesuffix(".jpg")
    for finding, word in words.items():
        row[f"{finding}_progression"] = word
        row[f"{finding}_label_quality"] = QUALITIES[int(rng.choice(3, p=(0.7, 0.25, 0.05)))] if word else ""
    return row


def _sentences(rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """One paraphrase and one contradiction."""
    name = str(rng.choice(FINDINGS)).replace("_", " ").capitalize()
    word, other = (str(word) for word in rng.permutation(list(_PHRASES))[:2])
    same, apart = _PHRASES[word], (_PHRASES[word][0], _PHRASES[other][0])
    return [
        (f"{name} {same[0]}.", f"{name} {same[1]}.", "paraphrase"),
        (f"{name} {apart[0]}.", f"{name} {apart[1]}.", "contradiction"),
    ]


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables of the MIMIC tree, then those of the pairs and the sentences."""
    mimic_diff_vqa.write_tables(fragments, out, work, splits, seed, quirks)
    pairs = pd.DataFrame([row for fragment in fragments for row in fragment["pairs"]], columns=COLUMNS)
    pairs_of_sentences = list(dict.fromkeys(tuple(row) for fragment in fragments for row in fragment["sentences"]))
    sentences = pd.DataFrame(pairs_of_sentences, columns=["sentence_1", "sentence_2", "category"])
    for name, table in (("image_classification", pairs), ("sentence_similarity", sentences)):
        text = table.to_csv(index=False, lineterminator="\n")
        write_atomically(out / NAME.format(name), work, text.encode())
