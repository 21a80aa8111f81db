"""question_only: the floor. A small GPT-2 answers from the question alone, and no film is ever read.

No paper; the baseline that each of them should have had. It learns how often each answer follows each question, and
what a method scores above it, the films have told. `score` prints the same floor from counts (the most frequent
training answer of a question); this one is trained, so it also speaks to questions it has never seen.
"""

from __future__ import annotations

from typing import ClassVar

from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.decoders import AnswerDecoder
from intervalchange.methods.base.question_first import QuestionFirst, QuestionFirstConfig


class QuestionOnlyConfig(QuestionFirstConfig):
    """Configuration of question_only."""

    model_type = "question_only"

    decoder_positions: int = 0
    """Rows of the decoder's table of positions; 0 for as many as the longest texts need."""
    decoder_weights: str = ""
    """Hub name or folder of a published GPT-2 of this size, loaded once when training starts."""
    vocab_size: int = 0
    """Rows of the embedding table; 0 for the tokenizer's size."""


class QuestionOnly(QuestionFirst):
    """See the module's docstring."""

    config_class = QuestionOnlyConfig
    config: QuestionOnlyConfig
    name: ClassVar[str] = "question_only/answer"
    reads_films: ClassVar[bool] = False

    decoder: AnswerDecoder

    def __init__(self, config: QuestionOnlyConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        self.decoder = AnswerDecoder(
            self.tokenizer,
            width=config.decoder_width,
            layers=config.decoder_layers,
            heads=config.decoder_heads,
            positions=config.decoder_positions or config.positions,
            dropout=config.dropout,
            vocab_size=config.vocab_size,
        )
        self.post_init()

    def load_pretrained(self) -> None:
        if self.config.decoder_weights:
            self.decoder.load_pretrained(self.config.decoder_weights)
