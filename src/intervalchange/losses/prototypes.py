"""Assignment to prototypes, predicted across films and reports: MGCA's disease-level term (Wang et al., NeurIPS 2022),
which is SwAV's (Caron et al., NeurIPS 2020).

b pairs, k prototypes.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 3
"""Of Sinkhorn, as published."""


@torch.no_grad()
def sinkhorn(cosines: Tensor, epsilon: float = 0.05, rounds: int = ROUNDS) -> Tensor:
    """(b, k) -> (b, k): soft assignments, rows summing to 1, that use every prototype about equally often.

    Smaller epsilon: harder assignments. The largest cosine is taken off first: it cancels, and exp stays finite.
    """
    codes = torch.exp((cosines.float() - cosines.float().amax()) / epsilon)
    rows, prototypes = codes.shape
    codes = codes / codes.sum()
    for _ in range(rounds):
        codes = codes / (prototypes * codes.sum(0, keepdim=True)).clamp(min=1e-30)
        codes = codes / (rows * codes.sum(1, keepdim=True)).clamp(min=1e-30)
    return codes / codes.sum(1, keepdim=True).clamp(min=1e-30)


def prototype_prediction(
    films: Tensor, reports: Tensor, *, temperature: float = 0.2, epsilon: float = 0.05, rounds: int = ROUNDS
) -> Tensor:
    """Each side predicts the other's assignment, mean of both cross-entropies: scalar; without pairs 0.

    films, reports: (b, k) cosines with the prototypes. No gradient passes the assignments.
    """
    if not len(films):
        return 0 * (films.sum() + reports.sum())
    halves = [
        -(sinkhorn(target, epsilon, rounds) * torch.log_softmax(source.float() / temperature, -1)).sum(-1).mean()
        for source, target in ((reports, films), (films, reports))
    ]
    return 0.5 * (halves[0] + halves[1])
