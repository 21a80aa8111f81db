"""What answerers share that look at both films with one encoder and tell the change by a cross-attending decoder.

The encoder may be published, or come from a run of the project; it may be frozen for good or for the first epochs. A
subclass builds what stands between the encoder and the decoder, gives it as `memory`, and calls `post_init` last.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.cross_decoder import CrossDecoder
from intervalchange.blocks.encoders import build_encoder
from intervalchange.blocks.projection import FirstBatchNorm
from intervalchange.blocks.published_encoders import (
    Backbone,
    HubEncoder,
    ProbedEncoder,
    describe_hub_model,
    load_encoder,
    map_pretrained_tensors,
)
from intervalchange.errors import ConfigError
from intervalchange.methods.base.question_first import QuestionFirst, QuestionFirstConfig


class PairedFilmsConfig(QuestionFirstConfig):
    """The encoder, how it is trained, and the decoder."""

    backbone: Backbone = "conv"
    """`conv`: small. `pyramid`: the trunk of set_difference. `resnet50`. `hub`: a vision model of Hugging Face."""
    backbone_weights: str = ""
    """Loaded once when training starts: a run folder, a file of tensors, or a name on the hub or folder of
    `save_pretrained` (`resnet50`, `hub`). `--from RUN` does the same for runs."""
    hub_model: str = ""
    """Configuration of the `hub` model as JSON; where empty, that of `backbone_weights`."""
    encoder_widths: tuple[int, ...] = (32, 64, 128)
    """Channels of each stage of `conv` and `pyramid`."""
    encoder_depth: int = 1
    """Residual blocks a stage of `conv` and `pyramid`."""
    pyramid_width: int = 48
    """Channels of the map of `pyramid`."""
    stem_stride: int = 4
    """Stride of the first stage of `conv`; the others halve."""
    grid: int = 0
    """Side of the map that is read: the encoder's is averaged down to it. 0: as it is."""
    encoder_rate: float = 1.0
    """Learning rate of the encoder relative to the rest."""
    frozen: bool = False
    """The encoder is never trained."""
    frozen_epochs: float = 0.0
    """Epochs after which the encoder begins to be trained. In one process only: several need two runs."""
    standardise: bool = True
    """Channels of the encoder's map are standardised by the first batch (`blocks/projection.py`)."""
    decoder_feedforward: int = 256

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.backbone == "hub" and not self.hub_model:
            self.hub_model = describe_hub_model(self.backbone_weights)


class PairedFilms(QuestionFirst):
    """See the module's docstring."""

    config_class = PairedFilmsConfig
    config: PairedFilmsConfig

    encoder: ProbedEncoder
    decoder: CrossDecoder

    def __init__(self, config: PairedFilmsConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        if config.backbone == "hub":
            self.encoder = HubEncoder(config.hub_model)
        else:
            sizes = (config.encoder_widths, config.encoder_depth, config.stem_stride, config.pyramid_width)
            self.encoder = build_encoder(config.backbone, *sizes)
        if config.standardise:
            self.norm = FirstBatchNorm(self.encoder.width)
        self.decoder = self._decoder()
        self._held = False

    def _decoder(self, activation: Literal["gelu", "relu"] = "gelu", word_dropout: float = 0.0) -> CrossDecoder:
        config = self.config
        return CrossDecoder(
            self.tokenizer,
            width=config.decoder_width,
            layers=config.decoder_layers,
            heads=config.decoder_heads,
            feedforward=config.decoder_feedforward,
            positions=config.positions,
            dropout=config.dropout,
            activation=activation,
            word_dropout=word_dropout,
        )

    # --- the encoder: published, frozen, trained -------------------------------------------------------------------

    def post_init(self) -> None:
        super().post_init()
        if self.config.frozen:
            self._hold(True)

    def _hold(self, held: bool) -> None:
        """Frozen means frozen: no gradient, and evaluation mode (BatchNorm, dropout)."""
        self._held = held
        self.encoder.requires_grad_(not held)
        self.encoder.train(self.training and not held)

    def train(self, mode: bool = True) -> Any:
        """As usual, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self._held:
            self.encoder.eval()
        return self

    def progress(self, step: int, steps: int, epoch: float) -> None:
        """Freezes the encoder in the first epochs. The optimiser leaves alone what has no gradient.

        Raises ConfigError in several processes, whose gradients are exchanged by a plan made before the first step.
        """
        if self.config.frozen or not self.config.frozen_epochs:
            return
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            raise ConfigError(
                "the encoder cannot be freed in the middle of a run of several processes.",
                remedy="Make two runs: one with --model.frozen true, and one --from it.",
            )
        held = epoch < self.config.frozen_epochs
        if held != self._held:
            self._hold(held)

    def load_pretrained(self) -> None:
        if self.config.backbone_weights:
            load_encoder(self.encoder, self.config.backbone_weights)

    def map_pretrained(self, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
        """The encoder of any run; a run of the same method gives all it has."""
        return map_pretrained_tensors(self, tensors, run)

    def rate_factors(self) -> dict[str, float]:
        return {"encoder.": self.config.encoder_rate}

    # --- seeing ----------------------------------------------------------------------------------------------------

    def see(self, batch: Mapping[str, Any]) -> Tensor:
        """Films of a batch -> maps (2b, c, g, g). In place of a prior that is absent stands the current film."""
        current, prior, has_prior = (batch[name].to(self.device) for name in ("current", "prior", "has_prior"))
        prior = torch.where(has_prior.view(-1, 1, 1, 1), prior, current)
        with torch.no_grad() if self._held else nullcontext():
            return self.encoder(torch.cat([prior, current]).contiguous()).map

    def tokens(self, maps: Tensor) -> Tensor:
        """(2b, c, g, g) -> (2b, n, c), averaged down to `grid` and standardised."""
        if self.config.grid:
            maps = F.adaptive_avg_pool2d(maps, self.config.grid)
        tokens = maps.flatten(2).transpose(1, 2)
        return self.norm(tokens) if self.config.standardise else tokens
