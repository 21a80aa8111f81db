"""`intervalchange train`: one stage of one method, from a prepared folder to a run folder."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import intervalchange
from intervalchange.config import Preset, load_preset, preset_header, preset_sizes
from intervalchange.data.dataset import FilmDataset, PairDataset
from intervalchange.data.prepared import Prepared
from intervalchange.data.transforms import Augment
from intervalchange.errors import ConfigError, RunError
from intervalchange.methods import method_class, method_of, stages
from intervalchange.methods.base.method import Method
from intervalchange.policy import EVALUATION_SEED
from intervalchange.training.run_folder import RunFolder
from intervalchange.training.trainer import MethodTrainer, batches, load_checkpoint

Items = PairDataset | FilmDataset
"""What a stage is trained on: cases, or films."""


LIST_WIDTH = 150
"""Columns of a terminal that `train --list` takes at least."""


@dataclass(frozen=True)
class Stage:
    """A line of `train --list`."""

    name: str
    sizes: tuple[str, ...]
    supervision: tuple[str, ...]
    """What it learns from."""
    parameters: Mapping[str, int]
    """Size -> trainable parameters."""
    headers: Mapping[str, Mapping[str, str]]
    """Size -> what its preset says of itself: paper, hours, hardware, expected score, verified."""


def list_stages() -> list[Stage]:
    """Every METHOD/STAGE that has a preset, in running order."""
    found = []
    for name in stages():
        sizes = preset_sizes(name)
        if sizes:
            kind = method_class(name)
            parameters = {size: count_parameters(name, size) for size in sizes}
            headers = {size: preset_header(name, size) for size in sizes}
            found.append(Stage(name, sizes, tuple(kind.supervision), parameters, headers))
    return found


def print_stages() -> None:
    """`train --list`: one row a stage and size, in running order, to stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in ("stage", "size", "parameters"):
        table.add_column(name, no_wrap=True, min_width=len(name))
    for name in ("learns from", "hours", "hardware", "expected score", "verified"):
        table.add_column(name)
    for stage in list_stages():
        for size in stage.sizes:
            said = stage.headers[size]
            facts = [said.get(key) or "not measured" for key in ("hours", "hardware", "expected score", "verified")]
            table.add_row(
                stage.name, size, f"{stage.parameters[size] / 1e6:.2f} M", ", ".join(stage.supervision), *facts
            )
    # Narrower, the words would be broken letter by letter.
    Console(width=max(Console().width, LIST_WIDTH)).print(table)


def count_parameters(stage: str, size: str) -> int:
    """Parameters of a preset, counted on the meta device: nothing is allocated or downloaded."""
    return sum(parameter.numel() for parameter in meta_model(stage, size).parameters())


def meta_model(stage: str, size: str) -> Method:
    """The model of a preset on the meta device; the template tokenizer stands in for one that must be downloaded."""
    from intervalchange.blocks.tokenizer import template_tokenizer

    kind = method_class(stage)
    config = kind.config_class(**load_preset(stage, size).model)
    with torch.device("meta"):
        return kind(config, tokenizer=template_tokenizer())


def train(
    stage: str,
    data: str | Path,
    out: str | Path,
    size: str = "small",
    sources: Sequence[str | Path] = (),
    overrides: Sequence[str] | Mapping[str, Any] = (),
) -> Path:
    """Train METHOD/STAGE on the training split of a prepared folder; returns the run folder.

    `sources`: runs whose weights it starts from. The same call again continues an interrupted run; a finished one is
    left as it is. Nothing of the test split is read.
    """
    kind = method_class(stage)
    preset = load_preset(stage, size, overrides)
    config = kind.config_class(**preset.model)
    prepared = Prepared(data)
    refuse_evaluation_data(prepared)
    training, validation = training_sets(kind, prepared, preset, config)
    folder = RunFolder(out)
    if folder.open(facts_of(preset, config, prepared, training, sources), config.renamed):
        _say(f"{folder.path} has finished already; nothing to do.")
        return folder.path
    checkpoint = folder.clear()
    trainer = MethodTrainer(
        partial(_new_model, kind, config, tuple(Path(source) for source in sources), checkpoint is None, training),
        preset.train,
        folder,
        training,
        validation,
        spent=checkpoint.spent if checkpoint else 0.0,
    )
    if checkpoint:
        _say(f"continuing from step {checkpoint.step}.")
    trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    _conclude(trainer, folder, _validation(kind, prepared, preset, config))
    return folder.path


