"""Answers -> the metrics of `score`, without files: what every plug-in reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from intervalchange.evaluation.scoring.file_scores import MetricValue
from intervalchange.evaluation.scoring.score_file import score_predictions
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.records import Prediction

HEADLINE = (
    "change.findings.micro.f1",
    "change.micro.f1",
    "change.exact.accuracy",
    "change.direction_error.rate",
    "change.false_change.rate",
    "progression.macro.f1",
    "progression.accuracy",
    "progression.direction_error.rate",
    "answers.read.rate",
    "answers.hedge.rate",
    "answers.abstention.rate",
)
"""Names, as in `score --json`, of the metrics that a plug-in reports. The last six are of free answers: where all
answers are sentences of the template they are not defined."""


def answered(
    answer: str, reference: str, question: str = DIFFERENCE_QUESTION, case_id: str = "", patient_id: str = ""
) -> Prediction:
    """An answer to a question about change."""
    return Prediction(case_id, patient_id or case_id, "difference", question, answer, reference=reference)


def score_answers(answers: Iterable[Prediction]) -> Mapping[str, MetricValue]:
    """Every metric that `score --json` prints of these answers but METEOR and the intervals, under its names.

    An answer without a case_id counts as a case of its own.
    """
    cases = [case if case.case_id else _numbered(case, row) for row, case in enumerate(answers)]
    return score_predictions(cases, replicates=1).metrics


def _numbered(case: Prediction, row: int) -> Prediction:
    return answered(case.answer, case.reference or "", case.question, str(row), case.patient_id)


def headline(answers: Iterable[Prediction]) -> dict[str, float]:
    """The metrics of `HEADLINE`; NaN where one is not defined."""
    metrics = score_answers(answers)
    return {name: value if isinstance(value := metrics.get(name), float) else math.nan for name in HEADLINE}
