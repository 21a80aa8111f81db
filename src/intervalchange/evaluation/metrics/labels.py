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
    weighted_auc,
    weighted_average_precision,
)

MEASURES: dict[str, Callable[[Array, Array, Array], Array]] = {
    "auroc": weighted_auc,
    "ap": weighted_average_precision,
}
"""Name of a metric -> its function of labels (n,), scores (n,) and weights (..., n)."""


def _checked(labels: ArrayLike, scores: ArrayLike, names: Sequence[str]) -> tuple[Array, Array]:
    true, said = np.asarray(labels, float), np.asarray(scores, float)
    if true.ndim != 2 or true.shape != said.shape or true.shape[1] != len(names):
        raise SourceError(
            f"labels {true.shape}, scores {said.shape} and {len(names)} names do not fit together.",
            remedy="Give two tables of cases x labels and one name for each label.",
        )
    if not np.isin(true[~np.isnan(true)], (0, 1)).all():
        raise SourceError("a label is neither 0, 1 nor NaN.", remedy="Map uncertain labels first, or leave them NaN.")
    if np.isnan(said[~np.isnan(true)]).any():
        raise SourceError("a score is NaN where the label is known.", remedy="Every known label needs a score.")
    return true, said


def scored_labels(labels: ArrayLike) -> NDArray[np.bool_]:
    """(n, f) with NaN -> (f,) bool: the labels with a known positive and a known negative."""
    true = np.asarray(labels, float)
    scored: NDArray[np.bool_] = (true == 1).any(0) & (true == 0).any(0)
    return scored


def by_label(labels: Array, scores: Array, weights: Array, measure: str) -> Array:
    """labels, scores (n, f); weights (..., n) -> (..., f) of a metric of `MEASURES`; NaN where it is not defined."""
    found = np.full((*weights.shape[:-1], labels.shape[1]), np.nan)
    for place in np.flatnonzero(scored_labels(labels)):
        known = ~np.isnan(labels[:, place])
        found[..., place] = MEASURES[measure](labels[known, place], scores[known, place], weights[..., known])
    return found


def _macro(values: Array) -> Array:
    """(..., f) -> (...): mean over the defined labels; NaN where none is."""
    defined = np.isfinite(values)
    count = defined.sum(-1)
    total = np.where(defined, values, 0).sum(-1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


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
    None takes each case for a patient of its own.

    `labels.auroc.macro`, `labels.ap.macro`, `labels.auroc.<label>`, `labels.ap.<label>`, each with `.low` and `.high`;
    `labels.known.<label>`, `labels.positive.<label>`: how many cases. AUROC and AP of a label without a positive or
    without a negative are NaN. Raises SourceError where the tables do not fit together or a known label has no score.
    """
    true, said = _checked(labels, scores, names)
    codes = np.arange(len(true)) if patients is None else patient_codes(patients)
    groups = int(codes.max(initial=-1)) + 1
    found: dict[str, float] = {}
    for measure in MEASURES:
        point = by_label(true, said, np.ones(len(true)), measure)
        drawn = np.full((0, len(names)), np.nan)
        if groups > 1 and replicates:
            parts = patient_weights(groups, replicates, seed)
            drawn = np.concatenate([by_label(true, said, weights[:, codes], measure) for weights in parts])
        columns = {"macro": (_macro(point), _macro(drawn))}
        columns |= {name: (point[place], drawn[:, place]) for place, name in enumerate(names)}
        for name, (value, values) in columns.items():
            found |= named_values(f"labels.{measure}", {name: (float(value), *percentile_interval(values))})
    for place, name in enumerate(names):
        found[f"labels.known.{name}"] = float((~np.isnan(true[:, place])).sum())
        found[f"labels.positive.{name}"] = float((true[:, place] == 1).sum())
    return found
