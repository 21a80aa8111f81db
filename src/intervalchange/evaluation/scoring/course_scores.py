"""The metrics of free answers of one file: courses, hedges, refusals; and consistency crossed with looking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from intervalchange.answers import COURSES
from intervalchange.evaluation.metrics import courses, film_use, inversion, statistics
from intervalchange.evaluation.scoring.file_scores import NOT_RUN, FileScores, Settings
from intervalchange.records import Prediction

FLOOR_METRICS = ("progression.macro.f1", "progression.accuracy", "progression.direction_error.rate")
INVERSION_OF_FLOORS = ("standard.accuracy", "reversed.accuracy", "consistency.accuracy")
"""A floor has no confidence, and so no combined answer."""
MOSTLY = 0.5


def score_courses(scores: FileScores, questions: Sequence[str], settings: Settings) -> None:
    """Add `progression.*` and `answers.*` with their intervals."""
    scores.free = True
    counts = courses.tally(scores.answers, scores.references, questions)
    scores.measure("", counts, scores.patients, courses.measures, settings)
    sums = statistics.totals(counts)
    scores.metrics["progression.count"] = int(sums["course_instances"])
    for column, course in enumerate(COURSES):
        scores.metrics[f"progression.{course}.support"] = int(sums["course_class_reference"][column])
    for name in ("hedged", "abstains"):
        scores.metrics[f"answers.{name}.count"] = int(sums[f"course_{name}"])


def score_floor_courses(
    scores: FileScores, prefix: str, answers: Sequence[str], references: Sequence[str], questions: Sequence[str]
) -> None:
    """The same of a floor, without intervals."""
    measured = statistics.point_estimates(courses.tally(answers, references, questions), courses.measures)
    scores.put(prefix, {name: measured[name] for name in FLOOR_METRICS})


def score_floor_inversion(
    scores: FileScores, prefix: str, answers: Sequence[str], references: Sequence[str], questions: Sequence[str]
) -> None:
    """The settings of `score_inversion` of a floor, which answers exchanged films as it does the films as they are."""
    counts = inversion.inversion_tally(answers, answers, references, questions)
    measured = statistics.point_estimates(counts, inversion.inversion_measures)
    scores.put(f"{prefix}progression.", {name: measured[name] for name in INVERSION_OF_FLOORS})


def score_use(
    scores: FileScores,
    shown: Mapping[str, Mapping[str, Prediction]],
    references: Mapping[str, str],
    settings: Settings,
    free: bool,
) -> None:
    """Add `consistency.use.*`: over cases answered as they are, exchanged, and under a control, with a reference.

    shown: condition -> case_id -> answer.
    """
    prefix = "consistency.use."
    controls = {name: shown[name] for name in film_use.CONTROLS if shown.get(name)}
    needed = [shown.get("given", {}), shown.get("swap", {}), *controls.values()]
    cases = [case_id for case_id in needed[0] if case_id in references and all(case_id in of for of in needed)]
    if not controls or not cases:
        scores.metrics |= {f"{prefix}{name}.rate": NOT_RUN for name in film_use.CLASSES}
        return
    given, swapped = needed[:2]
    counts = film_use.use_tally(
        [references[case_id] for case_id in cases],
        [given[case_id].answer for case_id in cases],
        [swapped[case_id].answer for case_id in cases],
        {name: [of[case_id].answer for case_id in cases] for name, of in controls.items()},
        [given[case_id].question for case_id in cases] if free else None,
    )
    patients = [given[case_id].patient_id for case_id in cases]
    scores.measure(prefix, counts, patients, film_use.use_measures, settings)
    asked = int(counts["use_asked"].sum())
    scores.metrics[f"{prefix}count"] = asked
    scores.metrics[f"{prefix}controls"] = " and ".join(controls)
    dangerous = counts["use_dangerous"].sum()
    if asked and dangerous / asked > MOSTLY:
        scores.notes.append(
            f"consistent without looking: {int(dangerous)} of {asked} answers agree with themselves when the films are "
            f"exchanged, and are the same on {' or '.join(controls)} films"
        )


def score_inversion(
    scores: FileScores,
    shown: Mapping[str, Mapping[str, Prediction]],
    references: Mapping[str, str],
    settings: Settings,
) -> None:
    """Add `progression.standard`, `.reversed`, `.combined` and `.consistency`: over cases answered in both orders."""
    given, swapped = shown.get("given", {}), shown.get("swap", {})
    cases = [case_id for case_id in given if case_id in swapped and case_id in references]
    if not cases:  # `consistency.swap.rate` says already that the films were not exchanged.
        return
    sides = [(given[case_id], swapped[case_id]) for case_id in cases]
    confidences = [tuple((side.confidence or {}).get("answer") for side in pair) for pair in sides]
    known = [(first, second) for first, second in confidences if first is not None and second is not None]
    counts = inversion.inversion_tally(
        [one.answer for one, _ in sides],
        [other.answer for _, other in sides],
        [references[case_id] for case_id in cases],
        [one.question for one, _ in sides],
        known if len(known) == len(cases) else None,
    )
    patients = [one.patient_id for one, _ in sides]
    scores.measure("progression.", counts, patients, inversion.inversion_measures, settings)
    if len(known) < len(cases):
        for ending in ("", ".low", ".high"):
            scores.metrics.pop(f"progression.combined.accuracy{ending}", None)
        scores.metrics["progression.combined.accuracy"] = f"{NOT_RUN}: not every answer has a confidence"
