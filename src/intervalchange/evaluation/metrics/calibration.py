"""Does a probability mean what it says? Reliability, expected calibration error, Brier score, risk and coverage.

Risk is the share of wrong answers among those that were given, coverage the share of cases that were answered
(El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from intervalchange.errors import ConfigError, InputError
from intervalchange.evaluation.metrics.change import read
from intervalchange.evaluation.metrics.statistics import REPLICATES, Array, Counts, f_measure, named_metrics, ratio
from intervalchange.records import Prediction

ABSTAINED = "abstained"
"""The warning of an answer that was less sure than `predict --abstain-at` asks."""

BINS = 10
"""Bins of equal width over [0, 1]."""


def tally(confidence: ArrayLike, correct: ArrayLike) -> Counts:
    """Counts per probability, (n, BINS) where they depend on its bin."""
    said, true = np.asarray(confidence, float), np.asarray(correct, float)
    member = np.zeros((len(said), BINS))
    member[np.arange(len(said)), np.minimum((said * BINS).astype(int), BINS - 1)] = 1
    return {
        "bin_cases": member,
        "bin_confidence": member * said[:, None],
        "bin_correct": member * true[:, None],
        "squares": (said - true) ** 2,
    }


def measures(sums: Counts) -> dict[str, Array]:
    """ece (bins of equal width), brier."""
    cases = sums["bin_cases"].sum(-1)
    return {
        "ece": ratio(np.abs(sums["bin_confidence"] - sums["bin_correct"]).sum(-1), cases),
        "brier": ratio(sums["squares"], cases),
    }


def reliability(confidence: ArrayLike, correct: ArrayLike) -> list[dict[str, float]]:
    """Mean confidence and accuracy of each bin that is not empty."""
    sums = {name: array.sum(axis=0) for name, array in tally(confidence, correct).items()}
    filled = np.flatnonzero(sums["bin_cases"])
    return [
        {
            "cases": int(sums["bin_cases"][place]),
            "confidence": float(sums["bin_confidence"][place] / sums["bin_cases"][place]),
            "accuracy": float(sums["bin_correct"][place] / sums["bin_cases"][place]),
        }
        for place in filled
    ]


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> tuple[Array, Array]:
    """Coverage and risk when the n most confident answers are kept, n = 1 .. all. Equal confidences share a risk."""
    said, true = np.asarray(confidence, float), np.asarray(correct, float)
    levels, where = np.unique(-said, return_inverse=True)
    sizes = np.bincount(where, minlength=len(levels))
    wrong = np.bincount(where, weights=1 - true, minlength=len(levels)) / np.maximum(sizes, 1)
    kept = np.arange(1, len(said) + 1)
    return kept / max(len(said), 1), np.cumsum(np.repeat(wrong, sizes)) / kept


def aurc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Area under the risk-coverage curve: mean risk over all coverages. NaN without answers."""
    risk = risk_coverage(confidence, correct)[1]
    return float(risk.mean()) if len(risk) else np.nan


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Where to stop answering, and what that came to on the cases it was chosen on."""

    threshold: float
    """For `predict --abstain-at`: answers at least this sure are given. 0: all of them."""
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
    given; InputError without answers, or where even the surest answers are wrong too often.
    """
    wanted = risk if coverage is None else coverage
    if (risk is None) == (coverage is None) or wanted is None or not 0 <= wanted <= 1:
        raise ConfigError("one of risk and coverage is needed, between 0 and 1.", remedy="As in --risk 0.1.")
    levels, where, sizes = np.unique(-np.asarray(confidence, float), return_inverse=True, return_counts=True)
    if not len(levels):
        raise InputError("no answer has a confidence, so no threshold can be chosen.")
    kept = np.cumsum(sizes)
    wrong = np.cumsum(np.bincount(where, weights=1 - np.asarray(correct, float)))
    good = wrong <= wanted * kept + 1e-9 if coverage is None else kept >= wanted * kept[-1] - 1e-9
    if not good.any():
        raise InputError(
            f"no threshold reaches a risk of {wanted}: of the {kept[0]} surest answers {wrong[0] / kept[0]:.3f} "
            f"are wrong, and the lowest risk is {float((wrong / kept).min()):.3f}.",
            remedy="Ask for a higher risk.",
        )
    place = int(np.flatnonzero(good)[-1 if coverage is None else 0])
    last = place + 1 == len(levels)
    threshold = 0.0 if last else float(-(levels[place] + levels[place + 1]) / 2)
    return OperatingPoint(threshold, float(kept[place] / kept[-1]), float(wrong[place] / kept[place]), int(kept[place]))


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
    asked: Sequence[Prediction], counts: Counts, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, float | int | None]:
    """`selective.<metric>` with `.low` and `.high`, and `selective.abstained.count`. counts: of `change.tally`."""
    abstained = [ABSTAINED in case.warnings for case in asked]
    tallied = selective_tally(counts, abstained)
    owners = [case.patient_id for case in asked]
    found = named_metrics("selective", tallied, owners, selective_measures, replicates, seed)
    return {
        **{name: value if np.isfinite(value) else None for name, value in found.items()},
        "selective.abstained.count": sum(abstained),
    }


def finding_probabilities(
    predictions: Sequence[Prediction], references: Sequence[str]
) -> tuple[list[float], list[bool], list[str]]:
    """Every `added:<finding>` and `missing:<finding>` probability, whether it came true, and its patient."""
    said: list[float] = []
    true: list[bool] = []
    patients: list[str] = []
    for prediction, reference in zip(predictions, references, strict=True):
        change = read(reference).change
        for name, value in (prediction.confidence or {}).items():
            direction, _, finding = name.partition(":")
            if direction in ("added", "missing"):
                said.append(float(value))
                true.append(finding in getattr(change, direction))
                patients.append(prediction.patient_id)
    return said, true, patients
