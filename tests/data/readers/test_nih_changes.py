"""Which label changes of NIH last: counts by hand, the rule, and the answers that it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from intervalchange.data.readers.cases import OTHER_LABELS_CHANGED, change_case
from intervalchange.data.readers.nih_changes import LASTING, Triples, in_order, lasts, only_lasting, triples
from intervalchange.grammar import NOTHING, render
from intervalchange.records import Change, Study

RESULT = Path(__file__).parents[3] / "benchmarks" / "results" / "label_changes.json"


def series(states: str, age: float = 50.0, step: float = 0.0) -> list[Study]:
    """One film per character: 1 the finding, 0 not."""
    return [
        Study(
            f"s{order}", f"{order}.png", "PA", order=float(order), age=age + step * order, findings={"edema": float(s)}
        )
        for order, s in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "went_away", "lasted"),
    [("010", 1, 0), ("011", 0, 1), ("100", 0, 1), ("000", 0, 0), ("0101", 2, 0), ("00110", 0, 1), ("01", 0, 0)],
)
def test_counts_by_hand(states: str, went_away: int, lasted: int) -> None:
    assert triples(series(states), "edema") == Triples(went_away, lasted)


def test_films_far_apart_are_no_neighbours() -> None:
    assert triples(series("010", step=0.5), "edema") == Triples(1, 0)
    assert triples(series("010", step=0.6), "edema") == Triples()
    assert in_order(series("010", step=-1.0)) == []
    assert [film.order for film in in_order(series("010")[::-1])] == [0, 1, 2]


def test_labels_drawn_anew_go_away_half_the_time() -> None:
    """Of the rule's own claim: whatever the probability."""
    import numpy as np

    for share in (0.1, 0.5, 0.8):
        drawn = (np.random.default_rng(1).random(20_000) < share).astype(int)
        found = triples(series("".join(map(str, drawn))), "edema")
        assert found.went_away / (found.went_away + found.lasted) == pytest.approx(0.5, abs=0.03)


def test_the_rule_and_what_it_keeps() -> None:
    assert lasts(0.499) and not lasts(0.5)
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    assert tuple(result["lasting"]) == LASTING
    assert tuple(name for name, row in result["labels"].items() if row.get("away.high", 1) < 0.5) == LASTING
    assert "infiltration" not in LASTING


def pair(prior: set[str], current: set[str]) -> tuple[Study, Study]:
    names = ("pleural effusion", "edema", "infiltration")
    films = [{name: float(name in shown) for name in names} for shown in (prior, current)]
    first, second = (Study(f"s{n}", f"{n}.png", "PA", order=float(n), findings=each) for n, each in enumerate(films))
    return first, second


@pytest.mark.parametrize(
    ("prior", "current", "answer", "tagged"),
    [
        ({"edema"}, {"pleural effusion"}, render(Change.of(added=["pleural effusion"])), True),
        ({"edema"}, set(), "", True),
        ({"pleural effusion"}, set(), render(Change.of(missing=["pleural effusion"])), False),
        ({"edema"}, {"edema"}, NOTHING, False),
        (set(), {"infiltration"}, "", True),
    ],
)
def test_an_answer_names_only_what_lasts(prior: set[str], current: set[str], answer: str, tagged: bool) -> None:
    case = only_lasting(change_case(*pair(prior, current), "1"), LASTING)
    assert case.answer == answer
    assert (OTHER_LABELS_CHANGED in case.tags) is tagged
    assert case.current.findings["edema"] == float("edema" in current), "the labels of the film stay"
