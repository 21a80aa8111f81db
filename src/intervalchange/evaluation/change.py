"""The headline: which findings came and went, free of word order and true to direction.

Items of an answer are (added, f), (missing, f) and (level, f, prior, current). A clause that cannot be read is one
false positive, in the pooled and in the findings figures. An answer says "nothing has changed" only in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from intervalchange.evaluation.statistics import Array, Counts, f_measure, figures, ratio
from intervalchange.findings import FINDINGS, RANKED_LEVELS
from intervalchange.grammar import Reading, parse
from intervalchange.records import Change, Prediction

SCALARS = (
    "right",
    "predicted",
    "reference",
    "findings_right",
    "findings_predicted",
    "findings_reference",
    "levels_right",
    "levels_predicted",
    "levels_reference",
    "course_right",
    "course_predicted",
    "course_reference",
    "exact",
    "changed",
    "omitted",
    "unchanged",
    "false_change",
    "detected",
    "opposite",
    "agreeing",
    "unread",
    "unreadable",
    "ambiguous",
)
"""Counts of one answer. `course` is a level's rise or fall; `opposite` and `agreeing` are findings named by both
sides, with the other or the same direction."""

_PLACE = {finding: place for place, finding in enumerate(FINDINGS)}


@lru_cache(maxsize=1 << 17)
def read(answer: str) -> Reading:
    """`grammar.parse`, each text once."""
    return parse(answer)


def readable(answer: str) -> bool:
    """Whether an answer says anything: a change, or in words that there is none."""
    reading = read(answer)
    return bool(reading.change) or reading.nothing


def says_nothing_changed(reading: Reading) -> bool:
    """In words, with nothing left unread."""
    return reading.nothing and not reading.change and not reading.unread


def _courses(change: Change) -> set[tuple[str, bool]]:
    """(finding, rose) of the levels that have a place on the scale."""
    ranks = [
        (level.finding, RANKED_LEVELS.get(level.prior), RANKED_LEVELS.get(level.current)) for level in change.levels
    ]
    return {(finding, now > then) for finding, then, now in ranks if then and now and then != now}


def _by_finding(change: Change) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    items = change.items
    return {item for item in items if item[0] != "level"}, set(items)


def _row(answer: str, reference: str) -> tuple[list[float], list[tuple[int, int, int]]]:
    """SCALARS of one pair, and (kind of count, finding, place) of each item for the counts by finding."""
    reading = read(answer)
    said, true = reading.change, read(reference).change
    said_findings, said_all = _by_finding(said)
    true_findings, true_all = _by_finding(true)
    unread = len(reading.unread)
    silent = says_nothing_changed(reading)
    said_courses, true_courses = _courses(said), _courses(true)
    row = [
        len(said_all & true_all),
        len(said_all) + unread,
        len(true_all),
        len(said_findings & true_findings),
        len(said_findings) + unread,
        len(true_findings),
        len(said.levels & true.levels),
        len(said.levels),
        len(true.levels),
        len(said_courses & true_courses),
        len(said_courses),
        len(true_courses),
        not unread and said == true and (bool(true) or silent),
        bool(true),
        bool(true) and not said,
        not true,
        not true and not silent,
        bool(said) if true else silent,
        len((said.added & true.missing) | (said.missing & true.added)),
        len((said.added & true.added) | (said.missing & true.missing)),
        unread,
        unread > 0,
        reading.ambiguous,
    ]
    items = []
    for wide, (said_items, true_items) in enumerate(((said_findings, true_findings), (said_all, true_all))):
        for kind, group in enumerate((said_items & true_items, said_items, true_items)):
            items += [(wide, kind, _PLACE[item[1]]) for item in group if item[1] in _PLACE]
    return [float(value) for value in row], items


def tally(answers: Sequence[str], references: Sequence[str], same_state: Sequence[bool] | None = None) -> Counts:
    """Counts per answer; each different pair is read once. `measures` turns their sums into figures.

    same_state: pairs of films of one state of the patient under two acquisitions.
    """
    index: dict[tuple[str, str], int] = {}
    where = np.array(
        [index.setdefault(pair, len(index)) for pair in zip(answers, references, strict=True)], dtype=np.intp
    )
    scalars = np.zeros((len(index), len(SCALARS)))
    by_finding = np.zeros((len(index), 2, 3, len(FINDINGS)))
    for place, (answer, reference) in enumerate(index):
        scalars[place], items = _row(answer, reference)
        for item in items:
            by_finding[(place, *item)] += 1
    counts: dict[str, Array] = {name: scalars[where, column] for column, name in enumerate(SCALARS)}
    counts["cases"] = np.ones(len(where))
    for wide, scope in enumerate(("findings", "all")):
        for kind, name in enumerate(("right", "predicted", "reference")):
            counts[f"{scope}_{name}_by_finding"] = by_finding[where, wide, kind]
    still = np.zeros(len(where)) if same_state is None else np.asarray(same_state, float)
    counts["same_state"] = still * counts["unchanged"]
    counts["same_state_false_change"] = still * counts["false_change"]
    return counts


def measures(sums: Counts) -> dict[str, Array]:
    """Every figure of change from sums of `tally`."""
    found: dict[str, Array] = {}
    for name, prefix in (("micro", ""), ("findings.micro", "findings_"), ("levels", "levels_")):
        right, predicted, reference = (sums[f"{prefix}{part}"] for part in ("right", "predicted", "reference"))
        found[f"{name}.precision"] = ratio(right, predicted)
        found[f"{name}.recall"] = ratio(right, reference)
        found[f"{name}.f1"] = f_measure(right, predicted, reference)
    found["levels.direction.f1"] = f_measure(sums["course_right"], sums["course_predicted"], sums["course_reference"])
    for name, scope in (("macro", "all"), ("findings.macro", "findings")):
        if f"{scope}_right_by_finding" in sums:
            found[f"{name}.f1"] = _macro(sums, scope)
    found["exact.accuracy"] = ratio(sums["exact"], sums["cases"])
    found["detected.accuracy"] = ratio(sums["detected"], sums["cases"])
    found["direction_error.rate"] = ratio(sums["opposite"], sums["opposite"] + sums["agreeing"])
    found["false_change.rate"] = ratio(sums["false_change"], sums["unchanged"])
    found["false_change.same_state.rate"] = ratio(sums["same_state_false_change"], sums["same_state"])
    found["omission.rate"] = ratio(sums["omitted"], sums["changed"])
    found["unreadable.rate"] = ratio(sums["unreadable"], sums["cases"])
    return found


def _macro(sums: Counts, scope: str) -> Array:
    """Mean F1 over the findings with at least one reference item."""
    scores = by_finding(sums, scope)
    present = sums[f"{scope}_reference_by_finding"] > 0
    return ratio(np.where(present, scores, 0.0).sum(-1), present.sum(-1))


def by_finding(sums: Counts, scope: str = "findings") -> Array:
    """F1 of each finding of the library, (..., f)."""
    return f_measure(*(sums[f"{scope}_{name}_by_finding"] for name in ("right", "predicted", "reference")))


def without_findings(counts: Counts) -> Counts:
    """The counts less those by finding: enough for the micro figures, and small."""
    return {name: array for name, array in counts.items() if not name.endswith("_by_finding")}


def change_scores(
    answers: Sequence[str], references: Sequence[str], same_state: Sequence[bool] | None = None
) -> dict[str, float]:
    """All figures of change of answers against their references; `findings.micro.f1` is "change F1"."""
    return figures(tally(answers, references, same_state), measures)


def field_disagreements(predictions: Sequence[Prediction]) -> tuple[int, int]:
    """(answers that come with a `change` field, those whose field says something else than the text)."""
    given = [(prediction.change, read(prediction.answer).change) for prediction in predictions]
    present = [(field, spoken) for field, spoken in given if field is not None]
    return len(present), sum(field != spoken for field, spoken in present)
