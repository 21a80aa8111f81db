"""MMXU: multiple choice on pairs of MIMIC-CXR-JPG, simulated and broken."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import benchmark_tree as tree_of
import pytest

from intervalchange.choices import options_of
from intervalchange.data.readers import read_source
from intervalchange.errors import SourceError
from intervalchange.records import CHOICE
from intervalchange.simulation.layouts.courses import courses
from intervalchange.simulation.layouts.mmxu import SAYS


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree_of.write_cohort(tmp_path_factory.mktemp("mmxu") / "cohort", "mmxu")


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    return tree_of.copied(root, tmp_path)


def test_the_right_option_is_the_truth_and_the_films_are_in_time(root: Path) -> None:
    source = read_source("mmxu", root)
    cases, seen = tree_of.by_pair(source.cases), 0
    for patient in tree_of.patients():
        for prior, current in pairwise(patient.studies):
            case = cases.get((prior.study.study_id, current.study.study_id))
            if case is not None:
                seen += 1
                finding = case.question.removeprefix("How has the ").partition(" changed")[0]
                assert options_of(case.question)[case.answer] == SAYS[courses(prior, current)[finding]]
                assert case.prior is not None and case.prior.image == prior.study.image
                assert (case.patient_id, case.kind) == (patient.patient_id, CHOICE)
    assert seen == len(source.cases) > 0
    assert source.notes["rows that name the later film first (read forward in time)"] > 0
    assert {case.split for case in source.cases} == {"train", "test"}


@pytest.mark.parametrize("folder", ["nested", "sides"])
def test_the_films_are_found_wherever_they_stand_in_a_row(tree: Path, root: Path, folder: str) -> None:
    def renamed(rows: tree_of.Rows) -> tree_of.Rows:
        for row in rows:
            films = list(row.pop("images"))  # type: ignore[call-overload]
            if folder == "nested":
                row["studies"] = [{"path": film, "region": "left lung"} for film in films]
            else:
                row["current_image"], row["prior_image"] = films[1], films[0]
            row["choices"] = row.pop("options")
            row["gt"] = row.pop("answer")
        return rows

    for path in sorted((tree / "mmxu").iterdir()):
        tree_of.change_rows(path, renamed)
    assert read_source("mmxu", tree).cases == read_source("mmxu", root).cases


def test_bad_rows_are_counted_and_the_rest_is_kept(tree: Path, root: Path) -> None:
    def broken(rows: tree_of.Rows) -> tree_of.Rows:
        one_film = {**rows[0], "images": [rows[0]["images"][0]]}  # type: ignore[index]
        return [*rows, one_film, {**rows[0], "answer": "F"}, {**rows[0], "question": ""}, {**rows[0], "id": "0"}]

    tree_of.change_rows(tree / "mmxu" / "MMXU-test.jsonl", broken)
    source = read_source("mmxu", tree)
    assert source.cases == read_source("mmxu", root).cases
    assert source.notes["rows that do not name two films of one patient (skipped)"] == 1
    assert source.notes["rows without a question, or whose answer is none of the options (skipped)"] == 2
    assert source.notes["rows with an id already seen (skipped)"] == 1


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("question", r"MMXU-test\.jsonl: no row has the field question; the fields are: answer, images, options"),
        ("options", r"no row has the field options"),
        ("answer", r"no row has the field answer"),
        ("images", r"no row names a film of MIMIC-CXR-JPG.*A row looks like"),
    ],
)
def test_other_fields_are_named(tree: Path, field: str, message: str) -> None:
    def renamed(rows: tree_of.Rows) -> tree_of.Rows:
        return [{name: value for name, value in row.items() if name != field} for row in rows]

    tree_of.change_rows(tree / "mmxu" / "MMXU-test.jsonl", renamed)
    with pytest.raises(SourceError, match=message):
        read_source("mmxu", tree)


def test_what_is_not_there_is_named(tree: Path) -> None:
    (tree / "mmxu" / "MMXU-test.jsonl").write_text('{"question": "?"\n')
    with pytest.raises(SourceError, match=r"MMXU-test\.jsonl: not JSON \(line 1"):
        read_source("mmxu", tree)
    shutil.rmtree(tree / "mimic-cxr-jpg" / "files")
    (tree / "mmxu" / "MMXU-test.jsonl").unlink()
    with pytest.raises(SourceError, match=r"none of the films.*mimic-cxr-jpg"):
        read_source("mmxu", tree)
    shutil.rmtree(tree / "mmxu")
    with pytest.raises(SourceError, match=r"there is no MMXU-test\.jsonl.*huggingface\.co/datasets/LinjieMu/MMXU"):
        read_source("mmxu", tree)
