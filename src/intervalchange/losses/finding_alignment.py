"""FFA-CL's losses between the findings of a film and the words for them ("LGCLIP"; no paper, its code was read).

Shapes: b films, l labels. `similarity` is (b, l, l): row the prompt of a label, column the film's embedding for a
label, scaled; `gram` is (l, l), prompts against prompts. Nothing here has parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from intervalchange.losses.labels import masked_bce
from intervalchange.losses.language import identity

ContrastForm = Literal["published", "unnormalised", "conditioned"]
Orthogonality = Literal["contrast", "cosine"]
Weighting = Literal["none", "uncertainty", "exp"]


def _to_the_diagonal(logits: Tensor) -> Tensor:
    """Mean cross-entropy of every row of (..., l, l) to its own column."""
    return -torch.diagonal(torch.log_softmax(logits, dim=-1), dim1=-2, dim2=-1).mean()


def finding_contrast(similarity: Tensor, *, normalise_rows: bool = False) -> Tensor:
    """Prompt j against the l embeddings of a film and back, each to its own label, whether or not j is present.

    `normalise_rows` divides each row by its length, as the published code does. The scale then cancels and the logits
    lie in the unit ball: the loss cannot fall below `published_floor(l)`, 1.7237 for fourteen labels.
    """
    halves = (similarity.float(), similarity.float().transpose(-1, -2))
    if normalise_rows:
        halves = (F.normalize(halves[0], dim=-1), F.normalize(halves[1], dim=-1))
    return 0.5 * (_to_the_diagonal(halves[0]) + _to_the_diagonal(halves[1]))


def published_floor(labels: int) -> float:
    """The least value of `finding_contrast(normalise_rows=True)`: the best row of unit length is
    (a, -c, ..., -c) with a = sqrt((l - 1) / l) and c = 1 / sqrt(l (l - 1)), its entries summing to zero."""
    own, others = ((labels - 1) / labels) ** 0.5, -1 / (labels * (labels - 1)) ** 0.5
    logits = torch.full((labels,), others, dtype=torch.float64)
    logits[0] = own
    return float(-torch.log_softmax(logits, dim=0)[0])


def conditioned_contrast(
    similarity: Tensor, targets: Tensor, reduce_mean: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """The contrast conditioned on the labels (ours; pairwise sigmoid as SigLIP, Zhai et al., ICCV 2023).

    targets (b, l): 1, 0, NaN unknown. An embedding is drawn to the prompt of its own label where the finding is
    present, pushed from it where it is absent, and, where present, pushed from the prompts of the other labels. The
    present and the absent of a label weigh the same in a batch, however rare it is; an unknown label plays no part.
    The logits are the similarities, to which the caller has added its shift. Nothing known gives 0.
    """
    own = torch.diagonal(similarity, dim1=-2, dim2=-1)
    present, absent = (targets == 1).float(), (targets == 0).float()
    counts = [reduce_mean(mask.sum(dim=0)) for mask in (present, absent)]
    weight = present / counts[0].clamp(min=1e-6) + absent / counts[1].clamp(min=1e-6)
    matched = masked_bce(own, targets, weight=weight, reduce_mean=reduce_mean)
    labels = similarity.shape[-1]
    elsewhere = present[:, None, :] * (1 - torch.eye(labels, device=similarity.device))
    return matched + masked_bce(similarity, torch.zeros_like(similarity), weight=elsewhere, reduce_mean=reduce_mean)


def orthogonality(gram: Tensor, scale: Tensor | float = 1.0, form: Orthogonality = "contrast") -> Tensor:
    """How far prompts are from being distinct. gram (l, l): cosines of the prompts.

    `contrast`: cross-entropy of each row of scale * gram to its diagonal (published); `cosine`: mean |cosine| off it.
    """
    if form == "contrast":
        return _to_the_diagonal(scale * gram.float())
    labels = gram.shape[-1]
    off = gram.float().abs() * (1 - torch.eye(labels, device=gram.device))
    return off.sum() / max(labels * (labels - 1), 1)


def _spread_rows(rows: Tensor) -> Tensor:
    """Each row moved and stretched to [-1, 1]; a constant row becomes -1 throughout."""
    low, high = rows.amin(dim=-1, keepdim=True), rows.amax(dim=-1, keepdim=True)
    return 2 * (rows - low) / (high - low).clamp(min=1e-6) - 1


def graph_alignment(similarity: Tensor, closeness: Tensor) -> Tensor:
    """1 - mean cosine between the rows of S S^T and those of the label tree, a mean over films.

    closeness (l, l): how close two labels are on the tree (`LabelTree.closeness`); its diagonal is taken as 1. Rows of
    both are spread to [-1, 1] first. 0 where the two agree, at most 2.
    """
    labels = similarity.float()
    second_order = _spread_rows(labels @ labels.transpose(-1, -2))
    eye = torch.eye(closeness.shape[-1], device=closeness.device, dtype=torch.bool)
    target = _spread_rows(closeness.float().masked_fill(eye, 1.0))
    return 1 - F.cosine_similarity(second_order, target.expand_as(second_order), dim=-1).mean()


def combined(
    terms: Mapping[str, Tensor],
    weights: Mapping[str, float],
    weighting: Weighting = "none",
    log_variances: Sequence[Tensor] | Tensor = (),
) -> Tensor:
    """One loss of several terms; terms and weights by the same names, log_variances in their order.

    `none`: the weighted sum. `uncertainty`: sum of exp(-s) w L + s with learned s (Kendall et al., CVPR 2018).
    `exp`: sum of exp(stopped L) L, the published `task_balance`, which weighs up what cannot fall any further.
    """
    weighted = [weights[name] * term for name, term in terms.items()]
    if weighting == "uncertainty":
        weighted = [torch.exp(-s) * term + s for term, s in zip(weighted, log_variances, strict=True)]
    elif weighting == "exp":
        weighted = [torch.exp(term.detach()) * term for term in weighted]
    return torch.stack(weighted).sum()
