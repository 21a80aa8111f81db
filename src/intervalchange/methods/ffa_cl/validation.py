"""Validation of FFA-CL: areas under curves of films and of studies, F1, and the thresholds with the best F1.

n films, l labels of the tree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intervalchange.evaluation.metrics.labels import by_label

Array = NDArray[np.float64]
TRIED = np.linspace(0.02, 0.98, 49)
"""Thresholds that are tried."""


@dataclass(frozen=True)
class FilmOutputs:
    """One film of validation. Arrays (l,)."""

    study: str
    """The films of a study share it, within a patient."""
    patient: str
    probabilities: np.ndarray
    targets: np.ndarray
    """1, 0, -1 unknown."""


def tables(outputs: Sequence[FilmOutputs]) -> tuple[Array, Array]:
    """(n, l) probabilities, and (n, l) targets with NaN for unknown."""
    targets = np.stack([output.targets for output in outputs]).astype(float)
    return np.stack([output.probabilities for output in outputs]).astype(float), np.where(targets < 0, np.nan, targets)


def label_scores(outputs: Sequence[FilmOutputs], labels: Sequence[str]) -> dict[str, float]:
    """auroc.macro, ap.macro and auroc.<label> of the labels with a known positive and a known negative."""
    probabilities, targets = tables(outputs)
    areas = {name: by_label(targets, probabilities, np.ones(len(outputs)), name) for name in ("auroc", "ap")}
    scores = {f"{name}.macro": _mean_of_defined(values) for name, values in areas.items()}
    named = zip(labels, areas["auroc"].tolist(), strict=True)
    return scores | {f"auroc.{label.lower()}": value for label, value in named if math.isfinite(value)}


def all_scores(outputs: Sequence[FilmOutputs], labels: Sequence[str], thresholds: np.ndarray) -> dict[str, float]:
    """`label_scores` of films and, where studies have several, of studies (`study.`), and F1 at the thresholds (l,)."""
    scores, studies = label_scores(outputs, labels), by_study(outputs)
    if len(studies) < len(outputs):
        scores |= {f"study.{name}": value for name, value in label_scores(studies, labels).items()}
    probabilities, targets = tables(outputs)
    return scores | {"f1.macro": _mean_of_defined(f1(probabilities > thresholds, targets))}


def best_thresholds(outputs: Sequence[FilmOutputs]) -> Array:
    """(l): the threshold with the best F1; NaN for a label that validation does not know."""
    probabilities, targets = tables(outputs)
    reached = np.stack([f1(probabilities > trial, targets) for trial in TRIED])
    best = TRIED[np.nan_to_num(reached, nan=-1.0).argmax(axis=0)]
    return np.where(np.isfinite(reached).any(axis=0), best, np.nan)


def by_study(outputs: Sequence[FilmOutputs]) -> list[FilmOutputs]:
    """One record per study: the mean probability over its films. The films of a study share their labels."""
    groups: dict[tuple[str, str], list[FilmOutputs]] = {}
    for output in outputs:
        groups.setdefault((output.patient, output.study), []).append(output)
    return [
        FilmOutputs(study, patient, np.mean([film.probabilities for film in films], axis=0), films[0].targets)
        for (patient, study), films in groups.items()
    ]


def f1(predicted: np.ndarray, targets: np.ndarray) -> Array:
    """(n, l) bool and (n, l) 1, 0, NaN -> (l,) F1; NaN for a label without a known positive."""
    hits = (predicted & (targets == 1)).sum(axis=0)
    total = (predicted & ~np.isnan(targets)).sum(axis=0) + (targets == 1).sum(axis=0)
    return np.where((targets == 1).any(axis=0), 2 * hits / np.maximum(total, 1), np.nan)


def _mean_of_defined(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
