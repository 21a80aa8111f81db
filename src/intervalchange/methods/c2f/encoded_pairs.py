"""What C2F's stages over pairs pass between their steps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from intervalchange.blocks.region_queries import RegionView


@dataclass(frozen=True)
class EncodedPair:
    """The tokens of b pairs, n per film: regions, crops, nodes."""

    current: Tensor
    """(b, n, d)."""
    prior: Tensor
    """(b, n, d); zeros where there is no prior."""
    has_prior: Tensor
    """(b) bool."""
    view: RegionView
    """Of the current films."""


@dataclass(frozen=True)
class MaskedTokens:
    """Tokens of b sequences, and which of them are read."""

    tokens: Tensor
    """(b, t, d)."""
    mask: Tensor
    """(b, t), 1 where a token is read."""


@dataclass(frozen=True)
class AnswerReading:
    """What the text encoder makes of b answers. h hidden words in all."""

    answer_logits: Tensor
    """(b, 2) logits of (does not belong, belongs)."""
    negative_logits: Tensor
    """(b, 2) of the hard negatives."""
    has_negative: Tensor
    """(b) bool."""
    word_logits: Tensor
    """(h, v) of the hidden words."""
    hidden_ids: Tensor
    """(h) what they are."""
    rows: Tensor
    """(h) the case each is from."""


@dataclass(frozen=True)
class PairOutputs:
    """What validation knows of one case."""

    has_negative: bool
    matched: bool
    """The answer was found more probable than its hard negative."""
    filled: int
    """Masked words that were found."""
    hidden: int
