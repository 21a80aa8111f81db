"""TemMed-Bench: yes/no questions and reports on pairs of CheXpert Plus, simulated and broken."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import benchmark_tree as tree_of
import pytest

from intervalchange.data.readers import read_source
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import CHOICE
from intervalchange.simulation.layouts.courses import courses
from intervalchange.simulation.layouts.temmed_bench import ASKS


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree_of.write_cohort(tmp_path_factory.mktemp("temmed_bench") / "cohort", "temmed_bench")


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    return tree_of.copied(root, tmp_path)


def test_answers_are_the_truth_and_reports_those_of_the_later_film(root: Path) -> None:
    source = read_source("temmed_bench", root)
    asked = [case for case in source.cases if case.kind == CHOICE]
    reports = {case.current.study_id: case for case in source.cases if case.kind == "difference"}
    true = set()
    for patient in tree_of.patients():
        for number, (prior, current) in enumerate(pairwise(patient.studies), start=2):
            name = f"patient{patient.patient_id}-study{number}"
            impression = " ".join(current.study.report.split()).partition("IMPRESSION:")[2].strip()
            assert name not in reports or reports[name].answer == impression
            true |= {(name, ASKS[word].format(finding)) for finding, word in courses(prior, current).items()}
    assert asked and {case.answer for case in asked} <= {"yes", "no"}
    assert all((case.answer == "yes") == ((case.current.study_id, case.question) in true) for case in asked)
    assert {case.split for case in asked} == {"test"} and {case.split for case in reports.values()} == {"train", "test"}
    assert all((source.image_root / case.current.image).is_file() for case in source.cases)
    assert all(case.prior is not None and case.prior.order + 1 == case.current.order for case in source.cases)


def test_the_published_subset(root: Path) -> None:
    selected = tree_of.rows_of(root / "Get_Data" / "TestSet_SelectedVQA_2000.json")
    whole, part = (read_source("temmed_bench", root, asked=asked).cases for asked in ("all", "selected"))
    assert len([case for case in part if case.kind == CHOICE]) == len(selected)
    assert {case.case_id for case in part} < {case.case_id for case in whole}


def test_without_the_table_of_reports_there_are_questions_alone(tree: Path) -> None:
    (tree / "df_chexpert_plus_240401.csv").unlink()
    source = read_source("temmed_bench", tree)
    assert {case.kind for case in source.cases} == {CHOICE}
    test = tree / "Get_Data" / "TestSet_VQA_ReportGeneration.json"
    tree_of.change_rows(test, lambda rows: [{**row, "condition_changes_report": "New edema."} for row in rows])
    test.rename(test.with_name("TestSet_VQA_ReportGeneration_Final.json"))
    answers = {case.answer for case in read_source("temmed_bench", tree).cases if case.kind == "difference"}
    assert answers == {"New edema."}


def test_films_may_be_jpegs_elsewhere(tree: Path, root: Path, tmp_path: Path) -> None:
    (tree / "PNG").rename(tmp_path / "films")
    for path in sorted((tmp_path / "films").rglob("*.png")):
        path.rename(path.with_suffix(".jpg"))
    source = read_source("temmed_bench", tree, images=tmp_path / "films")
    assert [case.case_id for case in source.cases] == [case.case_id for case in read_source("temmed_bench", root).cases]
    assert all((source.image_root / case.current.image).is_file() for case in source.cases)


def test_bad_rows_are_counted(tree: Path) -> None:
    def broken(rows: tree_of.Rows) -> tree_of.Rows:
        other = {**rows[0], "historical_image_path": "train/patient1/study1/view1_frontal.png"}
        unsure = {**rows[0], "VQA_Final": [{"VQA_question": "Worse?", "VQA_answer": "Perhaps."}]}
        return [*rows, other, unsure, {name: value for name, value in rows[0].items() if name != "VQA_Final"}]

    tree_of.change_rows(tree / "Get_Data" / "TestSet_VQA_ReportGeneration.json", broken)
    notes = read_source("temmed_bench", tree).notes
    assert notes["rows that do not name two films of one patient (skipped)"] == 1
    assert notes["questions without a text, or whose answer is neither yes nor no (skipped)"] == 1
    assert notes["rows without VQA_Final (no question)"] == 1


def test_what_is_wrong_is_named(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="all, selected"):
        read_source("temmed_bench", tree, asked="some")
    with pytest.raises(SourceError, match="no such folder of films"):
        read_source("temmed_bench", tree, images=tmp_path / "nowhere")
    test = tree / "Get_Data" / "TestSet_VQA_ReportGeneration.json"
    (tree / "Get_Data" / "TestSet_SelectedVQA_2000.json").unlink()
    with pytest.raises(SourceError, match=r"there is no TestSet_SelectedVQA_2000\.json.*asked=selected"):
        read_source("temmed_bench", tree, asked="selected")
    shutil.rmtree(tree / "PNG")
    with pytest.raises(SourceError, match=r"none of the films that TestSet_VQA_ReportGeneration\.json names is here"):
        read_source("temmed_bench", tree)
    tree_of.change_rows(test, lambda rows: [{"path": row.pop("image_path"), **row} for row in rows])
    with pytest.raises(SourceError, match=r"no row has the field image_path; the fields are: .*historical_image_path"):
        read_source("temmed_bench", tree)
    test.unlink()
    with pytest.raises(SourceError, match=r"there is no TestSet_VQA_ReportGeneration\.json.*uclanlp/TemMed-Bench"):
        read_source("temmed_bench", tree)
