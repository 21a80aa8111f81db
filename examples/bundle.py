"""Copy a finished run into the package as the demo model: weights as float16, without checkpoints and logs.

python examples/bundle.py runs/demo --abstain-at 0.2
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.inference import DEMO

LIMIT = 10 * 2**20
"""Bytes."""
KEPT = ("name", "stage", "size", "version", "commit", "split_hash", "simulated", "stored_pixels", "seed", "hardware")
KEPT += ("training_cases", "training_patients", "training_answers", "selected", "steps", "calibrated", "seconds")
KEPT += ("finished", "data")
"""What the demo keeps of run.json."""


def bundle(run: Path, abstain_at: float | None) -> None:
    """Weights, config, tokenizer and a short run.json into src/intervalchange/demo."""
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    if not facts["finished"]:
        raise SystemExit(f"{run} has not finished")
    DEMO.mkdir(exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(run / name, DEMO / name)
    tensors = load_file(run / "model.safetensors")
    # Thresholds stay exact; half precision moves a probability by less than a thousandth.
    half = {
        name: value.half() if value.ndim > 1 and value.dtype == torch.float32 else value
        for name, value in tensors.items()
    }
    save_file(half, DEMO / "model.safetensors", metadata={"format": "pt"})
    short = {name: facts[name] for name in KEPT if name in facts} | {"name": "demo"}
    # The floors of `score` need the training answers of the difference question.
    if abstain_at is not None:
        short["abstain_at"] = abstain_at
    short["training_answers"] = {DIFFERENCE_QUESTION: facts["training_answers"][DIFFERENCE_QUESTION]}
    (DEMO / "run.json").write_text(json.dumps(short) + "\n", encoding="utf-8")
    size = sum(file.stat().st_size for file in DEMO.iterdir())
    if size > LIMIT:
        raise SystemExit(f"the model has {size / 2**20:.1f} MiB: the demo may not have more than {LIMIT / 2**20:.0f}")
    print(f"bundled {run} as the demo model: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run", type=Path)
    options.add_argument("--abstain-at", type=float, help="confidence below which it says that it is not sure")
    chosen = options.parse_args()
    bundle(chosen.run, chosen.abstain_at)
