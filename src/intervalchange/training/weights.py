"""The weights of a run: from a checkpoint, checked, and their moving average."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from intervalchange.blocks.encoder_weights import with_library_names
from intervalchange.blocks.tokenizer import load_tokenizer
from intervalchange.errors import RunError
from intervalchange.methods.base.method import Method

AVERAGE = "average.safetensors"
"""In a checkpoint: the moving average of the weights, where there is one."""


class WeightAverage:
    """Exponential moving average of a model's weights (Polyak and Juditsky 1992): what a run validates and keeps.

    The n-th step counts with decay min(decay, (1 + n) / (10 + n)), or the first weights, which know nothing, would stay
    in the average for many steps: a third of it after 600 steps of decay .998.
    """

    def __init__(self, model: Method, decay: float) -> None:
        def towards(averaged: list[torch.Tensor], current: list[torch.Tensor], steps: torch.Tensor) -> None:
            kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
            torch._foreach_lerp_(averaged, current, 1 - kept)

        self._averaged = AveragedModel(model, multi_avg_fn=cast(Any, torch.no_grad()(towards)))

    @property
    def model(self) -> Method:
        """The model with the averaged weights."""
        return cast(Method, self._averaged.module)

    def update(self, model: Method) -> None:
        """Move it by one step of training."""
        self._averaged.update_parameters(model)

    def save(self, checkpoint: Path) -> None:
        """Beside the weights of a checkpoint."""
        tied = self.model.all_tied_weights_keys
        tensors = {name: tensor for name, tensor in self.model.state_dict().items() if name not in tied}
        save_file(tensors, checkpoint / AVERAGE)

    def resume(self, checkpoint: Path, step: int) -> None:
        """As it was at this step."""
        load_checkpoint(self.model, checkpoint)
        self._averaged.n_averaged.fill_(step)


def load_checkpoint(model: Method, folder: Path) -> None:
    """The weights of a checkpoint into a model: their moving average where there is one."""
    load_weights(model, folder / AVERAGE if (folder / AVERAGE).is_file() else folder / "model.safetensors")


def load_weights(model: Method, file: Path) -> None:
    """All weights of a file into a model. Raises RunError where they do not fit. Tied weights are stored once."""
    tensors: dict[str, Tensor] = with_library_names(model, model.with_current_names(load_file(file)))
    result, where = model.load_state_dict(tensors, strict=False), file.parent
    missing = sorted(set(result.missing_keys) - set(model.all_tied_weights_keys))
    if missing or result.unexpected_keys:
        raise RunError(
            f"weights do not fit the model: missing {missing[:3]}, unexpected {list(result.unexpected_keys)[:3]}.",
            where=where,
            remedy="Use the version of intervalchange that wrote them.",
        )


def with_new_words(model: Method, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
    """Tensors of a run whose vocabulary is the beginning of this model's: the rows of the words that it did not know
    are the model's own. Any other run's as they are."""
    if not (run / "tokenizer.json").is_file():
        return tensors
    theirs, ours = load_tokenizer(str(run)).get_vocab(), model.tokenizer.get_vocab()
    if len(theirs) >= len(ours) or any(ours.get(word) != index for word, index in theirs.items()):
        return tensors
    own = model.state_dict()

    def grown(name: str, tensor: Tensor) -> Tensor:
        shape = own[name].shape if name in own else tensor.shape
        of_words = shape[:1] == (len(ours),) and tensor.shape == (len(theirs), *shape[1:])
        return torch.cat([tensor, own[name][len(theirs) :].to(tensor)]) if of_words else tensor

    return {name: grown(name, tensor) for name, tensor in tensors.items()}
