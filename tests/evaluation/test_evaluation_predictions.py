"""Predictions files: joined by key, resumed after a cut, refused with the line that is wrong."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intervalchange.errors import SourceError
from intervalchange.evaluation.answers.predictions import (
    PredictionWriter,
    Provenance,
    read_predictions,
    write_predictions,
)
from intervalchange.records import CONDITIONS, Change, Prediction

PROVENANCE = Provenance("run", "manifest", "simulated", "test", "hash", True, {"q?": {"yes": 3, "no": 1}}, {"seed": 4})


def answer(case_id: str, text: str = "nothing has changed.", **more: object) -> Prediction:
    return Prediction(case_id, f"p{case_id}", "difference", "what has changed?", text, **more)  # type: ignore[arg-type]


FULL = answer(
    "1",
    "the main image has an additional finding of edema than the reference image.",
    condition="swap",
    reference="nothing has changed.",
    change=Change.of(["edema"], [], [("pneumothorax", "small", "severe")]),
    confidence={"answer": 0.25, "added:edema": 1.0},
    warnings=("low contrast",),
    tags=("same_state",),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [answer("1"), FULL, answer("ü/2")], PROVENANCE)
    provenance, predictions = read_predictions(path)
    assert provenance == PROVENANCE
    assert predictions == [answer("1"), FULL, answer("ü/2")]


def test_provenance_is_optional(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [answer("1")])
    assert read_predictions(path) == (None, [answer("1")])


@given(st.integers(0, 400))
def test_a_cut_anywhere_is_resumed(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "predictions.jsonl"
    wanted = [answer(str(number), condition=condition) for number in range(3) for condition in CONDITIONS]
    write_predictions(path, wanted, PROVENANCE)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut * 3)])
    with PredictionWriter(path, PROVENANCE) as writer:
        writer.write(*(item for item in wanted if (item.case_id, item.condition) not in writer.done))
    assert path.read_bytes() == whole


def test_another_run_does_not_go_on(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [answer("1")], PROVENANCE)
    with pytest.raises(SourceError, match="another run"), PredictionWriter(path, Provenance("other", "manifest")):
        pass


@pytest.mark.parametrize(
    "content", ["my notes", '{"a": 1}', "\x00\n", "case_id,answer\n1,none", '{"case_id": "1"}\n{"case']
)
def test_a_file_of_somebody_else_is_refused_and_left_as_it_is(content: str, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match="line 1"), PredictionWriter(path, PROVENANCE):
        pass
    assert path.read_text(encoding="utf-8") == content


def test_an_answered_key_is_refused(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path / "p.jsonl") as writer:
        writer.write(answer("1"), answer("1", condition="blank"))
        with pytest.raises(SourceError, match="already answered"):
            writer.write(answer("1"))


GOOD = {"case_id": "1", "patient_id": "2", "kind": "difference", "question": "q", "answer": "a"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{not json", "not valid JSON"),
        ("[1]", "must be a JSON object"),
        (json.dumps({"case_id": "1", "answer": "a"}), "patient_id, kind, question must be given"),
        (json.dumps({**GOOD, "answer": 3}), "answer must be text"),
        (json.dumps({**GOOD, "answer": None}), "the field answer must be given"),
        (json.dumps({**GOOD, "condition": "upside down"}), "unknown condition"),
        (json.dumps({**GOOD, "change": {"added": []}}), "another shape"),
        (json.dumps({**GOOD, "confidence": {"answer": 2}}), "probabilities"),
        (json.dumps({**GOOD, "case_id": "0"}), "already answered in line 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text("\n".join([json.dumps({**GOOD, "case_id": "0"}), "", line, ""]))
    with pytest.raises(SourceError, match=said) as caught:
        read_predictions(path)
    assert f"{path}, line 3" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot be read"):
        read_predictions(tmp_path / "none.jsonl")


def test_ids_may_be_numbers_and_order_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    lines = [json.dumps({**GOOD, "case_id": number, "patient_id": number}) for number in range(9)]
    random.Random(0).shuffle(lines)
    path.write_text("\n".join(lines))
    assert {prediction.case_id for prediction in read_predictions(path)[1]} == {str(number) for number in range(9)}
