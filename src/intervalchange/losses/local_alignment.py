"""Alignment of the parts of a film with the parts of its report.

b films, c texts, n patches of a film, l words or sentences of a text, d width.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Aggregation = Literal["mean", "sum"]
Pooling = Literal["mean", "sum", "max"]
"""How the words of a text become one number; `max`, its best word, is GLoRIA's in use."""

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


def read_by_cosine(queries: Tensor, keys: Tensor, temperature: float, mask: Tensor | None = None) -> Tensor:
    """MGCA's attention, which has no parameters: (b, q, d), (b, k, d) of length 1 -> (b, q, k), rows summing to 1.

    mask: (b, k), 0 for keys that are left out.
    """
    scores = queries @ keys.transpose(1, 2) / temperature
    return torch.softmax(scores if mask is None else scores.masked_fill(mask[:, None] == 0, -1e4), dim=-1)


@torch.no_grad()
def robust_weights(attention: Tensor, counted: Tensor) -> Tensor:
    """(b, t) attention, (b, t) bool which parts count -> (b, t): clipped to their 10th and 90th percentile in each row,
    then divided by their sum (MGCA); 0 for the others and for a row without any."""
    known = attention.float().masked_fill(~counted, torch.nan)
    low, high = (torch.nanquantile(known, level, dim=1, keepdim=True) for level in (0.1, 0.9))
    clipped = torch.nan_to_num(known.clamp(low, high))
    return clipped / clipped.sum(1, keepdim=True).clamp(min=1e-12)


def weighted_alignment(
    patches: Tensor,
    words: Tensor,
    word_mask: Tensor,
    patch_weights: Tensor,
    word_weights: Tensor,
    temperature: float,
    *,
    unit_readings: bool = True,
) -> Tensor:
    """MGCA's token-level alignment as published (Wang et al., NeurIPS 2022): (b), the terms of words and patches added.

    Words read patches and patches read words (`read_by_cosine`); then each part is to find its own reading among those
    of its film, and the reverse. patches: (b, n, d); words: (b, l, d), masked by (b, l); weights: (b, n) and (b, l),
    each row with sum 1. Padding is left out where patches read; in the term of words it stays among the candidates, as
    published. unit_readings: what patches read has length 1 (published: with a ResNet, not with a ViT).
    """
    patches, words = F.normalize(patches.float(), dim=-1), F.normalize(words.float(), dim=-1)
    found = F.normalize(read_by_cosine(words, patches, temperature) @ patches, dim=-1)
    heard = read_by_cosine(patches, words, temperature, word_mask) @ words
    heard = F.normalize(heard, dim=-1) if unit_readings else heard
    total = patches.new_zeros(len(patches))
    for parts, readings, weights in ((words, found, word_weights), (patches, heard, patch_weights)):
        logits = parts @ readings.transpose(1, 2) / temperature
        for half in (logits, logits.transpose(1, 2)):
            total = total - 0.5 * (torch.log_softmax(half, -1).diagonal(dim1=1, dim2=2) * weights).sum(1)
    return total


def word_attention(tokens: Tensor, words: Tensor, word_mask: Tensor, *, normalise: bool = True) -> Tensor:
    """GLoRIA's attention of each word over the patches of its own film: (b, l, n), rows with sum 1, 0 for padding.

    tokens: (b, n, d); words: (b, l, d), masked by (b, l). normalise: as in `word_logits`, which attends in the same way
    to every film. A map of where a word is on the film.
    """
    tokens, words = tokens.float(), words.float()
    if normalise:
        tokens, words = F.normalize(tokens, dim=-1), F.normalize(words, dim=-1)
    scores = (tokens @ words.transpose(1, 2)).masked_fill(word_mask[:, None] == 0, -1e4)
    over_words = torch.softmax(scores, dim=-1)
    attention = torch.softmax(WORD_SHARPNESS * over_words, dim=1).transpose(1, 2)
    return attention * (word_mask[..., None] > 0)


def word_logits(
    tokens: Tensor,
    token_mask: Tensor,
    words: Tensor,
    word_mask: Tensor,
    scale: Tensor | float = 1.0,
    *,
    normalise: bool = True,
    aggregation: Pooling = "mean",
) -> Tensor:
    """GLoRIA's local similarity (Huang et al., ICCV 2021) of every film with every text, (b, c), without its contexts.

    tokens: (b, n, d), masked by (b, n). words: (c, l, d), masked by (c, l). The context of a word e is the sum of
    the patches v_m by attention a_m; its cosine with its context is pooled by log-mean-exp over the words, times
    `scale`. Only that cosine is needed of the context: e.context is the sum of a_m (e.v_m), the similarities behind the
    attention, and |context|^2 = a^T G a with the Gram matrix G of the patches. So (b, c, l, d) is never
    formed. The sum of the attention cancels in a cosine and is not taken.

    The mean in place of GLoRIA's sum centres the logits: a long text does not score higher for its length. The
    published form is normalise=False, "sum", scale=50: its third temperature, 10, times the sharpness, which is divided
    by here. Its zero-shot classification has normalise=False, "max", scale=5: the cosine of the best word alone. A text
    without words scores 0 with every film.
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
        if aggregation == "max":
            lowest = cosine.new_full((len(cosine), len(is_word)), -1.0)
            best: Tensor = lowest.scatter_reduce(1, text.expand_as(cosine), cosine, "amax")
            return best * scale * (count > 0)
        total = torch.exp(TOKEN_SHARPNESS * (cosine - 1)) @ of_text
        pooled = 1 + total.clamp(min=1e-30).log() / TOKEN_SHARPNESS
        if aggregation == "mean":
            pooled = pooled - count.clamp(min=1).log() / TOKEN_SHARPNESS
        return scale * pooled * (count > 0)
