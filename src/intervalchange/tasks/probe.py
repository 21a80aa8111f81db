"""What every task on an encoder shares: which encoder, its weights, frozen or trained.

Frozen means frozen: no gradient, and evaluation mode (BatchNorm, dropout) while the head is trained.
"""

from __future__ import annotations

from typing import ClassVar, Literal

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
        """Draws for the intervals of a metric: none while training, where a metric only chooses weights."""
        return 0 if self.training else REPLICATES
