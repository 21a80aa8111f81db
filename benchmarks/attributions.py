"""Which map says best where a change is: the model's own, gradient x input, or occlusion?

    python benchmarks/attributions.py demo --patients 40

On simulated pairs with one changed finding, each lesion known exactly (those of `evidence.py`): pointing game, energy
inside and IoU on one grid, with 95% intervals by patient, beside chance. All three ask about the same number, the
log-odds that the finding was added (or went missing), and about the film that shows it.

- own: the map that the model answers with
- gradient: |gradient x input|, summed over a cell
- occlusion: by how much the log-odds fall where a window of the film is replaced by its mean grey
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from evidence import Single, singles
from harness.command import Command, write_result
from rich.progress import track
from torch.nn import functional as F

import intervalchange as ic
from intervalchange.evaluation.metrics.evidence import attribution_metrics, cells_of_mask, tally
from intervalchange.findings import FINDINGS
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.inference import Predictor

WINDOWS = 12
"""Positions of the occluding window along a side; it is twice as wide as their distance."""
BATCH = 36


def log_odds(model: Predictor, shown: torch.Tensor, other: torch.Tensor, finding: int) -> torch.Tensor:
    """(n, 1, h, w) films that may show the finding, (1, 1, h, w) the other film -> (n): that it is on them alone."""
    first, second = model.model.encode_films(shown), model.model.encode_films(other)
    second = second.at(torch.zeros(len(shown), dtype=torch.long))
    return model.model._added(first, second)[1][:, finding]


def films_of(model: Predictor, single: Single) -> tuple[torch.Tensor, torch.Tensor]:
    """The film that shows the finding, and the other one."""
    batch = model.batch_of([(single.prior, single.current, DIFFERENCE_QUESTION)])
    return (batch.current, batch.prior) if single.way == "added" else (batch.prior, batch.current)


def own(model: Predictor, single: Single, grid: int) -> np.ndarray:
    batch = model.batch_of([(single.prior, single.current, DIFFERENCE_QUESTION)])
    return np.asarray(model.model.maps_of(batch)[single.way][0, FINDINGS.index(single.finding)])


def gradient(model: Predictor, single: Single, grid: int) -> np.ndarray:
    shown, other = films_of(model, single)
    shown = shown.clone().requires_grad_()
    log_odds(model, shown, other, FINDINGS.index(single.finding)).sum().backward()
    assert shown.grad is not None
    return F.adaptive_avg_pool2d((shown.grad * shown).detach().abs(), grid)[0, 0].numpy()


@torch.no_grad()
def occlusion(model: Predictor, single: Single, grid: int) -> np.ndarray:
    shown, other = films_of(model, single)
    side = shown.shape[-1]
    edges = np.linspace(0, side, WINDOWS + 2).astype(int)
    films = shown.repeat(WINDOWS**2, 1, 1, 1)
    for index in range(WINDOWS**2):
        row, column = divmod(index, WINDOWS)
        films[index, 0, edges[row] : edges[row + 2], edges[column] : edges[column + 2]] = shown.mean()
    finding = FINDINGS.index(single.finding)
    scores = torch.cat([log_odds(model, part, other, finding) for part in films.split(BATCH)])
    fall = (log_odds(model, shown, other, finding) - scores).clamp(min=0).reshape(1, 1, WINDOWS, WINDOWS)
    # A cell has the mean of the windows over it: first the WINDOWS + 1 strips, then the grid.
    strips = F.avg_pool2d(F.pad(fall, (1, 1, 1, 1)), 2, 1)
    return F.interpolate(strips, (grid, grid), mode="bilinear", align_corners=False)[0, 0].numpy()


METHODS: dict[str, Callable[[Predictor, Single, int], np.ndarray]] = {
    "own": own,
    "gradient": gradient,
    "occlusion": occlusion,
}


def main() -> None:
    options = Command(__doc__)
    options.add_argument("run", help="of set_difference, with the branch on the pair")
    options.add_argument("--patients", type=int, default=40)
    options.add_argument("--pixels", type=int, default=256)
    options.result("--out", "attributions.json")
    chosen = options.parse_args()
    model = ic.load(chosen.run)
    pairs = list(track(singles(chosen.patients, chosen.pixels), "pairs", total=None))
    grid = len(own(model, pairs[0], 0))
    locations = np.stack([cells_of_mask(single.mask, grid) for single in pairs])
    who = [single.patient for single in pairs]
    result: dict[str, object] = {"pairs": len(pairs), "grid": grid}
    for name, method in METHODS.items():
        begun = time.process_time()
        maps = np.stack([method(model, single, grid) for single in pairs]).clip(0, None)
        seconds = (time.process_time() - begun) / len(pairs)
        result[name] = {**attribution_metrics(tally(maps, locations), who), "cpu_seconds": round(seconds, 3)}
    write_result(chosen.out, result)


if __name__ == "__main__":
    main()
