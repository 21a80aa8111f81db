"""Every published size: built, one real step on a simulated tree, saved, loaded, continued, asked.

    python benchmarks/paper_steps.py --out runs/paper_steps --memory 24

Presets are listed from the package: every one that marks guesses, names a source or is called `paper`, in running
order, each from the run of the stage that it follows. Weights and tokenizers of the hub are left out: sizes are the
published ones, weights random, words those of the templates. Two cases per batch (`--batch`).

Each is built and trained at its full size. One whose estimate (16 bytes a parameter for weights, gradients and Adam,
`ACTIVATION` bytes a pixel of a batch) is above `--memory` GiB, and what starts from it, is left out.

A row is a process of its own: seconds of each part, its peak of memory, `way`, and by how much the weights of the
continued run are from those of the run that was not interrupted. A row that fails says why. Rerun it to resume: a row
that stands in the results is not run again, unless it failed; `--only STAGE.SIZE ...` runs these and what they start
from. The smallest come first; what no further row starts from is removed from `--out`. Labels that no simulated film
has are left out, and prompts that CLIP encodes are counted words.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.command import Command
from harness.records import Result
from harness.tables import table_lines
from harness.timing import peak_mebibytes
from harness.trials import Results
from safetensors.torch import load_file
from torch import Tensor

from intervalchange.config import load_preset, preset_sizes
from intervalchange.data.batch import collate
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.data.region_store import write_region_store
from intervalchange.inference import load
from intervalchange.methods import method_class, stages
from intervalchange.methods.base.method import Method
from intervalchange.simulation.cohort import simulate
from intervalchange.training import train
from intervalchange.training.listing import count_parameters, running_order, source_line
from intervalchange.training.run_folder import read_json, write_json

ACTIVATION = 4000
"""Bytes that training keeps per pixel of a batch: about those of a ResNet-50."""
FROM_HUB = ("backbone_weights", "decoder_weights", "text_weights", "ofa_weights", "vocabulary")
"""Options that name weights or words of the hub; the class's own default stands in."""
LABELS = {"tasks/detection": ["pneumothorax"], "tasks/segmentation": ["pneumothorax"]}
"""Labels that a simulated tree has boxes and masks of."""
LABELLED = ("tasks", "ffa_cl")
"""Methods that learn from the labels of films, which `mimic_cxr` reads."""
GIB = 2**30


@dataclass(frozen=True)
class Preset:
    """A stage at a published size."""

    stage: str
    size: str

    @property
    def name(self) -> str:
        return f"{self.stage}.{self.size}"

    @property
    def method(self) -> str:
        return self.stage.split("/")[0]


def presets() -> list[Preset]:
    """Every published size, in running order."""
    named = [Preset(stage, size) for stage in running_order(stages()) for size in preset_sizes(stage)]
    published = [preset for preset in named if source_line(preset.stage, preset.size)]
    # A task of another method (VED's first stage) comes before what starts from it.
    return sorted(published, key=lambda preset: preset.method != "tasks")


def start_of(preset: Preset, known: list[Preset]) -> Preset | None:
    """The preset that one starts from: of the stage that it follows, one called after the method, or the same size."""
    for stage in method_class(preset.stage).follows:
        for size in (preset.method, preset.size):
            if Preset(stage, size) in known:
                return Preset(stage, size)
    return None


def estimate(preset: Preset, batch: int) -> float:
    """GiB that training takes, roughly."""
    model = load_preset(preset.stage, preset.size).model
    films = batch if method_class(preset.stage).unit == "films" else 2 * batch
    if model.get("regions") == "store":
        films = 0
    pixels = films * int(model.get("pixels", 0)) ** 2
    return (16 * count_parameters(preset.stage, preset.size) + ACTIVATION * pixels) / GIB


def estimate_with_starts(preset: Preset, known: list[Preset], batch: int) -> float:
    """The largest estimate of a preset and of those that it starts from."""
    start = start_of(preset, known)
    return max(estimate(preset, batch), estimate_with_starts(start, known, batch) if start else 0.0)


