"""The page of an answer: what is drawn, and what is folded in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from intervalchange.data.films import Geometry
from intervalchange.evaluation.metrics.calibration import ABSTAINED
from intervalchange.grammar import NOTHING
from intervalchange.inference import NOT_SURE, Answered, Shown
from intervalchange.records import Change, Prediction
from intervalchange.report.answer import MOST_MAPS, Entry, answer_page

EDEMA = "the main image has an additional finding of edema than the reference image."


def answered(evidence: dict[str, np.ndarray] | None) -> Answered:
    shown = Shown(np.full((32, 32), 90, np.uint8), Geometry(32, 32, 1.0, 0, 0))
    told = Prediction("1", "p", "difference", "what has changed?", "nothing has changed.", evidence=evidence)
    return Answered(told, shown, shown)


def parts_of(document: str) -> str:
    return document.partition("<details>")[2].partition("</details>")[0]


def test_each_part_that_was_used_has_a_map_under_its_name() -> None:
    heat = np.zeros((8, 8))
    heat[2, 5] = 1
    document = answer_page(
        [Entry("t", answered({"change": heat, "region: left lung": heat, "node: edema": heat[::-1]}))]
    )
    parts = parts_of(document)
    assert parts.count("<figure>") == 2 and "region: left lung" in parts and "node: edema" in parts
    one, other = (part.partition("base64,")[2].partition("'")[0] for part in parts.split("<figure>")[1:])
    assert one != other, "each shows its own map"
    assert "Research use only" in document


def test_many_parts_are_counted_not_drawn_and_none_leaves_no_room() -> None:
    maps = {f"added:{number}": np.eye(4) for number in range(MOST_MAPS + 3)}
    parts = parts_of(answer_page([Entry("t", answered(maps))]))
    assert parts.count("<figure>") == MOST_MAPS and "and 3 more" in parts
    assert "<details>" not in answer_page([Entry("t", answered({"change": np.eye(4)}))])
    assert "<details>" not in answer_page([Entry("t", answered(None))])


def test_a_warning_stands_under_the_answer_and_above_the_films() -> None:
    doubtful = answered(None)
    doubtful = replace(doubtful, prediction=replace(doubtful.prediction, warnings=("prior <is> later",)))
    document = answer_page([Entry("t", doubtful)])
    answer, warning, films = (
        document.index(text) for text in ("nothing has changed.", "prior &lt;is&gt; later", "<figure")
    )
    assert answer < warning < films
    assert 'class="warning"' not in answer_page([Entry("t", answered(None))])


def test_an_answer_that_was_abstained_from_is_not_shown() -> None:
    told = "the main image has an additional finding of edema than the reference image."
    unsure = answered({"change": np.eye(4)})
    prediction = replace(
        unsure.prediction,
        answer=told,
        change=Change(frozenset({"edema"})),
        confidence={"answer": 0.1, "added:edema": 0.6},
        warnings=(ABSTAINED, "prior is later"),
    )
    document = answer_page([Entry("t", replace(unsure, prediction=prediction), reference=told)])
    assert NOT_SURE in document and document.count(told) == 1, "the reference alone says it"
    assert "(not answered)" in document and "prior is later" in document and ABSTAINED not in document
    assert "considered, not named" in document and ">named<" not in document
    assert document.count("<figure") == 2, "no map of what is not said"


@pytest.mark.parametrize(
    ("answer", "reference", "verdict"),
    [
        (NOTHING, NOTHING, "(the same)"),
        ("There is a new edema.", EDEMA, "(the same)"),
        ("The edema has resolved.", EDEMA, "(different)"),
        ("I see no change.", NOTHING, "(the same)"),
        ("The weather is fine.", NOTHING, "(different)"),
        ("The edema is worse.", NOTHING, "(different)"),
    ],
)
def test_a_free_answer_is_compared_by_what_it_says(answer: str, reference: str, verdict: str) -> None:
    made = answered(None)
    entry = Entry("t", replace(made, prediction=replace(made.prediction, answer=answer)), reference=reference)
    assert verdict in answer_page([entry])
