"""A graph of organs and findings over a film, and the graph convolution that reads it.

Nodes are the r regions, then the f findings. Edges join a region and a finding that was detected in it; their weight
is the certainty of the detection. There are no other edges.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def organ_finding_graph(present: Tensor, findings: Tensor) -> Tensor:
    """Edges of a film: (b, r) and (b, r, f) probabilities -> (b, r + f, r + f), symmetric, zero diagonal.

    present: that the region is on the film. findings: that the finding is in the region. A region that is not there has
    no edges.
    """
    weight = present.unsqueeze(-1) * findings
    _, regions, kinds = weight.shape
    top = torch.cat([weight.new_zeros(len(weight), regions, regions), weight], dim=2)
    bottom = torch.cat([weight.transpose(1, 2), weight.new_zeros(len(weight), kinds, kinds)], dim=2)
    return torch.cat([top, bottom], dim=1)


def normalised(edges: Tensor) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 (Kipf and Welling, ICLR 2017) of (b, n, n) weights >= 0. Without edges, the identity."""
    linked = edges + torch.eye(edges.shape[-1], device=edges.device, dtype=edges.dtype)
    root = linked.sum(-1).rsqrt()
    return root.unsqueeze(-1) * linked * root.unsqueeze(-2)


class GraphConvolution(nn.Module):
    """Two layers of a graph convolution: A relu(A X W1 + b1) W2 + b2, A normalised."""

    def __init__(self, width_in: int, hidden: int, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(width_in, hidden)
        self.second = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        """nodes: (n, width_in), the same for every film. edges: (b, n, n), not normalised -> (b, n, width)."""
        links = normalised(edges)
        # A X W + b with A (X W), since X is shared by the batch.
        hidden = torch.relu(links @ nn.functional.linear(nodes, self.first.weight) + self.first.bias)
        return links @ nn.functional.linear(self.dropout(hidden), self.second.weight) + self.second.bias
