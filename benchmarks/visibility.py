"""Which simulated findings carry a label: the share of each that is seen, and its contrast-to-noise ratio.

python benchmarks/visibility.py --patients 150 --seed 77
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from harness.command import Command

from intervalchange.simulation.cohort import simulate_patient
from intervalchange.simulation.visibility import CNR_THRESHOLD


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--patients", type=int, default=150)
    options.add_argument("--seed", type=int, default=77)
    chosen = options.parse_args()
    ratios: dict[str, list[float]] = defaultdict(list)
    for index in range(chosen.patients):
        for study in simulate_patient(chosen.seed, index, films=False).studies:
            for finding, ratio in study.cnr.items():
                ratios[finding].append(ratio)
    print(f"{'finding':34s} studies labelled  lower, middle, upper quarter of the ratio")
    for finding, found in sorted(ratios.items()):
        low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
        share = np.mean(np.array(found) >= CNR_THRESHOLD)
        print(f"{finding:34s} {len(found):7d} {share:8.2f}  {low:5.1f} {middle:5.1f} {high:5.1f}")


if __name__ == "__main__":
    main()
