"""The base of the tasks on an encoder: which encoder, its weights, frozen or trained.

A frozen encoder has no gradient, and is in evaluation mode (BatchNorm, dropout) while the head is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.encoders import build_encoder
from intervalchange.blocks.published_encoders import (
    Backbone,
    HubEncoder,
    ProbedEncoder,
    describe_hub_model,
    levels_of,
    load_encoder,
    map_pretrained_tensors,
)
from intervalchange.errors import ConfigError
from intervalchange.evaluation.metrics.statistics import REPLICATES
from intervalchange.methods.base.method import Method, MethodConfig


class ProbeConfig(MethodConfig):
    """The encoder under a task, and the labels the task is about."""

    labels: tuple[str, ...] = ()
    """Names of labels as the data set has them (FINDINGS or its own); a film on which one is unknown teaches nothing
    about it."""
    frozen: bool = True
    """Only the head is trained; False trains the encoder too."""
    backbone: Backbone = "conv"
    """`conv`: small. `pyramid`: the trunk of set_difference. `resnet50`. `hub`: a vision model of Hugging Face."""
    backbone_weights: str = ""
    """Loaded once when training starts: a run folder, a file of tensors (.safetensors; .pth in torchvision's names for
    `resnet50`), or a name on the hub or folder of `save_pretrained` (`resnet50`, `hub`). `--from RUN` does the same
    for runs."""
    encoder_widths: tuple[int, ...] = (32, 64, 128)
    """Channels of each stage of `conv` and `pyramid`."""
    encoder_depth: int = 1
    """Residual blocks a stage of `conv` and `pyramid`."""
    pyramid_width: int = 48
    """Channels of the map of `pyramid`."""
    stem_stride: int = 4
    """Stride of the first stage of `conv`; the others halve."""
    encoder_rate: float = 1.0
    """Learning rate of the encoder relative to the head, where it is trained."""
    hub_model: str = ""
    """Configuration of the `hub` model as JSON; filled in from `backbone_weights`."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.backbone == "hub" and not self.hub_model:
            self.hub_model = describe_hub_model(self.backbone_weights)


class Probe(Method):
    """Base of the tasks. A subclass builds its head after `super().__init__` and calls `post_init` last."""

    config_class = ProbeConfig
    config: ProbeConfig
    unit: ClassVar[Literal["cases", "films"]] = "films"

    encoder: ProbedEncoder

    def __init__(self, config: ProbeConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        if not config.labels:
            raise ConfigError("a task needs labels.", remedy='Name some: --model.labels "[pneumonia]".')
        if config.backbone == "hub":
            self.encoder = HubEncoder(config.hub_model)
        else:
            sizes = (config.encoder_widths, config.encoder_depth, config.stem_stride, config.pyramid_width)
            self.encoder = build_encoder(config.backbone, *sizes)

    def post_init(self) -> None:
        super().post_init()
        if self.config.frozen:
            self.encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> Any:
        """As usual, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.config.frozen:
            self.encoder.eval()
        return self

    def load_pretrained(self) -> None:
        if self.config.backbone_weights:
            load_encoder(self.encoder, self.config.backbone_weights)

    def map_pretrained(self, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
        """The encoder of any run; a run of the same task gives its head too."""
        return map_pretrained_tensors(self, tensors, run)

    def rate_factors(self) -> dict[str, float]:
        return {"encoder.": self.config.encoder_rate}

    def levels(self, films: Tensor) -> list[Tensor]:
        """Films (b, 1, h, w) -> the encoder's maps, fine to coarse (`encoders.levels_of`)."""
        with self.encoder_gradients():
            return levels_of(self.encoder, films.to(self.device))

    def encoder_gradients(self) -> AbstractContextManager[Any]:
        """The context in which films are encoded: without gradients where the encoder is frozen."""
        return torch.no_grad() if self.config.frozen else nullcontext()

    def replicates(self) -> int:
        """Replicates for the intervals of a metric: none while training, where a metric only chooses weights."""
        return 0 if self.training else REPLICATES

    def defined(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The metrics that are not NaN; the one that selects is then 0."""
        return {self.selection: 0.0} | {name: value for name, value in metrics.items() if not np.isnan(value)}
