"""Answers <-> `Change`: render, parse, reverse; and the question templates.

The sentence forms are those of Medical-Diff-VQA (Hu et al., KDD 2023):

    the level of X has changed from A to B.
    the main image has an additional finding of X than the reference image.
    the main image has additional findings of X, Y, and Z than the reference image.
    the main image is missing the finding(s) of X(, Y, and Z) than the reference image.
    nothing has changed.

`parse` (in `answer_reader.py`) also reads them lower-cased, unpunctuated, re-ordered, with aliases, and in a few plain
wordings ("new X", "X has resolved", "X has increased from A to B"). What it cannot read it returns, and never takes for
"no change".
"""

from __future__ import annotations

from collections.abc import Iterable

from intervalchange.answer_reader import parse
from intervalchange.answer_template import Reading
from intervalchange.findings import FINDINGS
from intervalchange.records import Change

__all__ = ["DIFFERENCE_QUESTION", "NOTHING", "QUESTIONS", "Reading", "parse", "render", "reverse"]

DIFFERENCE_QUESTION = "what has changed compared to the reference image?"
NOTHING = "nothing has changed."

QUESTIONS: dict[str, tuple[str, ...]] = {
    "abnormality": (
        "what abnormalities are seen in this image?",
        "what abnormalities are seen in {location}?",
        "is there evidence of any abnormalities in this image?",
    ),
    "presence": (
        "is there evidence of {finding} in this image?",
        "is there {finding}?",
        "is there {finding} in the {location} area?",
        "is there {finding} in {location}?",
        "is the {finding} bilateral?",
    ),
    "view": ("which view is this image taken?", "is this PA view?", "is this AP view?"),
    "location": (
        "where in the image is the {finding} located?",
        "where is the {finding}?",
        "is the {finding} located on the left side or right side?",
    ),
    "level": ("what level is the {finding}?",),
    "type": ("what type is the {finding}?",),
    "difference": (DIFFERENCE_QUESTION, "what has changed in the {location} area?"),
}
"""Question type -> its templates, in the wording of Medical-Diff-VQA."""

_RANK = {finding: rank for rank, finding in enumerate(FINDINGS)}


def _in_order(findings: Iterable[str]) -> list[str]:
    return sorted(findings, key=lambda finding: (_RANK.get(finding, len(_RANK)), finding))


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f", and {items[-1]}"


def render(change: Change, added_order: Iterable[str] | None = None) -> str:
    """The Medical-Diff-VQA sentences for a change; findings in library order unless `added_order` is given."""
    sentences = [
        f"the level of {level.finding} has changed from {level.prior} to {level.current}."
        for level in sorted(change.levels, key=lambda level: (_RANK.get(level.finding, len(_RANK)), level))
    ]
    if change.added:
        added = list(added_order) if added_order is not None else _in_order(change.added)
        lead = "an additional finding of" if len(added) == 1 else "additional findings of"
        sentences.append(f"the main image has {lead} {_listed(added)} than the reference image.")
    if change.missing:
        missing = _in_order(change.missing)
        noun = "finding" if len(missing) == 1 else "findings"
        sentences.append(f"the main image is missing the {noun} of {_listed(missing)} than the reference image.")
    return " ".join(sentences) or NOTHING


def reverse(answer: str) -> str:
    """The answer for the two films exchanged. Raises ValueError where part of it cannot be read."""
    reading = parse(answer)
    if reading.unread:
        raise ValueError(f"cannot reverse what cannot be read: {reading.unread}")
    return render(reading.change.reverse())
