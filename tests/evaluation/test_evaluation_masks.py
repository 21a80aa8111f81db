"""Dice and IoU: with and without empty films, by hand and beside torchmetrics and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score
from torchmetrics.functional.segmentation import dice_score

from intervalchange.errors import SourceError
from intervalchange.evaluation.metrics.masks import dice_compat, mask_metrics, measures, tally
from intervalchange.evaluation.metrics.statistics import point_estimates


def masks(films: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(films, 16, 16) probabilities and truth; every other film is empty."""
    rng = np.random.default_rng(seed)
    true = rng.random((films, 16, 16)) < 0.2
    true[::2] = False
    said = np.clip(0.5 * true + 0.6 * rng.random(true.shape), 0, 1)
    said[::4] = 0
    return said, true


def test_by_hand() -> None:
    """One film half right (2 x 2 / (4 + 2)), one empty kept, one empty film marked."""
    true, said = np.zeros((3, 2, 4), bool), np.zeros((3, 2, 4), bool)
    true[0, 0], said[0, 0, :2], said[2, 1, 1] = True, True, True
    found = point_estimates(tally(said, true), measures)
    assert found["dice.all"] == pytest.approx((4 / 6 + 1 + 0) / 3)
    assert found["dice.positive"] == pytest.approx(4 / 6)
    assert found["dice.pooled"] == pytest.approx(4 / 7)
    assert found["iou.positive"] == pytest.approx(0.5)
    assert found["empty.kept"] == 0.5 and found["empty.share"] == pytest.approx(2 / 3)


def test_marking_nothing_scores_the_share_of_empty_films() -> None:
    _, true = masks()
    found = point_estimates(tally(np.zeros(true.shape, bool), true), measures)
    assert found["dice.all"] == found["iou.all"] == found["empty.share"] == 0.5
    assert found["dice.positive"] == found["dice.pooled"] == 0


def test_libraries_agree() -> None:
    said, true = masks()
    found = point_estimates(tally(said, true), measures)
    cut = said > 0.5
    assert found["dice.pooled"] == pytest.approx(f1_score(true.ravel(), cut.ravel()))
    assert found["iou.pooled"] == pytest.approx(jaccard_score(true.ravel(), cut.ravel()))
    full = true.any((1, 2))
    given = (torch.tensor(part[full][:, None]).int() for part in (cut, true))
    theirs = dice_score(*given, num_classes=1, average="macro", input_format="one-hot")
    assert found["dice.positive"] == pytest.approx(float(theirs.mean()), abs=1e-6)


def test_parts_join_to_the_whole() -> None:
    said, true = masks()
    whole, parts = tally(said, true), [tally(said[s], true[s]) for s in (slice(0, 7), slice(7, None))]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in whole}
    assert point_estimates(joined, measures) == point_estimates(whole, measures)


def test_the_published_dice_depends_on_the_batch() -> None:
    said, true = masks(films=9)
    counts = tally(said, true)
    assert dice_compat(counts, 9) == pytest.approx(point_estimates(counts, measures)["dice.all"])
    by_hand = (counts["dice"][:8].mean() + counts["dice"][8]) / 2
    assert dice_compat(counts, 8) == pytest.approx(by_hand)
    assert by_hand != pytest.approx(counts["dice"].mean())
    assert np.isnan(dice_compat(tally(said[:0], true[:0]), 8))


def test_names_and_intervals() -> None:
    said, true = masks()
    found = mask_metrics(tally(said, true), [f"p{film // 4}" for film in range(40)], replicates=200)
    assert found["masks.dice.all.low"] < found["masks.dice.all"] < found["masks.dice.all.high"]
    alone = mask_metrics(tally(said, true), ["p"] * 40, replicates=200)
    assert np.isnan(alone["masks.dice.all.low"])


def test_refusals() -> None:
    with pytest.raises(SourceError, match="cannot be compared"):
        tally(np.zeros((2, 4, 4)), np.zeros((2, 8, 8)))
    with pytest.raises(SourceError, match="NaN"):
        tally(np.full((1, 2, 2), np.nan), np.zeros((1, 2, 2)))
