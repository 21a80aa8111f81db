"""`intervalchange train`: one stage of one method, from a prepared folder to a run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from intervalchange.blocks.tokenizer import load_tokenizer
from intervalchange.config import load_preset
from intervalchange.data.dataset import FilmReader
from intervalchange.errors import ConfigError, RunError
from intervalchange.methods import method_class, method_of
from intervalchange.methods.base.method import Method
from intervalchange.training.provenance import default_options, facts_of
from intervalchange.training.run_folder import RunFolder
from intervalchange.training.sources import Items, open_sources, say, training_items, validation_items
from intervalchange.training.trainer import MethodTrainer, batches
from intervalchange.training.weights import load_checkpoint, with_new_words


def train(
    stage: str,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    size: str = "small",
    sources: Sequence[str | Path] = (),
    overrides: Sequence[str] | Mapping[str, Any] = (),
    mix: str = "",
) -> Path:
    """Train METHOD/STAGE on the training split of a prepared folder, or of several; returns the run folder.

    `mix`: shares of several in every batch, as in `3:1`; equal by default. `sources`: runs whose weights it starts
    from. The same call again continues an interrupted run; a finished one is left as it is. Nothing of the test split
    is read.
    """
    kind = method_class(stage)
    preset = load_preset(stage, size, overrides)
    config = kind.config_class(**preset.model)
    read = open_sources([data] if isinstance(data, str | Path) else data, mix)
    training = training_items(kind, config, read, preset.train)
    validation = validation_items(kind, config, read, preset.train, limit=preset.train.eval_cases)
    if not validation:
        say("nothing to validate on: the last weights will be kept.")
    folder = RunFolder(out)
    if folder.open(facts_of(preset, config, read, training, sources), config.renamed, default_options(config)):
        say(f"{folder.path} has finished already; nothing to do.")
        return folder.path
    checkpoint = folder.clear()
    trainer = MethodTrainer(
        partial(_new_model, kind, config, tuple(map(Path, sources)), checkpoint.path if checkpoint else None, training),
        preset.train,
        folder,
        training,
        validation,
        spent=checkpoint.spent if checkpoint else 0.0,
    )
    if checkpoint:
        say(f"continuing from step {checkpoint.step}.")
    trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    _conclude(trainer, folder, validation_items(kind, config, read, preset.train))
    return folder.path


def _new_model(
    kind: type[Method], config: Any, sources: Sequence[Path], checkpoint: Path | None, training: Items
) -> Method:
    """A model to train, with the words of the checkpoint that it continues from. Called by Trainer, which has set the
    seed."""
    model = kind(config, tokenizer=load_tokenizer(str(checkpoint)) if checkpoint else None)
    if not hasattr(model, "all_tied_weights_keys"):  # `post_init` sets it.
        raise ConfigError(
            f"{kind.__name__} has not drawn its weights.",
            where=kind.__module__,
            remedy="Make `self.post_init()` the last line of its __init__.",
        )
    if checkpoint is None:
        model.load_pretrained()
        for source in sources:
            say(start_from(model, source))
        model.check_items(training)
    return model


def start_from(model: Method, run: Path) -> str:
    """Copy the tensors of a run that fit by name and shape; says how many were loaded, missing, unexpected."""
    path = run / "model.safetensors"
    if not path.is_file():
        raise RunError("there are no weights to start from.", where=run, remedy="Give a finished run folder to --from.")
    theirs = with_new_words(model, model.map_pretrained(_tensors_of(run), run), run)
    ours = model.state_dict()
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


def _conclude(trainer: MethodTrainer, folder: RunFolder, every_item: Mapping[str, FilmReader]) -> None:
    """Take the best weights, calibrate them on the whole validation split, write them, mark the run as finished.

    Selection looks at `eval_cases` of that split only; thresholds want every case they can get.
    """
    model, state = trainer.accelerator.unwrap_model(trainer.model), trainer.state
    chosen = state.best_global_step or state.global_step
    load_checkpoint(model, folder.checkpoints / f"checkpoint-{chosen}")
    model.eval()
    calibrated: Mapping[str, float] = {}
    if every_item:
        size = trainer.config.batch_size
        calibrated = model.calibrate(chain.from_iterable(batches(items, size) for items in every_item.values()))
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
        say(f"wrote {folder.path}: the weights of step {chosen} of {state.global_step}.")
    trainer.accelerator.wait_for_everyone()
