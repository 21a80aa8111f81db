"""Is the attribution map on the lesion? On simulated pairs with one changed finding, each lesion known exactly.

    python benchmarks/evidence.py RUN --train prepared/train --patients 150 --out benchmarks/results/evidence.json

- pointing game (the peak of the changed finding's map lies inside its true extent, one map cell of tolerance), energy
  inside and IoU, with 95% intervals by patient, beside what chance gets and what the mean map of that finding over
  training pairs gets (one map for everybody)
- deletion and insertion: the film loses, or gains, its lesion cell by cell in the order of the map; the area under the
  finding's probability, beside the same in the order of the mean map
- correlation between the maps of different patients, for the same finding
- erasing: the film is rendered again without the lesion, everything else held; does its probability fall?
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from harness.command import Command, write_result
from rich.progress import track

import intervalchange as ic
from intervalchange.data.dataset import PairDataset
from intervalchange.data.decoded_film import DecodedFilm
from intervalchange.data.films import film_square
from intervalchange.data.prepared import Prepared
from intervalchange.evaluation.metrics.evidence import (
    attribution_metrics,
    cells_of_mask,
    deletion,
    insertion,
    pointing_hits,
    tally,
)
from intervalchange.findings import FINDINGS
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.inference import Predictor
from intervalchange.simulation.cohort import simulate_patient
from intervalchange.simulation.records import SimulatedStudy
from intervalchange.simulation.rendering import render
from intervalchange.simulation.scene import State
from intervalchange.training.trainer import batches

SEED = 900_300
STEPS = 16
"""Of a curve: so many parts of the film are changed one after the other."""


@dataclass(frozen=True)
class Single:
    """One pair whose only change is one finding."""

    patient: int
    finding: str
    way: str
    """added or missing."""
    prior: np.ndarray
    current: np.ndarray
    mask: np.ndarray
    """(s, s) bool: extent of the finding on the film where it is."""
    erased: np.ndarray
    """The film with the finding, rendered without it."""


def square(pixels: np.ndarray, side: int) -> np.ndarray:
    """(h, w) film in [0, 1] -> the stored 8-bit square."""
    return film_square(DecodedFilm(pixels.astype(np.float32)), side).pixels


def singles(patients: int, side: int) -> Iterator[Single]:
    """Consecutive pairs with exactly one item of change, which is an added or a missing finding."""
    for index in range(patients):
        patient = simulate_patient(SEED, index, pixels=side)
        for prior, current in itertools.pairwise(patient.studies):
            items = ic.Change.between(prior.study, current.study).items
            if len(items) != 1 or next(iter(items))[0] == "level":
                continue
            ((way, finding),) = items
            shown: SimulatedStudy = current if way == "added" else prior
            if shown.film is None or prior.film is None or current.film is None:
                continue
            state = shown.visit.state
            healthy = State(tuple(lesion for lesion in state.lesions if lesion.finding != finding), state.devices)
            erased = render(patient.anatomy, healthy, shown.visit.acquisition, side, truth=False)
            mask = shown.film.finding_masks.get(finding)
            if mask is None or not mask.any():
                continue
            films = [square(film.pixels, side) for film in (prior.film, current.film, erased)]
            yield Single(index, finding, way, films[0], films[1], mask, films[2])


def is_hit(attribution: np.ndarray, mask: np.ndarray) -> bool:
    """Whether the peak of a (g, g) map lies on the mask, or one cell beside it."""
    return bool(pointing_hits(attribution[None], cells_of_mask(mask, len(attribution))[None], tolerance=1)[0])


def mean_maps(model: Predictor, prepared: Prepared, limit: int = 1500) -> dict[tuple[str, str], np.ndarray]:
    """(finding, way) -> the mean map over training pairs that have that change."""
    dataset = PairDataset(prepared, "train", kinds=("difference",), pixels=model.model.config.pixels, limit=limit)
    total: dict[tuple[str, str], np.ndarray] = {}
    count: dict[tuple[str, str], int] = defaultdict(int)
    for batch in batches(dataset, 64):
        maps = model.model.maps_of(batch)
        current, prior = batch.findings_current.numpy(), batch.findings_prior.numpy()
        for way, changed in (
            ("added", (current == 1) & (prior == 0)),
            ("missing", (current == 0) & (prior == 1)),
        ):
            for row, finding in zip(*np.nonzero(changed), strict=True):
                key = (FINDINGS[finding], way)
                total[key] = total.get(key, 0) + maps[way][row, finding]
                count[key] += 1
    return {key: value / count[key] for key, value in total.items()}


def probabilities(model: Predictor, films: np.ndarray, finding: str) -> np.ndarray:
    """(k, s, s) films of 0 to 255 -> (k,) probabilities that they show a finding."""
    squares = films.round().astype(np.uint8)
    batch = model.batch_of([(film, film, DIFFERENCE_QUESTION) for film in squares])
    with torch.no_grad():
        encoding = model.model.encode_films(batch.current)
    return torch.sigmoid(encoding.findings)[:, FINDINGS.index(finding)].numpy()


@dataclass(frozen=True)
class Evidence:
    """What one pair gave."""

    single: Single
    attribution: np.ndarray
    """(g, g)."""
    mean: np.ndarray
    """(g, g) of all training pairs with this change."""
    fell: bool
    areas: dict[str, float]
    """Under the curves of deletion and insertion."""


def evidence_of(model: Predictor, single: Single, mean: np.ndarray) -> Evidence:
    """Map, curves and erasing of one pair."""
    batch = model.batch_of([(single.prior, single.current, DIFFERENCE_QUESTION)])
    attribution = model.model.maps_of(batch)[single.way][0, FINDINGS.index(single.finding)]
    shown = (single.current if single.way == "added" else single.prior).astype(float)
    erased = single.erased.astype(float)
    before, after = probabilities(model, np.stack([shown, erased]), single.finding)
    areas = {
        f"{name}.{order}": curve(
            shown, by, lambda films: probabilities(model, films, single.finding), fill=erased, steps=STEPS
        ).area
        for name, curve in (("deletion", deletion), ("insertion", insertion))
        for order, by in (("map", attribution), ("mean_map", mean))
    }
    return Evidence(single, attribution, mean, bool(after < before), areas)


def measure(model: Predictor, prepared: Prepared, patients: int, side: int) -> dict[str, object]:
    """All metrics, over all findings and by finding."""
    average = mean_maps(model, prepared)
    pairs = [
        evidence_of(model, single, average[single.finding, single.way])
        for single in track(singles(patients, side), "pairs", total=None)
        if (single.finding, single.way) in average
    ]
    who = [one.single.patient for one in pairs]
    metrics = {
        name: attribution_metrics(
            tally(
                np.stack([getattr(one, kind) for one in pairs]).clip(0, None),
                np.stack([cells_of_mask(one.single.mask, len(one.attribution)) for one in pairs]),
            ),
            who,
        )
        for name, kind in (("map", "attribution"), ("mean_map", "mean"))
    }
    correlations = [
        float(np.corrcoef(one.attribution.ravel(), other.attribution.ravel())[0, 1])
        for one, other in itertools.combinations(pairs, 2)
        if one.single.finding == other.single.finding and one.single.patient != other.single.patient
    ]
    return {
        "pairs": len(pairs),
        **metrics,
        "curves": {name: float(np.mean([one.areas[name] for one in pairs])) for name in pairs[0].areas},
        "correlation_between_patients": float(np.mean(correlations)),
        "erasing_lowers_probability": float(np.mean([one.fell for one in pairs])),
        "by_finding": {
            name: by_finding([one for one in pairs if one.single.finding == name])
            for name in sorted({one.single.finding for one in pairs})
        },
    }


def by_finding(pairs: list[Evidence]) -> dict[str, float]:
    """The pointing game and erasing on the pairs of one finding."""
    return {
        "pairs": len(pairs),
        "hit": float(np.mean([is_hit(one.attribution, one.single.mask) for one in pairs])),
        "mean_hit": float(np.mean([is_hit(one.mean, one.single.mask) for one in pairs])),
        "fell": float(np.mean([one.fell for one in pairs])),
    }


def main() -> None:
    options = Command(__doc__)
    options.add_argument("run")
    options.add_argument("--train", type=Path, required=True, help="the prepared folder the run was trained on")
    options.add_argument("--patients", type=int, default=150)
    options.add_argument("--pixels", type=int, default=256)
    options.result("--out", "evidence.json")
    chosen = options.parse_args()
    result = measure(ic.load(chosen.run), Prepared(chosen.train), chosen.patients, chosen.pixels)
    write_result(chosen.out, result)


if __name__ == "__main__":
    main()
