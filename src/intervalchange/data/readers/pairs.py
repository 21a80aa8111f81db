"""Anyone's pairs: a CSV with one row per pair of films of one patient.

Column (other accepted spellings); upper and lower case, spaces, dashes and underscores are all the same:

    patient       patient_id, subject, subject_id, person                      needed
    prior         prior_path, prior_image, prior_file, ref_file, ref_image, reference, reference_file     needed
    current       current_path, current_image, current_file, main_file, main_image, main                  needed
    question      empty or absent: "what has changed compared to the reference image?"
    answer        reference_answer
    kind          question_type
    split         set, subset, fold
    case_id       pair_id, id
    prior_date    ref_date, reference_date, prior_day                          date, date-time or number of days
    current_date  main_date, current_day
    days_between  days, interval_days                                          negative: the row is the wrong way round
    prior_view, current_view (ref_view, main_view)                             PA or AP
    prior_note, current_note (ref_note, main_note, prior_report, current_report)          become the reports
    prior_findings, current_findings (ref_findings, main_findings)             names joined by | or ;

Paths are relative to the CSV. A row whose dates say that `current` is the earlier film is turned round, with its
answer, and tagged `swapped_row`. Columns named in `tag_columns` are kept as tags `column=value`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from intervalchange.data.readers.files import SPLITS, marker, moment, named_columns, read_table
from intervalchange.data.readers.source import Source
from intervalchange.errors import SourceError
from intervalchange.findings import ALIASES
from intervalchange.grammar import DIFFERENCE_QUESTION, reverse
from intervalchange.records import KINDS, Case, Study

SIDES = {
    "": ("", "path", "image", "file", "film"),
    "date": ("date", "day", "study_date", "acquired_at"),
    "view": ("view", "view_position"),
    "note": ("note", "report", "text"),
    "findings": ("findings", "labels"),
    "study": ("study", "study_id", "image_id"),
}
"""Meaning of a column that exists for both films -> its endings."""
FILMS = {"prior": ("prior", "ref", "reference", "previous"), "current": ("current", "main")}
SINGLE = {
    "patient": ("patient", "patient_id", "subject", "subject_id", "person"),
    "question": ("question",),
    "answer": ("answer", "reference_answer"),
    "kind": ("kind", "question_type"),
    "split": ("split", "set", "subset", "fold"),
    "case_id": ("case_id", "pair_id", "id"),
    "days_between": ("days_between", "days", "interval_days"),
}
TAG_COLUMNS = (
    *("change_label", "consecutive", "same_view_group", "same_state", "new_findings", "resolved_findings", "licence"),
    *("source",),
)
EXAMPLE = "A first line such as: patient,prior,current,question,answer"


def read(root: Path, tag_columns: Sequence[str] = TAG_COLUMNS, tables_only: bool = False) -> Source:
    """Read a CSV of pairs, or the `pairs.csv` of a folder. tables_only changes nothing here."""
    path = root / "pairs.csv" if root.is_dir() else root
    table, columns = read_columns(path)
    notes: Counter[str] = Counter()
    cases = []
    seen: set[str] = set()
    for number, row in enumerate(table.to_dict("records"), start=2):
        case = _case(row, columns, tag_columns, path, number, notes)
        if case is None:
            continue
        if case.case_id in seen:
            notes["rows with a case_id already seen (skipped)"] += 1
            continue
        seen.add(case.case_id)
        cases.append(case)
    if not cases:
        raise SourceError("no row could be used.", where=path, remedy=f"Noted: {dict(notes)}." if notes else EXAMPLE)
    simulated = marker(path.parent / "SIMULATED")
    return Source("pairs", path.name, path.parent, cases, dict(notes), {}, simulated)


def read_columns(path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table as strings, and meaning -> the column that carries it."""
    table = read_table(path, "Give the CSV of pairs itself. " + EXAMPLE)
    spellings = dict(SINGLE)
    for film, words in FILMS.items():
        for meaning, endings in SIDES.items():
            names = [f"{word}_{ending}" if ending else word for ending in endings for word in words]
            spellings[f"{film}_{meaning}".rstrip("_")] = tuple(names)
    return table, named_columns(table, spellings, ("patient", "prior", "current"), path, EXAMPLE)


def _case(
    row: Mapping[str, str],
    columns: Mapping[str, str],
    tag_columns: Sequence[str],
    path: Path,
    number: int,
    notes: Counter[str],
) -> Case | None:
    """One row as a Case, or None with the reason counted."""

    def value(meaning: str) -> str:
        return row[columns[meaning]].strip() if meaning in columns else ""

    if not (value("patient") and value("prior") and value("current")):
        notes["rows without patient, prior or current (skipped)"] += 1
        return None
    prior, current = (_study(film, value, notes) for film in ("prior", "current"))
    kind, split = value("kind") or "difference", value("split").lower()
    if kind not in KINDS or split not in SPLITS:
        what = f"kind '{kind}'" if kind not in KINDS else f"split '{split}'"
        raise SourceError(f"line {number}: unknown {what}.", where=path, remedy=f"Known: {KINDS}, train, val, test.")
    answer = value("answer")
    tags = [f"{name}={row[name].strip()}" for name in tag_columns if name in row and row[name].strip()]
    if _backwards(prior, current, value("days_between"), notes):
        prior, current = current, prior
        tags.append("swapped_row")
        notes["rows with current before prior (turned round, with their answer)"] += 1
        try:
            answer = reverse(answer) if answer and kind == "difference" else answer
        except ValueError:
            notes["rows the wrong way round whose answer cannot be reversed (skipped)"] += 1
            return None
    case_id = value("case_id") or f"{path.stem}:{number}"
    question = value("question") or DIFFERENCE_QUESTION
    return Case(case_id, value("patient"), current, prior, question, answer, kind, SPLITS[split], tuple(tags))


def _study(film: str, value: Callable[[str], str], notes: Counter[str]) -> Study:
    """One side of a row."""
    image, date = value(film), value(f"{film}_date")
    order = moment(date)
    if date and math.isnan(order):
        notes["dates that cannot be read"] += 1
    view = value(f"{film}_view").upper()
    return Study(
        study_id=value(f"{film}_study") or image,
        image=image,
        view=next((known for known in ("PA", "AP") if view.startswith(known)), ""),
        acquired_at=date if not math.isnan(order) else "",
        order=order,
        report=value(f"{film}_note"),
        findings=named_findings(value(f"{film}_findings")),
    )


def named_findings(text: str) -> dict[str, float]:
    """Findings that are named, as present; what is not named stays unknown. Names outside the vocabulary are left."""
    names = {name.strip().lower() for name in re.split(r"[|;]", text)}
    return {finding: 1.0 for finding, others in ALIASES.items() if names & {finding, *others}}


def _backwards(prior: Study, current: Study, days: str, notes: Counter[str]) -> bool:
    """Whether dates, or else the days between, say that `current` is the earlier film."""
    if not (math.isnan(prior.order) or math.isnan(current.order)):
        return current.order < prior.order
    try:
        return float(days) < 0
    except ValueError:
        notes["pairs without dates (their order is as the table says)"] += 1
        return False
