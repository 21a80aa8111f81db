"""Alignment of the parts of a film with the parts of its report.

b films, c texts, n places of a film, l words or sentences of a text, d width.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from intervalchange.losses.contrastive import TOKEN_SHARPNESS, WORD_SHARPNESS

Aggregation = Literal["mean", "sum", "max"]


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


def gram_word_logits(
    tokens: Tensor,
    token_mask: Tensor,
    words: Tensor,
    word_mask: Tensor,
    *,
    scale: Tensor | float = 1.0,
    normalise: bool = True,
    aggregation: Aggregation = "mean",
) -> Tensor:
    """GLoRIA's local similarity (Huang et al., ICCV 2021) of every film with every text, (b, c), without its contexts.

    tokens: (b, n, d), masked by (b, n). words: (c, l, d), masked by (c, l). A word e gathers a context, the sum of the
    places v_m by attention a_m. Only cos(e, context) is needed of it: e.context is the sum of a_m (e.v_m), the
    similarities that the attention was made of, and |context|^2 = a^T G a with the Gram matrix G of the places. So
    (b, c, l, d) is never formed.

    `normalise`, "mean": as `contrastive.word_logits`, the logits centred by the length of the text. The published form
    is normalise=False, "sum", scale=50: its third temperature, 10, times the sharpness, which is divided by here.
    "max": the word that fits best, as GLoRIA does without training. A text without words scores 0 with every film.
    """
    tokens, words = tokens.float(), words.float()
    if normalise:
        tokens, words = F.normalize(tokens, dim=-1), F.normalize(words, dim=-1)
    similar = torch.einsum("bnd,cld->bcln", tokens, words)
    spoken, seen = word_mask[None, :, :, None] > 0, token_mask[:, None, None, :] > 0
    over_words = torch.softmax(similar.masked_fill(~spoken, -1e4), dim=2)
    attention = torch.softmax((WORD_SHARPNESS * over_words).masked_fill(~seen, -1e4), dim=3)
    gram = (tokens @ tokens.transpose(1, 2))[:, None]
    along = (attention * similar).sum(-1)
    length = (attention * (attention @ gram)).sum(-1).clamp(min=1e-12).sqrt()
    cosine = along / (length * words.norm(dim=-1)[None]).clamp(min=1e-8)
    count = word_mask.sum(-1)
    sharp = (TOKEN_SHARPNESS * cosine).masked_fill(word_mask[None] == 0, -1e4)
    if aggregation == "max":
        pooled = sharp.amax(-1)
    else:
        pooled = torch.logsumexp(sharp, dim=-1)
        pooled = pooled - count.clamp(min=1).log() if aggregation == "mean" else pooled
    return scale * pooled / TOKEN_SHARPNESS * (count > 0)
