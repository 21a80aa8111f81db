"""Words and evidence of set_difference: answers of a case, questions about the current film, attribution maps.

f findings, g grid.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from intervalchange.findings import ALIASES, FINDINGS
from intervalchange.methods.set_difference.deciding import level_word
from intervalchange.records import Change

_FILM_NOUN = r"\b(?:image|film|study|radiograph|x-ray)\b"


@dataclass(frozen=True)
class CaseAnswer:
    """The answer of one case."""

    text: str
    confidence: dict[str, float]
    change: Change | None = None
    """None for a question about one film."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FilmFindings:
    """The findings of the current film of one case."""

    probability: np.ndarray
    """(f,) of presence."""
    present: np.ndarray
    """(f,) bool: above the threshold."""
    rank: np.ndarray
    """(f,) most probable rank of severity, from 0."""
    maps: np.ndarray | None
    """(f, g, g) in [0, 1], where each finding is; None where no location is asked for."""

    def answer(self, kind: str, question: str) -> CaseAnswer:
        """Answers abnormality, presence, level and location; other kinds get an empty answer and a warning."""
        question = question.lower()
        if kind == "abnormality":
            return self._abnormality(question)
        named = [index for index, finding in enumerate(FINDINGS) if _mentions(question, finding)]
        if named and kind == "presence":
            return _yes_or_no(self.present[named], self.probability[named])
        if named and kind == "level":
            return self._about(named[0], level_word(FINDINGS[named[0]], self.rank[named[0]]))
        if named and kind == "location" and self.maps is not None:
            noun = "side" if "left side or right side" in question else "area"
            return self._about(named[0], f"{_side(self.maps[named[0]])} {noun}")
        return CaseAnswer("", {"answer": 0.0}, warnings=(f"set_difference does not answer this {kind} question",))

    def _abnormality(self, question: str) -> CaseAnswer:
        """Whether there is any finding, or which: without one above its threshold, the most probable."""
        if question.startswith("is there"):
            return _yes_or_no(self.present, self.probability)
        listed = np.flatnonzero(self.present) if self.present.any() else np.array([self.probability.argmax()])
        names = ", ".join(FINDINGS[index] for index in listed)
        return CaseAnswer(names, {"answer": float(self.probability[listed].min())})

    def _about(self, index: int, text: str) -> CaseAnswer:
        return CaseAnswer(text, {"answer": float(self.probability[index])})


def _mentions(question: str, finding: str) -> bool:
    return any(f" {name}" in question for name in (finding, *ALIASES[finding]))


def _yes_or_no(present: np.ndarray, probability: np.ndarray) -> CaseAnswer:
    """Whether any of these findings is present."""
    highest = float(probability.max())
    return CaseAnswer("yes", {"answer": highest}) if present.any() else CaseAnswer("no", {"answer": 1 - highest})


def _side(attribution: np.ndarray) -> str:
    """The patient's side of a (g, g) map: the patient's left is on the right of the film."""
    half = attribution.shape[1] // 2
    left, right = attribution[:, half:].max(), attribution[:, :half].max()
    return "bilateral" if min(left, right) > 0.8 * max(left, right) else ("left" if left > right else "right")


def evidence_of(change: Change | None, maps: Mapping[str, np.ndarray], row: int) -> dict[str, np.ndarray]:
    """The (g, g) attribution map of each finding that changed, and their maximum as `change`; empty without a change.

    maps: (b, f, g, g) by way: current, prior, added, missing.
    """
    if not change:
        return {}

    def map_of(way: str, finding: str) -> np.ndarray:
        found: np.ndarray = maps[way][row, FINDINGS.index(finding)]
        return found

    attribution = {finding: map_of("added", finding) for finding in sorted(change.added)}
    attribution |= {finding: map_of("missing", finding) for finding in sorted(change.missing)}
    for name in sorted(level.finding for level in change.levels):
        attribution[name] = np.maximum(map_of("current", name), map_of("prior", name))
    return attribution | {"change": np.max(list(attribution.values()), axis=0)}


def ignored_of_difference(question: str) -> tuple[str, ...]:
    """What a difference question asks for that the answer does not respect: it names every change of the film."""
    question = question.lower()
    findings = [finding for finding in FINDINGS if _mentions(question, finding)]
    location = re.search(r"\bin (?:the )?([a-z -]+?)(?: area| zone| region)?\s*\?", question)
    named = [*findings, *([location.group(1)] if location and not re.search(_FILM_NOUN, location.group(1)) else [])]
    return tuple(f"the answer is about all changes, not {name} alone" for name in named)
