"""CheXTemporal: five classes of progression on films of two sets, simulated and broken."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import benchmark_tree as tree_of
import pandas as pd
import pytest

from intervalchange.answers import read_answer
from intervalchange.data.readers import read_source
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Case
from intervalchange.simulation.layouts.courses import courses

WORD = {"added": "new", "missing": "resolved", "worse": "worse", "better": "better", "stable": "stable"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree_of.write_cohort(tmp_path_factory.mktemp("chextemporal") / "cohort", "chextemporal")


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    return tree_of.copied(root, tmp_path)


def read_back(case: Case) -> dict[str, str]:
    """Finding -> word, as `score` reads the reference."""
    answer = read_answer(case.answer, case.question)
    assert not answer.unread and not answer.unsure
    return {finding: WORD[course] for course, finding in answer.change.courses}


def expected() -> dict[tuple[str, str], dict[str, str]]:
    """(prior, current) study -> finding -> word."""
    wanted = {}
    for patient in tree_of.patients():
        names = [
            f"patient{patient.patient_id}-study{number}" if patient.index % 2 else study.study.study_id
            for number, study in enumerate(patient.studies, start=1)
        ]
        for (one, prior), (other, current) in pairwise(zip(names, patient.studies, strict=True)):
            if found := courses(prior, current):
                wanted[one, other] = found
    return wanted


def test_the_courses_equal_the_truth_in_both_parts(root: Path) -> None:
    cases = [case for part in ("gold", "silver") for case in read_source("chextemporal", root, part=part).cases]
    assert {pair: read_back(case) for pair, case in tree_of.by_pair(cases).items()} == expected()
    assert {word for found in expected().values() for word in found.values()} == set(WORD.values())
    assert {case.split for case in cases} == {"train", "test"} and {case.kind for case in cases} == {"difference"}
    assert all((root / study.image).is_file() for case in cases for study in (case.prior, case.current) if study)
    assert {tag for case in cases for tag in case.tags} == {"dataset=mimic", "dataset=chexpert"}


def test_the_folder_of_a_set_may_be_elsewhere(root: Path, tree: Path, tmp_path: Path) -> None:
    (tree / "mimic-cxr-jpg").rename(tmp_path / "films")
    (tree / "CheXpert-v1.0-small").rename(tmp_path / "other films")
    named = {"images": tmp_path / "films", "chexpert": tmp_path / "other films", "part": "silver"}
    source = read_source("chextemporal", tree, **named)
    assert {case.case_id for case in source.cases} == {
        case.case_id for case in read_source("chextemporal", root, part="silver").cases
    }
    assert all((source.image_root / case.current.image).is_file() for case in source.cases)


def test_a_set_that_is_not_here_is_counted_and_none_is_refused(tree: Path) -> None:
    shutil.rmtree(tree / "CheXpert-v1.0-small")
    source = read_source("chextemporal", tree, part="silver")
    assert {tag for case in source.cases for tag in case.tags} == {"dataset=mimic"}
    assert source.notes["labels of chexpert, whose films are not here (left out)"] > 0
    shutil.rmtree(tree / "mimic-cxr-jpg")
    with pytest.raises(
        SourceError, match=r"silver_findings.*no pair could be used; films are looked for in .*name their folder"
    ):
        read_source("chextemporal", tree, part="silver")


def change_table(tree: Path, **columns: object) -> None:
    path = tree / "chextemporal" / "silver_findings.parquet"
    pd.read_parquet(path).assign(**columns).to_parquet(path)


def test_gold_patients_are_left_out_of_silver(tree: Path) -> None:
    gold = pd.read_parquet(tree / "chextemporal" / "gold_progression_pairs.parquet")
    path = tree / "chextemporal" / "silver_findings.parquet"
    silver = pd.read_parquet(path)
    leaked = gold.rename(
        columns={"disease_name": "finding", "img_path_prev": "parent_image_prev", "img_path_curr": "parent_image_curr"}
    )
    before = read_source("chextemporal", tree, part="silver")
    pd.concat([silver, leaked]).to_parquet(path)
    after = read_source("chextemporal", tree, part="silver")
    assert [case.case_id for case in after.cases] == [case.case_id for case in before.cases]
    left_out = "labels of patients of the gold part (left out of training)"
    assert 0 < after.notes[left_out] <= len(gold)


def test_two_courses_of_one_finding_are_left_out(tree: Path) -> None:
    path = tree / "chextemporal" / "silver_findings.parquet"
    table = pd.read_parquet(path)
    row = table[table.finding == "Lung Opacity"].iloc[[0]]
    other = row.assign(progression="New" if row.progression.item() != "New" else "Stable")
    pd.concat([table, other]).to_parquet(path)
    assert (
        read_source("chextemporal", tree, part="silver").notes["findings with two courses on one pair (left out)"] == 1
    )


def test_what_is_wrong_is_named(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gold, silver"):
        read_source("chextemporal", tree, part="bronze")
    with pytest.raises(SourceError, match=r"nowhere.*no such folder of films.*chexpert"):
        read_source("chextemporal", tree, chexpert=tmp_path / "nowhere")
    path = tree / "chextemporal" / "gold_progression_pairs.parquet"
    pd.read_parquet(path).rename(columns={"disease_name": "disease"}).to_parquet(path)
    with pytest.raises(SourceError, match=r"gold_progression_pairs\.parquet.*columns disease_name are missing"):
        read_source("chextemporal", tree)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match="the table is damaged"):
        read_source("chextemporal", tree)
    path.unlink()
    with pytest.raises(SourceError, match=r"there is no gold_progression_pairs\.parquet.*huggingface\.co"):
        read_source("chextemporal", tree)
