"""FFA-CL's fair trial: do words and a tree of labels help a classifier of findings, above all with few labels?

    python benchmarks/ffa_cl.py --train prepared/train --test prepared/eval --encoder demo --out runs/ffa_cl

A backbone that is not trained sees every film once; its vectors are kept beside the runs, by its weights. A run then is
a small network on vectors: the same `FfaCl` that `train` trains, for a fixed number of steps, the weights chosen on
validation. Shares of the training patients as `--train.share` draws them. Rows are every combination of the three
auxiliary losses; the two unconditioned contrasts at 10% of the patients alone.

A backbone of set_difference has seen the findings of all training patients: "1% of the labels" is then true of the
head alone. `--encoder random` is a backbone that has seen none.

Every row is compared with vision only on the same test films and the same draws of patients: for each draw, the mean
over seeds of one against that of the other. Interrupted, the same command continues.

`--picture FILE.jpg` draws how like prompts and films are, before training and after, and does nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from intervalchange.data.batch import collate
from intervalchange.data.dataset import FilmDataset, share_of_patients
from intervalchange.data.prepared import Prepared
from intervalchange.evaluation.metrics.labels import by_label, scored_labels
from intervalchange.evaluation.metrics.statistics import (
    bootstrap_p,
    patient_codes,
    patient_weights,
    percentile_interval,
)
from intervalchange.inference import DEMO
from intervalchange.methods.ffa_cl.classify import FfaCl, FfaClConfig
from intervalchange.training.stage import refuse_evaluation_data, start_from

LABELS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "fracture", "granuloma", "lung opacity")
LABELS += ("pleural effusion", "pneumothorax")
"""What the simulated cohort has of the fourteen; granuloma is read as Lung Lesion, No Finding is made of the others."""
SIZE = {"labels": LABELS, "pool": 4, "width": 64}
SHARES = (0.01, 0.1, 1.0)
STEPS, BATCH, RATE, DECAY, WARMUP, EVERY = 150, 128, 2e-3, 0.05, 0.1, 15
RARE = 0.1
"""A label is rare where fewer of the known training films have it."""


@dataclass(frozen=True)
class Row:
    """Which losses are on."""

    contrast: str = ""
    """Form, or empty."""
    orthogonality: bool = False
    graph: bool = False

    @property
    def name(self) -> str:
        parts = [f"contrast ({self.contrast})"] if self.contrast else []
        parts += ["orthogonality"] if self.orthogonality else []
        parts += ["graph"] if self.graph else []
        return " + ".join(parts) or "vision only"

    def options(self) -> dict[str, object]:
        """Of `FfaClConfig`."""
        return {
            "contrast": self.contrast or "conditioned",
            "contrast_weight": float(bool(self.contrast)),
            "orthogonality_weight": float(self.orthogonality),
            "graph_weight": float(self.graph),
        }


def rows_of(share: float) -> list[Row]:
    """Vision only first."""
    forms = ["", "conditioned", *(["unnormalised", "published"] if share == 0.1 else [])]
    return [Row(form, ways, graph) for form in forms for ways in (False, True) for graph in (False, True)]


@dataclass(frozen=True)
class Films:
    """Vectors (n, v) and targets (n, l) of a split, and whose they are."""

    vectors: torch.Tensor
    targets: torch.Tensor
    patients: np.ndarray


def backbone(encoder: str) -> FfaCl:
    """A model whose encoder is that of a run of set_difference (`demo`: the one in the wheel), or random."""
    torch.manual_seed(0)
    if encoder == "random":
        return FfaCl(FfaClConfig(**SIZE, encoder_widths=(16, 32, 64, 96), pyramid_width=48)).eval()
    run = DEMO if encoder == "demo" else Path(encoder)
    theirs = json.loads((run / "config.json").read_text(encoding="utf-8"))
    shape = {"encoder_widths": theirs["widths"], "pyramid_width": theirs["width"], "pixels": theirs["pixels"]}
    model = FfaCl(FfaClConfig(**SIZE, **shape, encoder_depth=theirs["depth"])).eval()
    print(start_from(model, run))
    return model


def films_of(model: FfaCl, prepared: Prepared, split: str, out: Path) -> Films:
    """Every film of a split through the backbone, once: from `out` where it is there."""
    films = FilmDataset(prepared, split, model.config.pixels, needs=("labels",), labels=LABELS)
    weights = b"".join(tensor.numpy().tobytes() for tensor in model.encoder.state_dict().values())
    told = f"{prepared.manifest['hash']} {split} {model.config.pool}".encode()
    path = out / f"vectors-{hashlib.sha256(weights + told).hexdigest()[:16]}.npy"
    if not path.is_file():
        parts = []
        for start in range(0, len(films), 64):
            batch = collate([films[row] for row in range(start, min(start + 64, len(films)))])
            with torch.no_grad():
                parts.append(model.vectors(batch.current).numpy())
        np.save(path, np.concatenate(parts))
    labels = torch.from_numpy(prepared.labels(LABELS)[films.studies])
    vectors = torch.from_numpy(np.load(path, allow_pickle=False))
    return Films(vectors, model.targets(labels), np.array(films.patient_ids))


def train_one(row: Row, seed: int, shape: FfaClConfig, train: Films, val: Films) -> FfaCl:
    """The model with the weights that were best on validation."""
    torch.manual_seed(seed)
    options = {name: getattr(shape, name) for name in shape.options()} | row.options()
    model = FfaCl(FfaClConfig(**options))
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=RATE, weight_decay=DECAY)
    rng = np.random.default_rng(seed)
    best, kept = -1.0, {}
    for step in range(STEPS):
        rows = torch.from_numpy(rng.choice(len(train.vectors), min(BATCH, len(train.vectors)), replace=False))
        for group in optimiser.param_groups:
            group["lr"] = RATE * rate(step / STEPS)
        optimiser.zero_grad()
        loss = model.train().losses(train.vectors[rows], train.targets[rows]).loss
        loss.backward()
        optimiser.step()
        if (step + 1) % EVERY == 0:
            reached = macro(val.targets.numpy(), probabilities(model, val.vectors))
            if reached > best:
                best, kept = reached, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    return model


def part_of(train: Films, share: float) -> Films:
    """The films of a share of the patients."""
    kept = np.flatnonzero(share_of_patients(train.patients, share))
    return Films(train.vectors[kept], train.targets[kept], train.patients[kept])


def run(prefix: Path, row: Row, seed: int, shape: FfaClConfig, train: Films, val: Films, test: Films) -> Path:
    """The probabilities of the test films by one run, in a file; computed where it is not there. Says its seconds."""
    path = prefix.with_name(f"{prefix.name}.{row.name.replace(' ', '_')}.{seed}.npy")
    if not path.is_file():
        started = time.process_time()
        np.save(path, probabilities(train_one(row, seed, shape, train, val), test.vectors))
        print(f"{path.stem}: {time.process_time() - started:.1f} CPU seconds", flush=True)
    return path


def rate(part: float) -> float:
    """Warm-up, then half a cosine."""
    if part < WARMUP:
        return (part + 1 / STEPS) / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (part - WARMUP) / (1 - WARMUP)))


@torch.no_grad()
def probabilities(model: FfaCl, vectors: torch.Tensor) -> np.ndarray:
    model.eval()
    return torch.sigmoid(model.logits(model.splitter(vectors))).numpy()


def macro(true: np.ndarray, said: np.ndarray) -> float:
    """Macro AUROC over the labels that are known."""
    return float(np.nanmean(by_label(true, said, np.ones(len(true)), "auroc")))


def replicated(true: np.ndarray, said: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """(1 + draws, l) AUROC: on all films, then on draws of patients; the same draws for every row."""
    codes = patient_codes(patients.tolist())
    weights: Iterator[np.ndarray] = patient_weights(int(codes.max()) + 1, 1000, 0)
    parts = [by_label(true, said, np.ones((1, len(true))), "auroc")]
    return np.concatenate([*parts, *(by_label(true, said, each[:, codes], "auroc") for each in weights)])


def figure(values: np.ndarray) -> dict[str, float]:
    """Point first, then draws -> value and its 95% interval."""
    low, high = percentile_interval(values[1:])
    return {"value": float(values[0]), "low": low, "high": high}


def compared(aucs: dict[str, np.ndarray], names: list[str], rare: list[int]) -> dict[str, object]:
    """Each row of one share (draws, l; the mean over seeds), and against vision only."""
    known = [place for place in range(len(names)) if np.isfinite(aucs["vision only"][0, place])]
    found: dict[str, object] = {}
    for row, values in aucs.items():
        sets = {"macro": known, "rare": [place for place in known if place in rare]}
        sets |= {names[place]: [place] for place in known}
        columns = {name: np.nanmean(values[:, places], axis=1) for name, places in sets.items() if places}
        base = {name: np.nanmean(aucs["vision only"][:, places], axis=1) for name, places in sets.items() if places}
        found[row] = {"auroc": {name: figure(column) for name, column in columns.items()}}
        if row != "vision only":
            gains = {name: column - base[name] for name, column in columns.items()}
            found[row]["against vision only"] = {  # type: ignore[index]
                name: figure(gain) | {"p": bootstrap_p(gain[1:])} for name, gain in gains.items()
            }
    return found


def similarities(model: FfaCl, films: Films) -> np.ndarray:
    """(l, l) mean cosine: row a prompt, column the films' embedding for a label, over films where it is present.

    NaN in the columns of labels that the cohort does not have.
    """
    with torch.no_grad():
        cosines = model.eval().similarity(model.splitter(films.vectors))
    present = (films.targets == 1).float()
    total = torch.einsum("bjk,bk->jk", cosines, present)
    return (total / torch.where(present.sum(0) > 0, present.sum(0), torch.nan)).numpy()


def picture(path: Path, shape: FfaClConfig, train: Films, val: Films, test: Films) -> None:
    """Before training, and after it with each form of the contrast and with the graph; one seed."""
    from matplotlib import pyplot

    rows = (Row("published"), Row("conditioned"), Row("conditioned", graph=True))
    torch.manual_seed(0)
    untrained = FfaCl(FfaClConfig(**{name: getattr(shape, name) for name in shape.options()}))
    untrained.train().losses(train.vectors[:BATCH], train.targets[:BATCH])
    seen = {"before training": similarities(untrained, test)}
    seen |= {row.name: similarities(train_one(row, 0, shape, train, val), test) for row in rows}
    figure, axes = pyplot.subplots(1, len(seen), figsize=(15, 5), layout="constrained")
    names = list(untrained.tree.labels)
    known = [place for place in range(len(names)) if (test.targets[:, place] == 1).any()]
    for axis, (name, values) in zip(axes, seen.items(), strict=True):
        image = axis.imshow(values[np.ix_(known, known)], vmin=-1, vmax=1, cmap="RdBu_r")
        axis.set_title(name)
        axis.set_xticks(range(len(known)), [names[place] for place in known], rotation=90)
        axis.set_yticks(range(len(known)), [names[place] for place in known] if axis is axes[0] else [""] * len(known))
    axes[0].set_ylabel("prompt")
    figure.supxlabel("embedding of films that show")
    figure.colorbar(image, ax=list(axes), shrink=0.7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70, pil_kwargs={"quality": 85})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--train", type=Path, required=True)
    options.add_argument("--test", type=Path, required=True)
    options.add_argument("--encoder", required=True, help="run of set_difference, `demo`, or `random`")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    options.add_argument("--results", type=Path, default=Path("benchmarks/results/ffa_cl.json"))
    options.add_argument("--picture", type=Path, help="draw similarities into this file instead")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    model = backbone(chosen.encoder)
    refuse_evaluation_data(cohort := Prepared(chosen.train))
    train, val = (films_of(model, cohort, split, chosen.out) for split in ("train", "val"))
    test = films_of(model, Prepared(chosen.test), "test", chosen.out)
    if chosen.picture:
        return picture(chosen.picture, model.config, part_of(train, 0.1), val, test)
    names, true = list(model.tree.labels), test.targets.numpy()
    known = train.targets.isfinite()
    share_positive = ((train.targets == 1).sum(0) / known.sum(0).clamp(min=1)).numpy()
    scored = scored_labels(true)
    rare = [place for place in np.flatnonzero(scored) if share_positive[place] < RARE]
    result: dict[str, object] = {
        "encoder": "random" if chosen.encoder == "random" else "set_difference run: has seen all training labels",
        "train_films": len(train.vectors),
        "test_films": len(true),
        "test_patients": len(set(test.patients.tolist())),
        "seeds": chosen.seeds,
        "steps": STEPS,
        "prevalence": {names[place]: float(share_positive[place]) for place in np.flatnonzero(scored)},
        "rare": [names[place] for place in rare],
        "not in the cohort": [name for name, there in zip(names, scored, strict=True) if not there],
        "shares": {},
    }
    for share in chosen.shares:
        part = part_of(train, share)
        prefix = chosen.out / f"{Path(chosen.encoder).name}.{share}"
        aucs = {}
        for row in rows_of(share):
            files = [run(prefix, row, seed, model.config, part, val, test) for seed in range(chosen.seeds)]
            each = [replicated(true, np.load(file, allow_pickle=False), test.patients) for file in files]
            aucs[row.name] = np.mean(each, axis=0)
            print(f"{share:g} {row.name:60s} {np.nanmean(aucs[row.name][0]):.4f}", flush=True)
        result["shares"][f"{share:g}"] = {  # type: ignore[index]
            "films": len(part.vectors),
            "patients": len(set(part.patients.tolist())),
            "positives": {names[k]: int((part.targets[:, k] == 1).sum()) for k in np.flatnonzero(scored)},
            "rows": compared(aucs, names, rare),
        }
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    chosen.results.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
