"""Answers to the other question kinds: normalised match, list items, open and closed questions, choices.

Of a choice the letter counts that the answer means (`choices.chosen`), in anyone's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from intervalchange.choices import YES_NO, chosen, options_of
from intervalchange.evaluation.metrics.statistics import Array, Counts, f_measure, ratio
from intervalchange.records import ALL_KINDS, CHOICE

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


def in_order(kinds: Sequence[str]) -> list[str]:
    """The different kinds, in the order of `ALL_KINDS`; unknown ones last, by the alphabet."""
    rank = {kind: index for index, kind in enumerate(ALL_KINDS)}
    return sorted(set(kinds), key=lambda kind: (rank.get(kind, len(rank)), kind))


def _sides(answer: str, reference: str, kind: str, question: str) -> tuple[frozenset[str], frozenset[str]]:
    """What is compared: the items of both, or the letters that both mean."""
    if kind != CHOICE:
        return items(answer), items(reference)
    ours, right = chosen(answer, question), chosen(reference, question)
    return frozenset((ours,) if ours else ()), frozenset((right or reference,))


def tally(
    answers: Sequence[str],
    references: Sequence[str],
    kinds: Sequence[str],
    names: Sequence[str],
    questions: Sequence[str] | None = None,
) -> Counts:
    """Counts per answer, (n, k) over the kinds in `names` where they depend on the kind. questions: for choices."""
    questions = questions or [""] * len(answers)
    column_of = {name: column for column, name in enumerate(names)}
    columns = np.array([column_of[kind] for kind in kinds], dtype=np.intp)
    pairs = [_sides(*row) for row in zip(answers, references, kinds, questions, strict=True)]
    correct = np.array([predicted == reference for predicted, reference in pairs], float)
    yes_no = np.array([closed(reference) for reference in references], float)
    member = np.zeros((len(pairs), len(names)))
    member[np.arange(len(pairs)), columns] = 1
    return {
        "kind_cases": member,
        "kind_correct": member * correct[:, None],
        "kind_right": member
        * np.array([[len(predicted & reference)] for predicted, reference in pairs], float).reshape(-1, 1),
        "kind_predicted": member * np.array([[len(predicted)] for predicted, _ in pairs], float).reshape(-1, 1),
        "kind_reference": member * np.array([[len(reference)] for _, reference in pairs], float).reshape(-1, 1),
        "closed": yes_no,
        "closed_correct": yes_no * correct,
        "open": 1 - yes_no,
        "open_correct": (1 - yes_no) * correct,
    }


def choice_facts(answers: Sequence[str], questions: Sequence[str]) -> dict[str, float]:
    """Of questions with a choice: the share of answers that name an option, and the accuracy of guessing."""
    read = [bool(chosen(answer, question)) for answer, question in zip(answers, questions, strict=True)]
    options = [len(options_of(question)) or len(YES_NO) for question in questions]
    return {"read.rate": float(np.mean(read)), "chance.accuracy": float(np.mean([1 / count for count in options]))}


def measures(sums: Counts, names: Sequence[str]) -> dict[str, Array]:
    """Accuracy and list F1 of each kind, over closed and open questions, and the mean over kinds."""
    accuracy = ratio(sums["kind_correct"], sums["kind_cases"])
    lists = f_measure(sums["kind_right"], sums["kind_predicted"], sums["kind_reference"])
    measured: dict[str, Array] = {}
    for column, name in enumerate(names):
        measured[f"{name}.accuracy"] = accuracy[..., column]
        measured[f"{name}.set.f1"] = lists[..., column]
    for name in ("closed", "open"):
        measured[f"{name}.accuracy"] = ratio(sums[f"{name}_correct"], sums[name])
    present = sums["kind_cases"] > 0
    measured["macro.accuracy"] = ratio(np.where(present, accuracy, 0.0).sum(-1), present.sum(-1))
    return measured
