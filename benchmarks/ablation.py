"""The three rows of ReAl's ablation on one simulated cohort: no residual, + residual, + alignment; three seeds each.

    python benchmarks/ablation.py --train prepared/train --test prepared/eval --out runs/ablation --minutes 12

The paper starts from encoders pre-trained on a million images. From nothing, these minutes are not enough to learn to
read films (docs/log.md), so every run starts E_I and E_R from one small encoder trained first, for --encoder-minutes,
by set_difference on the finding labels and masks of the same training patients. The rows themselves learn from answers.

Every row has the same CPU minutes. Rerun it to resume. The seeds of a row are pooled (each case once per seed) and rows
are compared by a paired bootstrap over patients. The paper's table has no readable numbers.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from harness.answers import pool_rows
from harness.command import Command, write_result
from harness.records import Options, Row, Stage, Trial
from harness.trials import train_stages, two_processes
from table import ENCODER, REAL

from intervalchange.evaluation.scoring.score import score
from intervalchange.inference import load
from intervalchange.runs import predict_to_file
from intervalchange.training import train

ROWS = (
    Row("no residual", options={"model.residual": False, "model.alignment": False}),
    Row("residual", options={"model.alignment": False}),
    Row("residual + alignment"),
)
BUDGET = {"train.epochs": 0}
START: Options = {**ENCODER, **BUDGET, "train.augment": 0.5, "train.eval_cases": 200}
SIZE: Options = {name: value for name, value in REAL.items() if name != "train.learning_rate"}
"""About a million parameters at 128 px with a short decoder of its own: several epochs fit into a few CPU minutes."""


def train_encoder(minutes: float, data: Path, out: Path) -> None:
    """The encoder that every run starts from."""
    train("set_difference/answer", data, out / "encoder", overrides={**START, "train.minutes": minutes})


def run(trial: Trial, minutes: float, data: Path, test: Path, out: Path) -> Path:
    """Train one row with one seed and answer the test cohort; returns the predictions file."""
    start = {"model.backbone_weights": str(out / "encoder"), "train.seed": trial.seed, "train.minutes": minutes}
    changes = {**SIZE, **BUDGET, "train.augment": 0.0, **trial.row.options, **start}
    folder = train_stages((Stage("real/answer"),), data, lambda _: out / trial.name, lambda _: changes)
    answers = out / f"{trial.name}.jsonl"
    predict_to_file(load(folder), test, answers, conditions=("given", "swap"))
    return answers


def main() -> None:
    options = Command(__doc__, "train", "test", "out")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--minutes", type=float, default=12.0, help="CPU minutes per run")
    options.add_argument("--encoder-minutes", type=float, default=9.0, help="CPU minutes of the encoder")
    options.result("--results", "real_ablation.json")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    trials = [Trial(row, seed) for seed in range(chosen.seeds) for row in ROWS]
    work = partial(run, minutes=chosen.minutes, data=chosen.train, test=chosen.test, out=chosen.out)
    with two_processes() as pool:
        pool.submit(train_encoder, chosen.encoder_minutes, chosen.train, chosen.out).result()
        files = dict(zip([trial.name for trial in trials], pool.map(work, trials), strict=True))
    answers = {row.name: [files[Trial(row, seed).name] for seed in range(chosen.seeds)] for row in ROWS}
    pooled = pool_rows(answers, chosen.out, "floors.question_only.change")
    result = {
        "minutes": chosen.minutes,
        "encoder_minutes": chosen.encoder_minutes,
        "rows": pooled.rows,
        "against_no_residual": pooled.paired,
        "residual_to_alignment": score(pooled.files[1:], meteor=False).paired,
    }
    write_result(chosen.results, result)


if __name__ == "__main__":
    main()