def _new_model(kind: type[Method], config: Any, sources: Sequence[Path], fresh: bool, training: Items) -> Method:
    """A model to train. Called by Trainer, which has set the seed."""
    model = kind(config)
    if fresh:
        model.load_pretrained()
        for source in sources:
            _say(start_from(model, source))
        model.check_items(training)
    return model


def start_from(model: Method, run: Path) -> str:
    """Copy the tensors of a run that fit by name and shape; says how many were loaded, missing, unexpected."""
    path = run / "model.safetensors"
    if not path.is_file():
        raise RunError("there are no weights to start from.", where=run, remedy="Give a finished run folder to --from.")
    theirs, ours = model.map_pretrained(_tensors_of(run), run), model.state_dict()
    fitting = {name: tensor for name, tensor in theirs.items() if name in ours and ours[name].shape == tensor.shape}
    if not fitting:
        raise RunError(
            "the run contributes no tensor to this model.", where=run, remedy="Choose another run for --from."
        )
    model.load_state_dict(fitting, strict=False)
    missing = len(ours.keys() - fitting.keys() - model.all_tied_weights_keys.keys())
    unexpected = len(theirs.keys() - fitting.keys())
    return f"{run}: {len(fitting)} tensors loaded, {missing} missing, {unexpected} unexpected."


def _tensors_of(run: Path) -> dict[str, torch.Tensor]:
    """The weights of a run, under the names that its method has today."""
    tensors = load_file(run / "model.safetensors")
    config = run / "config.json"
    model_type = json.loads(config.read_text(encoding="utf-8")).get("model_type", "") if config.is_file() else ""
    try:
        return method_of(model_type).with_current_names(tensors)
    except ConfigError:  # Weights of a stage that is not installed: they are taken as they are.
        return tensors


def _conclude(trainer: MethodTrainer, folder: RunFolder, every_item: Items | None) -> None:
    """Take the best weights, calibrate them on the whole validation split, write them, mark the run as finished.

    Selection looks at `eval_cases` of that split only; thresholds want every case they can get.
    """
    model, state = trainer.accelerator.unwrap_model(trainer.model), trainer.state
    chosen = state.best_global_step or state.global_step
    load_checkpoint(model, folder.checkpoints / f"checkpoint-{chosen}")
    model.eval()
    calibrated: Mapping[str, float] = {}
    if every_item is not None:
        calibrated = model.calibrate(batches(every_item, trainer.config.batch_size))
    if trainer.args.should_save:
        model.save_pretrained(folder.path)
        folder.finish(
            {
                "selected": {"step": chosen, "metric": model.selection, "value": state.best_metric},
                "steps": state.global_step,
                "calibrated": dict(calibrated),
                "seconds": round(trainer.spent(), 1),
            }
        )
    trainer.accelerator.wait_for_everyone()


def refuse_evaluation_data(prepared: Prepared) -> None:
    """Simulated cohorts for evaluation are never trained on."""
    seed = (prepared.manifest.get("simulated") or {}).get("seed")
    if seed is not None and int(seed) >= EVALUATION_SEED:
        raise ConfigError(
            f"this cohort was simulated with seed {seed}, which is for evaluation only.",
            where=prepared.folder,
            remedy=f"Simulate one with a seed below {EVALUATION_SEED}.",
        )


