"""Retrieval: of the texts most similar to a film, how many are about what the film shows (ConVIRT, GLoRIA).

A query is a film with exactly one class, a candidate a text with exactly one; precision at k is the share of the first
k that are of the query's class. Texts of the query's own patient are not candidates.

Differs: the texts are the reports of the films of the data (or the prompts, where there are none); the papers have
    lists of 200 sentences per class that were not published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intervalchange.evaluation.metrics.statistics import REPLICATES, Array, Counts, ratio
from intervalchange.tasks.estimates import estimates

TOPS = (5, 10, 100)


@dataclass(frozen=True)
class Candidates:
    """Texts to choose from."""

    texts: list[str]
    """(m)."""
    classes: NDArray[np.intp]
    """(m) number of the class each is about."""
    patients: tuple[str, ...] | None
    """(m) whose report it is; None for texts that are not reports."""


def allowed(owners: Sequence[str], texts: Candidates) -> NDArray[np.bool_]:
    """(n, m): which texts are candidates of a query."""
    if texts.patients is None:
        return np.ones((len(owners), len(texts.texts)), bool)
    others: NDArray[np.bool_] = np.asarray(owners)[:, None] != np.asarray(texts.patients)[None, :]
    return others


def precision_at(
    similarity: Array, same: NDArray[np.bool_], candidates: NDArray[np.bool_], tops: Sequence[int] = TOPS
) -> dict[int, Array]:
    """(n, m) similarities, which pairs are of one class, which are candidates -> k -> (n,) share of the first k.

    Equal similarities stay in the order of the texts. A k is left out if any query has fewer candidates.
    """
    order = np.argsort(np.where(candidates, -similarity, np.inf), axis=1, kind="stable")
    right = np.take_along_axis(same, order, axis=1)
    return {top: right[:, :top].mean(1) for top in tops if top <= candidates.sum(1).min()}


def retrieval_metrics(
    similarity: Array,
    classes: NDArray[np.intp],
    owners: Sequence[str],
    texts: Candidates,
    tops: Sequence[int] = TOPS,
    replicates: int = REPLICATES,
) -> dict[str, float]:
    """`retrieval.precision.5`, ... over all queries, `retrieval.balanced.5`, ... as a mean over classes, with intervals
    by patient; `retrieval.precision.chance` and `retrieval.balanced.chance`: what a random order of the texts gives.

    similarity: (n, m). classes: (n,) of the queries. owners: (n,) their patients.
    """
    candidates, same = allowed(owners, texts), classes[:, None] == texts.classes[None, :]
    values = {str(top): value for top, value in precision_at(similarity, same, candidates, tops).items()}
    values["chance"] = ratio((same & candidates).sum(1), candidates.sum(1))
    of = np.eye(int(max(classes.max(), texts.classes.max())) + 1)[classes]
    counts: dict[str, Array] = {"queries": np.ones(len(classes)), "of": of}
    for name, value in values.items():
        counts |= {name: value, f"{name} by class": of * value[:, None]}

    def measure(sums: Counts) -> dict[str, Array]:
        measured = {}
        for name in values:
            by_class = ratio(sums[f"{name} by class"], sums["of"])
            known = np.isfinite(by_class)
            measured[f"precision.{name}"] = ratio(sums[name], sums["queries"])
            measured[f"balanced.{name}"] = ratio(np.where(known, by_class, 0).sum(-1), known.sum(-1))
        return measured

    sizes = {"retrieval.queries": float(len(classes)), "retrieval.texts": float(len(texts.texts))}
    return sizes | estimates("retrieval", counts, list(owners), measure, replicates)
