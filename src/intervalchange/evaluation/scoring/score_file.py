"""The answers of one predictions file -> its `FileScores`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from intervalchange.errors import SourceError
from intervalchange.evaluation.answers.predictions import Provenance
from intervalchange.evaluation.answers.reference_table import ReferenceCase
from intervalchange.evaluation.metrics import calibration, change, confounders, consistency, kinds, statistics, text
from intervalchange.evaluation.metrics.statistics import Array, Counts
from intervalchange.evaluation.scoring.course_scores import score_courses, score_inversion, score_use
from intervalchange.evaluation.scoring.file_scores import (
    NOT_RUN,
    PAIRED,
    FileScores,
    Settings,
    defined,
    measure_difference,
)
from intervalchange.evaluation.scoring.floor_scores import score_floors
from intervalchange.findings import FINDINGS
from intervalchange.records import CHOICE, Prediction

NOT_GIVEN = "not given"
CAPTION = "simulated; not a ranking on patients"
PUBLISHED_ROWS = (
    "the rows are those that the field publishes: some repeat, some name the earlier film as the main one, and "
    "patients may be in training too (doctor.txt counts them); not to be compared with protocol ours"
)


def score_predictions(
    predictions: Sequence[Prediction],
    provenance: Provenance | None = None,
    *,
    name: str = "predictions",
    replicates: int = statistics.REPLICATES,
    seed: int = 0,
    frequency: text.DocumentFrequency | None = None,
) -> FileScores:
    """Every metric of one set of answers but METEOR. Cases without a reference are not scored, and counted.

    frequency: where CIDEr-D takes the rarity of n-grams from; by default the scored references.
    """
    settings, scores, cases = Settings(replicates, seed), FileScores(name), _sorted(predictions, name)
    _score_head(scores, provenance, cases)
    references = cases.references_of(cases.difference)
    frequency = (frequency or text.DocumentFrequency.of(references)) if references else None
    if frequency is not None:
        _score_difference(scores, cases.difference, references, frequency, settings)
    else:
        scores.metrics |= dict.fromkeys(PAIRED, NOT_RUN)
        scores.notes.append("no difference question with a reference: change and text not run")
    scores.metrics["difference.count"] = len(cases.difference)
    if cases.others:
        _score_kinds(scores, cases.others, cases.references_of(cases.others), settings)
    asked = [
        ReferenceCase(case.case_id, case.patient_id, case.kind, case.question, cases.references[case.case_id])
        for case in (*cases.difference, *cases.others)
    ]
    score_floors(scores, provenance, asked, cases.by_condition, frequency, settings)
    if frequency is not None:
        _withhold_undefined(scores, frequency)
    _score_consistency(scores, cases.by_condition, cases.references, settings)
    return scores


@dataclass(frozen=True)
class _Cases:
    """The answers of a file, sorted by what is done with them."""

    by_condition: Mapping[str, Mapping[str, Prediction]]
    """condition -> case_id -> answer."""
    references: Mapping[str, str]
    given: Sequence[Prediction]
    """Answers to the films as they are, with a reference."""
    difference: Sequence[Prediction]
    others: Sequence[Prediction]
    without_reference: int
    unreadable: int
    """Difference cases whose reference says nothing; they are left out."""

    def references_of(self, predictions: Sequence[Prediction]) -> list[str]:
        return [self.references[prediction.case_id] for prediction in predictions]


def _sorted(predictions: Sequence[Prediction], name: str) -> _Cases:
    """Raises SourceError where no answer has a reference."""
    references = {case.case_id: case.reference for case in predictions if case.reference is not None}
    if not references:
        raise SourceError(
            "no answer has a reference, so there is nothing to score against.",
            where=name,
            remedy="Give `reference` in the lines, or a second file that has it for the same case_id.",
        )
    by_condition: dict[str, dict[str, Prediction]] = {}
    for case in predictions:
        by_condition.setdefault(case.condition, {})[case.case_id] = case
    answers = by_condition.get("given", {}).values()
    given = [case for case in answers if case.case_id in references]
    unreadable = {
        case.case_id
        for case in predictions
        if case.kind == "difference"
        and case.case_id in references
        and not change.readable_reference(references[case.case_id])
    }
    return _Cases(
        by_condition,
        references,
        given,
        difference=[case for case in given if case.kind == "difference" and case.case_id not in unreadable],
        others=[case for case in given if case.kind != "difference"],
        without_reference=len(answers) - len(given),
        unreadable=len(unreadable),
    )


def _score_head(scores: FileScores, provenance: Provenance | None, cases: _Cases) -> None:
    """What was scored, and what must be said of it."""
    known = provenance or Provenance()
    simulated = known.simulated or known.source.startswith("simulat")
    scores.metrics |= {
        "name": scores.name,
        "run": known.run,
        "data": known.data,
        "source": known.source,
        "split": known.split,
        "split_hash": known.split_hash,
        **({"protocol": known.protocol} if known.protocol else {}),
        "cases.hash": _hash([(case.case_id, cases.references[case.case_id]) for case in cases.given]),
        "cases.count": len(cases.given),
        "patients.count": len({case.patient_id for case in cases.given}),
        "caption": CAPTION if simulated else "",
        "cases.without_reference.count": cases.without_reference,
        "change.unreadable_references.count": cases.unreadable,
    }
    if scores.published:
        scores.metrics["caption"] = "; ".join([CAPTION] * simulated + [f"protocol {scores.published}"])
        scores.notes.append(PUBLISHED_ROWS)
    if cases.without_reference:
        scores.notes.append(f"{cases.without_reference} answers have no reference and were not scored")
    if cases.unreadable:
        scores.notes.append(
            f"{cases.unreadable} references of difference questions could not be read and were left out"
        )
    if not known.split_hash:
        scores.notes.append("the file names no split hash; the hash of the scored cases stands in")


def _hash(cases: Sequence[tuple[str, str]]) -> str:
    """Of the case ids and references that are scored: equal hashes, equal test sets."""
    return hashlib.sha256(json.dumps(sorted(cases)).encode()).hexdigest()[:16]


def _score_difference(
    scores: FileScores,
    predictions: Sequence[Prediction],
    references: Sequence[str],
    frequency: text.DocumentFrequency,
    settings: Settings,
) -> None:
    scores.predictions, scores.references = predictions, references
    same_state = ["same_state" in prediction.tags for prediction in predictions]
    questions = change.questions_of(predictions)
    counts = {
        **change.tally(scores.answers, references, same_state, questions),
        **text.tally(scores.answers, references, frequency),
    }
    scores.counts = counts
    scores.measure("", counts, scores.patients, measure_difference, settings)
    sums = statistics.totals(counts)
    for name in ("unread", "unreadable", "ambiguous", "opposite", "unchanged", "changed", "same_state"):
        scores.metrics[f"change.{name}.count"] = int(sums[name])
    _put_findings(scores, sums)
    present, differing = change.field_disagreements(predictions)
    scores.metrics["change.field.count"] = present
    scores.metrics["change.field.disagreements"] = differing
    if differing:
        scores.notes.append(f"{differing} of {present} `change` fields say something else than the answer; text scored")
    scores.metrics["text.idf"] = str(frequency)
    if questions is not None:
        score_courses(scores, questions, settings)
    _score_answer_confidence(scores, settings)
    _score_finding_confidence(scores, settings)
    scores.metrics |= calibration.selective_metrics(predictions, counts, settings.replicates, settings.seed)
    scores.metrics |= confounders.confounder_metrics(predictions, counts, settings.replicates, settings.seed)


def _withhold_undefined(scores: FileScores, frequency: text.DocumentFrequency) -> None:
    """Metrics of text that the references cannot give, of answers and floors, are None, and a note says why."""
    for metric, why in text.undefined(scores.references, scores.counts, frequency).items():
        for name in scores.metrics:
            of_metric = name.removesuffix(".low").removesuffix(".high").endswith(f"text.{metric}")
            if of_metric and isinstance(scores.metrics[name], float):
                scores.metrics[name] = None
        scores.notes.append(f"text.{metric} is not defined: {why}")


def _put_findings(scores: FileScores, sums: Counts) -> None:
    """Precision, recall, F1 and reference items of each finding with any: pooled, and of each kind of item."""
    groups = {"": ("added", "missing"), "added.": ("added",), "missing.": ("missing",), "levels.": ("levels",)}
    for name, scopes in {**groups, "levels.direction.": ("course",)}.items():
        scored, support = change.by_finding(sums, scopes)
        for index in np.flatnonzero(support):
            prefix = f"change.{name}by_finding.{FINDINGS[index]}."
            scores.metrics |= {f"{prefix}{metric}": defined(values[index]) for metric, values in scored.items()}
            scores.metrics[f"{prefix}support"] = int(support[index])


def _put_no_confidence(scores: FileScores, prefix: str) -> None:
    scores.metrics |= {f"{prefix}{metric}": NOT_GIVEN for metric in ("ece", "brier", "aurc")}


def _score_answer_confidence(scores: FileScores, settings: Settings) -> None:
    prefix = "calibration.answer."
    rows = [row for row, case in enumerate(scores.predictions) if "answer" in (case.confidence or {})]
    scores.metrics[f"{prefix}count"] = len(rows)
    if not rows:
        _put_no_confidence(scores, prefix)
        return
    confidence = [float((scores.predictions[row].confidence or {})["answer"]) for row in rows]
    correct = scores.counts["exact"][rows].astype(bool)
    patients = [scores.predictions[row].patient_id for row in rows]
    scores.measure(prefix, calibration.tally(confidence, correct), patients, calibration.measures, settings)
    scores.metrics[f"{prefix}aurc"] = defined(calibration.aurc(confidence, correct))


def _score_finding_confidence(scores: FileScores, settings: Settings) -> None:
    prefix = "calibration.findings."
    found = calibration.finding_probabilities(scores.predictions, scores.references)
    scores.metrics[f"{prefix}count"] = len(found.probabilities)
    if not found.probabilities:
        _put_no_confidence(scores, prefix)
        return
    counts = calibration.tally(found.probabilities, found.correct)
    scores.measure(prefix, counts, found.patients, calibration.measures, settings)
    area, low, high = statistics.auc(
        found.correct, found.probabilities, found.patients, settings.replicates, settings.seed
    )
    scores.put(prefix, {"auc": area}, {"auc": (low, high)})


def _score_kinds(
    scores: FileScores, predictions: Sequence[Prediction], references: Sequence[str], settings: Settings
) -> None:
    of_case = [prediction.kind for prediction in predictions]
    names = kinds.in_order(of_case)
    answers, questions = ([getattr(case, name) for case in predictions] for name in ("answer", "question"))
    counts = kinds.tally(answers, references, of_case, names, questions)

    def measure(sums: Counts) -> dict[str, Array]:
        return kinds.measures(sums, names)

    scores.measure("kinds.", counts, [prediction.patient_id for prediction in predictions], measure, settings)
    for name in names:
        scores.metrics[f"kinds.{name}.count"] = of_case.count(name)
    if CHOICE in names:
        asked = [(case.answer, case.question) for case in predictions if case.kind == CHOICE]
        scores.put("kinds.choice.", kinds.choice_facts(*zip(*asked, strict=True)))


def _score_consistency(
    scores: FileScores,
    by_condition: Mapping[str, Mapping[str, Prediction]],
    references: Mapping[str, str],
    settings: Settings,
) -> None:
    """Over difference questions: exchanged films against the films as they are, and one film shown twice."""
    shown = {
        condition: {case_id: case for case_id, case in cases.items() if case.kind == "difference"}
        for condition, cases in by_condition.items()
    }
    free = any(change.questions_of(list(cases.values())) is not None for cases in shown.values())
    given, swapped = shown.get("given", {}), shown.get("swap", {})

    def questions(case_ids: Iterable[str], of: Mapping[str, Prediction] = given) -> list[str] | None:
        return [of[case_id].question for case_id in case_ids] if free else None

    both = [case_id for case_id in swapped if case_id in given]
    if both:
        counts = consistency.swap_tally(
            [given[case_id].answer for case_id in both], [swapped[case_id].answer for case_id in both], questions(both)
        )
        patients = [given[case_id].patient_id for case_id in both]
        scores.measure("consistency.", counts, patients, consistency.swap_measures, settings)
        scores.metrics["consistency.swap.count"] = int(counts["swap_asked"].sum())
    else:
        scores.metrics |= {"consistency.swap.rate": NOT_RUN, "consistency.swap.items.f1": NOT_RUN}
    for condition in ("identity", "prior_twice"):
        cases = list(shown.get(condition, {}).values())
        prefix = f"consistency.{condition}."
        if not cases:
            scores.metrics[f"{prefix}rate"] = NOT_RUN
            continue
        counts = consistency.still_tally(
            [case.answer for case in cases], [case.question for case in cases] if free else None
        )
        scores.measure(prefix, counts, [case.patient_id for case in cases], consistency.still_measures, settings)
        scores.metrics[f"{prefix}count"] = len(cases)
    score_use(scores, shown, references, settings, free)
    if free:
        score_inversion(scores, shown, references, settings)
