"""Negatives chosen by clusters of sentences: CM-CGNS's local text term, after ClusterNS (Deng et al., ACL 2023).

n sentences of a batch, K centroids, d width. Every function is a few matrix products; nothing of shape (n, n, d) is
formed.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

OthersHard = Literal["include", "zero"]

LEAST = -1e4
"""Stands for minus infinity: a large finite number, so that no row becomes NaN."""


@torch.no_grad()
def farthest_chain(rows: Tensor, count: int, last: Tensor | None = None) -> Tensor:
    """At most `count` of the rows (n, d), each with the smallest cosine to the one taken just before it.

    `last`: (d) the row before the first one; without it the chain starts at the first row. Ends early when no rows are
    left.
    """
    rows = F.normalize(rows.float(), dim=-1)
    free = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    taken: list[Tensor] = []
    while len(taken) < min(count, len(rows)):
        if last is None:
            index = torch.zeros((), dtype=torch.long, device=rows.device)
        else:
            index = (rows @ last).masked_fill(~free, torch.inf).argmin()
        free[index] = False
        last = rows[index]
        taken.append(last)
    return torch.stack(taken) if taken else rows[:0]


@torch.no_grad()
def moved_centroids(centroids: Tensor, rows: Tensor, rate: float, update: Literal["mean", "sum"] = "mean") -> Tensor:
    """Centroids (K, d) after each of the rows (n, d) has pulled its nearest one.

    mean: (1 - rate) m + rate * mean of the members, at length 1. sum: the published form, whose step grows with the
    members and whose length drifts. A centroid without members stays as it is.
    """
    rows = F.normalize(rows.to(centroids.dtype), dim=-1)
    members = F.one_hot(nearest(rows, centroids), len(centroids)).to(rows.dtype)
    count = members.sum(0)[:, None]
    pull = members.T @ rows
    if update == "mean":
        moved = F.normalize((1 - rate) * centroids + rate * pull / count.clamp(min=1), dim=-1)
    else:
        moved = (1 - rate) * centroids + rate * pull
    return torch.where(count > 0, moved, centroids)


def nearest(rows: Tensor, centroids: Tensor) -> Tensor:
    """(n, d), (K, d) -> (n): the centroid of the largest cosine with each row."""
    return cosines(rows, centroids).argmax(dim=1)


def second_nearest(rows: Tensor, centroids: Tensor) -> Tensor:
    """(n, d): the centroid of the second largest cosine with each row, without gradient. A hard negative, because the
    nearest centroid is the row's own."""
    with torch.no_grad():
        return centroids[cosines(rows, centroids).topk(2, dim=1).indices[:, 1]]


def cosines(rows: Tensor, columns: Tensor) -> Tensor:
    """(n, d), (m, d) -> (n, m)."""
    return F.normalize(rows.float(), dim=-1) @ F.normalize(columns.float(), dim=-1).T


def margin_loss(similarity: Tensor, false_negative: Tensor, alpha: float, beta: float, masked: bool = True) -> Tensor:
    """The bidirectional margin loss: a false negative's cosine is to be below the partner's by alpha to beta.

    similarity: (n, n) cosines, the partner on the diagonal. false_negative: (n, n) bool. The mean is over the false
    negatives; masked=False is the published mean over all n^2, in which every other pair adds the constant alpha.
    """
    gap = (similarity - similarity.diagonal()[:, None]) * false_negative
    loss = F.relu(gap + alpha) + F.relu(-gap - beta)
    if not masked:
        return loss.mean()
    return (loss * false_negative).sum() / false_negative.sum().clamp(min=1)


def clustered_contrast(
    similarity: Tensor,
    hard: Tensor | None,
    *,
    temperature: float = 1.0,
    weight: float = 3.0,
    others: OthersHard = "include",
    left_out: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each sentence's partner among the batch's sentences and the hard negatives.

    similarity: (n, n) cosines, the partner on the diagonal. hard: (n, n) cosines of each sentence with the hard
    negative of each (its own on the diagonal), None before there are clusters. left_out: (n, n) bool, pairs that are
    not negatives, such as the same sentence of another film. `include`: every hard negative counts, its own `weight`
    times. `zero`: the published form, its own cosine times `weight` and a constant 0 for each of the others.
    """
    logits = similarity.float() / temperature
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    if left_out is not None:
        logits = logits.masked_fill(left_out & ~own, LEAST)
    if hard is not None:
        more = hard.float() / temperature
        if others == "include":
            more = more + own * torch.log(torch.tensor(weight))
        else:
            more = torch.where(own, weight * more, 0.0)
        logits = torch.cat([logits, more], dim=1)
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
