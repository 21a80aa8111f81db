"""Graphs over regions and the attention on them, against slow loops."""

from __future__ import annotations

import math

import pytest
import torch

from intervalchange.findings import C2F_LABELS, C2F_REGIONS, EKAID_REGIONS, FINDINGS
from intervalchange.methods.ekaid.knowledge import ORGANS, TOGETHER, Knowledge
from intervalchange.methods.ekaid.region_graphs import (
    REVERSE,
    SPATIAL,
    RelationAttention,
    RelationEncoder,
    RelationGraph,
    box_geometry,
    full_graph,
    semantic_graph,
    spatial_graph,
    spatial_relations,
)

NESTED = (
    (0.1, 0.1, 0.9, 0.9),
    (0.2, 0.2, 0.5, 0.5),
    (0.2, 0.2, 0.52, 0.5),
    (0.6, 0.3, 0.8, 0.4),
    (0.25, 0.3, 0.45, 0.4),
)
CORNERS = ((0.0, 0.0, 0.1, 0.1), (0.9, 0.9, 1.0, 1.0), (0.9, 0.0, 1.0, 0.1), (0.4, 0.0, 0.5, 0.1), (0.0, 0.4, 0.1, 0.5))


def random_boxes(films: int, regions: int) -> torch.Tensor:
    corner = torch.rand(films, regions, 2) * 0.7
    return torch.cat([corner, corner + 0.05 + torch.rand(films, regions, 2) * 0.5], dim=-1)


# --- graphs ----------------------------------------------------------------------------------------------------


def slow_relation(one: list[float], other: list[float]) -> int:
    """The rule of section 2.2 of the notes for one ordered pair of different boxes; 0 degrees counts as 360."""
    if one[0] < other[0] and one[1] < other[1] and one[2] > other[2] and one[3] > other[3]:
        return 1
    if one[0] > other[0] and one[1] > other[1] and one[2] < other[2] and one[3] < other[3]:
        return 2
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    tall = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    if wide * tall / (sum(areas) - wide * tall) >= 0.5:
        return 3
    dx = (other[0] + other[2] - one[0] - one[2]) / 2
    dy = (other[1] + other[3] - one[1] - one[3]) / 2
    if math.hypot(dx, dy) >= 2 / 3:
        return 0
    angle = math.degrees(math.atan2(dy, dx))
    return math.ceil((angle + 360 if angle <= 0 else angle) / 45) + 3


OPPOSITE = {0: 0, 1: 2, 2: 1, 3: 3, 4: 8, 5: 9, 6: 10, 7: 11, 8: 4, 9: 5, 10: 6, 11: 7}


def test_spatial_relations_follow_the_rule() -> None:
    torch.manual_seed(0)
    boxes = torch.cat([random_boxes(6, 5), torch.tensor([NESTED, CORNERS])]).double()
    codes, seen = spatial_relations(boxes), set()
    for film, row in enumerate(boxes.tolist()):
        for i in range(5):
            assert codes[film, i, i] == 3
            for j in range(i + 1, 5):
                wanted = slow_relation(row[i], row[j])
                assert codes[film, i, j] == wanted, (row[i], row[j])
                assert codes[film, j, i] == OPPOSITE[wanted]
                seen |= {wanted, OPPOSITE[wanted]}
    assert seen == set(range(SPATIAL)), "the test misses a relation"
    assert dict(enumerate(REVERSE)) == OPPOSITE


def test_straight_to_the_right_is_a_direction_and_no_overlap() -> None:
    boxes = torch.tensor([[[0.2, 0.4, 0.3, 0.5], [0.6, 0.4, 0.7, 0.5]]])
    assert spatial_relations(boxes)[0].tolist() == [[3, 11], [7, 3]]


