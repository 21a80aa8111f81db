"""The pairs of films that the suite asks about, and the questions: pairs as they are, moved, exchanged, of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from intervalchange.data.prepared import Prepared
from intervalchange.data.transforms import Affine
from intervalchange.errors import ConfigError
from intervalchange.evaluation.metrics import change
from intervalchange.evaluation.metrics.consistency import moves
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.records import Case

Item = TypeVar("Item")

MISPLACED = 0.02
"""Shift across and down, as a share of the side."""
TURNED = 2.0
"""Degrees."""


@dataclass(frozen=True)
class ShownFilm:
    """One film as it is shown: a row of the pixel store, perhaps moved; row -1 is a blank film."""

    row: int
    motion: Affine | None = None


BLANK = ShownFilm(-1)


@dataclass(frozen=True)
class Question:
    """One question about two films."""

    prior: ShownFilm
    current: ShownFilm
    words: str = DIFFERENCE_QUESTION


@dataclass(frozen=True)
class Pair:
    """A difference case of the prepared folder."""

    case: Case
    prior: int
    current: int
    """Rows of the pixel store."""

    @property
    def given(self) -> Question:
        """The question about the pair as it is."""
        return Question(ShownFilm(self.prior), ShownFilm(self.current))


def pairs_of(prepared: Prepared, split: str) -> list[Pair]:
    """The cases with a prior that ask the general difference question. Raises ConfigError where there are none."""
    rows = prepared.case_rows(split, ("difference",))
    table, pixel_rows = prepared.cases.iloc[rows], prepared.studies["row"].to_numpy()
    pairs = [
        Pair(case, int(pixel_rows[prior]), int(pixel_rows[current]))
        for case, prior, current in zip(
            prepared.case_records(split, ("difference",)), table["prior"], table["current"], strict=True
        )
        if prior >= 0 and case.question == DIFFERENCE_QUESTION
    ]
    if not pairs:
        raise ConfigError(
            f"split '{split}' holds no pair with the general difference question.",
            where=prepared.folder,
            remedy="Choose another split, or prepare a source with pairs.",
        )
    return pairs


def triangles_of(pairs: Sequence[Pair]) -> list[tuple[Pair, Pair]]:
    """Pairs of pairs that share the middle film: visits 1, 2 and 2, 3 of one patient."""
    later: dict[int, list[Pair]] = {}
    for pair in pairs:
        later.setdefault(pair.prior, []).append(pair)
    return [
        (first, second) for first in pairs for second in later.get(first.current, []) if second.current != first.prior
    ]


def spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """At most `limit` of them, evenly over the list."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, limit).round().astype(int)]


def motion(index: int) -> Affine:
    """By MISPLACED and TURNED, with the four combinations of signs in turn."""
    across, turn = (1, -1)[index % 2], (1, -1)[index // 2 % 2]
    return Affine(degrees=TURNED * turn, shift_x=MISPLACED * across, shift_y=MISPLACED * turn)


def other_pairs(pairs: Sequence[Pair]) -> list[Pair | None]:
    """For each pair one of another patient with another reference change, half-way round the list.

    With the same reference change, a right answer would not move.
    """
    references = [moves(change.read_any(pair.case.answer).change) for pair in pairs]
    count = len(pairs)

    def other(index: int) -> Pair | None:
        for step in range(count):
            candidate = (index + count // 2 + step) % count
            same_patient = pairs[candidate].case.patient_id == pairs[index].case.patient_id
            if not same_patient and references[candidate] != references[index]:
                return pairs[candidate]
        return None

    return [other(index) for index in range(count)]
