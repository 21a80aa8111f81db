"""What is image-text pre-training good for? CM-CGNS, each of its four terms left out, and its relatives.

    python benchmarks/cm_cgns.py --train prepared/train --test prepared/eval --out runs/cm_cgns --minutes 8

Every row is an encoder trained for the same CPU minutes on the films and reports of the training patients, then frozen
and tested with heads trained on labels:

    linear probe     logistic regression on the pooled features, which are computed once: macro AUROC with 1, 10 and
                     100% of the training patients
    detection        `tasks/detection` on the frozen encoder, --head-minutes: mAP strict, and compat beside it
    segmentation     `tasks/segmentation` likewise: Dice of all films, of those with the finding, of all pixels as one
    zero-shot        no training: accuracy over the five classes of CheXpert, raw, and standardised by the films of val
    retrieval        no training: precision at 5, 10, 100 of reports of other patients

Two rows have no reports: an encoder of random weights, frozen, and one trained from scratch with each head for all of
the minutes. Every metric is on the test films alone, beside its floor. Differences of the probes are by the same draws
of patients within a seed; they and the ends of their intervals are averaged over the seeds (the test patients are the
same, so this is never narrower than the interval of the mean).

Rerun it to resume: what has finished is in the folder of its row and seed. When all rows of a seed have finished, it
goes into --results (JSON), and a seed that stands there is not repeated on any machine: delete its entry to repeat it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness.command import Command, write_json
from harness.film_vectors import FilmVectors, auroc_draws, encode_once, macro_auroc, value_and_interval
from harness.records import Interval, Options, Result, Row, Stage, Trial
from harness.tables import mean_and_deviation, table_lines
from harness.trials import Results, train_stages, two_processes
from probes import films, floors, validation_outputs
from torch import Tensor

from intervalchange.blocks.encoder_weights import encoder_options
from intervalchange.config import load_preset
from intervalchange.data.dataset import FilmDataset
from intervalchange.data.prepared import Prepared
from intervalchange.inference import load
from intervalchange.tasks.classification import CHEXPERT_TASKS, Classification, ClassificationConfig
from intervalchange.tasks.zero_shot import ZeroShotOptions
from intervalchange.training import train

SHARES = (0.01, 0.1, 1.0)
DECAYS = (1e-1, 1e-2, 1e-3, 1e-4)
"""Of the probe; chosen on validation."""
BOXED = ("pleural effusion", "consolidation", "pneumothorax")
OUTLINED = ("pleural effusion",)
TRAINING = {"train.epochs": 0, "train.eval_cases": 300, "train.augment": 0.5}
ALIGN = Stage("cm_cgns/align")
HALVES = (Stage("cm_cgns/align", 0.5), Stage("cm_cgns/reconstruct", 0.5))
SCRATCH, RANDOM = "from scratch", "random, frozen"


def rows_of(size: str) -> list[Row]:
    """The rows of the table; `size` is the preset of CM-CGNS. A row starts from its preset of `cm_cgns/align`."""
    return [
        Row("CM-CGNS", HALVES, size),
        Row("without the global term", HALVES, size, {"model.global_weight": 0.0}),
        Row("without the local image term", HALVES, size, {"model.image_weight": 0.0}),
        Row("without the local text term", HALVES, size, {"model.text_weight": 0.0}),
        Row("without reconstruction", (ALIGN,), size),
        Row("ConVIRT", (ALIGN,), "convirt"),
        Row("GLoRIA", (ALIGN,), "gloria"),
        Row(SCRATCH),
        Row(RANDOM),
    ]


GLOBAL_ONLY = {"model.text_pool": "mean", "model.image_weight": 0.0, "model.text_weight": 0.0, "model.clusters": 0}


def forms_of(size: str) -> list[Row]:
    """Rows that are trained where `--rows` names them: MGCA, and relatives before they were in their published form."""
    return [
        Row("MGCA", (ALIGN,), "mgca"),
        Row("ConVIRT, former", (ALIGN,), size, {**GLOBAL_ONLY, "model.projection": "mlp"}),
        Row("GLoRIA, former", (ALIGN,), size, {**GLOBAL_ONLY, "model.word_weight": 1.0}),
    ]


@dataclass(frozen=True)
class Plan:
    """What every row is tested with."""

    train: Path
    test: Path
    out: Path
    minutes: float
    head_minutes: float
    size: str
    shares: tuple[float, ...] = SHARES
    probes_only: bool = False
    """Leave out everything but the linear probe."""

    @property
    def heads(self) -> tuple[str, ...]:
        return () if self.probes_only else ("detection", "segmentation")

    def folder(self, trial: Trial) -> Path:
        return self.out / trial.name

    def probe(self, trial: Trial, share: float) -> Path:
        """The probabilities of the probe for the test films."""
        return self.folder(trial) / f"probe-{share}.npy"

    def floors(self, kind: str) -> Path:
        return self.out / f"floors-{kind}.json"


# --- encoders --------------------------------------------------------------------------------------------------------


def train_encoder(plan: Plan, trial: Trial) -> Path | None:
    """The run that holds the encoder of a row, trained where it has not been; None for a row without reports."""
    row, folder = trial.row, plan.folder(trial)
    if not row.stages:
        return None

    def options(stage: Stage) -> Options:
        return {**row.options, **TRAINING, "train.minutes": plan.minutes * stage.share, "train.seed": trial.seed}

    return train_stages(row.stages, plan.train, lambda stage: folder / stage.short, options, size=row.start)


def task_options(plan: Plan, run: Path | None, *, frozen: bool, seed: int) -> Options:
    """Options of a task that give it the encoder of a run, or one of the same shape."""
    shape = encoder_options(run) if run else shape_of_preset(plan.size)
    options: Options = {f"model.{name}": value for name, value in shape.items()}
    options |= {"model.frozen": frozen, "train.seed": seed, **TRAINING}
    return options | ({"model.backbone_weights": str(run)} if run else {})


def shape_of_preset(size: str) -> Options:
    """The encoder that CM-CGNS has at this size."""
    model = load_preset(ALIGN.name, size).model
    names = ("backbone", "encoder_widths", "encoder_depth", "stem_stride", "pyramid_width", "pixels")
    return {name: model[name] for name in names if name in model}


# --- the linear probe ------------------------------------------------------------------------------------------------


def features_of(model: Classification, prepared: Path, split: str, folder: Path) -> FilmVectors:
    """Every film of a split through the frozen encoder, once."""
    data = FilmDataset(Prepared(prepared), split, model.config.pixels, needs=model.needs, labels=model.config.labels)
    path = folder / f"features-{hashlib.sha256(f'{prepared} {split}'.encode()).hexdigest()[:12]}.npy"
    labels = torch.from_numpy(data.prepared.labels(model.config.labels)[data.studies])
    return FilmVectors(encode_once(data, model.pooled, path), labels, np.array(data.patient_ids))


def frozen_model(plan: Plan, run: Path | None, seed: int) -> Classification:
    """The linear probe's encoder; of random weights where there is no run."""
    options = task_options(plan, run, frozen=True, seed=seed)
    own = {name.removeprefix("model."): value for name, value in options.items() if name.startswith("model.")}
    torch.manual_seed(seed)
    model = Classification(ClassificationConfig(**own, labels=CHEXPERT_TASKS))
    model.load_pretrained()
    return model.eval()


