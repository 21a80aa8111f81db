"""The answers a reader should look at first: what is wrong with each, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from intervalchange.evaluation.metrics.calibration import ABSTAINED
from intervalchange.evaluation.metrics.change import read_any
from intervalchange.records import Change, Prediction


class CaseSource(Protocol):
    """A folder of cases, read one at a time: `data.case_films.CaseFilms`."""

    def films(self, case_id: str) -> tuple[np.ndarray | None, np.ndarray] | None:
        """(prior or None, current), (s, s) uint8; None where the case is not known."""

    def with_facts(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """The answers with the facts of their cases, where their line has none."""


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What differs between an answer and its reference. Findings in alphabetical order."""

    opposite: tuple[str, ...]
    """Findings predicted to have come that went, or the other way round."""
    invented: tuple[str, ...]
    missed: tuple[str, ...]
    """Each as "added edema"."""
    levels: tuple[str, ...]
    unread: tuple[str, ...]
    """Clauses; an answer that says neither what changed nor that nothing did has one."""

    @property
    def count(self) -> int:
        """Wrong items: an opposite direction is two, the wrong one predicted and the right one missed."""
        return 2 * len(self.opposite) + len((*self.invented, *self.missed, *self.levels, *self.unread))

    def in_words(self) -> list[str]:
        """One sentence per kind of mistake, worst first."""
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
    reading = read_any(answer)
    predicted, target = reading.change, read_any(reference).change
    opposite = (predicted.added & target.missing) | (predicted.missing & target.added)
    return Mistakes(
        tuple(
            f"{finding} (said {_way(predicted, finding)}, was {_way(target, finding)})" for finding in sorted(opposite)
        ),
        _only(predicted, target, opposite),
        _only(target, predicted, opposite),
        _levels(predicted, target),
        tuple(reading.unread),
    )


def _way(change: Change, finding: str) -> str:
    return "added" if finding in change.added else "missing"


def _only(first: Change, second: Change, opposite: frozenset[str]) -> tuple[str, ...]:
    """Added and missing findings of the first that the second does not name."""
    added = [f"added {finding}" for finding in sorted(first.added - second.added - opposite)]
    return tuple(added + [f"missing {finding}" for finding in sorted(first.missing - second.missing - opposite)])


def _levels(predicted: Change, target: Change) -> tuple[str, ...]:
    named, was = (
        {level.finding: f"{level.prior} to {level.current}" for level in change.levels}
        for change in (predicted, target)
    )
    return tuple(
        f"{finding} (said {named.get(finding, 'nothing')}, was {was.get(finding, 'the same')})"
        for finding in sorted(named.keys() | was.keys())
        if named.get(finding) != was.get(finding)
    )


@dataclass(frozen=True, slots=True)
class WorstCase:
    """An answer with its reference and what is wrong."""

    prediction: Prediction
    reference: str
    mistakes: Mistakes


def worst_cases(predictions: Sequence[Prediction], references: Sequence[str], limit: int = 6) -> list[WorstCase]:
    """At most `limit` wrong answers, one per patient.

    Wrong directions first, then the number of wrong items, then the confidence of the answer; answers that were
    abstained from come last. Ties keep the order of the file.
    """
    compared: dict[tuple[str, str], Mistakes] = {}
    ranked = []
    for prediction, reference in zip(predictions, references, strict=True):
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
    confidence = (case.prediction.confidence or {}).get("answer", 0.0)
    answered = ABSTAINED not in case.prediction.warnings
    return answered, len(case.mistakes.opposite), case.mistakes.count, float(confidence)
