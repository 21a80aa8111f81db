"""The answers a reader should look at first: what is wrong with each, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from intervalchange.evaluation.metrics.calibration import ABSTAINED
from intervalchange.evaluation.metrics.change import read
from intervalchange.records import Change, LevelChange, Prediction


class CaseSource(Protocol):
    """A folder of cases, asked for one at a time: `data.case_films.CaseFilms`."""

    def films(self, case_id: str) -> tuple[np.ndarray | None, np.ndarray] | None:
        """(prior or None, current), (s, s) uint8; None where the case is not known."""

    def with_facts(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """The answers with the facts of their cases, where their line has none."""


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What differs between an answer and its reference. Findings in alphabetical order."""

    opposite: tuple[str, ...]
    """Findings said to have come that went, or the other way round."""
    invented: tuple[str, ...]
    missed: tuple[str, ...]
    """Each as "added edema"."""
    levels: tuple[str, ...]
    unread: tuple[str, ...]
    """Clauses; an answer that says neither what changed nor that nothing did has one."""

    @property
    def count(self) -> int:
        """Wrong items: an opposite direction is two, the wrong one said and the right one missed."""
        return 2 * len(self.opposite) + len((*self.invented, *self.missed, *self.levels, *self.unread))

    def in_words(self) -> list[str]:
        """One sentence a kind of mistake, worst first."""
        groups = (
            ("wrong direction", self.opposite),
            ("said, not so", self.invented),
            ("missed", self.missed),
            ("level", self.levels),
            ("not understood", tuple(f"“{clause}”" for clause in self.unread)),
        )
        return [f"{name}: {', '.join(items)}" for name, items in groups if items]


def mistakes(answer: str, reference: str) -> Mistakes:
    """Compare an answer with its reference by meaning."""
    reading = read(answer)
    said, true = reading.change, read(reference).change
    opposite = (said.added & true.missing) | (said.missing & true.added)
    return Mistakes(
        tuple(f"{finding} (said {_way(said, finding)}, was {_way(true, finding)})" for finding in sorted(opposite)),
        _only(said, true, opposite),
        _only(true, said, opposite),
        _levels(said, true),
        tuple(reading.unread),
    )


def _way(change: Change, finding: str) -> str:
    return "added" if finding in change.added else "missing"


def _only(one: Change, other: Change, opposite: frozenset[str]) -> tuple[str, ...]:
    """Added and missing findings of the first that the second does not name."""
    added = [f"added {finding}" for finding in sorted(one.added - other.added - opposite)]
    return tuple(added + [f"missing {finding}" for finding in sorted(one.missing - other.missing - opposite)])


def _levels(said: Change, true: Change) -> tuple[str, ...]:
    def told(levels: frozenset[LevelChange]) -> dict[str, str]:
        return {level.finding: f"{level.prior} to {level.current}" for level in levels}

    spoken, actual = told(said.levels), told(true.levels)
    return tuple(
        f"{finding} (said {spoken.get(finding, 'nothing')}, was {actual.get(finding, 'the same')})"
        for finding in sorted(spoken.keys() | actual.keys())
        if spoken.get(finding) != actual.get(finding)
    )


@dataclass(frozen=True, slots=True)
class WorstCase:
    """An answer with its reference and what is wrong."""

    prediction: Prediction
    reference: str
    mistakes: Mistakes


def worst_cases(asked: Sequence[Prediction], references: Sequence[str], limit: int = 6) -> list[WorstCase]:
    """At most `limit` wrong answers, one a patient.

    Wrong directions first, then the number of wrong items, then how sure the answer was; answers that were abstained
    from come last. Ties keep the order of the file.
    """
    compared: dict[tuple[str, str], Mistakes] = {}
    ranked = []
    for prediction, reference in zip(asked, references, strict=True):
        pair = (prediction.answer, reference)
        if pair not in compared:
            compared[pair] = mistakes(*pair)
        if compared[pair].count:
            ranked.append(WorstCase(prediction, reference, compared[pair]))
    ranked.sort(key=_badness, reverse=True)
    chosen: dict[str, WorstCase] = {}
    for case in ranked:
        if len(chosen) == limit:
            break
        chosen.setdefault(case.prediction.patient_id, case)
    return list(chosen.values())


def _badness(case: WorstCase) -> tuple[bool, int, int, float]:
    sure = (case.prediction.confidence or {}).get("answer", 0.0)
    given = ABSTAINED not in case.prediction.warnings
    return given, len(case.mistakes.opposite), case.mistakes.count, float(sure)
