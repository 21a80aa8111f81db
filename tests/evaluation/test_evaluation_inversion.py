"""The four settings of progression under temporal inversion."""

from __future__ import annotations

import math

import pytest

from intervalchange.evaluation.metrics.inversion import inversion_measures, inversion_tally
from intervalchange.evaluation.metrics.statistics import point_estimates
from intervalchange.evaluation.report.table import sections
from intervalchange.evaluation.scoring.file_scores import MetricValue
from intervalchange.evaluation.scoring.score_file import score_predictions
from intervalchange.grammar import DIFFERENCE_QUESTION, render
from intervalchange.records import Change, Prediction

GIVEN = ("Edema is worse.", "New effusion.", "Stable cardiomegaly.", "Atelectasis is worse.")
SWAPPED = ("Edema is better.", "New effusion.", "Cardiomegaly is worse.", "Atelectasis is worse.")
REFERENCES = ("Edema is worse.", "New effusion.", "Stable cardiomegaly.", "Atelectasis is better.")
"""Right both ways; right only as they are, twice; right only exchanged."""
CONFIDENCES = ((0.9, 0.1), (0.9, 0.1), (0.1, 0.9), (0.1, 0.9))


def test_by_hand() -> None:
    questions = [DIFFERENCE_QUESTION] * 4
    values = point_estimates(inversion_tally(GIVEN, SWAPPED, REFERENCES, questions, CONFIDENCES), inversion_measures)
    assert values == {
        "standard.accuracy": pytest.approx(3 / 4),
        "reversed.accuracy": pytest.approx(2 / 4),
        "combined.accuracy": pytest.approx(3 / 4),
        "consistency.accuracy": pytest.approx(1 / 4),
    }


def test_a_perfect_answerer_and_one_that_does_not_look() -> None:
    questions, mirrored = [DIFFERENCE_QUESTION] * 2, ["Edema is better.", "The effusion has resolved."]
    perfect = inversion_tally(REFERENCES[:2], mirrored, REFERENCES[:2], questions)
    assert point_estimates(perfect, inversion_measures)["consistency.accuracy"] == 1
    blind = point_estimates(inversion_tally(GIVEN[:2], GIVEN[:2], REFERENCES[:2], questions), inversion_measures)
    assert (blind["standard.accuracy"], blind["reversed.accuracy"], blind["consistency.accuracy"]) == (1, 0, 0)
    assert math.isnan(blind["combined.accuracy"])


def test_a_template_reference_counts_too() -> None:
    new = render(Change.of(["pleural effusion"], levels=[("edema", "mild", "severe")]))
    back = render(Change.of(missing=["pleural effusion"], levels=[("edema", "severe", "mild")]))
    values = point_estimates(inversion_tally([new], [back], [new], [DIFFERENCE_QUESTION]), inversion_measures)
    assert values["consistency.accuracy"] == 1


def scored(confidences: bool) -> dict[str, MetricValue]:
    cases = []
    for row, (given, swapped, reference) in enumerate(zip(GIVEN, SWAPPED, REFERENCES, strict=True)):
        for side, (condition, answer) in enumerate((("given", given), ("swap", swapped))):
            confidence = {"answer": CONFIDENCES[row][side]} if confidences else None
            cases.append(
                Prediction(
                    str(row), str(row), "difference", DIFFERENCE_QUESTION, answer, condition, reference,
                    confidence=confidence,
                )
            )  # fmt: skip
    return dict(score_predictions(cases, replicates=20).metrics)


def test_they_are_in_the_table_with_their_floors() -> None:
    cases = [
        Prediction(str(row), str(row), "difference", DIFFERENCE_QUESTION, answer, condition, REFERENCES[row])
        for condition, answers in (("given", GIVEN), ("swap", SWAPPED), ("blank", ("Edema is worse.",) * 4))
        for row, answer in enumerate(answers)
    ]
    scores = score_predictions(cases, replicates=20)
    found = {name: scores.metrics[f"floors.blank.progression.{name}.accuracy"] for name in ("standard", "reversed")}
    assert found == {"standard": pytest.approx(1 / 4), "reversed": 0}
    assert scores.metrics["floors.blank.progression.consistency.accuracy"] == 0
    assert "floors.swap.progression.consistency.accuracy" not in scores.metrics
    rows = dict(next(section for section in sections([scores], {}) if section.key == "courses").rows)
    assert rows["under inversion: standard, films as they are"][0].startswith("0.750")
    assert rows["  reversed: films exchanged"][0].startswith("0.500")
    assert rows["  consistency: both right"][0].startswith("0.250")
    assert rows["under inversion, standard: blank images"] == ("0.250",)
    alone = score_predictions([case for case in cases if case.condition == "given"], replicates=20)
    assert "progression.reversed.accuracy" not in alone.metrics
    assert not [name for name in alone.metrics if name.endswith("consistency.accuracy")]


def test_they_are_in_the_score() -> None:
    metrics = scored(confidences=True)
    found = [metrics[f"progression.{name}.accuracy"] for name in ("standard", "reversed", "combined", "consistency")]
    assert found == pytest.approx([3 / 4, 2 / 4, 3 / 4, 1 / 4]) and metrics["progression.accuracy"] == 3 / 4
    assert "progression.combined.accuracy.low" in metrics
    without = scored(confidences=False)
    assert str(without["progression.combined.accuracy"]).startswith("not run") and (
        "progression.combined.accuracy.low" not in without
    )
