"""The parts that only FFA-CL has: splitter, shared classifier, prompts, and what it remembers of frozen features."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.projection import FirstBatchNorm

REMEMBERED = 500_000
"""Films whose vectors are kept; then it begins anew."""


def mixer(width: int, layers: int, heads: int, feedforward: int, dropout: float) -> nn.TransformerEncoder:
    """Labels look at each other: post-norm layers with ReLU, no positions (the splitter tells the labels apart)."""
    layer = nn.TransformerEncoderLayer(width, heads, feedforward, dropout, batch_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class FindingSplitter(nn.Module):
    """The vector of a film (b, v) -> one embedding a label (b, l, d) of unit length.

    twice: the second linear layer of the published code, (l d)^2 weights with nothing between it and the first.
    """

    def __init__(
        self, in_width: int, labels: int, width: int, transformer: nn.TransformerEncoder, twice: bool, norm: bool
    ) -> None:
        super().__init__()
        self.labels, self.width = labels, width
        self.norm = FirstBatchNorm(in_width) if norm else nn.Identity()
        self.split = nn.Linear(in_width, labels * width)
        self.again = nn.Linear(labels * width, labels * width) if twice else nn.Identity()
        self.transformer = transformer

    def forward(self, vectors: Tensor) -> Tensor:
        parts = self.again(self.split(self.norm(vectors))).unflatten(1, (self.labels, self.width))
        return F.normalize(self.transformer(parts).float(), dim=-1)


class SharedClassifier(nn.Module):
    """One classifier for all labels: (..., d) -> (..., k). The same hidden layer is gone through twice (published)."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, outputs)

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.out(F.relu(self.hidden(F.relu(self.hidden(embeddings)))))


class PromptBranch(nn.Module):
    """Vectors of the prompts (l, w), which stay as they are -> (l, d) of unit length."""

    words: Tensor

    def __init__(self, words: Tensor, width: int, transformer: nn.TransformerEncoder) -> None:
        super().__init__()
        self.register_buffer("words", words)
        self.enter = nn.Linear(words.shape[1], width) if words.shape[1] != width else nn.Identity()
        self.transformer = transformer

    def forward(self) -> Tensor:
        return F.normalize(self.transformer(self.enter(self.words)[None])[0].float(), dim=-1)


class Remembered:
    """Vectors of films under frozen weights, each computed once in a process: by content, so augmented films miss."""

    def __init__(self) -> None:
        self._known: dict[bytes, Tensor] = {}
        self._weights = -1

    def __len__(self) -> int:
        return len(self._known)

    @torch.no_grad()
    def __call__(self, films: Tensor, encoder: nn.Module, seen_by: Callable[[Tensor], Tensor]) -> Tensor:
        """films (b, 1, h, w) -> (b, v). Forgets everything where the encoder's weights were written to since."""
        weights = sum(parameter._version for parameter in encoder.parameters())
        if weights != self._weights or len(self._known) > REMEMBERED:
            self._known, self._weights = {}, weights
        keys = [hashlib.blake2b(film.tobytes(), digest_size=16).digest() for film in films.cpu().numpy()]
        new = [row for row, key in enumerate(keys) if key not in self._known]
        if new:
            for row, vector in zip(new, seen_by(films[new]).float().cpu(), strict=True):
                self._known[keys[row]] = vector
        return torch.stack([self._known[key] for key in keys]).to(films.device)
