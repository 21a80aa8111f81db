"""Does a probability mean what it says? Reliability, expected calibration error, Brier score, risk and coverage.

Risk is the share of wrong answers among those that were given, coverage the share of cases that were answered
(El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from intervalchange.errors import ConfigError, InputError
from intervalchange.evaluation.metrics.change import read_any
from intervalchange.evaluation.metrics.statistics import (
    REPLICATES,
    Array,
    Counts,
    f_measure,
    named_metrics,
    ratio,
    totals,
)
from intervalchange.records import Prediction

ABSTAINED = "abstained"
"""The warning of an answer whose confidence is below `predict --abstain-at`."""

BINS = 10
"""Bins of equal width over [0, 1]."""


def abstain_below(prediction: Prediction, threshold: float | None) -> Prediction:
    """The prediction with the warning "abstained" where its confidence is below the threshold."""
    confidence = (prediction.confidence or {}).get("answer") if prediction.kind == "difference" else None
    if threshold is None or confidence is None or confidence >= threshold:
        return prediction
    return replace(prediction, warnings=(*prediction.warnings, ABSTAINED))


def tally(confidence: ArrayLike, correct: ArrayLike) -> Counts:
    """Counts per probability, (n, BINS) where they depend on its bin."""
    predicted, target = np.asarray(confidence, float), np.asarray(correct, float)
    member = np.zeros((len(predicted), BINS))
    member[np.arange(len(predicted)), np.minimum((predicted * BINS).astype(int), BINS - 1)] = 1
    return {
        "bin_cases": member,
        "bin_confidence": member * predicted[:, None],
        "bin_correct": member * target[:, None],
        "squares": (predicted - target) ** 2,
    }


def measures(sums: Counts) -> dict[str, Array]:
    """ece (bins of equal width), brier."""
    cases = sums["bin_cases"].sum(-1)
    return {
        "ece": ratio(np.abs(sums["bin_confidence"] - sums["bin_correct"]).sum(-1), cases),
        "brier": ratio(sums["squares"], cases),
    }


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of a reliability diagram."""

    cases: int
    confidence: float
    """Mean."""
    accuracy: float


def reliability(confidence: ArrayLike, correct: ArrayLike) -> list[Bin]:
    """Mean confidence and accuracy of each bin that is not empty."""
    sums = totals(tally(confidence, correct))
    filled = zip(sums["bin_cases"], sums["bin_confidence"], sums["bin_correct"], strict=True)
    return [Bin(int(cases), float(total / cases), float(right / cases)) for cases, total, right in filled if cases]


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> tuple[Array, Array]:
    """Coverage and risk when the n most confident answers are kept, n = 1 .. all. Equal confidences share a risk."""
    levels, level, sizes = np.unique(-np.asarray(confidence, float), return_inverse=True, return_counts=True)
    wrong = np.bincount(level, weights=1 - np.asarray(correct, float), minlength=len(levels)) / np.maximum(sizes, 1)
    answered = np.arange(1, len(level) + 1)
    return answered / max(len(level), 1), np.cumsum(np.repeat(wrong, sizes)) / answered


def aurc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Area under the risk-coverage curve: mean risk over all coverages. NaN without answers."""
    risk = risk_coverage(confidence, correct)[1]
    return float(risk.mean()) if len(risk) else np.nan


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Where to stop answering, and what that came to on the cases it was chosen on."""

    threshold: float
    """For `predict --abstain-at`: answers of at least this confidence are given. 0: all of them."""
    coverage: float
    """Share of the cases that are answered."""
    risk: float
    """Share of those that are wrong."""
    answered: int


