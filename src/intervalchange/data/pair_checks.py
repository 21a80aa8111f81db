"""The pairs of a source against the DICOM headers of their films: order in time, and one patient or two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from intervalchange.data.film_headers import HeaderPair, compare_pairs
from intervalchange.data.film_records import FilmRecord
from intervalchange.data.readers.cases import ORDER_UNKNOWN, turned
from intervalchange.data.readers.source import Source
from intervalchange.records import Case

DATES_AGAINST_ORDER = "dates_against_order"
"""Tag of a pair that its table puts in one order and the dates of its headers in the other: the table's is kept."""
DIFFERENT_PATIENTS = "different_patients"
"""Tag of a pair whose headers name two people."""

Split = str


def checked_pairs(
    cases: Sequence[tuple[Case, Split]], source: Source, films: Mapping[str, FilmRecord]
) -> tuple[list[tuple[Case, Split]], Counter[str]]:
    """The cases as their headers let them stand, and what was noted.

    A pair of which the tables do not know the order (`Source.order_open`) is turned round where the headers say so; any
    other keeps its order, and a tag. Films whose files must not be named are not opened: their reader has the headers.
    """
    notes: Counter[str] = Counter()
    compared = {} if source.files else compare_pairs(_paths(case, source) for case, _ in cases if _both(case, films))
    checked = []
    for case, split in cases:
        found = compared.get(_paths(case, source)) if case.prior is not None else None
        kept = case if found is None else _checked(case, found, case.case_id in source.order_open, notes)
        if kept is not None:
            checked.append((kept, split))
    return checked, notes


def _both(case: Case, films: Mapping[str, FilmRecord]) -> bool:
    """Whether both films have a header."""
    return case.prior is not None and all(
        study.image in films and films[study.image].dicom for study in (case.prior, case.current)
    )


def _paths(case: Case, source: Source) -> tuple[Path, Path]:
    """Of prior and current."""
    assert case.prior is not None
    return source.image_root / case.prior.image, source.image_root / case.current.image


def _checked(case: Case, headers: HeaderPair, order_open: bool, notes: Counter[str]) -> Case | None:
    """The case, turned or tagged; None where it must be turned and its answer cannot be read."""
    if headers.patients_differ:
        notes[f"cases whose DICOM headers give different PatientIDs (tag {DIFFERENT_PATIENTS})"] += 1
    elif headers.people_differ:
        notes[f"cases whose DICOM headers give different sexes or dates of birth (tag {DIFFERENT_PATIENTS})"] += 1
    if headers.patients_differ or headers.people_differ:
        case = replace(case, tags=(*case.tags, DIFFERENT_PATIENTS))
    if headers.order < 0 and not order_open:
        return replace(case, tags=(*case.tags, DATES_AGAINST_ORDER))
    if headers.order < 0:
        try:
            case = turned(case)
        except ValueError:
            notes["cases the wrong way round by their DICOM dates whose answer cannot be reversed (left out)"] += 1
            return None
        notes["cases turned round by the dates in their DICOM headers, with their answer"] += 1
    if headers.order:
        case = replace(case, tags=tuple(tag for tag in case.tags if tag != ORDER_UNKNOWN))
    return case
