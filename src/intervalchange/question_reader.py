"""A question in (roughly) the wording of Medical-Diff-VQA -> its type; and which questions are refused.

A question that is not understood, that asks what has *not* changed, or that asks about the prior film is refused: a
template answer to another question would look like an answer to this one.
"""

from __future__ import annotations

import re

from intervalchange.errors import InputError

_FILM = r"(?:image|film|study|radiograph|x-ray|exam|examination)"
_CHANGE = (
    r"\bchang|\bdiffer|\bcompar|\bnew\b|\bnewly\b|\bworse|\bimprov|\binterval\b|\bprogress|\bregress|\bresol|\bdevelop"
    r"|\bincreas|\bdecreas|\bno longer\b|\bsince\b|\bgone\b|\bcleared\b"
)
_KINDS = {
    "difference": _CHANGE,
    "view": r"\bview\b",
    "level": r"^what level|how severe|^what (?:is|are) the (?:level|severity)",
    "type": r"^what type|^what kind",
    "location": r"^where|located",
    "abnormality": r"abnormal",
    "presence": r"^(?:is|are) there|bilateral|evidence of|^does .*(?:have|show)|^do you see",
}
"""Question type -> what its wording has; the first that fits is taken."""
_NOT_CHANGED = re.compile(
    r"\b(?:not|never|n't)\b(?:\s+\w+){0,2}\s+(?:chang|differ|new|worse|improv|progress|resol|develop)\w*|\w+n't\s+chang"
    r"|\bunchanged\b|\bstable\b|\bthe same\b|\bremain"
)
_BACKWARDS = re.compile(
    rf"\b(?:compared|relative|in comparison) (?:to|with) (?:the )?(?:current|main|later|newer|follow-up) {_FILM}"
    rf"|\b(?:in|on) (?:the )?(?:reference|prior|previous|earlier|old) {_FILM}"
)
_COMPARISON = re.compile(rf"\b(?:than|since|from|compared (?:to|with)) [^,?]*\b(?:in|on) (?:the )?\w+ {_FILM}")


def _plain(question: str) -> str:
    return " ".join(question.lower().replace("\u2019", "'").split())


def kind_of(question: str) -> str:
    """The question type (`records.KINDS`); `difference` where nothing fits."""
    return _kind(_plain(question)) or "difference"


def _kind(text: str) -> str | None:
    return next((kind for kind, pattern in _KINDS.items() if re.search(pattern, text)), None)


def check_question(question: str) -> None:
    """Raise InputError for a question that would be answered as another one."""
    text = _plain(question)
    if not text.strip(" ?.!"):
        raise InputError("the question is empty.", remedy="Leave it out to ask what has changed.")
    if _kind(text) in (None, "difference") and _NOT_CHANGED.search(text):
        raise InputError(
            f"the question {question!r} asks what has not changed.", remedy="Ask what has changed; the rest has not."
        )
    if _kind(text) is None:
        raise InputError(
            f"the question {question!r} is not understood.",
            remedy="Ask what has changed, or about a finding, its level, type or location, abnormalities or the view: "
            "see `intervalchange answer --help`.",
        )
    if _BACKWARDS.search(_COMPARISON.sub(" ", text)):
        raise InputError(
            f"the question {question!r} is about the prior film.",
            remedy="Exchange --prior and --current, or ask about the current film.",
        )
