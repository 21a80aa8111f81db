"""question_only: the floor. A small GPT-2 answers from the question alone, and no film is ever read.

No paper; the baseline that each of them should have had. It learns how often each answer follows each question, and
what a method scores above it comes from the films. `score` prints the same floor from counts (the most frequent
training answer of a question); this one is trained, so it also answers questions that it has never been asked.
"""

from __future__ import annotations

from typing import ClassVar

from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.decoders import AnswerDecoder
from intervalchange.methods.base.answerer import Answerer, DecoderConfig


class QuestionOnlyConfig(DecoderConfig):
    """Configuration of question_only."""

    model_type = "question_only"

    decoder_positions: int = 0
    """Rows of the decoder's table of positions; 0 for as many as the longest texts need."""
    decoder_weights: str = ""
    """Hub name or folder of a published GPT-2 of this size, loaded once when training starts."""
    vocab_size: int = 0
    """Rows of the embedding table; 0 for the tokenizer's size."""


class QuestionOnly(Answerer):
    """See the module's docstring."""

    config_class = QuestionOnlyConfig
    config: QuestionOnlyConfig
    name: ClassVar[str] = "question_only/answer"
    reads_films: ClassVar[bool] = False

    decoder: AnswerDecoder

    def __init__(self, config: QuestionOnlyConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        positions = config.decoder_positions or config.positions
        self.decoder = config.gpt2(self.tokenizer, positions, config.vocab_size)
        self.post_init()

    def load_pretrained(self) -> None:
        if self.config.decoder_weights:
            self.decoder.load_pretrained(self.config.decoder_weights)
