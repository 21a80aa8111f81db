"""The trained parts that only FFA-CL has: splitter, shared classifier, prompts."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.projection import FirstBatchNorm


def mixer(width: int, layers: int, heads: int, feedforward: int, dropout: float) -> nn.TransformerEncoder:
    """Labels attend to each other: post-norm layers with ReLU, no positions (the splitter distinguishes the labels)."""
    layer = nn.TransformerEncoderLayer(width, heads, feedforward, dropout, batch_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class FindingSplitter(nn.Module):
    """The vector of a film (b, v) -> one embedding per label (b, l, d) of unit length.

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
    """One classifier for all labels: (..., d) -> (..., k). The same hidden layer is applied twice (as published)."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, outputs)

    def forward(self, embeddings: Tensor) -> Tensor:
        outputs: Tensor = self.out(F.relu(self.hidden(F.relu(self.hidden(embeddings)))))
        return outputs


class PromptBranch(nn.Module):
    """Fixed vectors of the prompts (l, w) -> (l, d) of unit length."""

    words: Tensor

    def __init__(self, words: Tensor, width: int, transformer: nn.TransformerEncoder) -> None:
        super().__init__()
        self.register_buffer("words", words)
        self.enter = nn.Linear(words.shape[1], width) if words.shape[1] != width else nn.Identity()
        self.transformer = transformer

    def forward(self) -> Tensor:
        return F.normalize(self.transformer(self.enter(self.words)[None])[0].float(), dim=-1)
