"""A post-norm transformer decoder that attends to films: the caption decoder of MCCFormers and of VED.

The sequence is that of `decoders.py`, [prefix; BOS; answer; EOS]; in every layer, after the self-attention, the decoder
reads a memory of film tokens. Keys and values of both are cached while an answer is generated.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import BertGenerationConfig, BertGenerationDecoder, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from intervalchange.blocks.decoders import PrefixDecoder, initial_spread, special_ids
from intervalchange.blocks.tokenizer import Tokens


class CrossLanguageModel(BertGenerationDecoder):
    """BertGeneration with a plain layer for the words that it writes: its own, or the table that it reads them with."""

    _tied_weights_keys = {"lm_head.weight": "bert.embeddings.word_embeddings.weight"}  # noqa: RUF012

    def __init__(self, config: BertGenerationConfig) -> None:
        super().__init__(config)
        self.lm_head: nn.Linear = nn.Linear(config.hidden_size, config.vocab_size)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.bert.embeddings.word_embeddings.weight

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head


def cross_attention_cache(language_model: PreTrainedModel) -> EncoderDecoderCache:
    """An empty cache with room for the memory, which the one that `generate` makes itself has not."""
    config = language_model.config
    return EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))


class CrossDecoder(PrefixDecoder):
    """Give `forward` and `generate` the memory by name.

    `encoder_hidden_states` (b, n, width); `encoder_attention_mask` (b, n), 1 where a token is read: in each row one.
    """

    language_model: CrossLanguageModel

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        width: int,
        layers: int,
        heads: int,
        feedforward: int,
        positions: int,
        dropout: float,
        activation: Literal["gelu", "relu"] = "gelu",
        word_dropout: float = 0.0,
        tied_words: bool = False,
    ) -> None:
        """tied_words: words are written with the table that they are read with."""
        config = BertGenerationConfig(
            **special_ids(tokenizer),
            vocab_size=len(tokenizer),
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=feedforward,
            hidden_act=activation,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            max_position_embeddings=positions,
            initializer_range=initial_spread(width),
            layer_norm_eps=1e-5,
            is_decoder=True,
            add_cross_attention=True,
            tie_word_embeddings=tied_words,
        )
        super().__init__(CrossLanguageModel(config), tokenizer, word_dropout)

    @torch.no_grad()
    def generate(self, prefix: Tensor, prefix_mask: Tensor, *, limit: int, beams: int = 1, **read: Any) -> Tokens:
        """As `PrefixDecoder`."""
        cache = cross_attention_cache(self.language_model)
        return super().generate(prefix, prefix_mask, limit=limit, beams=beams, past_key_values=cache, **read)
