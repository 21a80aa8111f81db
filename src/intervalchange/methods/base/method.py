"""The base of every method: a configuration that rejects unknown keys, a named output, an answerer.

A method is a `transformers.PreTrainedModel`: `forward(**batch) -> MethodOutput` for training, `answer(batch)` for use,
`save_pretrained` / `from_pretrained` for the weights (safetensors) with the tokenizer beside them. Batches carry
strings, never token ids: each method owns its tokenizer.
"""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers import initialization as init
from transformers.utils import logging
from transformers.utils.generic import ModelOutput

from intervalchange import grammar
from intervalchange.blocks.tokenizer import load_tokenizer
from intervalchange.data.dataset import FilmDataset, PairDataset
from intervalchange.data.films import Greys
from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, InputError, did_you_mean
from intervalchange.evaluation.metrics.change import change_scores
from intervalchange.records import Change, Prediction

_BOOKKEEPING = {
    "name_or_path",
    "use_cache",
    "_commit_hash",
    "attn_implementation",
    "output_attentions",
    "torch_dtype",
    "num_labels",
}
"""Keys that transformers itself passes or has written into config.json."""


class MethodConfig(PreTrainedConfig):
    """Configuration of a method: typed fields with defaults; a key that is not a field is a `ConfigError`.

    Subclasses add annotated fields with a docstring each and set `model_type` to the method's name.
    """

    model_type = "intervalchange"
    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Former name of an option -> its name today: configurations of earlier versions still load."""

    pixels: int = 128
    """Side of the square film the model reads; data are prepared with at least this many."""
    vocabulary: str = "template"
    """`template`: the closed word-level vocabulary of the grammar; otherwise the hub name or folder of a tokenizer."""

    def __post_init__(self, **kwargs: Any) -> None:
        kind = kwargs.pop("model_type", self.model_type)
        if kind != self.model_type:
            raise ConfigError(f"these are weights of {kind!r}, not of {self.model_type!r}.", remedy="Give another run.")
        for former, name in self.renamed.items():
            if former in kwargs:
                setattr(self, name, kwargs.pop(former))
        for key in kwargs:
            if key not in _BOOKKEEPING:
                raise ConfigError(f"unknown model option {key!r}.", remedy=did_you_mean(key, sorted(self.options())))
        for name, hint in self.options().items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), hint))
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]  # transformers has no types for it

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Field -> type, for the fields that are a method's own (not the bookkeeping of transformers)."""
        own = [base for base in reversed(cls.__mro__) if issubclass(base, MethodConfig)]
        hints = {name: hint for base in own for name, hint in inspect.get_annotations(base, eval_str=True).items()}
        return {name: hint for name, hint in hints.items() if typing.get_origin(hint) is not ClassVar}


def greys_of(config: Any) -> Greys:
    """How the films of a method are scaled; only methods whose encoder may come from elsewhere have the option."""
    greys: Greys = getattr(config, "greys", "ranks")
    return greys


