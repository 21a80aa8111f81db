"""Anyone's reports: a CSV with one row per film and the text of its report, from which questions are made.

Column (other accepted spellings); upper and lower case, spaces, dashes and underscores are all the same:

    patient   patient_id, subject, subject_id, person                needed
    study     study_id, exam, exam_id, accession                     needed
    date      study_date, exam_date, acquired_at, day                date, date-time or number of days; needed for pairs
    report    report_text, text, note                                needed
    image     image_path, path, file, film, filename                 needed; relative to the CSV
    view      view_position, projection                              PA, AP, frontal, or lateral (left out)
    split     set, subset, fold
    age, sex

The rules of `data.extraction` read each report; each film then gets at most one question of each of the six kinds about
one film, and each two neighbouring studies of a patient a difference question, all in the wording of Medical-Diff-VQA
and with answers that follow from the labels. Why a label is as it is: `reasons`.

Not handled: what a report leaves out or gets wrong. Labels of text are not labels of films.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intervalchange.cells import plain_id, present
from intervalchange.data.extraction import questions, statements
from intervalchange.data.extraction.account import Account
from intervalchange.data.extraction.labels import account_of
from intervalchange.data.readers.files import SPLITS, film_path, marker, named_columns, read_table
from intervalchange.data.readers.moments import Moment, counted, day_first, later, moment
from intervalchange.data.readers.source import Source
from intervalchange.errors import SourceError
from intervalchange.findings import FINDINGS
from intervalchange.records import Case, Study

COLUMNS: Mapping[str, Sequence[str]] = {
    "patient": ("patient", "patient_id", "subject", "subject_id", "person"),
    "study": ("study", "study_id", "exam", "exam_id", "accession"),
    "date": ("date", "study_date", "studydate", "exam_date", "acquired_at", "day"),
    "report": ("report", "report_text", "text", "note"),
    "image": ("image", "image_path", "path", "file", "film", "filename"),
    "view": ("view", "view_position", "viewposition", "projection"),
    "split": ("split", "set", "subset", "fold"),
    "age": ("age", "patient_age"),
    "sex": ("sex", "gender", "patient_sex"),
}
"""Meaning of a column -> its spellings, the first of them that is there counts."""
NEEDED = ("patient", "study", "report", "image")
EXAMPLE = "A first line such as: patient,study,date,report,image"
FRONTAL = {"pa": "PA", "ap": "AP", "postero-anterior": "PA", "antero-posterior": "AP", "frontal": "", "": ""}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a study has a label: the sentence of the report, word for word, and the rule that read it."""

    study: str
    finding: str
    label: str
    """present, absent or uncertain."""
    sentence: str
    rule: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One film that can be used."""

    patient: str
    study: Study
    taken: Moment
    split: str


def read(root: Path, images: Path | None = None, tables_only: bool = False) -> Source:
    """Read a CSV of reports, or the `reports.csv` of a folder. tables_only changes nothing here.

    images: the folder that the paths of films are relative to, where that is not the folder of the CSV.
    """
    path = _table(root)
    notes: Counter[str] = Counter()
    cases = []
    folder = images or path.parent
    for patient, rows in _patients(path, folder, notes).items():
        cases += list(_of_patient(patient, rows, notes))
    if not cases:
        raise SourceError("no row could be used.", where=path, remedy=f"Noted: {dict(notes)}." if notes else EXAMPLE)
    simulated = marker(path.parent / "SIMULATED")
    return Source("reports", path.name, folder, cases, dict(+notes), {}, simulated)


def reasons(root: Path) -> Iterator[Reason]:
    """Every statement that the rules read, for every study of the CSV, in the order of the questions."""
    path = _table(root)
    for rows in _patients(path, path.parent, Counter()).values():
        for row in rows:
            for statement in statements(row.study.report):
                if statement.finding in FINDINGS:
                    yield Reason(
                        row.study.study_id, statement.finding, statement.label, statement.sentence, statement.rule
                    )


def _of_patient(patient: str, rows: Sequence[_Row], notes: Counter[str]) -> Iterator[Case]:
    """The cases of one patient, whose rows are in time order."""
    accounts = [account_of(row.study, statements(row.study.report)) for row in rows]
    for row, account in zip(rows, accounts, strict=True):
        if not account.study.findings:
            notes["reports that say nothing of any finding (no labels)"] += 1
        for kind, question, answer in questions.ask(_random(patient, row.study.study_id), account):
            name = f"{patient}-{row.study.study_id}-{kind}"
            yield Case(name, patient, account.study, None, question, answer, kind, row.split)
    for (earlier, prior), (row, current) in itertools.pairwise(zip(rows, accounts, strict=True)):
        if _follow(earlier.taken, row.taken, notes) and _shared(prior, current, notes):
            pair = f"{current.study.study_id}-{prior.study.study_id}"
            kind, question, answer = questions.ask_difference(_random(patient, pair), prior, current)
            name = f"{patient}-{pair}-{kind}"
            yield Case(name, patient, current.study, prior.study, question, answer, kind, row.split)


def _follow(prior: Moment, current: Moment, notes: Counter[str]) -> bool:
    """Whether the second of two neighbours is certainly the later one."""
    if not (prior and current):
        notes["neighbouring studies without a date (no pair)"] += 1
    elif prior == current:
        notes["neighbouring studies at the same time (no pair)"] += 1
    elif later(prior, current) <= 0:
        notes["neighbouring studies whose order in time is unknown (no pair)"] += 1
    else:
        return True
    return False


def _shared(prior: Account, current: Account, notes: Counter[str]) -> bool:
    """Whether a finding is known of both."""
    if prior.study.findings.keys() & current.study.findings.keys():
        return True
    notes["neighbouring studies of which nothing is known on both (no pair)"] += 1
    return False


def _random(patient: str, what: str) -> np.random.Generator:
    """The same questions for the same study, on every machine and whatever else the CSV holds."""
    return np.random.default_rng(list(hashlib.sha256(f"{patient}/{what}".encode()).digest()[:16]))


# --- the table ----------------------------------------------------------------------------------------------------


def _table(root: Path) -> Path:
    return root / "reports.csv" if root.is_dir() else root


def _patients(path: Path, folder: Path, notes: Counter[str]) -> dict[str, list[_Row]]:
    """Patient -> usable rows in time order, those without a date last."""
    patients: dict[str, list[_Row]] = {}
    seen: set[tuple[str, str]] = set()
    table = read_table(path, "Give the CSV of reports itself. " + EXAMPLE)
    columns = named_columns(table, COLUMNS, NEEDED, path, EXAMPLE)
    days_first = day_first(table[columns["date"]]) if "date" in columns else None
    for cells in table.to_dict("records"):
        row = _row({meaning: present(cells[name]) for meaning, name in columns.items()}, folder, days_first, notes)
        if row is None:
            continue
        if (row.patient, row.study.study_id) in seen:
            notes["further films of a study (left out)"] += 1
            continue
        seen.add((row.patient, row.study.study_id))
        patients.setdefault(row.patient, []).append(row)
    for rows in patients.values():
        rows.sort(key=lambda row: (not row.taken, row.taken.scale, row.taken.order, row.study.study_id))
    return patients


def _row(value: Mapping[str, str], folder: Path, days_first: bool | None, notes: Counter[str]) -> _Row | None:
    """One row, or None with the reason counted."""
    if not all(value[name] for name in NEEDED):
        notes["rows without patient, study, report or image (skipped)"] += 1
        return None
    view = value.get("view", "").lower()
    if view not in FRONTAL:
        notes["lateral and other films that are not frontal (left out)"] += 1
        return None
    split = value.get("split", "").lower()
    if split not in SPLITS:
        notes["rows with an unknown split (used without one)"] += 1
    date = value.get("date", "")
    taken = counted(moment(date, days_first), notes)
    age, sex = value.get("age", ""), value.get("sex", "").upper()[:1]
    study = Study(
        study_id=plain_id(value["study"]),
        image=film_path(folder, value["image"]),
        view=FRONTAL[view],
        acquired_at=taken.written(date),
        order=taken.order,
        report=value["report"],
        age=float(age) if re.fullmatch(r"\d{1,3}(?:\.\d+)?", age) else math.nan,
        sex=sex if sex in ("F", "M") else "",
    )
    return _Row(plain_id(value["patient"]), study, taken, SPLITS.get(split, ""))
