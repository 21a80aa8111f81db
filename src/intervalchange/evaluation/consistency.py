"""Does an answerer agree with itself? Counts over difference questions asked under several conditions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intervalchange.evaluation.change import read, says_nothing_changed
from intervalchange.evaluation.statistics import Array, Counts, ratio


def swap_tally(given: Sequence[str], swapped: Sequence[str]) -> Counts:
    """Over pairs where either direction predicts a change: is one answer the other read backwards in time?

    An answer that is not understood in full is no "nothing has changed": its pair counts, as inconsistent.
    """
    asked, kept, items, shared = (np.zeros(len(given)) for _ in range(4))
    for place, (forth, back) in enumerate(zip(given, swapped, strict=True)):
        one, two = read(forth), read(back)
        if says_nothing_changed(one) and says_nothing_changed(two):
            continue
        mirrored = two.change.reverse()
        asked[place] = 1
        kept[place] = not one.unread and not two.unread and one.change == mirrored
        items[place] = len(one.change.items) + len(mirrored.items)
        shared[place] = 2 * len(one.change.items & mirrored.items)
    return {"swap_asked": asked, "swap_kept": kept, "swap_items": items, "swap_shared": shared}


def swap_measures(sums: Counts) -> dict[str, Array]:
    """swap.rate: whole answers; swap.items.f1: items of the two directions against each other."""
    return {
        "swap.rate": ratio(sums["swap_kept"], sums["swap_asked"]),
        "swap.items.f1": ratio(sums["swap_shared"], sums["swap_items"]),
    }


def still_tally(answers: Sequence[str]) -> Counts:
    """One film shown as both prior and current: is the answer, in words, that nothing has changed?"""
    return {
        "still_asked": np.ones(len(answers)),
        "still_kept": np.array([says_nothing_changed(read(answer)) for answer in answers], float),
    }


def still_measures(sums: Counts) -> dict[str, Array]:
    """rate: share of pairs of one film that are answered with "nothing has changed"."""
    return {"rate": ratio(sums["still_kept"], sums["still_asked"])}