@contextmanager
def without_bars() -> Iterator[None]:
    """No progress bar of transformers for a file that is written in milliseconds."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _checked(name: str, value: Any, hint: Any) -> Any:
    """The value in the type of its field (an int passes for a float, a list for a tuple), or a ConfigError."""
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        inner = typing.get_args(hint)[0]
        return tuple(_checked(name, item, inner) for item in value)
    if typing.get_origin(hint) is typing.Literal:
        if value in typing.get_args(hint):
            return value
        choices = ", ".join(repr(choice) for choice in typing.get_args(hint))
        raise ConfigError(f"model option {name!r} is {value!r}.", remedy=f"Choose one of {choices}.")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise ConfigError(f"model option {name!r} is {value!r}.", remedy=f"It takes a value of type {hint.__name__}.")
    return value


def answer_scores(predictions: Sequence[Prediction]) -> dict[str, float]:
    """What validation logs of answers. Without a question about change, the share of exact answers selects."""
    exact = sum(prediction.answer == prediction.reference for prediction in predictions) / max(1, len(predictions))
    pairs = [
        (prediction.answer, prediction.reference or "") for prediction in predictions if prediction.kind == "difference"
    ]
    if not pairs:
        return {Method.selection: exact, "exact": exact}
    scores = change_scores(*map(list, zip(*pairs, strict=True)))
    names = ("micro.f1", "findings.micro.f1", "exact.accuracy", "false_change.rate")
    return {f"change.{name}": 0.0 if math.isnan(scores[name]) else scores[name] for name in names} | {"exact": exact}


@dataclass
class MethodOutput(ModelOutput):
    """What a method returns while training."""

    loss: Tensor | None = None
    """Scalar to minimise."""
    terms: dict[str, Tensor] | None = None
    """Named, finite, detached scalars: the unweighted parts of the loss and what is worth logging."""

    @classmethod
    def of(
        cls,
        terms: Mapping[str, Tensor],
        weights: Mapping[str, float] = MappingProxyType({}),
        logged: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> MethodOutput:
        """The sum of the terms, each times its weight (1 where none is named). logged: what is no part of the loss."""
        loss = torch.stack([weights.get(name, 1.0) * term for name, term in terms.items()]).sum()
        return cls(loss=loss, terms={name: term.detach() for name, term in {**terms, **logged}.items()})


class Method(PreTrainedModel):
    """Base of every method.

    A subclass sets `config_class`, `name`, `supervision`, builds its modules in `__init__`, calls `self.post_init()`
    last, and implements `forward` and `answer`. It never draws weights itself: see `_init_weights`.
    """

    config_class = MethodConfig
    config: MethodConfig
    base_model_prefix = ""
    main_input_name = "current"
    accepts_loss_kwargs = False

    name: ClassVar[str] = ""
    """Stage name, as on the command line: `real/answer`."""
    supervision: ClassVar[tuple[str, ...]] = ("answers",)
    """What it learns from: answers, findings, levels, opacity, masks, regions, boxes, labels, reports. Printed beside
    its scores; of what is known of films, a training batch has this and no more (`data/dataset.py`)."""
    follows: ClassVar[tuple[str, ...]] = ()
    """The stages whose runs it usually starts from (`--from`): what `train --list` orders by."""
    reads_films: ClassVar[bool] = True
    """False for a floor that answers from the question alone."""
    unit: ClassVar[Literal["cases", "films"]] = "cases"
    """What one item of its training is: a case, or a film with its labels (stages that answer no question)."""
    needs: ClassVar[tuple[str, ...]] = ()
    """What a film must have to be trained on, as `FilmDataset` names it: findings, labels, regions, reports."""
    renamed_weights: ClassVar[Mapping[str, str]] = {}
    """Pattern of a tensor's former name -> its name today: weights of earlier versions still load."""
    selection: ClassVar[str] = "change.micro.f1"
    """The metric of `validation_scores` that chooses the weights; larger is better."""

    def __init__(self, config: MethodConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config)
        self.tokenizer = tokenizer if tokenizer is not None else load_tokenizer(config.vocabulary)

    def post_init(self) -> None:
        """As in transformers, and finds the tied weights of a language model that lies deeper than a direct child."""
        super().post_init()  # type: ignore[no-untyped-call]  # transformers has no types for it
        self.all_tied_weights_keys = self.get_expanded_tied_weights_keys(all_submodels=True)

    @classmethod
    def is_custom_code(cls) -> bool:
        """No: we draw with `transformers.initialization`, which leaves loaded tensors alone.

        Of code that does not, transformers leaves out every module without tensors of its own: a head made of layers
        could not say how they are drawn (`_init_weights`).
        """
        return False

    @classmethod
    def with_current_names(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors that an earlier version may have written, under the names of today."""
        current = {}
        for name, tensor in tensors.items():
            for former, today in cls.renamed_weights.items():
                name = re.sub(former, today, name)
            current[name] = tensor
        return current

    @classmethod
    def dataset(
        cls, config: MethodConfig, prepared: Prepared, split: str, kinds: Sequence[str] | None = None, **options: Any
    ) -> PairDataset | FilmDataset:
        """What a run learns from or is validated on: films, or the cases of these kinds whose answer is known.

        kinds: None for all; films have none. Items carry what `supervision` names and nothing else. options: as the
        data set takes them (augment, seed, share, limit).
        """
        options |= {"supervision": cls.supervision, "greys": greys_of(config)}
        if cls.unit == "cases":
            return PairDataset(prepared, split, kinds, config.pixels, answered=True, **options)
        labels = getattr(config, "labels", ())  # Of the stages that are about labels.
        return FilmDataset(prepared, split, config.pixels, needs=cls.needs, labels=labels, **options)

    def forward(self, **batch: Any) -> MethodOutput:
        """Loss and terms of the fields of a `Batch`."""
        raise NotImplementedError

    def answer(self, batch: Any, *, evidence: bool = False) -> list[Prediction]:
        """One prediction per case of a `Batch`, in order. `evidence`: with attribution maps, by a backward pass."""
        raise InputError(
            f"{self.name} answers no question.",
            remedy="Give it to a stage that answers: `intervalchange train METHOD/answer --from RUN`.",
        )

    def finding_logits(self, films: Tensor) -> Tensor | None:
        """Standardised films (n, 1, h, w) -> (n, f) logits of the library's findings on each film, NaN for one that it
        does not know; None for a method that has none."""
        return None

    def validation_outputs(self, batch: Any) -> list[Any]:
        """What validation needs to know of each item of a batch, in order; gathered over processes."""
        return self.answer(batch)

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        """Metrics of the validation split from what `validation_outputs` gave; `selection` is one of them."""
        return answer_scores(outputs)

    def calibrate(self, batches: Iterable[Any]) -> Mapping[str, float]:
        """Hook run once on validation batches after training (thresholds, temperatures); returns what it set.

        What it sets must live in buffers or in the config, so that it is saved with the weights.
        """
        return {}

    def load_pretrained(self) -> None:
        """Hook run once when training starts from nothing: load the published backbones the configuration names."""

    def map_pretrained(self, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
        """Hook of `--from`: the tensors of another run's model.safetensors under the names that this model has."""
        return tensors

    def check_items(self, items: Any) -> None:
        """Hook run once before training, after `--from`: refuse items that do not fit these weights."""

    def rate_factors(self) -> dict[str, float]:
        """Prefix of parameter names -> learning rate relative to the configured one."""
        return {}

    def progress(self, step: int, steps: int, epoch: float) -> None:
        """Hook run before each training step, for schedules that depend on how far training has come."""

    def check_prior(self, batch: Any) -> None:
        """Refuse a difference question that has no prior film. Single-image questions pass."""
        for kind, has_prior, case_id in zip(batch.kind, batch.has_prior.tolist(), batch.case_id, strict=True):
            if kind == "difference" and not has_prior:
                raise InputError(
                    f"case {case_id or '(unnamed)'} asks what has changed but has no prior film.",
                    remedy="Give the earlier film as the prior, or ask a question about one film.",
                )

    def predictions(
        self,
        batch: Any,
        answers: list[str],
        confidence: Sequence[Mapping[str, float] | None] | None = None,
        evidence: Sequence[Mapping[str, Any] | None] | None = None,
        changes: Sequence[Change | None] | None = None,
    ) -> list[Prediction]:
        """Answers -> predictions; the change of a difference question is parsed from the answer unless given."""
        if changes is None:
            changes = [
                grammar.parse(answer).change if kind == "difference" else None
                for answer, kind in zip(answers, batch.kind, strict=True)
            ]
        return [
            Prediction(
                case_id=batch.case_id[index],
                patient_id=batch.patient_id[index],
                kind=batch.kind[index],
                question=batch.question[index],
                answer=answers[index],
                reference=(batch.answer[index] or None) if batch.answer else None,
                change=changes[index],
                confidence=None if confidence is None else confidence[index],
                evidence=None if evidence is None else evidence[index],
                tags=tuple(batch.tags[index]) if batch.tags else (),
            )
            for index in range(len(answers))
        ]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Kaiming for convolutions, Xavier for linear layers, 0.02 for embeddings and free parameters.

        A module with free parameters (learned queries, slots) may say how to draw them in `draw_weights(init)`.
        The functions of `transformers.initialization` leave loaded weights alone.
        """
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif callable(draw := getattr(module, "draw_weights", None)):
            draw(init)
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]  # transformers has no types for it

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Weights (safetensors) under the names that they have here, config.json and the tokenizer into a folder.

        transformers would write parts of its own (a Swin, a ViT) under the names that they had when they were
        published, which whoever reads the file would have to turn back.
        """
        kwargs.setdefault("save_original_format", False)
        with without_bars():
            super().save_pretrained(save_directory, *args, **kwargs)
        self.tokenizer.save_pretrained(save_directory)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """A folder or hub name written by `save_pretrained`, with the tokenizer that lies beside the weights."""
        if "tokenizer" not in kwargs:
            kwargs["tokenizer"] = load_tokenizer(str(pretrained_model_name_or_path))
        if cls.renamed_weights:
            kwargs.setdefault("key_mapping", dict(cls.renamed_weights))
        with without_bars():
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
