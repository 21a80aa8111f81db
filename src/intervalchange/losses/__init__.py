"""Pure loss functions: tensors in, scalar out. Masks and NaN say what counts."""

from intervalchange.losses.alignment import residual_alignment
from intervalchange.losses.dense import inside_and_outside, opacity, soft_dice
from intervalchange.losses.labels import cumulative_ordinal, masked_bce
from intervalchange.losses.language import answer_nll, sequence_log_probability

__all__ = [
    "answer_nll",
    "cumulative_ordinal",
    "inside_and_outside",
    "masked_bce",
    "opacity",
    "residual_alignment",
    "sequence_log_probability",
    "soft_dice",
]
