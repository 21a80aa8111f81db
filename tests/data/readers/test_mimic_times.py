"""StudyDate and StudyTime of MIMIC-CXR as tables have them after other tools: what is not known makes no order."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest
from mimic_tree import EFFUSION, dicom_id, write_tree

from intervalchange.data.readers import mimic_files, mimic_studies, read_source
from intervalchange.grammar import DIFFERENCE_QUESTION, parse
from intervalchange.records import Case

LATE, EARLY = "68000002", "67000003"
"""Two studies of 2180-01-05, at 23:59:59 and one second after midnight."""
UNTIMED = "films without a StudyTime (only their day is known)"
UNREAD = "StudyTimes that cannot be read (only the day is known)"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "root")


def with_cell(tree: Path, old: str, new: str) -> Path:
    path = tree / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    assert old in text
    path.write_bytes(gzip.compress(text.replace(old, new).encode()))
    return tree


def neighbours(tree: Path, notes: Counter[str]) -> list[tuple[str, str]]:
    films = mimic_files.film_metadata(mimic_files.locate_films(tree, None, None), notes)
    studies = {dicom_id(study): study for study in (LATE, EARLY)}
    both = {dicom: film for dicom, film in films.items() if dicom in studies}
    return [(studies[prior], studies[current]) for prior, current in mimic_studies.neighbours(both, notes)]


def pairs(tree: Path) -> list[Case]:
    """The cases of the two, of the general question."""
    cases = read_source("mimic_diff_vqa", tree).cases
    both = [case for case in cases if case.prior is not None and case.question == DIFFERENCE_QUESTION]
    return [case for case in both if {case.prior.study_id, case.current.study_id} == {LATE, EARLY}]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("cell", "note"),
    [
        *((cell, UNTIMED) for cell in ("", "nan", "NaN", "None")),
        *((cell, UNREAD) for cell in ("inf", "25:00", "-5", "soon")),
    ],
)
def test_a_time_that_is_not_known_makes_no_order(cell: str, note: str, tree: Path) -> None:
    notes: Counter[str] = Counter()
    with_cell(tree, ",235959.0,", f",{cell},")
    assert neighbours(tree, notes) == []
    assert notes["neighbouring studies whose order in time is unknown (no pair is made)"] == 1
    assert notes[note] == 1
    first, second = pairs(tree)
    assert first.tags == second.tags == ("order_unknown",)
    assert (first.current.study_id, second.current.study_id) == (EARLY, LATE), "as the rows have them"
    assert parse(first.answer).change.missing == parse(second.answer).change.added == {EFFUSION}
    assert (first.current.acquired_at, second.current.acquired_at) == ("2180-01-05T00:00:01", "2180-01-05")
    assert read_source("mimic_diff_vqa", tree).order_open > {first.case_id, second.case_id}


@pytest.mark.parametrize(
    ("cell", "clock"),
    [
        *(("93000.0", "09:30:00"), ("0930", "09:30:00"), ("09:30", "09:30:00"), ("09:30:15", "09:30:15")),
        *(("93000", "09:30:00"), ("093000.250", "09:30:00"), ("930", "00:09:30"), ("1530.0", "00:15:30")),
    ],
)
def test_a_time_in_any_form(cell: str, clock: str, tree: Path) -> None:
    notes: Counter[str] = Counter()
    with_cell(tree, ",235959.0,", f",{cell},")
    assert neighbours(tree, notes) == [(EARLY, LATE)]
    assert not {note for note in notes if "StudyTime" in note}
    (case,) = pairs(tree)
    assert (case.current.study_id, case.current.acquired_at) == (LATE, f"2180-01-05T{clock}")
    assert "order_unknown" not in case.tags


@pytest.mark.parametrize(
    ("date", "known"),
    [("nan", False), ("inf", False), ("21800105.0", True), ("2180-01-05", True), ("05.01.2180", True), ("2180", False)],
)
def test_a_date_in_any_form(date: str, known: bool, tree: Path) -> None:
    notes: Counter[str] = Counter()
    with_cell(tree, "21800105,235959.0", f"{date},235959.0")
    assert neighbours(tree, notes) == ([(EARLY, LATE)] if known else [])
    source = read_source("mimic_diff_vqa", tree)
    assert source.notes["metadata dates that cannot be read"] == (1 if known else 2)
