"""Validation of CM-CGNS: retrieval among the films of validation and their reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intervalchange.methods.cm_cgns.film_side import FilmEncoding
from intervalchange.methods.cm_cgns.report_side import ReportEncoding


@dataclass(frozen=True)
class FilmOutputs:
    """One film of validation."""

    film: np.ndarray
    """(d)."""
    report: np.ndarray
    """(d)."""
    code: int
    """Equal for reports in the same words."""


def retrieval_outputs(film: FilmEncoding, report: ReportEncoding) -> list[FilmOutputs]:
    """One record per film."""
    vectors = (side.vector.float().cpu().numpy() for side in (film, report))
    return [FilmOutputs(*row) for row in zip(*vectors, report.tokens.report_codes.tolist(), strict=True)]


def retrieval_scores(outputs: Sequence[FilmOutputs]) -> dict[str, float]:
    """Retrieval in both directions: `retrieval.mrr`, `retrieval.recall.1`, `retrieval.recall.5`."""
    similarity = np.stack([output.film for output in outputs]) @ np.stack([output.report for output in outputs]).T
    codes = np.array([output.code for output in outputs])
    same = codes[:, None] == codes[None, :]
    ranks = np.concatenate([first_ranks(similarity, same), first_ranks(similarity.T, same.T)])
    recalls = {f"retrieval.recall.{top}": float((ranks < top).mean()) for top in (1, 5)}
    return {"retrieval.mrr": float((1 / (1 + ranks)).mean())} | recalls


def first_ranks(similarity: np.ndarray, same: np.ndarray) -> NDArray[np.intp]:
    """(n, m) similarities, which pairs belong together -> (n): how many wrong ones come before the first right one.

    A wrong one of the same similarity comes before: a model with one output for everything retrieves nothing.
    """
    best = np.where(same, similarity, -np.inf).max(1, keepdims=True)
    ranks: NDArray[np.intp] = ((similarity >= best) & ~same).sum(1)
    return ranks
