"""Thresholds that turn probabilities into a set of changes: the best F1 under a bound on false changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from intervalchange.methods.set_difference.deciding import PairProbabilities, Thresholds

GRID = np.linspace(0.05, 0.95, 37, dtype=np.float32)
"""Thresholds that are tried, as they are stored: rounded later, one half would lose what lies exactly on it."""

SHARE_OF_SETS = 0.7
"""Of the bound on false changes, what added and missing may use; levels may use what these leave."""

Rule = Callable[[np.ndarray], np.ndarray]
"""Thresholds (f,) -> what is chosen by them, (n, ways, f) bool."""


@dataclass(frozen=True)
class PairLabels:
    """The targets of n validation pairs, (n, f) each."""

    current: np.ndarray
    """1 present, 0 absent, NaN unknown."""
    prior: np.ndarray
    level_changed: np.ndarray
    """Bool; False where a level is unknown on either film."""

    @property
    def known(self) -> np.ndarray:
        """(n, f) bool: on both films."""
        known: np.ndarray = ~(np.isnan(self.current) | np.isnan(self.prior))
        return known

    @property
    def sources(self) -> np.ndarray:
        """(n,) int: pairs of which the same findings are known come from one source."""
        groups: np.ndarray = np.unique(self.known, axis=0, return_inverse=True)[1].reshape(-1)
        return groups

    @property
    def added_and_missing(self) -> np.ndarray:
        """(n, 2, f) bool."""
        current, prior = self.current, self.prior
        changed: np.ndarray = np.stack([(current == 1) & (prior == 0), (current == 0) & (prior == 1)], axis=1)
        return changed

    @property
    def unchanged(self) -> np.ndarray:
        """(n,) bool: nothing has changed, and everything is known that is known of any pair. Labels that name fewer
        findings than those of another source cannot say that nothing else has changed."""
        complete = self.known[:, self.known.any(axis=0)].all(axis=1)
        changed = self.added_and_missing.any(axis=(1, 2)) | self.level_changed.any(axis=1)
        still: np.ndarray = np.logical_and(complete, ~changed)
        return still


def fit_thresholds(
    pair: PairProbabilities, labels: PairLabels, *, hard: bool, max_false_change: float
) -> tuple[Thresholds, float]:
    """The thresholds with the best F1 of the changes of validation, and that F1: the mean of those of the sources, so
    that many easy pairs of one do not decide for the few hard ones of another.

    At most the share `max_false_change` of the unchanged pairs may be given a change. Where sets are subtracted
    (`hard`), the thresholds of the films come first, for the change they give; else they are fixed for presence. A
    finding that is unknown on a film is neither right nor wrong there; one that is unknown everywhere is never said.
    """
    current, prior, known = labels.current, labels.prior, labels.known[:, None]
    target, unchanged = labels.added_and_missing, labels.unchanged
    bound = SHARE_OF_SETS * max_false_change
    films = pair.current.numpy(), pair.prior.numpy()
    sources = labels.sources
    if hard:
        finding, _ = tune(_where(known, subtracting(*films)), target, unchanged, bound, sources)
    else:
        labels_of_films = np.concatenate([current, prior])[:, None]
        presence = _where(~np.isnan(labels_of_films), np.concatenate(films)[:, None])
        nobody = np.zeros(2 * len(current), bool)
        finding, _ = tune(presence, labels_of_films == 1, nobody, 1.0, np.concatenate([sources, sources]))
    probabilities = pair.subtracted(torch.from_numpy(finding) if hard else None)
    score = np.stack([probabilities.added.numpy(), probabilities.missing.numpy()], axis=1)
    change, reached = tune(_where(known, score), target, unchanged, bound, sources)
    chosen: np.ndarray = np.any(score > change, axis=1)
    candidates = pair.level.numpy() * (pair.current_rank != pair.prior_rank).numpy() * ~chosen
    candidates = candidates * known[:, 0]
    left = max_false_change - false_share(chosen[:, None], unchanged)
    for threshold in (finding, change):
        threshold[~known.any(axis=(0, 1))] = 1.0  # What nobody knew is never said.
    level, _ = tune_global(candidates[:, None], labels.level_changed[:, None], unchanged, left)
    return Thresholds(finding, change, level), reached


def subtracting(current: np.ndarray, prior: np.ndarray) -> Rule:
    """The difference of two thresholded sets, added and missing. current, prior: (n, f) probabilities of presence."""

    def chosen(threshold: np.ndarray) -> np.ndarray:
        now, then = current > threshold, prior > threshold
        return np.stack([now & ~then, then & ~now], axis=1)

    return chosen


def _where(known: np.ndarray, score: np.ndarray | Rule) -> Rule:
    """A rule, or a score above its threshold, that chooses only what is known."""
    rule = _rule(score)
    return lambda threshold: rule(threshold) & known


def _rule(score: np.ndarray | Rule) -> Rule:
    """A score (n, ways, f) as a rule that chooses all above its threshold."""
    return score if callable(score) else lambda threshold: np.asarray(score > threshold)


def _f1(chosen: np.ndarray, target: np.ndarray, groups: Sequence[np.ndarray | slice]) -> float:
    """The mean over groups of rows."""
    scores = []
    for rows in groups:
        said, true = chosen[rows], target[rows]
        scores.append(2 * (said & true).sum() / max(said.sum() + true.sum(), 1))
    return float(np.mean(scores))


def _groups(sources: np.ndarray | None) -> list[np.ndarray | slice]:
    """The rows of each source; all of them where there is one."""
    return [slice(None)] if sources is None else [sources == source for source in np.unique(sources)]


def tune_global(
    score: np.ndarray | Rule,
    target: np.ndarray,
    unchanged: np.ndarray,
    max_false: float,
    sources: np.ndarray | None = None,
) -> tuple[float, float]:
    """One threshold for all: the best F1 that chooses anything for at most the share `max_false` of the unchanged rows.

    score, target: (n, ways, f), or what a threshold chooses. unchanged: (n). sources: (n), of which the mean F1
    counts; None for one. Returns threshold and F1; 1 and 0 where none keeps the bound.
    """
    rule, groups, best = _rule(score), _groups(sources), (1.0, 0.0)
    for threshold in GRID:
        chosen = rule(threshold)
        reached = _f1(chosen, target, groups)
        if reached > best[1] and false_share(chosen, unchanged) <= max_false:
            best = (float(threshold), reached)
    return best


def tune(
    score: np.ndarray | Rule,
    target: np.ndarray,
    unchanged: np.ndarray,
    max_false: float,
    sources: np.ndarray | None = None,
    support: int = 10,
) -> tuple[np.ndarray, float]:
    """One threshold per finding, from the best single one, by coordinate ascent over findings with enough support."""
    rule, groups = _rule(score), _groups(sources)
    start, reached = tune_global(rule, target, unchanged, max_false, sources)
    threshold = np.full(target.shape[-1], start, dtype=np.float32)
    for _ in range(2):
        for finding in np.flatnonzero(target.sum(axis=(0, 1)) >= support):
            for trial in GRID:
                moved = threshold.copy()
                moved[finding] = trial
                chosen = rule(moved)
                gained = _f1(chosen, target, groups)
                if gained > reached + 1e-4 and false_share(chosen, unchanged) <= max_false:
                    threshold, reached = moved, gained
    return threshold, reached


def false_share(chosen: np.ndarray, unchanged: np.ndarray) -> float:
    """The share of the unchanged rows for which anything is chosen."""
    return float(chosen[unchanged].any(axis=(1, 2)).mean()) if unchanged.any() else 0.0
