"""Questions with options, and what an answer chooses."""

from __future__ import annotations

import pytest

from intervalchange.choices import chosen, lettered, options_in, options_of

OPTIONS = {"A": "Worse", "B": "No change", "C": "Improved", "D": "Nothing has improved"}
QUESTION = lettered("How has the edema changed?", OPTIONS)


def test_the_options_stand_under_the_question_and_are_read_back() -> None:
    assert QUESTION.splitlines()[:2] == ["How has the edema changed?", "A. Worse"]
    assert options_of(QUESTION) == OPTIONS and options_of("Has it changed?") == {}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b.", "B"),
        ("(B)", "B"),
        ("B. No change", "B"),
        ("**D**", "D"),
        ('{"answer": "B"}', "B"),
        ("The answer is C because A is wrong", "C"),
        ("Option A cannot be. Final answer: B", "B"),
        ("<think>A. maybe</think>C", "C"),
        ("\\boxed{C}", "C"),
        ("My answer is [A]", "A"),
        ("It has improved.", "C"),
        ("Nothing has improved", "D"),
        ("A chest film shows the heart.", ""),
        ("E", ""),
        ("Worse or improved", ""),
        ("", ""),
    ],
)
def test_what_is_chosen(answer: str, letter: str) -> None:
    assert chosen(answer, QUESTION) == letter


@pytest.mark.parametrize(
    ("answer", "word"), [("Yes, it is.", "yes"), ("no.", "no"), ("My answer is No", "no"), ("Nothing", ""), ("", "")]
)
def test_yes_and_no_where_no_options_are_listed(answer: str, word: str) -> None:
    assert chosen(answer, "Has the edema worsened?") == word


@pytest.mark.parametrize(
    "row",
    [
        {"options": OPTIONS},
        {"choices": list(OPTIONS.values())},
        {"options": [f"{letter}. {text}" for letter, text in OPTIONS.items()]},
        {"question": "?", **OPTIONS},
    ],
)
def test_options_of_rows_in_every_form(row: dict[str, object]) -> None:
    assert options_in(row) == OPTIONS


def test_a_row_without_options() -> None:
    assert options_in({"question": "?", "options": []}) == {}
