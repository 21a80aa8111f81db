"""Do films and reports help to answer? ReAl and C2F from an encoder of CM-CGNS, and from nothing, on equal steps.

    python benchmarks/pretrained_answers.py --train prepared/train128 --test prepared/eval128 --out runs/pretrained \\
        --minutes 8 --steps 800

Simulated; not a ranking on patients. One encoder per seed: `cm_cgns/align` and then `cm_cgns/reconstruct`, half of
--minutes each, on films and reports of the training patients. It has the shape of the encoder of both methods. ReAl has
--steps steps; C2F --steps in its last stage and the shares of ROWS in the others. With and without are compared by a
paired bootstrap over patients within a seed; metrics and the ends of intervals are averaged over the seeds.

Rerun it to resume. A pair of runs that stands in --results is not repeated on any machine.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness.command import Command
from harness.records import Interval, Options, Result, Row, Stage, Trial
from harness.tables import table_lines
from harness.trials import Results, store_regions, train_stages, two_processes
from table import PYRAMID, REAL, SHOWN

from intervalchange.evaluation.scoring.score import score
from intervalchange.inference import load
from intervalchange.runs import predict_to_file

TRAINING = {"train.epochs": 0, "train.eval_cases": 300, "train.augment": 0.5}
ENCODER = Row("encoder", (Stage("cm_cgns/align", 0.5), Stage("cm_cgns/reconstruct", 0.5)), options=PYRAMID)
REAL_ANSWER = Stage("real/answer", 1.0, {**REAL, "model.encoder_rate": 1.0})
FILM_STAGES = (Stage("c2f/anatomy", 0.25), Stage("c2f/diseases", 0.5))
ROWS = {
    "real": Row("real", (REAL_ANSWER,)),
    "c2f": Row("c2f", (*FILM_STAGES, Stage("c2f/align", 0.5), Stage("c2f/answer", 1.0))),
}
"""Method -> its stages, each with its share of --steps."""
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

    def encoder(self, stage: Stage, seed: int) -> Path:
        """Where a stage of the encoder of a seed is trained."""
        return self.out / f"{stage.short}.{seed}"


def train_encoder(plan: Plan, seed: int) -> Path:
    """The encoder of a seed."""

    def options(stage: Stage) -> Options:
        return {**TRAINING, **ENCODER.options, "train.minutes": plan.minutes * stage.share, "train.seed": seed}

    return train_stages(ENCODER.stages, plan.train, lambda stage: plan.encoder(stage, seed), options)


def answer(plan: Plan, trial: Trial) -> Path:
    """The stages of a method from one start, and its answers to the test questions."""
    store: Options = {}

    def options(stage: Stage) -> Options:
        steps = {"train.max_steps": round(stage.share * plan.steps), "train.seed": trial.seed}
        return {**TRAINING, **stage.options, **store, **steps}

    def folder(stage: Stage) -> Path:
        return plan.out / f"{trial.name}.{stage.short}"

    source = plan.encoder(ENCODER.stages[-1], trial.seed) if trial.start == STARTS[1] else None
    stages = trial.row.stages
    if stages[: len(FILM_STAGES)] == FILM_STAGES:
        source = train_stages(FILM_STAGES, plan.train, folder, options, source)
        store["model.region_store"] = store_regions(source, plan.train)
        stages = stages[len(FILM_STAGES) :]
    run = train_stages(stages, plan.train, folder, options, source)
    answers = plan.out / f"{trial.name}.jsonl"
    predict_to_file(load(run), plan.test, answers, conditions=("given", "swap"))
    return answers


def pair(method: str, seed: int, files: list[Path]) -> Result:
    """A method with one seed from both starts, and what the encoder adds. files: as STARTS."""
    together = score(files, meteor=False)
    kept = [f"{name}{end}" for name in (*SHOWN, QUESTION_ONLY) for end in ("", ".low", ".high")]
    paired = together.paired[files[1].name]
    values = {
        "starts": {
            start: {name: one.metrics[name] for name in kept if name in one.metrics}
            for start, one in zip(STARTS, together.files, strict=True)
        },
        "gain": {end or "value": paired[f"{SHOWN[0]}{end}"] for end in ("", ".low", ".high")},
    }
    return Result({"method": method, "seed": seed}, values)


def lines(pairs: list[dict[str, Any]]) -> list[str]:
    """The table in Markdown."""
    rows = []
    for method in ROWS:
        own = [one for one in pairs if one["method"] == method]
        if own:
            reached = [np.mean([one["starts"][start][SHOWN[0]] for one in own]) for start in STARTS]
            floor = np.mean([one["starts"][STARTS[0]][QUESTION_ONLY] for one in own])
            gains = (Interval(*(one["gain"][end] for end in ("value", ".low", ".high"))) for one in own)
            numbers = (f"{reached[0]:.3f}", f"{reached[1]:.3f}", Interval.mean(gains).text("+.3f"), f"{floor:.3f}")
            rows.append((method, *numbers, str(len(own))))
    head = ("method", "change F1 from nothing", "from CM-CGNS", "gain (95%)", "floor", "seeds")
    return list(table_lines(head, rows))


def main() -> None:
    options = Command(__doc__, "train", "test", "out")
    options.add_argument("--minutes", type=float, default=8.0, help="CPU minutes of pre-training")
    options.add_argument("--steps", type=int, default=800, help="of the answering stage")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--methods", nargs="+", choices=tuple(ROWS), default=list(ROWS))
    options.result("--results", "pretrained_answers.json")
    chosen = options.parse_args()
    plan = Plan(chosen.train, chosen.test, chosen.out, chosen.minutes, chosen.steps)
    chosen.out.mkdir(parents=True, exist_ok=True)
    identity = ("method", "seed")
    settings = {"minutes": chosen.minutes, "steps": chosen.steps}
    results = Results(chosen.results, settings, "pairs", identity, lambda one: tuple(one[name] for name in identity))
    todo = [(name, seed) for seed in range(chosen.seeds) for name in chosen.methods if not results.has(name, seed)]
    trials = [Trial(ROWS[name], seed, start) for name, seed in todo for start in STARTS]
    with two_processes() as pool:
        seeds = sorted({seed for _, seed in todo})
        list(pool.map(train_encoder, [plan] * len(seeds), seeds))
        files = pool.map(answer, [plan] * len(trials), trials)
        for method, seed in todo:
            results.add(pair(method, seed, list(itertools.islice(files, len(STARTS)))))
    text = "\n".join(lines(results.entries))
    results.write_markdown(text)
    print(text)


if __name__ == "__main__":
    main()
