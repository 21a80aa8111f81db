"""AUROC and average precision: oracles, unknown labels, intervals, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import multilabel_auroc, multilabel_average_precision

from intervalchange.errors import SourceError
from intervalchange.evaluation.metrics.labels import label_metrics

NAMES = ("edema", "fracture", "hernia")


def table(cases: int = 300, seed: int = 0, unknown: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Labels with NaN, and scores that know something and have many ties."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((cases, 3)) < (0.4, 0.1, 0.25)).astype(float)
    scores = (labels * 0.7 + rng.random((cases, 3))).round(1)
    labels[rng.random(labels.shape) < unknown] = np.nan
    return labels, scores


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees(seed: int) -> None:
    labels, scores = table(seed=seed)
    found = label_metrics(labels, scores, NAMES, replicates=0)
    for place, name in enumerate(NAMES):
        known = ~np.isnan(labels[:, place])
        pair = labels[known, place], scores[known, place]
        assert found[f"labels.auroc.{name}"] == pytest.approx(roc_auc_score(*pair), abs=1e-12)
        assert found[f"labels.ap.{name}"] == pytest.approx(average_precision_score(*pair), abs=1e-12)
        assert found[f"labels.known.{name}"] == known.sum()


def test_torchmetrics_agrees() -> None:
    labels, scores = table(unknown=0.0)
    found = label_metrics(labels, scores, NAMES, replicates=0)
    given = torch.tensor(scores / 2), torch.tensor(labels.astype(int))
    assert found["labels.auroc.macro"] == pytest.approx(float(multilabel_auroc(*given, num_labels=3)), abs=1e-6)
    assert found["labels.ap.macro"] == pytest.approx(
        float(multilabel_average_precision(*given, num_labels=3)), abs=1e-6
    )


def test_a_worked_example() -> None:
    """Scores .9 .8 .7 .6 with labels 1 0 1 0: three of four pairs in order; AP = (1/1 + 2/3) / 2."""
    found = label_metrics([[1], [0], [1], [0]], [[0.9], [0.8], [0.7], [0.6]], ["edema"], replicates=0)
    assert found["labels.auroc.edema"] == pytest.approx(0.75)
    assert found["labels.ap.edema"] == pytest.approx(5 / 6)


def test_equal_scores_are_a_coin() -> None:
    labels, _ = table()
    found = label_metrics(labels, np.zeros_like(labels), NAMES, replicates=0)
    assert found["labels.auroc.macro"] == pytest.approx(0.5)
    assert found["labels.ap.edema"] == pytest.approx(np.nanmean(labels[:, 0]))


def test_an_unknown_label_is_neither_present_nor_absent() -> None:
    labels, scores = table(unknown=0.0)
    apart = np.concatenate([labels, np.full((50, 3), np.nan)])
    more = np.concatenate([scores, np.full((50, 3), 9.0)])
    one, two = (label_metrics(*given, NAMES, replicates=0) for given in ((labels, scores), (apart, more)))
    assert one == two


def test_a_label_without_positives_stays_out_of_the_macro() -> None:
    labels, scores = table()
    labels[:, 1] = np.where(np.isnan(labels[:, 1]), np.nan, 0)
    found = label_metrics(labels, scores, NAMES, replicates=30)
    assert np.isnan(found["labels.auroc.fracture"]) and np.isnan(found["labels.ap.fracture"])
    pair = (found["labels.auroc.edema"] + found["labels.auroc.hernia"]) / 2
    assert found["labels.auroc.macro"] == pytest.approx(pair)
    assert found["labels.auroc.macro.low"] < pair < found["labels.auroc.macro.high"]


def test_intervals_are_by_patient() -> None:
    """Ten copies of every case under one patient say nothing new; under ten patients they would."""
    labels, scores = table(cases=60)
    copied = np.repeat(labels, 10, axis=0), np.repeat(scores, 10, axis=0)
    single = label_metrics(labels, scores, NAMES, replicates=300)
    by_patient = label_metrics(*copied, NAMES, np.repeat(np.arange(60), 10), replicates=300)
    by_case = label_metrics(*copied, NAMES, replicates=300)
    for name in ("labels.auroc.macro", "labels.ap.edema"):
        assert by_patient[f"{name}.low"] == pytest.approx(single[f"{name}.low"])
        width, narrow = (f[f"{name}.high"] - f[f"{name}.low"] for f in (by_patient, by_case))
        assert narrow < 0.6 * width


@pytest.mark.parametrize(
    ("labels", "scores", "says"),
    [
        ([[1], [0]], [[0.5]], "do not fit"),
        ([[2], [0]], [[0.5], [0.1]], "neither 0, 1 nor NaN"),
        ([[1], [0]], [[np.nan], [0.1]], "score is NaN"),
    ],
)
def test_what_cannot_be_scored_is_refused(labels: list, scores: list, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        label_metrics(labels, scores, ["edema"])
