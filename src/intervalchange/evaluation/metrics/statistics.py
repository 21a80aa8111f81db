"""Uncertainty by patient: every metric is a function of sums of per-case counts, so a bootstrap is one product.

Counts are a mapping name -> array (n,) or (n, k) over n cases. A measure takes sums with any leading axes,
(..., ) or (..., k), and returns metrics over those axes; undefined metrics (0/0) are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Counts = Mapping[str, NDArray[Any]]
Measure = Callable[[Counts], Mapping[str, Array]]
Interval = tuple[float, float]
Key = TypeVar("Key", bound=Hashable)

REPLICATES = 1000
CHUNK = 100
"""Replicates weighed at once: bounds memory to CHUNK x patients."""


def ratio(above: ArrayLike, below: ArrayLike) -> Array:
    """above / below, NaN where below is 0."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    quotient: Array = np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)
    return quotient


def f_measure(right: ArrayLike, predicted: ArrayLike, reference: ArrayLike) -> Array:
    """2 right / (predicted + reference): NaN where there is nothing to find and nothing was predicted."""
    return ratio(2 * np.asarray(right, float), np.asarray(predicted, float) + np.asarray(reference, float))


def totals(counts: Counts) -> dict[str, Array]:
    """Sums over all cases."""
    return {name: np.asarray(array).sum(axis=0, dtype=float) for name, array in counts.items()}


def point_estimates(counts: Counts, measure: Measure) -> dict[str, float]:
    """The measure over all cases."""
    return {name: float(value) for name, value in measure(totals(counts)).items()}


def patient_codes(patients: Sequence[Any]) -> NDArray[np.intp]:
    """(n,) the index of each case's patient among the sorted patients."""
    index = {patient: number for number, patient in enumerate(sorted(set(patients)))}
    return np.fromiter((index[patient] for patient in patients), np.intp, len(patients))


def _by_patient(counts: Counts, patients: Sequence[Any]) -> tuple[Array, dict[str, tuple[slice, bool]]]:
    """Sums per patient as one matrix (p, k), and the columns of each name. Patients in sorted order.

    One name at a time: counts by finding are small whole numbers, and their floats would fill the memory.
    """
    codes = patient_codes(patients)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    columns_of, width = {}, 0
    for name, array in counts.items():
        columns = int(np.prod(np.shape(array)[1:]))
        columns_of[name] = (slice(width, width + columns), np.ndim(array) == 1)
        width += columns
    joined = np.empty((len(starts), width))
    for name, array in counts.items():
        flat = np.asarray(array).reshape(len(codes), -1)[order]
        joined[:, columns_of[name][0]] = np.add.reduceat(flat, starts, axis=0, dtype=float)
    return joined, columns_of


