"""What is image-text pre-training good for? CM-CGNS, each of its four terms left out, and its relatives.

    python benchmarks/cm_cgns.py --train prepared/train --test prepared/eval --out runs/cm_cgns --minutes 8

Every row is an encoder made in the same number of CPU minutes from the films and reports of the training patients, then
frozen and asked, with heads trained on labels:

    linear probe     logistic regression on the pooled features, which are computed once: macro AUROC with 1, 10 and
                     100% of the training patients
    detection        `tasks/detection` on the frozen encoder, --head-minutes: mAP strict, and compat beside it
    segmentation     `tasks/segmentation` likewise: Dice of all films, of those with the finding, of all pixels as one
    zero-shot        no training: accuracy over the five classes of CheXpert, raw, and standardised by the films of val
    retrieval        no training: precision at 5, 10, 100 of reports of other patients

Two rows have no reports: an encoder of random weights, frozen, and one trained from scratch with each head for all of
the minutes. Every figure is on the test films alone, beside its floor. Differences of the probes are by the same draws
of patients within a seed; they and the ends of their intervals are averaged over the seeds (the test patients are the
same, so this is never narrower than the interval of the mean).

Interrupted, the same command continues: what is done is in the folder of its row and seed. A seed whose rows are all
done goes into --results (JSON), and one that stands there is not made again, on no machine: delete its entry to have it
made anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ffa_cl import Films as Vectors
from ffa_cl import figure, macro, part_of, replicated
from probes import films, floors, judge

from intervalchange.blocks.encoder_weights import encoder_options
from intervalchange.config import load_preset
from intervalchange.data.batch import collate
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
TRAINING = {"train.epochs": 0, "train.eval_cases": 300, "train.precision": "bf16", "train.augment": 0.5}
ALIGN, RECONSTRUCT = "cm_cgns/align", "cm_cgns/reconstruct"


@dataclass(frozen=True)
class Row:
    """One way to make an encoder."""

    name: str
    size: str = ""
    """Preset of `cm_cgns/align`; empty for a row without reports."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of `cm_cgns/align`, and of `cm_cgns/reconstruct` after it."""
    reconstructs: bool = True
    """Whether the second half of the minutes is `cm_cgns/reconstruct`."""


def rows_of(size: str) -> list[Row]:
    """The rows of the table; `size` is the preset of CM-CGNS."""
    return [
        Row("CM-CGNS", size),
        Row("without the global term", size, {"model.global_weight": 0.0}),
        Row("without the local image term", size, {"model.image_weight": 0.0}),
        Row("without the local text term", size, {"model.text_weight": 0.0}),
        Row("without reconstruction", size, reconstructs=False),
        Row("ConVIRT", "convirt", reconstructs=False),
        Row("GLoRIA", "gloria", reconstructs=False),
        Row("from scratch"),
        Row("random, frozen"),
    ]


@dataclass(frozen=True)
class Trial:
    """What every row is tried with."""

    train: Path
    test: Path
    out: Path
    minutes: float
    head_minutes: float
    size: str
    shares: tuple[float, ...] = SHARES
    probes_only: bool = False
    """Ask for the linear probe alone."""

    @property
    def heads(self) -> tuple[str, ...]:
        return () if self.probes_only else ("detection", "segmentation")

    def folder(self, row: Row, seed: int) -> Path:
        return self.out / f"{row.name.replace(', ', '_').replace(' ', '_')}.{seed}"


# --- encoders --------------------------------------------------------------------------------------------------------


def encoder_of(trial: Trial, row: Row, seed: int) -> Path | None:
    """The run that holds the encoder of a row, trained where it is not there; None for a row without reports."""
    if not row.size:
        return None
    folder, budget = trial.folder(row, seed), trial.minutes / (2 if row.reconstructs else 1)
    options = {**row.options, **TRAINING, "train.minutes": budget, "train.seed": seed}
    run = train(ALIGN, trial.train, folder / "align", size=row.size, overrides=options)
    if row.reconstructs:
        return train(RECONSTRUCT, trial.train, folder / "reconstruct", row.size, sources=[run], overrides=options)
    return run


def task_options(trial: Trial, run: Path | None, *, frozen: bool, seed: int) -> dict[str, Any]:
    """Options of a task that give it the encoder of a run, or one of the same shape."""
    shape = encoder_options(run) if run else shape_of_preset(trial.size)
    options: dict[str, Any] = {f"model.{name}": value for name, value in shape.items()}
    options |= {"model.frozen": frozen, "train.seed": seed, **TRAINING}
    return options | ({"model.backbone_weights": str(run)} if run else {})


