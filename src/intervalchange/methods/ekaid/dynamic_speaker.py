"""The dynamic speaker of change captioning: two LSTMs, of which the first chooses, word by word, what the second reads.

DUDA (Park et al., ICCV 2019), with the latent parts of speech and the gate that EKAID added (Hu et al., KDD 2023).
Three vectors are described: prior, difference, current. Each step the first LSTM weighs them; a gate made of the words
so far, of a soft part of speech and of the mixture lets part of the mixture through to the second, which writes a word.
As published, the part of speech is read from the second LSTM's state at the previous word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.tokenizer import Tokens

SpeechFrom = Literal["language", "module"]


@dataclass(frozen=True)
class SpeakerState:
    """The two LSTMs between two words: (b, h) each."""

    module: Tensor
    module_cell: Tensor
    language: Tensor
    language_cell: Tensor
    output: Tensor
    """`language` after dropout: words are read from it."""


@dataclass(frozen=True)
class SpeakerInput:
    """What is described."""

    parts: Tensor
    """(b, 3, d): prior, difference, current; zeros where masked."""
    mask: Tensor
    """(b, 3) bool: parts that there are; at least one."""
    joined: Tensor
    """(b, e): the three together."""


class DynamicSpeaker(nn.Module):
    """Writes an answer about three vectors. The sequence is [BOS; answer; EOS], in training as in answering."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        parts: int,
        width: int,
        words: int,
        hidden: int,
        speech: int,
        dropout: float,
        speech_from: SpeechFrom = "language",
    ) -> None:
        """parts: width of the three vectors; width: of them together; words: of a word; speech: parts of speech."""
        super().__init__()
        self.speech_from = speech_from
        self.bos, self.eos = int(tokenizer.bos_token_id), int(tokenizer.eos_token_id)
        self.pad, self.hidden = int(tokenizer.pad_token_id), hidden
        self.together = nn.Linear(3 * parts, width)
        self.module = nn.LSTMCell(width + hidden, hidden)
        self.choose = nn.Linear(hidden, 3)
        self.speech = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, speech), nn.Dropout(dropout)
        )
        self.speech_vector = nn.Linear(speech, hidden)
        read = 2 * hidden + parts
        self.gate = nn.Sequential(nn.Linear(read, read), nn.ReLU(), nn.Dropout(dropout), nn.Linear(read, parts))
        self.words = nn.Embedding(len(tokenizer), words)
        self.language = nn.LSTMCell(words + parts, hidden)
        self.leave = nn.Linear(hidden, len(tokenizer))
        self.dropout = nn.Dropout(dropout)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`. Words must count beside the films."""
        init.normal_(self.words.weight, std=0.5)

    def start(self, parts: Tensor, mask: Tensor) -> tuple[SpeakerInput, SpeakerState]:
        """(b, 3, d) and (b, 3), 1 where there is a part -> the input, and the state before the first word."""
        mask = mask.bool()
        parts = parts.masked_fill(~mask.unsqueeze(-1), 0)
        joined = self.dropout(torch.relu(self.together(parts.flatten(1))))
        zeros = joined.new_zeros(len(parts), self.hidden)
        return SpeakerInput(parts, mask, joined), SpeakerState(zeros, zeros, zeros, zeros, zeros)

    def step(self, described: SpeakerInput, state: SpeakerState, word: Tensor) -> SpeakerState:
        """The state after `word` (b, w), as `embed` gives it; `leave(state.output)` are the logits of the next."""
        published = self.speech_from == "language"
        previous = state.language if published else state.output
        module, module_cell = self.module(
            torch.cat([described.joined, previous], dim=1), (state.module, state.module_cell)
        )
        weights = torch.softmax(self.choose(module).float().masked_fill(~described.mask, float("-inf")), dim=1)
        mixture = torch.einsum("bk,bkd->bd", weights.to(described.parts.dtype), described.parts)
        speech = self.speech_vector(torch.softmax(self.speech(previous if published else module), dim=1))
        gate = torch.sigmoid(self.gate(torch.cat([previous, speech, mixture], dim=1)))
        language, language_cell = self.language(
            torch.cat([word, gate * mixture], dim=1), (state.language, state.language_cell)
        )
        return SpeakerState(module, module_cell, language, language_cell, self.dropout(language))

    def embed(self, ids: Tensor) -> Tensor:
        """(..., ) ids -> (..., w)."""
        embedded: Tensor = self.dropout(torch.relu(self.words(ids)))
        return embedded

    def forward(self, prefix: Tensor, prefix_mask: Tensor, answer: Tokens, **memory: Tensor) -> Tensor:
        """Logits (b, t, v) of each token of `answer` (EOS included), given the parts and the tokens before it.

        prefix: (b, 3, d), the parts; prefix_mask: (b, 3), 1 where there is one.
        """
        described, state = self.start(prefix, prefix_mask)
        before = torch.cat([torch.full_like(answer.ids[:, :1], self.bos), answer.ids[:, :-1]], dim=1)
        outputs = []
        for word in self.embed(before).unbind(1):
            state = self.step(described, state, word)
            outputs.append(state.output)
        logits: Tensor = self.leave(torch.stack(outputs, dim=1))
        return logits

    @torch.no_grad()
    def generate(self, prefix: Tensor, prefix_mask: Tensor, *, limit: int, beams: int = 1, **memory: Any) -> Tokens:
        """The most probable word at each step, at most `limit` of them, EOS included and the rest masked. Greedy."""
        described, state = self.start(prefix, prefix_mask)
        word = torch.full((len(prefix),), self.bos, device=prefix.device)
        going = torch.ones_like(word, dtype=torch.bool)
        ids, mask = [], []
        for _ in range(limit):
            state = self.step(described, state, self.embed(word))
            word = torch.where(going, self.leave(state.output).argmax(-1), self.pad)
            ids.append(word)
            mask.append(going)
            going = going & (word != self.eos)
            if not going.any():
                break
        return Tokens(torch.stack(ids, dim=1), torch.stack(mask, dim=1).long())
