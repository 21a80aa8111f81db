"""Do films and reports help to answer? ReAl and C2F from an encoder of CM-CGNS, and from nothing, on equal steps.

    python benchmarks/pretrained_answers.py --train prepared/train128 --test prepared/eval128 --out runs/pretrained \\
        --minutes 8 --steps 800

Simulated; not a ranking on patients. One encoder a seed: `cm_cgns/align` and then `cm_cgns/reconstruct`, half of
--minutes each, on films and reports of the training patients. It has the shape that both methods read films with. ReAl
has --steps steps; C2F --steps in its last stage and the parts of STAGES in the others. With and without are compared by
a paired bootstrap over patients within a seed; figures and the ends of intervals are averaged over the seeds.

Interrupted, the same command continues. A pair of runs that stands in --results is not made again, on no machine.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from table import PYRAMID, REAL, SHOWN, Stage

from intervalchange.data.prepared import Prepared
from intervalchange.data.region_store import KEPT, weight_hash, write_region_store
from intervalchange.evaluation.scoring.score import score
from intervalchange.inference import load
from intervalchange.inference import predict_to_file as predict
from intervalchange.training import train

TRAINING = {"train.epochs": 0, "train.eval_cases": 300, "train.augment": 0.5}
STAGES: dict[str, tuple[Stage, ...]] = {
    "real": (Stage("real/answer", 1.0, {**REAL, "model.encoder_rate": 1.0}),),
    "c2f": (
        Stage("c2f/anatomy", 0.25),
        Stage("c2f/diseases", 0.5),
        Stage("c2f/align", 0.5),
        Stage("c2f/answer", 1.0),
    ),
}
"""Method -> its stages, each with its part of --steps."""
STARTS = ("nothing", "CM-CGNS")
QUESTION_ONLY = f"floors.question_only.{SHOWN[0]}"


@dataclass(frozen=True)
class Plan:
    """What all runs share."""

    train: Path
    test: Path
    out: Path
    minutes: float
    steps: int


def encoder(job: tuple[Plan, int]) -> Path:
    """The encoder of a seed."""
    plan, seed = job
    torch.set_num_threads(1)
    options = {**TRAINING, **PYRAMID, "train.minutes": plan.minutes / 2, "train.seed": seed}
    run = train("cm_cgns/align", plan.train, plan.out / f"align.{seed}", overrides=options)
    folder = plan.out / f"reconstruct.{seed}"
    return train("cm_cgns/reconstruct", plan.train, folder, sources=[run], overrides=options)


def answers(job: tuple[Plan, str, int, str]) -> Path:
    """The stages of a method from one start, and its answers to the test questions."""
    plan, method, seed, start = job
    torch.set_num_threads(1)
    source = plan.out / f"reconstruct.{seed}" if start == "CM-CGNS" else None
    store: dict[str, Any] = {}
    for stage in STAGES[method]:
        folder = plan.out / f"{method}.{seed}.{start}.{stage.name.split('/')[1]}"
        options = {**TRAINING, **stage.options, **store, "train.max_steps": round(stage.share * plan.steps)}
        options["train.seed"] = seed
        train(stage.name, plan.train, folder, sources=[source] if source else [], overrides=options)
        source = folder
        if stage.name == "c2f/diseases":
            model = load(folder).model
            write_region_store(Prepared(plan.train), model)
            store = {"model.region_store": weight_hash(model.vision.state_dict())[:KEPT]}
    assert source is not None
    said = plan.out / f"{method}.{seed}.{start}.jsonl"
    predict(load(source), plan.test, said, conditions=("given", "swap"))
    return said


def pair(method: str, seed: int, files: list[Path]) -> dict[str, Any]:
    """A method with one seed from both starts, and what the encoder adds. files: as STARTS."""
    together = score(files, meteor=False)
    kept = [f"{name}{end}" for name in (*SHOWN, QUESTION_ONLY) for end in ("", ".low", ".high")]
    return {
        "method": method,
        "seed": seed,
        "starts": {
            start: {name: one.metrics[name] for name in kept if name in one.metrics}
            for start, one in zip(STARTS, together.files, strict=True)
        },
        "gain": {end or "value": together.paired[files[1].name][f"{SHOWN[0]}{end}"] for end in ("", ".low", ".high")},
    }


def lines(pairs: list[dict[str, Any]]) -> list[str]:
    """The table in Markdown."""
    text = [
        "| method | change F1 from nothing | from CM-CGNS | gain (95%) | floor | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for method in STAGES:
        own = [one for one in pairs if one["method"] == method]
        if own:
            reached = [float(np.mean([one["starts"][start][SHOWN[0]] for one in own])) for start in STARTS]
            floor = float(np.mean([one["starts"][STARTS[0]][QUESTION_ONLY] for one in own]))
            value, low, high = (float(np.mean([one["gain"][end] for one in own])) for end in ("value", ".low", ".high"))
            gain = f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
            text.append(f"| {method} | {reached[0]:.3f} | {reached[1]:.3f} | {gain} | {floor:.3f} | {len(own)} |")
    return text


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "test", "out"):
        options.add_argument(f"--{name}", type=Path, required=True)
    options.add_argument("--minutes", type=float, default=8.0, help="CPU minutes of pre-training")
    options.add_argument("--steps", type=int, default=800, help="of the answering stage")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--methods", nargs="+", choices=tuple(STAGES), default=list(STAGES))
    options.add_argument("--results", type=Path, default=Path("benchmarks/results/pretrained_answers.json"))
    chosen = options.parse_args()
    plan = Plan(chosen.train, chosen.test, chosen.out, chosen.minutes, chosen.steps)
    chosen.out.mkdir(parents=True, exist_ok=True)
    facts = {"minutes": chosen.minutes, "steps": chosen.steps}
    pairs: list[dict[str, Any]] = []
    if chosen.results.is_file():
        found = json.loads(chosen.results.read_text(encoding="utf-8"))
        if any(found[name] != value for name, value in facts.items()):
            raise SystemExit(f"{chosen.results} was measured otherwise: give another --results, or its options.")
        pairs = found["pairs"]
    there = {(one["method"], one["seed"]) for one in pairs}
    jobs = [(plan, name, seed) for seed in range(chosen.seeds) for name in chosen.methods if (name, seed) not in there]
    # One core each: two at a time use both.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(encoder, [(plan, seed) for seed in sorted({seed for _, _, seed in jobs})]))
        files = list(pool.map(answers, [(*job, start) for job in jobs for start in STARTS]))
    by_start = [files[place :: len(STARTS)] for place in range(len(STARTS))]
    for (_, method, seed), *own in zip(jobs, *by_start, strict=True):
        pairs.append(pair(method, seed, own))
    pairs.sort(key=lambda one: (one["method"], one["seed"]))
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    chosen.results.write_text(json.dumps({**facts, "pairs": pairs}, indent=1) + "\n", encoding="utf-8")
    text = "\n".join(lines(pairs))
    chosen.results.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