def shape_of_preset(size: str) -> dict[str, Any]:
    """The encoder that CM-CGNS has at this size."""
    model = load_preset(ALIGN, size).model
    names = ("backbone", "encoder_widths", "encoder_depth", "stem_stride", "pyramid_width", "pixels")
    return {name: model[name] for name in names if name in model}


# --- the linear probe ------------------------------------------------------------------------------------------------


def features_of(model: Classification, prepared: Path, split: str, out: Path) -> Vectors:
    """Every film of a split through the frozen encoder, once: from `out` where it is there."""
    data = FilmDataset(Prepared(prepared), split, model.config.pixels, needs=model.needs, labels=model.config.labels)
    path = out / f"features-{hashlib.sha256(f'{prepared} {split}'.encode()).hexdigest()[:12]}.npy"
    if not path.is_file():
        parts = []
        for start in range(0, len(data), 64):
            batch = collate([data[row] for row in range(start, min(start + 64, len(data)))])
            with torch.no_grad():
                parts.append(model.pooled(batch.current).float().numpy())
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.concatenate(parts))
    labels = torch.from_numpy(data.prepared.labels(model.config.labels)[data.studies])
    return Vectors(torch.from_numpy(np.load(path, allow_pickle=False)), labels, np.array(data.patient_ids))


def frozen_model(trial: Trial, run: Path | None, seed: int) -> Classification:
    """The linear probe's encoder; of random weights where there is no run."""
    options = task_options(trial, run, frozen=True, seed=seed)
    own = {name.removeprefix("model."): value for name, value in options.items() if name.startswith("model.")}
    torch.manual_seed(seed)
    model = Classification(ClassificationConfig(**own, labels=CHEXPERT_TASKS))
    model.load_pretrained()
    return model.eval()


def fitted(train: Vectors, val: Vectors, test: Vectors) -> np.ndarray:
    """(n, l) probabilities of the test films by logistic regression, its decay chosen on validation."""
    mean, spread = train.vectors.mean(0), train.vectors.std(0).clamp(min=1e-6)
    inputs = [((part.vectors - mean) / spread) for part in (train, val, test)]
    best, kept = -1.0, np.full(tuple(test.targets.shape), 0.5)
    for decay in DECAYS:
        weight, bias = regression(inputs[0], train.targets, decay)
        said = [torch.sigmoid(part @ weight + bias).numpy() for part in inputs[1:]]
        reached = macro(val.targets.numpy(), said[0])
        if reached > best:
            best, kept = reached, said[1]
    return kept


