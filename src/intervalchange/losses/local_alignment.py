"""Alignment of the parts of a film with the parts of its report.

b films, c texts, n patches of a film, l words or sentences of a text, d width.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Aggregation = Literal["mean", "sum"]

WORD_SHARPNESS, TOKEN_SHARPNESS = 4.0, 5.0
"""GLoRIA's first and second temperature (Huang et al., ICCV 2021)."""


def mutual_prediction(
    patches: Tensor, attended: Tensor, from_patches: Tensor, from_attended: Tensor, counted: Tensor, total: Tensor
) -> Tensor:
    """CM-CGNS's local image loss, in the form of SimSiam (Chen & He, CVPR 2021): scalar in [-1, 1], -1 at best.

    patches: (b, n, d) of the films. attended: (b, n, d), the report as each patch attends to it. from_patches,
    from_attended: the predictor's outputs for either, each to have the direction of the other side; no gradient goes
    into the target. counted: (b), 1 for films with a report; total: how many there are, averaged over processes by the
    caller.
    """
    halves = [
        F.cosine_similarity(predicted.float(), target.detach().float(), dim=-1).mean(dim=1)
        for predicted, target in ((from_patches, attended), (from_attended, patches))
    ]
    return -0.5 * ((halves[0] + halves[1]) * counted).sum() / total.clamp(min=1)


def token_contrast(first: Tensor, second: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """MGCA's token-wise alignment (Wang et al., NeurIPS 2022): each part is matched to its partner within its own pair.

    first, second: (b, t, d), partners in the same rows; mask: (b, t), the parts that count. Mean of the cross-entropies
    of both directions over the parts of a pair: (b), 0 for a pair without parts.
    """
    first, second = F.normalize(first.float(), dim=-1), F.normalize(second.float(), dim=-1)
    counted = mask > 0
    logits = first @ second.transpose(1, 2) / temperature
    halves = [half.masked_fill(~counted[:, None, :], -1e4) for half in (logits, logits.transpose(1, 2))]
    losses = [-torch.log_softmax(half, -1).diagonal(dim1=1, dim2=2) for half in halves]
    return 0.5 * ((losses[0] + losses[1]) * counted).sum(1) / counted.sum(1).clamp(min=1)


def word_logits(
    tokens: Tensor,
    token_mask: Tensor,
    words: Tensor,
    word_mask: Tensor,
    scale: Tensor | float = 1.0,
    *,
    normalise: bool = True,
    aggregation: Aggregation = "mean",
) -> Tensor:
    """GLoRIA's local similarity (Huang et al., ICCV 2021) of every film with every text, (b, c), without its contexts.

    tokens: (b, n, d), masked by (b, n). words: (c, l, d), masked by (c, l). The context of a word e is the sum of
    the patches v_m by attention a_m; its cosine with its context is pooled by log-mean-exp over the words, times
    `scale`. Only that cosine is needed of the context: e.context is the sum of a_m (e.v_m), the similarities behind the
    attention, and |context|^2 = a^T G a with the Gram matrix G of the patches. So (b, c, l, d) is never
    formed. The sum of the attention cancels in a cosine and is not taken.

    The mean in place of GLoRIA's sum centres the logits: a long text does not score higher for its length. The
    published form is normalise=False, "sum", scale=50: its third temperature, 10, times the sharpness, which is divided
    by here. A text without words scores 0 with every film.
    """
    # Texts differ in length by far: all words stand in one row, and products with `of_text` sum over those of a text.
    # Not under autocast, which would round the summands.
    with torch.autocast(tokens.device.type, enabled=False):
        is_word = word_mask > 0
        tokens, words = tokens.float(), words.float()[is_word]
        if normalise:
            tokens, words = F.normalize(tokens, dim=-1), F.normalize(words, dim=-1)
        text = is_word.nonzero()[:, 0]
        of_text = F.one_hot(text, len(is_word)).to(words.dtype)
        similarity = tokens @ words.T
        highest = similarity.new_full((*similarity.shape[:2], len(is_word)), -1e4)
        highest = highest.scatter_reduce(2, text.expand_as(similarity), similarity.detach(), "amax")
        lifted = torch.exp(similarity - highest @ of_text.T)
        over_words = lifted / (lifted @ of_text @ of_text.T)
        attention = torch.exp(WORD_SHARPNESS * over_words) * token_mask[..., None]
        along = (attention * similarity).sum(1)
        length = (attention * (tokens @ tokens.transpose(1, 2) @ attention)).sum(1).clamp(min=1e-12).sqrt()
        cosine = along / (length * words.norm(dim=-1)).clamp(min=1e-8)
        count = is_word.sum(-1)
        total = torch.exp(TOKEN_SHARPNESS * (cosine - 1)) @ of_text
        pooled = 1 + total.clamp(min=1e-30).log() / TOKEN_SHARPNESS
        if aggregation == "mean":
            pooled = pooled - count.clamp(min=1).log() / TOKEN_SHARPNESS
        return scale * pooled * (count > 0)
