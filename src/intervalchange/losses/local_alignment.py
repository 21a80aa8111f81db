"""Alignment of the parts of a film with the parts of its report.

b films, c texts, n places of a film, l words or sentences of a text, d width.
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
    places: Tensor, said: Tensor, from_places: Tensor, from_said: Tensor, counted: Tensor, total: Tensor
) -> Tensor:
    """CM-CGNS's local image loss, in the form of SimSiam (Chen & He, CVPR 2021): scalar in [-1, 1], -1 at best.

    places: (b, n, d) of the films. said: (b, n, d), what the report says at each place. from_places, from_said: the
    predictor's reading of either, which is to point where the other one does; no gradient goes into what is predicted.
    counted: (b), 1 for films that have a report; total: how many have, averaged over processes by the caller.
    """
    halves = [
        F.cosine_similarity(one.float(), other.detach().float(), dim=-1).mean(dim=1)
        for one, other in ((from_places, said), (from_said, places))
    ]
    return -0.5 * ((halves[0] + halves[1]) * counted).sum() / total.clamp(min=1)


def token_contrast(one: Tensor, other: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """MGCA's token-wise alignment (Wang et al., NeurIPS 2022): each part finds its partner among those of its own pair.

    one, other: (b, t, d), part by part the same; mask: (b, t), the parts that count. Mean of the cross-entropies of
    both directions over the parts of a pair: (b), 0 for a pair without parts.
    """
    one, other = F.normalize(one.float(), dim=-1), F.normalize(other.float(), dim=-1)
    counted = mask > 0
    alike = one @ other.transpose(1, 2) / temperature
    halves = [half.masked_fill(~counted[:, None, :], -1e4) for half in (alike, alike.transpose(1, 2))]
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

    tokens: (b, n, d), masked by (b, n). words: (c, l, d), masked by (c, l). A word e gathers a context, the sum of the
    places v_m by attention a_m; its cosine with what it gathered is pooled by log-mean-exp over the words, and times
    `scale`. Only that cosine is needed of the context: e.context is the sum of a_m (e.v_m), the similarities that the
    attention was made of, and |context|^2 = a^T G a with the Gram matrix G of the places. So (b, c, l, d) is never
    formed. The sum of the attention cancels in a cosine and is not taken.

    The mean in place of GLoRIA's sum centres the logits: a long text does not score higher for its length. The
    published form is normalise=False, "sum", scale=50: its third temperature, 10, times the sharpness, which is divided
    by here. A text without words scores 0 with every film.
    """
    # Texts differ in length by far: all words stand in one row of w, and products with `own` sum over those of a text.
    # Not under autocast, which would round what the sums are made of.
    with torch.autocast(tokens.device.type, enabled=False):
        spoken = word_mask > 0
        tokens, words = tokens.float(), words.float()[spoken]
        if normalise:
            tokens, words = F.normalize(tokens, dim=-1), F.normalize(words, dim=-1)
        text = spoken.nonzero()[:, 0]
        own = F.one_hot(text, len(spoken)).to(words.dtype)
        similar = tokens @ words.T
        highest = similar.new_full((*similar.shape[:2], len(spoken)), -1e4)
        highest = highest.scatter_reduce(2, text.expand_as(similar), similar.detach(), "amax")
        lifted = torch.exp(similar - highest @ own.T)
        over_words = lifted / (lifted @ own @ own.T)
        attention = torch.exp(WORD_SHARPNESS * over_words) * token_mask[..., None]
        along = (attention * similar).sum(1)
        length = (attention * (tokens @ tokens.transpose(1, 2) @ attention)).sum(1).clamp(min=1e-12).sqrt()
        cosine = along / (length * words.norm(dim=-1)).clamp(min=1e-8)
        count = spoken.sum(-1)
        total = torch.exp(TOKEN_SHARPNESS * (cosine - 1)) @ own
        pooled = 1 + total.clamp(min=1e-30).log() / TOKEN_SHARPNESS
        if aggregation == "mean":
            pooled = pooled - count.clamp(min=1).log() / TOKEN_SHARPNESS
        return scale * pooled * (count > 0)
