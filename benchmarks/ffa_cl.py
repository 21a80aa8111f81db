"""FFA-CL's fair test: do words and a tree of labels help a classifier of findings, above all with few labels?

    python benchmarks/ffa_cl.py --train prepared/train --test prepared/eval --encoder demo --out runs/ffa_cl

A frozen backbone encodes every film once; its vectors are kept beside the runs, by its weights. A run then is a small
network on vectors: the same `FfaCl` that `train` trains, for a fixed number of steps, the weights chosen on validation.
Shares of the training patients are drawn as `--train.share` draws them. Rows are every combination of the three
auxiliary losses; the two unconditioned contrasts at 10% of the patients alone.

A backbone of set_difference has seen the findings of all training patients: "1% of the labels" is then true of the
head alone. `--encoder random` is a backbone that has seen none.

Every row is compared with vision only on the same test films and the same draws of patients: for each draw, the mean
over seeds of one against that of the other. Rerun it to resume.

`--picture FILE.jpg` draws the similarity of prompts and films, before training and after, and does nothing else.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness.command import Command, provenance, write_json
from harness.film_vectors import FilmVectors, auroc_draws, encode_once, macro_auroc, value_and_interval

from intervalchange.data.dataset import FilmDataset
from intervalchange.data.prepared import Prepared
from intervalchange.evaluation.metrics.labels import scored_labels
from intervalchange.evaluation.metrics.statistics import bootstrap_p
from intervalchange.inference import DEMO
from intervalchange.methods.ffa_cl.classify import FfaCl, FfaClConfig
from intervalchange.training.sources import refuse_evaluation_data
from intervalchange.training.stage import start_from

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


def films_of(model: FfaCl, prepared: Prepared, split: str, out: Path) -> FilmVectors:
    """Every film of a split through the backbone, once."""
    films = FilmDataset(prepared, split, model.config.pixels, needs=("labels",), labels=LABELS)
    weights = b"".join(tensor.numpy().tobytes() for tensor in model.encoder.state_dict().values())
    identity = f"{prepared.manifest['hash']} {split} {model.config.pool}".encode()
    path = out / f"vectors-{hashlib.sha256(weights + identity).hexdigest()[:16]}.npy"
    labels = torch.from_numpy(prepared.labels(LABELS)[films.studies])
    return FilmVectors(encode_once(films, model.vectors, path), model.targets(labels), np.array(films.patient_ids))


def train_one(row: Row, seed: int, shape: FfaClConfig, train: FilmVectors, val: FilmVectors) -> FfaCl:
    """The model with the weights that were best on validation."""
    torch.manual_seed(seed)
    options = {name: getattr(shape, name) for name in shape.options()} | row.options()
    model = FfaCl(FfaClConfig(**options))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
    rng = np.random.default_rng(seed)
    best, weights = -1.0, {}
    for step in range(STEPS):
        rows = torch.from_numpy(rng.choice(len(train.vectors), min(BATCH, len(train.vectors)), replace=False))
        for group in optimiser.param_groups:
            group["lr"] = RATE * rate(step / STEPS)
        optimiser.zero_grad()
        loss = model.train().losses(train.vectors[rows], train.targets[rows]).loss
        loss.backward()
        optimiser.step()
        if (step + 1) % EVERY == 0:
            reached = macro_auroc(val.targets.numpy(), probabilities(model, val.vectors))
            if reached > best:
                best, weights = reached, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    return model


def run(
    prefix: Path, row: Row, seed: int, shape: FfaClConfig, train: FilmVectors, val: FilmVectors, test: FilmVectors
) -> Path:
    """The probabilities of the test films by one run, in a file; computed unless it is there."""
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


def compared(draws: dict[str, np.ndarray], names: list[str], rare: list[int]) -> dict[str, Any]:
    """AUROC of each row of one share (1 + draws, l; the mean over seeds), and its gain over vision only."""
    known = [label for label in range(len(names)) if np.isfinite(draws["vision only"][0, label])]
    sets = {"macro": known, "rare": [label for label in known if label in rare]}
    sets |= {names[label]: [label] for label in known}
    means = {
        row: {name: np.nanmean(values[:, labels], axis=1) for name, labels in sets.items() if labels}
        for row, values in draws.items()
    }
    rows: dict[str, Any] = {}
    for row, own in means.items():
        rows[row] = {"auroc": {name: value_and_interval(values) for name, values in own.items()}}
        if row != "vision only":
            gains = {name: values - means["vision only"][name] for name, values in own.items()}
            rows[row]["against vision only"] = {
                name: value_and_interval(gain) | {"p": bootstrap_p(gain[1:])} for name, gain in gains.items()
            }
    return rows


def similarities(model: FfaCl, films: FilmVectors) -> np.ndarray:
    """(l, l) mean cosine: row a prompt, column the films' embedding for a label, over films where it is present.

    NaN in the columns of labels that the cohort does not have.
    """
    with torch.no_grad():
        cosines = model.eval().similarity(model.splitter(films.vectors))
    present = (films.targets == 1).float()
    total = torch.einsum("bjk,bk->jk", cosines, present)
    return (total / torch.where(present.sum(0) > 0, present.sum(0), torch.nan)).numpy()


def picture(path: Path, shape: FfaClConfig, train: FilmVectors, val: FilmVectors, test: FilmVectors) -> None:
    """Before training, and after it with each form of the contrast and with the graph; one seed."""
    from matplotlib import pyplot

    rows = (Row("published"), Row("conditioned"), Row("conditioned", graph=True))
    torch.manual_seed(0)
    untrained = FfaCl(FfaClConfig(**{name: getattr(shape, name) for name in shape.options()}))
    untrained.train().losses(train.vectors[:BATCH], train.targets[:BATCH])
    drawn = {"before training": similarities(untrained, test)}
    drawn |= {row.name: similarities(train_one(row, 0, shape, train, val), test) for row in rows}
    figure, axes = pyplot.subplots(1, len(drawn), figsize=(15, 5), layout="constrained")
    names = list(untrained.tree.labels)
    known = [label for label in range(len(names)) if (test.targets[:, label] == 1).any()]
    for axis, (name, values) in zip(axes, drawn.items(), strict=True):
        image = axis.imshow(values[np.ix_(known, known)], vmin=-1, vmax=1, cmap="RdBu_r")
        axis.set_title(name)
        axis.set_xticks(range(len(known)), [names[label] for label in known], rotation=90)
        axis.set_yticks(range(len(known)), [names[label] for label in known] if axis is axes[0] else [""] * len(known))
    axes[0].set_ylabel("prompt")
    figure.supxlabel("embedding of films that show")
    figure.colorbar(image, ax=list(axes), shrink=0.7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70, pil_kwargs={"quality": 85})


def cohort_facts(train: FilmVectors, test: FilmVectors, names: list[str]) -> dict[str, Any]:
    """How many films there are, and how common each label is among the known training films."""
    known = train.targets.isfinite()
    share_positive = ((train.targets == 1).sum(0) / known.sum(0).clamp(min=1)).tolist()
    scored = scored_labels(test.targets.numpy())
    prevalence = {name: share for name, share, counts in zip(names, share_positive, scored, strict=True) if counts}
    return {
        "train_films": len(train.vectors),
        "test_films": len(test.vectors),
        "test_patients": len(set(test.patients.tolist())),
        "prevalence": prevalence,
        "rare": [name for name, share in prevalence.items() if share < RARE],
        "not in the cohort": [name for name in names if name not in prevalence],
    }


def main() -> None:
    options = Command(__doc__, "train", "test", "out")
    options.add_argument("--encoder", required=True, help="run of set_difference, `demo`, or `random`")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    options.result("--results", "ffa_cl.json")
    options.add_argument("--picture", type=Path, help="draw similarities into this file instead")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    model = backbone(chosen.encoder)
    refuse_evaluation_data(cohort := Prepared(chosen.train))
    train, val = (films_of(model, cohort, split, chosen.out) for split in ("train", "val"))
    test = films_of(model, Prepared(chosen.test), "test", chosen.out)
    if chosen.picture:
        return picture(chosen.picture, model.config, train.of_share(0.1), val, test)
    names, target = list(model.tree.labels), test.targets.numpy()
    facts = cohort_facts(train, test, names)
    rare = [names.index(name) for name in facts["rare"]]
    shares: dict[str, Any] = {}
    for share in chosen.shares:
        part = train.of_share(share)
        prefix = chosen.out / f"{Path(chosen.encoder).name}.{share}"
        draws = {}
        for row in rows_of(share):
            files = [run(prefix, row, seed, model.config, part, val, test) for seed in range(chosen.seeds)]
            each = [auroc_draws(target, np.load(file, allow_pickle=False), test.patients) for file in files]
            draws[row.name] = np.mean(each, axis=0)
            print(f"{share:g} {row.name:60s} {np.nanmean(draws[row.name][0]):.4f}", flush=True)
        shares[f"{share:g}"] = {
            "films": len(part.vectors),
            "patients": len(set(part.patients.tolist())),
            "positives": {name: int((part.targets[:, names.index(name)] == 1).sum()) for name in facts["prevalence"]},
            "rows": compared(draws, names, rare),
        }
    encoder = "random" if chosen.encoder == "random" else "set_difference run: has seen all training labels"
    result = {"encoder": encoder, **facts, "seeds": chosen.seeds, "steps": STEPS, "shares": shares}
    write_json(chosen.results, {**result, "provenance": provenance()})


if __name__ == "__main__":
    main()
