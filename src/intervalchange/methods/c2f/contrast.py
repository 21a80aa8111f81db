"""The two contrasts of C2F: what the question has read of the films, against the key words of the answer.

b pairs, t tokens of a question, l key words of an answer, d width.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from intervalchange.losses.contrastive import cosine_logits, multi_positive
from intervalchange.losses.labels import masked_bce
from intervalchange.losses.local_alignment import word_logits

Contrast = Literal["softmax", "published"]
"""`softmax`: over the batch, spread over all that match, scales learnt. `published`: binary cross-entropy of every
pair with its match, scales fixed; dot products in the attention of the fine one, which adds up words."""

SCALE = 10.0
"""Of both contrasts: GLoRIA's third temperature."""
SHARPNESS = 5.0
"""GLoRIA's second temperature, which `word_logits` divides by."""


def coarse_logits(first: Tensor, mean_words: Tensor, scale: Tensor | float) -> Tensor:
    """(b, d) twice -> (b, b): scale * cosine of first tokens and mean key words."""
    return cosine_logits(first, mean_words, torch.as_tensor(scale, device=first.device))


def fine_logits(
    kind: Contrast, tokens: Tensor, mask: Tensor, words: Tensor, word_mask: Tensor, scale: Tensor | float
) -> Tensor:
    """(b, t, d), masked by (b, t), and (b, l, d), masked by (b, l) -> (b, b)."""
    if kind == "softmax":
        return word_logits(tokens, mask, words, word_mask, scale)
    return word_logits(tokens, mask, words, word_mask, SHARPNESS * scale, normalise=False, aggregation="sum")


def contrast_loss(kind: Contrast, logits: Tensor, match: Tensor, counted: Tensor) -> Tensor:
    """Scalar of logits and matches (b, b); counted: (b) bool, answers that have key words."""
    if kind == "softmax":
        return multi_positive(logits, match, counted)
    both = counted[:, None] & counted[None, :]
    return masked_bce(logits, match.masked_fill(~both, float("nan")))
