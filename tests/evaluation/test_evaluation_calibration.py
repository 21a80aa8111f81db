"""Where to stop answering: thresholds and selective figures, computed by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from intervalchange.cli import main
from intervalchange.errors import ConfigError, InputError, SourceError
from intervalchange.evaluation.answers.predictions import Provenance, write_predictions
from intervalchange.evaluation.metrics import calibration, change
from intervalchange.evaluation.metrics.calibration import operating_point
from intervalchange.evaluation.scoring.score import score
from intervalchange.evaluation.scoring.threshold import choose_threshold
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING
from intervalchange.records import Prediction

EDEMA = "the main image has an additional finding of edema than the reference image."
SAID = [0.9, 0.8, 0.7, 0.6, 0.5]
RIGHT = [1, 0, 1, 1, 0]
"""Risk as more is answered: 0, 1/2, 1/3, 1/4, 2/5."""


def answers(said: list[float], right: list[int], **more: object) -> list[Prediction]:
    """One difference question a patient, answered EDEMA; right where the reference says so too."""
    return [
        Prediction(
            f"c{place}",
            f"p{place}",
            "difference",
            DIFFERENCE_QUESTION,
            EDEMA,
            reference=EDEMA if correct else NOTHING,
            confidence={"answer": sure},
            **more,  # type: ignore[arg-type]
        )
        for place, (sure, correct) in enumerate(zip(said, right, strict=True))
    ]


# --- the threshold -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("risk", "answered", "threshold"),
    [(0.0, 1, 0.85), (0.25, 4, 0.55), (0.3, 4, 0.55), (0.4, 5, 0.0), (1.0, 5, 0.0)],
)
def test_the_largest_coverage_at_a_risk(risk: float, answered: int, threshold: float) -> None:
    point = operating_point(SAID, RIGHT, risk=risk)
    assert (point.answered, point.coverage) == (answered, answered / 5)
    assert point.threshold == pytest.approx(threshold)
    assert point.risk <= risk


@pytest.mark.parametrize(("coverage", "answered", "risk"), [(0.0, 1, 0), (0.4, 2, 0.5), (0.41, 3, 1 / 3), (1, 5, 0.4)])
def test_the_smallest_coverage_that_is_enough(coverage: float, answered: int, risk: float) -> None:
    point = operating_point(SAID, RIGHT, coverage=coverage)
    assert (point.answered, point.risk) == (answered, pytest.approx(risk))


def test_order_does_not_matter_and_ties_stay_together() -> None:
    said, right = np.array([0.5, 0.9, 0.9, 0.5]), np.array([1, 1, 0, 1])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        point = operating_point(said[order], right[order], coverage=0.25)
        assert (point.answered, point.risk, point.threshold) == (2, 0.5, pytest.approx(0.7))
    assert operating_point([0.5] * 4, right, risk=0.25).coverage == 1
    with pytest.raises(InputError, match="no threshold"):
        operating_point([0.5] * 4, right, risk=0.2)


def test_the_threshold_keeps_what_it_says() -> None:
    rng = np.random.default_rng(0)
    said = rng.random(400).round(2)
    right = rng.random(400) < said
    for risk in (0.1, 0.2, 0.4):
        point = operating_point(said, right, risk=risk)
        kept = said >= point.threshold
        assert kept.sum() == point.answered
        assert 1 - right[kept].mean() == pytest.approx(point.risk)
        assert all(1 - right[said >= sure].mean() > risk for sure in set(said[~kept])), "no larger coverage will do"
    risks = [operating_point(said, right, risk=risk).coverage for risk in (0.1, 0.2, 0.3, 0.5)]
    assert risks == sorted(risks)


def test_impossible_wishes() -> None:
    for wish in ({}, {"risk": 0.1, "coverage": 0.5}, {"risk": -0.1}, {"coverage": 1.2}):
        with pytest.raises(ConfigError):
            operating_point(SAID, RIGHT, **wish)
    with pytest.raises(InputError, match="no answer has a confidence"):
        operating_point([], [], risk=0.1)
    with pytest.raises(InputError, match=r"1\.000 are wrong.*lowest risk is 0\.500"):
        operating_point([0.9, 0.8], [0, 1], risk=0.1)


# --- from a file -------------------------------------------------------------------------------------------------


def test_the_command_prints_the_number_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "val.jsonl"
    unsure = Prediction("x", "q", "difference", DIFFERENCE_QUESTION, EDEMA, reference=EDEMA)
    controls = answers([0.99] * 5, [0] * 5, condition="blank")
    write_predictions(path, [*answers(SAID, RIGHT), unsure, *controls], Provenance(split="val"))
    assert main(["score", str(path), "--risk", "0.25"]) == 0
    shown = capsys.readouterr()
    assert float(shown.out) == pytest.approx(0.55)
    assert "4 of 5 cases answered, coverage 0.800" in shown.err
    assert "1 answers have no confidence" in shown.err
    assert main(["score", str(path), "--coverage", "0.4", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["abstain_at"], plain["risk"], plain["cases.count"]) == (pytest.approx(0.75), 0.5, 5)
    assert plain["risk.low"] <= plain["risk"] <= plain["risk.high"]
    assert plain["without_confidence.count"] == 1


def test_no_error_seen_is_not_no_risk(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.jsonl", answers(SAID, RIGHT))
    low, high = choose_threshold(tmp_path / "p.jsonl", risk=0.0).risk_interval
    assert (low, high) == (0, pytest.approx(0.975)), "one answer: 1 - 0.025 ** (1 / 1)"


@pytest.mark.parametrize("split", ["test", "train", "all"])
def test_a_threshold_is_not_chosen_on_the_test_set(tmp_path: Path, split: str) -> None:
    write_predictions(tmp_path / "p.jsonl", answers(SAID, RIGHT), Provenance(split=split))
    with pytest.raises(ConfigError, match="chosen on validation"):
        choose_threshold(tmp_path / "p.jsonl", risk=0.3)


def test_no_confidence_and_too_many_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.jsonl"
    write_predictions(path, [Prediction("a", "p", "difference", "q", EDEMA, reference=EDEMA)])
    with pytest.raises(SourceError, match="reference and a confidence"):
        choose_threshold(path, risk=0.1)
    assert main(["score", str(path), str(path), "--risk", "0.1"]) == 2
    assert "belongs to one run" in capsys.readouterr().err


# --- what was abstained from -------------------------------------------------------------------------------------


def test_abstained_answers_are_counted_and_not_dropped(tmp_path: Path) -> None:
    kept = answers(SAID[:3], RIGHT[:3])
    left = answers(SAID, RIGHT, warnings=(calibration.ABSTAINED,))[3:]
    write_predictions(tmp_path / "p.jsonl", [*kept, *left])
    found = score(tmp_path / "p.jsonl", meteor=False, replicates=20).files[0].metrics
    assert found["selective.abstained.count"] == 2
    assert found["selective.coverage"] == pytest.approx(3 / 5)
    assert found["selective.risk"] == pytest.approx(1 / 3)
    # Answered: three times edema, two of them true. F1 = 2 * 2 / (3 + 2).
    assert found["selective.change.findings.micro.f1"] == pytest.approx(4 / 5)
    assert found["difference.count"] == 5
    assert found["change.exact.accuracy"] == pytest.approx(3 / 5), "the headline keeps every case"


def test_nobody_answers() -> None:
    asked = answers(SAID, RIGHT, warnings=(calibration.ABSTAINED,))
    counts = change.tally([case.answer for case in asked], [str(case.reference) for case in asked])
    found = calibration.selective_metrics(asked, counts, replicates=10)
    assert (found["selective.coverage"], found["selective.risk"]) == (0, None)
