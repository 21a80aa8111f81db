"""The rows of C2F's ablation on one simulated cohort: full, without stage 1, contrast, graph, difference; S for D.

    python benchmarks/c2f_ablation.py --train prepared/train128 --test prepared/eval128 --out runs/c2f_ablation

The film stages are trained once (--anatomy-minutes, --diseases-minutes) and their regions stored once beside the
training data; every row reads the same store. A row has --align-minutes for its first and --answer-minutes for its
second stage; the row without a first stage answers for both, so that all have the same CPU minutes. Three seeds each.

Interrupted, the same command continues: finished runs and answered cases are left as they are. The seeds of a row are
pooled (each case once a seed); rows are compared with `full` by a paired bootstrap over patients. `blank` is the full
model with both films blank, beside the question-only floor that `score` prints.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from ablation import pooled

from intervalchange.data.prepared import Prepared
from intervalchange.data.region_store import KEPT, weight_hash, write_region_store
from intervalchange.evaluation.scoring.score import score
from intervalchange.inference import load
from intervalchange.inference import predict_to_file as predict
from intervalchange.training import train

NO_CONTRAST = {"model.coarse_weight": 0.0, "model.fine_weight": 0.0}
ROWS: dict[str, dict[str, Any]] = {
    "full": {},
    "no stage 1": {},
    "no contrast": NO_CONTRAST,
    "no graph": {"model.graph": False},
    "no difference": {"model.difference": False},
    "S": {"model.pairing": "S"},
}
SHOWN = ("change.findings.micro.f1", "change.micro.f1", "change.false_change.rate", "text.bleu4", "text.cider_d")


@dataclass(frozen=True)
class Plan:
    """What every run of the table shares."""

    data: Path
    test: Path
    out: Path
    anatomy: float
    diseases: float
    align: float
    answer: float


def budget(minutes: float, **more: Any) -> dict[str, Any]:
    """Overrides of a run that ends by its CPU minutes alone."""
    return {"train.epochs": 0, "train.minutes": minutes, "train.eval_every": 200, **more}


def see(plan: Plan) -> Path:
    """The two film stages, and the store of what they see in the training films; returns the run of the second."""
    torch.set_num_threads(1)
    anatomy, diseases = plan.out / "anatomy", plan.out / "diseases"
    train("c2f/anatomy", plan.data, anatomy, overrides=budget(plan.anatomy))
    train("c2f/diseases", plan.data, diseases, sources=[anatomy], overrides=budget(plan.diseases))
    write_region_store(Prepared(plan.data), load(diseases).model)
    return diseases


def named(row: str, seed: int) -> str:
    return f"{row.replace(' ', '_')}.{seed}"


def run(job: tuple[Plan, str, int]) -> Path:
    """Both stages of one row with one seed on one core; answers of the test cohort; returns the predictions file."""
    plan, row, seed = job
    torch.set_num_threads(1)
    diseases, name = plan.out / "diseases", named(row, seed)
    model = load(diseases).model
    changes = {**ROWS[row], "train.seed": seed, "model.region_store": model_hash(model)}
    source, minutes = diseases, plan.answer
    if row == "no stage 1":
        minutes += plan.align
    else:
        source = plan.out / f"align.{name}"
        train("c2f/align", plan.data, source, sources=[diseases], overrides=budget(plan.align, **changes))
    folder = plan.out / f"answer.{name}"
    train("c2f/answer", plan.data, folder, sources=[source], overrides=budget(minutes, **changes))
    answers = plan.out / f"{name}.jsonl"
    predict(load(folder), plan.test, answers, conditions=("given", "swap", "blank") if row == "full" else ("given",))
    return answers


def model_hash(model: Any) -> str:
    """First digits of the hash of a run's film part: the name of its store."""
    return weight_hash(model.vision.state_dict())[:KEPT]


def metrics(file: Path) -> dict[str, float]:
    """The figures of one predictions file that the table shows."""
    return {name: score(file, meteor=False).files[0].metrics[name] for name in SHOWN}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "test", "out"):
        options.add_argument(f"--{name}", type=Path, required=True)
    options.add_argument("--seeds", type=int, default=3)
    for name, minutes in (("anatomy", 3.0), ("diseases", 20.0), ("align", 4.0), ("answer", 8.0)):
        options.add_argument(f"--{name}-minutes", type=float, default=minutes, help="CPU minutes")
    options.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=list(ROWS), help="only these")
    options.add_argument("--results", type=Path, default=Path("benchmarks/results/c2f_ablation.json"))
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    minutes = (chosen.anatomy_minutes, chosen.diseases_minutes, chosen.align_minutes, chosen.answer_minutes)
    plan = Plan(chosen.train, chosen.test, chosen.out, *minutes)
    jobs = [(plan, row, seed) for seed in range(chosen.seeds) for row in chosen.rows]
    # One core each: two runs at a time use both, and a run's budget is not shared with its neighbour.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        diseases = pool.submit(see, plan).result()
        answers = dict(zip([(row, seed) for _, row, seed in jobs], pool.map(run, jobs), strict=True))
    films = load(diseases).metrics(Prepared(plan.test), "test")
    files = {row: [answers[row, seed] for seed in range(chosen.seeds)] for row in chosen.rows}
    together = score([pooled(row, files[row], chosen.out) for row in chosen.rows], meteor=False)
    kept = (*SHOWN, "floors.")
    result = {
        "minutes": dict(zip(("anatomy", "diseases", "align", "answer"), minutes, strict=True)),
        "films": films,
        "rows": {
            row: {
                "seeds": [metrics(file) for file in files[row]],
                "pooled": {key: value for key, value in one.metrics.items() if key.startswith(kept)},
            }
            for row, one in zip(chosen.rows, together.files, strict=True)
        },
        "against_the_first": together.paired,
    }
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    chosen.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
