"""VED: "Unveiling Differences: A Vision Encoder-Decoder Model for Difference Medical Visual Question Answering"
(MIDL 2025), as it is described. The published code has no licence; nothing of it is copied.

Orientation: the paper's main image is our `current`, its reference our `prior`.

One encoder (a Swin-B that has learnt the labels of single films) encodes both films. An image difference embedding, a
learned vector for each of the two, tells their tokens apart; all of them, with nothing subtracted, are what a small
decoder from scratch reads while it writes the answer after the question. Three stages: labels of films
(`tasks/classification`, `frozen: false`), the decoder with the encoder frozen, everything at a small rate: two runs
with `frozen` and `--from`, or `frozen_epochs` in one.

Differs: EOS follows the answer, padding is not learnt, and an answer ends where it ends. Published, EOS stands behind
    the padding beyond the longest answer generated, so that all 63 steps are always made, without a cache.
Differs: the question is as long as it is, padding is masked and takes no position.
Differs: only selection uses the validation split; published, weights are chosen on the test set.
Differs: one geometric draw for both films of a pair; whole films at training and testing; films have one channel, put
    on all three of a published encoder, standardised each by itself.
Differs: no "hard examples" (the published code repeats batches of typical loss); every case once an epoch.
Differs: channels of the features are standardised by the first batch, and a linear layer takes them to the decoder's
    width where that is another; with `positions_2d`, cells of a map get fixed sine-cosine positions, which an encoder
    of convolutions lacks; with `grid`, a fine map is averaged down. `paper` has none of the four.
Differs: the vectors of the difference embedding are drawn as large as the tokens (`difference_spread`), and the
    decoder has a table of its own for the words that it writes (`tied_words`); `paper` has both as published.
Differs: AdamW and a cosine in the smaller sizes; `paper` has Adam and the line of the paper, not the code's schedule,
    which waits for the loss of the test set.
Differs: a prior that is absent is masked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.encoders import sincos_2d
from intervalchange.blocks.type_embedding import TypeEmbedding
from intervalchange.errors import ConfigError
from intervalchange.methods.base.answerer import Decoder
from intervalchange.methods.base.paired_films import PairedFilms, PairedFilmsConfig


class VedConfig(PairedFilmsConfig):
    """Configuration of VED. The rows of its ablation: `difference_embedding=False`; `frozen`, and what follows."""

    model_type = "ved"

    difference_embedding: bool = True
    """Tell the tokens of the films apart. Without it, a swapped pair gets the same answer."""
    difference_spread: float = 0.5
    """Deviation that its vectors are drawn with. Published: 1 / sqrt(width), .03125 at 1024."""
    tied_words: bool = False
    """The decoder writes words with the table that it reads them with, as published."""
    positions_2d: bool = True
    """Add fixed positions to the cells of a map."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.positions_2d and self.decoder_width % 4:
            raise ConfigError(
                f"model option 'decoder_width' is {self.decoder_width}.", remedy="For positions it is divisible by 4."
            )


class DifferenceEmbedding(nn.Module):
    """A learned vector for the prior and one for the current film."""

    def __init__(self, width: int, spread: float) -> None:
        """spread: deviation that they are drawn with."""
        super().__init__()
        self.films = TypeEmbedding(2, width, spread)

    def forward(self, tokens: Tensor) -> Tensor:
        """(2b, n, d), priors first -> the same."""
        prior, current = tokens.chunk(2)
        return torch.cat([prior + self.films.weight[0], current + self.films.weight[1]])


class Ved(PairedFilms):
    """VED. See the module's docstring."""

    config_class = VedConfig
    config: VedConfig
    name: ClassVar[str] = "ved/answer"
    follows: ClassVar[tuple[str, ...]] = ("tasks/classification",)
    renamed_weights: ClassVar[Mapping[str, str]] = {r"^tell_apart\.": "difference_embedding."}

    def __init__(self, config: VedConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        same = self.encoder.width == config.decoder_width
        self.enter = nn.Identity() if same else nn.Linear(self.encoder.width, config.decoder_width)
        width = config.decoder_width
        self.difference_embedding = (
            DifferenceEmbedding(width, config.difference_spread) if config.difference_embedding else nn.Identity()
        )
        self.post_init()

    def _build_decoder(self) -> Decoder:
        return self._cross_decoder(tied_words=self.config.tied_words)

    def memory(self, maps: Tensor, has_prior: Tensor) -> dict[str, Tensor]:
        """All tokens of current and prior, (b, 2n, d), and which of them are read, (b, 2n)."""
        tokens = self.enter(self.tokens(maps))
        if self.config.positions_2d:
            side = math.isqrt(tokens.shape[1])
            tokens = tokens + sincos_2d(tokens.shape[-1], side, side, like=tokens)
        prior, current = self.difference_embedding(tokens).chunk(2)
        has_token = has_prior.long()[:, None].expand(-1, prior.shape[1])
        return {
            "encoder_hidden_states": torch.cat([current, prior], dim=1),
            "encoder_attention_mask": torch.cat([torch.ones_like(has_token), has_token], dim=1),
        }
