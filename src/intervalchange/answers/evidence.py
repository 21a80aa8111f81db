"""What a sentence says of a finding, and how all of an answer's sentences together say what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from intervalchange.answers.levels import comparable, in_words, rank_of
from intervalchange.answers.names import REGIONS
from intervalchange.answers.vocabulary import ADDED, BETTER, MISSING, STABLE, WORSE
from intervalchange.records import LevelChange

ON_PRIOR, OFF_PRIOR, ON_CURRENT, OFF_CURRENT = "o", "p", "j", "k"
NAMED, NOW_THERE, OFF_BOTH = "v", "n", "z"
COURSES = (ADDED, MISSING, WORSE, BETTER, STABLE)


class Evidence(NamedTuple):
    """One thing that is said of one finding. A tuple, for there are several of each sentence.

    kind: a course, a state (`ON_PRIOR` ...), `NAMED` where nothing is said, or "level".
    """

    finding: str
    kind: str
    sides: frozenset[str] = frozenset()
    hedged: bool = False
    film: str = ""
    """Of a level: "P", "C", or "" where it is not said."""
    level: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one finding: courses (two where its sides differ), and its levels."""

    courses: frozenset[str] = frozenset()
    unsure: bool = False
    level: LevelChange | None = None


@dataclass(frozen=True, slots=True)
class Films:
    """What is known of the two films as a whole."""

    described: frozenset[str] = frozenset()
    """ "P", "C": films of which findings are listed."""
    healthy: frozenset[tuple[str, str]] = frozenset()
    """(film, part of the chest or "") that is called clear or normal."""


def _absent(finding: str, film: str, films: Films) -> bool:
    """Whether a film is called clear where the finding would be."""
    return any(where == film and (not part or finding in REGIONS[part][1]) for where, part in films.healthy)


def outcome(finding: str, said: Sequence[Evidence], films: Films) -> Outcome:
    """All that is said of one finding -> what became of it."""
    sides = {one.sides for one in said if not one.hedged}
    if len(sides) > 1 and frozenset() not in sides and not any(_touch(a, b) for a, b in combinations(sides, 2)):
        parts = [_outcome(finding, [one for one in said if one.sides == side], films) for side in sides]
        courses = frozenset().union(*(part.courses for part in parts))
        level = next((part.level for part in parts if part.level), None)
        return Outcome(
            _of_sides(courses) if len(courses) > 1 else courses, any(p.unsure for p in parts) and not courses, level
        )
    return _outcome(finding, said, films)


def _touch(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two places may be one: "left" and "left lower"."""
    return any(a in b or b in a for a in one for b in other)


def _of_sides(courses: frozenset[str]) -> frozenset[str]:
    """What becomes of a finding whose sides differ: it is on both films, so new on one side is worse."""
    turned = {{ADDED: WORSE, MISSING: BETTER}.get(course, course) for course in courses}
    return frozenset(turned - {STABLE}) if len(turned) > 1 else frozenset(turned)


def _outcome(finding: str, said: Sequence[Evidence], films: Films) -> Outcome:
    firm = [one for one in said if not one.hedged]
    courses = [one for one in firm if one.kind in COURSES]
    level = _level_of(finding, firm)
    if level is not None and (course := _of_levels(level)):
        known = level if in_words(level.prior) and in_words(level.current) and course != STABLE else None
        return Outcome(frozenset(course), level=known)
    if not courses:
        course = _from_states(finding, {one.kind for one in firm}, films)
        if course:
            return Outcome(frozenset(course))
        return Outcome(
            unsure=any(one.hedged for one in said) and not {OFF_CURRENT, OFF_BOTH} & {one.kind for one in firm}
        )
    kinds = {one.kind for one in courses}
    if len(kinds) == 1:
        return Outcome(frozenset(kinds))
    return _of_several(courses, kinds)


def _level_of(finding: str, said: Sequence[Evidence]) -> LevelChange | None:
    of_film = {one.film: one.level for one in said if one.kind == "level" and one.level}
    if "P" not in of_film:
        return None
    current = of_film.get("C") or of_film.get("")
    return LevelChange(finding, of_film["P"], current) if current else None


def _of_levels(level: LevelChange) -> str:
    """The course of a finding that went from one level to another; "" where they cannot be compared."""
    if level.prior == level.current:
        return STABLE
    then, now = rank_of(level.prior), rank_of(level.current)
    if then is None or now is None or not comparable(level.prior, level.current) or then == now:
        return ""
    return WORSE if now > then else BETTER


def _from_states(finding: str, states: set[str], films: Films) -> str:
    """The course that follows from where a finding is and is not; "" where none does."""
    if NOW_THERE in states:
        if not states & {ON_PRIOR, STABLE}:
            return ADDED
        states = {*states, ON_CURRENT}
    if OFF_BOTH in states or {OFF_PRIOR, OFF_CURRENT} <= states:
        return ""
    if {ON_PRIOR, ON_CURRENT} <= states:
        return STABLE
    if OFF_PRIOR in states:
        return ADDED
    if ON_PRIOR in states:
        gone = (
            OFF_CURRENT in states
            or _absent(finding, "C", films)
            or ("C" in films.described and not {NAMED, ON_CURRENT} & states)
        )
        return MISSING if gone else ""
    if states & {ON_CURRENT, NAMED} and (
        _absent(finding, "P", films) or (ON_CURRENT in states and "P" in films.described)
    ):
        return ADDED
    return ""


def _of_several(courses: Sequence[Evidence], kinds: set[str]) -> Outcome:
    """Several courses: of several sides, or one of them says more than the other; else they contradict each other."""
    sides = {kind: frozenset().union(*(one.sides for one in courses if one.kind == kind)) for kind in kinds}
    apart = all(
        sides[one] and sides[other] and not sides[one] & sides[other]
        for one in kinds
        for other in kinds
        if one != other
    )
    for more, less in ((ADDED, STABLE), (MISSING, STABLE)):
        if kinds == {more, less}:
            if apart or (sides[more] and sides[less] and sides[more] != sides[less]):
                return Outcome(frozenset(WORSE if more == ADDED else BETTER))
            return Outcome(unsure=True)
    if kinds == {ADDED, WORSE}:
        return Outcome(frozenset(WORSE if apart else ADDED))
    if kinds == {MISSING, BETTER}:
        return Outcome(frozenset(BETTER if apart else MISSING))
    if STABLE in kinds and len(kinds) == 2:
        return Outcome(frozenset(kinds - {STABLE}))
    up, down = kinds & {ADDED, WORSE}, kinds & {MISSING, BETTER}
    if up and down:
        return Outcome(frozenset({WORSE, BETTER})) if apart else Outcome(unsure=True)
    return Outcome(frozenset(kinds - {STABLE}))