def fitted(train: FilmVectors, val: FilmVectors, test: FilmVectors) -> np.ndarray:
    """(n, l) probabilities of the test films by logistic regression, its decay chosen on validation."""
    mean, spread = train.vectors.mean(0), train.vectors.std(0).clamp(min=1e-6)
    inputs = [((part.vectors - mean) / spread) for part in (train, val, test)]
    best, probabilities = -1.0, np.full(tuple(test.targets.shape), 0.5)
    for decay in DECAYS:
        weight, bias = regression(inputs[0], train.targets, decay)
        of_val, of_test = (torch.sigmoid(part @ weight + bias).numpy() for part in inputs[1:])
        reached = macro_auroc(val.targets.numpy(), of_val)
        if reached > best:
            best, probabilities = reached, of_test
    return probabilities


def regression(inputs: Tensor, targets: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    """Weights (d, l) and bias (l) of logistic regressions with unknown targets left out; L-BFGS from zero."""
    known, wanted = ~torch.isnan(targets), torch.nan_to_num(targets)
    weight = torch.zeros(inputs.shape[1], targets.shape[1], requires_grad=True)
    bias = torch.zeros(targets.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        losses = torch.nn.functional.binary_cross_entropy_with_logits(inputs @ weight + bias, wanted, reduction="none")
        loss = (losses * known).sum() / known.sum().clamp(min=1) * targets.shape[1] + decay * weight.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    return weight.detach(), bias.detach()


def probe(plan: Plan, trial: Trial, run: Path | None, share: float) -> None:
    """Probabilities of the test films (n, l) with a share of the labelled patients, in a file, unless it is there."""
    folder, path = plan.folder(trial), plan.probe(trial, share)
    if path.is_file():
        return
    if trial.row.name == SCRATCH:
        options = task_options(plan, None, frozen=False, seed=trial.seed) | {"train.minutes": plan.minutes}
        options |= {"train.share": share, "model.labels": list(CHEXPERT_TASKS)}
        model = load(
            train("tasks/classification", plan.train, folder / f"classification-{share}", overrides=options)
        ).model
        predicted = np.array([one.scores for one in validation_outputs(model, films(plan.test, model, "test"))])
    else:
        frozen = frozen_model(plan, run, trial.seed)
        parts = ((plan.train, "train"), (plan.train, "val"), (plan.test, "test"))
        training, val, test = (features_of(frozen, prepared, split, folder) for prepared, split in parts)
        predicted = fitted(training.of_share(share), val, test)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, predicted)


# --- the other tasks -------------------------------------------------------------------------------------------------


def head(plan: Plan, trial: Trial, run: Path | None, kind: str) -> dict[str, float]:
    """Metrics of a head on the encoder; its floors go into a file that all rows share."""
    scratch = trial.row.name == SCRATCH
    options = task_options(plan, run, frozen=not scratch, seed=trial.seed)
    options["train.minutes"] = plan.minutes if scratch else plan.head_minutes
    options["model.labels"] = list(BOXED if kind == "detection" else OUTLINED)
    options |= {"model.select": "pooled"} if kind == "segmentation" else {}
    model = load(train(f"tasks/{kind}", plan.train, plan.folder(trial) / kind, overrides=options)).model
    data = films(plan.test, model, "test")
    outputs = validation_outputs(model, data)
    if not plan.floors(kind).is_file():
        write_json(plan.floors(kind), floors(model, kind, films(plan.train, model, "train"), data, outputs))
    return model.validation_scores(outputs)


def without_training(plan: Plan, run: Path) -> dict[str, float]:
    """Zero-shot and retrieval, standardised by the films of validation."""
    predictor, standard = load(run), run / "zero_shot_val.json"
    if not standard.is_file():
        val = predictor.zero_shot(Prepared(plan.train), "val", ZeroShotOptions(CHEXPERT_TASKS))
        standard.write_text(json.dumps(val), encoding="utf-8")
    metrics = predictor.zero_shot(Prepared(plan.test), "test", ZeroShotOptions(CHEXPERT_TASKS, standard=standard))
    return {name: value for name, value in metrics.items() if isinstance(value, float)}


def run(plan: Plan, trial: Trial) -> dict[str, Any]:
    """Everything that is measured of one row with one seed; from disk where it is there."""
    record = plan.folder(trial) / ("probes.json" if plan.probes_only else "row.json")
    if all(path.is_file() for path in (record, *(plan.probe(trial, share) for share in plan.shares))):
        return dict(json.loads(record.read_text(encoding="utf-8")))
    encoder = train_encoder(plan, trial)
    for share in plan.shares:
        probe(plan, trial, encoder, share)
    metrics: dict[str, Any] = {kind: head(plan, trial, encoder, kind) for kind in plan.heads}
    if encoder is not None and not plan.probes_only:
        metrics["zero_shot"] = without_training(plan, encoder)
    write_json(record, metrics)
    return metrics


# --- the table -------------------------------------------------------------------------------------------------------

COLUMNS = (
    ("detection", "boxes.strict.map", "mAP"),
    ("detection", "boxes.compat.map", "mAP compat"),
    ("segmentation", "masks.dice.pooled", "Dice pixels"),
    ("segmentation", "masks.dice.positive", "Dice positive"),
    ("segmentation", "masks.dice.all", "Dice all"),
    ("zero_shot", "zero_shot.accuracy", "zero-shot"),
    ("zero_shot", "zero_shot.standardised.accuracy", "standardised"),
    ("zero_shot", "retrieval.precision.5", "P@5"),
    ("zero_shot", "retrieval.precision.10", "P@10"),
    ("zero_shot", "retrieval.precision.100", "P@100"),
)
AGAINST = (RANDOM, SCRATCH, "CM-CGNS", "ConVIRT, former", "GLoRIA, former")
"""Rows that every other one is compared with, where they are trained."""


def probes_of(plan: Plan, trials: list[Trial]) -> dict[str, Any]:
    """Share -> row -> macro AUROC with its interval, and the gain over each row of AGAINST. trials: of one seed."""
    test = FilmDataset(Prepared(plan.test), "test", needs=("labels",), labels=CHEXPERT_TASKS)
    target, patients = test.prepared.labels(CHEXPERT_TASKS)[test.studies].astype(float), np.array(test.patient_ids)
    by_share: dict[str, Any] = {}
    for share in plan.shares:
        draws = {
            trial.row.name: over_labels(auroc_draws(target, np.load(plan.probe(trial, share)), patients))
            for trial in trials
        }
        by_share[str(share)] = {
            name: {
                "auroc": value_and_interval(values),
                "gain over": {
                    other: value_and_interval(values - draws[other])
                    for other in AGAINST
                    if other in draws and other != name
                },
            }
            for name, values in draws.items()
        }
    return by_share


def over_labels(aurocs: np.ndarray) -> np.ndarray:
    """(1 + draws, l) -> (1 + draws): mean over the labels that the test films have in both states."""
    return np.nanmean(aurocs[:, np.isfinite(aurocs[0])], axis=1)


def lines(seeds: list[dict[str, Any]]) -> Iterator[str]:
    """The table in Markdown."""
    first = seeds[0]
    shares = list(first["probes"])
    columns = COLUMNS if any(first["rows"].values()) else ()  # None of --probes-only.
    head = ["encoder", *(f"AUROC {float(share):.0%}" for share in shares), *(title for _, _, title in columns)]
    rows = []
    for row in first["rows"]:
        cells = [mean_and_deviation(one["probes"][share][row]["auroc"]["value"] for one in seeds) for share in shares]
        own = [one["rows"][row] for one in seeds]
        cells += [mean_and_deviation(one.get(task, {}).get(name, math.nan) for one in own) for task, name, _ in columns]
        rows.append((row, *cells))
    rows.append(("*floor*", *[".500"] * len(shares), *(best_floor(task, name, first) for task, name, _ in columns)))
    yield from table_lines(head, rows, "---:|")
    yield ""
    yield from gain_lines(seeds)


def gain_lines(seeds: list[dict[str, Any]]) -> Iterator[str]:
    """What each row's probe is ahead of those of AGAINST, in Markdown."""
    rows = list(seeds[0]["rows"])
    columns = [(share, other) for share in seeds[0]["probes"] for other in AGAINST if other in rows]

    def gain(row: str, share: str, other: str) -> str:
        if row == other:
            return "-"
        return Interval.mean(Interval(**one["probes"][share][row]["gain over"][other]) for one in seeds).text("+.3f")

    head = ["AUROC ahead of, 95% by patient", *(f"{other}, {float(share):.0%}" for share, other in columns)]
    yield from table_lines(head, [[row, *(gain(row, *column) for column in columns)] for row in rows], "---:|")


def best_floor(task: str, name: str, seed: dict[str, Any]) -> str:
    """The highest floor of a metric, and which it is."""
    if task in seed["floors"]:
        reached = {kind: values[name] for kind, values in seed["floors"][task].items() if name in values}
    else:
        measured = next((one[task] for one in seed["rows"].values() if task in one), {})
        keys = (
            ("zero_shot.chance", "zero_shot.commonest") if name.startswith("zero") else ("retrieval.precision.chance",)
        )
        reached = {key.rpartition(".")[2]: measured[key] for key in keys if key in measured}
    if not reached:
        return "-"
    kind = max(reached, key=reached.__getitem__)
    return f"{reached[kind]:.3f} ({kind})"


def measured(plan: Plan, trials: list[Trial], metrics: list[dict[str, Any]]) -> Result:
    """All that the table says of one seed, its rows done."""
    floor = {kind: json.loads(plan.floors(kind).read_text(encoding="utf-8")) for kind in plan.heads}
    by_row = {trial.row.name: one for trial, one in zip(trials, metrics, strict=True)}
    return Result({"seed": trials[0].seed}, {"probes": probes_of(plan, trials), "rows": by_row, "floors": floor})


def results_of(path: Path, plan: Plan, rows: list[Row]) -> Results:
    """The seeds that are known already. Exits where they were measured otherwise."""
    settings = {
        "minutes": plan.minutes,
        "head minutes": plan.head_minutes,
        "size": plan.size,
        "names": [row.name for row in rows],
        "shares": list(plan.shares),
        "probes only": plan.probes_only,
    }
    return Results(path, settings, "seeds", ("seed",), lambda one: one["seed"])


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--train", type=Path, required=True, help="prepared folder with train and val")
    options.add_argument("--test", type=Path, required=True, help="prepared folder of other patients with test")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--minutes", type=float, default=8.0, help="CPU minutes of pre-training, or from scratch")
    options.add_argument("--head-minutes", type=float, default=3.0, help="CPU minutes of a head on a frozen encoder")
    options.add_argument("--size", default="small", help="preset of cm_cgns")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--rows", nargs="+", default=None, help="only these rows, by name")
    options.add_argument("--shares", type=float, nargs="+", default=list(SHARES), help="of the patients, for the probe")
    options.add_argument("--probes-only", action="store_true", help="no boxes, masks, zero-shot or retrieval")
    options.result("--results", "cm_cgns.json")
    chosen = options.parse_args()
    paths, minutes = (chosen.train, chosen.test, chosen.out), (chosen.minutes, chosen.head_minutes)
    plan = Plan(*paths, *minutes, chosen.size, tuple(chosen.shares), chosen.probes_only)
    rows = rows_of(chosen.size)
    if chosen.rows:
        rows = [row for row in (*rows, *forms_of(chosen.size)) if row.name in chosen.rows]
    plan.out.mkdir(parents=True, exist_ok=True)
    results = results_of(chosen.results, plan, rows)
    trials = {seed: [Trial(row, seed) for row in rows] for seed in chosen.seeds if not results.has(seed)}
    with two_processes() as pool:
        waiting = {seed: [pool.submit(run, plan, trial) for trial in own] for seed, own in trials.items()}
        for seed, own in waiting.items():
            results.add(measured(plan, trials[seed], [one.result() for one in own]))
            print(f"done: seed {seed}", flush=True)
    text = "\n".join(lines(results.entries))
    results.write_markdown(text)
    print(text)


if __name__ == "__main__":
    main()
