"""The simulated table of pairs reads back as the truth that it was written from."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from simulated_tree import write_with_truth

from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.grammar import DIFFERENCE_QUESTION, parse, render
from intervalchange.records import Case, Change
from intervalchange.simulation.layouts import pairs
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

Written = tuple[Path, list[SimulatedPatient]]
Truth = dict[tuple[str, str], tuple[SimulatedPatient, SimulatedStudy, SimulatedStudy]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_with_truth(tmp_path_factory.mktemp("pairs") / "cohort", "pairs", "2:1:1", patients=6, seed=87)


@pytest.fixture(scope="module")
def truth(written: Written) -> Truth:
    """(prior, current) study -> patient and both studies."""
    return {
        (earlier.study.study_id, later.study.study_id): (patient, earlier, later)
        for patient in written[1]
        for earlier, later in itertools.pairwise(patient.studies)
    }


def by_pair(cases: list[Case]) -> dict[tuple[str, str], Case]:
    return {(case.prior.study_id, case.current.study_id): case for case in cases if case.prior is not None}


def test_cases_equal_the_truth(written: Written, truth: Truth) -> None:
    source = read_source("pairs", written[0])
    cases = by_pair(source.cases)
    assert cases.keys() == truth.keys()
    assert len(source.cases) == len(cases)
    for key, (patient, earlier, later) in truth.items():
        case = cases[key]
        assert (case.patient_id, case.question, case.kind) == (patient.patient_id, DIFFERENCE_QUESTION, "difference")
        assert case.answer == render(Change.between(earlier.study, later.study))
        same = earlier.visit.state.lesions == later.visit.state.lesions
        assert ("same_state=yes" in case.tags) == same
        for study, true in ((case.prior, earlier), (case.current, later)):
            assert study is not None
            assert study.findings == {name: 1.0 for name, value in true.study.findings.items() if value == 1}
            assert (study.report, study.view) == (true.study.report.strip(), true.study.view)
            assert (study.image, study.acquired_at) == (pairs.film_name(true), true.study.acquired_at)
            assert true.film is not None
            pixels = np.asarray(Image.open(source.image_root / study.image))
            assert np.abs(pixels / 255 - true.film.pixels).max() <= 0.5 / 255 + 1e-6
    assert len({case.split for case in source.cases}) > 1
    assert not {case.patient_id for case in source.cases if case.split == "test"} & {
        case.patient_id for case in source.cases if case.split == "train"
    }


def test_rows_the_wrong_way_round_tell_the_change_backwards(written: Written, truth: Truth, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    fragments = []
    for number, patient in enumerate(written[1] * 3):
        other = replace(patient, index=number, patient_id=f"{patient.patient_id}-{number}")
        fragments.append(pairs.write_patient(other, tmp_path, tmp_path / "work", "1.0.1", True))
        for place, row in enumerate(fragments[-1]["rows"]):
            row["case_id"] = f"{number}-{place}"
    pairs.write_tables(fragments, tmp_path, tmp_path / "work", ["train"] * len(fragments), 87, True)
    rows = {row["case_id"]: row for fragment in fragments for row in fragment["rows"]}
    cases = read_source("pairs", tmp_path).cases
    turned = [case for case in cases if "swapped_row" in case.tags]
    assert 0 < len(turned) < len(cases) == len(rows)
    for case in cases:
        assert case.prior is not None
        _, earlier, later = truth[case.prior.study_id, case.current.study_id]
        assert parse(case.answer).change == Change.between(earlier.study, later.study)
        assert (float(rows[case.case_id]["days_between"]) < 0) <= ("swapped_row" in case.tags)
    assert {row["question"] for row in rows.values()} == {"", DIFFERENCE_QUESTION}


def test_without_quirks_every_row_is_in_order(written: Written, truth: Truth, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    fragments = [pairs.write_patient(one, tmp_path, tmp_path / "work", "1.0.1", False) for one in written[1]]
    pairs.write_tables(fragments, tmp_path, tmp_path / "work", ["train"] * len(fragments), 87, False)
    table = pd.read_csv(tmp_path / "pairs.csv", dtype=str, keep_default_na=False)
    assert tuple(table.columns) == pairs.COLUMNS
    assert list(zip(table["prior_study"], table["current_study"], strict=True)) == list(truth)
    assert (table["days_between"].astype(int) >= 0).all()
    source = read_source("pairs", tmp_path)
    assert source.notes == {}
    assert [case.answer for case in source.cases] == list(table["answer"])


def test_preparation(written: Written, truth: Truth, tmp_path: Path) -> None:
    assert read_source("pairs", written[0]).simulated["seed"] == 87
    manifest = prepare("pairs", written[0], tmp_path / "out", pixels=64, workers=1, progress=False)
    assert manifest["doctor"]["films"]["bad"] == 0
    assert manifest["doctor"]["pairs"] == len(truth)
