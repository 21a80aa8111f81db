"""The course of each finding in free answers: new, resolved, worse, better or stable; hedges, refusals, what was read.

An instance is a finding of a pair of films for which the reference names a course. References in the template name new
and resolved findings, and a level that rose or fell as worse or better; stable ones only where they are free text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intervalchange.answers import COURSES, Answer, Course, read_answer
from intervalchange.evaluation.metrics.change import read
from intervalchange.evaluation.metrics.statistics import Array, Counts, f_measure, ratio
from intervalchange.findings import RANKED_LEVELS
from intervalchange.records import LevelChange

UP, DOWN = ("added", "worse"), ("missing", "better")
"""Courses by their direction."""


def course_of(answer: str, question: str) -> Answer:
    """A free answer, each text once; a level of the template that rose or fell is worse or better."""
    reading = read(answer, question)
    return reading if isinstance(reading, Answer) else read_answer(answer, question)


def instances_of(course: Course) -> set[tuple[str, str]]:
    """(course, finding), with what the levels say."""
    found = set(course.courses)
    named = {finding for _, finding in found}
    for level in course.levels:
        if level.finding not in named and (rise := _rise(level)):
            found.add(("worse" if rise > 0 else "better", level.finding))
    return found


def _rise(level: LevelChange) -> float:
    return RANKED_LEVELS.get(level.current, 0.0) - RANKED_LEVELS.get(level.prior, 0.0)


def tally(answers: Sequence[str], references: Sequence[str], questions: Sequence[str]) -> Counts:
    """Counts per answer, (answers, 5) by course where a name has no more to say; `measures` turns sums into metrics."""
    shape = (len(answers), len(COURSES))
    right, predicted, reference = (np.zeros(shape) for _ in range(3))
    rest = {
        name: np.zeros(len(answers))
        for name in ("same", "instances", "opposite", "directed", "hedged", "abstains", "read")
    }
    for row, (answer, target_text, question) in enumerate(zip(answers, references, questions, strict=True)):
        reading = course_of(answer, question)
        ours, target = instances_of(reading.change), instances_of(course_of(target_text, question).change)
        for column, course in enumerate(COURSES):
            own, wanted = ({finding for name, finding in side if name == course} for side in (ours, target))
            right[row, column], predicted[row, column] = len(own & wanted), len(own)
            reference[row, column] = len(wanted)
        rest["instances"][row] = len({finding for _, finding in target})
        rest["same"][row] = len({finding for _, finding in ours & target})
        up, down = (
            ({f for name, f in ours if name in way}, {f for name, f in target if name in way}) for way in (UP, DOWN)
        )
        rest["opposite"][row] = len(up[0] & down[1] - up[1]) + len(down[0] & up[1] - down[1])
        rest["directed"][row] = len((up[0] | down[0]) & (up[1] | down[1]))
        rest["hedged"][row], rest["abstains"][row] = bool(reading.unsure), reading.abstains
        rest["read"][row] = not reading.unread
    scalars = {f"course_{name}": values for name, values in rest.items()}
    return {
        "course_class_right": right,
        "course_class_predicted": predicted,
        "course_class_reference": reference,
        "course_answers": np.ones(len(answers)),
        **scalars,
    }


def measures(sums: Counts) -> dict[str, Array]:
    """progression: accuracy, macro F1 over the courses that references name, F1 of each; and the rates."""
    parts = [np.asarray(sums[f"course_class_{part}"]) for part in ("right", "predicted", "reference")]
    scores = f_measure(*parts)
    present = parts[2] > 0
    measured = {
        "progression.macro.f1": ratio(np.where(present, np.nan_to_num(scores), 0.0).sum(-1), present.sum(-1)),
        "progression.accuracy": ratio(sums["course_same"], sums["course_instances"]),
        "progression.direction_error.rate": ratio(sums["course_opposite"], sums["course_directed"]),
        "answers.hedge.rate": ratio(sums["course_hedged"], sums["course_answers"]),
        "answers.abstention.rate": ratio(sums["course_abstains"], sums["course_answers"]),
        "answers.read.rate": ratio(sums["course_read"], sums["course_answers"]),
    }
    for column, course in enumerate(COURSES):
        measured[f"progression.{course}.f1"] = scores[..., column]
    return measured
