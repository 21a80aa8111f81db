"""The answers of one predictions file -> one flat mapping of dotted names to metrics."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from intervalchange.errors import SourceError
from intervalchange.evaluation.answers import answer as answers
from intervalchange.evaluation.answers.predictions import Provenance
from intervalchange.evaluation.metrics import calibration, change, confounds, consistency, statistics, text
from intervalchange.evaluation.metrics.statistics import Array, Counts, Measure
from intervalchange.evaluation.scoring import floors
from intervalchange.findings import FINDINGS
from intervalchange.records import KINDS, Prediction

NOT_RUN = floors.NOT_RUN
NOT_GIVEN = "not given"
FLOORS = ("constant", "question_only", "other_patient", "blank", "prior_twice")
CONTROLS = (*FLOORS, "swap")
"""The floors, and the films shown in the wrong order but asked as if they were right."""
MARGIN = "change.findings.micro.f1"
CAPTION = "simulated; not a ranking on patients"
PAIRED = (
    "change.findings.micro.f1",
    "change.micro.f1",
    "change.findings.macro.f1",
    "change.exact.accuracy",
    "change.direction_error.rate",
    "change.false_change.rate",
    "text.bleu4",
    "text.rouge_l_coco",
    "text.cider_d",
)
"""Figures that are compared between files."""

MetricValue = float | int | str | None
"""None: not defined (0/0)."""


@dataclass
class FileScores:
    """Figures of one predictions file under dotted names; `name.low` and `name.high` are the 95% interval."""

    name: str
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Sentences a reader of the table should see."""
    case_ids: list[str] = field(default_factory=list, repr=False)
    patients: list[str] = field(default_factory=list, repr=False)
    counts: Counts = field(default_factory=dict, repr=False)
    """Counts of the difference cases, in the order of `case_ids`, for comparing files."""
    texts: tuple[list[str], list[str]] = field(default=([], []), repr=False)
    """Their answers and references."""
    asked: list[Prediction] = field(default_factory=list, repr=False)
    """The difference cases themselves, in the same order."""

    def put(
        self, prefix: str, values: Mapping[str, float], spans: Mapping[str, statistics.Interval] | None = None
    ) -> None:
        """Add metrics under a prefix, with their intervals."""
        for name, value in values.items():
            self.metrics[f"{prefix}{name}"] = defined(value)
            if spans is not None:
                self.metrics[f"{prefix}{name}.low"], self.metrics[f"{prefix}{name}.high"] = map(defined, spans[name])


def defined(value: float) -> MetricValue:
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class Settings:
    replicates: int
    seed: int


def measure_difference(sums: Counts) -> dict[str, Array]:
    return {f"change.{name}": value for name, value in change.measures(sums).items()} | {
        f"text.{name}": value for name, value in text.measures(sums).items()
    }


def _spans(
    counts: Counts, patients: Sequence[str], measure: Measure, settings: Settings
) -> dict[str, statistics.Interval]:
    return statistics.intervals(counts, patients, measure, settings.replicates, settings.seed)


def _hash(cases: Sequence[tuple[str, str]]) -> str:
    """Of the case ids and references that are scored: equal hashes, equal test sets."""
    return hashlib.sha256(json.dumps(sorted(cases)).encode()).hexdigest()[:16]


# --- one file ----------------------------------------------------------------------------------------------------


def _score_difference(
    scores: FileScores,
    asked: Sequence[Prediction],
    references: Sequence[str],
    frequency: text.DocumentFrequency,
    settings: Settings,
) -> None:
    said = [prediction.answer for prediction in asked]
    patients = [prediction.patient_id for prediction in asked]
    same_state = ["same_state" in prediction.tags for prediction in asked]
    counts = {**change.tally(said, references, same_state), **text.tally(said, references, frequency)}
    spans = _spans(counts, patients, measure_difference, settings)
    scores.put("", statistics.point_estimates(counts, measure_difference), spans)
    sums = statistics.totals(counts)
    for name in ("unread", "unreadable", "ambiguous", "opposite", "unchanged", "changed", "same_state"):
        scores.metrics[f"change.{name}.count"] = int(sums[name])
    _put_findings(scores, sums)
    present, differing = change.field_disagreements(asked)
    scores.metrics["change.field.count"] = present
    scores.metrics["change.field.disagreements"] = differing
    if differing:
        scores.notes.append(f"{differing} of {present} `change` fields say something else than the answer; text scored")
    scores.metrics["text.idf"] = str(frequency)
    scores.case_ids = [prediction.case_id for prediction in asked]
    scores.patients, scores.counts, scores.texts = patients, counts, (said, list(references))
    scores.asked = list(asked)
    _score_confidence(scores, asked, references, counts["exact"], settings)
    for cut in (calibration.selective_metrics, confounds.confounder_metrics):
        scores.metrics |= cut(asked, counts, settings.replicates, settings.seed)


