"""Thresholds that turn probabilities into a set of changes: the best F1 under a bound on false changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

GRID = np.linspace(0.05, 0.95, 37)
"""Thresholds that are tried."""

Rule = Callable[[np.ndarray], np.ndarray]
"""Thresholds (f,) -> what is chosen by them, (n, ways, f) bool."""


def subtracting(now: np.ndarray, then: np.ndarray) -> Rule:
    """The difference of two thresholded sets, added and missing. now, then: (n, f) probabilities of presence."""

    def chosen(threshold: np.ndarray) -> np.ndarray:
        present, was = now > threshold, then > threshold
        return np.stack([present & ~was, was & ~present], axis=1)

    return chosen


def _rule(score: np.ndarray | Rule) -> Rule:
    """Where a score (n, ways, f) is given, all above its threshold are chosen."""
    return score if callable(score) else lambda threshold: np.asarray(score > threshold)


def _f1(chosen: np.ndarray, target: np.ndarray) -> float:
    hits = (chosen & target).sum()
    return float(2 * hits / max(chosen.sum() + target.sum(), 1))


def tune_global(
    score: np.ndarray | Rule, target: np.ndarray, unchanged: np.ndarray, max_false: float
) -> tuple[float, float]:
    """One threshold for all, the best by F1 that gives at most `max_false` of the unchanged rows anything.

    score, target: (n, ways, f), or what a threshold chooses. unchanged: (n). Returns threshold and F1; 1 and 0 where
    none keeps the bound.
    """
    rule, best = _rule(score), (1.0, 0.0)
    for threshold in GRID:
        chosen = rule(threshold)
        reached = _f1(chosen, target)
        if reached > best[1] and false_share(chosen, unchanged) <= max_false:
            best = (float(threshold), reached)
    return best


def tune(
    score: np.ndarray | Rule, target: np.ndarray, unchanged: np.ndarray, max_false: float, support: int = 10
) -> tuple[np.ndarray, float]:
    """One threshold a finding, from the best single one, by coordinate ascent over findings with enough support."""
    rule = _rule(score)
    start, reached = tune_global(rule, target, unchanged, max_false)
    threshold = np.full(target.shape[-1], start, dtype=np.float32)
    for _ in range(2):
        for finding in np.flatnonzero(target.sum(axis=(0, 1)) >= support):
            for trial in GRID:
                moved = threshold.copy()
                moved[finding] = trial
                chosen = rule(moved)
                if (gained := _f1(chosen, target)) > reached + 1e-4 and false_share(chosen, unchanged) <= max_false:
                    threshold, reached = moved, gained
    return threshold, reached


def false_share(chosen: np.ndarray, unchanged: np.ndarray) -> float:
    """Share of the unchanged rows that are given anything."""
    return float(chosen[unchanged].any(axis=(1, 2)).mean()) if unchanged.any() else 0.0
