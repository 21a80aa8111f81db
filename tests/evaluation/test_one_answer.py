"""The score of one answer is what `score` says of a file that holds nothing else."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from intervalchange.evaluation.metrics import change
from intervalchange.evaluation.metrics.one_answer import ItemCounts, score_answer
from intervalchange.evaluation.scoring.score_file import score_predictions
from intervalchange.findings import FINDINGS, RANKED_LEVELS
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING, render
from intervalchange.records import Change, Prediction

EDEMA = "the main image has an additional finding of edema than the reference image."
NO_EDEMA = "the main image is missing the finding of edema than the reference image."


def template_answers(count: int, seed: int) -> list[str]:
    """Sentences of the template with up to four findings and a level; some with a clause that cannot be read."""
    uniforms = random.Random(seed)
    levels = [level for level in RANKED_LEVELS if " to " not in level]
    answers = []
    for number in range(count):
        named = uniforms.sample(FINDINGS, uniforms.randint(0, 4))
        cut = uniforms.randint(0, len(named))
        graded = [(named.pop(), *uniforms.sample(levels, 2))] if len(named) > 2 and number % 2 else []
        unread = " the main image has an additional finding of wombats." if number % 7 == 3 else ""
        answers.append(render(Change.of(named[:cut], named[cut:], graded)) + unread)
    return answers


def assert_as_score_says(answers: list[str], references: list[str], questions: list[str] | None) -> None:
    """Each answer has the counts that it has in a file."""
    counts = change.tally(answers, references, None, questions)
    asked = questions or [DIFFERENCE_QUESTION] * len(answers)
    for row, texts in enumerate(zip(answers, references, asked, strict=True)):
        score = score_answer(*texts)
        for items, scope in ((score.items, ""), (score.findings, "findings_")):
            of_file = tuple(int(counts[f"{scope}{part}"][row]) for part in change.PARTS)
            assert (items.right, items.predicted, items.reference) == of_file, texts
        assert score.exact == bool(counts["exact"][row]), texts


def test_template_answers_score_as_in_a_file() -> None:
    answers, references = template_answers(400, 0), template_answers(400, 1)
    assert_as_score_says(answers + answers, references + answers, None)


def test_free_answers_score_as_in_a_file(shared: Path) -> None:
    lines = (shared / "data" / "free_answers" / "open.jsonl").read_text(encoding="utf-8").splitlines()
    known = [json.loads(line) for line in lines]
    free = [plain for plain in known if not change.of_template(plain["answer"])]
    answers, questions = [plain["answer"] for plain in free], [plain["question"] for plain in free]
    rendered = [render(Change.of(plain["added"], plain["missing"])) for plain in free]
    assert_as_score_says(answers, rendered[1:] + rendered[:1], questions)
    assert_as_score_says(answers, answers[1:] + answers[:1], questions)
    assert_as_score_says(answers, answers, questions)


@pytest.mark.parametrize(("answer", "reference"), [(f"{EDEMA} wombats.", EDEMA), ("New edema; effusion gone.", EDEMA)])
def test_a_file_of_one(answer: str, reference: str) -> None:
    case = Prediction("1", "1", "difference", DIFFERENCE_QUESTION, answer, reference=reference)
    metrics, score = score_predictions([case], replicates=1).metrics, score_answer(answer, reference)
    assert score.items.f1 == pytest.approx(metrics["change.micro.f1"], abs=1e-12) == pytest.approx(2 / 3)
    assert score.findings.f1 == pytest.approx(metrics["change.findings.micro.f1"], abs=1e-12)


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        (EDEMA, EDEMA, 1.0),
        (NO_EDEMA, EDEMA, 0.0),
        (NOTHING, EDEMA, 0.0),
        (NOTHING, NOTHING, 1.0),
        (EDEMA, NOTHING, 0.0),
        ("wombats", NOTHING, 0.0),
        ("I cannot compare these images.", NOTHING, 0.0),
        ("New edema. The effusion has resolved.", EDEMA, 2 / 3),
        ("The edema is worse.", "The edema is worse.", 1.0),
        ("The edema is better.", "The edema is worse.", 0.0),
    ],
)
def test_one_number(answer: str, reference: str, value: float) -> None:
    assert score_answer(answer, reference, DIFFERENCE_QUESTION).value == pytest.approx(value)


def test_an_inverted_finding_costs_more_than_one_left_out() -> None:
    both = "the main image has additional findings of edema, and pneumothorax than the reference image."
    left_out = score_answer(EDEMA, both).value
    inverted = score_answer(
        f"{EDEMA} the main image is missing the finding of pneumothorax than the reference image.", both
    ).value
    assert inverted == pytest.approx(1 / 2) and left_out == pytest.approx(2 / 3)


def test_no_item_on_either_side() -> None:
    assert not ItemCounts(0, 0, 0).any and ItemCounts(0, 0, 0).f1 == 0 and ItemCounts(1, 1, 3).f1 == 0.5
