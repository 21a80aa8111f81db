"""What the words around a finding say of it: that it came, went, or did neither."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

from intervalchange.answer_template import finding_names
from intervalchange.lazy_patterns import lazily

FILLER = frozenset(re.findall(r"\w+", "a an the and or of is are with also both there finding findings but nor"))
COORDINATOR = lazily(r"[,;&]|\b(?:and|or|nor|but|while|whereas)\b")

_PIECES = 1 << 14
"""Pieces between findings remembered: ", and " stands in nearly every answer."""

Status = Literal["added", "missing", "denied", "unread"]
"""What a clause says of a finding. `denied`: that it did not come, or did not go; such a clause is not an item."""

SWAPPED: dict[Status, Status] = {"added": "missing", "missing": "added"}
"""The same with the films exchanged."""

_STATUS_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("missing", lazily(r"\bno longer\b|\b(?:resolved|cleared|disappeared|gone)\b|\b(?:resolution|clearing) of\b")),
    ("missing", lazily(r"\bmissing\b")),
    ("added", lazily(r"\b(?:new|newly|additional|developed|appeared)\b|\b(?:development|appearance) of\b")),
    ("denied", lazily(r"\b(?:no|not|nor|neither|never|none|without|absent|cannot|lacks?)\b|n't\b")),
    ("denied", lazily(r"\babsence of\b|\bnegative for\b|\bfree of\b")),
    (
        "unread",
        lazily(
            r"\b(?:unchanged|stable|persist\w*|improv\w*|worse\w*|increas\w*|decreas\w*|progress\w*|regress\w*|remain\w*"
            r"|larger|smaller|similar|possibl[ey]|probabl[ey]|likely|unlikely|may|might|could|would|should|suspect\w*"
            r"|questionable|if|whether|unclear|uncertain|instead|rather|except|reference|prior|previous|earlier)\b"
        ),
    ),
)
"""Words that say what a clause does to its findings, in the order in which they are looked for and taken out."""
AUXILIARY = frozenset(
    re.findall(
        r"\w+",
        "has have been was were does do did now completely fully seen present visible shows show "
        "image film study main current in on this interval nor but either",
    )
)
"""Words that may stand in a plain sentence beside its findings and its status words."""


@lru_cache(maxsize=_PIECES)
def residue_of(text: str, understood: frozenset[str] = FILLER) -> str:
    """What is left of a text when separators and understood words are taken away at both ends."""
    words = re.findall(r"[^\s,.;:&]+", text)
    left = [index for index, word in enumerate(words) if word not in understood]
    return " ".join(words[left[0] : left[-1] + 1]) if left else ""


@lru_cache(maxsize=_PIECES)
def status_of(text: str) -> tuple[Status | None, str]:
    """What a clause says of its findings, and the clause without the words that say so.

    A denial of a change ("no new", "has not resolved") is a denial. Two denials, or words that say something else
    (worse, possible, the reference image ...), cannot be read.
    """
    counts: Counter[str] = Counter()
    for status, pattern in _STATUS_WORDS:
        text, count = pattern.subn(" ", text)
        counts[status] += count
    if counts["unread"] or counts["denied"] > 1:
        return "unread", text
    for status in ("denied", "missing", "added"):
        if counts[status]:
            return cast(Status, status), text
    return None, text


def agreed_status(before: Status | None, after: Status | None) -> Status | None:
    """The status of a finding from the words before it and after it."""
    if before is None or after is None or before == after:
        return "unread" if before == after == "denied" else before or after
    return "denied" if "denied" in (before, after) and "unread" not in (before, after) else "unread"


@dataclass(frozen=True, slots=True)
class Clause:
    """A finding of a list, with the words around it that belong to it."""

    finding: str
    before: str
    after: str


def clauses_of(text: str) -> tuple[list[Clause], str]:
    """The findings of a list with their words, and what stands after the last coordinator behind the last of them."""
    pattern, known = finding_names()
    matches = list(pattern.finditer(text))
    clauses, start = [], 0
    for index, match in enumerate(matches):
        before = text[start : match.start()]
        until = matches[index + 1].start() if index + 1 < len(matches) else len(text)
        between = text[match.end() : until]
        coordinator = COORDINATOR.search(between)
        # Without a coordinator, words between two findings belong to the second: "edema without effusion".
        end = match.end() + coordinator.start() if coordinator else (match.end() if until < len(text) else until)
        clauses.append(Clause(known[match.group()], before, text[match.end() : end]))
        start = end
    return clauses, text[start:]
