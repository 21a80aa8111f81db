"""MCCFormers-D and -S: "Describing and Localizing Multiple Changes with Transformers" (Qiu et al., ICCV 2021).

https://doi.org/10.1109/ICCV48922.2021.00198 ; code: doiken23/mccformers.pytorch (MIT), nothing of it copied.

Orientation: the earlier image of the paper is our `prior`, the later one our `current`; they stand side by side along
the channels in this order.

Both films pass one encoder. Each cell of its map becomes a token with a learned position. In D, each film reads the
other in co-attention layers of one set of weights; in S, both are one sequence for a transformer encoder
(`blocks/pair_attention.py`). The two tokens of a cell, joined along the channels, are what a caption decoder reads.

Differs: the decoder begins with the question; the paper describes images and asks nothing.
Differs: the encoder is trained with the rest unless `frozen`; published, the features of a ResNet-101 up to its third
    stage are computed once (`paper` does as much: frozen).
Differs: channels of the features are standardised by the first batch (`standardise=False` is literal).
Differs: a map finer than `grid` is averaged down to it.
Differs: a norm after the decoder's embeddings (BertGeneration of transformers), as VED has it; published, none.
Differs: where there is no prior, the current film stands in its place.
Differs: one answer for each pair and one step for each batch. The paper has several captions of a pair, and on
    CLEVR-Change a second step on an unchanged pair. AdamW and a cosine in the smaller sizes; `paper` has Adam, its
    second decay .99, without a schedule.
Differs: films are standardised one by one, also before a ResNet of ImageNet, which was trained with one mean and one
    deviation for all images.
Differs: an answer ends at EOS and is generated with a cache; the reference code always writes all words and trims.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.pair_attention import PairAttention, Pairing
from intervalchange.errors import ConfigError
from intervalchange.methods.base.answerer import Decoder
from intervalchange.methods.base.paired_films import PairedFilms, PairedFilmsConfig


class MccformersConfig(PairedFilmsConfig):
    """Configuration of MCCFormers. The decoder is twice as wide as a stream (`decoder_width`)."""

    model_type = "mccformers"

    pairing: Pairing = "D"
    """`D`: each film reads the other. `S`: both are read as one sequence."""
    grid: int = 8
    pair_layers: int = 2
    pair_heads: int = 4
    pair_feedforward: int = 256
    position_std: float = 1.0
    """Deviation that positions are drawn with."""
    word_dropout: float = 0.2
    """Of what the words are chosen from."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.decoder_width % (2 * self.pair_heads):
            raise ConfigError(
                f"model option 'decoder_width' is {self.decoder_width}.",
                remedy="A stream has half of it, divisible by pair_heads.",
            )


class Mccformers(PairedFilms):
    """MCCFormers. See the module's docstring."""

    config_class = MccformersConfig
    config: MccformersConfig
    name: ClassVar[str] = "mccformers/answer"

    def __init__(self, config: MccformersConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        self.pair = PairAttention(
            config.pairing,
            config.grid**2,
            self.encoder.width,
            config.decoder_width // 2,
            layers=config.pair_layers,
            heads=config.pair_heads,
            feedforward=config.pair_feedforward,
            dropout=config.dropout,
            position_std=config.position_std,
        )
        self.post_init()

    def _build_decoder(self) -> Decoder:
        return self._cross_decoder("relu", self.config.word_dropout)

    def memory(self, maps: Tensor, has_prior: Tensor) -> dict[str, Tensor]:
        """(b, grid * grid, decoder_width): of each cell the prior's stream, then the current film's."""
        prior, current = self.tokens(maps).chunk(2)
        return {"encoder_hidden_states": torch.cat(self.pair(prior, current), dim=2)}
