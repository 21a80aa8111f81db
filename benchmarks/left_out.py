"""What each source of supervision, and each idea of the recipe, is worth: each left out once, on equal CPU minutes.

    python benchmarks/left_out.py --simulated prepared/sim --nih prepared/nih \\
        --longitudinal ../shared/data/cxr_longitudinal --out runs/left_out --minutes 10

Every row is `set_difference/answer --size both` from ImageNet on both prepared folders (1:1), one thing left out
(ROWS), --minutes of one core's CPU time. Measured in three worlds, on films of patients that no row learns from: the
validation patients of both folders, and films of other hospitals. The NIH test patients are not looked at.

    nih.auroc.mean8, simulated.auroc.mean8       films with a label against films without it (MEAN8 of real_films.py)
    nih.direction.pooled, simulated....          pairs whose label differs: new against resolved, by the logits
    longitudinal.direction.auc, .brixia.rho      as real_films.py

Rerun it to resume: what stands in --results is not measured again. `--rows` and `--seeds` choose; `--processes` rows
are trained side by side.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from harness.command import Command
from harness.records import Interval, Options, Result, Row, Trial
from harness.tables import table_lines
from harness.trials import Results
from real_films import MEAN8, Metrics, Run, column, measure_longitudinal

from intervalchange.data.batch import collate
from intervalchange.data.dataset import FilmDataset
from intervalchange.data.prepared import Prepared
from intervalchange.findings import FINDINGS
from intervalchange.training import train

NIH_LABELS, SIMULATED_LABELS = "NIH labels", "simulated labels"
ROWS = (
    Row("nothing"),
    Row(NIH_LABELS),
    Row(SIMULATED_LABELS),
    Row("masks", options={"model.locations_weight": 0.0}),
    Row("opacity maps", options={"model.opacity_weight": 0.0}),
    Row("ImageNet", options={"model.trunk_weights": "", "model.trunk_frozen": 0, "model.trunk_rate": 1.0}),
    Row("augmentation", options={"train.augment": 0.0, "train.equalise": 0.0}),
    Row("the whole film", options={"model.whole_film": False}),
    Row("even rates", options={"model.even_rates": False}),
    Row("strangers", options={"model.strangers_weight": 0.0}),
    Row("lone films", options={"model.lone_films": False}),
    Row("the pair branch", options={"model.pair": False, "model.strangers_weight": 0.0}),
)
SHORT: Options = {"train.average": 0.0, "train.eval_every": 0}
"""An average over 500 steps would be of the start in a run this short; one validation at its end."""
SHOWN = {
    "nih.auroc.mean8": "NIH mean8",
    "nih.direction.pooled": "NIH direction",
    "longitudinal.direction.auc": "other hospitals, direction",
    "longitudinal.brixia.rho": "other hospitals, Brixia",
    "simulated.auroc.mean8": "simulated mean8",
    "simulated.direction.pooled": "simulated direction",
}


def without_labels(data: Path, out: Path) -> Path:
    """A prepared folder whose films have no label and no level: masks, maps and pixels stay (as links)."""
    if not out.is_dir():
        part = out.with_name(out.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(data, part, copy_function=os.link)
        studies = pd.read_parquet(data / "studies.parquet")
        studies["findings"] = studies["levels"] = "{}"
        (part / "studies.parquet").unlink()
        studies.to_parquet(part / "studies.parquet")
        part.rename(out)
    return out


def measure_prepared(run: Run, prepared: Prepared, name: str, metrics: Metrics) -> None:
    """Labels of the validation films, and the direction in validation pairs."""
    films = FilmDataset(prepared, "val", run.predictor.model.config.pixels)
    parts, labels = [], []
    for start in range(0, len(films), 64):
        batch = collate([films[index] for index in range(start, min(start + 64, len(films)))])
        with torch.no_grad():
            logits = run.predictor.model.finding_logits(batch.current)
        assert logits is not None
        parts.append(logits.float().numpy())
        labels.append(batch.findings_current.numpy())
    scores, known = np.concatenate(parts), np.concatenate(labels)
    columns = []
    for finding in MEAN8:
        label = known[:, FINDINGS.index(finding)]
        if np.isnan(label).any() or len(set(label)) < 2:
            continue
        columns.append((label, column(scores, [finding])))
    metrics.put_mean_auc(f"{name}.auroc.mean8", columns, films.patient_ids)
    metrics.values[f"{name}.auroc.mean8.findings"] = len(columns)
    row_of = {study: row for row, study in enumerate(films.studies.tolist())}
    _measure_direction(prepared, row_of, scores, known, name, metrics)


def _measure_direction(
    prepared: Prepared, row_of: dict[int, int], scores: np.ndarray, known: np.ndarray, name: str, metrics: Metrics
) -> None:
    cases = prepared.cases.iloc[prepared.case_rows("val", ("difference",))]
    current = np.array([row_of[study] for study in cases.current])
    prior = np.array([row_of[study] for study in cases.prior])
    step, score = known[current] - known[prior], scores[current] - scores[prior]
    differs = (step != 0) & ~np.isnan(step)
    patients = np.broadcast_to(cases.patient_id.to_numpy()[:, None], step.shape)[differs]
    metrics.put_mean_auc(
        f"{name}.direction.pooled", [((step[differs] > 0).astype(float), score[differs])], patients.tolist()
    )


def run_trial(trial: Trial, chosen: Any) -> dict[str, Any]:
    """Train one row and measure it in the three worlds."""
    simulated: Path = chosen.simulated
    if trial.row.name == SIMULATED_LABELS:
        simulated = without_labels(simulated, chosen.out / "without_labels")
    data = [simulated] if trial.row.name == NIH_LABELS else [simulated, chosen.nih]
    options = {**SHORT, **trial.row.options, "train.minutes": chosen.minutes, "train.seed": trial.seed}
    folder = train("set_difference/answer", data, chosen.out / trial.name, "both", overrides=options)
    run, metrics = Run(str(folder)), Metrics({})
    measure_prepared(run, Prepared(chosen.nih), "nih", metrics)
    measure_prepared(run, Prepared(chosen.simulated), "simulated", metrics)
    measure_longitudinal(run, chosen.longitudinal, metrics)
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    metrics.values["steps"] = max(int(line.get("step", 0)) for line in log)
    return metrics.values


def markdown(entries: list[dict[str, Any]]) -> str:
    """The table: a row per thing left out, means over the seeds."""
    rows = []
    for row in ROWS:
        of_row = [entry for entry in entries if entry["left_out"] == row.name]
        if of_row:
            cells = [Interval.mean(Interval.of(entry, name) for entry in of_row).text() for name in SHOWN]
            rows.append([row.name, str(len(of_row)), *cells])
    return "\n".join(table_lines(["left out", "seeds", *SHOWN.values()], rows))


def main() -> None:
    options = Command(__doc__, "simulated", "nih", "longitudinal", "out")
    options.add_argument("--minutes", type=float, default=10.0, help="CPU minutes of a row")
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--rows", nargs="+", default=[row.name for row in ROWS], choices=[row.name for row in ROWS])
    options.add_argument("--processes", type=int, default=2)
    options.result("--results", "left_out.json")
    chosen = options.parse_args()
    names = [row.name for row in ROWS]
    results = Results(
        chosen.results, {"minutes": chosen.minutes}, "rows", ("left_out", "seed"),
        lambda entry: (names.index(entry["left_out"]), entry["seed"]),
    )  # fmt: skip
    trials = [Trial(row, seed) for seed in range(chosen.seeds) for row in ROWS if row.name in chosen.rows]
    trials = [trial for trial in trials if not results.has(trial.row.name, trial.seed)]
    with ProcessPoolExecutor(
        chosen.processes, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        waiting = {pool.submit(run_trial, trial, chosen): trial for trial in trials}
        for done in as_completed(waiting):
            trial = waiting[done]
            results.add(Result({"left_out": trial.row.name, "seed": trial.seed}, done.result()))
            results.write_markdown(markdown(results.entries))
            print(trial.name, json.dumps({name: results.entries[-1].get(name) for name in SHOWN}))


if __name__ == "__main__":
    main()
