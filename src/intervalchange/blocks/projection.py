"""From a feature map to a few tokens: learned queries read it through a small transformer decoder."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor, nn

from intervalchange.blocks.encoders import sincos_2d
from intervalchange.blocks.gathering import gather_rows
from intervalchange.blocks.processes import average_over_processes


class FirstBatchNorm(nn.Module):
    """Standardises channels by the mean and deviation of the first training batch, and keeps these (ActNorm's start;
    Kingma and Dhariwal, NeurIPS 2018).

    What differs between two films is a fraction of what all films share: unless the shared part is taken away, the
    decoder reads a constant. Fixed numbers, so a film's tokens do not depend on its batch mates.
    """

    centre: Tensor
    spread: Tensor
    seen: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def _fit(self, tokens: Tensor) -> None:
        values = tokens.float().flatten(0, -2)
        centre = average_over_processes(values.mean(dim=0))
        square = average_over_processes(values.square().mean(dim=0))
        self.centre.copy_(centre)
        self.spread.copy_((square - centre.square()).clamp(min=1e-6).sqrt())
        self.seen.fill_(True)

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, n, c) -> (b, n, c)."""
        if self.training and not self.seen:
            self._fit(tokens)
        return (tokens - self.centre) / self.spread


class BatchNorm(nn.Module):
    """Batch normalisation without a gain, over the rows of all processes that count.

    Rows that are brought to length 1 after it cannot collapse: the mean of a batch is not among what they are compared
    by (the end of a projection head, as in SimSiam; Chen and He, CVPR 2021). In use: running statistics.
    `nn.SyncBatchNorm` is for GPUs alone and knows no mask.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, values: Tensor, counted: Tensor | None = None) -> Tensor:
        """(..., c), (...) 1 where a row counts for the statistics, or None for all -> (..., c), float32 or finer."""
        values, mean, variance = values.to(torch.promote_types(values.dtype, torch.float32)), self.mean, self.variance
        if self.training:
            rows = values.flatten(0, -2)
            weight = rows.new_ones(len(rows), 1) if counted is None else counted.flatten()[:, None].to(rows.dtype)
            # Sums, not products of matrices, which autocast would round.
            total = gather_rows(torch.cat([(weight * rows).sum(0), weight.sum(0)])[None]).sum(0)
            count = total[-1].clamp(min=1)
            mean = total[:-1] / count
            variance = gather_rows((weight * (rows - mean).square()).sum(0)[None]).sum(0) / count
            with torch.no_grad():
                share = self.momentum * (total[-1] > 0)
                self.mean.lerp_(mean, share)
                self.variance.lerp_(variance, share)
        return (values - mean) / (variance + 1e-5).sqrt()


class QueryProjection(nn.Module):
    """ReAl's projection, "a transformer decoder and fully connected layers" (MICCAI 2024).

    A feature map (b, c, h, w), its channels standardised, is widened to (b, n, d) by a linear layer plus fixed 2-D
    positions; `queries` learned vectors attend to it through `layers` decoder layers; a linear layer gives
    (b, queries, out_width).
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        out_width: int,
        *,
        queries: int,
        layers: int,
        heads: int,
        feedforward: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm = FirstBatchNorm(in_width)
        self.enter = nn.Linear(in_width, width)
        self.queries = nn.Parameter(torch.empty(queries, width))
        layer = nn.TransformerDecoderLayer(width, heads, feedforward, dropout, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(width))
        self.leave = nn.Linear(width, out_width)
        nn.init.normal_(self.queries, std=0.02)

    def draw_weights(self, init: ModuleType) -> None:
        """See `Method._init_weights`."""
        init.normal_(self.queries, std=0.02)

    def forward(self, features: Tensor) -> Tensor:
        batch, _, rows, columns = features.shape
        memory = self.enter(self.norm(features.flatten(2).transpose(1, 2)))
        memory = memory + sincos_2d(memory.shape[-1], rows, columns, like=memory)
        queries = self.queries.expand(batch, -1, -1)
        tokens: Tensor = self.leave(self.decoder(queries, memory))
        return tokens
