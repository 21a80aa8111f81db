"""Learned vectors that tell tokens apart: which film, which position, which region."""

from __future__ import annotations

from typing import Any

from torch import nn


class TypeEmbedding(nn.Embedding):
    """A table of vectors to add to tokens of about unit size.

    They are drawn as large as that. With the customary 0.02, tokens of the prior and of the current film are all but
    equal until the vectors have grown, and a model first learns what does not need them: answers blind to direction.
    """

    def __init__(self, count: int, width: int, spread: float = 0.5) -> None:
        """spread: deviation that they are drawn with."""
        super().__init__(count, width)
        self.spread = spread

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        init.normal_(self.weight, std=self.spread)
