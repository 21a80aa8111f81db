"""Masks: Dice and intersection over union, with and without the films that have nothing to find.

Where most films are empty, a model that never marks anything scores their share (CM-CGNS and GLoRIA on SIIM count a
film without truth and without prediction as 1). So three metrics stand beside each other, by name: over all films,
over the films with something to find, and how many of the empty ones were left empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intervalchange.errors import SourceError
from intervalchange.evaluation.metrics.statistics import REPLICATES, Array, Counts, named_metrics, ratio

THRESHOLD = 0.5


def _areas(predicted: ArrayLike, true: ArrayLike, threshold: float) -> tuple[Array, Array, Array]:
    """(n,) pixels of the overlap, of the prediction, of the truth."""
    said, known = np.asarray(predicted), np.asarray(true)
    if said.shape != known.shape or said.ndim < 2:
        raise SourceError(
            f"masks of shape {said.shape} cannot be compared with masks of shape {known.shape}.",
            remedy="Give both as (films, height, width), at the size of the truth.",
        )
    if said.dtype != bool:
        if np.isnan(said).any():
            raise SourceError("a predicted mask holds NaN.", remedy="Give probabilities in [0, 1], or booleans.")
        said = said > threshold
    known, pixels = known.astype(bool), tuple(range(1, known.ndim))
    return (said & known).sum(pixels, dtype=float), said.sum(pixels, dtype=float), known.sum(pixels, dtype=float)


def tally(predicted: ArrayLike, true: ArrayLike, threshold: float = THRESHOLD) -> Counts:
    """Counts per film; tallies of parts may be joined with `np.concatenate`, so that masks need not fit in memory.

    predicted: (n, h, w) bool, or probabilities that are cut at `threshold` (above it is marked). true: (n, h, w), 0 or
    not 0. Raises SourceError where the shapes differ or a probability is NaN.
    """
    shared, said, known = _areas(predicted, true, threshold)
    full, nothing = known > 0, said + known == 0
    # Truth and prediction both empty: a perfect answer.
    dice = np.where(nothing, 1.0, ratio(2 * shared, said + known))
    iou = np.where(nothing, 1.0, ratio(shared, said + known - shared))
    return {
        "films": np.ones(len(full)),
        "full": full.astype(float),
        "dice": dice,
        "iou": iou,
        "dice_full": dice * full,
        "iou_full": iou * full,
        "kept_empty": (nothing & ~full).astype(float),
        "shared": shared,
        "said": said,
        "known": known,
    }


def measures(sums: Counts) -> dict[str, Array]:
    """dice.all, dice.positive (films with truth), dice.pooled (all pixels as one film), iou likewise, empty.kept."""
    return {
        "dice.all": ratio(sums["dice"], sums["films"]),
        "dice.positive": ratio(sums["dice_full"], sums["full"]),
        "dice.pooled": ratio(2 * sums["shared"], sums["said"] + sums["known"]),
        "iou.all": ratio(sums["iou"], sums["films"]),
        "iou.positive": ratio(sums["iou_full"], sums["full"]),
        "iou.pooled": ratio(sums["shared"], sums["said"] + sums["known"] - sums["shared"]),
        "empty.kept": ratio(sums["kept_empty"], sums["films"] - sums["full"]),
        "empty.share": ratio(sums["films"] - sums["full"], sums["films"]),
    }


def dice_compat(counts: Counts, batch: int) -> float:
    """Dice as the published family prints it: the mean of the means of batches, empty films included.

    The last, shorter batch weighs as much as the others, so the metric depends on the order of the films and on the
    batch size (8 in GLoRIA's and CM-CGNS's segmentation). Only for comparison with published tables.
    """
    dice = counts["dice"]
    means = [dice[start : start + batch].mean() for start in range(0, len(dice), batch)]
    return float(np.mean(means)) if means else np.nan


def mask_metrics(
    counts: Counts, patients: Sequence[Any], replicates: int = REPLICATES, seed: int = 0
) -> dict[str, float]:
    """`masks.dice.all`, `masks.dice.positive`, ... of `measures`, each with `.low` and `.high` by patient."""
    return named_metrics("masks", counts, patients, measures, replicates, seed)
