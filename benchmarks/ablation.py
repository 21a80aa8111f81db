"""The three rows of ReAl's ablation on one simulated cohort: no residual, + residual, + alignment; three seeds each.

    python benchmarks/ablation.py --train prepared/train --test prepared/eval --out runs/ablation --minutes 12

The paper starts from encoders that have seen a million pictures. From nothing, these minutes are not enough to look at
the films (docs/log.md), so every run starts E_I and E_R from one small encoder trained first, for --encoder-minutes, by
set_difference on the finding labels and masks of the same training patients. What is compared learns from answers.

Every row has the same CPU minutes. Interrupted, the same command continues. The seeds of a row are pooled (each case
once a seed) and rows are compared by a paired bootstrap over patients. The paper's table has no readable numbers.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from intervalchange.evaluation.answers.predictions import read_predictions, write_predictions
from intervalchange.evaluation.scoring.score import score
from intervalchange.inference import load
from intervalchange.inference import predict_to_file as predict
from intervalchange.training import train

ROWS = {
    "no residual": {"model.residual": False, "model.alignment": False},
    "residual": {"model.alignment": False},
    "residual + alignment": {},
}


WIDTHS, WIDTH = [16, 32, 64, 96], 48
ENCODER = {
    "model.pixels": 128,
    "model.widths": WIDTHS,
    "model.width": WIDTH,
    "train.augment": 0.5,
    "train.precision": "bf16",
    "train.epochs": 0,
    "train.eval_cases": 200,
}
SIZE = {
    "model.backbone": "pyramid",
    "model.encoder_widths": WIDTHS,
    "model.pyramid_width": WIDTH,
    "model.queries": 8,
    "model.projection_width": 96,
    "model.projection_feedforward": 192,
    "model.decoder_width": 96,
    "model.decoder_layers": 1,
    "model.dropout": 0.0,
    "model.encoder_rate": 0.1,
    "train.augment": 0.0,
    "train.precision": "bf16",
    "train.epochs": 0,
}
"""About a million parameters at 128 px with a short decoder of its own: several epochs fit into a few CPU minutes."""


def train_encoder(minutes: float, data: str, out: str) -> None:
    """The encoder that every run starts from."""
    torch.set_num_threads(1)
    changes = {**ENCODER, "train.minutes": minutes}
    train("set_difference/answer", data, Path(out) / "encoder", size="small", overrides=changes)


def run(job: tuple[str, int, float, str, str, str]) -> Path:
    """Train one row with one seed on one core and answer the test cohort; returns the predictions file."""
    row, seed, minutes, data, test, out = job
    torch.set_num_threads(1)
    name = f"{row.replace(' ', '_').replace('+', 'and')}.{seed}"
    folder = Path(out) / name
    start = {"model.backbone_weights": str(Path(out) / "encoder"), "train.seed": seed, "train.minutes": minutes}
    changes = {**SIZE, **ROWS[row], **start}
    train("real/answer", data, folder, size="small", overrides=changes)
    answers = Path(out) / f"{name}.jsonl"
    predict(load(folder), Path(test), answers, conditions=("given", "swap"))
    return answers


def pooled(row: str, files: list[Path], out: Path) -> Path:
    """The answers of all seeds of a row in one file, each case once a seed."""
    provenance, together = None, []
    for seed, file in enumerate(files):
        provenance, predictions = read_predictions(file)
        together += [replace(item, case_id=f"{item.case_id}#{seed}") for item in predictions]
    path = out / f"{row.replace(' ', '_').replace('+', 'and')}.pooled.jsonl"
    write_predictions(path, together, provenance)
    return path


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--train", type=Path, required=True)
    options.add_argument("--test", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--minutes", type=float, default=12.0, help="CPU minutes a run")
    options.add_argument("--encoder-minutes", type=float, default=9.0, help="CPU minutes of the encoder")
    options.add_argument("--results", type=Path, default=Path("benchmarks/results/real_ablation.json"))
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    jobs = [
        (row, seed, chosen.minutes, str(chosen.train), str(chosen.test), str(chosen.out))
        for seed in range(chosen.seeds)
        for row in ROWS
    ]
    # One core each: two runs at a time use both, and a run's budget is not shared with its neighbour.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        pool.submit(train_encoder, chosen.encoder_minutes, str(chosen.train), str(chosen.out)).result()
        answers = dict(zip([(row, seed) for row, seed, *_ in jobs], pool.map(run, jobs), strict=True))
    files = [pooled(row, [answers[row, seed] for seed in range(chosen.seeds)], chosen.out) for row in ROWS]
    scores = score(files, meteor=False)
    each = {
        row: [score(answers[row, seed], meteor=False).files[0].metrics for seed in range(chosen.seeds)] for row in ROWS
    }
    shown = ("change.findings.micro.f1", "change.micro.f1", "change.false_change.rate", "text.bleu4", "text.cider_d")
    result = {
        "minutes": chosen.minutes,
        "encoder_minutes": chosen.encoder_minutes,
        "rows": {
            row: {
                "seeds": [{name: metrics[name] for name in shown} for metrics in each[row]],
                "pooled": {
                    key: value
                    for key, value in one.metrics.items()
                    if key.startswith((*shown, "floors.question_only.change"))
                },
            }
            for row, one in zip(ROWS, scores.files, strict=True)
        },
        "against_no_residual": scores.paired,
        "residual_to_alignment": score(files[1:], meteor=False).paired,
    }
    chosen.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
