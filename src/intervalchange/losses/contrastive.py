"""Contrast between films and texts, where several pairs of a batch may have the same text.

b rows of one side, c of the other (c > b where rows of other processes were gathered). Orientation does not matter:
every loss here is the mean of its two directions, if no share says otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def matches(codes: Tensor) -> Tensor:
    """(b) codes of texts -> (b, b) float32: 1 where two are the same. Symmetric, unit diagonal."""
    return (codes[:, None] == codes[None, :]).float()


def multi_positive(logits: Tensor, match: Tensor, counted: Tensor | None = None, share: float = 0.5) -> Tensor:
    """Softmax contrast in both directions, the target spread evenly over all that match (Khosla et al., NeurIPS 2020).

    logits, match: (b, b); match[i, j] = 1 where row i and column j belong together. counted: (b) bool, rows that take
    part at all. share: weight of rows that find their columns, of 1; ConVIRT gives .75 to films that find their texts.
    With one row, or none, the loss is 0.
    """
    counted = torch.ones(len(match), dtype=torch.bool, device=match.device) if counted is None else counted
    both = counted[:, None] & counted[None, :]
    target = match * both
    halves = []
    for scores, positives in ((logits.float(), target), (logits.float().T, target.T)):
        # A large finite number: a row that takes no part has no column left, and must not become NaN.
        log_probability = torch.log_softmax(scores.masked_fill(~both, -1e4), dim=-1)
        spread = positives / positives.sum(-1, keepdim=True).clamp(min=1)
        halves.append(-(spread * log_probability).sum() / counted.sum().clamp(min=1))
    return share * halves[0] + (1 - share) * halves[1]


def cosine_logits(films: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """(b, d), (c, d) -> (b, c): scale * cosine."""
    return scale * F.normalize(films.float(), dim=-1) @ F.normalize(texts.float(), dim=-1).T


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """(b, t, d), (b, t) -> (b, d): mean over the tokens that count; zeros where none does."""
    weight = mask.to(tokens.dtype).unsqueeze(-1)
    return (tokens * weight).sum(1) / weight.sum(1).clamp(min=1)


def first_of_candidates(scores: Tensor, exists: Tensor, total: Tensor) -> Tensor:
    """Softmax over candidates of which the first is the target (IDCPCL's fine-grained difference aligning).

    scores: (b, k). exists: (b, k) bool, always True for the first; a row without another candidate costs nothing.
    total: how many rows have another, averaged over processes by the caller.
    """
    log_probability = torch.log_softmax(scores.float().masked_fill(~exists, -1e4), dim=-1)[:, 0]
    return -(log_probability * (exists.sum(-1) > 1)).sum() / total.clamp(min=1e-6)


def masked_features(
    predicted: Tensor, original: Tensor, hidden: Tensor, exists: Tensor, temperature: float, same_above: float = 1.0
) -> Tensor:
    """InfoNCE of hidden features (IDCPCL's masked visual contrastive learning).

    predicted, original: (b, n, c) features of patches; hidden, exists: (b, n) bool, patches that were hidden from the
    model, and patches that are not padding. The prediction of each hidden patch is to be closest, by cosine, to its
    original, among the originals of all hidden patches of the batch and the predictions of the patches that were shown.
    Patches whose originals have a cosine above `same_above` do not count against each other. Nothing hidden gives 0.
    """
    shown = exists & ~hidden
    predicted, original = F.normalize(predicted.float(), dim=-1), F.normalize(original.float(), dim=-1).detach()
    target = original[hidden]
    logits = predicted[hidden] @ torch.cat([target, predicted[shown]]).T / temperature
    same = target @ torch.cat([target, original[shown]]).T > same_above
    own = torch.arange(len(target), device=target.device)
    same[own, own] = False
    logits = logits.masked_fill(same, -1e4)
    return F.cross_entropy(logits, own, reduction="sum") / max(len(own), 1)


def answer_matching(positive: Tensor, negative: Tensor, counted: Tensor, total: Tensor) -> Tensor:
    """Image-text matching: cross-entropy that the reference answer belongs to the films and the hard negative does not.

    positive, negative: (b, 2) logits of (does not belong, belongs). counted: (b) bool, rows that have a hard negative.
    total: how many rows count, averaged over processes by the caller.
    """
    losses = -torch.log_softmax(positive.float(), -1)[:, 1] - torch.log_softmax(negative.float(), -1)[:, 0]
    return (0.5 * losses * counted).sum() / total.clamp(min=1)
