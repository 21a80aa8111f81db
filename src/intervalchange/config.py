"""Training configuration: a dataclass, YAML presets, command-line overrides. Unknown keys are errors.

A preset is `methods/<method>/<stage>.<size>.yaml`, beside its stage, with two sections: `model`, the fields of the
method's own configuration (checked where the model is built), and `train`, the fields of `TrainConfig`. YAML only sets
values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from intervalchange.errors import ConfigError, did_you_mean
from intervalchange.registry import presets_of

SIZES = ("tiny", "small", "paper")
SECTIONS = ("model", "train")
"""Of a preset, and of the options `--model.NAME` and `--train.NAME`."""
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Optimizer = Literal["adamw", "adam"]
Schedule = Literal["cosine", "linear", "constant", "inverse_sqrt"]


@dataclass
class TrainConfig:
    """How a method is trained. Mapped to transformers.TrainingArguments in training/trainer.py, and only there."""

    epochs: float = 15.0
    """Passes over the training cases; `max_steps` overrides it."""
    max_steps: int = 0
    """Optimiser steps; 0 counts epochs instead."""
    minutes: float = 0.0
    """Budget: stop after so many CPU minutes of the training process (wall-clock minutes on a GPU), whichever comes
    first; the learning rate decays by the budget. 0 for none. A run with a budget repeats itself only approximately."""
    batch_size: int = 64
    """Cases per step, on each process."""
    accumulation: int = 1
    """Batches whose gradients are summed before a step."""
    learning_rate: float = 1e-4
    """Its peak, after the warm-up."""
    optimizer: Optimizer = "adamw"
    """`adam`: the decay is added to the gradient, of every parameter, as in many published codes."""
    beta2: float = 0.999
    """Decay of the optimiser's mean of squared gradients."""
    schedule: Schedule = "cosine"
    """Of the learning rate after the warm-up: half a cosine or a line to zero, constant, or as 1 / sqrt(step)."""
    decay_steps: tuple[int, ...] = ()
    """Steps from which the rate is multiplied by `decay`, once more at each."""
    decay: float = 0.1
    weight_decay: float = 0.05
    """AdamW decay; biases and norms are spared."""
    warmup: float = 0.05
    """Part of the training over which the learning rate rises."""
    grad_clip: float = 1.0
    """Largest gradient norm; 0 for none."""
    precision: Precision = "auto"
    """`auto`: bf16 on a GPU that has it or a CPU with AMX, else fp32."""
    seed: int = 0
    """Of weights, order, dropout and augmentation."""
    workers: int = 0
    """Processes that read data beside the training process."""
    augment: float = 1.0
    """Strength of the augmentation: 0 none, 1 the ranges of data/transforms.py."""
    equalise: float = 0.0
    """Blend a third of the films with themselves after histogram equalisation, by a weight up to this: films of other
    makers."""
    kinds: tuple[str, ...] = ("difference",)
    """Question kinds to train on; an empty list for all. Stages over films ask nothing and ignore it."""
    share: float = 1.0
    """Share of the training patients that is used; a smaller share lies inside a larger one."""
    eval_every: int = 0
    """Steps between checkpoints, each with a validation; 0 for once per epoch."""
    eval_cases: int = 500
    """Validation cases used for selection."""
    average: float = 0.0
    """Validate and keep the exponential moving average of the weights, with this decay a step (0.999); 0 for none."""
    patience: int = 0
    """Stop after so many validations without a better score; 0 for never."""

    def __post_init__(self) -> None:
        self.kinds, self.decay_steps = tuple(self.kinds), tuple(self.decay_steps)
        positive = ("batch_size", "accumulation", "learning_rate", "eval_cases")
        wrong = [name for name in positive if getattr(self, name) <= 0]
        wrong += [item.name for item in fields(self) if item.type in ("int", "float") and getattr(self, item.name) < 0]
        if wrong:
            name = wrong[0]
            raise ConfigError(f"train option {name!r} is {getattr(self, name)}.", remedy="It must be larger.")
        if self.warmup >= 1:
            raise ConfigError(
                f"train option 'warmup' is {self.warmup}.", remedy="It is a part of the training: 0 to 1."
            )
        shares = {"average": self.average < 1, "beta2": self.beta2 < 1, "equalise": self.equalise <= 1}
        if not all(shares.values()):
            name = next(name for name, fits in shares.items() if not fits)
            raise ConfigError(f"train option {name!r} is {getattr(self, name)}.", remedy="It is from 0 up to 1.")
        if self.schedule == "inverse_sqrt" and not self.warmup:
            raise ConfigError(
                "the inverse square root falls from the end of the warm-up.", remedy="Set --train.warmup above 0."
            )
        if not 0 < self.share <= 1:
            raise ConfigError(f"train option 'share' is {self.share}.", remedy="It is above 0 and at most 1.")
        if not (self.epochs or self.max_steps or self.minutes):
            raise ConfigError("nothing says how long to train.", remedy="Set epochs, max_steps or minutes.")