def _put_findings(scores: FileScores, sums: Counts) -> None:
    """Precision, recall, F1 and reference items of each finding with any: pooled, and of each kind of item."""
    groups = {"": ("added", "missing"), "added.": ("added",), "missing.": ("missing",), "levels.": ("levels",)}
    for name, scopes in {**groups, "levels.direction.": ("course",)}.items():
        scored, support = change.by_finding(sums, scopes)
        for place in np.flatnonzero(support):
            prefix = f"change.{name}by_finding.{FINDINGS[place]}."
            scores.metrics |= {f"{prefix}{metric}": defined(values[place]) for metric, values in scored.items()}
            scores.metrics[f"{prefix}support"] = int(support[place])


def _score_confidence(
    scores: FileScores,
    asked: Sequence[Prediction],
    references: Sequence[str],
    exact: Array,
    settings: Settings,
) -> None:
    with_answer = [place for place, case in enumerate(asked) if case.confidence and "answer" in case.confidence]
    said = [float((asked[place].confidence or {})["answer"]) for place in with_answer]
    true = [bool(exact[place]) for place in with_answer]
    patients = [asked[place].patient_id for place in with_answer]
    by_finding = calibration.finding_probabilities(asked, references)
    for name, (values, truths, owners) in (("answer", (said, true, patients)), ("findings", by_finding)):
        prefix = f"calibration.{name}."
        scores.metrics[f"{prefix}count"] = len(values)
        if not values:
            scores.metrics |= {f"{prefix}{metric}": NOT_GIVEN for metric in ("ece", "brier", "aurc")}
            continue
        counts = calibration.tally(values, truths)
        spans = _spans(counts, owners, calibration.measures, settings)
        scores.put(prefix, statistics.point_estimates(counts, calibration.measures), spans)
        if name == "answer":
            scores.metrics[f"{prefix}aurc"] = defined(calibration.aurc(values, truths))
        else:
            area, low, high = statistics.auc(truths, values, owners, settings.replicates, settings.seed)
            scores.put(prefix, {"auc": area}, {"auc": (low, high)})


def _score_kinds(
    scores: FileScores, asked: Sequence[Prediction], references: Sequence[str], settings: Settings
) -> None:
    kinds = [prediction.kind for prediction in asked]
    names = _in_order(kinds)
    counts = answers.tally([prediction.answer for prediction in asked], references, kinds, names)

    def measure(sums: Counts) -> dict[str, Array]:
        return answers.measures(sums, names)

    patients = [prediction.patient_id for prediction in asked]
    scores.put("kinds.", statistics.point_estimates(counts, measure), _spans(counts, patients, measure, settings))
    for name in names:
        scores.metrics[f"kinds.{name}.count"] = kinds.count(name)


def _in_order(kinds: Sequence[str]) -> list[str]:
    rank = {kind: place for place, kind in enumerate(KINDS)}
    return sorted(set(kinds), key=lambda kind: (rank.get(kind, len(rank)), kind))


