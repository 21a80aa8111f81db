"""Does an answerer agree with itself? Counts over difference questions asked under several conditions.

An answer that is not understood in full is no "nothing has changed", and never consistent with anything. Agreement is
counted over the pairs where either answer predicts a change: else a model that never sees one would be perfect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intervalchange.evaluation.metrics.change import read, says_nothing_changed
from intervalchange.evaluation.metrics.statistics import Array, Counts, Measure, ratio
from intervalchange.records import Change, LevelChange


def agreement_tally(name: str, given: Sequence[str], other: Sequence[str], mirrored: bool = False) -> Counts:
    """Do two answers to one pair say the same? mirrored: is one the other read backwards in time?"""
    asked, kept, items, shared = (np.zeros(len(given)) for _ in range(4))
    for place, (forth, back) in enumerate(zip(given, other, strict=True)):
        one, two = read(forth), read(back)
        if says_nothing_changed(one) and says_nothing_changed(two):
            continue
        second = two.change.reverse() if mirrored else two.change
        asked[place] = 1
        kept[place] = not one.unread and not two.unread and one.change == second
        items[place] = len(one.change.items) + len(second.items)
        shared[place] = 2 * len(one.change.items & second.items)
    return {f"{name}_asked": asked, f"{name}_kept": kept, f"{name}_items": items, f"{name}_shared": shared}


def agreement_measures(name: str) -> Measure:
    """<name>.rate: whole answers; <name>.items.f1: items of the two answers against each other."""

    def measures(sums: Counts) -> dict[str, Array]:
        return {
            f"{name}.rate": ratio(sums[f"{name}_kept"], sums[f"{name}_asked"]),
            f"{name}.items.f1": ratio(sums[f"{name}_shared"], sums[f"{name}_items"]),
        }

    return measures


def swap_tally(given: Sequence[str], swapped: Sequence[str]) -> Counts:
    """Over pairs where either direction predicts a change: is one answer the other read backwards in time?"""
    return agreement_tally("swap", given, swapped, mirrored=True)


def swap_measures(sums: Counts) -> dict[str, Array]:
    """swap.rate: whole answers; swap.items.f1: items of the two directions against each other."""
    return dict(agreement_measures("swap")(sums))


def still_tally(answers: Sequence[str]) -> Counts:
    """One film shown as both prior and current: is the answer, in words, that nothing has changed?"""
    return {
        "still_asked": np.ones(len(answers)),
        "still_kept": np.array([says_nothing_changed(read(answer)) for answer in answers], float),
    }


def still_measures(sums: Counts) -> dict[str, Array]:
    """rate: share of pairs of one film that are answered with "nothing has changed"."""
    return {"rate": ratio(sums["still_kept"], sums["still_asked"])}


def reliance_tally(given: Sequence[str], shuffled: Sequence[str]) -> Counts:
    """The same question over another patient's films: does the answer move with the films?

    Over pairs where either answer predicts a change. Two answers that name the same change have not moved.
    """
    asked, moved = np.zeros(len(given)), np.zeros(len(given))
    for place, (own, foreign) in enumerate(zip(given, shuffled, strict=True)):
        one, two = read(own), read(foreign)
        asked[place] = bool(one.change) or bool(two.change)
        moved[place] = asked[place] and one.change != two.change
    return {"films_asked": asked, "films_moved": moved}


def reliance_measures(sums: Counts) -> dict[str, Array]:
    """moved: share of answers that name another change when the films are another patient's."""
    return {"moved": ratio(sums["films_moved"], sums["films_asked"])}


# --- three visits --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Composed:
    """What two changes in a row amount to."""

    change: Change
    contradictory: frozenset[str] = frozenset()
    """Findings for which the two cannot both be true: added twice, gone and then of another level, ..."""
    open_levels: frozenset[str] = frozenset()
    """Findings that went and came back: present at both ends, and whether the level differs is not said."""


def compose(first: Change, second: Change) -> Composed:
    """The change from visit 1 to 3 that follows from 1 to 2 (`first`) and 2 to 3 (`second`)."""
    steps = [_steps(change) for change in (first, second)]
    added, missing, levels = set(), set(), set()
    contradictory, open_levels = set(), set()
    for finding in steps[0].keys() | steps[1].keys():
        one, two = (step.get(finding, "same") for step in steps)
        match one, two:
            case ("added", "same") | ("same", "added"):
                added.add(finding)
            case ("missing", "same") | ("same", "missing"):
                missing.add(finding)
            case (LevelChange() as level, "same") | ("same", LevelChange() as level):
                levels.add(level)
            case ("added", LevelChange()):
                added.add(finding)
            case (LevelChange(), "missing"):
                missing.add(finding)
            case ("added", "missing"):
                pass
            case ("missing", "added"):
                open_levels.add(finding)
            case (LevelChange(), LevelChange()) if one.current == two.prior:
                levels |= {LevelChange(finding, one.prior, two.current)} if one.prior != two.current else set()
            case _:
                contradictory.add(finding)
    return Composed(Change.of(added, missing, levels), frozenset(contradictory), frozenset(open_levels))


def _steps(change: Change) -> dict[str, str | LevelChange]:
    """Finding -> "added", "missing" or its change of level; "torn" where one change says two of them."""
    steps: dict[str, str | LevelChange] = {}
    named = [("added", finding) for finding in change.added] + [("missing", finding) for finding in change.missing]
    for finding, step in [(finding, way) for way, finding in named] + [(one.finding, one) for one in change.levels]:
        steps[finding] = "torn" if finding in steps else step
    return steps


def triangle_tally(first: Sequence[str], second: Sequence[str], whole: Sequence[str]) -> Counts:
    """Three visits: does the answer for 1 to 3 say what follows from those for 1 to 2 and 2 to 3?

    Over triples where any of the three predicts a change. A finding for which the steps contradict each other is one
    item that nothing agrees with.
    """
    asked, kept, items, shared = (np.zeros(len(whole)) for _ in range(4))
    for place, answers in enumerate(zip(first, second, whole, strict=True)):
        readings = [read(answer) for answer in answers]
        if all(says_nothing_changed(reading) for reading in readings):
            continue
        expected = compose(readings[0].change, readings[1].change)
        said = {
            item for item in readings[2].change.items if not (item[0] == "level" and item[1] in expected.open_levels)
        }
        asked[place] = 1
        unread = any(reading.unread for reading in readings)
        kept[place] = not unread and not expected.contradictory and said == expected.change.items
        items[place] = len(said) + len(expected.change.items) + len(expected.contradictory)
        shared[place] = 2 * len(said & expected.change.items)
    return {"triangle_asked": asked, "triangle_kept": kept, "triangle_items": items, "triangle_shared": shared}