def training_sets(kind: type[Method], prepared: Prepared, preset: Preset, config: Any) -> tuple[Items, Items | None]:
    """The augmented training items, and at most `eval_cases` of validation (None where there are none)."""
    train = preset.train
    augment = Augment.of_strength(train.augment)
    training = _items(kind, prepared, preset, config, "train", augment=augment, seed=train.seed, share=train.share)
    if isinstance(training, PairDataset) and train.share == 1:
        unknown = len(prepared.case_rows("train", train.kinds or None)) - len(training)
        if unknown:
            _say(f"{unknown:,} training cases without a known answer are left out.")
    validation = _validation(kind, prepared, preset, config, train.eval_cases)
    if validation is None:
        _say("nothing to validate on: the last weights will be kept.")
    return training, validation


def _items(kind: type[Method], prepared: Prepared, preset: Preset, config: Any, split: str, **options: Any) -> Items:
    """The items of a split that this method is trained on: cases whose answer is known, or films.

    Items carry what the method says it learns from (`supervision`) and nothing else.
    """
    options["supervision"] = kind.supervision
    if kind.unit == "films":
        labels = getattr(config, "labels", ())
        return FilmDataset(prepared, split, config.pixels, needs=kind.needs, labels=labels, **options)
    kinds = preset.train.kinds or None
    if getattr(config, "regions", "fly") == "store":
        from intervalchange.data.region_store import RegionPairs

        return RegionPairs(prepared, split, kinds, config.pixels, answered=True, store=config.region_store, **options)
    return PairDataset(prepared, split, kinds, config.pixels, answered=True, **options)


def _validation(
    kind: type[Method], prepared: Prepared, preset: Preset, config: Any, limit: int | None = None
) -> Items | None:
    """The validation items, at most `limit`; None where there are none."""
    kinds = None if kind.unit == "films" else preset.train.kinds or None
    if not len(prepared.case_rows("val", kinds, answered=kind.unit == "cases")):
        return None
    return _items(kind, prepared, preset, config, "val", limit=limit)


def facts_of(
    preset: Preset, config: Any, prepared: Prepared, training: Items, sources: Sequence[str | Path]
) -> dict[str, Any]:
    """What run.json says of a run. Two calls with one fingerprint are the same run."""
    manifest = prepared.manifest
    answers: dict[str, Counter[str]] = {}
    if isinstance(training, PairDataset):
        for question, answer in zip(training.questions, training.answers, strict=True):
            answers.setdefault(question, Counter())[answer] += 1
    fingerprint = {
        "stage": preset.stage,
        "size": preset.size,
        "model": {name: getattr(config, name) for name in config.options()},
        "train": asdict(preset.train),
        "data_manifest": manifest_hash(prepared),
        "from": [str(source) for source in sources],
    }
    return {
        "name": f"{preset.stage}.{preset.size}",
        "stage": preset.stage,
        "size": preset.size,
        "fingerprint": _plain(fingerprint),
        "version": intervalchange.__version__,
        "commit": commit(),
        "split_hash": manifest.get("split_hash"),
        "simulated": manifest.get("simulated") or {},
        "stored_pixels": prepared.pixels.shape[0],
        "seed": preset.train.seed,
        "hardware": hardware(),
        "training_cases": len(training),
        "training_patients": sorted(set(training.patient_ids)),
        "training_answers": {question: dict(counts.most_common()) for question, counts in answers.items()},
    }


def manifest_hash(prepared: Prepared) -> str:
    """SHA-256 of the manifest, which holds the SHA-256 of every file."""
    given = prepared.manifest.get("hash")
    return str(given) if given else hashlib.sha256((prepared.folder / "manifest.json").read_bytes()).hexdigest()


def commit() -> str:
    """The git commit of the code, with `+` where the tree is changed; empty outside a checkout."""
    where = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        call = subprocess.run(
            ["git", "-C", str(where), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
        return call.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def hardware() -> dict[str, Any]:
    """Where a run was trained."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _plain(value: Any) -> Any:
    """As JSON would give it back."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _say(text: str) -> None:
    print(text, file=sys.stderr)