def _score_floor(
    scores: FileScores,
    name: str,
    found: Mapping[str, str] | str,
    asked: Sequence[floors.ReferenceCase],
    frequency: text.DocumentFrequency | None,
    settings: Settings,
) -> None:
    """Score the answers of a floor; where it was not run every metric says so."""
    prefix = f"floors.{name}."
    headline = ("change.findings.micro.f1", "change.micro.f1", "change.exact.accuracy", "text.bleu4", "text.cider_d")
    if isinstance(found, str):
        scores.metrics |= {f"{prefix}{metric}": NOT_RUN for metric in headline}
        scores.metrics[f"{prefix}status"] = found
        return
    difference = [case for case in asked if case.kind == "difference" and case.case_id in found]
    others = [case for case in asked if case.kind != "difference" and case.case_id in found]
    scores.metrics[f"{prefix}count"] = len(difference)
    if difference and frequency is not None:
        said = [found[case.case_id] for case in difference]
        references = [case.reference for case in difference]
        counts = {
            **change.without_findings(change.tally(said, references)),
            **text.tally(said, references, frequency),
        }
        spans = _spans(counts, [case.patient_id for case in difference], measure_difference, settings)
        found_metrics = statistics.point_estimates(counts, measure_difference)
        found_metrics.pop("change.false_change.same_state.rate")  # tags are the answerer's cases', not the floor's
        scores.put(prefix, found_metrics, spans)
        if len(set(said)) == 1:
            scores.metrics[f"{prefix}answer"] = said[0]
    else:
        scores.metrics |= {f"{prefix}{metric}": NOT_RUN for metric in headline}
    if others:
        names = _in_order([case.kind for case in others])
        said = [found[case.case_id] for case in others]
        by_kind = answers.tally(said, [case.reference for case in others], [case.kind for case in others], names)
        sums = statistics.totals(by_kind)
        scores.put(f"{prefix}kinds.", {name: float(value) for name, value in answers.measures(sums, names).items()})


def _score_margin(scores: FileScores, floor: Mapping[str, str], settings: Settings) -> None:
    """Change F1 less that of the question-only floor, same cases and draws; not above 0 with certainty is marked."""
    rows = [row for row, case_id in enumerate(scores.case_ids) if case_id in floor]
    if not rows:
        return
    ours = {name: array[rows] for name, array in change.without_findings(scores.counts).items()}
    said = [floor[scores.case_ids[row]] for row in rows]
    theirs = change.without_findings(change.tally(said, [scores.texts[1][row] for row in rows]))
    patients = [scores.patients[row] for row in rows]
    found = statistics.paired_differences(
        theirs, {name: ours[name] for name in theirs}, patients, _headline, settings.replicates, settings.seed
    )[MARGIN]
    name = f"floors.question_only.margin.{MARGIN}"
    scores.metrics |= {
        name: defined(found.value),
        f"{name}.low": defined(found.low),
        f"{name}.high": defined(found.high),
    }
    scores.metrics["floors.question_only.beaten"] = "yes" if found.low > 0 else "no"
    if not found.low > 0:
        scores.notes.append(
            f"does not beat the question-only floor: change F1 less the floor's is {found.value:.3f} "
            f"[{found.low:.3f}, {found.high:.3f}]"
        )


def _headline(sums: Counts) -> dict[str, Array]:
    return {MARGIN: statistics.f_measure(*(sums[f"findings_{part}"] for part in change.PARTS))}


