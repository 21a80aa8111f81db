"""Hard negatives in words that the training answers use: any other word would alone give a hard negative away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from intervalchange.data.answer_words import hard_negatives, in_words
from intervalchange.findings import FINDINGS

NegativeGroups = tuple[tuple[str, ...], ...]
"""Hard negatives of an answer by what is wrong with them."""


class HardNegatives:
    """Part of a `Method` whose configuration has `findings`."""

    config: Any
    tokenizer: Any
    register_buffer: Any
    renamed_weights: ClassVar[Mapping[str, str]] = {r"^heard$": "allowed_words"}
    allowed_words: Tensor
    """(words) bool: those of the training answers; saved with the weights."""

    @property
    def false_findings(self) -> tuple[str, ...]:
        """What may replace a finding in a hard negative, if its words have occurred; all where none is named."""
        return self.config.findings or FINDINGS

    def allow_every_word(self) -> None:
        """Until the training answers are known, every word may be used. Called while the model is built."""
        self.register_buffer("allowed_words", torch.ones(len(self.tokenizer), dtype=torch.bool))
        self._negatives: dict[tuple[str, str], NegativeGroups] = {}

    def restrict_words(self, answers: Iterable[str]) -> None:
        """Use the words of these answers and no others."""
        self.allowed_words[:] = False
        self.allowed_words[sorted({word for answer in set(answers) for word in self._ids(answer)})] = True
        self._negatives.clear()

    def hard_negatives(self, answer: str, kind: str) -> NegativeGroups:
        """Hard negatives of an answer to this kind of question, made once."""
        if (answer, kind) not in self._negatives:
            groups = hard_negatives(answer, kind, self.false_findings)
            allowed = set(self.allowed_words.nonzero()[:, 0].tolist())
            self._negatives[answer, kind] = in_words(groups, self._ids, allowed)
        return self._negatives[answer, kind]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
