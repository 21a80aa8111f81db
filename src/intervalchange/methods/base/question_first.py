"""What answerers share whose decoder says the answer after the question: [question; BOS; answer; EOS].

What the decoder reads besides, `memory` says. A subclass builds `decoder` and calls `post_init` last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.attribution import activation_attribution
from intervalchange.blocks.decoders import PrefixDecoder
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.tokenizer import decode, encode
from intervalchange.errors import ConfigError
from intervalchange.losses import answer_nll, sequence_log_probability
from intervalchange.methods.base.method import Method, MethodConfig, MethodOutput
from intervalchange.records import Prediction


class QuestionFirstConfig(MethodConfig):
    """The decoder, the longest texts, and the search for an answer."""

    decoder_width: int = 128
    decoder_layers: int = 2
    decoder_heads: int = 4
    dropout: float = 0.1
    """Of the decoder, and of what stands before it."""
    question_tokens: int = 40
    """Longest question; longer ones are cut."""
    answer_tokens: int = 96
    """Longest answer, EOS included."""
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
        """Longest sequence of the decoder."""
        return self.question_tokens + 1 + self.answer_tokens


class QuestionFirst(Method):
    """See the module's docstring."""

    config_class = QuestionFirstConfig
    config: QuestionFirstConfig

    decoder: PrefixDecoder

    def __init__(self, config: QuestionFirstConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)

    def see(self, batch: Mapping[str, Any]) -> Tensor | None:
        """The maps (2b, c, g, g) of all priors, then of all currents; None where films are not looked at."""
        return None

    def memory(self, maps: Any, has_prior: Tensor) -> dict[str, Tensor]:
        """What the decoder reads besides, by the names that it knows. maps: what was seen. has_prior: (b) bool."""
        return {}

    def prefix(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Questions as embeddings (b, t, d) with a mask (b, t)."""
        text = encode(self.tokenizer, questions, side="left", limit=self.config.question_tokens, device=self.device)
        return self.decoder.embed(text.ids), text.mask

    def forward(self, **batch: Any) -> MethodOutput:
        read = self.memory(self.see(batch), batch["has_prior"])
        answer = encode(self.tokenizer, batch["answer"], eos=True, limit=self.config.answer_tokens, device=self.device)
        logits = self.decoder(*self.prefix(batch["question"]), answer, **read)
        loss = answer_nll(logits, answer.ids, answer.mask, reduce_mean=average_over_processes)
        return MethodOutput(loss=loss, terms={"generation": loss.detach()})

    def answer(self, batch: Any, *, evidence: bool = False) -> list[Prediction]:
        """Greedy or beam answers; confidence is the probability of the whole answer under the model."""
        self.check_prior(batch)
        with torch.no_grad():
            maps = self.see(batch)
        shown = maps.requires_grad_() if evidence and maps is not None else None
        with torch.set_grad_enabled(shown is not None):
            read = self.memory(maps, batch.has_prior.to(self.device))
            prefix, mask = self.prefix(batch.question)
            still = {name: tensor.detach() for name, tensor in read.items()}
            tokens = self.decoder.generate(
                prefix.detach(), mask, limit=self.config.answer_tokens, beams=self.config.beams, **still
            )
            logits = self.decoder(prefix, mask, tokens, **read)
            likelihood = sequence_log_probability(logits, tokens.ids, tokens.mask)
        return self.predictions(
            batch,
            decode(self.tokenizer, tokens.ids),
            confidence=[{"answer": chance} for chance in likelihood.detach().double().exp().tolist()],
            evidence=None if shown is None else activation_attribution(likelihood, shown),
        )