def overrides_of(preset: Preset, batch: int) -> dict[str, Any]:
    """What makes one step of a preset possible here."""
    model, config = load_preset(preset.stage, preset.size).model, method_class(preset.stage).config_class
    options = {f"model.{name}": getattr(config, name) for name in FROM_HUB if name in model}
    if model.get("text") == "clip":
        options["model.text"] = "words"
    if preset.stage in LABELS:
        options["model.labels"] = LABELS[preset.stage]
    few = {"epochs": 0, "max_steps": 2, "minutes": 0, "batch_size": batch, "accumulation": 1, "eval_every": 1}
    few |= {
        "eval_cases": 2 if method_class(preset.stage).unit == "films" else 1,
        "workers": 0,
        "patience": 0,
        "precision": "fp32",
        "average": 0,
    }
    return options | {f"train.{name}": value for name, value in few.items()}


def data_of(preset: Preset, folder: Path, pixels: int) -> Path:
    """The simulated tree, prepared for a preset; made once."""
    cohort = simulate(folder / f"cohort{pixels}", 8, 0, pixels=pixels, splits="6:1:1", workers=1, progress=False)
    source = "mimic_cxr" if preset.method in LABELLED else "mimic_diff_vqa"
    out = folder / f"{source}{pixels}"
    prepare(source, cohort, out, pixels, workers=1, progress=False)
    return out


def steps(preset: Preset, folder: Path, batch: int) -> dict[str, Any]:
    """What a row says."""
    known = presets()
    options = overrides_of(preset, batch)
    model = load_preset(preset.stage, preset.size, options).model
    data = data_of(preset, folder, max(64, int(model.get("pixels", 64))))
    if preset.method in LABELLED:
        labels = method_class(preset.stage).config_class(**model).labels
        found = {name for text in Prepared(data).studies["findings"] for name in json.loads(text)}
        options["model.labels"] = [name for name in labels if name in found]
    start = start_of(preset, known)
    sources = [folder / start.name] if start else []
    if model.get("regions") == "store":
        write_region_store(Prepared(data), load(sources[0]).model)
    seconds: dict[str, float] = {}

    def timed(name: str, work: Any) -> Any:
        begun = time.perf_counter()
        done = work()
        seconds[name] = round(time.perf_counter() - begun, 1)
        return done

    def trained() -> Path:
        return train(preset.stage, data, folder / preset.name, preset.size, sources, options)

    run = timed("build, two steps, save", trained)
    weights = load_file(run / "model.safetensors")
    interrupt(run)
    timed("continue from the first step", trained)
    difference = largest_difference(weights, load_file(run / "model.safetensors"))
    del weights
    predictor = timed("load", lambda: load(run))
    asked = timed("ask", lambda: ask(predictor, Prepared(data)))
    remove(run, keep=any(start_of(other, known) == preset for other in known))
    return {
        "way": "full",
        "parameters": count_parameters(preset.stage, preset.size),
        "parameters of the steps": sum(parameter.numel() for parameter in predictor.model.parameters()),
        "estimate_gib": round(estimate(preset, batch), 1),
        "peak_gib": round(peak_mebibytes() / 1024, 1),
        "seconds": seconds,
        "difference of the continued weights": difference,
        "asked": asked,
        "from": start.name if start else "",
    }


def interrupt(run: Path) -> None:
    """Leave a run as one that was killed behind its first checkpoint."""
    shutil.rmtree(run / "checkpoints" / "checkpoint-2")
    for name in ("model.safetensors", "config.json"):
        (run / name).unlink()
    write_json(run / "run.json", {**read_json(run / "run.json"), "finished": False})


