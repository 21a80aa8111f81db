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
    prior_findings, current_findings (ref_findings, main_findings)             names joined by | ; , / or a list

Paths are relative to the CSV. A row whose dates say that `current` is the earlier film is turned round, with its
answer, and tagged `swapped_row`; one whose two dates cannot be compared (`moments`) stays as it is, tagged
`order_unknown`. Columns named in `tag_columns` are kept as tags `column=value`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path

import pandas as pd

from intervalchange.cells import plain_id, present
from intervalchange.data.readers.cases import ORDER_UNKNOWN, turned
from intervalchange.data.readers.files import SPLITS, film_path, marker, named_columns, number, read_table
from intervalchange.data.readers.moments import Moment, counted, day_first, later, moment
from intervalchange.data.readers.source import Source
from intervalchange.errors import SourceError
from intervalchange.findings import ALIASES
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.records import ALL_KINDS, Case, Study

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
FORWARDS, BACKWARDS, UNORDERED, UNDATED = "forwards", "backwards", "unordered", "undated"
"""What a row may say of the order in time of its two films: UNORDERED where it has dates that do not tell."""
VOCABULARY = frozenset(name for finding, others in ALIASES.items() for name in (finding, *others))
NOTHING_FOUND = frozenset(
    (
        "no finding",
        "no findings",
        "no acute findings",
        "no abnormality",
        "no abnormalities",
        "nothing",
        "normal",
        "clear",
    )
)
"""What a cell of findings says where there is none."""
EXAMPLE = "A first line such as: patient,prior,current,question,answer"


@dataclass(frozen=True)
class _Table:
    """What all rows of a table share."""

    path: Path
    columns: Mapping[str, str]
    """Meaning -> the column that carries it."""
    tag_columns: Sequence[str]
    days_first: bool | None
    """Whether its dates put the day before the month; None where they do not show it."""


def read(root: Path, tag_columns: Sequence[str] = TAG_COLUMNS, tables_only: bool = False) -> Source:
    """Read a CSV of pairs, or the `pairs.csv` of a folder. tables_only changes nothing here."""
    path = root / "pairs.csv" if root.is_dir() else root
    cells, columns = read_columns(path)
    dates = [cells[columns[name]] for name in ("prior_date", "current_date") if name in columns]
    table = _Table(path, columns, tag_columns, day_first(chain.from_iterable(dates)))
    notes: Counter[str] = Counter()
    cases: dict[str, Case] = {}
    order_open = set()
    for line, row in enumerate(cells.to_dict("records"), start=2):
        read_row = _case(row, table, line, notes)
        if read_row is None:
            continue
        case, ordered = read_row
        if case.case_id in cases:
            notes["rows with a case_id already seen (skipped)"] += 1
            continue
        cases[case.case_id] = case
        if not ordered:
            order_open.add(case.case_id)
    if not cases:
        raise SourceError("no row could be used.", where=path, remedy=f"Noted: {dict(notes)}." if notes else EXAMPLE)
    simulated = marker(path.parent / "SIMULATED")
    return Source(
        "pairs",
        path.name,
        path.parent,
        list(cases.values()),
        dict(notes),
        {},
        simulated,
        order_open=frozenset(order_open),
    )


