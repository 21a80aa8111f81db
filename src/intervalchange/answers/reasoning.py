"""Answers with reasoning: the final answer alone counts, where one is marked."""

from __future__ import annotations

import re

from intervalchange.lazy_patterns import lazily

_THOUGHTS = r"think(?:ing)?|thoughts?|reason(?:ing)?|analysis|scratchpad|reflection"
_CLOSED = lazily(rf"<({_THOUGHTS})>.*?</\1>", re.DOTALL | re.IGNORECASE)
_LEFT = lazily(rf"^.*</(?:{_THOUGHTS})>", re.DOTALL | re.IGNORECASE)
_OPEN = lazily(rf"<(?:{_THOUGHTS})>.*", re.DOTALL | re.IGNORECASE)
_ANSWER = lazily(
    r"<(?:answer|final|output|response)>(.*?)(?:</(?:answer|final|output|response)>|$)", re.DOTALL | re.IGNORECASE
)
_BOX = lazily(r"\\boxed\{(?:\\text\{)?(?P<inside>.*?)\}*\s*\$?\.?$", re.DOTALL)
_MARKED = lazily(
    r"(?:^|(?<=[\s*#\[(.]))(?:(?:the |my |so,? |thus,? |therefore,? )?(?:final|short|overall) "
    r"(?:answer|verdict|result|response|conclusion)|answer|final|result|verdict|decision|conclusion|summary)\b"
    r"[\s*\])_]*(?:is\b\s*)?(?:[:\u2013\u2014=-]+>?|(?<=\])\s)[\s*_]*",
    re.IGNORECASE,
)
_MARKS = ("answer", "final", "result", "verdict", "decision", "conclusion", "summary", "overall", "short")
_ARROW = lazily(r"(?:^|\s)(?:=>|==>|\u21d2)\s*")
_TAGS = lazily(r"</?(?:answer|final|output|response)>", re.IGNORECASE)
_WORKING = lazily(
    r"\b(?:thoughts?|thinking|working|reasoning|analysis|observations?|verification|consideration|step|candidates|differential"
    r"|reconsider|let me|first|q)\b|\?|\d\.",
    re.IGNORECASE,
)


def final_answer(text: str) -> str:
    """The part of an answer that counts; "" where reasoning is all there is."""
    if "<" in text:
        text = _LEFT.sub("", _CLOSED.sub("", text))
        if answers := _ANSWER.findall(text):
            return str(answers[-1]).strip()
        text = _TAGS.sub(" ", _OPEN.sub("", text))
    if "\\boxed" in text and (box := _BOX.search(text.strip())):
        return box["inside"]
    lower = text.lower()
    marked = _MARKED.finditer(text) if any(word in lower for word in _MARKS) else ()
    marks = [match for match in marked if text[match.end() :].strip(" *\n")]
    if marks and (
        marks[-1].start() == 0 or "final" in marks[-1].group().lower() or _WORKING.search(text[: marks[-1].start()])
    ):
        return text[marks[-1].end() :]
    if (">" in text or "\u21d2" in text) and (arrows := list(_ARROW.finditer(text))):
        last = arrows[-1]
        if _WORKING.search(text[: last.start()]) and text[last.end() :].strip():
            return text[last.end() :]
    return text.strip()
