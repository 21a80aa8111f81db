"""The rows of Medical-Diff-VQA as released: what its papers train and test on (`prepare --protocol published`).

Every row is a case, in the order of the table, and its number, from 0, is the id of the case, as the COCO files of
EKAID and C2F have it. `current` is study_id and `prior` ref_id, of the six kinds of question about one film too, whose
two films the published models are shown. Nothing is turned, merged or left out for what it says: rows stay twice, also
those of one pair both ways round, lateral films stay, and one patient in several splits. A pair whose main film is the
earlier one by its dates keeps its order and gets the tag `main_earlier`.

Left out, and counted, is only what cannot be a case: a row whose films the tables do not know, or of a kind that
nobody knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from intervalchange.data.readers.cases import MAIN_EARLIER, ORDER_UNKNOWN
from intervalchange.data.readers.diff_vqa_tables import MimicFilm, Row, order_of
from intervalchange.data.readers.mimic_files import OFFICIAL_SPLITS
from intervalchange.data.readers.source import Released
from intervalchange.records import KINDS, Case, Study


def published_rows(
    rows: Iterable[Row], films: Mapping[str, MimicFilm], path: Path, notes: Counter[str]
) -> tuple[list[Row], Released]:
    """The rows that can be cases, and the splits of all. Where the film beside a single one is unknown, it has none."""
    usable, splits = [], []
    for row in rows:
        splits.append(OFFICIAL_SPLITS.get(row.split, row.split))
        difference = row.kind == "difference"
        if row.kind not in KINDS:
            notes["rows with an unknown question type (cannot be a case)"] += 1
        elif row.study not in films or (difference and row.reference not in films):
            notes["rows whose image is unknown (cannot be a case)"] += 1
        elif row.reference in films:
            usable.append(row)
        else:
            notes["questions about one film whose ref_id is unknown (they have no prior)"] += 1
            usable.append(replace(row, reference=""))
    return usable, Released(path, splits)


def published_cases(
    rows: Sequence[Row],
    studies: Mapping[str, Study],
    films: Mapping[str, MimicFilm],
    same_state: frozenset[frozenset[str]],
) -> list[Case]:
    """One case per row."""
    cases = []
    for row in rows:
        tags = []
        if row.kind == "difference":
            order = order_of(films[row.study], films[row.reference])
            tags += [MAIN_EARLIER] if order < 0 else [ORDER_UNKNOWN] if order == 0 else []
            tags += ["same_state"] if frozenset((row.study, row.reference)) in same_state else []
        films_of = (studies[row.study], studies[row.reference] if row.reference else None)
        about = (row.question, row.answer, row.kind)
        cases.append(Case(str(row.number), row.subject, *films_of, *about, tags=tuple(tags)))
    return cases