@dataclass(frozen=True)
class Preset:
    """What a run is trained with."""

    stage: str
    size: str
    model: dict[str, Any] = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)

    def as_json(self) -> dict[str, Any]:
        """Plain values for the run folder."""
        return {"stage": self.stage, "size": self.size, "model": self.model, "train": asdict(self.train)}


def load_preset(stage: str, size: str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Preset:
    """The preset of METHOD/STAGE at a size, or in a file of one's own (`FILE.yaml`), with overrides applied.

    `overrides`: {"model.width": 64} or ["--model.width", "64", "--train.seed=1"].
    """
    written = yaml.safe_load(read_preset(stage, size)) or {}
    known_key("section", written, SECTIONS, where=f"{stage}.{size}.yaml")
    values: dict[str, dict[str, Any]] = {section: dict(written.get(section) or {}) for section in SECTIONS}
    changes = overrides if isinstance(overrides, Mapping) else parse_overrides(overrides)
    for key, value in changes.items():
        section, _, name = key.partition(".")
        known_key("option", [section], SECTIONS)
        if not name:
            raise ConfigError(f"option {key!r} names no field.", remedy=f"Write --{section}.FIELD VALUE.")
        values[section][name] = value
    size = Path(size).stem if _is_file_name(size) else size
    return Preset(stage, size, values["model"], train_config(values["train"]))


def train_config(values: Mapping[str, Any]) -> TrainConfig:
    """A checked TrainConfig from plain values."""
    known_key("train option", values, [item.name for item in fields(TrainConfig)])
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TrainConfig, "train")
    try:
        namespace = parser.parse_object({"train": dict(values)})
        return TrainConfig(**namespace.train.as_dict())
    except ArgumentError as error:
        raise ConfigError(
            f"a train option does not fit: {error}", remedy="See `intervalchange train --help`."
        ) from error


def parse_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """["--model.width", "64", "--train.seed=1"] -> {"model.width": 64, "train.seed": 1}; values read as YAML."""
    changes: dict[str, Any] = {}
    queue = list(arguments)
    while queue:
        flag = queue.pop(0)
        if not flag.startswith("--"):
            raise ConfigError(f"{flag!r} is not an option.", remedy="Write --model.FIELD VALUE or --train.FIELD VALUE.")
        key, equals, text = flag[2:].partition("=")
        if not equals:
            if not queue:
                raise ConfigError(f"option {flag!r} has no value.", remedy=f"Write {flag} VALUE.")
            text = queue.pop(0)
        value = yaml.safe_load(text)
        changes[key] = _number(value) if isinstance(value, str) else value
    return changes


def _number(text: str) -> str | float:
    """YAML 1.1 reads 1e-4 as a string; we do not."""
    try:
        return float(text)
    except ValueError:
        return text


def known_key(what: str, keys: Iterable[str], known: Iterable[str], where: str | None = None) -> None:
    """Raise a ConfigError naming the closest known key for the first key that is not known."""
    names = list(known)
    for key in keys:
        if key not in names:
            raise ConfigError(f"unknown {what} {key!r}.", where=where, remedy=did_you_mean(key, names))


def read_preset(stage: str, size: str) -> str:
    """The text of a preset."""
    if _is_file_name(size):
        if not Path(size).is_file():
            raise ConfigError("there is no such preset.", where=size, remedy="Give a size, or a YAML file of your own.")
        return Path(size).read_text(encoding="utf-8")
    presets = presets_of(stage)
    if not presets:
        raise ConfigError(f"unknown stage {stage!r}.", remedy="See `intervalchange train --list`.")
    if size not in presets:
        raise ConfigError(f"{stage} has no size {size!r}.", remedy=f"Choose one of {', '.join(preset_sizes(stage))}.")
    return presets[size].read_text(encoding="utf-8")


def _is_file_name(size: str) -> bool:
    """Whether this is a preset of one's own, and not the name of a size."""
    return size.endswith((".yaml", ".yml"))


def preset_sizes(stage: str) -> tuple[str, ...]:
    """The sizes that METHOD/STAGE has presets for: those of SIZES, then relatives by name (`gloria`)."""
    presets = presets_of(stage)
    return (*(size for size in SIZES if size in presets), *(size for size in presets if size not in SIZES))


def preset_header(stage: str, size: str) -> dict[str, str]:
    """The `# key: value` lines that open a preset: paper, command, hours, hardware, expected score, verified."""
    header: dict[str, str] = {}
    for line in read_preset(stage, size).splitlines():
        if not line.startswith("#"):
            break
        key, colon, value = line.lstrip("# ").partition(":")
        if colon:
            header[key.strip()] = value.strip()
    return header
