"""Free answers of sixteen styles and what they claim; template answers as the grammar reads them."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import intervalchange as ic
from intervalchange.answers import COURSES, Answer, Course, read_answer
from intervalchange.findings import FINDINGS, RANKED_LEVELS
from intervalchange.grammar import parse, render
from intervalchange.records import Change, LevelChange

sys.path.insert(0, str(Path(__file__).resolve().parent))
from further_wordings import FURTHER
from third_wordings import FOURTH, MISREAD_STILL, THIRD
from wordings import WORDINGS

SHARED = Path(os.environ.get("INTERVALCHANGE_SHARED", Path(__file__).parents[3] / "shared"))
OPEN_HALF = SHARED / "data" / "free_answers" / "open.jsonl"
SIGNS = {"+": "added", "-": "missing", ">": "worse", "<": "better", "=": "stable"}
MISREAD = {
    ("reasoning then answer", 3): "an unclosed thought is no answer: nothing is read, and nothing is claimed",
    ("damaged template", 10): "the list is lost: nothing is read, and nothing is claimed",
}
"""Own wordings that stay unread, rightly."""


@dataclasses.dataclass(frozen=True)
class Gold:
    """What an answer claims."""

    courses: frozenset[tuple[str, str]]
    levels: frozenset[LevelChange]
    unsure: frozenset[str]
    nothing: bool
    abstains: bool

    @classmethod
    def of(cls, text: str) -> Gold:
        """From the shorthand of `wordings`."""
        parts = [part.strip() for part in text.split(",") if part.strip()]
        levels = {
            LevelChange(finding, *(level.strip() for level in change.split(">")))
            for finding, _, change in (part.partition(": ") for part in parts if ": " in part)
        }
        courses = {(SIGNS[part[0]], part[1:]) for part in parts if part[0] in SIGNS and ": " not in part}
        unsure = {part[1:] for part in parts if part[0] == "?"}
        return cls(frozenset(courses), frozenset(levels), frozenset(unsure), "nothing" in parts, "abstains" in parts)


def claims(answer: Answer) -> Gold:
    return Gold(answer.change.courses, answer.change.levels, answer.unsure, answer.nothing, answer.abstains)


def rows(styles: dict[str, tuple[tuple[str, str], ...]]) -> list[pytest.param]:
    return [
        pytest.param(gold, answer, id=f"{style} {number}")
        for style, answers in styles.items()
        for number, (gold, answer) in enumerate(answers)
        if (style, number) not in MISREAD or styles is not WORDINGS
    ]


@pytest.mark.parametrize(("gold", "answer"), rows(WORDINGS) + rows(FURTHER) + rows(THIRD) + rows(FOURTH))
def test_answers_claim_what_they_say(gold: str, answer: str) -> None:
    assert claims(read_answer(answer)) == Gold.of(gold)
    assert not read_answer(answer).unread


@pytest.mark.xfail(strict=True, reason="misread")
@pytest.mark.parametrize(("gold", "answer"), MISREAD_STILL)
def test_what_is_misread_is_known(gold: str, answer: str) -> None:
    assert claims(read_answer(answer)) == Gold.of(gold)


@pytest.mark.parametrize(("style", "number"), MISREAD)
def test_what_cannot_be_read_is_unread_and_claims_nothing(style: str, number: int) -> None:
    reading = read_answer(WORDINGS[style][number][1])
    assert reading.unread
    assert claims(reading) == Gold.of("")


def test_there_are_answers_enough_of_every_style() -> None:
    assert WORDINGS.keys() == FURTHER.keys() and len(WORDINGS) == 16
    assert sum(map(len, WORDINGS.values())) >= 150


ASKED = (
    ("Has the pleural effusion changed?", "Yes, it is larger.", ">pleural effusion"),
    ("Has the pleural effusion changed?", "Yes, resolved.", "-pleural effusion"),
    ("Has the pneumonia resolved compared to the reference image?", "Yes.", "-pneumonia"),
    ("Has the pneumonia resolved compared to the reference image?", "No.", "=pneumonia, nothing"),
    ("Is there a new pneumothorax?", "No, there isn't one.", ""),
    ("Is there any change compared to the reference image?", "No.", "nothing"),
    ("What is the level of the edema?", "From mild to severe.", ">edema, edema: mild > severe"),
)


@pytest.mark.parametrize(("question", "answer", "gold"), ASKED)
def test_a_question_lends_its_finding(question: str, answer: str, gold: str) -> None:
    assert claims(read_answer(answer, question)) == Gold.of(gold)


@given(st.sets(st.sampled_from(FINDINGS), max_size=5), st.sets(st.sampled_from(FINDINGS), max_size=5))
def test_template_answers_are_read_as_the_grammar_reads_them(added: set[str], missing: set[str]) -> None:
    text = render(Change.of(added, missing))
    reading, known = read_answer(text), parse(text)
    assert (reading.change.added, reading.change.missing) == (known.change.added, known.change.missing)
    assert reading.nothing == known.nothing and not reading.unread


@pytest.mark.parametrize("prior", ["mild", "small", "severe"])
@pytest.mark.parametrize("current", ["moderate", "minimal", "massive"])
def test_a_level_of_the_template_is_also_a_course(prior: str, current: str) -> None:
    reading = read_answer(render(Change.of(levels=[("edema", prior, current)])))
    rose = RANKED_LEVELS[current] > RANKED_LEVELS[prior]
    assert reading.change.levels == {LevelChange("edema", prior, current)}
    assert reading.change.courses == {("worse" if rose else "better", "edema")}


def test_a_course_reads_backwards_and_keeps_its_json() -> None:
    course = read_answer("New effusion. Edema resolved. Atelectasis from mild to severe. Cardiomegaly stable.").change
    assert course.reverse().reverse() == course
    assert course.reverse().courses == {
        ("missing", "pleural effusion"), ("added", "edema"), ("better", "atelectasis"), ("stable", "cardiomegaly"),
    }  # fmt: skip
    assert Course.from_json(json.loads(json.dumps(course.as_json()))) == course
    plain = Change.of(["edema"], ["hernia"])
    assert Course(plain.added, plain.missing).as_json() == plain.as_json()
    assert not Course(stable=frozenset({"edema"})), "what is stable is no change"
    assert COURSES == ("added", "missing", "worse", "better", "stable")


@pytest.mark.parametrize(
    "text", ["", "   ", "42", "Lorem ipsum dolor sit amet.", "???", "{", "|||", "<think>", "\u0000"]
)
def test_what_says_nothing_known_is_unread(text: str) -> None:
    reading = read_answer(text)
    assert reading.unread and not reading.change and not reading.nothing


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(read_answer(text), Answer)


def test_a_long_answer_is_read_in_part() -> None:
    reading = read_answer("New effusion. " + "The film is rotated. " * 2000)
    assert reading.change.added == {"pleural effusion"} and reading.unread


def test_the_public_name() -> None:
    assert ic.read_answer is read_answer


@pytest.mark.skipif(not OPEN_HALF.is_file(), reason="../shared is absent: the open half of the gold set")
def test_the_open_half_of_the_gold_set() -> None:
    """The targets: item F1, direction errors, what is read, "nothing has changed"."""
    right = said = true = opposite = unread = nothing = nothing_right = 0
    lines = [json.loads(line) for line in OPEN_HALF.read_text(encoding="utf-8").splitlines()]
    for gold in lines:
        reading = read_answer(gold["answer"], gold["question"])
        ours = {item for item in reading.change.courses if item[0] in ("added", "missing")}
        target = {(side, finding) for side in ("added", "missing") for finding in gold[side]}
        right, said, true = right + len(ours & target), said + len(ours), true + len(target)
        opposite += sum(
            (("missing" if side == "added" else "added"), finding) in target for side, finding in ours - target
        )
        unread += bool(reading.unread)
        nothing += gold["nothing"]
        nothing_right += gold["nothing"] and reading.nothing and not reading.unread
    assert 2 * right / (said + true) >= 0.97
    assert opposite <= 0.005 * true
    assert 1 - unread / len(lines) >= 0.98
    assert nothing_right / nothing >= 0.98
