"""Does a probability mean what it says? Reliability, expected calibration error, Brier score, risk and coverage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from intervalchange.evaluation.change import read
from intervalchange.evaluation.statistics import Array, Counts, ratio
from intervalchange.records import Prediction

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
