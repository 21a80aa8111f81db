"""MI-CXR: events over five films as pairs, and its questions as references, simulated and broken."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import benchmark_tree as tree_of
import pytest

from intervalchange.answers import read_answer
from intervalchange.data.readers import read_source
from intervalchange.errors import SourceError
from intervalchange.evaluation.answers.reference_table import read_reference
from intervalchange.records import CHOICE
from intervalchange.simulation.layouts.courses import courses

WORD = {"added": "new", "missing": "resolved", "worse": "worse", "better": "better", "stable": "stable"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree_of.write_cohort(tmp_path_factory.mktemp("mi_cxr") / "cohort", "mi_cxr")


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    return tree_of.copied(root, tmp_path)


def table_of(root: Path) -> Path:
    return root / "mi-cxr" / "micxr_test.jsonl"


def test_what_is_said_of_a_pair_is_true_of_it(root: Path) -> None:
    source = read_source("mi_cxr", root)
    cases, said = tree_of.by_pair(source.cases), set()
    for patient in tree_of.patients():
        for prior, current in pairwise(patient.studies):
            case = cases.pop((prior.study.study_id, current.study.study_id), None)
            if case is None:
                assert len(patient.studies) < 5 or not courses(prior, current)
                continue
            found = read_answer(case.answer, case.question).change.courses
            assert (
                found
                and {finding: WORD[course] for course, finding in found}.items() <= courses(prior, current).items()
            )
            said |= {course for course, _ in found}
            new = {finding for finding, word in courses(prior, current).items() if word == "new"}
            assert new <= {finding for course, finding in found if course == "added"}, "every first and second event"
    assert not cases and {"added", "missing"} <= said
    assert {case.split for case in source.cases} == {"test"}
    assert source.notes["labels of sub-diaphragmatic air, which the answers have no word for (left out)"] > 0
    assert source.notes["questions over all films, GTS (not asked of a pair)"] > 0


def test_the_published_file_is_a_reference_for_score(root: Path) -> None:
    table = read_reference(table_of(root))
    rows = tree_of.rows_of(table_of(root))
    assert [case.reference for case in table.cases] == [row["answer"] for row in rows]
    assert {case.kind for case in table.cases} == {CHOICE} and "\nE. " in table.cases[0].question
    assert {case.patient_id for case in table.cases} == {
        patient.patient_id for patient in tree_of.patients() if len(patient.studies) == 5
    }


def test_bad_rows_are_counted_and_the_rest_is_kept(tree: Path, root: Path) -> None:
    def broken(rows: tree_of.Rows) -> tree_of.Rows:
        four = {**rows[0], "images": dict(list(rows[0]["images"].items())[:4])}  # type: ignore[attr-defined]
        return [*rows, four, {**rows[0], "answer": "Z"}]

    tree_of.change_rows(table_of(tree), broken)
    source = read_source("mi_cxr", tree)
    assert source.cases == read_source("mi_cxr", root).cases
    assert source.notes["rows that do not name five films of one patient (skipped)"] == 1


def test_what_is_not_there_is_named(tree: Path) -> None:
    tree_of.change_rows(table_of(tree), lambda rows: [{"opts": row.pop("choices"), **row} for row in rows])
    with pytest.raises(SourceError, match=r"micxr_test\.jsonl: no row has the field choices.*The fields are q_id"):
        read_source("mi_cxr", tree)
    table_of(tree).write_text("[]")
    with pytest.raises(SourceError, match="holds no rows"):
        read_source("mi_cxr", tree)
    shutil.rmtree(tree / "mi-cxr")
    with pytest.raises(SourceError, match=r"there is no micxr_test\.jsonl.*github\.com/AIDASLab/MI-CXR"):
        read_source("mi_cxr", tree)