def regression(inputs: torch.Tensor, targets: torch.Tensor, decay: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (d, l) and bias (l) of logistic regressions with unknown targets left out; L-BFGS from zero."""
    known, wanted = ~torch.isnan(targets), torch.nan_to_num(targets)
    weight = torch.zeros(inputs.shape[1], targets.shape[1], requires_grad=True)
    bias = torch.zeros(targets.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        losses = torch.nn.functional.binary_cross_entropy_with_logits(inputs @ weight + bias, wanted, reduction="none")
        loss = (losses * known).sum() / known.sum().clamp(min=1) * targets.shape[1] + decay * weight.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    return weight.detach(), bias.detach()


def probe(trial: Trial, row: Row, seed: int, run: Path | None, share: float) -> np.ndarray:
    """(n, l) probabilities of the test films with a share of the labelled patients; from disk where they are there."""
    folder = trial.folder(row, seed)
    path = folder / f"probe-{share}.npy"
    if not path.is_file():
        if row.name == "from scratch":
            options = task_options(trial, None, frozen=False, seed=seed) | {"train.minutes": trial.minutes}
            options |= {"train.share": share, "model.labels": list(CHEXPERT_TASKS)}
            done = train("tasks/classification", trial.train, folder / f"classification-{share}", overrides=options)
            model = load(done).model
            said = np.array([one.scores for one in judge(model, films(trial.test, model, "test"))])
        else:
            model = frozen_model(trial, run, seed)
            places = ((trial.train, "train"), (trial.train, "val"), (trial.test, "test"))
            training, val, test = (features_of(model, place, split, folder) for place, split in places)
            said = fitted(part_of(training, share), val, test)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, said)
    return np.load(path, allow_pickle=False)


# --- the other tasks -------------------------------------------------------------------------------------------------


def head(trial: Trial, row: Row, seed: int, run: Path | None, kind: str) -> dict[str, Any]:
    """Figures of a head on the encoder, and its floors."""
    scratch = row.name == "from scratch"
    options = task_options(trial, run, frozen=not scratch, seed=seed)
    options["train.minutes"] = trial.minutes if scratch else trial.head_minutes
    options["model.labels"] = list(BOXED if kind == "detection" else OUTLINED)
    options |= {"model.select": "pooled"} if kind == "segmentation" else {}
    done = train(f"tasks/{kind}", trial.train, trial.folder(row, seed) / kind, overrides=options)
    model = load(done).model
    data = films(trial.test, model, "test")
    outputs = judge(model, data)
    said: dict[str, Any] = {"figures": model.validation_scores(outputs)}
    floor_path = trial.out / f"floors-{kind}.json"
    if not floor_path.is_file():
        found = floors(model, kind, films(trial.train, model, "train"), data, outputs)
        floor_path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return said


def without_training(trial: Trial, run: Path) -> dict[str, float]:
    """Zero-shot and retrieval, standardised by the films of validation."""
    predictor, standard = load(run), run / "zero_shot_val.json"
    if not standard.is_file():
        val = predictor.zero_shot(Prepared(trial.train), "val", ZeroShotOptions(CHEXPERT_TASKS))
        standard.write_text(json.dumps(val), encoding="utf-8")
    found = predictor.zero_shot(Prepared(trial.test), "test", ZeroShotOptions(CHEXPERT_TASKS, standard=standard))
    return {name: value for name, value in found.items() if isinstance(value, float)}


def tried(trial: Trial, row: Row, seed: int) -> dict[str, Any]:
    """Everything that is asked of one row and seed; from disk where it is there."""
    folder = trial.folder(row, seed)
    record = folder / ("probes.json" if trial.probes_only else "row.json")
    if all(path.is_file() for path in (record, *(folder / f"probe-{share}.npy" for share in trial.shares))):
        return json.loads(record.read_text(encoding="utf-8"))
    run = encoder_of(trial, row, seed)
    for share in trial.shares:
        probe(trial, row, seed, run, share)
    said: dict[str, Any] = {kind: head(trial, row, seed, run, kind)["figures"] for kind in trial.heads}
    if run is not None and not trial.probes_only:
        said["zero_shot"] = without_training(trial, run)
    record.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return said


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
AGAINST = ("random, frozen", "from scratch", "CM-CGNS")
"""Rows that every other one is compared with."""


def probes_of(trial: Trial, seed: int, rows: list[Row]) -> dict[str, Any]:
    """Share -> row -> macro AUROC with its interval, and the gain over each row of AGAINST."""
    test = FilmDataset(Prepared(trial.test), "test", needs=("labels",), labels=CHEXPERT_TASKS)
    true, patients = test.prepared.labels(CHEXPERT_TASKS)[test.studies].astype(float), np.array(test.patient_ids)
    found: dict[str, Any] = {}
    for share in trial.shares:
        drawn = {
            row.name: over_labels(replicated(true, np.load(trial.folder(row, seed) / f"probe-{share}.npy"), patients))
            for row in rows
        }
        found[str(share)] = {
            name: {
                "auroc": figure(values),
                "gain over": {
                    other: figure(values - drawn[other]) for other in AGAINST if other in drawn and other != name
                },
            }
            for name, values in drawn.items()
        }
    return found


def over_labels(aucs: np.ndarray) -> np.ndarray:
    """(1 + draws, l) -> (1 + draws): mean over the labels that the test films have in both states."""
    return np.nanmean(aucs[:, np.isfinite(aucs[0])], axis=1)


def lines(seeds: list[dict[str, Any]]) -> Iterator[str]:
    """The table in Markdown."""
    shares = list(seeds[0]["probes"])
    columns = COLUMNS if any(seeds[0]["rows"].values()) else ()  # None of --probes-only.
    names = [f"AUROC {float(share):.0%}" for share in shares] + [title for _, _, title in columns]
    yield f"| encoder | {' | '.join(names)} |"
    yield "|---|" + "---:|" * len(names)
    for row in seeds[0]["rows"]:
        cells = [spread([one["probes"][share][row]["auroc"]["value"] for one in seeds]) for share in shares]
        own = [one["rows"][row] for one in seeds]
        cells += [spread([one.get(task, {}).get(name, math.nan) for one in own]) for task, name, _ in columns]
        yield f"| {row} | {' | '.join(cells)} |"
    chance = [best_floor(task, name, seeds[0]) for task, name, _ in columns]
    yield f"| *floor* | {' | '.join(['.500'] * len(shares) + chance)} |"
    yield ""
    yield from gain_lines(seeds)


def gain_lines(seeds: list[dict[str, Any]]) -> Iterator[str]:
    """What each row's probe is ahead of those of AGAINST, in Markdown."""
    told = [(share, other) for share in seeds[0]["probes"] for other in AGAINST if other in seeds[0]["rows"]]
    yield f"| AUROC ahead of, 95% by patient | {' | '.join(f'{other}, {float(share):.0%}' for share, other in told)} |"
    yield "|---|" + "---:|" * len(told)
    for row in seeds[0]["rows"]:
        cells = []
        for share, other in told:
            gains = [one["probes"][share][row]["gain over"][other] for one in seeds if other != row]
            mean = {key: np.mean([gain[key] for gain in gains]) for key in ("value", "low", "high") if gains}
            cells.append("{value:+.3f} ({low:+.3f} to {high:+.3f})".format(**mean) if gains else "-")
        yield f"| {row} | {' | '.join(cells)} |"


def spread(values: list[float]) -> str:
    """Mean over seeds and how far they lie apart."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    return f"{np.mean(known):.3f}" + (f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else "")


def best_floor(task: str, name: str, seed: dict[str, Any]) -> str:
    """The highest floor of a figure, and which it is."""
    if task in seed["floors"]:
        reached = {kind: values[name] for kind, values in seed["floors"][task].items() if name in values}
    else:
        asked = [one[task] for one in seed["rows"].values() if task in one]
        told = (
            ("zero_shot.chance", "zero_shot.commonest") if name.startswith("zero") else ("retrieval.precision.chance",)
        )
        reached = {key.rpartition(".")[2]: asked[0][key] for key in told if asked and key in asked[0]}
    if not reached:
        return "-"
    kind = max(reached, key=reached.__getitem__)
    return f"{reached[kind]:.3f} ({kind})"


def measured(trial: Trial, seed: int, rows: list[Row], said: list[dict[str, Any]]) -> dict[str, Any]:
    """All that the table says of one seed, its rows done."""
    floor = {kind: json.loads((trial.out / f"floors-{kind}.json").read_text(encoding="utf-8")) for kind in trial.heads}
    by_row = {row.name: one for row, one in zip(rows, said, strict=True)}
    return {"seed": seed, "probes": probes_of(trial, seed, rows), "rows": by_row, "floors": floor}


def known_seeds(results: Path, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The seeds that --results has already. Exits where they were measured otherwise."""
    if not results.is_file():
        return []
    found = json.loads(results.read_text(encoding="utf-8"))
    if any(found.get(name) != value for name, value in facts.items()):
        raise SystemExit(f"{results} was measured with other options: give another --results, or its options.")
    return list(found["seeds"])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    options.add_argument("--results", type=Path, default=Path("benchmarks/results/cm_cgns.json"))
    chosen = options.parse_args()
    paths = (chosen.train, chosen.test, chosen.out)
    minutes = (chosen.minutes, chosen.head_minutes)
    trial = Trial(*paths, *minutes, chosen.size, tuple(chosen.shares), chosen.probes_only)
    rows = [row for row in rows_of(chosen.size) if chosen.rows is None or row.name in chosen.rows]
    trial.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "minutes": chosen.minutes,
        "head minutes": chosen.head_minutes,
        "size": chosen.size,
        "names": [row.name for row in rows],
        "shares": list(trial.shares),
        "probes only": trial.probes_only,
    }
    seeds = known_seeds(chosen.results, facts)
    there = {one["seed"] for one in seeds}
    jobs = {seed: [(trial, row, seed) for row in rows] for seed in chosen.seeds if seed not in there}
    # One core each: two at a time use both, and the budget of one is not shared with its neighbour.
    with ProcessPoolExecutor(
        2, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        waiting = {seed: [pool.submit(tried, *job) for job in own] for seed, own in jobs.items()}
        for seed, own in waiting.items():
            seeds.append(measured(trial, seed, rows, [one.result() for one in own]))
            seeds.sort(key=lambda one: one["seed"])
            chosen.results.parent.mkdir(parents=True, exist_ok=True)
            chosen.results.write_text(json.dumps({**facts, "seeds": seeds}, indent=1) + "\n", encoding="utf-8")
            print(f"done: seed {seed}", flush=True)
    text = "\n".join(lines(seeds))
    print(text)
    chosen.results.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
