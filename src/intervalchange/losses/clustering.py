"""Negatives that clusters of sentences choose: CM-CGNS's local text term, after ClusterNS (Deng et al., ACL 2023).

n sentences of a batch, K centroids, d width. Every function is a matter of a few matrix products; nothing of shape
(n, n, d) is formed.
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
    """At most `count` of the rows (n, d), each the least like the one that was taken just before it.

    `last`: (d) the row before the first one; without it the chain begins at the first row. Ends early where there are
    no rows left.
    """
    rows = F.normalize(rows.float(), dim=-1)
    free = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    taken: list[Tensor] = []
    while len(taken) < min(count, len(rows)):
        if last is None:
            place = torch.zeros((), dtype=torch.long, device=rows.device)
        else:
            place = (rows @ last).masked_fill(~free, torch.inf).argmin()
        free[place] = False
        last = rows[place]
        taken.append(last)
    return torch.stack(taken) if taken else rows[:0]


@torch.no_grad()
def moved_centroids(centroids: Tensor, rows: Tensor, rate: float, update: Literal["mean", "sum"] = "mean") -> Tensor:
    """Centroids (K, d) after the rows (n, d) have drawn on the nearest one of each.

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
    """(n, d), (K, d) -> (n): the centroid that each row is most like."""
    return cosines(rows, centroids).argmax(dim=1)


def second_nearest(rows: Tensor, centroids: Tensor) -> Tensor:
    """(n, d): the centroid that each row is second most like, without gradient: a hard negative, as the nearest one is
    the row's own."""
    with torch.no_grad():
        place = cosines(rows, centroids).topk(2, dim=1).indices[:, 1]
        return centroids[place]


def cosines(one: Tensor, other: Tensor) -> Tensor:
    """(n, d), (m, d) -> (n, m)."""
    return F.normalize(one.float(), dim=-1) @ F.normalize(other.float(), dim=-1).T


def margin_loss(alike: Tensor, false_negative: Tensor, alpha: float, beta: float, masked: bool = True) -> Tensor:
    """The bidirectional margin loss: false negatives are to be less like a sentence than its partner, by alpha to beta.

    alike: (n, n) cosines, the partner on the diagonal. false_negative: (n, n) bool. The mean is over the false
    negatives; masked=False is the published mean over all n^2, in which every other pair adds the constant alpha.
    """
    gap = (alike - alike.diagonal()[:, None]) * false_negative
    loss = F.relu(gap + alpha) + F.relu(-gap - beta)
    if not masked:
        return loss.mean()
    return (loss * false_negative).sum() / false_negative.sum().clamp(min=1)


def clustered_contrast(
    alike: Tensor,
    hard: Tensor | None,
    *,
    temperature: float = 1.0,
    weight: float = 3.0,
    others: OthersHard = "include",
    left_out: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each sentence's partner among the batch's sentences and the hard negatives.

    alike: (n, n) cosines, the partner on the diagonal. hard: (n, n) cosines of each sentence with the hard negative of
    each (the own one on the diagonal), None before there are clusters. left_out: (n, n) bool, pairs that are no
    negatives, such as another's sentence in the same words. `include`: every hard negative counts, the own one `weight`
    times. `zero`: the published form, the own cosine times `weight` and a constant 0 for each of the others.
    """
    logits = alike.float() / temperature
    own = torch.eye(len(alike), dtype=torch.bool, device=alike.device)
    if left_out is not None:
        logits = logits.masked_fill(left_out & ~own, LEAST)
    if hard is not None:
        more = hard.float() / temperature
        if others == "include":
            more = more + own * torch.log(torch.tensor(weight))
        else:
            more = torch.where(own, weight * more, 0.0)
        logits = torch.cat([logits, more], dim=1)
    return F.cross_entropy(logits, torch.arange(len(alike), device=alike.device))