def _score_consistency(scores: FileScores, shown: Mapping[str, Mapping[str, Prediction]], settings: Settings) -> None:
    given = shown.get("given", {})
    both = [case_id for case_id in shown.get("swap", {}) if case_id in given]
    if both:
        counts = consistency.swap_tally(
            [given[case_id].answer for case_id in both], [shown["swap"][case_id].answer for case_id in both]
        )
        spans = _spans(counts, [given[case_id].patient_id for case_id in both], consistency.swap_measures, settings)
        scores.put("consistency.", statistics.point_estimates(counts, consistency.swap_measures), spans)
        scores.metrics["consistency.swap.count"] = int(counts["swap_asked"].sum())
    else:
        scores.metrics |= {"consistency.swap.rate": NOT_RUN, "consistency.swap.items.f1": NOT_RUN}
    for condition in ("identity", "prior_twice"):
        cases = list(shown.get(condition, {}).values())
        if not cases:
            scores.metrics[f"consistency.{condition}.rate"] = NOT_RUN
            continue
        counts = consistency.still_tally([case.answer for case in cases])
        spans = _spans(counts, [case.patient_id for case in cases], consistency.still_measures, settings)
        scores.put(f"consistency.{condition}.", statistics.point_estimates(counts, consistency.still_measures), spans)
        scores.metrics[f"consistency.{condition}.count"] = len(cases)


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
    settings = Settings(replicates, seed)
    scores = FileScores(name)
    truth = {case.case_id: case.reference for case in predictions if case.reference is not None}
    if not truth:
        raise SourceError(
            "no answer has a reference, so there is nothing to score against.",
            where=name,
            remedy="Give `reference` in the lines, or a second file that has it for the same case_id.",
        )
    shown: dict[str, dict[str, Prediction]] = {}
    for case in predictions:
        shown.setdefault(case.condition, {})[case.case_id] = case
    given = [case for case in shown.get("given", {}).values() if case.case_id in truth]
    without = len(shown.get("given", {})) - len(given)
    unreadable = {
        case.case_id
        for case in predictions
        if case.kind == "difference" and not change.readable(truth.get(case.case_id, ""))
    } & truth.keys()
    difference = [case for case in given if case.kind == "difference" and case.case_id not in unreadable]
    others = [case for case in given if case.kind != "difference"]
    _head(scores, provenance, given, truth, without, len(unreadable))

    references = [truth[case.case_id] for case in difference]
    frequency = (frequency or text.DocumentFrequency.of(references)) if references else None
    if frequency is not None:
        _score_difference(scores, difference, references, frequency, settings)
    else:
        scores.metrics |= dict.fromkeys(PAIRED, NOT_RUN)
        scores.notes.append("no difference question with a reference: change and text not run")
    scores.metrics["difference.count"] = len(difference)
    if others:
        _score_kinds(scores, others, [truth[case.case_id] for case in others], settings)
    _score_floors(scores, provenance, [*difference, *others], shown, truth, frequency, settings)
    is_difference = {
        condition: {case_id: case for case_id, case in cases.items() if case.kind == "difference"}
        for condition, cases in shown.items()
    }
    _score_consistency(scores, is_difference, settings)
    return scores


def _head(
    scores: FileScores,
    provenance: Provenance | None,
    given: Sequence[Prediction],
    truth: Mapping[str, str],
    without: int,
    unreadable: int,
) -> None:
    known = provenance or Provenance()
    simulated = known.simulated or known.source.startswith("simulat")
    scores.metrics |= {
        "name": scores.name,
        "run": known.run,
        "data": known.data,
        "source": known.source,
        "split": known.split,
        "split_hash": known.split_hash,
        "cases.hash": _hash([(case.case_id, truth[case.case_id]) for case in given]),
        "cases.count": len(given),
        "patients.count": len({case.patient_id for case in given}),
        "caption": CAPTION if simulated else "",
        "cases.without_reference.count": without,
        "change.unreadable_references.count": unreadable,
    }
    if without:
        scores.notes.append(f"{without} answers have no reference and were not scored")
    if unreadable:
        scores.notes.append(f"{unreadable} references of difference questions could not be read and were left out")
    if not known.split_hash:
        scores.notes.append("the file names no split hash; the hash of the scored cases stands in")


def _score_floors(
    scores: FileScores,
    provenance: Provenance | None,
    cases: Sequence[Prediction],
    shown: Mapping[str, Mapping[str, Prediction]],
    truth: Mapping[str, str],
    frequency: text.DocumentFrequency | None,
    settings: Settings,
) -> None:
    asked = [
        floors.ReferenceCase(case.case_id, case.patient_id, case.kind, case.question, truth[case.case_id])
        for case in cases
    ]
    found: dict[str, dict[str, str] | str] = {
        "constant": floors.constant(asked, provenance),
        "question_only": floors.question_only(asked, provenance),
        "other_patient": floors.other_patient(asked, settings.seed),
    }
    for condition in ("blank", "prior_twice", "swap"):
        answered = {case_id: case.answer for case_id, case in shown.get(condition, {}).items()}
        found[condition] = answered or f"{NOT_RUN}: `predict --controls` writes it"
    for name in CONTROLS:
        _score_floor(scores, name, found[name], asked, frequency, settings)
    if not isinstance(found["question_only"], str):
        _score_margin(scores, found["question_only"], settings)
