"""Are healthy people different people? Noise-free standard films of healthy chests of two seeds, compared in pairs.

    python benchmarks/healthy.py --patients 150

Prints the highest correlation between the films of any two patients, within a seed and across the two. A shared vessel
tree, anatomy or pixel would show as a correlation near 1. Also counts ids and film hashes that the seeds share.
"""

from __future__ import annotations

import hashlib

import numpy as np
from harness.command import Command, write_result

from intervalchange.simulation.anatomy import sample_anatomy
from intervalchange.simulation.identifiers import subject_id
from intervalchange.simulation.rendering import render
from intervalchange.simulation.scene import REFERENCE, State


def healthy_film(seed: int, index: int, pixels: int) -> np.ndarray:
    """The standard film of patient `index` without any lesion: anatomy drawn as `simulate_patient` draws it."""
    anatomy_stream = np.random.SeedSequence([seed, index]).spawn(4)[0]
    return render(sample_anatomy(np.random.default_rng(anatomy_stream)), State(), REFERENCE, pixels, truth=False).pixels


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--patients", type=int, default=150, help="of each seed")
    options.add_argument("--seeds", type=int, nargs=2, default=(0, 1))
    options.add_argument("--pixels", type=int, default=128)
    options.result("--out", "healthy.json")
    chosen = options.parse_args()
    keys = [(seed, index) for seed in chosen.seeds for index in range(chosen.patients)]
    films = np.stack([healthy_film(seed, index, chosen.pixels).ravel() for seed, index in keys])
    correlation = np.corrcoef(films)
    np.fill_diagonal(correlation, -1)
    highest = np.unravel_index(int(correlation.argmax()), correlation.shape)
    halves = range(chosen.patients), range(chosen.patients, len(keys))
    hashes = [{hashlib.sha256(films[row].tobytes()).digest() for row in half} for half in halves]
    names = [{subject_id(*keys[row]) for row in half} for half in halves]
    result = {
        "patients": len(keys),
        "pairs": len(keys) * (len(keys) - 1) // 2,
        "pixels": chosen.pixels,
        "highest_correlation": float(correlation.max()),
        "between": [list(keys[row]) for row in highest],
        "mean_of_the_nearest_neighbour": float(correlation.max(axis=1).mean()),
        "shared_ids": len(names[0] & names[1]),
        "shared_film_hashes": len(hashes[0] & hashes[1]),
    }
    write_result(chosen.out, result)


if __name__ == "__main__":
    main()
