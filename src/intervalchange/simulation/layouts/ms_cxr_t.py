"""MS-CXR-T 1.0.0 on a simulated MIMIC tree: the tree of `mimic_diff_vqa` and, beside it,

    ms-cxr-t/MS_CXR_T_temporal_image_classification_v1.0.0.csv   one row a pair of neighbouring studies
    ms-cxr-t/MS_CXR_T_temporal_sentence_similarity_v1.0.0.csv    sentences that say the same or the opposite

A finding progresses where it is seen on at least one of the two films: worsening where it is new or graded higher,
improving where it is gone or graded lower, else stable. The order of the columns is from memory. Quirks: in a few
rows the previous film is the later one, and the labels are about the row as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from intervalchange.data.readers.ms_cxr_t import BACKWARDS, FINDINGS, QUALITIES
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts import mimic_diff_vqa as export
from intervalchange.simulation.reports import direction

if TYPE_CHECKING:
    from intervalchange.simulation.cohort import SimulatedPatient, SimulatedStudy

NAME = "ms-cxr-t/MS_CXR_T_temporal_{}_v1.0.0.csv"
COLUMNS = [
    *("subject_id", "study_id", "dicom_id", "previous_study_id", "previous_dicom_id"),
    *(f"{finding}_{what}" for finding in FINDINGS for what in ("progression", "label_quality")),
]
_WORDS = {1: "worsening", 0: "stable", -1: "improving"}
_SAID = {
    "worsening": ("has increased", "is larger"),
    "stable": ("is unchanged", "is stable"),
    "improving": ("has decreased", "is smaller"),
}
"""Progression -> two ways to say it."""


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the MIMIC tree of a patient; its fragment also holds the rows of both tables."""
    fragment = export.write_patient(patient, out, work, release, quirks)
    rng = np.random.default_rng(np.random.SeedSequence([patient.seed, patient.index], spawn_key=(1004,)))
    rows = [_row(patient.patient_id, prior, current, rng, quirks) for prior, current in pairwise(patient.studies)]
    rows = [row for row in rows if any(row[f"{finding}_progression"] for finding in FINDINGS)]
    return {**fragment, "pairs": rows, "sentences": _sentences(rng)}


def progression(finding: str, prior: SimulatedStudy, current: SimulatedStudy) -> str:
    """How a finding progresses between two studies; empty where neither shows it."""
    then, now = finding in prior.account.attributes, finding in current.account.attributes
    if then and now:
        return _WORDS[direction(finding, prior.account, current.account)]
    return _WORDS[int(now) - int(then)] if then or now else ""


def _row(
    subject: str, prior: SimulatedStudy, current: SimulatedStudy, rng: np.random.Generator, quirks: bool
) -> Fragment:
    words = {finding: progression(finding.replace("_", " "), prior, current) for finding in FINDINGS}
    if quirks and rng.random() < 0.05:
        prior, current = current, prior
        words = {finding: BACKWARDS.get(word, "") for finding, word in words.items()}
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
    word, other = (str(one) for one in rng.permutation(list(_SAID))[:2])
    same, apart = _SAID[word], (_SAID[word][0], _SAID[other][0])
    return [
        (f"{name} {same[0]}.", f"{name} {same[1]}.", "paraphrase"),
        (f"{name} {apart[0]}.", f"{name} {apart[1]}.", "contradiction"),
    ]


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables of the MIMIC tree, then those of the pairs and the sentences."""
    export.write_tables(fragments, out, work, splits, seed, quirks)
    pairs = pd.DataFrame([row for fragment in fragments for row in fragment["pairs"]], columns=COLUMNS)
    said = list(dict.fromkeys(tuple(row) for fragment in fragments for row in fragment["sentences"]))
    sentences = pd.DataFrame(said, columns=["sentence_1", "sentence_2", "category"])
    for name, table in (("image_classification", pairs), ("sentence_similarity", sentences)):
        text = table.to_csv(index=False, lineterminator="\n")
        export.write_atomically(out / NAME.format(name), work, text.encode())
