"""The rows of C2F's ablation on one simulated cohort: full, without stage 1, contrast, graph, difference; S for D.

    python benchmarks/c2f_ablation.py --train prepared/train128 --test prepared/eval128 --out runs/c2f_ablation

The film stages are trained once (--anatomy-minutes, --diseases-minutes) and their regions stored once beside the
training data; every row reads the same store. A row has --align-minutes for its first and --answer-minutes for its
second stage; the row without a first stage answers for both, so that all have the same CPU minutes. Three seeds each.

Rerun it to resume: finished runs and answered cases stay as they are. The seeds of a row are pooled (each case once per
seed); rows are compared with `full` by a paired bootstrap over patients. `blank` is the full model with both films
blank, beside the question-only floor that `score` prints.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.answers import pool_rows
from harness.command import Command, write_result
from harness.records import Options, Row, Stage, Trial
from harness.trials import region_store, store_regions, train_stages, two_processes

from intervalchange.data.prepared import Prepared
from intervalchange.inference import load
from intervalchange.runs import predict_to_file

FILM_STAGES = (Stage("c2f/anatomy"), Stage("c2f/diseases"))
ALIGN, ANSWER = Stage("c2f/align"), Stage("c2f/answer")
ROWS = {
    row.name: row
    for row in (
        Row("full", (ALIGN, ANSWER)),
        Row("no stage 1", (ANSWER,)),
        Row("no contrast", (ALIGN, ANSWER), options={"model.coarse_weight": 0.0, "model.fine_weight": 0.0}),
        Row("no graph", (ALIGN, ANSWER), options={"model.graph": False}),
        Row("no difference", (ALIGN, ANSWER), options={"model.difference": False}),
        Row("S", (ALIGN, ANSWER), options={"model.pairing": "S"}),
    )
}


@dataclass(frozen=True)
class Minutes:
    """CPU minutes of each stage."""

    anatomy: float = 3.0
    diseases: float = 20.0
    align: float = 4.0
    answer: float = 8.0

    def budget(self, stage: Stage, row: Row | None = None) -> Options:
        """Overrides of a run that ends by its CPU minutes alone. A row of one stage has the minutes of both."""
        minutes = getattr(self, stage.short) + (self.align if row and len(row.stages) == 1 else 0.0)
        return {"train.epochs": 0, "train.minutes": minutes, "train.eval_every": 200}


def train_films(data: Path, out: Path, minutes: Minutes) -> Path:
    """The two film stages, and the store of what they see in the training films; returns the run of the second."""
    run = train_stages(FILM_STAGES, data, lambda stage: out / stage.short, minutes.budget)
    store_regions(run, data)
    return run


def run(trial: Trial, data: Path, test: Path, out: Path, minutes: Minutes) -> Path:
    """The stages of one row with one seed, and its answers to the test cohort; returns the predictions file."""
    row, diseases = trial.row, out / "diseases"
    changes = {**row.options, "train.seed": trial.seed, "model.region_store": region_store(diseases)}
    folder = train_stages(
        row.stages,
        data,
        lambda stage: out / f"{stage.short}.{trial.name}",
        lambda stage: {**minutes.budget(stage, row), **changes},
        diseases,
    )
    answers = out / f"{trial.name}.jsonl"
    predict_to_file(
        load(folder), test, answers, conditions=("given", "swap", "blank") if row.name == "full" else ("given",)
    )
    return answers


def main() -> None:
    options = Command(__doc__, "train", "test", "out")
    options.add_argument("--seeds", type=int, default=3)
    for name, minutes in asdict(Minutes()).items():
        options.add_argument(f"--{name}-minutes", type=float, default=minutes, help="CPU minutes")
    options.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=list(ROWS), help="only these")
    options.result("--results", "c2f_ablation.json")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    budget = Minutes(chosen.anatomy_minutes, chosen.diseases_minutes, chosen.align_minutes, chosen.answer_minutes)
    shared: dict[str, Any] = {"data": chosen.train, "out": chosen.out, "minutes": budget}
    trials = [Trial(ROWS[name], seed) for seed in range(chosen.seeds) for name in chosen.rows]
    with two_processes() as pool:
        diseases = pool.submit(train_films, **shared).result()
        files = dict(
            zip(
                [trial.name for trial in trials],
                pool.map(partial(run, test=chosen.test, **shared), trials),
                strict=True,
            )
        )
    answers = {name: [files[Trial(ROWS[name], seed).name] for seed in range(chosen.seeds)] for name in chosen.rows}
    pooled = pool_rows(answers, chosen.out, "floors.")
    result = {
        "minutes": asdict(budget),
        "films": load(diseases).metrics(Prepared(chosen.test), "test"),
        "rows": pooled.rows,
        "against_the_first": pooled.paired,
    }
    write_result(chosen.results, result)


if __name__ == "__main__":
    main()
