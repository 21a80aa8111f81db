"""Pairs of films of which a source says how findings have changed: new, resolved, worse, better, stable.

Such a pair becomes a case that names its findings and asks for the course of each, answered with all five words;
`score` reads it, and answers in anyone's words, as the course of each finding (`progression.*`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from intervalchange.answers import COURSES
from intervalchange.findings import ALIASES, FINDINGS
from intervalchange.records import Case, Study

Pair = TypeVar("Pair", bound=Hashable)

WORD_OF = MappingProxyType(
    {"added": "new", "missing": "resolved", "worse": "worse", "better": "better", "stable": "stable"}
)
"""Course -> the word for it in questions and answers."""
_FINDING_OF = {name: finding for finding, others in ALIASES.items() for name in (finding, *others)}


def finding_named(name: str) -> str | None:
    """The finding of the library that a source calls so, in any case of letters; None for another one."""
    return _FINDING_OF.get(" ".join(name.replace("_", " ").replace("-", " ").lower().split()))


def course_question(findings: Iterable[str]) -> str:
    """What is asked of a pair."""
    named = ", ".join(_in_order(findings))
    return f"is each of these findings new, resolved, worse, better or stable compared to the reference image: {named}?"


def course_answer(courses: Mapping[str, str]) -> str:
    """Finding -> course, as text: "New: edema. Worse: pleural effusion, atelectasis."."""
    parts = []
    for course in COURSES:
        named = _in_order(finding for finding, own in courses.items() if own == course)
        if named:
            parts.append(f"{WORD_OF[course].capitalize()}: {', '.join(named)}.")
    return " ".join(parts)


def course_case(
    prior: Study, current: Study, patient: str, split: str, courses: Mapping[str, str], tags: Iterable[str] = ()
) -> Case:
    """The case of one pair. courses: finding -> course, at least one."""
    return Case(
        f"{current.study_id}-{prior.study_id}-progression",
        patient,
        current,
        prior,
        course_question(courses),
        course_answer(courses),
        "difference",
        split,
        tuple(tags),
    )


def by_pair(rows: Iterable[tuple[Pair, str, str]], notes: Counter[str]) -> dict[Pair, dict[str, str]]:
    """Pair -> finding -> course. rows: pair, name of a finding, course; in the order of the table.

    Left out and counted: names that the answers have no word for, and findings with two courses on one pair.
    """
    found: dict[Pair, dict[str, str]] = {}
    disputed: set[tuple[Pair, str]] = set()
    for pair, name, course in rows:
        finding = finding_named(name)
        if finding is None:
            notes[f"labels of {name.strip().lower() or 'nothing'}, which the answers have no word for (left out)"] += 1
        elif found.setdefault(pair, {}).setdefault(finding, course) != course:
            disputed.add((pair, finding))
    for pair, finding in disputed:
        notes["findings with two courses on one pair (left out)"] += 1
        del found[pair][finding]
    return {pair: courses for pair, courses in found.items() if courses}


def _in_order(findings: Iterable[str]) -> list[str]:
    rank = {finding: place for place, finding in enumerate(FINDINGS)}
    return sorted(findings, key=lambda finding: rank[finding])
