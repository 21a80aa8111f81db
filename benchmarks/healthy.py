"""Are healthy people different people? Noise-free standard films of healthy chests of two seeds, compared in pairs.

    python benchmarks/healthy.py --patients 150

Prints the highest correlation between the films of any two patients, within a seed and across the two. A shared vessel
tree, anatomy or pixel would show as a correlation near 1. Also counts ids and film hashes that the seeds share.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from intervalchange.simulation.anatomy import sample_anatomy
from intervalchange.simulation.identifiers import subject_id
from intervalchange.simulation.rendering import render
from intervalchange.simulation.scene import REFERENCE, State


def healthy_film(seed: int, index: int, pixels: int) -> np.ndarray:
    """The standard film of patient `index` without any lesion: anatomy drawn as `simulate_patient` draws it."""
    anatomy_stream = np.random.SeedSequence([seed, index]).spawn(4)[0]
    return render(sample_anatomy(np.random.default_rng(anatomy_stream)), State(), REFERENCE, pixels, truth=False).pixels


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--patients", type=int, default=150, help="of each seed")
    options.add_argument("--seeds", type=int, nargs=2, default=(0, 1))
    options.add_argument("--pixels", type=int, default=128)
    options.add_argument("--out", type=Path, default=Path("benchmarks/results/healthy.json"))
    chosen = options.parse_args()
    keys = [(seed, index) for seed in chosen.seeds for index in range(chosen.patients)]
    films = np.stack([healthy_film(seed, index, chosen.pixels).ravel() for seed, index in keys])
    correlation = np.corrcoef(films)
    np.fill_diagonal(correlation, -1)
    highest = np.unravel_index(int(correlation.argmax()), correlation.shape)
    hashes = [{hashlib.sha256(films[place].tobytes()).digest() for place in half} for half in _halves(len(keys))]
    names = [{subject_id(*keys[place]) for place in half} for half in _halves(len(keys))]
    result = {
        "patients": len(keys),
        "pairs": len(keys) * (len(keys) - 1) // 2,
        "pixels": chosen.pixels,
        "highest_correlation": float(correlation.max()),
        "between": [list(keys[place]) for place in highest],
        "mean_of_the_nearest_neighbour": float(correlation.max(axis=1).mean()),
        "shared_ids": len(names[0] & names[1]),
        "shared_film_hashes": len(hashes[0] & hashes[1]),
    }
    chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def _halves(count: int) -> tuple[range, range]:
    return range(count // 2), range(count // 2, count)


if __name__ == "__main__":
    main()
