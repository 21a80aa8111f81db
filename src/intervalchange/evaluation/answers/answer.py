"""Answers to the other question kinds: normalised match, list items, open and closed questions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from intervalchange.evaluation.metrics.statistics import Array, Counts, f_measure, ratio

_LIST = re.compile(r"\s*(?:[,;]|\band\b)\s*")
_EDGES = " \t\r\n.,;:?!\"'"


@lru_cache(maxsize=1 << 16)
def normalise(answer: str) -> str:
    """Lower case, single blanks, no marks at the ends, "plate - like" joined.

    >>> normalise(" PA view. ")
    'pa view'
    """
    text = re.sub(r"\s+", " ", answer.lower())
    text = re.sub(r"(?<=[a-z]) - (?=[a-z])", "-", text)
    return re.sub(r" (?=[,.;:?!])", "", text).strip(_EDGES)


@lru_cache(maxsize=1 << 16)
def items(answer: str) -> frozenset[str]:
    """The items of a listed answer; an answer that lists nothing is one item."""
    return frozenset(piece.strip(_EDGES) for piece in _LIST.split(normalise(answer)) if piece.strip(_EDGES))


def closed(reference: str) -> bool:
    """A yes/no question, by its reference."""
    return normalise(reference) in {"yes", "no"}


def tally(answers: Sequence[str], references: Sequence[str], kinds: Sequence[str], names: Sequence[str]) -> Counts:
    """Counts per answer, (n, k) over the kinds in `names` where they depend on the kind."""
    place = {name: column for column, name in enumerate(names)}
    columns = np.array([place[kind] for kind in kinds], dtype=np.intp)
    pairs = [(items(one), items(two)) for one, two in zip(answers, references, strict=True)]
    correct = np.array([one == two for one, two in pairs], float)
    yes_no = np.array([closed(reference) for reference in references], float)
    member = np.zeros((len(pairs), len(names)))
    member[np.arange(len(pairs)), columns] = 1
    return {
        "kind_cases": member,
        "kind_correct": member * correct[:, None],
        "kind_right": member * np.array([[len(one & two)] for one, two in pairs], float).reshape(-1, 1),
        "kind_predicted": member * np.array([[len(one)] for one, _ in pairs], float).reshape(-1, 1),
        "kind_reference": member * np.array([[len(two)] for _, two in pairs], float).reshape(-1, 1),
        "closed": yes_no,
        "closed_correct": yes_no * correct,
        "open": 1 - yes_no,
        "open_correct": (1 - yes_no) * correct,
    }


def measures(sums: Counts, names: Sequence[str]) -> dict[str, Array]:
    """Accuracy and list F1 of each kind, over closed and open questions, and the mean over kinds."""
    accuracy = ratio(sums["kind_correct"], sums["kind_cases"])
    lists = f_measure(sums["kind_right"], sums["kind_predicted"], sums["kind_reference"])
    found: dict[str, Array] = {}
    for column, name in enumerate(names):
        found[f"{name}.accuracy"] = accuracy[..., column]
        found[f"{name}.set.f1"] = lists[..., column]
    for name in ("closed", "open"):
        found[f"{name}.accuracy"] = ratio(sums[f"{name}_correct"], sums[name])
    present = sums["kind_cases"] > 0
    found["macro.accuracy"] = ratio(np.where(present, accuracy, 0.0).sum(-1), present.sum(-1))
    return found
