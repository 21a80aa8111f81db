"""Progression under temporal inversion: the four settings of TILA (Ko et al., CVPR 2026, arXiv:2604.04563).

The films are shown as they are and exchanged. With y the course of a finding and I(y) the same read backwards in time
(new and resolved, worse and better change places; stable stays):

- standard: the answer to the films as they are names y;
- reversed: the answer to the exchanged films names I(y);
- consistency: both;
- combined: the two answers make one, which names y. Where they disagree, the more confident one counts.

Differs: theirs are classifiers, and combined averages the probabilities of the two orders; answers have no probability
of a class, so combined is run only where every answer of both orders has a confidence. Theirs are three classes
(improving, stable, worsening); here they are five.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intervalchange.evaluation.metrics.courses import course_of, instances_of
from intervalchange.evaluation.metrics.statistics import Array, Counts, ratio

SETTINGS = ("standard", "reversed", "combined", "consistency")
Confidences = Sequence[tuple[float, float]]
"""Of the answer to the films as they are, and to the exchanged films."""


def inversion_tally(
    given: Sequence[str],
    swapped: Sequence[str],
    references: Sequence[str],
    questions: Sequence[str],
    confidences: Confidences | None = None,
) -> Counts:
    """Counts per case: findings with a course in the reference, and of them those right in each setting."""
    counts = {name: np.zeros(len(given)) for name in ("instances", *SETTINGS)}
    for row, (answer, turned, reference, question) in enumerate(
        zip(given, swapped, references, questions, strict=True)
    ):
        target = instances_of(course_of(reference, question).change)
        own = instances_of(course_of(answer, question).change)
        other = instances_of(course_of(turned, question).change.reverse())
        counts["instances"][row] = len({finding for _, finding in target})
        right = {"standard": own & target, "reversed": other & target, "consistency": own & other & target}
        if confidences is not None:
            first, second = confidences[row]
            right["combined"] = (own if first >= second else other) & target | own & other & target
        for name, found in right.items():
            counts[name][row] = len({finding for _, finding in found})
    if confidences is None:
        counts["combined"][:] = np.nan
    return {f"inversion_{name}": values for name, values in counts.items()}


def inversion_measures(sums: Counts) -> dict[str, Array]:
    """Accuracy over the findings with a course, in each setting; NaN where it was not run."""
    return {f"{name}.accuracy": ratio(sums[f"inversion_{name}"], sums["inversion_instances"]) for name in SETTINGS}
