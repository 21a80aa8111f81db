"""Is an answerer consistent, and does it look? The two crossed, answer by answer.

Consistent: its answer to the exchanged films is its answer read backwards in time. It looks: its answer is not the one
that it gives to blank films, and one film shown twice does not get the same change. Over pairs where the reference or
the answer says a change; an answer that is not read in full is not consistent.

| | looks | does not |
|---|---|---|
| consistent | ideal | dangerous: it seems reliable |
| not | fragile | worst |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from intervalchange.answers import Answer
from intervalchange.evaluation.metrics.change import read
from intervalchange.evaluation.metrics.consistency import moves
from intervalchange.evaluation.metrics.statistics import Array, Counts, ratio
from intervalchange.grammar import Reading

CLASSES = ("ideal", "fragile", "dangerous", "worst")
CONTROLS = ("identity", "blank")
"""Conditions of which at least one is needed."""


def use_tally(
    references: Sequence[str],
    given: Sequence[str],
    swapped: Sequence[str],
    controls: Mapping[str, Sequence[str]],
    questions: Sequence[str] | None = None,
) -> Counts:
    """Counts per answer, of each of `CLASSES` and of the answers that are asked about.

    controls: answers under `CONTROLS`, those that were run. questions: what was asked, where answers are free.
    """
    asked: Sequence[str | None] = questions or [None] * len(given)
    counts = {name: np.zeros(len(given)) for name in ("asked", *CLASSES)}
    for row, question in enumerate(asked):
        own, turned = read(given[row], question), read(swapped[row], question)
        if not own.change and not read(references[row], question).change:
            continue
        ignores = any(_same(own, read(answers[row], question), condition) for condition, answers in controls.items())
        consistent = not own.unread and not turned.unread and moves(own.change) == moves(turned.change.reverse())
        name = ("dangerous" if ignores else "ideal") if consistent else ("worst" if ignores else "fragile")
        counts["asked"][row] = counts[name][row] = 1
    return {f"use_{name}": values for name, values in counts.items()}


def _same(own: Reading | Answer, other: Reading | Answer, condition: str) -> bool:
    """Whether a control got the same answer. Of one film shown twice "nothing has changed" is right, so only a change
    that is said again tells."""
    said, again = moves(own.change), moves(other.change)
    return said == again and (bool(said) if condition == "identity" else bool(said) or own.nothing == other.nothing)


def use_measures(sums: Counts) -> dict[str, Array]:
    """The share of each class, of the answers that are asked about."""
    return {f"{name}.rate": ratio(sums[f"use_{name}"], sums["use_asked"]) for name in CLASSES}
