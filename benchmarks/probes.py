"""A small probe on every simulated downstream task: is the task of each layout there to be learnt?

    python benchmarks/probes.py --out runs/probes --patients 240 --minutes 3
    python benchmarks/probes.py --out runs/probes --layouts siim object_cxr --encoder runs/encoder

For each layout two cohorts are simulated in the true layout, read by its reader and prepared: one to train with, one
of an evaluation seed to score on, so that no patient, vessel or pixel is in both even where a layout cannot say who is
who. Each task is trained for --minutes CPU minutes from scratch (`scratch`), and with --encoder also as a head on the
frozen encoder of that run (`frozen`; the labels which that encoder has seen are the run's). Beside each metric:

    classification  macro AUROC; .5
    detection       strict mAP; boxes of training at random positions, and each label's mean box everywhere
    segmentation    Dice of all pixels as one film; the mean mask of training, cut where it does best there, and an
                    empty mask. Dice of the films with the finding is blind to marks on the others, Dice of all films
                    to marking nothing: they are shown beside it.

A probe beats chance clearly when the lower end of its 95% interval by patient is above every floor. Rerun it to resume:
what has finished is in the folder of its layout.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness.command import Command, provenance, write_json
from harness.tables import table_lines

from intervalchange.blocks.encoder_weights import encoder_options
from intervalchange.data.dataset import FilmDataset
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.evaluation.metrics.masks import tally
from intervalchange.inference import load
from intervalchange.simulation.cohort import simulate
from intervalchange.tasks.segmentation import MaskOutputs
from intervalchange.training import train
from intervalchange.training.trainer import batches

SEEDS = {"train": 4_001, "test": 904_001}
FILM, SHOWN = 256, 128
"""Pixels of the simulated films, and of the prepared ones."""
TRAINING = {"train.epochs": 0, "train.eval_cases": 300}
CUTS = np.arange(0.02, 0.6, 0.02)
"""Shares of the training films at which the mean mask is tried."""
RANDOM_BOXES = 10
"""Per film and label."""
COMMON = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural effusion")
BOXED = ("cardiomegaly", "consolidation", "pleural effusion", "pneumothorax")


@dataclass(frozen=True)
class Task:
    """One row of the table."""

    layout: str
    kind: str
    labels: tuple[str, ...]
    exclusive: bool = False

    @property
    def name(self) -> str:
        return f"{self.layout} {self.kind}"


TASKS = (
    Task("nih", "classification", (*COMMON, "pneumothorax")),
    Task("chexpert", "classification", COMMON),
    Task("covidx", "classification", ("no finding", "pneumonia", "covid-19"), exclusive=True),
    Task("rsna", "classification", ("pneumonia",)),
    Task("rsna", "detection", ("pneumonia",)),
    Task("rsna", "segmentation", ("pneumonia",)),
    Task("siim", "classification", ("pneumothorax",)),
    Task("siim", "segmentation", ("pneumothorax",)),
    Task("object_cxr", "classification", ("foreign object",)),
    Task("object_cxr", "detection", ("foreign object",)),
    Task("vindr", "classification", BOXED),
    Task("vindr", "detection", BOXED),
)
HEADLINE = {
    "classification": "labels.auroc.macro",
    "detection": "boxes.strict.map",
    "segmentation": "masks.dice.pooled",
}
BESIDE = {"segmentation": ("masks.dice.positive", "masks.dice.all"), "detection": ("labels.auroc.macro",)}
"""Shown too, without a verdict: the floor of each does not tell whether there is something to find."""


def cohort(layout: str, part: str, patients: int, out: Path) -> Path:
    """The prepared folder of one cohort, made unless it is there."""
    folder = out / layout / part
    source = simulate(folder / "source", patients, SEEDS[part], layout, pixels=FILM)
    prepare(layout, source, folder / "prepared", pixels=SHOWN, split="patient", progress=False)
    return folder / "prepared"


# --- floors --------------------------------------------------------------------------------------------------------


def films(prepared: Path, model: Any, split: str) -> FilmDataset:
    """The films of a split that the task of this model is about."""
    config = model.config
    return FilmDataset(Prepared(prepared), split, config.pixels, needs=model.needs, labels=config.labels)


def random_boxes(model: Any, training: list[Any], outputs: list[Any], rng: np.random.Generator) -> list[Any]:
    """Boxes of the sizes of training anywhere on the film, with random scores."""
    side, guessed, sizes = model.config.pixels, [], {}
    for label in range(len(model.config.labels)):
        corners = np.array([box[2:6] for film in training for box in film.target if box[0] == label]).reshape(-1, 4)
        sizes[label] = corners[:, 2:] - corners[:, :2]
    for film in outputs:
        boxes = []
        for label, known in sizes.items():
            drawn = known[rng.integers(len(known), size=RANDOM_BOXES if len(known) else 0)]
            corners = rng.uniform(size=drawn.shape) * (side - drawn)
            boxes += [(label, rng.uniform(), *a, *(a + b)) for a, b in zip(corners, drawn, strict=True)]
        guessed.append(replace(film, found=tuple(boxes)))
    return guessed


def mean_box(model: Any, training: list[Any], outputs: list[Any], rng: np.random.Generator) -> list[Any]:
    """The mean box of each label in training, on every film, with equal confidence."""
    means = []
    for label in range(len(model.config.labels)):
        boxes = [box[2:] for film in training for box in film.target if box[0] == label]
        if boxes:
            means.append((label, 1.0, *np.mean(boxes, axis=0)))
    return [replace(film, found=tuple(means)) for film in outputs]


def masks_of(data: FilmDataset) -> np.ndarray:
    """(n, l, h, w) float32 with NaN."""
    return np.stack([data[row]["masks_current"] for row in range(len(data))])


def with_mask(shown: np.ndarray, truth: np.ndarray, patients: list[str]) -> list[MaskOutputs]:
    """The same (l, h, w) bool masks predicted for every film of (n, l, h, w)."""
    outputs = []
    for film, patient in zip(truth, patients, strict=True):
        known = ~np.isnan(film).any((1, 2))
        counts = tally(shown, np.nan_to_num(film))
        rows = [{name: float(values[label]) for name, values in counts.items()} for label in range(len(film))]
        outputs.append(
            MaskOutputs(patient, tuple(row if labelled else None for row, labelled in zip(rows, known, strict=True)))
        )
    return outputs


def mean_mask(model: Any, training: FilmDataset, test: FilmDataset) -> dict[str, float]:
    """Metrics of the mean mask of the training films that have the finding, cut where it does best on them."""
    masks = masks_of(training)
    mean = np.stack(
        [np.nan_to_num(masks[(masks[:, label] == 1).any((1, 2)), label].mean(0)) for label in range(masks.shape[1])]
    )
    name = HEADLINE["segmentation"]
    reached = [
        model.train().validation_scores(with_mask(mean > cut, masks, training.patient_ids))[name] for cut in CUTS
    ]
    best = CUTS[int(np.argmax(reached))]
    return model.eval().validation_scores(with_mask(mean > best, masks_of(test), test.patient_ids))


def floors(
    model: Any, kind: str, train_data: FilmDataset, test_data: FilmDataset, outputs: list[Any]
) -> dict[str, Any]:
    """Floor -> metrics, without intervals where none are needed."""
    if kind == "classification":
        return {"chance": {HEADLINE[kind]: 0.5}}
    if kind == "segmentation":
        data = masks_of(test_data)
        nothing = with_mask(np.zeros(data.shape[1:], bool), data, test_data.patient_ids)
        return {"mean mask": mean_mask(model, train_data, test_data), "nothing": model.validation_scores(nothing)}
    rng, known = np.random.default_rng(0), validation_outputs(model, train_data)
    made: dict[str, Callable[..., list[Any]]] = {"random boxes": random_boxes, "mean box": mean_box}
    return {name: model.validation_scores(floor(model, known, outputs, rng)) for name, floor in made.items()}


# --- one row -------------------------------------------------------------------------------------------------------


def validation_outputs(model: Any, data: FilmDataset) -> list[Any]:
    """What the model predicts for every film."""
    outputs: list[Any] = []
    with torch.no_grad():
        for batch in batches(data, 32):
            outputs += model.validation_outputs(batch)
    return outputs


def probe(task: Task, variant: str, options: dict[str, Any], prepared: dict[str, Path], out: Path) -> dict[str, Any]:
    """Train and score one task; the row of the table."""
    folder = out / task.layout / f"{task.kind}.{variant}"
    record = folder.with_name(f"{folder.name}.json")
    if record.is_file():
        return json.loads(record.read_text(encoding="utf-8"))
    own: dict[str, Any] = {"model.exclusive": True} if task.exclusive else {}
    own |= {"model.select": "pooled"} if task.kind == "segmentation" else {}
    changes = {"model.labels": list(task.labels), **TRAINING, **own, **options}
    train(f"tasks/{task.kind}", prepared["train"], folder, size="small", overrides=changes)
    model = load(folder).model
    test = films(prepared["test"], model, "all")
    outputs = validation_outputs(model, test)
    metrics, name = model.validation_scores(outputs), HEADLINE[task.kind]
    training = films(prepared["train"], model, "train")
    beside = floors(model, task.kind, training, test, outputs)
    row = {
        "task": task.name,
        "variant": variant,
        "labels": list(task.labels),
        "films": {"train": len(training), "test": len(test)},
        "minutes": changes["train.minutes"],
        "headline": name,
        "figures": metrics,
        "floors": beside,
        "beats": bool(metrics.get(f"{name}.low", 0.0) > max(floor[name] for floor in beside.values())),
    }
    write_json(record, row)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """One line per metric, its floors beside it."""
    cells = []
    for row in rows:
        metrics, kind = row["figures"], row["task"].split()[1]
        films = f"{row['films']['train']} / {row['films']['test']}"
        for name in (row["headline"], *BESIDE.get(kind, ())):
            interval = " to ".join(f"{metrics[end]:.3f}" for end in (f"{name}.low", f"{name}.high") if end in metrics)
            floors = ", ".join(
                f"{floor} {values[name]:.3f}" for floor, values in row["floors"].items() if name in values
            )
            verdict = ("yes" if row["beats"] else "no") if name == row["headline"] else ""
            value = f"{metrics[name]:.3f} ({interval})"
            cells.append((row["task"], row["variant"], films, name, value, floors, verdict))
    head = ("task", "encoder", "films", "figure", "value (95%)", "chance", "beats it")
    return "\n".join(table_lines(head, cells))


def main() -> None:
    options = Command(__doc__, "out")
    options.add_argument("--layouts", nargs="*", default=list(dict.fromkeys(task.layout for task in TASKS)))
    options.add_argument("--patients", type=int, default=240, help="of the training cohort; half as many are scored")
    options.add_argument("--minutes", type=float, default=3.0, help="CPU minutes per task and encoder")
    options.add_argument("--encoder", type=Path, help="a run whose encoder is probed frozen as well")
    options.result("--results", "probes.json")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    variants: dict[str, dict[str, Any]] = {"scratch": {"model.frozen": False}}
    if chosen.encoder:
        shape = {f"model.{name}": value for name, value in encoder_options(chosen.encoder).items()}
        variants["frozen"] = {**shape, "model.frozen": True, "model.backbone_weights": str(chosen.encoder)}
    rows = []
    for layout in chosen.layouts:
        sizes = {"train": chosen.patients, "test": max(1, chosen.patients // 2)}
        prepared = {part: cohort(layout, part, patients, chosen.out) for part, patients in sizes.items()}
        for task in (task for task in TASKS if task.layout == layout):
            for variant, changes in variants.items():
                rows.append(probe(task, variant, {**changes, "train.minutes": chosen.minutes}, prepared, chosen.out))
                print("\n".join(table(rows[-1:]).splitlines()[2:]), flush=True)
    print(table(rows))
    result = {"patients": chosen.patients, "minutes": chosen.minutes, "seeds": SEEDS, "pixels": SHOWN, "rows": rows}
    write_json(chosen.results, {**result, "provenance": provenance()})


if __name__ == "__main__":
    main()