def test_regions_that_are_not_there_have_no_edges() -> None:
    boxes, present = random_boxes(2, 4), torch.tensor([[1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]])
    findings = torch.ones(2, 4, len(FINDINGS))
    knowledge = Knowledge.of(C2F_REGIONS[:4], FINDINGS).tensors(torch.device("cpu"))
    for graph in (spatial_graph(boxes, present), full_graph(present), semantic_graph(present, findings, *knowledge)):
        size = graph.certainty.shape[1]
        missing = (present == 0).repeat(1, size // 4)
        assert not graph.certainty[missing].any()
        assert not graph.certainty.transpose(1, 2)[missing].any()
        assert graph.certainty[~missing].any()


def test_semantic_graph_joins_organs_and_what_goes_together() -> None:
    torch.manual_seed(0)
    regions = ("right lung", "cardiac silhouette", "left hemidiaphragm", "spine", "no such region")
    findings = ("edema", "cardiomegaly", "pleural effusion", "fracture", "lung opacity")
    present, shown = torch.rand(2, 5), torch.rand(2, 5, 5)
    graph = semantic_graph(present, shown, *Knowledge.of(regions, findings).tensors(torch.device("cpu")))
    organ = {name: key for key, one in ORGANS.items() for name in (*one.regions, *one.findings)}
    pairs = {*TOGETHER, *(pair[::-1] for pair in TOGETHER)}
    for film in range(2):
        for i in range(10):
            for j in range(10):
                first, second = sorted((i, j))
                sure, relation = 0.0, 0
                here = float(present[film, i % 5] * present[film, j % 5])
                if first < 5 <= second:
                    relation = 1
                    same = [k for k, name in enumerate(findings) if organ[name] == organ.get(regions[first])]
                    sure = max((here * float(shown[film, second - 5, k]) for k in same), default=0.0)
                elif first >= 5:
                    relation = 2
                    sure = max(
                        here * float(shown[film, i - 5, k] * shown[film, j - 5, m])
                        for k, one in enumerate(findings)
                        for m, other in enumerate(findings)
                        if (one, other) in pairs
                    )
                assert graph.relations[i, j] == relation
                assert float(graph.certainty[film, i, j]) == pytest.approx(sure, abs=1e-6)


def test_every_region_and_finding_is_filed_once() -> None:
    regions = [name for organ in ORGANS.values() for name in organ.regions]
    findings = [name for organ in ORGANS.values() for name in organ.findings]
    assert sorted(regions) == sorted({*C2F_REGIONS, *EKAID_REGIONS})
    assert len(findings) == len(set(findings)) and {*FINDINGS} <= {*findings} <= {*FINDINGS, *C2F_LABELS}
    assert {name for pair in TOGETHER for name in pair} <= {*FINDINGS}


def test_geometry_of_two_boxes() -> None:
    torch.manual_seed(0)
    boxes = random_boxes(1, 3).double()
    found = box_geometry(boxes)[0]
    for i, one in enumerate(boxes[0].tolist()):
        for j, other in enumerate(boxes[0].tolist()):
            sides = [(box[2] - box[0], box[3] - box[1]) for box in (one, other)]
            steps = [abs(one[k] + one[k + 2] - other[k] - other[k + 2]) / 2 / sides[0][k] for k in range(2)]
            four = [math.log(max(step, 1e-3)) for step in steps]
            four += [math.log(sides[0][k] / sides[1][k]) for k in range(2)]
            angles = [100 * value / 1000 ** (8 * k / 64) for value in four for k in range(8)]
            wanted = [part for at in range(0, 32, 8) for wave in (math.sin, math.cos)
                      for part in map(wave, angles[at : at + 8])]  # fmt: skip
            assert torch.allclose(found[i, j], torch.tensor(wanted, dtype=torch.double), atol=1e-6)


# --- attention -------------------------------------------------------------------------------------------------


def some_graph(nodes: int = 5) -> RelationGraph:
    """Published edges: 0 or 1. Node 2 has none."""
    torch.manual_seed(1)
    relations = torch.randint(0, 4, (2, nodes, nodes))
    relations[:, 2] = 0
    return RelationGraph(relations, (relations > 0).float())


def slow_attention(layer: RelationAttention, nodes: torch.Tensor, graph: RelationGraph) -> torch.Tensor:
    """Softmax over the neighbours of each node, one node, head and neighbour at a time."""
    films, count, width = nodes.shape
    step = width // layer.heads
    query, key, heard = layer.query(nodes), layer.key(nodes), torch.zeros_like(nodes)
    for film in range(films):
        for i in range(count):
            neighbours = [j for j in range(count) if graph.certainty[film, i, j] > 0]
            read = []
            for head in range(layer.heads):
                part = slice(head * step, (head + 1) * step)
                scores = [
                    math.exp(float(query[film, i, part] @ key[film, j, part]) / math.sqrt(step)
                             + float(layer.relation.weight[graph.relations[film, i, j], 0]))
                    for j in neighbours
                ]  # fmt: skip
                parts = [score / sum(scores) * nodes[film, j] for score, j in zip(scores, neighbours, strict=True)]
                read.append(torch.stack(parts).sum(0) if parts else torch.zeros(width))
            heard[film, i] = layer.join(torch.cat(read))
    return heard


@torch.no_grad()
def test_attention_is_over_neighbours_and_knows_the_relation() -> None:
    graph, nodes = some_graph(), torch.randn(2, 5, 8)
    layer = RelationAttention(8, 2, relations=4, geometry=False, dropout=0.0)
    layer.relation.weight.normal_()
    assert torch.allclose(layer(nodes, graph), slow_attention(layer, nodes, graph), atol=1e-5)
    weights = layer.weights(nodes, graph, None)
    there = graph.certainty.amax(-1)
    assert torch.allclose(weights.sum(-1), there[:, None].expand(-1, 2, -1), atol=1e-6)
    assert not weights[(graph.certainty == 0).unsqueeze(1).expand_as(weights)].any()
    assert torch.allclose(layer(nodes, graph)[:, 2], layer.join.bias.expand(2, -1)), "node 2 hears nothing"


@torch.no_grad()
def test_an_unsure_edge_counts_for_less() -> None:
    nodes, layer = torch.randn(1, 3, 8), RelationAttention(8, 2, relations=0, geometry=False, dropout=0.0)
    layer.query.weight.zero_()
    layer.query.bias.zero_()
    graph = RelationGraph(torch.ones(3, 3, dtype=torch.long), torch.tensor([[[0.6, 0.2, 0.2], [0.3] * 3, [0.0] * 3]]))
    weights = layer.weights(nodes, graph, None)[0, 0]
    assert torch.allclose(weights, torch.tensor([[0.36, 0.12, 0.12], [0.1] * 3, [0.0] * 3]), atol=1e-6)


@torch.no_grad()
def test_geometry_is_shared_by_the_nodes_of_one_place() -> None:
    boxes, nodes = random_boxes(2, 3), torch.randn(2, 6, 8)
    layer = RelationAttention(8, 2, relations=0, geometry=True, dropout=0.0)
    graph = full_graph(torch.ones(2, 6))
    twice = layer(nodes, graph, box_geometry(boxes.repeat(1, 2, 1)))
    assert torch.allclose(layer(nodes, graph, box_geometry(boxes)), twice, atol=1e-5)
    assert not torch.allclose(layer(nodes, graph, box_geometry(random_boxes(2, 3))), twice, atol=1e-3)


@torch.no_grad()
def test_own_term_and_both_directions_count() -> None:
    graph, nodes, question = some_graph(), torch.randn(2, 5, 8), torch.randn(2, 5, 3)
    encoder = RelationEncoder(8, 3, 2, relations=4)
    given = nodes.clone()
    own = encoder.own(torch.cat([nodes, question], dim=-1))
    backwards = RelationGraph(graph.relations.transpose(1, 2), graph.certainty.transpose(1, 2))
    parts = [slow_attention(layer, own, one) for layer, one in zip(encoder.directions, (graph, backwards), strict=True)]
    wanted = nodes + torch.relu(own + parts[0] + parts[1])
    assert torch.allclose(encoder(nodes, question, graph), wanted, atol=1e-5)
    assert torch.equal(nodes, given), "the nodes that came in are as they were"
    for silent in parts:
        assert not torch.allclose(nodes + torch.relu(own + parts[0] + parts[1] - silent), wanted, atol=1e-3)
    assert not torch.allclose(nodes + torch.relu(parts[0] + parts[1]), wanted, atol=1e-3)


def test_two_directions_may_share_the_number_of_a_relation() -> None:
    """As published: the same as two of their own that agree, and one that learns from both."""
    torch.manual_seed(0)
    own = RelationEncoder(8, 4, 2, relations=3)
    shared = RelationEncoder(8, 4, 2, relations=3, shared=True)
    assert [layer.relation for layer in shared.directions] == [None, None]
    for layer in own.directions:
        layer.relation.weight.data.copy_(shared.relation.weight)
    same = {name: tensor for name, tensor in own.state_dict().items() if "relation" not in name}
    assert shared.load_state_dict(same, strict=False).missing_keys == ["relation.weight"]
    relations = torch.tensor([[0, 1, 2], [2, 0, 1], [1, 1, 0]])
    graph = RelationGraph(relations, (relations > 0).float().expand(2, 3, 3))
    nodes, question = torch.randn(2, 3, 8), torch.randn(2, 3, 4)
    outputs = [encoder(nodes, question, graph) for encoder in (own, shared)]
    torch.testing.assert_close(outputs[0], outputs[1])
    for output in outputs:
        output.square().sum().backward()
    sums = sum(layer.relation.weight.grad for layer in own.directions)
    torch.testing.assert_close(shared.relation.weight.grad, sums)
    assert RelationEncoder(8, 4, 2, relations=0, geometry=True, shared=True).relation is None, "the implicit graph"
