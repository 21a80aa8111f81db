"""Multiple choice in the scores: letters in anyone's words, guessing, floors; references as benchmarks publish them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from intervalchange.choices import lettered
from intervalchange.evaluation.answers.reference_table import read_reference
from intervalchange.evaluation.report.table import sections
from intervalchange.evaluation.scoring.score_file import score_predictions
from intervalchange.records import CHOICE, Prediction

QUESTION = lettered("How has the edema changed?", {"A": "worse", "B": "unchanged", "C": "better", "D": "resolved"})
YES_NO = "Has the edema worsened?"


def asked(row: int, question: str, answer: str, reference: str) -> Prediction:
    return Prediction(f"c{row}", f"p{row}", CHOICE, question, answer, reference=reference)


def test_letters_and_yes_are_read_in_anyones_words() -> None:
    cases = [
        asked(0, QUESTION, "The answer is (A).", "A"),
        asked(1, QUESTION, "It is unchanged.", "B"),
        asked(2, QUESTION, "I cannot say.", "C"),
        asked(3, QUESTION, "D", "C"),
        asked(4, YES_NO, "Yes, clearly.", "yes"),
        asked(5, YES_NO, "Yes", "no"),
    ]
    scores = score_predictions(cases, replicates=20)
    metrics = scores.metrics
    assert metrics["kinds.choice.accuracy"] == 3 / 6 and metrics["kinds.choice.count"] == 6
    assert metrics["kinds.choice.read.rate"] == 5 / 6
    assert metrics["kinds.choice.chance.accuracy"] == pytest.approx((4 / 4 + 2 / 2) / 6)
    rows = dict(next(section for section in sections([scores], {}) if section.key == "kinds").rows)
    assert rows["choice"][0].startswith("0.500 [") and rows["choice, guessed"] == ("0.333",)
    assert rows["choice, names an option"] == ("0.833",)
    assert metrics["floors.other_patient.kinds.choice.accuracy"] is not None


def test_rows_with_options_are_references(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    films = {f"T{visit}": f"files/p20/p20000001/s6000000{visit}/a.jpg" for visit in (1, 2)}
    rows = [
        {"q_id": 0, "question": "Which?", "choices": {"A": "worse", "B": "better"}, "answer": "B", "images": films},
        {"q_id": 1, "question": "Which?", "choices": {"A": "worse", "B": "better"}, "answer": "A", "images": films},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read_reference(path)
    assert [(case.case_id, case.patient_id, case.reference) for case in table.cases] == [
        ("0", "20000001", "B"),
        ("1", "20000001", "A"),
    ]
    assert {case.kind for case in table.cases} == {CHOICE}
    assert table.cases[0].question == "Which?\nA. worse\nB. better" and not table.notes
