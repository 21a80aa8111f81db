"""The change score of one answer: what `score` says of a file that holds nothing else, in microseconds.

For whoever needs a number for each answer: a reward, a column of a table. The counts are those of `change.tally`, which
is made for whole files; `tests/evaluation/metrics/test_one_answer.py` holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

from intervalchange.evaluation.metrics.change import EncodedAnswer, encoded_answer, of_template


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """Items of an answer and its reference."""

    right: int
    predicted: int
    """With one for each clause that could not be read."""
    reference: int

    @property
    def any(self) -> bool:
        """Whether either side has an item: without one F1 is not defined."""
        return bool(self.predicted or self.reference)

    @property
    def f1(self) -> float:
        """2 right / (predicted + reference), in [0, 1]; 0 where neither side has an item."""
        return 2 * self.right / (self.predicted + self.reference) if self.any else 0.0


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """What one answer is worth."""

    items: ItemCounts
    """Of all items: `change.micro.f1`."""
    findings: ItemCounts
    """Of findings that came or went: `change.findings.micro.f1`, the change F1."""
    exact: bool
    """Exactly the change of the reference, with nothing unread: `change.exact.accuracy`."""

    @property
    def value(self) -> float:
        """One number in [0, 1]: F1 of all items; where neither side has one, 1 if the answer is exactly right, else 0.

        An inverted finding is a wrong item and a missed one, so it costs more than leaving the finding out.
        """
        return self.items.f1 if self.items.any else float(self.exact)

    @property
    def change_f1(self) -> float:
        """The same with the change F1."""
        return self.findings.f1 if self.findings.any else float(self.exact)


def score_answer(answer: str, reference: str, question: str = "") -> AnswerScore:
    """The score of an answer to a question about change. An answer that is no template sentence is read as free text,
    and its reference with it, as `score` does."""
    asked = None if of_template(answer) else question
    predicted, target = encoded_answer(answer, asked), encoded_answer(reference, asked)
    right = (predicted.added & target.added).bit_count() + (predicted.missing & target.missing).bit_count()
    ours, theirs = _findings(predicted), _findings(target)
    findings = ItemCounts(right, ours + predicted.unread, theirs)
    items = findings
    if predicted.levels or target.levels:
        levels, wanted = predicted.levels or frozenset(), target.levels or frozenset()
        items = ItemCounts(right + len(levels & wanted), findings.predicted + len(levels), theirs + len(wanted))
    return AnswerScore(items, findings, _exact(predicted, target))


def _findings(answer: EncodedAnswer) -> int:
    return answer.added.bit_count() + answer.missing.bit_count()


def _exact(predicted: EncodedAnswer, target: EncodedAnswer) -> bool:
    if predicted.unread or predicted.levels != target.levels:
        return False
    ours, theirs = ((side.added, side.missing, side.worse, side.better) for side in (predicted, target))
    return ours == theirs and (any(theirs) or bool(target.levels) or predicted.nothing)
