"""Fix the thresholds of a finished run anew, on the validation patients of prepared folders.

python examples/calibrate.py runs/both --data prepared/sim --data prepared/nih
"""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

import intervalchange as ic
from intervalchange.config import TrainConfig
from intervalchange.training.run_folder import read_json, write_json
from intervalchange.training.sources import open_sources, validation_items
from intervalchange.training.trainer import batches


def calibrate(run: Path, data: list[Path]) -> dict[str, float]:
    """Thresholds on every validation case, as at the end of a training; into the run's weights and run.json."""
    model = ic.load(run).model
    items = validation_items(type(model), model.config, open_sources(data), TrainConfig())
    fixed = dict(model.calibrate(chain.from_iterable(batches(part, 32) for part in items.values())))
    model.save_pretrained(run)
    write_json(run / "run.json", {**read_json(run / "run.json"), "calibrated": fixed})
    return fixed


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run", type=Path)
    options.add_argument("--data", type=Path, action="append", required=True, help="prepared folder; may repeat")
    chosen = options.parse_args()
    print(calibrate(chosen.run, chosen.data))
