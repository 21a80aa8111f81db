"""An encoder-decoder that reads the cells of two films and a text in one sequence, and writes another text.

The encoder reads [prior; current; text] with learned positions and a learned vector for each of the three; both films
have one table of positions, so a cell has the same position in both. It is MBart's of transformers: layers
normalised before, a norm at the end. The decoder begins with BOS, reads what the encoder made of everything, and keeps
keys and values while it generates. `NormFormer` (Shleifer et al. 2021) adds what OFA has: a learned scale per head, a
norm after each attention and one inside each feed-forward layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MBartConfig, MBartForCausalLM, PreTrainedTokenizerBase
from transformers.models.mbart.modeling_mbart import MBartEncoder

from intervalchange.blocks.cross_decoder import cross_attention_cache
from intervalchange.blocks.decoders import PrefixDecoder, initial_spread, special_ids, unmasked_ranks
from intervalchange.blocks.tokenizer import Tokens
from intervalchange.blocks.type_embedding import TypeEmbedding

PRIOR, CURRENT, TEXT = range(3)
"""Rows of the table of kinds."""


@dataclass(frozen=True)
class TwoStreamSizes:
    """Of both encoder and decoder."""

    width: int
    layers: int
    heads: int
    feedforward: int
    cells: int
    """n: cells of one film."""
    question_tokens: int
    """Longest text that the encoder reads."""
    answer_tokens: int
    """Longest text that the decoder writes, EOS included."""
    dropout: float
    vocab_size: int = 0
    """Rows of the table of words; 0 for the tokenizer's size."""
    sub_norms: bool = True
    """NormFormer, and OFA's scale of attention, (2 * width / heads) ** -0.5."""


class ScaledOutput(nn.Module):
    """The end of an attention: a learned scale per head, the projection, a norm."""

    def __init__(self, projection: nn.Linear, heads: int) -> None:
        super().__init__()
        self.projection = projection
        self.heads = nn.Parameter(torch.ones(heads))
        self.norm = nn.LayerNorm(projection.out_features)

    def forward(self, mixed: Tensor) -> Tensor:
        """(b, t, d), heads side by side -> (b, t, d)."""
        scaled = mixed.unflatten(-1, (len(self.heads), -1)) * self.heads[:, None]
        normalised: Tensor = self.norm(self.projection(scaled.flatten(-2)))
        return normalised


class NoPositions(nn.Module):
    """In place of MBart's positions in the encoder, whose inputs have theirs already."""

    def forward(self, shape: Tensor) -> Tensor:
        """(b, t) of anything -> zeros (t, 1)."""
        return shape.new_zeros(shape.shape[1], 1)


class DecoderModel(MBartForCausalLM):
    """The decoder of MBart with its head of words; its base model is the decoder itself."""

    @property
    def base_model(self) -> Any:
        return self.model.decoder


class TwoStreamDecoder(PrefixDecoder):
    """See the module's docstring. As in every `PrefixDecoder` the prefix is the text; it is read by the encoder here.

    `forward` and `generate` are given by name `films` (b, 2n, d), the cells of the prior and then of the current film,
    and `films_mask` (b, 2n), 1 where a cell is read.
    """

    language_model: DecoderModel

    def __init__(self, tokenizer: PreTrainedTokenizerBase, sizes: TwoStreamSizes) -> None:
        config = _mbart(tokenizer, sizes)
        super().__init__(DecoderModel(config), tokenizer)
        width = sizes.width
        encoder: Any = MBartEncoder(config)
        encoder.embed_tokens, encoder.embed_positions = nn.Identity(), NoPositions()
        encoder.layernorm_embedding = nn.Identity()
        self.encoder = encoder
        self.kinds = nn.Embedding(3, width)
        self.cell_positions = TypeEmbedding(sizes.cells, width)
        self.text_positions = nn.Embedding(sizes.question_tokens, width)
        self.film_norm, self.text_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        if sizes.sub_norms:
            for layer in (*encoder.layers, *self.language_model.base_model.layers):
                _add_sub_norms(layer)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`. Of the text, whose words are small, the kind is small too."""
        spread = torch.full((3, 1), self.cell_positions.spread, device=self.kinds.weight.device)
        spread[TEXT] = self.language_model.config.init_std
        init.copy_(self.kinds.weight, torch.randn_like(self.kinds.weight) * spread)

    def read(self, text: Tensor, text_mask: Tensor, films: Tensor, films_mask: Tensor) -> dict[str, Tensor]:
        """What the decoder attends to: all 2n + t tokens as the encoder gives them, and which of them count."""
        of_films = self.kinds.weight[[PRIOR, CURRENT], None] + self.cell_positions.weight
        of_text = self.kinds.weight[TEXT] + self.text_positions(unmasked_ranks(text_mask))
        tokens = torch.cat([self.film_norm(films + of_films.flatten(0, 1)), self.text_norm(text + of_text)], dim=1)
        mask = torch.cat([films_mask.long(), text_mask.long()], dim=1)
        hidden = self.encoder(inputs_embeds=tokens, attention_mask=mask).last_hidden_state
        return {"encoder_hidden_states": hidden, "encoder_attention_mask": mask}

    def forward(self, prefix: Tensor, prefix_mask: Tensor, answer: Tokens, **read: Tensor) -> Tensor:
        """Logits (b, t, v) of each token of `answer` (EOS included), given films, text, and the tokens before it."""
        memory = self.read(prefix, prefix_mask, **read)
        return super().forward(prefix[:, :0], prefix_mask[:, :0], answer, **memory)

    @torch.no_grad()
    def generate(self, prefix: Tensor, prefix_mask: Tensor, *, limit: int, beams: int = 1, **read: Any) -> Tokens:
        """As `PrefixDecoder`."""
        cache = cross_attention_cache(self.language_model)
        memory = self.read(prefix, prefix_mask, **read)
        opened = prefix[:, :0], prefix_mask[:, :0]
        return super().generate(*opened, limit=limit, beams=beams, past_key_values=cache, **memory)


def _mbart(tokenizer: PreTrainedTokenizerBase, sizes: TwoStreamSizes) -> MBartConfig:
    return MBartConfig(
        **special_ids(tokenizer),
        vocab_size=sizes.vocab_size or len(tokenizer),
        d_model=sizes.width,
        encoder_layers=sizes.layers,
        decoder_layers=sizes.layers,
        encoder_attention_heads=sizes.heads,
        decoder_attention_heads=sizes.heads,
        encoder_ffn_dim=sizes.feedforward,
        decoder_ffn_dim=sizes.feedforward,
        max_position_embeddings=sizes.answer_tokens + 1,
        dropout=sizes.dropout,
        attention_dropout=0.0,
        activation_dropout=0.0,
        init_std=initial_spread(sizes.width),
        scale_embedding=False,
        forced_eos_token_id=None,
        is_decoder=True,
        is_encoder_decoder=False,
    )


def _add_sub_norms(layer: Any) -> None:
    """NormFormer's parts and OFA's scale of attention, in one layer of MBart."""
    for name in ("self_attn", "encoder_attn"):
        attention = getattr(layer, name, None)
        if attention is not None:
            attention.scaling = (2 * attention.head_dim) ** -0.5
            attention.out_proj = ScaledOutput(attention.out_proj, attention.num_heads)
    layer.fc2 = nn.Sequential(nn.LayerNorm(layer.fc2.in_features), layer.fc2)
