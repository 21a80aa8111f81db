"""From probabilities to changes: findings are subtracted, thresholds choose, and confidences come with them.

b pairs, f findings. Ranks of severity count from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intervalchange.findings import FINDINGS, GRADES, SIZED
from intervalchange.records import Change, LevelChange

WORTH_NAMING = 0.02
"""Probability above which a change is listed among the confidences although it was not chosen."""
ROUNDING = 1e-3
"""By how much a change must be likelier than its reverse: a film's place in the batch moves less than that."""


@dataclass(frozen=True)
class Thresholds:
    """Probabilities from which something is chosen."""

    finding: np.ndarray
    """(f,) of presence on a film."""
    change: np.ndarray
    """(f,) of being added or missing."""
    level: float


@dataclass(frozen=True)
class PairProbabilities:
    """Probabilities of b pairs before findings are subtracted, (b, f) each."""

    current: Tensor
    """That a finding is on the current film."""
    prior: Tensor
    level: Tensor
    """That it is on both films, at another level."""
    current_rank: Tensor
    """Int64: the most probable rank on the current film."""
    prior_rank: Tensor
    branch_added: Tensor | None = None
    """What the branch on the pair gives; None without that branch."""
    branch_missing: Tensor | None = None

    @classmethod
    def joined(cls, batches: Sequence[PairProbabilities]) -> PairProbabilities:
        """Several batches as one."""
        columns = ([getattr(batch, field.name) for batch in batches] for field in fields(cls))
        joined: list[Any] = [None if column[0] is None else torch.cat(column) for column in columns]
        return cls(*joined)

    def subtracted(self, present_above: Tensor | None) -> ChangeProbabilities:
        """The soft product p (1 - q), or, given thresholds of presence (f,), the difference of the two sets.

        Both are averaged with the branch on the pair where there is one.
        """
        if present_above is None:
            added, missing = self.current * (1 - self.prior), self.prior * (1 - self.current)
        else:
            current, prior = (side > present_above.to(side.device) for side in (self.current, self.prior))
            added, missing = (current & ~prior).float(), (prior & ~current).float()
        if self.branch_added is not None and self.branch_missing is not None:
            added, missing = (added + self.branch_added) / 2, (missing + self.branch_missing) / 2
        return ChangeProbabilities(added, missing)


@dataclass(frozen=True)
class ChangeProbabilities:
    """Probabilities of b pairs that a finding was added or went missing, (b, f) each."""

    added: Tensor
    missing: Tensor

    def decided(self, pair: PairProbabilities, thresholds: Thresholds) -> list[Change]:
        """The change of each pair. The likelier of added and missing counts, neither where they are alike (a film
        against itself); the rest may have changed in level."""
        added, missing = self.added.numpy(), self.missing.numpy()
        now, then = pair.current_rank.numpy(), pair.prior_rank.numpy()
        is_added = (added > thresholds.change) & (added - missing > ROUNDING)
        is_missing = (missing > thresholds.change) & (missing - added > ROUNDING)
        is_level = (pair.level.numpy() > thresholds.level) & (now != then) & ~is_added & ~is_missing
        return [
            Change(
                _names(is_added[row]),
                _names(is_missing[row]),
                frozenset(_level_change(f, then[row, f], now[row, f]) for f in np.flatnonzero(is_level[row])),
            )
            for row in range(len(added))
        ]

    def confidence(self, pair: PairProbabilities, change: Change, row: int) -> dict[str, float]:
        """Of one pair: the probability of each change that was chosen or is worth naming, and as `answer` that of the
        whole set if findings were independent."""
        named, log_probability = {}, 0.0
        added, missing = (values[row].clamp(1e-6, 1 - 1e-6).tolist() for values in (self.added, self.missing))
        ways = (("added", added, change.added), ("missing", missing, change.missing))
        for index, finding in enumerate(FINDINGS):
            for way, values, chosen in ways:
                probability = values[index]
                log_probability += float(np.log(probability if finding in chosen else 1 - probability))
                if finding in chosen or probability > WORTH_NAMING:
                    named[f"{way}:{finding}"] = probability
        for level in sorted(change.levels):
            named[f"level:{level.finding}"] = float(pair.level[row, FINDINGS.index(level.finding)])
        return {"answer": float(np.exp(log_probability)), **named}


def level_word(finding: str, rank: int) -> str:
    """The word for a whole rank from 0: small for what has a size, mild for what has a grade."""
    word = GRADES[int(rank)]
    return "small" if word == "mild" and finding in SIZED else word


def _names(chosen: np.ndarray) -> frozenset[str]:
    return frozenset(FINDINGS[index] for index in np.flatnonzero(chosen))


def _level_change(index: np.intp, prior_rank: int, current_rank: int) -> LevelChange:
    finding = FINDINGS[index]
    return LevelChange(finding, level_word(finding, prior_rank), level_word(finding, current_rank))
