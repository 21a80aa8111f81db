"""What answerers share that encode both films with one encoder and answer by a decoder that attends to them.

The encoder may be published, or come from a run of the project; it may be frozen for good or for the first epochs. A
subclass builds what stands between the encoder and the decoder, gives it as `memory`, and calls `post_init` last:
docs/how-to/add-a-method.md has an example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.attribution import activation_attribution
from intervalchange.blocks.cross_decoder import CrossDecoder
from intervalchange.blocks.encoders import encode_pairs
from intervalchange.blocks.projection import FirstBatchNorm
from intervalchange.errors import ConfigError
from intervalchange.methods.base.answerer import Answerer, AttributionMaps, Decoder, DecoderConfig
from intervalchange.methods.base.encoder import EncoderMethod, TunedEncoderConfig


class PairedFilmsConfig(TunedEncoderConfig, DecoderConfig):
    """The encoder, how it is trained, and the decoder."""

    grid: int = 0
    """Side of the map that is read: the encoder's is averaged down to it. 0: as it is."""
    frozen_epochs: float = 0.0
    """Epochs after which the encoder begins to be trained. In one process only: several need two runs."""
    standardise: bool = True
    """Channels of the encoder's map are standardised by the first batch (`blocks/projection.py`)."""
    decoder_feedforward: int = 256
    """Channels inside its feed-forward layers."""


class PairedFilms(EncoderMethod, Answerer):
    """See the module's docstring."""

    config_class = PairedFilmsConfig
    config: PairedFilmsConfig

    def __init__(self, config: PairedFilmsConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        if config.standardise:
            self.norm = FirstBatchNorm(self.encoder.width)
        self.decoder = self._build_decoder()

    def _build_decoder(self) -> Decoder:
        return self._cross_decoder()

    def _cross_decoder(
        self, activation: Literal["gelu", "relu"] = "gelu", word_dropout: float = 0.0, tied_words: bool = False
    ) -> CrossDecoder:
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
            tied_words=tied_words,
        )

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
        frozen = epoch < self.config.frozen_epochs
        if frozen != self._frozen_now:
            self.freeze_encoder(frozen)

    def encode_films(self, batch: Mapping[str, Any]) -> Tensor:
        """Films -> maps (2b, c, g, g), those of the priors first. The current film stands in for an absent prior."""
        current, prior, has_prior = (batch[name].to(self.device) for name in ("current", "prior", "has_prior"))
        prior = torch.where(has_prior.view(-1, 1, 1, 1), prior, current)
        with self.encoder_gradients():
            return encode_pairs(self.encoder, prior, current, has_prior)

    def tokens(self, maps: Tensor) -> Tensor:
        """(2b, c, g, g) -> (2b, n, c), averaged down to `grid` and standardised."""
        if self.config.grid:
            maps = F.adaptive_avg_pool2d(maps, self.config.grid)
        tokens = maps.flatten(2).transpose(1, 2)
        return self.norm(tokens) if self.config.standardise else tokens

    def memory(self, films: Tensor, has_prior: Tensor) -> dict[str, Tensor]:
        """Maps as `encode_films` gives them -> what the decoder reads, by the names that it knows. has_prior: (b) bool.

        Of a `CrossDecoder` these are `encoder_hidden_states` (b, n, decoder_width) and, where some tokens are not to be
        read, `encoder_attention_mask` (b, n).
        """
        raise NotImplementedError(f"{type(self).__name__} does not say in `memory` what its decoder reads.")

    def attributed(self, films: Tensor) -> Sequence[Tensor]:
        return (films,)

    def evidence(self, films: Tensor, gradients: Sequence[Tensor]) -> Sequence[AttributionMaps | None]:
        return activation_attribution(films, gradients[0])
