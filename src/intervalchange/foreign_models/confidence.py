"""How confident a model of others is: by the probability of its tokens, or by its agreement with itself."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from intervalchange.evaluation.metrics import change
from intervalchange.evaluation.metrics.consistency import moves
from intervalchange.foreign_models.records import Reply

SAMPLED = ("given", "swap")
"""The conditions of which a score uses the confidence."""


def confidence_of(reply: Reply, samples: Sequence[Reply], question: str, kind: str) -> float | None:
    """In [0, 1]; None where there is neither.

    With samples, the share of them that agree with the answer. Without, exp of the mean log-probability of its tokens,
    in double: the geometric mean of their probabilities. Differs: our own runs give the probability of the whole
    answer, which for free prose is 0 to six digits.
    """
    if samples:
        return agreement(reply.text, [sample.text for sample in samples], question, kind)
    return None if reply.log_probability is None else math.exp(reply.log_probability)


def agreement(answer: str, samples: Sequence[str], question: str, kind: str) -> float:
    """The share of samples that say the same as an answer.

    Of a difference question the change that is read is compared: an answer in which none is read has 0. Of others the
    words are, case and punctuation apart.
    """
    stated = _change if kind == "difference" else _words
    wanted = stated(answer, question)
    return 0.0 if wanted is None else sum(stated(sample, question) == wanted for sample in samples) / len(samples)


def _change(text: str, question: str) -> object | None:
    """What an answer says has changed; None where it cannot be read, or says nothing."""
    free = None if change.of_template(text) else question
    return frozenset(moves(change.read(text, free).change)) if change.readable(text, free) else None


def _words(text: str, question: str) -> object:
    return re.findall(r"\w+", text.casefold())
