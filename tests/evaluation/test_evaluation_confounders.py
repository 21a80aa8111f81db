"""Cuts of the headline: strata by hand, intervals against the plain ones, files old and hostile."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from intervalchange.errors import SourceError
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.evaluation.metrics import change, statistics
from intervalchange.evaluation.metrics.confounders import FACTORS, NOT_GIVEN, confounder_metrics, facts_of, stratum
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING
from intervalchange.records import Case, Prediction, Study

EDEMA = "the main image has an additional finding of edema than the reference image."
HERNIA = "the main image has an additional finding of hernia than the reference image."


def case(prior: Study | None, current: Study) -> Case:
    return Case("c", "p", current, prior, DIFFERENCE_QUESTION, NOTHING)


def asked(rows: list[tuple[str, str, str, dict | None]]) -> list[Prediction]:
    """(patient, answer, reference, facts) each."""
    return [
        Prediction(f"c{place}", patient, "difference", "q", answer, reference=reference, facts=facts)
        for place, (patient, answer, reference, facts) in enumerate(rows)
    ]


def cut(predictions: list[Prediction], replicates: int = 50) -> dict:
    counts = change.tally([one.answer for one in predictions], [str(one.reference) for one in predictions])
    return confounder_metrics(predictions, counts, replicates)


# --- facts of a case ---------------------------------------------------------------------------------------------


def test_facts_by_hand() -> None:
    prior = Study("a", "a.png", "AP", "2150-01-01T08:00:00", devices=("central line",), age=60, sex="F")
    current = Study("b", "b.png", "PA", "2150-01-03T20:00:00", devices=("central line", "leads"), age=61, sex="F")
    assert facts_of(case(prior, current)) == {
        "view_pair": "AP to PA",
        "days": 2.5,
        "devices": "changed",
        "sex": "F",
        "age": 61.0,
    }


def test_what_is_not_known_is_left_out() -> None:
    bare = Study("a", "a.png")
    assert facts_of(case(bare, bare)) == {"devices": "none named"}
    assert facts_of(case(None, Study("b", "b.png", "PA", "2150", age=40))) == {"age": 40.0}
    dated = Study("a", "a.png", acquired_at="2150-01-01")
    timed = Study("b", "b.png", acquired_at="2150-01-02T23:00:00+01:00")
    assert facts_of(case(dated, timed))["days"] == 1, "whole days where one has no time"
    odd = Study("b", "b.png", acquired_at="yesterday")
    assert "days" not in facts_of(case(dated, odd))


@pytest.mark.parametrize(
    ("factor", "value", "expected"),
    [
        ("days", 0.99, "less than a day"),
        ("days", 1, "1 to 7 days"),
        ("days", 7.9, "1 to 7 days"),
        ("days", 8, "8 to 30 days"),
        ("days", 365, "31 to 365 days"),
        ("days", 366, "more than a year"),
        ("days", -1, NOT_GIVEN),
        ("days", math.nan, NOT_GIVEN),
        ("days", "3", NOT_GIVEN),
        ("days", True, NOT_GIVEN),
        ("age", 39.9, "under 40"),
        ("age", 40, "40 to 59"),
        ("age", 80, "80 and over"),
        ("sex", "F", "F"),
        ("sex", ["F"], NOT_GIVEN),
        ("sex", " ", NOT_GIVEN),
        ("view_pair", "P.A.\nto AP", "PA to AP"),
    ],
)
def test_strata(factor: str, value: object, expected: str) -> None:
    assert stratum(factor, {factor: value}) == expected


# --- figures -----------------------------------------------------------------------------------------------------


def test_figures_by_hand() -> None:
    woman, man = {"sex": "F", "age": 30}, {"sex": "M", "age": 30}
    found = cut(
        asked(
            [
                ("1", EDEMA, EDEMA, woman),
                ("1", EDEMA, NOTHING, woman),
                ("2", HERNIA, EDEMA, man),
                ("3", NOTHING, NOTHING, man),
                ("4", EDEMA, EDEMA, None),
            ]
        )
    )
    # Women: 1 right of 2 said and 1 true. Men: 0 right.
    assert found["by.sex.F.change.findings.micro.f1"] == pytest.approx(2 / 3)
    assert found["by.sex.F.change.exact.accuracy"] == 0.5
    assert found["by.sex.F.change.false_change.rate"] == 1
    assert (found["by.sex.F.count"], found["by.sex.F.patients"]) == (2, 1)
    assert found["by.sex.M.change.findings.micro.f1"] == 0
    assert found["by.sex.M.change.false_change.rate"] == 0
    assert found["by.sex.not given.count"] == 1, "what is not known is a stratum of its own"
    assert found["by.age.under 40.count"] == 4
    assert found["by.sex.F.change.findings.micro.f1.low"] is None, "too few patients for an interval"
    assert found["by.view_pair.change.findings.micro.f1"] == NOT_GIVEN
    json.dumps(found, allow_nan=False)


def test_one_stratum_is_the_whole() -> None:
    rng = np.random.default_rng(0)
    predictions = asked(
        [
            (f"p{place // 3}", rng.choice([EDEMA, HERNIA, NOTHING]), rng.choice([EDEMA, NOTHING]), {"sex": "F"})
            for place in range(90)
        ]
    )
    counts = change.tally([one.answer for one in predictions], [str(one.reference) for one in predictions])
    found = confounder_metrics(predictions, counts, 200, seed=4)
    patients = [one.patient_id for one in predictions]
    spans = statistics.intervals(change.without_findings(counts), patients, change.measures, 200, 4)
    whole = statistics.point_estimates(change.without_findings(counts), change.measures)
    for name in ("findings.micro.f1", "exact.accuracy", "false_change.rate"):
        assert found[f"by.sex.F.change.{name}"] == pytest.approx(whole[name])
        ends = [found[f"by.sex.F.change.{name}.{end}"] for end in ("low", "high")]
        assert ends == pytest.approx(list(spans[name]))


def test_a_model_that_reacts_to_the_view_is_seen() -> None:
    rows = [(f"p{n}", NOTHING, NOTHING, {"view_pair": "PA to PA"}) for n in range(20)]
    rows += [(f"p{n}", EDEMA, NOTHING, {"view_pair": "PA to AP"}) for n in range(20)]
    found = cut(asked(rows))
    assert found["by.view_pair.PA to PA.change.false_change.rate"] == 0
    assert found["by.view_pair.PA to AP.change.false_change.rate"] == 1
    assert found["by.view_pair.PA to AP.change.false_change.rate.low"] == 1


def test_no_device_named_anywhere_is_not_known() -> None:
    found = cut(asked([("1", EDEMA, EDEMA, {"devices": "none named"}), ("2", EDEMA, EDEMA, None)]))
    assert found["by.devices.change.findings.micro.f1"] == NOT_GIVEN


def test_a_file_without_facts() -> None:
    found = cut(asked([("1", EDEMA, EDEMA, None)]))
    assert found == {f"by.{factor}.change.findings.micro.f1": NOT_GIVEN for factor in FACTORS}


# --- lines of a file ---------------------------------------------------------------------------------------------


def test_facts_go_through_a_line() -> None:
    one = asked([("1", EDEMA, EDEMA, {"sex": "F", "days": 2.5})])[0]
    assert Prediction.from_json(json.loads(json.dumps(one.as_json()))) == one
    assert "facts" not in asked([("1", EDEMA, EDEMA, None)])[0].as_json()


@pytest.mark.parametrize("facts", ['"F"', "[1]", "3"])
def test_facts_of_another_shape_are_refused(tmp_path: Path, facts: str) -> None:
    line = (
        f'{{"case_id": "a", "patient_id": "p", "kind": "difference", "question": "q", "answer": "", "facts": {facts}}}'
    )
    (tmp_path / "p.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(SourceError, match="another shape"):
        read_predictions(tmp_path / "p.jsonl")
