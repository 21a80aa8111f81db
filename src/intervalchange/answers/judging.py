"""What the words around a group of names say of it: a course, where it is and is not, and whether that is hedged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from intervalchange.answers.evidence import NAMED, NOW_THERE, OFF_BOTH, OFF_CURRENT, OFF_PRIOR, ON_CURRENT, ON_PRIOR
from intervalchange.lazy_patterns import lazily

_TURNED = {"N": "G", "G": "N", "W": "B", "B": "W"}
_PARTS = lazily(r"[,()J:b]|&(?![PC](?:[,.]|$))")
_NEW_OR_WORSE = lazily(r"N[|/]W|W[|/]N")
_NONE_OF = lazily(r"[VU]?:?D")
_HEDGED_AFTER = lazily(r"H(?!c)")
_DENIALS = frozenset("Dkz10")
_DENIED_COURSE = lazily(r"[Dkz10].*[NG]")
_NOW = lazily(r"n[VdLXRT,]*$")
_DENIED_AFTER = lazily(r"[^NGWBSopj]*[Dkz]")


class Judged(NamedTuple):
    """What words say of the names they belong to."""

    kinds: tuple[str, ...]
    """Courses or states."""
    hedged: bool = False


def judged(before: str, after: str, film: str, asked: bool = False, growth_is_course: bool = False) -> Judged:
    """What the words before and after a group say of it. film: the one the sentence speaks of, "" for none."""
    before, after = before.replace("m", "S"), after.replace("m", "S")
    both = before + after
    hedged = asked or "H" in before or ("H" in after and bool(_HEDGED_AFTER.search(after)))
    if _NEW_OR_WORSE.search(both):
        return Judged(("N",), True)
    courses = [tag for tag in both if tag in "NGWBS"]
    if "g" in both and not courses:
        if not ("a" in both or growth_is_course):
            return Judged(("N",), True)
        courses.append("W")
    states = _states(before, after, film)
    if _denied(before, after, courses, states):
        return Judged(_off(before, after, film, states), hedged)
    if "G" in courses and OFF_PRIOR in states and "N" not in courses:
        return Judged((OFF_BOTH,), hedged)
    if courses:
        return Judged((_course(courses, before, after),), hedged)
    return Judged(_where(before, after, film, states), hedged)


def _denied(before: str, after: str, courses: Sequence[str], states: Sequence[str]) -> bool:
    """Whether the words deny the names as a whole."""
    head = before.rpartition(":")[2]
    if not _DENIALS.isdisjoint(head) and not _DENIED_COURSE.search(head):
        return True
    if "N" in before and _NONE_OF.match(after):
        return True
    moved = set(courses) & set("NGWB")
    if _DENIED_AFTER.match(after) and not moved and not {ON_PRIOR} & set(states):
        return True
    return bool(set("Dkz") & set(after)) and set(courses) == {"S"}


def _off(before: str, after: str, film: str, states: Sequence[str]) -> tuple[str, ...]:
    """Where names that are denied are not."""
    both, near = before + after, before + after.partition("J")[0]
    if "z" in both or ("Z" in both and "D" in both) or {OFF_PRIOR, OFF_CURRENT} <= set(states):
        return (OFF_BOTH,)
    if "p" in both or ("D" in both and "k" not in both and (film == "P" or ("P" in near and "C" not in both))):
        return (OFF_PRIOR, ON_CURRENT) if set("jC") & set(both) else (OFF_PRIOR,)
    if "o" in both or (before.count("a") and set("Dkz") & set(after)):
        return (ON_PRIOR, OFF_CURRENT)
    return (OFF_CURRENT,)


_LETTERS = {"o": ON_PRIOR, "p": OFF_PRIOR, "j": ON_CURRENT, "k": OFF_CURRENT, "~": OFF_PRIOR, "z": OFF_BOTH}


def _states(before: str, after: str, film: str) -> list[str]:
    """Where names are and are not, clause by clause."""
    first, last = _PARTS.split(before), _PARTS.split(after)
    parts = [*first[:-1], first[-1] + last[0], *last[1:]]
    found: list[str] = []
    for part in parts:
        if not part or "K" in part:
            continue
        letters = [_LETTERS[tag] for tag in part if tag in _LETTERS]
        if not letters:
            films = [tag for tag in part if tag in "PC"]
            off = "D" in part
            letters = [
                {"P": OFF_PRIOR if off else ON_PRIOR, "C": OFF_CURRENT if off else ON_CURRENT}[one] for one in films
            ]
        found += letters
    if film == "P" and len(set(found)) == 1 and OFF_CURRENT in found:
        found.append(ON_PRIOR)
    if "~" in after and not set(found) - {OFF_PRIOR} and film != "P":
        found.append(ON_CURRENT)
    return found


def _where(before: str, after: str, film: str, states: Sequence[str]) -> tuple[str, ...]:
    """Where names are, of which no course is said."""
    both = before + after
    if "n" in after:
        states = [*states, NOW_THERE]
    if states and not set(states) <= {ON_CURRENT, NOW_THERE}:
        if set(states) == {OFF_PRIOR} and film != "P":
            return (OFF_PRIOR, ON_CURRENT)
        return tuple(dict.fromkeys(states))
    if "D" in both:
        return (OFF_CURRENT,)
    if "Z" in both:
        return ("S",)
    if "n" in after or ("n" in before and _NOW.search(before)):
        return (NOW_THERE,)
    if states:
        return (ON_CURRENT,)
    return ({"P": ON_PRIOR, "C": ON_CURRENT}.get(film, NAMED),)


def _course(courses: Sequence[str], before: str, after: str) -> str:
    """One course of several words for it; turned round where the prior is what is spoken of."""
    kinds = set(courses)
    if len(kinds) > 1:
        kinds.discard("S")
    course = next(iter(kinds)) if len(kinds) == 1 else courses[-1]
    if "G" in kinds and len(kinds) > 1:
        course = "G" if kinds == {"G", "B"} else course
    if kinds in ({"N", "W"}, {"N", "B"}):
        course = "N"
    both = before + after
    if "P" in both and "C" not in both and course in _TURNED:
        subject = re.search(r"P[VU][^,J]*[NGWB]|P[NG]T", before)
        if subject or (course in "WB" and (re.search(r"P[^,J]*U[^,]*[WB]|U[^,]*[WB]L?P", after))):
            return _TURNED[course]
    return course
