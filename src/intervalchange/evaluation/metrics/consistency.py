"""Does an answerer agree with itself? Counts over difference questions asked under several conditions.

An answer that is not understood in full never counts as "nothing has changed", and is consistent with nothing.
Agreement is counted over the pairs where either answer predicts a change: else a model that never predicts one would be
perfect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intervalchange.answers import Answer, Course
from intervalchange.evaluation.metrics.change import read, says_nothing_changed
from intervalchange.evaluation.metrics.statistics import Array, Counts, Measure, ratio
from intervalchange.grammar import Reading
from intervalchange.records import Change, LevelChange


def _readings(answers: Sequence[str], questions: Sequence[str] | None) -> list[Reading | Answer]:
    """Each answer read; questions: what was asked, where answers are free."""
    return [read(answer) for answer in answers] if questions is None else list(map(read, answers, questions))


def _predicts_no_change(reading: Reading | Answer) -> bool:
    """In words of the template; a free answer may also hedge or abstain. What is not read in full may predict one."""
    return not reading.change and not reading.unread


def moves(change: Change) -> frozenset[tuple[str, ...]]:
    """What has changed, each as an item: findings that came, went, or are on both films and differ."""
    if not isinstance(change, Course):
        return change.items
    return change.items | {item for item in change.courses if item[0] in ("worse", "better")}


def agreement_tally(
    name: str,
    given: Sequence[str],
    other: Sequence[str],
    mirrored: bool = False,
    questions: Sequence[str] | None = None,
) -> Counts:
    """Do two answers to one pair say the same? mirrored: is one the other read backwards in time?

    questions: what was asked, where answers are free.
    """
    asked, kept, items, shared = (np.zeros(len(given)) for _ in range(4))
    pairs = zip(_readings(given, questions), _readings(other, questions), strict=True)
    for row, readings in enumerate(pairs):
        if all(map(_predicts_no_change, readings)):
            continue
        first, second = (reading.change for reading in readings)
        if mirrored:
            second = second.reverse()
        asked[row] = 1
        ours, theirs = moves(first), moves(second)
        kept[row] = not any(reading.unread for reading in readings) and ours == theirs
        items[row] = len(ours) + len(theirs)
        shared[row] = 2 * len(ours & theirs)
    return {f"{name}_asked": asked, f"{name}_kept": kept, f"{name}_items": items, f"{name}_shared": shared}


def agreement_measures(name: str) -> Measure:
    """<name>.rate: whole answers; <name>.items.f1: items of the two answers against each other."""

    def measures(sums: Counts) -> dict[str, Array]:
        return {
            f"{name}.rate": ratio(sums[f"{name}_kept"], sums[f"{name}_asked"]),
            f"{name}.items.f1": ratio(sums[f"{name}_shared"], sums[f"{name}_items"]),
        }

    return measures


def swap_tally(given: Sequence[str], swapped: Sequence[str], questions: Sequence[str] | None = None) -> Counts:
    """Over pairs where either direction predicts a change: is one answer the other read backwards in time?"""
    return agreement_tally("swap", given, swapped, mirrored=True, questions=questions)


def swap_measures(sums: Counts) -> dict[str, Array]:
    """swap.rate: whole answers; swap.items.f1: items of the two directions against each other."""
    return dict(agreement_measures("swap")(sums))


def still_tally(answers: Sequence[str], questions: Sequence[str] | None = None) -> Counts:
    """One film shown as both prior and current: is the answer, in words, that nothing has changed?"""
    return {
        "still_asked": np.ones(len(answers)),
        "still_kept": np.array([says_nothing_changed(reading) for reading in _readings(answers, questions)], float),
    }


def still_measures(sums: Counts) -> dict[str, Array]:
    """rate: share of pairs of one film that are answered with "nothing has changed"."""
    return {"rate": ratio(sums["still_kept"], sums["still_asked"])}


def reliance_tally(given: Sequence[str], shuffled: Sequence[str], questions: Sequence[str] | None = None) -> Counts:
    """The same question over another patient's films: does the answer move with the films?

    Over pairs where either answer predicts a change. Two answers that name the same change have not moved, nor has what
    free answers call stable. questions: what was asked, where answers are free.
    """
    asked, moved = np.zeros(len(given)), np.zeros(len(given))
    pairs = zip(_readings(given, questions), _readings(shuffled, questions), strict=True)
    for row, readings in enumerate(pairs):
        own, foreign = (moves(reading.change) for reading in readings)
        asked[row] = bool(own) or bool(foreign)
        moved[row] = asked[row] and own != foreign
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
        earlier, later = (step.get(finding, "same") for step in steps)
        match earlier, later:
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
            case (LevelChange(), LevelChange()) if earlier.current == later.prior:
                if earlier.prior != later.current:
                    levels.add(LevelChange(finding, earlier.prior, later.current))
            case _:
                contradictory.add(finding)
    return Composed(Change.of(added, missing, levels), frozenset(contradictory), frozenset(open_levels))


def _steps(change: Change) -> dict[str, str | LevelChange]:
    """Finding -> "added", "missing" or its change of level; "torn" where one change holds two of them."""
    steps: dict[str, str | LevelChange] = {}
    named = [("added", finding) for finding in change.added] + [("missing", finding) for finding in change.missing]
    for finding, step in [(finding, way) for way, finding in named] + [
        (level.finding, level) for level in change.levels
    ]:
        steps[finding] = "torn" if finding in steps else step
    return steps


Item = tuple[str, ...]


@dataclass(frozen=True)
class _Expected:
    """What the answers for two steps say of the whole."""

    items: frozenset[Item]
    contradictory: frozenset[str]
    open_findings: frozenset[str]
    """Of which an item of `ways` may be said or not."""
    ways: frozenset[str]


def _expected(first: Change, second: Change) -> _Expected:
    if isinstance(first, Course) and isinstance(second, Course):
        return _expected_course(first, second)
    whole = compose(first, second)
    return _Expected(whole.change.items, whole.contradictory, whole.open_levels, frozenset({"level"}))


def _expected_course(first: Course, second: Course) -> _Expected:
    """By course alone, levels as the rise or fall that they are: free answers say them or not as they like."""
    steps = [dict[str, str](), dict[str, str]()]
    torn: set[str] = set()
    for step, course in zip(steps, (first, second), strict=True):
        for way, finding in _courses(course):
            torn |= {finding} if finding in step else set()
            step[finding] = way
    items: set[Item] = set()
    contradictory, open_findings = set(torn), set[str]()
    for finding in (steps[0].keys() | steps[1].keys()) - torn:
        match steps[0].get(finding, "same"), steps[1].get(finding, "same"):
            case ("added", "same" | "worse" | "better") | ("same", "added"):
                items.add(("added", finding))
            case ("missing", "same") | ("same" | "worse" | "better", "missing"):
                items.add(("missing", finding))
            case ("worse", "same" | "worse") | ("same", "worse"):
                items.add(("worse", finding))
            case ("better", "same" | "better") | ("same", "better"):
                items.add(("better", finding))
            case ("added", "missing"):
                pass
            case ("missing", "added") | ("worse", "better") | ("better", "worse"):
                open_findings.add(finding)
            case _:
                contradictory.add(finding)
    ways = frozenset({"worse", "better"})
    return _Expected(frozenset(items), frozenset(contradictory), frozenset(open_findings), ways)


def _courses(change: Course) -> frozenset[Item]:
    return frozenset(item for item in change.courses if item[0] != "stable")


def triangle_tally(
    first: Sequence[str], second: Sequence[str], whole: Sequence[str], questions: Sequence[str] | None = None
) -> Counts:
    """Three visits: does the answer for 1 to 3 say what follows from those for 1 to 2 and 2 to 3?

    Over triples where any of the three predicts a change. A finding for which the steps contradict each other is one
    item that nothing agrees with. questions: what was asked, where answers are free.
    """
    asked, kept, items, shared = (np.zeros(len(whole)) for _ in range(4))
    answers = (_readings(step, questions) for step in (first, second, whole))
    for row, readings in enumerate(zip(*answers, strict=True)):
        if all(map(_predicts_no_change, readings)):
            continue
        expected = _expected(readings[0].change, readings[1].change)
        change = readings[2].change
        named: frozenset[Item] = _courses(change) if isinstance(change, Course) else change.items
        predicted = {item for item in named if not (item[0] in expected.ways and item[1] in expected.open_findings)}
        asked[row] = 1
        unread = any(reading.unread for reading in readings)
        kept[row] = not unread and not expected.contradictory and predicted == expected.items
        items[row] = len(predicted) + len(expected.items) + len(expected.contradictory)
        shared[row] = 2 * len(predicted & expected.items)
    return {"triangle_asked": asked, "triangle_kept": kept, "triangle_items": items, "triangle_shared": shared}