def largest_difference(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """Between the tensors of two files of weights."""
    if left.keys() != right.keys():
        raise SystemExit(f"the continued run has other tensors: {sorted(left.keys() ^ right.keys())[:3]}")
    return max(float((left[name].float() - right[name].float()).abs().max()) for name in left)


def remove(run: Path, keep: bool) -> None:
    """Free the disk of a run. keep: another row starts from its weights."""
    shutil.rmtree(run / "checkpoints" if keep else run)


def ask(predictor: Any, prepared: Prepared) -> str:
    """An answer to the first validation case, or the first metric of a stage that answers nothing."""
    if type(predictor.model).answer is not Method.answer:
        (prediction,) = predictor.model.answer(collate([predictor.dataset(prepared, "val")[0]]))
        return f"answer of {len(prediction.answer.split())} words"
    if predictor.model.unit == "films":
        return f"{len(predictor.metrics(prepared, 'val', 2))} metrics"
    return "no answer: a stage of pre-training on pairs"


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""
    seconds = {"steps": "build, two steps, save", "continue": "continue from the first step"} | {
        part: part for part in ("load", "ask")
    }
    head = ["preset", "way", "M parameters", "GiB", *seconds, "continued run differs by", "asked"]
    cells = [
        [
            f"`{row['row'].replace('.', '` `')}`",
            row["way"].partition(":")[0],
            f"{row['parameters'] / 1e6:.1f}",
            f"{row['peak_gib']:.1f}",
            *(f"{row['seconds'][part]:.0f}" for part in seconds.values()),
            f"{row['difference of the continued weights']:g}",
            row["asked"],
        ]
        if row["way"] != "failed"
        else [row["row"], "failed", *[""] * 7, row["error"].splitlines()[-1]]
        for row in rows
    ]
    return "\n".join(table_lines(head, cells))


def main() -> None:
    options = Command(__doc__, "out")
    options.add_argument("--memory", type=float, default=24.0, help="GiB that a full size may take, as estimated")
    options.add_argument("--batch", type=int, default=2)
    options.add_argument("--only", nargs="+", default=[], metavar="STAGE.SIZE")
    options.result("--results", "paper_steps.json")
    options.add_argument("--row", default="", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    rows = {preset.name: preset for preset in presets()}
    if chosen.row:
        print(json.dumps(steps(rows[chosen.row], chosen.out, chosen.batch)))
        return
    unknown = sorted(set(chosen.only) - rows.keys())
    if unknown:
        raise SystemExit(f"no published size is called {unknown[0]}; there are: {', '.join(rows)}.")
    wanted = set(chosen.only or rows)
    for preset in reversed(rows.values()):
        start = start_of(preset, list(rows.values()))
        if preset.name in wanted and start:
            wanted.add(start.name)
    settings = {"memory_gib": chosen.memory, "batch": chosen.batch}
    order = list(rows)
    results = Results(chosen.results, settings, "rows", ("row",), lambda entry: order.index(entry["row"]))
    results.entries = [entry for entry in results.entries if entry["way"] != "failed"]
    left = [name for name in rows if name in wanted and not results.has(name)]
    known = list(rows.values())
    for name in sorted(left, key=lambda name: estimate_with_starts(rows[name], known, chosen.batch)):
        shutil.rmtree(chosen.out / name, ignore_errors=True)
        size = estimate_with_starts(rows[name], known, chosen.batch)
        if size > chosen.memory:
            print(f"{name} is left out: {size:.1f} GiB.", flush=True)
            continue
        call = subprocess.run(
            [
                *(sys.executable, __file__, "--out", str(chosen.out), "--memory", str(chosen.memory)),
                *("--batch", str(chosen.batch), "--row", name),
            ],
            capture_output=True, text=True,
        )  # fmt: skip
        said = call.stdout.splitlines() or [""]
        values = json.loads(said[-1]) if call.returncode == 0 else {"way": "failed", "error": call.stderr[-600:]}
        print(name, json.dumps(values), flush=True)
        results.add(Result({"row": name}, values))
    results.write_markdown(markdown(results.entries))


if __name__ == "__main__":
    main()
