"""Vectors of films from an encoder that is not trained, and AUROC on them with draws of patients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from intervalchange.data.dataset import FilmDataset, share_of_patients
from intervalchange.evaluation.metrics.labels import by_label
from intervalchange.evaluation.metrics.statistics import patient_codes, patient_weights, percentile_interval
from intervalchange.training.trainer import batches

DRAWS = 1000
"""Of patients, with replacement."""


@dataclass(frozen=True)
class FilmVectors:
    """Vectors (n, v) and targets (n, l) of the films of a split, and whose they are."""

    vectors: Tensor
    targets: Tensor
    patients: np.ndarray

    def of_share(self, share: float) -> FilmVectors:
        """The films of a share of the patients, drawn as `--train.share` draws them."""
        rows = np.flatnonzero(share_of_patients(self.patients, share))
        return FilmVectors(self.vectors[rows], self.targets[rows], self.patients[rows])


def encode_once(films: FilmDataset, encode: Callable[[Tensor], Tensor], path: Path) -> Tensor:
    """(n, v): every film through a frozen encoder, read from `path` where it is there, else written to it."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            np.save(path, np.concatenate([encode(batch.current).float().numpy() for batch in batches(films, 64)]))
    return torch.from_numpy(np.load(path, allow_pickle=False))


def macro_auroc(target: np.ndarray, predicted: np.ndarray) -> float:
    """(n, l) each -> mean AUROC over the labels that are known."""
    return float(np.nanmean(by_label(target, predicted, np.ones(len(target)), "auroc")))


def auroc_draws(target: np.ndarray, predicted: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """(1 + DRAWS, l) AUROC: on all films, then on draws of patients, which are the same for every row."""
    codes = patient_codes(patients.tolist())
    weights = patient_weights(int(codes.max()) + 1, DRAWS, 0)
    parts = [by_label(target, predicted, np.ones((1, len(target))), "auroc")]
    return np.concatenate([*parts, *(by_label(target, predicted, each[:, codes], "auroc") for each in weights)])


def value_and_interval(draws: np.ndarray) -> dict[str, float]:
    """(1 + DRAWS) -> value and its 95% interval."""
    low, high = percentile_interval(draws[1:])
    return {"value": float(draws[0]), "low": low, "high": high}
