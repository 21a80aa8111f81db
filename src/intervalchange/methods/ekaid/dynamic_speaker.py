"""The dynamic speaker of change captioning: two LSTMs, of which the first chooses, word by word, what the second sees.

DUDA (Park et al., ICCV 2019), with the latent parts of speech and the gate that EKAID added (Hu et al., KDD 2023).
Three vectors are spoken of: prior, difference, current. Each step the first LSTM weighs them; a gate made of what
was said, of a soft part of speech and of the mixture lets part of the mixture through to the second, which says a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.tokenizer import Tokens


@dataclass(frozen=True)
class Said:
    """What the speaker knows between two words: (b, h) each."""

    module: Tensor
    module_cell: Tensor
    language: Tensor
    language_cell: Tensor
    heard: Tensor
    """`language` after dropout, which is what words are read from and what the next step hears."""


@dataclass(frozen=True)
class Spoken:
    """What is spoken of."""

    parts: Tensor
    """(b, 3, d): prior, difference, current."""
    absent: Tensor
    """(b, 3) bool: parts that there are not; one at least is there."""
    whole: Tensor
    """(b, e): the three together."""


class DynamicSpeaker(nn.Module):
    """Says an answer about three vectors. The sequence is [BOS; answer; EOS], in training as in answering."""

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
    ) -> None:
        """parts: width of the three vectors; width: of them together; words: of a word; speech: parts of speech."""
        super().__init__()
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
        """See `Method._init_weights`. Words must be heard beside the films."""
        init.normal_(self.words.weight, std=0.5)

    def listen(self, parts: Tensor, absent: Tensor) -> tuple[Spoken, Said]:
        """(b, 3, d) and (b, 3) bool -> what is spoken of, and the state before the first word."""
        parts = parts.masked_fill(absent.unsqueeze(-1), 0)
        whole = self.dropout(torch.relu(self.together(parts.flatten(1))))
        nothing = whole.new_zeros(len(parts), self.hidden)
        return Spoken(parts, absent, whole), Said(nothing, nothing, nothing, nothing, nothing)

    def step(self, spoken: Spoken, said: Said, word: Tensor) -> Said:
        """The state after hearing `word` (b, w), as `embed` gives it; `leave(heard)` are the logits of the next."""
        module, module_cell = self.module(torch.cat([spoken.whole, said.heard], dim=1), (said.module, said.module_cell))
        weights = torch.softmax(self.choose(module).float().masked_fill(spoken.absent, float("-inf")), dim=1)
        mixture = torch.einsum("bk,bkd->bd", weights.to(spoken.parts.dtype), spoken.parts)
        speech = self.speech_vector(torch.softmax(self.speech(module), dim=1))
        gate = torch.sigmoid(self.gate(torch.cat([said.heard, speech, mixture], dim=1)))
        language, language_cell = self.language(
            torch.cat([word, gate * mixture], dim=1), (said.language, said.language_cell)
        )
        return Said(module, module_cell, language, language_cell, self.dropout(language))

    def embed(self, ids: Tensor) -> Tensor:
        """(..., ) ids -> (..., w)."""
        return self.dropout(torch.relu(self.words(ids)))

    def forward(self, parts: Tensor, absent: Tensor, answer: Tokens) -> Tensor:
        """Logits (b, t, v) of each token of `answer` (EOS included), given the parts and the tokens before it."""
        spoken, said = self.listen(parts, absent)
        before = torch.cat([torch.full_like(answer.ids[:, :1], self.bos), answer.ids[:, :-1]], dim=1)
        states = []
        for word in self.embed(before).unbind(1):
            said = self.step(spoken, said, word)
            states.append(said.heard)
        return self.leave(torch.stack(states, dim=1))

    @torch.no_grad()
    def generate(self, parts: Tensor, absent: Tensor, *, limit: int) -> Tokens:
        """The likeliest word at each step, at most `limit` of them, EOS included and the rest masked."""
        spoken, said = self.listen(parts, absent)
        word = torch.full((len(parts),), self.bos, device=parts.device)
        going = torch.ones_like(word, dtype=torch.bool)
        ids, mask = [], []
        for _ in range(limit):
            said = self.step(spoken, said, self.embed(word))
            word = torch.where(going, self.leave(said.heard).argmax(-1), self.pad)
            ids.append(word)
            mask.append(going)
            going = going & (word != self.eos)
            if not going.any():
                break
        return Tokens(torch.stack(ids, dim=1), torch.stack(mask, dim=1).long())
