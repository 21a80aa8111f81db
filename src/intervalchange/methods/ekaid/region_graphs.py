"""Graphs over the regions of a film, and the attention that knows which relation joins two nodes.

Relations follow EKAID (Hu et al., KDD 2023), the attention ReGAT (Li et al., ICCV 2019). A graph gives every ordered
pair of nodes a relation and its certainty; with certainties of 0 and 1 it is the published graph.

Boxes are x1, y1, x2, y2 as shares of the side of the square film, origin top left, y down. b films, n nodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

OVERLAP, FAR_APART = 0.5, 2 / 3
"""IoU from which boxes overlap; distance of centres, in sides of the film, from which they have no relation."""
INSIDE_IT, INSIDE_OTHER, SAME_PLACE, FIRST_SECTOR, SECTORS = 1, 2, 3, 4, 8
"""Spatial relations: contains the other; lies in the other; overlaps it or is it; the first of eight directions."""
SPATIAL = FIRST_SECTOR + SECTORS
"""Spatial relations with 0, which is none."""
SHARPEST, WAVES, COARSEST = 100.0, 8, 1000.0
"""Of the sines of the geometry (Hu et al., Relation networks, CVPR 2018)."""
GEOMETRY = 4 * 2 * WAVES
"""Numbers that say how two boxes lie to each other."""
LEAST_SIDE, LEAST_STEP, LEAST_WEIGHT = 1 / 1024, 1e-3, 1e-6


@dataclass(frozen=True)
class RelationGraph:
    """A graph for each film."""

    relations: Tensor
    """(b, n, n) or (n, n) int64: relation of node i to node j; 0 where there is none."""
    certainty: Tensor
    """(b, n, n) in [0, 1] that they are related; 0 where they are not."""

    def twice(self) -> RelationGraph:
        """Over 2n nodes, of which those that lie n apart share a box."""
        copies = [2 if axis >= self.relations.ndim - 2 else 1 for axis in range(self.relations.ndim)]
        return RelationGraph(self.relations.repeat(*copies), self.certainty.repeat(1, 2, 2))

    def reversed(self) -> RelationGraph:
        """The same, read from j to i: adjacency transposed."""
        return RelationGraph(self.relations.transpose(-1, -2), self.certainty.transpose(-1, -2))


def spatial_relations(boxes: Tensor) -> Tensor:
    """(b, r, 4) -> (b, r, r) int64 in 0 .. 11: how box i lies to box j.

    1 i strictly contains j; 2 i lies strictly in j; else 3 where the IoU is at least .5; else 0 where the centres are
    two thirds of a side apart or more; else 3 + k, the k-th sector of 45 degrees, k = 1 .. 8, of the direction from i
    to j (atan2(dy, dx) in (0, 360], so that an angle of 0 closes the last). Row j, column i has the reverse of row i,
    column j; the diagonal is 3.
    """
    first, second = boxes.unsqueeze(2), boxes.unsqueeze(1)
    lower, upper = first[..., :2] < second[..., :2], first[..., 2:] > second[..., 2:]
    contains = (lower & upper).all(-1)
    centres, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    shared = (torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])).clamp(
        min=0
    )
    common, area = shared.prod(-1), sides.prod(-1)
    overlaps = common >= OVERLAP * (area.unsqueeze(2) + area.unsqueeze(1) - common)
    step = centres.unsqueeze(1) - centres.unsqueeze(2)
    degrees = torch.rad2deg(torch.atan2(step[..., 1], step[..., 0]))
    sector = (torch.where(degrees <= 0, degrees + 360, degrees) / (360 / SECTORS)).ceil().long()
    codes = torch.where(step.norm(dim=-1) < FAR_APART, (FIRST_SECTOR - 1 + sector).clamp(FIRST_SECTOR, SPATIAL - 1), 0)
    codes = torch.where(overlaps, SAME_PLACE, codes)
    codes = torch.where(contains, INSIDE_IT, torch.where(contains.transpose(1, 2), INSIDE_OTHER, codes))
    # One half decides and the other mirrors it: rounding must not give a pair two directions that disagree.
    mirrored = codes.new_tensor(REVERSE)[codes.transpose(1, 2)]
    upper_half = torch.ones(codes.shape[1:], dtype=torch.bool, device=codes.device).triu(1)
    codes = torch.where(upper_half, codes, mirrored)
    return codes.masked_fill(torch.eye(codes.shape[1], dtype=torch.bool, device=codes.device), SAME_PLACE)


REVERSE = (0, INSIDE_OTHER, INSIDE_IT, SAME_PLACE, *(FIRST_SECTOR + (k + 4) % SECTORS for k in range(SECTORS)))
"""Relation of i to j -> relation of j to i."""


def spatial_graph(boxes: Tensor, present: Tensor) -> RelationGraph:
    """How boxes lie to each other, (b, r, 4) and (b, r) -> r nodes; as certain as both regions are present."""
    relations = spatial_relations(boxes)
    return RelationGraph(relations, _both(present) * (relations > 0))


def full_graph(present: Tensor) -> RelationGraph:
    """Every region with every one, itself included: one relation, of which nothing is known. (b, n) -> n nodes."""
    certainty = _both(present)
    return RelationGraph(torch.ones(certainty.shape[1:], dtype=torch.long, device=present.device), certainty)


def semantic_graph(present: Tensor, findings: Tensor, region_organs: Tensor, finding_organs: Tensor,
                   together: Tensor) -> RelationGraph:  # fmt: skip
    """What belongs together by meaning: 2r nodes, the regions, then what was found in each of them.

    1 joins a region to any node that shows a finding of its organ; 2 joins nodes that show two findings which go
    together. Nothing joins region to region. An edge is as certain as the most certain finding that makes it.

    present: (b, r), findings: (b, r, f) probabilities; region_organs: (r, o), finding_organs: (f, o) bool;
    together: (k, 2) int64, pairs of findings, in both orders where they differ.
    """
    shown = present.unsqueeze(-1) * findings
    of_organ = (shown.unsqueeze(-1) * finding_organs).amax(2)
    anatomy = torch.einsum("bio,bjo->bij", present.unsqueeze(-1) * region_organs, of_organ)
    pairs = shown[:, :, None, together[:, 0]] * shown[:, None, :, together[:, 1]]
    disease = pairs.amax(-1) if len(together) else torch.zeros_like(anatomy)
    certainty = torch.cat(
        [
            torch.cat([torch.zeros_like(anatomy), anatomy], dim=2),
            torch.cat([anatomy.transpose(1, 2), disease], dim=2),
        ],
        dim=1,
    )
    disease_node = torch.arange(certainty.shape[1], device=present.device) >= present.shape[1]
    return RelationGraph(disease_node[:, None].long() + disease_node[None, :].long(), certainty)


def _both(present: Tensor) -> Tensor:
    """(b, n) -> (b, n, n): that i and j are there; that i is, on the diagonal."""
    pairs = present.unsqueeze(2) * present.unsqueeze(1)
    itself = torch.eye(present.shape[1], dtype=torch.bool, device=present.device)
    return torch.where(itself, present.unsqueeze(2), pairs)


def box_geometry(boxes: Tensor) -> Tensor:
    """(b, r, 4) -> (b, r, r, 64): how box j lies to box i, as sines and cosines.

    log(|dx| / w_i), log(|dy| / h_i), log(w_i / w_j), log(h_i / h_j), each at eight wavelengths. Steps of less than a
    thousandth of the box count as that; sides are at least a pixel of 1024.
    """
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=LEAST_SIDE)
    steps = (centres.unsqueeze(2) - centres.unsqueeze(1)).abs() / sides.unsqueeze(2)
    ratios = sides.unsqueeze(2) / sides.unsqueeze(1)
    four = torch.cat([steps.clamp(min=LEAST_STEP), ratios], dim=-1).log()
    waves = torch.arange(WAVES, device=boxes.device, dtype=boxes.dtype) / WAVES
    angles = SHARPEST * four.unsqueeze(-1) / COARSEST**waves
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class RelationAttention(nn.Module):
    """What each node reads from its neighbours in one direction of a graph.

    Scaled dot products, plus a learned number for the relation, plus the logarithm of the certainty; softmax over the
    neighbours. What a node reads is scaled by the certainty of its most certain neighbour: without neighbours it reads
    nothing. Heads read whole nodes and are joined by a linear layer.
    """

    def __init__(self, width: int, heads: int, relations: int, geometry: bool, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.relation = nn.Embedding(relations, 1) if relations else None
        self.geometry = nn.Linear(GEOMETRY, heads) if geometry else None
        self.join = nn.Linear(heads * width, width)
        self.dropout = nn.Dropout(dropout)

    def weights(
        self, nodes: Tensor, graph: RelationGraph, geometry: Tensor | None, relation: nn.Embedding | None = None
    ) -> Tensor:
        """(b, heads, n, n): how much node i reads of node j. Rows sum to the certainty of the most certain neighbour.

        geometry: (b, m, m, 64), n a multiple of m: nodes that lie m apart share a box. relation: numbers that both
        directions share, in place of its own.
        """
        relation = relation or self.relation
        query, key = (layer(self.dropout(nodes)).unflatten(-1, (self.heads, -1)) for layer in (self.query, self.key))
        scores = torch.einsum("bihd,bjhd->bhij", query, key) / math.sqrt(query.shape[-1])
        if relation is not None:
            scores = scores + relation(graph.relations).squeeze(-1).unsqueeze(-3)
        if self.geometry is not None and geometry is not None:
            near = torch.relu(self.geometry(geometry)).clamp(min=LEAST_WEIGHT).log().permute(0, 3, 1, 2)
            times = nodes.shape[1] // geometry.shape[1]
            scores = scores + near.repeat(1, 1, times, times)
        certainty = graph.certainty.unsqueeze(1).to(scores.dtype)
        scores = scores + certainty.clamp(min=LEAST_WEIGHT).log()
        scores = scores.masked_fill(certainty == 0, torch.finfo(scores.dtype).min)
        return torch.softmax(scores, dim=-1) * certainty.amax(-1, keepdim=True)

    def forward(
        self,
        nodes: Tensor,
        graph: RelationGraph,
        geometry: Tensor | None = None,
        relation: nn.Embedding | None = None,
    ) -> Tensor:
        """nodes: (b, n, d) -> (b, n, d); geometry and relation as in `weights`."""
        read = torch.einsum("bhij,bjd->bihd", self.weights(nodes, graph, geometry, relation), nodes)
        joined: Tensor = self.join(read.flatten(2))
        return joined


class RelationEncoder(nn.Module):
    """ReGAT's step: v + relu(s + N+(s) + N-(s)), s a linear layer over node and question.

    N+ reads the graph, N- the graph reversed, each with its own weights. The node's own term s counts.
    shared: one number for a relation in both directions, as published; else each direction has its own.
    """

    def __init__(
        self,
        width: int,
        question: int,
        heads: int,
        *,
        relations: int,
        geometry: bool = False,
        dropout: float = 0.0,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.own = nn.Linear(width + question, width)
        of_each = 0 if shared else relations
        self.directions = nn.ModuleList(RelationAttention(width, heads, of_each, geometry, dropout) for _ in range(2))
        self.relation = nn.Embedding(relations, 1) if shared and relations else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: Tensor, question: Tensor, graph: RelationGraph, geometry: Tensor | None = None) -> Tensor:
        """nodes: (b, n, d); question: (b, n, q), what each node knows of it -> (b, n, d). Changes nothing in place."""
        own = self.own(self.dropout(torch.cat([nodes, question], dim=-1)))
        sums = own
        for layer, direction in zip(self.directions, (graph, graph.reversed()), strict=True):
            sums = sums + layer(own, direction, geometry, self.relation)
        return nodes + torch.relu(self.dropout(sums))
