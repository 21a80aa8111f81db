"""Free answers through `score`: courses, hedges, refusals; consistency crossed with looking."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from intervalchange.evaluation.answers.predictions import write_predictions
from intervalchange.evaluation.metrics import courses, film_use
from intervalchange.evaluation.metrics.change import change_scores, of_template, tally
from intervalchange.evaluation.metrics.statistics import point_estimates
from intervalchange.evaluation.report import table
from intervalchange.evaluation.scoring.score import Scores, score
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING, render
from intervalchange.records import Change, Prediction

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "answers"))
from wordings import WORDINGS

EFFUSION = render(Change.of(["pleural effusion"]))
EDEMA_GONE = render(Change.of(missing=["edema"]))


def measured(answers: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    return point_estimates(courses.tally(answers, references, [DIFFERENCE_QUESTION] * len(answers)), courses.measures)


# --- metrics -----------------------------------------------------------------------------------------------------


def test_progression_by_hand() -> None:
    """Four findings with a course: two right, one inverted, one not named. Classes: worse 1/1, better 0/1, new 1/2."""
    answers = ["Worsening edema. Larger effusion.", "New fracture.", "Nothing has changed."]
    references = ["Edema is worse. Effusion is smaller.", "New fracture.", "New hernia."]
    values = measured(answers, references)
    assert values["progression.accuracy"] == pytest.approx(2 / 4)
    assert values["progression.direction_error.rate"] == pytest.approx(1 / 3)
    assert values["progression.added.f1"] == pytest.approx(2 / 3)
    assert values["progression.worse.f1"] == pytest.approx(2 / 3), (
        "one of two claims is right, and the only one that is there"
    )
    assert values["progression.better.f1"] == 0
    assert values["progression.macro.f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3), "over the courses references name"


def test_a_level_of_a_template_reference_is_a_course() -> None:
    reference = render(Change.of(levels=[("pleural effusion", "small", "moderate")]))
    assert measured(["The effusion has grown."], [reference])["progression.accuracy"] == 1
    assert measured(["The effusion has shrunk."], [reference])["progression.direction_error.rate"] == 1


def test_hedges_refusals_and_what_is_read() -> None:
    answers = ["Possible new edema.", "I cannot compare these images.", "New effusion.", "Lorem ipsum."]
    values = measured(answers, [EFFUSION] * 4)
    rates = [values[f"answers.{name}.rate"] for name in ("hedge", "abstention", "read")]
    assert rates == [0.25, 0.25, 0.75]


@pytest.mark.parametrize(
    ("given", "swapped", "blank", "identity", "name"),
    [
        ("New effusion.", "The effusion has resolved.", "Nothing has changed.", "Nothing has changed.", "ideal"),
        ("New effusion.", "New edema.", "Nothing has changed.", "Nothing has changed.", "fragile"),
        ("New effusion.", "The effusion has resolved.", "New effusion.", "Nothing has changed.", "dangerous"),
        ("New effusion.", "The effusion has resolved.", "Nothing has changed.", "New effusion.", "dangerous"),
        ("New effusion.", "New effusion.", "New effusion.", "New effusion.", "worst"),
        ("Nothing has changed.", "Nothing has changed.", "Nothing has changed.", "Nothing has changed.", "dangerous"),
        ("The edema is worse.", "The edema is better.", "I cannot compare.", "No change.", "ideal"),
    ],
)
def test_consistency_crossed_with_looking(given: str, swapped: str, blank: str, identity: str, name: str) -> None:
    counts = film_use.use_tally(
        [EFFUSION], [given], [swapped], {"blank": [blank], "identity": [identity]}, [DIFFERENCE_QUESTION]
    )
    values = point_estimates(counts, film_use.use_measures)
    assert {kind for kind in film_use.CLASSES if values[f"{kind}.rate"] == 1} == {name}


def test_pairs_without_a_change_are_not_asked_about() -> None:
    """Of an unchanged pair "nothing has changed" is right, whatever the films."""
    counts = film_use.use_tally([NOTHING], ["No change."], ["No change."], {"blank": ["No change."]}, [""])
    assert counts["use_asked"].sum() == 0


def test_template_answers_are_scored_by_the_grammar() -> None:
    answers = [EFFUSION, NOTHING, "the main image has an additional finding of", ""]
    assert all(map(of_template, answers)) and not of_template("New effusion.")
    free = tally(answers, [EFFUSION] * 4, None, [DIFFERENCE_QUESTION] * 4)
    known = tally(answers, [EFFUSION] * 4)
    assert {name: values.tolist() for name, values in free.items()} == {
        name: values.tolist() for name, values in known.items()
    }


# --- files -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cases() -> list[tuple[str, str, str]]:
    """(id, answer of one of sixteen styles, reference in the template)."""
    signs = {"+": "added", "-": "missing"}
    found = []
    for style, answers in WORDINGS.items():
        for number, (gold, answer) in enumerate(answers):
            sides: dict[str, list[str]] = {"added": [], "missing": []}
            for part in filter(None, map(str.strip, gold.split(","))):
                if part[0] in signs:
                    sides[signs[part[0]]].append(part[1:])
            found.append((f"{style} {number}", answer, render(Change.of(**sides))))
    return found


def references_of(cases: Sequence[tuple[str, str, str]], folder: Path) -> Path:
    path = folder / "references.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["case_id", "patient_id", "question", "reference"])
        rows.writerows((name, name, DIFFERENCE_QUESTION, reference) for name, _, reference in cases)
    return path


def written(cases: Sequence[tuple[str, str, str]], form: str, folder: Path) -> Path:
    path = folder / f"answers.{'json' if form == 'coco' else form}"
    if form == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["case_id", "prediction"])
            rows.writerows((name, answer) for name, answer, _ in cases)
    elif form == "coco":
        results = [{"image_id": name, "caption": answer} for name, answer, _ in cases]
        path.write_text(json.dumps(results), encoding="utf-8")
    else:
        lines = (json.dumps({"case_id": name, "prediction": answer}) for name, answer, _ in cases)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("form", ["csv", "coco", "jsonl"])
def test_sixteen_styles_in_three_kinds_of_file(cases: list[tuple[str, str, str]], form: str, tmp_path: Path) -> None:
    scores = score(
        written(cases, form, tmp_path), reference=references_of(cases, tmp_path), meteor=False, replicates=10
    )
    metrics = scores.files[0].metrics
    assert metrics["cases.count"] == len(cases)
    assert metrics["change.findings.micro.recall"] == 1
    assert metrics["change.findings.micro.precision"] > 0.98, "what is rightly unread counts as false"
    assert metrics["change.direction_error.rate"] == 0
    assert metrics["answers.read.rate"] > 0.98
    assert 0 < metrics["answers.hedge.rate"] < 0.2 and 0 < metrics["answers.abstention.rate"] < 0.2


def conditions(answers: dict[str, str]) -> list[Prediction]:
    return [
        Prediction(f"c{n}", f"p{n}", "difference", DIFFERENCE_QUESTION, answer, condition, EFFUSION)
        for n in range(4)
        for condition, answer in answers.items()
    ]


def controls_scored(answers: dict[str, str], folder: Path) -> Scores:
    path = folder / "controls.jsonl"
    write_predictions(path, conditions(answers))
    return score(path, meteor=False, replicates=10)


def test_a_consistent_model_that_does_not_look_is_named(tmp_path: Path) -> None:
    blind = {
        "given": "New effusion.",
        "swap": "Effusion has resolved.",
        "blank": "New effusion.",
        "identity": "No change.",
    }
    scores = controls_scored(blind, tmp_path)
    metrics = scores.files[0].metrics
    assert metrics["consistency.swap.rate"] == 1 and metrics["consistency.use.dangerous.rate"] == 1
    assert any(note.startswith("consistent without looking: 4 of 4") for note in scores.files[0].notes)
    page = table.markdown(scores.files, {})
    assert "dangerous: consistent without looking" in page and "Free answers: the course of each finding" in page


def test_without_controls_it_was_not_run(tmp_path: Path) -> None:
    metrics = controls_scored({"given": "New effusion."}, tmp_path).files[0].metrics
    assert metrics["consistency.use.ideal.rate"] == "not run"
    assert metrics["change.findings.micro.f1"] == 1 and metrics["progression.accuracy"] == 1


def test_template_files_have_no_free_metrics(tmp_path: Path) -> None:
    metrics = controls_scored({"given": EFFUSION, "swap": EDEMA_GONE}, tmp_path).files[0].metrics
    assert not [name for name in metrics if name.startswith(("progression", "answers."))]
    assert metrics["change.findings.micro.f1"] == change_scores([EFFUSION], [EFFUSION])["findings.micro.f1"] == 1
