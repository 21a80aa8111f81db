"""The base of the tasks on an encoder: which encoder, its weights, frozen or trained.

A frozen encoder has no gradient, and is in evaluation mode (BatchNorm, dropout) while the head is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.encoders import levels_of
from intervalchange.errors import ConfigError
from intervalchange.evaluation.metrics.statistics import REPLICATES
from intervalchange.methods.base.encoder import EncoderMethod, TunedEncoderConfig


class ProbeConfig(TunedEncoderConfig):
    """The encoder under a task, and the labels the task is about."""

    labels: tuple[str, ...] = ()
    """Names of labels as the data set has them (FINDINGS or its own); a film on which one is unknown teaches nothing
    about it."""
    frozen: bool = True
    """Only the head is trained; False trains the encoder too."""


class Probe(EncoderMethod):
    """Base of the tasks. A subclass builds its head after `super().__init__` and calls `post_init` last."""

    config_class = ProbeConfig
    config: ProbeConfig
    unit: ClassVar[Literal["cases", "films"]] = "films"

    def __init__(self, config: ProbeConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        if not config.labels:
            raise ConfigError("a task needs labels.", remedy='Name some: --model.labels "[pneumonia]".')

    def levels(self, films: Tensor) -> list[Tensor]:
        """Films (b, 1, h, w) -> the encoder's maps, fine to coarse (`encoders.levels_of`)."""
        with self.encoder_gradients():
            return levels_of(self.encoder, films.to(self.device))

    def replicates(self) -> int:
        """Replicates for the intervals of a metric: none while training, where a metric only chooses weights."""
        return 0 if self.training else REPLICATES

    def defined(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The metrics that are not NaN; the one that selects is then 0."""
        return {self.selection: 0.0} | {name: value for name, value in metrics.items() if not np.isnan(value)}
