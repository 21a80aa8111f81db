"""Questions: their types, and those that are refused instead of being answered as another one."""

from __future__ import annotations

import pytest

from intervalchange.consistency.rules import PARAPHRASES
from intervalchange.errors import InputError
from intervalchange.grammar import QUESTIONS
from intervalchange.question_reader import check_question, kind_of

TEMPLATES = [
    (template.format(finding=finding, location=location), kind)
    for kind, templates in QUESTIONS.items()
    for template in templates
    for finding, location in (("pleural effusion", "left lower lung"), ("edema", "cardiac"))
]


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("what has changed compared to the reference image?", "difference"),
        ("which view is this image taken?", "view"),
        ("is this PA view?", "view"),
        ("what level is the edema?", "level"),
        ("what type is the lung opacity?", "type"),
        ("where is the atelectasis?", "location"),
        ("is the edema located on the left side or right side?", "location"),
        ("what abnormalities are seen in this image?", "abnormality"),
        ("is there evidence of edema in this image?", "presence"),
    ],
)
def test_the_kind_of_a_question(question: str, kind: str) -> None:
    assert kind_of(question) == kind


@pytest.mark.parametrize(("question", "kind"), TEMPLATES)
def test_every_template_is_understood(question: str, kind: str) -> None:
    check_question(question)
    check_question(question.upper())
    assert kind_of(question) == kind


@pytest.mark.parametrize(
    "question",
    [
        *PARAPHRASES,
        "What changed?",
        "is there a new fracture?",
        "what has changed in the left lung area?",
        "any interval change?",
        "what is new on this film compared to the one on the prior image?",
        "which findings are no longer seen?",
        "has the effusion improved since the prior study?",
    ],
)
def test_other_words_for_what_has_changed(question: str) -> None:
    check_question(question)
    assert kind_of(question) == "difference"


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("", "empty"),
        (" ? ", "empty"),
        ("what is the capital of France?", "not understood"),
        ("is the tube in the right place?", "not understood"),
        ("hello", "not understood"),
        ("what has NOT changed?", "has not changed"),
        ("what hasn’t changed?", "has not changed"),
        ("which findings are unchanged?", "has not changed"),
        ("which findings have not really improved?", "has not changed"),
        ("compared to the current image, what has changed in the reference image?", "about the prior"),
        ("what has changed in the prior film?", "about the prior"),
        ("is there edema in the previous study?", "about the prior"),
    ],
)
def test_questions_that_are_refused(question: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        check_question(question)
