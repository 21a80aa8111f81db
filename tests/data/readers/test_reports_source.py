"""The source `reports`: a CSV of texts becomes questions and answers; simulated reports give back their truth."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
from film_files import chest, save

from intervalchange import grammar
from intervalchange.data.extraction.labels import LASTING
from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.reports import reasons
from intervalchange.errors import SourceError
from intervalchange.findings import FINDINGS
from intervalchange.records import KINDS, Change
from intervalchange.simulation.cohort import simulate_patient
from intervalchange.simulation.records import SimulatedStudy

ANY_AT_ALL = "is there evidence of any abnormalities in this image?"
TEXTS = {
    "a": "FINDINGS: Small left pleural effusion. No pneumothorax. Heart size is normal.",
    "b": "FINDINGS: Moderate left pleural effusion. Patchy opacity in the right lower lobe. Possible pneumonia.",
    "c": "IMPRESSION: The effusion has resolved. No change in the opacity.",
    "d": "No change.",
}


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, names, restval="", lineterminator="\r\n")
        table.writeheader()
        table.writerows(rows)
    return path


def row(study: str, date: str, text: str = "", **others: str) -> dict[str, str]:
    report = text or TEXTS.get(study, "")
    return {
        "Patient ID": "p1",
        "study-id": study,
        "Study_Date": date,
        "Report": report,
        "Image": f"{study}.png",
    } | others


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [row("c", "2020-03-01"), row("a", "20200101"), row("b", "2020-02-01"), row("d", "2020-04-01")]
    return write(tmp_path / "reports.csv", rows)


def test_neighbours_become_difference_questions(table: Path) -> None:
    source = read_source("reports", table)
    pairs = {case.case_id: case for case in source.cases if case.prior}
    assert list(pairs) == ["p1-b-a-difference", "p1-c-b-difference"]
    first, second = pairs.values()
    assert (first.prior.study_id, first.current.study_id) == ("a", "b")  # type: ignore[union-attr]
    change = Change.of(added=["lung opacity"], levels=[("pleural effusion", "small", "moderate")])
    assert grammar.parse(first.answer).change == change or "area" in first.question
    assert second.answer == "the main image is missing the finding of pleural effusion than the reference image. "
    assert not first.tags, "no text of a report in a table of tags"
    assert source.notes["reports that say nothing of any finding (no labels)"] == 1
    assert source.notes["neighbouring studies of which nothing is known on both (no pair)"] == 1
    assert "pneumonia" not in first.current.findings, "possible is unknown"


def test_every_film_has_at_most_one_question_of_a_kind(table: Path) -> None:
    source = read_source("reports", table.parent)
    kinds = Counter((case.current.study_id, case.kind) for case in source.cases)
    assert set(kinds.values()) == {1}
    assert {case.kind for case in source.cases} <= set(KINDS)
    assert {case.kind for case in source.cases} >= {"presence", "location", "level", "type", "difference"}
    again = read_source("reports", table)
    assert [(c.case_id, c.question, c.answer) for c in again.cases] == [
        (c.case_id, c.question, c.answer) for c in source.cases
    ]


def test_reasons_are_kept_beside_the_cases(table: Path) -> None:
    told = {(one.study, one.finding): one for one in reasons(table)}
    gone = told["c", "pleural effusion"]
    assert (gone.label, gone.sentence, gone.rule) == ("absent", "The effusion has resolved", "gone: has resolved")
    assert told["c", "lung opacity"].rule == "stays: no change in"
    assert told["b", "pneumonia"].label == "uncertain"
    assert all(one.finding in FINDINGS for one in told.values())


def test_bad_rows_are_counted_and_the_rest_is_used(tmp_path: Path) -> None:
    rows = [
        row("a", "2020-01-01", view="PA", age="61", sex="female", split="validation"),
        row("b", "not a date", view="AP", split="nowhere"),
        row("c", "2020-01-01", view="frontal"),
        row("a", "2020-01-01", view="AP"),
        row("l", "2020-05-01", "Effusion.", view="LATERAL"),
        row("e", "2020-01-01", Report=""),
        row("f", "2020-01-01", "Effusion.", Image=""),
    ]
    source = read_source("reports", write(tmp_path / "mine.csv", rows))
    assert source.notes == {
        "dates that cannot be read": 1,
        "rows with an unknown split (used without one)": 1,
        "further films of a study (left out)": 1,
        "lateral and other films that are not frontal (left out)": 1,
        "rows without patient, study, report or image (skipped)": 2,
        "neighbouring studies at the same time (no pair)": 1,
        "neighbouring studies without a date (no pair)": 1,
    }
    first = next(case for case in source.cases if case.current.study_id == "a")
    assert (first.current.view, first.current.age, first.current.sex, first.split) == ("PA", 61, "F", "val")
    assert not any(case.prior for case in source.cases)


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such file.*patient,study,date,report,image"):
        read_source("reports", tmp_path / "none.csv")
    lacking = write(tmp_path / "lacking.csv", [{"patient": "1", "date": "2020", "text": "x"}])
    with pytest.raises(SourceError, match="no column for study, image among: patient, date, text"):
        read_source("reports", lacking)
    empty = write(tmp_path / "empty.csv", [row("a", "2020", Image="")])
    with pytest.raises(SourceError, match="no row could be used"):
        read_source("reports", empty)


# --- simulated reports -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, SimulatedStudy]]:
    folder = tmp_path_factory.mktemp("reports")
    truth, rows = {}, []
    for index in range(6):
        patient = simulate_patient(6, index, films=False)
        for study in patient.studies:
            record = study.study
            truth[record.study_id] = study
            save(chest(64, 64, len(truth)), folder / "films" / f"{record.study_id}.png")
            rows.append(
                {
                    **{"subject": patient.patient_id, "study": record.study_id, "date": record.acquired_at},
                    **{"text": record.report, "path": f"films/{record.study_id}.png", "view": record.view},
                }
            )
    return write(folder / "reports.csv", rows[::-1]), truth


def test_simulated_reports_give_back_labels_levels_and_answers(cohort: tuple[Path, dict[str, SimulatedStudy]]) -> None:
    table, truth = cohort
    source = read_source("reports", table)
    assert {case.current.study_id for case in source.cases} <= truth.keys()
    pairs = 0
    for case in source.cases:
        study = truth[case.current.study_id]
        true = study.study.findings
        assert dict(case.current.levels) == dict(study.study.levels)
        assert all(true[finding] == value for finding, value in case.current.findings.items())
        assert set(FINDINGS) - case.current.findings.keys() <= LASTING
        if case.prior is None:
            check_film(case.question, case.answer, case.kind, study)
        elif case.question == grammar.DIFFERENCE_QUESTION:
            pairs += 1
            true_change = Change.between(truth[case.prior.study_id].study, study.study)
            read_change = grammar.parse(case.answer).change
            assert read_change.items <= true_change.items
            assert all(item[1] in LASTING for item in true_change.items - read_change.items)
    assert pairs > 8


def check_film(question: str, answer: str, kind: str, study: SimulatedStudy) -> None:
    """The answers that can be checked without the generator's own rules."""
    named = [finding for finding in sorted(FINDINGS, key=len, reverse=True) if finding in question]
    said = study.account.attributes
    if kind == "presence" and answer == "yes":
        assert named[0] in said
    elif kind == "presence" and not re.search(r"in the .* area|in the ", question):
        assert named[0] not in said
    elif kind == "level":
        assert answer == said[named[0]].level
    elif kind == "type":
        assert answer == " ".join(said[named[0]].types)
    elif kind == "abnormality":
        assert answer == {True: "yes", False: "no"}[bool(said)] if question == ANY_AT_ALL else answer


def test_it_is_prepared(cohort: tuple[Path, dict[str, SimulatedStudy]], tmp_path: Path) -> None:
    table, truth = cohort
    manifest = prepare("reports", table, tmp_path / "out", pixels=64, workers=1, progress=False)
    assert manifest["doctor"]["films"]["bad"] == 0
    assert manifest["doctor"]["studies"] == len(truth)
    assert manifest["doctor"]["pairs"] > 8
    assert manifest["doctor"]["tags"] == {}
    assert {path.name for path in table.parent.iterdir()} == {"reports.csv", "films"}, "nothing is written beside"
