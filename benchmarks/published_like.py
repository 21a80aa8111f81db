"""Random answers distributed as published ones are (`specs/anchors.md`: the PLURAL prediction file of 16,389 answers).

10.0% "nothing has changed", 54% with both additions and removals, 219 of 16,389 with a level; how often a finding is
named falls with its position in the library. A stand-in for data that cannot be shipped: scores on it show how metrics
behave, never how good a model is.
"""

from __future__ import annotations

import random

from intervalchange.findings import FINDINGS, LEVELS
from intervalchange.grammar import render
from intervalchange.records import Change

NOTHING, BOTH, LEVEL = 0.100, 0.54, 219 / 16_389
"""Shares of answers, as counted in the file."""
WEIGHTS = [1 / (rank + 2) for rank in range(len(FINDINGS))]


def sampled(source: random.Random, count: int) -> list[str]:
    """`count` different findings, common ones more often, in random order."""
    chosen: list[str] = []
    while len(chosen) < count:
        finding = source.choices(FINDINGS, WEIGHTS)[0]
        if finding not in chosen:
            chosen.append(finding)
    return chosen


def published_like(count: int, seed: int = 0) -> list[Change]:
    """Random changes; the same for the same seed."""
    source = random.Random(seed)
    changes = []
    for _ in range(count):
        kind = source.random()
        if kind < NOTHING:
            changes.append(Change())
            continue
        both = kind < NOTHING + BOTH
        first = source.random() < 0.5
        added = source.choices((1, 2, 3, 4), (5, 3, 2, 1))[0] if both or first else 0
        missing = source.choices((1, 2, 3, 4), (5, 3, 2, 1))[0] if both or not first else 0
        named = sampled(source, added + missing + 1)
        levels = [(named[-1], *source.sample(LEVELS, 2))] if source.random() < LEVEL else []
        changes.append(Change.of(named[:added], named[added:-1], levels))
    return changes


def answers(changes: list[Change], seed: int = 0) -> list[str]:
    """The sentences of changes as the data set writes them: the additions in random order."""
    source = random.Random(seed)
    return [render(change, source.sample(sorted(change.added), len(change.added))) for change in changes]
