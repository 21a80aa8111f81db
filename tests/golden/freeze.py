"""What `test_frozen.py` compares: values that a move or a rename must leave as they are.

    python tests/golden/freeze.py

writes `tests/golden/frozen/` anew, with one thread. The frozen files were made with the code of commit 8bb1407, before
the redesign (PYTHONPATH at the src of that commit). They are made anew only where a value is meant to change.
`predictions.jsonl` and `others.jsonl` are inputs, made with `--predictions`; without it they are left as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pandas as pd
import pyarrow
import pyarrow.parquet
import torch
import toy

import intervalchange
from intervalchange.config import load_preset
from intervalchange.data.batch import Batch
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.evaluation.answers.predictions import Provenance, write_predictions
from intervalchange.evaluation.scoring.score import score
from intervalchange.grammar import NOTHING
from intervalchange.inference import load
from intervalchange.methods import method_class, stages
from intervalchange.records import CONDITIONS, KINDS, Prediction
from intervalchange.simulation.cohort import simulate

FROZEN = Path(__file__).resolve().parent / "frozen"
SAMPLES = Path(intervalchange.__file__).resolve().parent / "samples"
STAGES = tuple(stage for stage in stages() if method_class(stage).__module__.startswith("intervalchange."))
STEPS, CASES = 10, 4
SINGLE = ("c2f/align", "c2f/answer", "ekaid/answer", "ffa_cl/classify", "ffa_cl/answer")
"""Stages that compute parts in single precision whatever their weights are in; all others are trained in double."""
PACKAGES = ("numba", "numpy", "pandas", "pillow", "pyarrow", "scipy", "torch")
BLOCK = 8
"""Side of the blocks whose mean brightness stands for the pixels of a film on other machines."""


def made_with() -> dict[str, str]:
    """What bytes may depend on besides our code: they are compared only where this is the same."""
    return {**{name: version(name) for name in PACKAGES}, "machine": platform.machine(), "processor": processor()}


def processor() -> str:
    """The model of the CPU, where Linux says so."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


# --- the demo --------------------------------------------------------------------------------------------------


def demo_answers() -> list[dict[str, Any]]:
    """What the demo says of each bundled pair, and of the first backwards in time."""
    demo, found = load("demo"), []
    pairs = [(str(row.prior), str(row.current)) for row in pd.read_csv(SAMPLES / "pairs.csv").itertuples()]
    for prior, current in [*pairs, pairs[0][::-1]]:
        said = demo.answer(SAMPLES / prior, SAMPLES / current)
        maps = {name: list(heat.shape) for name, heat in (said.evidence or {}).items()}
        plain = said.as_json()
        names = ("answer", "change", "confidence", "warnings")
        found.append({"films": [prior, current], **{name: plain.get(name) for name in names}, "evidence": maps})
    return found


# --- training --------------------------------------------------------------------------------------------------


