"""The metrics of the floors and controls of one file, and by how much its answers beat the question-only floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from intervalchange.evaluation.answers.predictions import Provenance
from intervalchange.evaluation.answers.reference_table import ReferenceCase
from intervalchange.evaluation.metrics import change, kinds, statistics, text
from intervalchange.evaluation.metrics.statistics import Array, Counts
from intervalchange.evaluation.scoring import floors
from intervalchange.evaluation.scoring.course_scores import score_floor_courses, score_floor_inversion
from intervalchange.evaluation.scoring.file_scores import (
    CHANGE_F1,
    CONTROLS,
    NOT_RUN,
    FileScores,
    Settings,
    defined,
    measure_difference,
)
from intervalchange.records import Prediction

HEADLINE = (CHANGE_F1, "change.micro.f1", "change.exact.accuracy", "text.bleu4", "text.cider_d")
"""Metrics that say "not run" where a floor was not."""


def score_floors(
    scores: FileScores,
    provenance: Provenance | None,
    cases: Sequence[ReferenceCase],
    by_condition: Mapping[str, Mapping[str, Prediction]],
    frequency: text.DocumentFrequency | None,
    settings: Settings,
) -> None:
    """Add every floor and control. by_condition: condition -> case_id -> answer."""
    found: dict[str, dict[str, str] | str] = {
        "constant": floors.constant(cases, provenance),
        "question_only": floors.question_only(cases, provenance),
        "other_patient": floors.other_patient(cases, settings.seed),
    }
    for condition in ("blank", "prior_twice", "swap"):
        answers = {case_id: case.answer for case_id, case in by_condition.get(condition, {}).items()}
        found[condition] = answers or f"{NOT_RUN}: `predict --controls` writes it"
    for name in CONTROLS:
        floor = found[name]
        if isinstance(floor, str):
            _put_not_run(scores, name)
            scores.metrics[f"floors.{name}.status"] = floor
        elif name == "question_only" and floor == found["constant"]:  # One question: scored once.
            _copy(scores, "floors.constant.", "floors.question_only.")
        else:
            _score_floor(scores, name, floor, cases, frequency, settings)
            if scores.free and by_condition.get("swap") and name != "swap":
                asked = [case for case in cases if case.kind == "difference" and case.case_id in floor]
                texts = [floor[case.case_id] for case in asked], [case.reference for case in asked]
                score_floor_inversion(scores, f"floors.{name}.", *texts, [case.question for case in asked])
    question_only = found["question_only"]
    if not isinstance(question_only, str):
        _score_margin(scores, question_only, settings)


def _copy(scores: FileScores, prefix: str, to: str) -> None:
    scores.metrics |= {
        to + name.removeprefix(prefix): value for name, value in scores.metrics.items() if name.startswith(prefix)
    }


def _put_not_run(scores: FileScores, name: str) -> None:
    scores.metrics |= {f"floors.{name}.{metric}": NOT_RUN for metric in HEADLINE}


def _score_floor(
    scores: FileScores,
    name: str,
    answers: Mapping[str, str],
    cases: Sequence[ReferenceCase],
    frequency: text.DocumentFrequency | None,
    settings: Settings,
) -> None:
    """Score the answers of a floor, case_id -> answer, to the cases it has one for."""
    answered = [case for case in cases if case.case_id in answers]
    difference = [case for case in answered if case.kind == "difference"]
    scores.metrics[f"floors.{name}.count"] = len(difference)
    if difference and frequency is not None:
        predicted = [answers[case.case_id] for case in difference]
        references = [case.reference for case in difference]
        free = scores.free or not all(map(change.of_template, predicted))
        questions = [case.question for case in difference] if free else None
        counts = {
            **change.without_findings(change.tally(predicted, references, None, questions)),
            **text.tally(predicted, references, frequency),
        }
        patients = [case.patient_id for case in difference]
        # Tags are those of the answerer's cases, not of the floor's.
        same_state = ("change.false_change.same_state.rate",)
        scores.measure(f"floors.{name}.", counts, patients, measure_difference, settings, without=same_state)
        if scores.free:
            score_floor_courses(
                scores, f"floors.{name}.", predicted, references, [case.question for case in difference]
            )
        if len(set(predicted)) == 1:
            scores.metrics[f"floors.{name}.answer"] = predicted[0]
    else:
        _put_not_run(scores, name)
    others = [case for case in answered if case.kind != "difference"]
    if others:
        names = kinds.in_order([case.kind for case in others])
        predicted = [answers[case.case_id] for case in others]
        references, of_case, questions = (
            [getattr(case, name) for case in others] for name in ("reference", "kind", "question")
        )
        by_kind = kinds.tally(predicted, references, of_case, names, questions)
        measured = kinds.measures(statistics.totals(by_kind), names)
        scores.put(f"floors.{name}.kinds.", {metric: float(value) for metric, value in measured.items()})


def _score_margin(scores: FileScores, floor: Mapping[str, str], settings: Settings) -> None:
    """Change F1 less that of the question-only floor, over the same cases and samples of patients.

    Where the interval is not above 0, the table says so.
    """
    rows = [row for row, case in enumerate(scores.predictions) if case.case_id in floor]
    if not rows:
        return
    ours = {name: array[rows] for name, array in change.without_findings(scores.counts).items()}
    answers = [floor[scores.predictions[row].case_id] for row in rows]
    questions = [scores.predictions[row].question for row in rows] if scores.free else None
    references = [scores.references[row] for row in rows]
    theirs = change.without_findings(change.tally(answers, references, None, questions))
    margin = statistics.paired_differences(
        theirs,
        {name: ours[name] for name in theirs},
        [scores.predictions[row].patient_id for row in rows],
        _change_f1,
        settings.replicates,
        settings.seed,
    )[CHANGE_F1]
    name = f"floors.question_only.margin.{CHANGE_F1}"
    scores.metrics |= {
        name: defined(margin.value),
        f"{name}.low": defined(margin.low),
        f"{name}.high": defined(margin.high),
        "floors.question_only.beaten": "yes" if margin.low > 0 else "no",
    }
    if not margin.low > 0:
        scores.notes.append(
            f"does not beat the question-only floor: change F1 less the floor's is {margin.value:.3f} "
            f"[{margin.low:.3f}, {margin.high:.3f}]"
        )


def _change_f1(sums: Counts) -> dict[str, Array]:
    return {CHANGE_F1: statistics.f_measure(*(sums[f"findings_{part}"] for part in change.PARTS))}
