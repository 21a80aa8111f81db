"""Change F1, the headline: which findings came and went, whatever the word order, with their direction.

Answers in the sentences of the template are read by `grammar.parse`; with the questions that were asked, free answers
by `answers.read_answer`.

Items of an answer are (added, f), (missing, f) and (level, f, prior, current). A clause that cannot be read is one
false positive, in the pooled and in the findings metrics. An answer says "nothing has changed" only in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intervalchange.answer_template import template_sides
from intervalchange.answers import Answer, read_answer
from intervalchange.evaluation.metrics.statistics import Array, Counts, f_measure, point_estimates, ratio
from intervalchange.findings import FINDINGS, RANKED_LEVELS
from intervalchange.grammar import Reading, parse
from intervalchange.records import LevelChange, Prediction

PARTS = ("right", "predicted", "reference")
SCOPES = ("added", "missing", "levels", "course")
"""What items are of; `course` is a level's rise or fall."""
SCALARS = (
    *(f"{scope}{part}" for scope in ("", "findings_", *(f"{scope}_" for scope in SCOPES)) for part in PARTS),
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
"""Counts of one answer. Without a scope, all items; `findings`, those added or missing. `opposite` and `agreeing` are
findings named by both sides, with the other or the same direction."""

_INDEX = {finding: index for index, finding in enumerate(FINDINGS)}


_LEADS = (
    "the main image has an additional finding",
    "the main image has additional finding",
    "the main image is missing the finding",
    "the level of ",
    "nothing has changed",
)


def of_template(answer: str) -> bool:
    """Whether an answer begins as the sentences of the template do, or is empty: `grammar.parse` reads it."""
    return answer.startswith(_LEADS) or not answer.strip()


@lru_cache(maxsize=1 << 14)
def read(answer: str, question: str | None = None) -> Reading | Answer:
    """`grammar.parse`; for a free answer to a question `read_answer`. Each text once."""
    return parse(answer) if question is None else read_answer(answer, question)


def read_any(answer: str) -> Reading | Answer:
    """`read`, as the answer itself asks for it: of the template or free."""
    return read(answer, None if of_template(answer) else "")


def readable(answer: str, question: str | None = None) -> bool:
    """Whether an answer says anything: a change, or in words that there is none."""
    encoded = encoded_answer(answer, question)
    return bool(
        encoded.added or encoded.missing or encoded.levels or encoded.nothing or encoded.moved or encoded.stable
    )


def readable_reference(reference: str) -> bool:
    """`readable`, as the reference itself asks for it: of the template or free."""
    return readable(reference, None if of_template(reference) else "")


def says_nothing_changed(reading: Reading | Answer) -> bool:
    """In words, with nothing left unread."""
    return reading.nothing and not reading.change and not reading.unread


# --- one answer --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """An answer as numbers: hundreds of thousands are kept, and compared bit by bit."""

    added: int
    """Bit i: finding i of the library."""
    missing: int
    levels: frozenset[LevelChange] | None
    """None where there is none, as in nearly every answer."""
    unread: int
    nothing: bool
    ambiguous: bool
    worse: int = 0
    better: int = 0
    stable: int = 0
    """What free answers say of findings that are on both films."""

    abstains: bool = False

    @property
    def numbers(self) -> tuple[int, ...]:
        """All but the levels, in the order of `_Side`."""
        sides = (self.added, self.missing, self.worse, self.better)
        return *sides, self.unread, self.nothing, self.ambiguous, self.abstains

    @property
    def moved(self) -> int:
        """Findings of both films that are worse or better."""
        return self.worse | self.better


@lru_cache(maxsize=1 << 14)
def _bits(findings: frozenset[str]) -> int:
    return sum(1 << _INDEX[finding] for finding in findings)


@lru_cache(maxsize=1 << 18)
def encoded_answer(answer: str, question: str | None = None) -> EncodedAnswer:
    """An answer as `read` reads it, as numbers; each text once."""
    sides = template_sides(answer) if question is None else None
    if sides is not None:  # As `parse` reads it, without the records on the way.
        return EncodedAnswer(_bits(sides.added), _bits(sides.missing), None, 0, sides.nothing, ambiguous=False)
    reading = parse(answer) if question is None else read_answer(answer, question)
    change = reading.change
    return EncodedAnswer(
        added=_bits(change.added),
        missing=_bits(change.missing),
        levels=change.levels or None,
        unread=len(reading.unread),
        nothing=reading.nothing,
        ambiguous=reading.ambiguous,
        **(_free_of(reading) if isinstance(reading, Answer) else {}),
    )


def _free_of(reading: Answer) -> dict[str, Any]:
    """What only free answers say."""
    bits = {name: _bits(getattr(reading.change, name)) for name in ("worse", "better", "stable")}
    return {**bits, "abstains": reading.abstains}


def _courses(levels: frozenset[LevelChange]) -> frozenset[tuple[str, bool]]:
    """(finding, rose) of the levels that have a rank."""
    ranks = [(level.finding, RANKED_LEVELS.get(level.prior), RANKED_LEVELS.get(level.current)) for level in levels]
    return frozenset((finding, now > then) for finding, then, now in ranks if then and now and then != now)


# --- many answers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Side:
    """The answers, or the references, of the different pairs."""

    added: NDArray[np.uint32]
    missing: NDArray[np.uint32]
    worse: NDArray[np.uint32]
    better: NDArray[np.uint32]
    unread: Array
    nothing: NDArray[np.bool_]
    ambiguous: NDArray[np.bool_]
    abstains: NDArray[np.bool_]
    levels: list[frozenset[LevelChange] | None]

    @classmethod
    def of(cls, texts: Sequence[str], questions: Sequence[str] | None) -> _Side:
        keys = zip(texts, *([] if questions is None else [questions]), strict=True)
        index: dict[tuple[str, ...], int] = {}
        row = np.array([index.setdefault(key, len(index)) for key in keys], np.intp)
        encoded = [encoded_answer(*key) for key in index]
        numbers = np.array([one.numbers for one in encoded], np.int64).reshape(-1, 8)[row].T
        levels = np.fromiter((one.levels for one in encoded), object, len(encoded))[row]
        added, missing, worse, better = numbers[:4].astype("<u4", order="C")
        return cls(
            added,
            missing,
            worse,
            better,
            unread=numbers[4].astype(float),
            nothing=numbers[5] > 0,
            ambiguous=numbers[6] > 0,
            abstains=numbers[7] > 0,
            levels=levels.tolist(),
        )

    @property
    def changed(self) -> NDArray[np.bool_]:
        of_level = np.array([levels is not None for levels in self.levels], bool)
        changed: NDArray[np.bool_] = ((self.added | self.missing | self.worse | self.better) > 0) | of_level
        return changed


def _by_finding(bits: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """(n,) sets of findings as bits -> (n, f)."""
    return np.unpackbits(bits.view(np.uint8).reshape(len(bits), 4), axis=1, bitorder="little")[:, : len(FINDINGS)]


def _level_counts(predicted: _Side, target: _Side) -> dict[str, NDArray[np.uint8]]:
    """Right, predicted and reference items of level and of course, (pairs, f) each; few pairs have any."""
    none: frozenset[LevelChange] = frozenset()
    shape = (len(predicted.levels), len(FINDINGS))
    counts = {f"{scope}_{part}": np.zeros(shape, np.uint8) for scope in ("levels", "course") for part in PARTS}
    for row, pair in enumerate(zip(predicted.levels, target.levels, strict=True)):
        if pair == (None, None):
            continue
        levels, references = (side or none for side in pair)
        for part, items in zip(PARTS, (levels & references, levels, references), strict=True):
            for level in items:
                counts[f"levels_{part}"][row, _INDEX[level.finding]] += 1
        courses, references_courses = _courses(levels), _courses(references)
        for part, rises in zip(PARTS, (courses & references_courses, courses, references_courses), strict=True):
            for finding, _ in rises:
                counts[f"course_{part}"][row, _INDEX[finding]] += 1
    return counts


def _of_pairs(
    answers: Sequence[str], references: Sequence[str], questions: Sequence[str] | None
) -> tuple[dict[str, Array], dict[str, NDArray[np.uint8]]]:
    """Counts of each pair of texts, (pairs,) by name and (pairs, f) by scope and part."""
    predicted, target = _Side.of(answers, questions), _Side.of(references, questions)
    by_finding = _level_counts(predicted, target)
    sides = (("added", predicted.added, target.added), ("missing", predicted.missing, target.missing))
    for scope, answer, reference in sides:
        for part, bits in zip(PARTS, (answer & reference, answer, reference), strict=True):
            by_finding[f"{scope}_{part}"] = _by_finding(bits)
    scalars = {name: counts.sum(axis=1, dtype=float) for name, counts in by_finding.items()}
    for part in PARTS:
        scalars[f"findings_{part}"] = scalars[f"added_{part}"] + scalars[f"missing_{part}"]
        scalars[part] = scalars[f"findings_{part}"] + scalars[f"levels_{part}"]
    for name in ("predicted", "findings_predicted"):  # An unread clause is one false positive.
        scalars[name] = scalars[name] + predicted.unread
    claims, changed, read_in_full = predicted.changed, target.changed, predicted.unread == 0
    silent = predicted.nothing & ~claims & read_in_full
    levels_equal = np.array([pair[0] == pair[1] for pair in zip(predicted.levels, target.levels, strict=True)], bool)
    equal = (predicted.added == target.added) & (predicted.missing == target.missing) & levels_equal & read_in_full
    equal &= (predicted.worse == target.worse) & (predicted.better == target.better)
    opposite = (predicted.added & target.missing) | (predicted.missing & target.added)
    agreeing = (predicted.added & target.added) | (predicted.missing & target.missing)
    rest: dict[str, NDArray[Any]] = {
        "exact": equal & (changed | silent),
        "changed": changed,
        "omitted": changed & ~claims,
        "unchanged": ~changed,
        "false_change": ~changed & ~silent & ~predicted.abstains,
        "detected": np.where(changed, claims, silent),
        "opposite": np.bitwise_count(opposite),
        "agreeing": np.bitwise_count(agreeing),
        "unread": predicted.unread,
        "unreadable": ~read_in_full,
        "ambiguous": predicted.ambiguous,
    }
    return scalars | {name: counts.astype(float) for name, counts in rest.items()}, by_finding


def tally(
    answers: Sequence[str],
    references: Sequence[str],
    same_state: Sequence[bool] | None = None,
    questions: Sequence[str] | None = None,
) -> Counts:
    """Counts per answer; each different pair is read once. `measures` turns their sums into metrics.

    same_state: pairs of films of one state of the patient under two acquisitions. questions: what was asked, where
    answers are free; None reads them all as sentences of the template.
    """
    index: dict[tuple[str, ...], int] = {}
    columns = (answers, references) if questions is None else (answers, references, questions)
    row = np.array([index.setdefault(pair, len(index)) for pair in zip(*columns, strict=True)], np.intp)
    asked = None if questions is None else [pair[2] for pair in index]
    scalars, by_finding = _of_pairs([pair[0] for pair in index], [pair[1] for pair in index], asked)
    counts: dict[str, NDArray[Any]] = {name: scalars[name][row] for name in SCALARS}
    counts["cases"] = np.ones(len(row))
    for name, array in by_finding.items():
        counts[f"{name}_by_finding"] = array[row]
    still = np.zeros(len(row)) if same_state is None else np.asarray(same_state, float)
    counts["same_state"] = still * counts["unchanged"]
    counts["same_state_false_change"] = still * counts["false_change"]
    return counts


METRICS = {
    "micro": "",
    "findings.micro": "findings_",
    "added.micro": "added_",
    "missing.micro": "missing_",
    "levels": "levels_",
    "levels.direction": "course_",
}
"""Pooled metrics -> the counts they are made of. Unread clauses count in the first two: nobody knows where they
belong."""
MACRO = {
    "macro": ("added", "missing", "levels"),
    "findings.macro": ("added", "missing"),
    "added.macro": ("added",),
    "missing.macro": ("missing",),
    "levels.macro": ("levels",),
    "levels.direction.macro": ("course",),
}
"""Means over findings -> the scopes whose items are counted together."""


def measures(sums: Counts) -> dict[str, Array]:
    """Every metric of change from sums of `tally`."""
    measured: dict[str, Array] = {}
    for name, prefix in METRICS.items():
        right, predicted, reference = (sums[f"{prefix}{part}"] for part in PARTS)
        measured[f"{name}.precision"] = ratio(right, predicted)
        measured[f"{name}.recall"] = ratio(right, reference)
        measured[f"{name}.f1"] = f_measure(right, predicted, reference)
    if "added_right_by_finding" in sums:
        for name, scopes in MACRO.items():
            measured |= {f"{name}.{metric}": value for metric, value in _macro(sums, scopes).items()}
    measured["exact.accuracy"] = ratio(sums["exact"], sums["cases"])
    measured["detected.accuracy"] = ratio(sums["detected"], sums["cases"])
    measured["direction_error.rate"] = ratio(sums["opposite"], sums["opposite"] + sums["agreeing"])
    measured["false_change.rate"] = ratio(sums["false_change"], sums["unchanged"])
    measured["false_change.same_state.rate"] = ratio(sums["same_state_false_change"], sums["same_state"])
    measured["omission.rate"] = ratio(sums["omitted"], sums["changed"])
    measured["unreadable.rate"] = ratio(sums["unreadable"], sums["cases"])
    return measured


def _macro(sums: Counts, scopes: Sequence[str]) -> dict[str, Array]:
    """Means over the findings with at least one reference item; a finding that is never predicted has precision 0."""
    scores, support = by_finding(sums, scopes)
    present = support > 0
    return {
        name: ratio(np.where(present, np.nan_to_num(values), 0.0).sum(-1), present.sum(-1))
        for name, values in scores.items()
    }


def by_finding(sums: Counts, scopes: Sequence[str] = ("added", "missing")) -> tuple[dict[str, Array], Array]:
    """(precision, recall and f1 of each finding of the library, its reference items), (..., f) each."""
    right, predicted, reference = (sum(sums[f"{scope}_{part}_by_finding"] for scope in scopes) for part in PARTS)
    scores = {
        "precision": ratio(right, predicted),
        "recall": ratio(right, reference),
        "f1": f_measure(right, predicted, reference),
    }
    return scores, np.asarray(reference, float)


def without_findings(counts: Counts) -> Counts:
    """The counts less those by finding: enough for the micro metrics, and small."""
    return {name: array for name, array in counts.items() if not name.endswith("_by_finding")}


def change_scores(
    answers: Sequence[str], references: Sequence[str], same_state: Sequence[bool] | None = None
) -> dict[str, float]:
    """All metrics of change of answers against their references; `findings.micro.f1` is "change F1"."""
    return point_estimates(tally(answers, references, same_state), measures)


def field_disagreements(predictions: Sequence[Prediction]) -> tuple[int, int]:
    """(answers that come with a `change` field, those whose field differs in meaning from the text)."""
    present = [prediction for prediction in predictions if prediction.change is not None]
    free = questions_of(predictions) is not None
    differing = (
        one.change is not None and one.change.items != read(one.answer, one.question if free else None).change.items
        for one in present
    )
    return len(present), sum(differing)


def questions_of(predictions: Sequence[Prediction]) -> list[str] | None:
    """What was asked of each; None where all answers and their references are of the template."""
    if all(of_template(one.answer) and of_template(one.reference or "") for one in predictions):
        return None
    return [prediction.question for prediction in predictions]