def read_columns(path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table as strings, and meaning -> the column that carries it."""
    table = read_table(path, "Give the CSV of pairs itself. " + EXAMPLE)
    spellings = dict(SINGLE)
    for film, words in FILMS.items():
        for meaning, endings in SIDES.items():
            names = [f"{word}_{ending}" if ending else word for ending in endings for word in words]
            spellings[f"{film}_{meaning}".rstrip("_")] = tuple(names)
    return table, named_columns(table, spellings, ("patient", "prior", "current"), path, EXAMPLE)


def _case(row: Mapping[str, str], table: _Table, line: int, notes: Counter[str]) -> tuple[Case, bool] | None:
    """One row as a Case, and whether it says which film is the earlier one; None with the reason counted."""

    def value(meaning: str) -> str:
        return present(row[table.columns[meaning]]) if meaning in table.columns else ""

    patient = plain_id(value("patient"))
    if not (patient and value("prior") and value("current")):
        notes["rows without patient, prior or current (skipped)"] += 1
        return None
    times = {film: counted(moment(value(f"{film}_date"), table.days_first), notes) for film in FILMS}
    prior, current = (_study(film, value, times[film], table.path.parent, notes) for film in FILMS)
    if prior.image == current.image:
        notes["rows that name one film as prior and current (kept)"] += 1
    kind, split = value("kind") or "difference", value("split").lower()
    if kind not in ALL_KINDS or split not in SPLITS:
        what = f"kind '{kind}'" if kind not in ALL_KINDS else f"split '{split}'"
        raise SourceError(
            f"line {line}: unknown {what}.", where=table.path, remedy=f"Known: {ALL_KINDS}, train, val, test."
        )
    tags = [f"{name}={present(row[name])}" for name in table.tag_columns if name in row and present(row[name])]
    case_id = plain_id(value("case_id")) or f"{table.path.stem}:{line}"
    question = value("question") or DIFFERENCE_QUESTION
    case = Case(case_id, patient, current, prior, question, value("answer"), kind, SPLITS[split], tuple(tags))
    order = _order(times["prior"], times["current"], number(value("days_between")), notes)
    if order == UNORDERED:
        return replace(case, tags=(*tags, ORDER_UNKNOWN)), False
    if order != BACKWARDS:
        return case, order == FORWARDS
    notes["rows with current before prior (turned round, with their answer)"] += 1
    try:
        return turned(case), True
    except ValueError:
        notes["rows the wrong way round whose answer cannot be reversed (skipped)"] += 1
        return None


def _study(film: str, value: Callable[[str], str], taken: Moment, folder: Path, notes: Counter[str]) -> Study:
    """One side of a row."""
    image, view = film_path(folder, value(film)), value(f"{film}_view").upper()
    return Study(
        study_id=plain_id(value(f"{film}_study")) or image,
        image=image,
        view=next((known for known in ("PA", "AP") if view.startswith(known)), ""),
        acquired_at=taken.written(value(f"{film}_date")),
        order=taken.order,
        report=value(f"{film}_note"),
        findings=named_findings(value(f"{film}_findings"), notes),
    )


def _order(prior: Moment, current: Moment, days: float, notes: Counter[str]) -> str:
    """What the dates of a row, or else the days between, say of its order in time."""
    known = later(prior, current)
    between = 0 if not math.isfinite(days) else (days > 0) - (days < 0)
    if known and between and known != between:
        notes["rows whose dates and days_between disagree (the dates count)"] += 1
    order = known or between
    if order:
        return FORWARDS if order > 0 else BACKWARDS
    if (prior and current) or days == 0:
        notes["pairs whose order in time is unknown (it is as the table says)"] += 1
        return UNORDERED
    notes["pairs without dates (their order is as the table says)"] += 1
    return UNDATED


# --- findings --------------------------------------------------------------------------------------------------------


def named_findings(cell: str, notes: Counter[str] | None = None) -> dict[str, float]:
    """Findings that are named, as present; what is not named stays unknown. Names outside the vocabulary are left, and
    counted in notes.

    Read are names joined by | ; , / "and" or line ends, and lists as Python, NumPy and JSON write them.
    """
    findings, unknown = _named(present(cell))
    if notes is not None and unknown and not findings:
        notes["cells of findings that name nothing known"] += 1
    elif notes is not None and unknown:
        notes["names of findings that are not known (left out)"] += unknown
    return dict.fromkeys(findings, 1.0)


@lru_cache(maxsize=1 << 14)
def _named(cell: str) -> tuple[tuple[str, ...], int]:
    """The findings of a cell, and how many of its names are not known."""
    names = set(_names(cell)) - NOTHING_FOUND
    findings = tuple(finding for finding, others in ALIASES.items() if names & {finding, *others})
    return findings, len(names - VOCABULARY)


def _names(text: str) -> Iterator[str]:
    """The names of a cell, in lower case. One that holds a comma itself stays whole where it is known."""
    if re.search(r"""['"]\s*:""", text):  # An object says which are present and which absent: no list of names.
        yield text
        return
    if text[:1] in "[({" and text[-1:] in "])}":
        text = text[1:-1]
        quoted = re.findall(r"""'([^']*)'|"([^"]*)\"""", text)
        text = "|".join(map("".join, quoted)) if quoted else text
    for part in re.split(r"[|;\r\n\t]", text):
        whole = _plain_name(part)
        pieces = [whole] if whole in VOCABULARY else [_plain_name(piece) for piece in re.split(r"[,/&+]|\band\b", part)]
        yield from (piece for piece in pieces if present(piece))


def _plain_name(text: str) -> str:
    return " ".join(text.lower().replace("_", " ").strip(" .'\"").split())