def ten_losses(stage: str) -> dict[str, list[float]]:
    """Loss, and each of its terms, at ten steps of AdamW of the tiny preset on one toy batch."""
    kind = method_class(stage)
    torch.manual_seed(0)
    model = kind(kind.config_class(**load_preset(stage, "tiny").model)).train()
    labels = getattr(model.config, "labels", ())
    batch = toy.batch(CASES) if kind.unit == "cases" else toy.film_batch(CASES, names=labels)
    if stage not in SINGLE:
        model, batch = model.double(), in_double(batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    found: dict[str, list[float]] = {"loss": []}
    for step in range(STEPS):
        torch.manual_seed(step)
        model.progress(step=step, steps=STEPS, epoch=step / 2)
        optimiser.zero_grad()
        output = model(**batch)
        output.loss.backward()
        optimiser.step()
        found["loss"].append(float(output.loss.detach()))
        for name, term in output.terms.items():
            found.setdefault(name, []).append(float(term))
    return found


def in_double(batch: Batch) -> Batch:
    """The batch with its floating tensors in double precision."""
    return Batch(
        **{
            name: value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
            for name, value in batch.items()
        }
    )


# --- a prepared folder -----------------------------------------------------------------------------------------


def prepared_folder(folder: Path) -> Path:
    """A tiny simulated cohort, prepared under `folder`."""
    options: dict[str, Any] = {"splits": "1:1:1", "workers": 1, "progress": False}
    root = simulate(folder / "cohort", patients=3, seed=5, pixels=64, **options)
    prepare("mimic_diff_vqa", root, folder / "prepared", pixels=64, workers=1, progress=False)
    return folder / "prepared"


def prepared_facts(prepared: Path) -> dict[str, Any]:
    """The manifest without the version that simulated; columns and rows of tables; the mean of each block of films."""
    manifest = json.loads((prepared / "manifest.json").read_text(encoding="utf-8"))
    manifest["simulated"].pop("version")
    tables = {path.stem: pyarrow.parquet.read_table(path) for path in sorted(prepared.glob("*.parquet"))}
    store = Prepared(prepared).pixels
    films = store.read(range(len(store)))
    side = films.shape[-1] // BLOCK
    means = films.astype(float).reshape(len(films), side, BLOCK, side, BLOCK).mean((2, 4))
    return {
        "manifest": manifest,
        "columns": {name: table.schema.names for name, table in tables.items()},
        "rows": {name: len(table) for name, table in tables.items()},
        "films": [[round(float(mean)) for mean in film.ravel()] for film in means],
    }


# --- scores ----------------------------------------------------------------------------------------------------


def make_predictions(folder: Path) -> None:
    """`predictions.jsonl`: the demo on a tiny simulated cohort, all kinds, conditions, facts, tags and one abstention.
    `others.jsonl`: other answers to the same cases, some of them words that nobody can parse."""
    root = simulate(folder / "cohort", patients=6, seed=900_007, pixels=160, splits="0:0:1", workers=1, progress=False)
    prepare("mimic_diff_vqa", root, folder / "prepared", pixels=160, workers=1, progress=False)
    demo, prepared = load("demo"), Prepared(folder / "prepared")
    said = list(demo.predict(prepared, "test", CONDITIONS, abstain_at=0.3))
    more = list(demo.predict(prepared, "test", kinds=[kind for kind in KINDS if kind != "difference"]))
    for kind in KINDS:
        said += [one for one in more if one.kind == kind][:3]
    kept = [shortened(one) for one in said]
    provenance = Provenance(
        run="demo",
        source="mimic_diff_vqa",
        split="test",
        simulated=True,
        training_answers={kept[0].question: {NOTHING: 3, kept[0].reference or "": 2}},
        more={"supervision": ["findings", "levels", "masks", "opacity"]},
    )
    write_predictions(FROZEN / "predictions.jsonl", kept, provenance)
    given = [one for one in kept if one.condition == "given"]
    words = (NOTHING, "", "the heart looks a little larger than before .")
    others = [
        replace(one, answer=one.reference or "" if row % 2 else words[row // 2 % 3], change=None, confidence=None)
        for row, one in enumerate(given[:-1])
    ]
    write_predictions(FROZEN / "others.jsonl", others)


def shortened(one: Prediction) -> Prediction:
    """The prediction with the confidence of its answer and of the four surest findings."""
    ranked = sorted((one.confidence or {}).items(), key=lambda pair: (pair[0] != "answer", -pair[1]))
    return replace(one, confidence=dict(ranked[:5]), evidence=None)


def scored() -> dict[str, Any]:
    """`score` of the two files of answers: side by side, with words of change."""
    files = [FROZEN / "predictions.jsonl", FROZEN / "others.jsonl"]
    return score(files, replicates=200, meteor=False, extra=("temporal",)).as_json()


# --- files -----------------------------------------------------------------------------------------------------


def frozen(name: str) -> Any:
    """A frozen value."""
    return json.loads((FROZEN / f"{name}.json").read_text(encoding="utf-8"))


def keep(name: str, value: Any) -> None:
    """Freeze a value."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    (FROZEN / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def differences(old: Any, new: Any, relative: float, absolute: float = 0.0, path: str = "") -> list[str]:
    """Where two JSON values differ, in words: numbers by more than the tolerance, all else at all."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        apart = [f"{path}.{key} is in one only" for key in sorted(old.keys() ^ new.keys())]
        both = [key for key in old if key in new]
        return apart + [
            text for key in both for text in differences(old[key], new[key], relative, absolute, f"{path}.{key}")
        ]
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            return [f"{path} has {len(new)} items, not {len(old)}"]
        pairs = enumerate(zip(old, new, strict=True))
        return [text for row, pair in pairs for text in differences(*pair, relative, absolute, f"{path}[{row}]")]
    if is_number(old) and is_number(new):
        close = abs(old - new) <= absolute + relative * max(abs(old), abs(new))
        return [] if close else [f"{path} is {new}, not {old}"]
    return [] if old == new else [f"{path} is {new!r}, not {old!r}"]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def main() -> None:
    """Write every frozen file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--predictions", action="store_true", help="also make the answers anew that are scored")
    asked = options.parse_args()
    torch.set_num_threads(1)
    FROZEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if asked.predictions:
            make_predictions(Path(folder) / "predictions")
        keep("prepared", {"made_with": made_with(), **prepared_facts(prepared_folder(Path(folder)))})
    keep("demo", demo_answers())
    keep("losses", {stage: ten_losses(stage) for stage in STAGES})
    keep("score", scored())
    print(f"frozen with the code of {intervalchange.__file__}")


if __name__ == "__main__":
    main()
