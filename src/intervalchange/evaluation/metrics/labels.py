"""Labels with probabilities: area under the ROC curve and average precision, by label and macro.

A label that is NaN is not known and takes no part, for that label only. Macro is the plain mean over the labels that
have at least one known positive and one known negative. Intervals are by patient, all labels on the same draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from intervalchange.errors import SourceError
from intervalchange.evaluation.metrics.statistics import (
    REPLICATES,
    Array,
    named_values,
    patient_codes,
    patient_weights,
    percentile_interval,
    ratio,
    weighted_auc,
    weighted_average_precision,
)

MEASURES: dict[str, Callable[[Array, Array, Array], Array]] = {
    "auroc": weighted_auc,
    "ap": weighted_average_precision,
}
"""Name of a metric -> its function of labels (n,), scores (n,) and weights (..., n)."""


def _checked(labels: ArrayLike, scores: ArrayLike, names: Sequence[str]) -> tuple[Array, Array]:
    target, predicted = np.asarray(labels, float), np.asarray(scores, float)
    if target.ndim != 2 or target.shape != predicted.shape or target.shape[1] != len(names):
        raise SourceError(
            f"labels {target.shape}, scores {predicted.shape} and {len(names)} names do not fit together.",
            remedy="Give two tables of cases x labels and one name for each label.",
        )
    if not np.isin(target[~np.isnan(target)], (0, 1)).all():
        raise SourceError("a label is neither 0, 1 nor NaN.", remedy="Map uncertain labels first, or leave them NaN.")
    if np.isnan(predicted[~np.isnan(target)]).any():
        raise SourceError("a score is NaN where the label is known.", remedy="Every known label needs a score.")
    return target, predicted


def scored_labels(labels: ArrayLike) -> NDArray[np.bool_]:
    """(n, f) with NaN -> (f,) bool: the labels with a known positive and a known negative."""
    target = np.asarray(labels, float)
    scored: NDArray[np.bool_] = (target == 1).any(0) & (target == 0).any(0)
    return scored


def by_label(labels: Array, scores: Array, weights: Array, measure: str) -> Array:
    """labels, scores (n, f); weights (..., n) -> (..., f) of a metric of `MEASURES`; NaN where it is not defined."""
    values = np.full((*weights.shape[:-1], labels.shape[1]), np.nan)
    for label in np.flatnonzero(scored_labels(labels)):
        known = ~np.isnan(labels[:, label])
        values[..., label] = MEASURES[measure](labels[known, label], scores[known, label], weights[..., known])
    return values


def _macro(values: Array) -> Array:
    """(..., f) -> (...): mean over the defined labels; NaN where none is."""
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1))


def label_metrics(
    labels: ArrayLike,
    scores: ArrayLike,
    names: Sequence[str],
    patients: Sequence[Any] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, float]:
    """All metrics of a table of labels, by dotted name.

    labels: (n, f) 1, 0 or NaN (unknown). scores: (n, f), larger is more likely. patients: (n,) for the intervals;
    with None each case is a patient of its own.

    `labels.auroc.macro`, `labels.ap.macro`, `labels.auroc.<label>`, `labels.ap.<label>`, each with `.low` and `.high`;
    `labels.known.<label>`, `labels.positive.<label>`: how many cases. AUROC and AP of a label without a positive or
    without a negative are NaN. Raises SourceError where the tables do not fit together or a known label has no score.
    """
    target, predicted = _checked(labels, scores, names)
    codes = np.arange(len(target)) if patients is None else patient_codes(patients)
    groups = int(codes.max(initial=-1)) + 1
    metrics: dict[str, float] = {}
    for measure in MEASURES:
        point = by_label(target, predicted, np.ones(len(target)), measure)
        drawn = np.full((0, len(names)), np.nan)
        if groups > 1 and replicates:
            parts = patient_weights(groups, replicates, seed)
            drawn = np.concatenate([by_label(target, predicted, weights[:, codes], measure) for weights in parts])
        columns = {"macro": (_macro(point), _macro(drawn))}
        columns |= {name: (point[label], drawn[:, label]) for label, name in enumerate(names)}
        for name, (value, values) in columns.items():
            metrics |= named_values(f"labels.{measure}", {name: (float(value), *percentile_interval(values))})
    for label, name in enumerate(names):
        metrics[f"labels.known.{name}"] = float((~np.isnan(target[:, label])).sum())
        metrics[f"labels.positive.{name}"] = float((target[:, label] == 1).sum())
    return metrics
