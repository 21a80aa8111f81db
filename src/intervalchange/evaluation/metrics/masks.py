"""Masks: Dice and intersection over union, with and without the films that have nothing to find.

Where most films are empty, a model that never marks anything scores their share (CM-CGNS and GLoRIA on SIIM count a
film without target and without prediction as 1). So three metrics stand beside each other, by name: over all films,
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


def _areas(predicted: ArrayLike, target: ArrayLike, threshold: float) -> tuple[Array, Array, Array]:
    """(n,) pixels of the overlap, of the prediction, of the target."""
    masks, targets = np.asarray(predicted), np.asarray(target)
    if masks.shape != targets.shape or masks.ndim < 2:
        raise SourceError(
            f"masks of shape {masks.shape} cannot be compared with masks of shape {targets.shape}.",
            remedy="Give both as (films, height, width), at the size of the target.",
        )
    if masks.dtype != bool:
        if np.isnan(masks).any():
            raise SourceError("a predicted mask holds NaN.", remedy="Give probabilities in [0, 1], or booleans.")
        masks = masks > threshold
    targets, pixels = targets.astype(bool), tuple(range(1, targets.ndim))
    shared, area, target_area = (part.sum(pixels, dtype=float) for part in (masks & targets, masks, targets))
    return shared, area, target_area


def tally(predicted: ArrayLike, target: ArrayLike, threshold: float = THRESHOLD) -> Counts:
    """Counts per film; tallies of parts may be joined with `np.concatenate`, so that masks need not fit in memory.

    predicted: (n, h, w) bool, or probabilities that are cut at `threshold` (above it is marked). target: (n, h, w), 0
    or not 0. Raises SourceError where the shapes differ or a probability is NaN.
    """
    shared, predicted_area, target_area = _areas(predicted, target, threshold)
    both = predicted_area + target_area
    full, empty = target_area > 0, both == 0
    # Target and prediction both empty: a perfect answer.
    dice = np.where(empty, 1.0, ratio(2 * shared, both))
    iou = np.where(empty, 1.0, ratio(shared, both - shared))
    return {
        "films": np.ones(len(full)),
        "full": full.astype(float),
        "dice": dice,
        "iou": iou,
        "dice_full": dice * full,
        "iou_full": iou * full,
        "kept_empty": (empty & ~full).astype(float),
        "shared": shared,
        "predicted": predicted_area,
        "target": target_area,
    }


def measures(sums: Counts) -> dict[str, Array]:
    """dice.all, dice.positive (films with a target), dice.pooled (all pixels as one film), iou likewise, empty.kept."""
    return {
        "dice.all": ratio(sums["dice"], sums["films"]),
        "dice.positive": ratio(sums["dice_full"], sums["full"]),
        "dice.pooled": ratio(2 * sums["shared"], sums["predicted"] + sums["target"]),
        "iou.all": ratio(sums["iou"], sums["films"]),
        "iou.positive": ratio(sums["iou_full"], sums["full"]),
        "iou.pooled": ratio(sums["shared"], sums["predicted"] + sums["target"] - sums["shared"]),
        "empty.kept": ratio(sums["kept_empty"], sums["films"] - sums["full"]),
        "empty.share": ratio(sums["films"] - sums["full"], sums["films"]),
    }


def dice_compat(counts: Counts, batch: int) -> float:
    """Dice as the published family prints it: the mean of the means of batches, empty films included.

    The last, shorter batch weighs as much as the others, so the metric depends on the order of the films and on the
    batch size (8 in GLoRIA's segmentation, 16 in CM-CGNS's). Only for comparison with published tables.
    """
    dice = counts["dice"]
    means = [dice[start : start + batch].mean() for start in range(0, len(dice), batch)]
    return float(np.mean(means)) if means else np.nan


def mask_metrics(
    counts: Counts, patients: Sequence[Any], replicates: int = REPLICATES, seed: int = 0
) -> dict[str, float]:
    """`masks.dice.all`, `masks.dice.positive`, ... of `measures`, each with `.low` and `.high` by patient."""
    return named_metrics("masks", counts, patients, measures, replicates, seed)
