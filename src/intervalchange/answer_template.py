"""Answers in exactly the sentences of `grammar.render`, read by looking their pieces up.

Nearly every answer and reference of Medical-Diff-VQA is one, and a scorer reads them by the ten thousand. Every other
text, and every level, is for `answer_reader.py`, which reads these sentences alike (tested) and takes longer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal, NamedTuple

from intervalchange.findings import ALIASES, FINDINGS
from intervalchange.lazy_patterns import lazily
from intervalchange.records import Change


@dataclass(frozen=True, slots=True)
class Reading:
    """What `parse` made of a text."""

    change: Change
    unread: tuple[str, ...] = ()
    """Pieces that could not be read. Never empty for a text that says nothing known."""
    modifiers: tuple[str, ...] = ()
    """Words of place, type or grade that were understood but have no place in a Change."""
    ambiguous: bool = False
    """A level sentence had more than one reading ("from mild to moderate to severe")."""
    nothing: bool = False
    """The text says in words that nothing has changed."""
    denied: tuple[str, ...] = ()
    """Findings of which the text says that they did not come, or did not go."""


class TemplateSides(NamedTuple):
    """What the template's sentences say; a tuple, because a scorer makes them by the ten thousand."""

    added: frozenset[str]
    missing: frozenset[str]
    nothing: bool


@cache
def finding_names() -> tuple[re.Pattern[str], dict[str, str]]:
    """Pattern over every name and alias, longest first, and name -> finding."""
    known = {alias: finding for finding, aliases in ALIASES.items() for alias in aliases}
    known |= {finding: finding for finding in FINDINGS}
    longest = sorted(known, key=len, reverse=True)
    return lazily(r"\b(?:" + "|".join(map(re.escape, longest)) + r")\b"), known


_SENTENCE = lazily(
    r"the main image (?:has (?:an additional finding|additional findings) of|(?P<missing>is missing the findings? of)) "
    r"(?P<findings>.+) than the reference image"
)
_SEPARATOR = lazily(r", and |, | and ")
_NOTHING: frozenset[str] = frozenset()

_SENTENCES = 1 << 15
"""Sentences remembered: the answers of a test set share them."""


@lru_cache(maxsize=_SENTENCES)
def _sentence(sentence: str) -> tuple[Literal["added", "missing", "nothing"], frozenset[str]] | None:
    """The findings of one sentence without its full stop; None where it is not of the template."""
    if sentence == "nothing has changed":
        return "nothing", _NOTHING
    match = _SENTENCE.fullmatch(sentence)
    if match is None:
        return None
    _, known = finding_names()
    findings = [known.get(name) for name in _SEPARATOR.split(match["findings"])]
    named = frozenset(finding for finding in findings if finding is not None)
    return ("missing" if match["missing"] else "added", named) if None not in findings else None


def template_sides(answer: str) -> TemplateSides | None:
    """The findings of an answer that is made of template sentences alone; None for every other text."""
    added = missing = _NOTHING
    nothing = False
    for sentence in answer.removesuffix(".").split(". "):
        read = _sentence(sentence)
        if read is None:
            return None
        kind, findings = read
        if kind == "added":
            added |= findings
        elif kind == "missing":
            missing |= findings
        else:
            nothing = True
    return TemplateSides(added, missing, nothing and not added and not missing)


def read_template(answer: str) -> Reading | None:
    """The reading of an answer that is made of template sentences alone; None for every other text."""
    sides = template_sides(answer)
    return None if sides is None else Reading(Change(sides.added, sides.missing), nothing=sides.nothing)