@lru_cache(maxsize=2)
def _draws(patients: int, replicates: int, seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    drawn = np.empty((replicates, patients), dtype=np.uint8)
    for row in range(replicates):
        drawn[row] = np.bincount(rng.integers(0, patients, size=patients), minlength=patients)
    return drawn


def patient_weights(patients: int, replicates: int, seed: int) -> Iterator[Array]:
    """How often each patient is drawn, (chunk, patients) at a time; the same draws for the same arguments."""
    drawn = _draws(patients, replicates, seed)
    for start in range(0, replicates, CHUNK):
        yield drawn[start : start + CHUNK].astype(float)


def replicate(
    counts: Counts, patients: Sequence[Any], measure: Measure, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Array]:
    """The measure on `replicates` samples of patients with replacement: name -> (replicates,)."""
    sums, columns_of = _by_patient(counts, patients)
    parts: list[Mapping[str, Array]] = []
    for weights in patient_weights(len(sums), replicates, seed):
        drawn = weights @ sums
        named = {
            name: drawn[:, columns][:, 0] if flat else drawn[:, columns] for name, (columns, flat) in columns_of.items()
        }
        parts.append(measure(named))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile_interval(values: Array, level: float = 0.95) -> Interval:
    """Percentile interval of the defined replicates; NaN where none is."""
    values = values[np.isfinite(values)]
    if not len(values):
        return np.nan, np.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def intervals(
    counts: Counts, patients: Sequence[Any], measure: Measure, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Interval]:
    """95% intervals by patient. NaN with fewer than two patients."""
    if len(set(patients)) < 2:
        return dict.fromkeys(measure(totals(counts)), (np.nan, np.nan))
    drawn = replicate(counts, patients, measure, replicates, seed)
    return {name: percentile_interval(values) for name, values in drawn.items()}


def named_metrics(
    prefix: str,
    counts: Counts,
    patients: Sequence[Any],
    measure: Measure,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, float]:
    """The measure under dotted names, `<prefix>.<name>`, with its 95% interval as `.low` and `.high`."""
    found = intervals(counts, patients, measure, replicates, seed)
    return named_values(
        prefix, {name: (value, *found[name]) for name, value in point_estimates(counts, measure).items()}
    )


def named_values(prefix: str, values: Mapping[str, tuple[float, float, float]]) -> dict[str, float]:
    """name -> (value, low, high), flat: `<prefix>.<name>`, `<prefix>.<name>.low`, `<prefix>.<name>.high`."""
    flat: dict[str, float] = {}
    for name, (value, low, high) in values.items():
        key = f"{prefix}.{name}"
        flat |= {key: float(value), f"{key}.low": float(low), f"{key}.high": float(high)}
    return flat


@dataclass(frozen=True, slots=True)
class Difference:
    """second - first of one metric, both on the same draws of patients; NaN where it is not defined."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided: how often a draw falls on the other side of no difference."""


def paired_differences(
    first: Counts,
    second: Counts,
    patients: Sequence[Any],
    measure: Measure,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Difference]:
    """second - first with its 95% interval and p value. Rows are the same cases on both sides."""
    point_first, point_second = point_estimates(first, measure), point_estimates(second, measure)
    values = {name: point_second[name] - point_first[name] for name in sorted(point_first.keys() & point_second.keys())}
    if len(set(patients)) < 2:
        return {name: Difference(value, np.nan, np.nan, np.nan) for name, value in values.items()}
    draws_first = replicate(first, patients, measure, replicates, seed)
    draws_second = replicate(second, patients, measure, replicates, seed)
    drawn = {name: draws_second[name] - draws_first[name] for name in values}
    return {
        name: Difference(value, *percentile_interval(drawn[name]), bootstrap_p(drawn[name]))
        for name, value in values.items()
    }


def bootstrap_p(differences: Array) -> float:
    """Two-sided p value of "no difference" from draws of it (Davison and Hinkley 1997, section 4.4): twice the smaller
    share of draws on either side of 0, with one added, so that it is never 0. Undefined draws are left out."""
    drawn = differences[np.isfinite(differences)]
    if not len(drawn):
        return np.nan
    side = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (side + 1) / (len(drawn) + 1))


def holm(values: Mapping[Key, float]) -> dict[Key, float]:
    """p values corrected for how many there are (Holm 1979): the probability of one false claim among them stays
    below the level. Undefined values stay undefined and are not counted."""
    defined = sorted((value, order, key) for order, (key, value) in enumerate(values.items()) if np.isfinite(value))
    corrected: dict[Key, float] = dict.fromkeys(values, np.nan)
    largest = 0.0
    for rank, (value, _, key) in enumerate(defined):
        largest = max(largest, min(1.0, value * (len(defined) - rank)))
        corrected[key] = largest
    return corrected


# --- rank statistics ---------------------------------------------------------------------------------------------


