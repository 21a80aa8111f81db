"""Does an attribution map mark the right location, and does the answer depend on that location?

Maps and locations are on one grid of g x g cells over the square that holds the film. Where: pointing game (Zhang et
al., IJCV 2018), share of the energy inside (Wang et al., Score-CAM, 2020), IoU of the thresholded map. Whether it
matters: deletion and insertion curves (Petsiuk et al., RISE, BMVC 2018). Beside each metric of location stands what a
map without knowledge would get, since a large target is easily hit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from intervalchange.errors import InputError
from intervalchange.evaluation.metrics.statistics import REPLICATES, Array, Counts, named_metrics, ratio

Cells = NDArray[np.bool_]
Score = Callable[[Array], ArrayLike]
"""(k, h, w) films -> (k,) the probability of the answer under test."""


# --- locations on the grid --------------------------------------------------------------------------------------------


def cells_of_mask(mask: ArrayLike, grid: int) -> Cells:
    """(h, w) mask over the square -> (g, g): the cells that it touches."""
    marked = np.asarray(mask, bool)
    rows, columns = np.nonzero(marked)
    cells = np.zeros((grid, grid), bool)
    cells[rows * grid // marked.shape[0], columns * grid // marked.shape[1]] = True
    return cells


def coverage_of_boxes(boxes: ArrayLike, grid: int) -> Array:
    """(r, 4) x1, y1, x2, y2 in units of the side -> (g, g): share of each cell inside any box.

    Where boxes meet inside a cell, the larger share counts.
    """
    edges = np.arange(grid + 1) / grid
    corners = np.asarray(boxes, float).reshape(-1, 4)

    def along(low: Array, high: Array) -> Array:
        inside = np.minimum(edges[1:], high[:, None]) - np.maximum(edges[:-1], low[:, None])
        share: Array = np.clip(inside, 0, None) * grid
        return share

    parts = along(corners[:, 1], corners[:, 3])[:, :, None] * along(corners[:, 0], corners[:, 2])[:, None, :]
    coverage: Array = np.max(parts, axis=0, initial=0.0)
    return coverage


def widened(cells: ArrayLike, by: int = 1) -> Cells:
    """(..., g, g) bool -> the same with all cells at most `by` steps away, diagonals included."""
    wide = np.asarray(cells, bool)
    for axis in (-2, -1):
        padded = np.moveaxis(wide, axis, -1)
        grown = padded.copy()
        for step in range(1, by + 1):
            grown[..., step:] |= padded[..., :-step]
            grown[..., :-step] |= padded[..., step:]
        wide = np.moveaxis(grown, -1, axis)
    return wide


# --- where ---------------------------------------------------------------------------------------------------------


def pointing_hits(maps: ArrayLike, locations: ArrayLike, tolerance: int = 1) -> Cells:
    """(n, g, g) maps and locations -> (n,) bool: the peak lies in the location or `tolerance` cells beside it.

    Of equal peaks the first counts; a map without any peak (all cells equal) hits nothing.
    """
    attribution, location = np.asarray(maps, float), np.asarray(locations) > 0
    flat = attribution.reshape(len(attribution), -1)
    near = widened(location, tolerance).reshape(len(attribution), -1)
    hits: Cells = near[np.arange(len(flat)), flat.argmax(1)] & (np.ptp(flat, axis=1) > 0)
    return hits


def energy_inside(maps: ArrayLike, locations: ArrayLike) -> Array:
    """(n, g, g) maps >= 0 and shares in [0, 1] -> (n,) share of the map's sum inside; NaN for an empty map."""
    attribution, share = np.asarray(maps, float), np.asarray(locations, float)
    return ratio((attribution * share).sum((-2, -1)), attribution.sum((-2, -1)))


def overlap(maps: ArrayLike, locations: ArrayLike, threshold: float = 0.5) -> Array:
    """(n,) IoU of the cells from `threshold` x the map's peak on with those at least half inside; NaN: both empty."""
    attribution, inside = np.asarray(maps, float), np.asarray(locations, float) >= 0.5
    peak = attribution.max((-2, -1), keepdims=True)
    shown = (attribution >= threshold * peak) & (peak > 0)
    return ratio((shown & inside).sum((-2, -1)), (shown | inside).sum((-2, -1)))


