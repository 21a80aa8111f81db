"""What a free answer claims: `Course`, a `Change` with the course of what is on both films, and `Answer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from intervalchange.findings import FINDINGS
from intervalchange.records import Change

COURSES = ("added", "missing", "worse", "better", "stable")
"""The five classes of a finding's course: new, resolved, worse, better, stable."""


@dataclass(frozen=True, slots=True)
class Course(Change):
    """A change in the words of radiologists. A finding whose level rose or fell also stands in `worse` or `better`.

    A finding of both sides that grew on one and shrank on the other stands in both; otherwise each stands in one.
    """

    worse: frozenset[str] = frozenset()
    better: frozenset[str] = frozenset()
    stable: frozenset[str] = frozenset()

    def reverse(self) -> Course:
        """The change as seen when the two films are exchanged."""
        levels = frozenset(level.reversed() for level in self.levels)
        return Course(self.missing, self.added, levels, self.better, self.worse, self.stable)

    def __bool__(self) -> bool:
        """Whether anything has changed; stable findings alone are no change."""
        return bool(self.added or self.missing or self.levels or self.worse or self.better)

    @property
    def courses(self) -> frozenset[tuple[str, str]]:
        """(course, finding) of each."""
        return frozenset((course, finding) for course in COURSES for finding in getattr(self, course))

    def as_json(self) -> dict[str, Any]:
        """Plain lists, sorted, for JSON; of a template answer without levels the same as of a `Change`."""
        course = {name: sorted(getattr(self, name)) for name in COURSES[2:] if getattr(self, name)}
        return {**Change.as_json(self), **course}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Course:
        """The inverse of `as_json`. Raises KeyError or TypeError on another shape."""
        known = Change.from_json(plain)
        worse, better, stable = (frozenset(plain.get(name, ())) for name in COURSES[2:])
        return cls(known.added, known.missing, known.levels, worse, better, stable)


@dataclass(frozen=True, slots=True)
class Answer:
    """What `read_answer` made of a text."""

    change: Course
    unsure: frozenset[str] = frozenset()
    """Findings that are asserted, or whose change is, only with a hedge; never items of `change`."""
    nothing: bool = False
    """The text says in words that nothing has changed, or speaks only of findings that it calls unchanged."""
    abstains: bool = False
    """The text refuses, or says that it cannot tell what changed, and claims nothing."""
    unread: tuple[str, ...] = ()
    """Pieces that could not be read. Never empty for a text that says nothing known."""
    ambiguous: bool = False
    """A level sentence of the template had more than one reading."""


RANK = {finding: rank for rank, finding in enumerate(FINDINGS)}
