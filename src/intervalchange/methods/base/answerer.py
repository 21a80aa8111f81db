"""The answering path: encode the films, decode an answer after a prefix, say how probable it is and what it rests on.

A subclass builds a `decoder` and says what it reads: `encode_films`, then `context`, or `prefix` and `memory` where the
prefix is the question. For attribution maps it names tensors in `attributed` and draws them in `evidence`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from intervalchange.blocks.decoders import AnswerDecoder
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.tokenizer import Tokens, decode, encode
from intervalchange.errors import ConfigError
from intervalchange.losses import answer_nll, sequence_log_probability
from intervalchange.methods.base.method import Method, MethodConfig, MethodOutput
from intervalchange.records import Prediction

AttributionMaps = Mapping[str, np.ndarray]
"""Name -> (g, g) in [0, 1], over the current film."""


class AnswererConfig(MethodConfig):
    """The longest texts."""

    question_tokens: int = 40
    """Longest question; longer ones are cut."""
    answer_tokens: int = 96
    """Longest answer, EOS included."""


class DecoderConfig(AnswererConfig):
    """The decoder, and its search for an answer."""

    decoder_width: int = 128
    """Channels of the decoder, and of what it reads."""
    decoder_layers: int = 2
    decoder_heads: int = 4
    """Heads of its attention; they divide `decoder_width`."""
    dropout: float = 0.1
    """Of the decoder, and of what stands before it."""
    beams: int = 1
    """Beams of the search for an answer; 1 is greedy."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.decoder_width % self.decoder_heads:
            raise ConfigError(
                f"model option 'decoder_width' is {self.decoder_width}.", remedy="It is divisible by decoder_heads."
            )

    @property
    def positions(self) -> int:
        """Longest sequence of a decoder that reads question and answer."""
        return self.question_tokens + 1 + self.answer_tokens

    def gpt2(self, tokenizer: Any, positions: int, vocab_size: int = 0) -> AnswerDecoder:
        """A GPT-2 of this size. vocab_size: rows of the embedding table; 0 for the tokenizer's size."""
        return AnswerDecoder(
            tokenizer,
            width=self.decoder_width,
            layers=self.decoder_layers,
            heads=self.decoder_heads,
            positions=positions,
            dropout=self.dropout,
            vocab_size=vocab_size,
        )


class Decoder(Protocol):
    """What `Answerer` needs of a decoder; `blocks.decoders.PrefixDecoder` is one."""

    def __call__(self, prefix: Tensor, prefix_mask: Tensor, answer: Tokens, **memory: Tensor) -> Tensor:
        """Logits (b, t, v) of each token of `answer`, given the prefix and the tokens before it."""

    def generate(self, prefix: Tensor, prefix_mask: Tensor, *, limit: int, beams: int = 1, **memory: Any) -> Tokens:
        """Answers of at most `limit` tokens, EOS included and the rest masked."""

    def embed(self, ids: Tensor) -> Tensor:
        """(b, t) ids -> (b, t, d)."""


@dataclass(frozen=True)
class Context:
    """What the answers of b cases are decoded from."""

    prefix: Tensor
    """(b, p, d) embeddings that the answer follows."""
    mask: Tensor
    """(b, p), 1 where the prefix counts."""
    memory: Mapping[str, Tensor] = field(default_factory=dict)
    """What the decoder attends to besides, by the names that it knows."""


class Answerer(Method):
    """Base of methods whose answers are decoded word by word. See the module's docstring."""

    config_class = AnswererConfig
    config: AnswererConfig

    decoder: Decoder

    # --- what a subclass says --------------------------------------------------------------------------------------

    def encode_films(self, batch: Mapping[str, Any]) -> Any:
        """Films of a batch -> what the encoder makes of them, in the form that the other hooks read."""
        return None

    def context(self, films: Any, batch: Mapping[str, Any]) -> Context:
        """Encoded films and the questions -> what the decoder starts from: the question, then `memory` beside it."""
        return Context(*self.prefix(batch["question"]), self.memory(films, batch["has_prior"].to(self.device)))

    def prefix(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Questions as embeddings (b, t, d) with a mask (b, t)."""
        text = encode(self.tokenizer, questions, side="left", limit=self.config.question_tokens, device=self.device)
        return self.decoder.embed(text.ids), text.mask

    def memory(self, films: Any, has_prior: Tensor) -> dict[str, Tensor]:
        """What the decoder attends to, by the names that it knows. has_prior: (b) bool."""
        return {}

    def attributed(self, films: Any) -> Sequence[Tensor]:
        """The tensors of encoded films whose gradients say what an answer rests on; none: there is no evidence."""
        return ()

    def evidence(self, films: Any, gradients: Sequence[Tensor]) -> Sequence[AttributionMaps | None]:
        """Per case, attribution maps from the gradients of the answer's log-probability by `attributed`."""
        raise NotImplementedError

    # --- training --------------------------------------------------------------------------------------------------

    def encode_answers(self, texts: Sequence[str]) -> Tokens:
        """Texts as the decoder learns them, EOS included."""
        return encode(self.tokenizer, texts, eos=True, limit=self.config.answer_tokens, device=self.device)

    def generation_loss(self, context: Context, answers: Sequence[str]) -> Tensor:
        """Negative log-likelihood of the answers: the mean over their tokens."""
        tokens = self.encode_answers(answers)
        logits = self.decoder(context.prefix, context.mask, tokens, **context.memory)
        return answer_nll(logits, tokens.ids, tokens.mask, reduce_mean=average_over_processes)

    def forward(self, **batch: Any) -> MethodOutput:
        context = self.context(self.encode_films(batch), batch)
        return MethodOutput.of({"generation": self.generation_loss(context, batch["answer"])})

    # --- answering -------------------------------------------------------------------------------------------------

    def answer(self, batch: Any, *, evidence: bool = False) -> list[Prediction]:
        """Answers by greedy or beam search; confidence is the probability of the whole answer under the model."""
        self.check_prior(batch)
        with torch.no_grad():
            films = self.encode_films(batch)
        attributed = [tensor.requires_grad_() for tensor in self.attributed(films)] if evidence else []
        with torch.set_grad_enabled(bool(attributed)):
            context = self.context(films, batch)
            answers = self.generate(context)
            logits = self.decoder(context.prefix, context.mask, answers, **context.memory)
            log_probability = sequence_log_probability(logits, answers.ids, answers.mask)
        gradients = torch.autograd.grad(log_probability.sum(), attributed) if attributed else ()
        return self.predictions(
            batch,
            decode(self.tokenizer, answers.ids),
            confidence=[{"answer": value} for value in log_probability.detach().double().exp().tolist()],
            evidence=self.evidence(films, gradients) if gradients else None,
        )

    def generate(self, context: Context) -> Tokens:
        """The answers that the search finds; greedy where the configuration has no `beams`."""
        beams = getattr(self.config, "beams", 1)
        return self.decoder.generate(
            context.prefix, context.mask, limit=self.config.answer_tokens, beams=beams, **context.memory
        )
