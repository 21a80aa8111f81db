"""Answer decoders: a language model after a prefix of embeddings; `AnswerDecoder` is GPT-2.

The sequence is [prefix; BOS; answer; EOS]. While training, logits are read where each answer token is predicted; to
answer, generation starts from the same prefix and the same BOS, with a key-value cache, batched, greedy or by beams.
Masked positions (padding, a film that is absent) may lie anywhere in the prefix; positions count unmasked tokens only,
so an answer does not depend on how far its batch mates were padded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from intervalchange.blocks.tokenizer import Tokens


class PrefixDecoder(nn.Module):
    """A language model of transformers that answers after a prefix. `read`, for it as it is: what it attends to."""

    def __init__(
        self, language_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dropout: float = 0.0
    ) -> None:
        """dropout: of what the words are chosen from, while training."""
        super().__init__()
        self.language_model = language_model
        self.dropout = nn.Dropout(dropout)
        self.bos = int(tokenizer.bos_token_id)
        self.eos = int(tokenizer.eos_token_id)
        self.pad = int(tokenizer.pad_token_id)

    def embed(self, ids: Tensor) -> Tensor:
        """(b, t) -> (b, t, d), without positions."""
        embedded: Tensor = self.language_model.get_input_embeddings()(ids)
        return embedded

    def _opened(self, prefix: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The prefix with BOS at its end."""
        bos = self.embed(torch.full((len(prefix), 1), self.bos, device=prefix.device))
        return torch.cat([prefix, bos.to(prefix.dtype)], dim=1), torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)

    def forward(self, prefix: Tensor, prefix_mask: Tensor, answer: Tokens, **read: Tensor) -> Tensor:
        """Logits (b, t, v) of each token of `answer` (EOS included), given the prefix and the tokens before it.

        prefix: (b, p, d) embeddings. prefix_mask: (b, p), 1 where the prefix counts. answer: ids without BOS.
        """
        opened, mask = self._opened(prefix, prefix_mask)
        inputs = torch.cat([opened, self.embed(answer.ids[:, :-1]).to(opened.dtype)], dim=1)
        mask = torch.cat([mask, answer.mask[:, :-1].to(mask.dtype)], dim=1)
        hidden = self.language_model.base_model(
            inputs_embeds=inputs, attention_mask=mask, position_ids=unmasked_ranks(mask), use_cache=False, **read
        ).last_hidden_state
        logits: Tensor = self.language_model.lm_head(self.dropout(hidden[:, opened.shape[1] - 1 :]))
        return logits

    @torch.no_grad()
    def generate(self, prefix: Tensor, prefix_mask: Tensor, *, limit: int, beams: int = 1, **read: Any) -> Tokens:
        """Answers of at most `limit` tokens, EOS included and the rest masked."""
        opened, mask = self._opened(prefix, prefix_mask)
        language_model: Any = self.language_model
        ids = language_model.generate(
            inputs_embeds=opened,
            attention_mask=mask,
            max_new_tokens=limit,
            num_beams=beams,
            do_sample=False,
            bos_token_id=self.bos,
            eos_token_id=self.eos,
            pad_token_id=self.pad,
            **read,
        )
        return self.up_to_eos(ids)

    def up_to_eos(self, ids: Tensor) -> Tokens:
        """Generated ids (b, t), masked after the first EOS of each row."""
        ended = (ids == self.eos).cumsum(dim=1)
        return Tokens(ids, ((ended == 0) | ((ended == 1) & (ids == self.eos))).long())


class AnswerDecoder(PrefixDecoder):
    """A GPT-2 language model that answers after a prefix."""

    language_model: GPT2LMHeadModel

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        width: int,
        layers: int,
        heads: int,
        positions: int,
        dropout: float,
        vocab_size: int = 0,
    ) -> None:
        config = GPT2Config(
            **special_ids(tokenizer),
            vocab_size=vocab_size or len(tokenizer),
            n_positions=positions,
            initializer_range=initial_spread(width),
            n_embd=width,
            n_layer=layers,
            n_head=heads,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
        )
        super().__init__(GPT2LMHeadModel(config), tokenizer)

    def load_pretrained(self, name: str) -> None:
        """Weights of a GPT-2 of this size, from the hub or a folder."""
        published = GPT2LMHeadModel.from_pretrained(name).state_dict()
        self.language_model.load_state_dict(published)


def special_ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """BOS, EOS and padding, as configurations of transformers name them."""
    return {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}


def unmasked_ranks(mask: Tensor) -> Tensor:
    """Rank of each unmasked token in its row, as `generate` counts them: (b, t)."""
    return (mask.long().cumsum(dim=1) - 1).clamp(min=0)


def initial_spread(width: int) -> float:
    """Deviation that weights are drawn with. The customary 0.02 is for width 768; narrower models stall on it."""
    return max(0.02, float(0.5 * width**-0.5))
