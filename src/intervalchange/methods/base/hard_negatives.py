"""Hard negatives in words that the training answers use: a word never heard would alone give a hard negative away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from intervalchange.data.answer_words import hard_negatives, in_words

NegativeGroups = tuple[tuple[str, ...], ...]
"""Hard negatives of an answer by what is wrong with them."""


class HardNegatives:
    """Part of a `Method` whose configuration has `findings`: what may replace another one in a hard negative."""

    config: Any
    tokenizer: Any
    register_buffer: Any
    heard: Tensor
    """(words) bool: those of the training answers; saved with the weights."""

    def allow_every_word(self) -> None:
        """Until the training answers are known, every word may be used. Called while the model is built."""
        self.register_buffer("heard", torch.ones(len(self.tokenizer), dtype=torch.bool))
        self._near: dict[tuple[str, str], NegativeGroups] = {}

    def restrict_words(self, answers: Iterable[str]) -> None:
        """Use the words of these answers and no others."""
        self.heard[:] = False
        self.heard[sorted({word for answer in set(answers) for word in self._ids(answer)})] = True
        self._near.clear()

    def hard_negatives(self, answer: str, kind: str) -> NegativeGroups:
        """Hard negatives of an answer to this kind of question, made once."""
        if (answer, kind) not in self._near:
            groups = hard_negatives(answer, kind, self.config.findings)
            self._near[answer, kind] = in_words(groups, self._ids, set(self.heard.nonzero()[:, 0].tolist()))
        return self._near[answer, kind]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