def _groups(values: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order that sorts the values, and where each run of equal values starts in it."""
    order = np.argsort(values, kind="stable")
    return order, np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)


def weighted_auc(labels: Array, scores: Array, weights: Array) -> Array:
    """Area under the ROC curve, ties half. labels, scores (n,); weights (..., n) -> (...)."""
    order, starts = _groups(scores)
    positive = np.add.reduceat(weights[..., order] * labels[order], starts, axis=-1)
    negative = np.add.reduceat(weights[..., order] * (1 - labels[order]), starts, axis=-1)
    below = np.cumsum(negative, axis=-1) - negative
    pairs = positive.sum(-1) * negative.sum(-1)
    return ratio((positive * (below + negative / 2)).sum(-1), pairs)


def weighted_average_precision(labels: Array, scores: Array, weights: Array) -> Array:
    """Average precision, as a sum over distinct scores without interpolation; NaN without a positive.

    labels, scores (n,); weights (..., n) -> (...). Equal scores are one step of the curve.
    """
    order, starts = _groups(-scores)
    positive = np.cumsum(np.add.reduceat(weights[..., order] * labels[order], starts, axis=-1), axis=-1)
    retrieved = np.cumsum(np.add.reduceat(weights[..., order], starts, axis=-1), axis=-1)
    gained = np.diff(positive, axis=-1, prepend=0)
    precision = np.divide(positive, retrieved, out=np.zeros(positive.shape), where=retrieved != 0)
    return ratio((gained * precision).sum(-1), positive[..., -1])


def _weighted_ranks(values: Array, weights: Array) -> Array:
    """Mean ranks of values (n,) where value i stands for weights[..., i] equal ones -> (..., n)."""
    order, starts = _groups(values)
    sizes = np.add.reduceat(weights[..., order], starts, axis=-1)
    middle = np.cumsum(sizes, axis=-1) - sizes / 2 + 0.5
    lengths = np.diff(np.append(starts, len(values)))
    ranks = np.empty(weights.shape)
    ranks[..., order] = np.repeat(middle, lengths, axis=-1)
    return ranks


def weighted_spearman(first: Array, second: Array, weights: Array) -> Array:
    """Spearman's rank correlation, mean ranks for ties. first, second (n,); weights (..., n) -> (...)."""
    total = weights.sum(-1, keepdims=True)
    ranks = (_weighted_ranks(values, weights) for values in (first, second))
    x, y = (rank - (rank * weights).sum(-1, keepdims=True) / total for rank in ranks)
    spread = (weights * x**2).sum(-1) * (weights * y**2).sum(-1)
    return ratio((weights * x * y).sum(-1), np.sqrt(np.maximum(spread, 0)))


def _with_interval(
    statistic: Callable[[Array, Array, Array], Array],
    first: ArrayLike,
    second: ArrayLike,
    patients: Sequence[Any] | None,
    replicates: int,
    seed: int,
) -> tuple[float, float, float]:
    x, y = np.asarray(first, float), np.asarray(second, float)
    if not len(x):
        return np.nan, np.nan, np.nan
    clusters = np.arange(len(x)) if patients is None else np.asarray(patients)
    codes = np.unique(clusters, return_inverse=True)[1]
    point = float(statistic(x, y, np.ones(len(x))))
    if codes.max() == 0:
        return point, np.nan, np.nan
    drawn = [statistic(x, y, weights[:, codes]) for weights in patient_weights(codes.max() + 1, replicates, seed)]
    return (point, *percentile_interval(np.concatenate(drawn)))


def auc(
    labels: ArrayLike,
    scores: ArrayLike,
    patients: Sequence[Any] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Area under the ROC curve with its 95% interval by patient: (auc, low, high). labels 0 or 1."""
    return _with_interval(weighted_auc, labels, scores, patients, replicates, seed)


def spearman(
    first: ArrayLike,
    second: ArrayLike,
    patients: Sequence[Any] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Spearman's rho with its 95% interval by patient: (rho, low, high)."""
    return _with_interval(weighted_spearman, first, second, patients, replicates, seed)
