"""One encoder of films: which one a configuration names, where its weights come from, how it is trained or frozen."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.encoder_weights import (
    check_greys,
    describe,
    load_encoder,
    map_pretrained_tensors,
    published_weights,
)
from intervalchange.blocks.encoders import COLOURS, Backbone, Encoder, HubEncoder, build_encoder, describe_hub_model
from intervalchange.blocks.published import PUBLISHED
from intervalchange.data.films import Greys
from intervalchange.errors import ConfigError
from intervalchange.methods.base.method import Method, MethodConfig


class EncoderConfig(MethodConfig):
    """Which encoder reads films, and what it starts from."""

    backbone: Backbone = "conv"
    """`conv`: small. `pyramid`: the trunk of set_difference. `efficientnet_lite0`: has
    ImageNet weights. `resnet50`. `hub`: a vision model of Hugging Face. The others are chest encoders that
    `backbone_weights` names."""
    backbone_weights: str = ""
    """Loaded once when training starts: a run folder, a file of tensors (.safetensors; .pth in torchvision's names for
    `resnet50`), or a name on the hub or folder of `save_pretrained` (`resnet50`, `hub`). `--from RUN` does the same
    for runs. `imagenet` for `efficientnet_lite0`. A published chest encoder is named here alone: `rad_dino`,
    `biovil`, `biovil_t` (fetched from the hub, or `NAME:PATH`), `torchxrayvision:FILE`, `mgca:FILE`, `gloria:FILE`,
    `chexnet:FILE` (docs/encoders.md)."""
    encoder_widths: tuple[int, ...] = (32, 64, 128)
    """Channels of each stage of `conv` and `pyramid`."""
    encoder_depth: int = 1
    """Residual blocks per stage of `conv` and `pyramid`."""
    pyramid_width: int = 48
    """Channels of the map of `pyramid`."""
    stem_stride: int = 4
    """Stride of the first stage of `conv`; the others halve."""
    published: str = ""
    """Sizes of a published chest encoder as JSON; where empty, those in its weights, or as released."""
    greys: Greys = "ranks"
    """How films are scaled for the encoder. `ranks`: by rank inside the film, so that equalised and plain films are the
    same. Of weights that were trained elsewhere the published way, on grey levels as they are: `half`, to [-1, 1];
    `imagenet` and `clip`, by the mean and deviation of each colour (`resnet50`, `hub`). A run that another starts from
    must have the same. The published chest encoders have grey levels of their own."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        wanted = published_weights(self.backbone, self.backbone_weights)
        if wanted:
            self.backbone = wanted.name
            self.published = self.published or describe(wanted)
        if self.greys in COLOURS and self.backbone not in ("resnet50", "hub"):
            raise ConfigError(
                f"greys {self.greys!r} is of encoders that read colours, not of {self.backbone!r}.",
                remedy="Set --model.greys half or ranks.",
            )
        if self.greys != "ranks" and self.backbone in PUBLISHED:
            raise ConfigError(
                f"{self.backbone} has grey levels of its own, not {self.greys!r}.", remedy="Leave --model.greys out."
            )

    def build_encoder(self) -> Encoder:
        """The encoder, with fresh weights."""
        sizes = (self.encoder_widths, self.encoder_depth, self.stem_stride, self.pyramid_width)
        return build_encoder(self.backbone, *sizes, published=self.published, greys=self.greys)


class HubEncoderConfig(EncoderConfig):
    """The same, where the encoder may be any vision model of Hugging Face."""

    hub_model: str = ""
    """Configuration of the `hub` model as JSON; where empty, that of `backbone_weights`."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.backbone == "hub" and not self.hub_model:
            self.hub_model = describe_hub_model(self.backbone_weights)

    def build_encoder(self) -> Encoder:
        return HubEncoder(self.hub_model, self.greys) if self.backbone == "hub" else super().build_encoder()


class TunedEncoderConfig(HubEncoderConfig):
    """The same, with how much of the training reaches the encoder."""

    encoder_rate: float = 1.0
    """Learning rate of the encoder relative to the rest, where it is trained."""
    frozen: bool = False
    """The encoder is never trained."""


class EncoderMethod(Method):
    """Base of methods with one `encoder`. A subclass builds the rest and calls `post_init` last."""

    config_class = TunedEncoderConfig
    config: TunedEncoderConfig

    encoder: Encoder
    _frozen_now = False

    def __init__(self, config: TunedEncoderConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        self.encoder = config.build_encoder()

    def post_init(self) -> None:
        super().post_init()
        if self.config.frozen:
            self.freeze_encoder(True)

    def freeze_encoder(self, frozen: bool) -> None:
        """Frozen means frozen: no gradient, and evaluation mode (BatchNorm, dropout)."""
        self._frozen_now = frozen
        self.encoder.requires_grad_(not frozen)
        self.encoder.train(self.training and not frozen)

    def train(self, mode: bool = True) -> Self:
        """As in torch, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self._frozen_now:
            self.encoder.eval()
        return self

    def encoder_gradients(self) -> AbstractContextManager[Any]:
        """The context in which films are encoded: without gradient where the encoder is frozen."""
        return torch.no_grad() if self._frozen_now else nullcontext()

    def load_pretrained(self) -> None:
        if self.config.backbone_weights:
            check_greys(self.config.backbone_weights, self.config.greys)
            load_encoder(self.encoder, self.config.backbone_weights)

    def map_pretrained(self, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
        """The encoder of any run; a run of the same stage gives all it has."""
        check_greys(run, self.config.greys)
        return map_pretrained_tensors(self, tensors, run)

    def rate_factors(self) -> dict[str, float]:
        return {"encoder.": self.config.encoder_rate}