def operating_point(
    confidence: ArrayLike, correct: ArrayLike, *, risk: float | None = None, coverage: float | None = None
) -> OperatingPoint:
    """The threshold for a wanted risk (the largest coverage at no more) or coverage (the smallest at no less).

    Equal confidences are kept or left together. The threshold lies half-way to the next answer that is left out, so
    that confidences rounded in a file fall on the same side. Raises ConfigError unless one of the two, in [0, 1], is
    given; InputError without answers, or where even the most confident answers are wrong too often.
    """
    wanted = risk if coverage is None else coverage
    if (risk is None) == (coverage is None) or wanted is None or not 0 <= wanted <= 1:
        raise ConfigError("one of risk and coverage is needed, between 0 and 1.", remedy="As in --risk 0.1.")
    levels, level, sizes = np.unique(-np.asarray(confidence, float), return_inverse=True, return_counts=True)
    if not len(levels):
        raise InputError("no answer has a confidence, so no threshold can be chosen.")
    answered = np.cumsum(sizes)
    wrong = np.cumsum(np.bincount(level, weights=1 - np.asarray(correct, float)))
    good = wrong <= wanted * answered + 1e-9 if coverage is None else answered >= wanted * answered[-1] - 1e-9
    if not good.any():
        raise InputError(
            f"no threshold reaches a risk of {wanted}: of the {answered[0]} most confident answers "
            f"{wrong[0] / answered[0]:.3f} are wrong, and the lowest risk is {float((wrong / answered).min()):.3f}.",
            remedy="Ask for a higher risk.",
        )
    last = int(np.flatnonzero(good)[-1 if coverage is None else 0])
    threshold = 0.0 if last + 1 == len(levels) else float(-(levels[last] + levels[last + 1]) / 2)
    count = int(answered[last])
    return OperatingPoint(threshold, float(count / answered[-1]), float(wrong[last] / count), count)


def selective_tally(counts: Counts, abstained: Sequence[bool]) -> Counts:
    """From the counts of `change.tally`: what was answered, and what of it was right."""
    given = 1 - np.asarray(abstained, float)
    names = ("findings_right", "findings_predicted", "findings_reference")
    return {
        "cases": np.ones(len(given)),
        "answered": given,
        "answered_exact": given * counts["exact"],
        **{name: given * counts[name] for name in names},
    }


def selective_measures(sums: Counts) -> dict[str, Array]:
    """coverage, risk (not exactly right) and change F1 among the answers that were given."""
    return {
        "coverage": ratio(sums["answered"], sums["cases"]),
        "risk": ratio(sums["answered"] - sums["answered_exact"], sums["answered"]),
        "change.findings.micro.f1": f_measure(
            sums["findings_right"], sums["findings_predicted"], sums["findings_reference"]
        ),
    }


def selective_metrics(
    predictions: Sequence[Prediction], counts: Counts, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, float | int | None]:
    """`selective.<metric>` with `.low` and `.high`, and `selective.abstained.count`. counts: of `change.tally`."""
    abstained = [ABSTAINED in case.warnings for case in predictions]
    patients = [case.patient_id for case in predictions]
    metrics = named_metrics(
        "selective", selective_tally(counts, abstained), patients, selective_measures, replicates, seed
    )
    return {
        **{name: value if np.isfinite(value) else None for name, value in metrics.items()},
        "selective.abstained.count": sum(abstained),
    }


@dataclass(frozen=True, slots=True)
class FindingProbabilities:
    """Probabilities of single changes over many answers, three lists of one length."""

    probabilities: list[float]
    correct: list[bool]
    patients: list[str]


def finding_probabilities(predictions: Sequence[Prediction], references: Sequence[str]) -> FindingProbabilities:
    """Every `added:<finding>` and `missing:<finding>` probability, whether it came true, and its patient."""
    found = FindingProbabilities([], [], [])
    for prediction, reference in zip(predictions, references, strict=True):
        named = [(*name.partition(":"), value) for name, value in (prediction.confidence or {}).items()]
        changes = [(way, finding, value) for way, _, finding, value in named if way in ("added", "missing")]
        if not changes:
            continue  # Reading the reference takes time.
        target = read_any(reference).change
        for way, finding, value in changes:
            found.probabilities.append(float(value))
            found.correct.append(finding in (target.added if way == "added" else target.missing))
            found.patients.append(prediction.patient_id)
    return found
