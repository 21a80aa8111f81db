"""Masked words, as BERT has them (Devlin et al., NAACL 2019): of the hidden ones 80% become the mask, 10% another word,
10% stay."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


def mask_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that stands for a hidden word: that of the unknown word where the tokenizer has no mask."""
    mask_id = tokenizer.mask_token_id
    return int(tokenizer.unk_token_id if mask_id is None else mask_id)


def hide_words(
    ids: Tensor,
    probability: Tensor,
    wanted: Tensor,
    uniforms: tuple[Tensor, Tensor, Tensor],
    mask_id: int,
    vocabulary: int,
) -> tuple[Tensor, Tensor]:
    """Ids (b, t) with hidden words, and which they are, (b, t) bool.

    probability: (b, t), with which a word is hidden. wanted: (b, t) bool; a row in which none is hidden at random hides
    one of these. uniforms: three (b, t) in [0, 1): whether, how, and by which word of the `vocabulary`.
    """
    whether, how, which = uniforms
    hidden = whether < probability
    first = torch.where(wanted, whether, 2.0).argmin(1)
    forced = torch.zeros_like(hidden).scatter_(1, first[:, None], True) & wanted & ~hidden.any(1, keepdim=True)
    hidden = hidden | forced
    random_word = (which * vocabulary).long()
    filler = torch.where(how < 0.8, torch.full_like(ids, mask_id), torch.where(how < 0.9, random_word, ids))
    return torch.where(hidden, filler, ids), hidden
