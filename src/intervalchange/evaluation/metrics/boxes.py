"""Boxes: mean average precision by two rules, each by its name.

`strict` is COCO's: IoU .50:.05:.95, 101 points of recall, at most 100 boxes per film and label, every film counts. AP50
and AP75 are its parts. `compat` is what MGCA, CM-CGNS and their family print: IoU .40:.05:.75, and a film enters only
when it has both a target and a predicted box. Missed films and false alarms on healthy films then cost nothing, so the
metric is higher; it serves only the comparison with their tables.

No area ranges and no crowds: chest films have neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from intervalchange.errors import SourceError
from intervalchange.evaluation.metrics.statistics import (
    REPLICATES,
    Array,
    named_values,
    patient_codes,
    patient_weights,
    percentile_interval,
    ratio,
)

Indices = NDArray[np.intp]
RECALLS = np.linspace(0, 1, 101)
"""Points of recall at which precision is read, as COCO."""
GROUPS = 512
"""Films x labels matched at once: bounds memory."""


@dataclass(frozen=True)
class Rule:
    """How a mean average precision is computed."""

    name: str
    thresholds: tuple[float, ...]
    """IoU from which a box counts as found."""
    both_needed: bool = False
    """A film enters only when it has a target and a predicted box."""
    most: int = 100
    """Boxes per film and label, the most confident ones."""


STRICT = Rule("strict", tuple(np.linspace(0.5, 0.95, 10).tolist()))
COMPAT = Rule("compat", tuple(np.linspace(0.4, 0.75, 8).tolist()), both_needed=True)
RULES = {rule.name: rule for rule in (STRICT, COMPAT)}


@dataclass(frozen=True)
class Boxes:
    """Boxes of many films, flat."""

    film: Indices
    """(n,) number of the film."""
    box: Array
    """(n, 4) x1, y1, x2, y2, in pixels of one frame for targets and predictions."""
    label: Indices
    """(n,) number of the label."""
    score: Array
    """(n,) confidence; ones for targets."""

    @classmethod
    def of(
        cls, film: ArrayLike, box: ArrayLike, label: ArrayLike | None = None, score: ArrayLike | None = None
    ) -> Boxes:
        """From any sequences. Raises SourceError where lengths differ, or a box is not x1 <= x2, y1 <= y2."""
        films = np.asarray(film, np.intp).reshape(-1)
        boxes = np.asarray(box, float).reshape(-1, 4)
        labels = np.zeros(len(films), np.intp) if label is None else np.asarray(label, np.intp)
        scores = np.ones(len(films)) if score is None else np.asarray(score, float)
        if not len(films) == len(boxes) == len(labels) == len(scores):
            raise SourceError(
                f"{len(films)} films, {len(boxes)} boxes, {len(labels)} labels and {len(scores)} scores.",
                remedy="Give one of each for every box.",
            )
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise SourceError("a box or a score is not a finite number.", remedy="Leave such boxes out.")
        if ((boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])).any():
            raise SourceError("a box ends where it has not begun.", remedy="Give x1, y1, x2, y2, not width and height.")
        return cls(films, boxes, labels, scores)

    def __len__(self) -> int:
        return len(self.film)

    def chosen(self, rows: NDArray[Any]) -> Boxes:
        """Those rows, by number or by a mask."""
        return Boxes(self.film[rows], self.box[rows], self.label[rows], self.score[rows])


@dataclass(frozen=True)
class Matched:
    """The detections of one label, most confident first, and which are right at each threshold."""

    film: Indices
    """(d,)."""
    right: NDArray[np.bool_]
    """(t, d)."""
    target_film: Indices
    """(g,) film of each target box."""


def iou(first: Array, second: Array) -> Array:
    """(..., a, 4) and (..., b, 4) -> (..., a, b): intersection over union; 0 where both are empty."""
    rows, columns = first[..., :, None, :], second[..., None, :, :]
    sides = np.minimum(rows[..., 2:], columns[..., 2:]) - np.maximum(rows[..., :2], columns[..., :2])
    shared = np.clip(sides, 0, None).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (rows, columns)]
    union = areas[0] + areas[1] - shared
    overlap: Array = np.divide(shared, union, out=np.zeros(union.shape), where=union > 0)
    return overlap


def _padded(rows: Indices, group: Indices, groups: int, width: int) -> Indices:
    """Rows that are sorted by group -> (groups, width), -1 where there are fewer."""
    table = np.full((groups, width), -1, np.intp)
    starts = np.searchsorted(group, np.arange(groups))
    table[group, np.arange(len(rows)) - starts[group]] = rows
    return table


def _match(overlap: Array, thresholds: Array) -> NDArray[np.bool_]:
    """(k, d, g) overlaps, -1 where there is no box -> (k, d, t): greedy, most confident detection first, as COCO.

    Each takes the free target box with the largest overlap of at least the threshold, the last among equals.
    """
    groups, detections, targets = overlap.shape
    right = np.zeros((groups, detections, len(thresholds)), bool)
    taken = np.zeros((groups, len(thresholds), targets), bool)
    lowest = np.minimum(thresholds, 1 - 1e-10)
    for rank in range(detections if targets else 0):
        free = np.where(taken, -1.0, overlap[:, rank, None, :])
        best = targets - 1 - free[..., ::-1].argmax(-1)
        largest = np.take_along_axis(free, best[..., None], -1)[..., 0]
        right[:, rank] = largest >= lowest
        group, threshold = np.nonzero(right[:, rank])
        taken[group, threshold, best[group, threshold]] = True
    return right


def matched(target: Boxes, predicted: Boxes, rule: Rule) -> Matched:
    """Boxes of one label -> which detections are right. Films by number; ties in score keep the order of films."""
    order = np.lexsort((-predicted.score, predicted.film))
    films, starts = np.unique(predicted.film[order], return_index=True)
    group = np.searchsorted(films, predicted.film[order])
    counted = np.arange(len(order)) - starts[group] < rule.most if len(order) else np.zeros(0, bool)
    order, group = order[counted], group[counted]
    target_order = np.argsort(target.film, kind="stable")
    target_order = target_order[np.isin(target.film[target_order], films)]
    target_group = np.searchsorted(films, target.film[target_order])
    thresholds = np.asarray(rule.thresholds)
    right = np.zeros((len(order), len(thresholds)), bool)
    for first in range(0, len(films), GROUPS):
        low, high = np.searchsorted(group, (first, first + GROUPS))
        target_low, target_high = np.searchsorted(target_group, (first, first + GROUPS))
        groups = min(GROUPS, len(films) - first)
        counts = (
            np.bincount(group[low:high] - first),
            np.bincount(target_group[target_low:target_high] - first, minlength=1),
        )
        rows = _padded(np.arange(low, high), group[low:high] - first, groups, int(counts[0].max()))
        target_rows = _padded(
            target_order[target_low:target_high],
            target_group[target_low:target_high] - first,
            groups,
            int(counts[1].max()),
        )
        if not target_rows.size:
            continue
        overlap = iou(predicted.box[order[rows]], target.box[target_rows])
        overlap[(rows < 0)[:, :, None] | (target_rows < 0)[:, None, :]] = -1
        right[rows[rows >= 0]] = _match(overlap, thresholds)[rows >= 0]
    ranked = np.argsort(-predicted.score[order], kind="stable")
    return Matched(predicted.film[order][ranked], right[ranked].T, target.film)


def average_precision(match: Matched, weights: Array) -> Array:
    """(w, films) weight of each film -> (w, t): precision at `RECALLS`, on its falling envelope, averaged.

    NaN where no target box has weight. A film that weighs 2 counts as two films.
    """
    drawn = weights[:, match.film]
    targets = weights[:, match.target_film].sum(-1)
    detections = np.cumsum(drawn, axis=-1)
    averages = np.full((len(weights), len(match.right)), np.nan)
    for threshold, right in enumerate(match.right):
        hits = np.cumsum(drawn * right, axis=-1)
        precision = np.divide(hits, detections, out=np.zeros(hits.shape), where=detections > 0)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=-1)[:, ::-1]
        recall = ratio(hits, np.broadcast_to(targets[:, None], hits.shape))
        padded = np.concatenate([envelope, np.zeros((len(weights), 1))], axis=1)
        for row in np.flatnonzero(targets > 0):
            averages[row, threshold] = padded[row, np.searchsorted(recall[row], RECALLS)].mean()
    return averages


def _entering(target: Boxes, predicted: Boxes, films: int, rule: Rule) -> NDArray[np.bool_]:
    """(films,) bool: which films count under the rule."""
    if not rule.both_needed:
        return np.ones(films, bool)
    has_target, has_predicted = (np.bincount(boxes.film, minlength=films) > 0 for boxes in (target, predicted))
    entering: NDArray[np.bool_] = has_target & has_predicted
    return entering


def _precisions(target: Boxes, predicted: Boxes, weights: Sequence[Array], labels: int, rule: Rule) -> Array:
    """(labels, w, t) average precision."""
    tables = []
    for label in range(labels):
        match = matched(target.chosen(target.label == label), predicted.chosen(predicted.label == label), rule)
        tables.append(np.concatenate([average_precision(match, part) for part in weights]))
    return np.stack(tables)


def _named(table: Array, names: Sequence[str], rule: Rule) -> dict[str, Array]:
    """(labels, w, t) -> name -> (w,). Labels without a target box stay out of the means."""
    known = np.isfinite(table).all(-1)
    count = known.sum(0)

    def mean(values: Array) -> Array:
        return ratio(np.where(known, values, 0).sum(0), count)

    named = {"map": mean(table.mean(-1))}
    for percent in (50, 75):
        index = np.flatnonzero(np.isclose(rule.thresholds, percent / 100))[0]
        named[f"ap{percent}"] = mean(table[:, :, index])
    return named | {f"ap.{name}": values.mean(-1) for name, values in zip(names, table, strict=True)}


def box_metrics(
    target: Boxes,
    predicted: Boxes,
    films: int,
    names: Sequence[str] = ("box",),
    patients: Sequence[Any] | None = None,
    rules: Sequence[Rule] = (STRICT, COMPAT),
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, float]:
    """All metrics of boxes by dotted name, with `.low` and `.high` by patient.

    films: how many there are, numbered from 0, those without any box included. names: of labels, by number. patients:
    (films,); with None each film is a patient of its own. replicates: 0 for no intervals.

    `boxes.strict.map`, `boxes.strict.ap50`, `boxes.strict.ap75`, `boxes.strict.ap.<label>`, `boxes.strict.films`, and
    the same under `boxes.compat`. Raises SourceError for a film or label outside the numbers given.
    """
    for boxes in (target, predicted):
        if len(boxes) and not (boxes.film.min() >= 0 and boxes.film.max() < films):
            raise SourceError(f"a box names a film outside 0 .. {films - 1}.", remedy="Count films without boxes too.")
        if len(boxes) and not (boxes.label.min() >= 0 and boxes.label.max() < len(names)):
            raise SourceError("a box names a label outside the list of names.", remedy="Give a name for every label.")
    codes = np.arange(films) if patients is None else patient_codes(patients)
    groups = int(codes.max(initial=-1)) + 1
    draws = list(patient_weights(groups, replicates, seed)) if groups > 1 and replicates else []
    result: dict[str, float] = {}
    for rule in rules:
        entering = _entering(target, predicted, films, rule)
        inside = [boxes.chosen(entering[boxes.film]) for boxes in (target, predicted)]
        weights = [np.ones((1, films)), *(part[:, codes] for part in draws)]
        table = _precisions(inside[0], inside[1], weights, len(names), rule)
        result[f"boxes.{rule.name}.films"] = float(entering.sum())
        for name, values in _named(table, names, rule).items():
            result |= named_values(f"boxes.{rule.name}", {name: (float(values[0]), *percentile_interval(values[1:]))})
    return result