def tally(maps: ArrayLike, locations: ArrayLike, tolerance: int = 1, threshold: float = 0.5) -> Counts:
    """Counts per map for `measures`. maps: (n, g, g) >= 0; locations: (n, g, g) bool, or share of each cell inside.

    Raises InputError where shapes differ, a map is negative or not finite, or a location is empty.
    """
    attribution, location = np.asarray(maps, float), np.asarray(locations, float)
    if attribution.shape != location.shape or attribution.ndim != 3:
        raise InputError(
            f"maps of shape {attribution.shape} and locations of shape {location.shape}.",
            remedy="Give both as (n, g, g).",
        )
    if not (np.isfinite(attribution).all() and (attribution >= 0).all()):
        raise InputError("an attribution map is negative or not finite.", remedy="Clip it to [0, 1] first.")
    if not (location > 0).any((-2, -1)).all():
        raise InputError("a location has no cell.", remedy="Leave out cases without a box or mask.")
    energy, iou = energy_inside(attribution, location), overlap(attribution, location, threshold)
    return {
        "maps": np.ones(len(attribution)),
        "hits": pointing_hits(attribution, location, tolerance).astype(float),
        "near": widened(location > 0, tolerance).mean((-2, -1)),
        # An empty map has nothing inside.
        "energy": np.nan_to_num(energy),
        "area": location.mean((-2, -1)),
        "iou": np.nan_to_num(iou),
    }


def measures(sums: Counts) -> dict[str, Array]:
    """pointing.rate, energy.share, iou.mean; *.chance: what a random peak, or an even map, gets on these locations."""
    return {
        "pointing.rate": ratio(sums["hits"], sums["maps"]),
        "pointing.chance": ratio(sums["near"], sums["maps"]),
        "energy.share": ratio(sums["energy"], sums["maps"]),
        "energy.chance": ratio(sums["area"], sums["maps"]),
        "iou.mean": ratio(sums["iou"], sums["maps"]),
    }


def attribution_metrics(
    counts: Counts, patients: Sequence[Any], replicates: int = REPLICATES, seed: int = 0
) -> dict[str, float]:
    """`evidence.pointing.rate`, ... of `measures`, each with `.low` and `.high` by patient."""
    return named_metrics("evidence", counts, patients, measures, replicates, seed)


# --- whether it matters --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """How a score moves while a film is taken away, or brought in, cell by cell."""

    share: Array
    """(k,) share of the film that was changed, 0 to 1."""
    score: Array
    """(k,)."""

    @property
    def area(self) -> float:
        """Area under the curve by trapezoids: the mean score over all shares."""
        return float(np.trapezoid(self.score, self.share))


def _frames(start: Array, end: Array, attribution: Array, steps: int) -> tuple[Array, Array]:
    """(k,) shares and (k, h, w) films: `start` with more and more cells from `end`, highest attribution first."""
    if start.ndim != 2 or start.shape != end.shape or attribution.ndim != 2:
        raise InputError(
            f"a film of shape {start.shape}, a filling of shape {end.shape} and a map of shape {attribution.shape}.",
            remedy="Give film and filling as (h, w) and the map as (g, g).",
        )
    cells = attribution.size
    rank = np.empty(cells)
    rank[np.argsort(-attribution.ravel(), kind="stable")] = np.arange(cells)
    down = np.arange(start.shape[0]) * attribution.shape[0] // start.shape[0]
    across = np.arange(start.shape[1]) * attribution.shape[1] // start.shape[1]
    order = rank.reshape(attribution.shape)[down[:, None], across]
    limits = np.linspace(0, cells, min(steps, cells) + 1).round()
    changed = order < limits[:, None, None]
    return changed.mean((1, 2)), np.where(changed, end, start)


def _filling(film: Array, fill: ArrayLike | None) -> Array:
    value = film.mean() if fill is None else np.asarray(fill, float)
    return np.broadcast_to(value, film.shape)


def deletion(
    film: ArrayLike, attribution: ArrayLike, score: Score, fill: ArrayLike | None = None, steps: int = 32
) -> Curve:
    """Take the film away, highest attribution first. A map that matters makes the score fall soon: a small area.

    film: (h, w). attribution: (g, g). score: called once with all (k, h, w) films. fill: what replaces it, a
    number or an (h, w) film (the same film without the lesion, a blurred one); None: the film's mean.
    """
    pixels = np.asarray(film, float)
    shares, frames = _frames(pixels, _filling(pixels, fill), np.asarray(attribution, float), steps)
    return Curve(shares, np.asarray(score(frames), float))


def insertion(
    film: ArrayLike, attribution: ArrayLike, score: Score, fill: ArrayLike | None = None, steps: int = 32
) -> Curve:
    """Bring the film in, highest attribution first. A map that matters makes the score rise soon: a large area.

    Arguments as `deletion`.
    """
    pixels = np.asarray(film, float)
    shares, frames = _frames(_filling(pixels, fill), pixels, np.asarray(attribution, float), steps)
    return Curve(shares, np.asarray(score(frames), float))
