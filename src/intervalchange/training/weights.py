"""The weights of a run: from a checkpoint, checked, and their moving average."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel

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
    file = folder / AVERAGE if (folder / AVERAGE).is_file() else folder / "model.safetensors"
    check_loaded(model, model.load_state_dict(model.with_current_names(load_file(file)), strict=False), folder)


def check_loaded(model: Method, result: Any, where: Path) -> None:
    """Raise a RunError where weights did not fit. Tied weights are stored once."""
    missing = sorted(set(result.missing_keys) - set(model.all_tied_weights_keys))
    if missing or result.unexpected_keys:
        raise RunError(
            f"weights do not fit the model: missing {missing[:3]}, unexpected {list(result.unexpected_keys)[:3]}.",
            where=where,
            remedy="Use the version of intervalchange that wrote them.",
        )
