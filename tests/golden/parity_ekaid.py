"""EKAID against its original: relation layers, geometry and codes, node attention, the speaker."""

from __future__ import annotations

from typing import Any

import torch
from parity_golden import (
    Comparisons,
    Golden,
    Held,
    agrees,
    differs,
    fill,
    golden,
    linear,
    linears,
    put,
    words,
)
from torch import Tensor
from torch.nn import functional as F

from intervalchange.methods.ekaid.answer import NodeAttention
from intervalchange.methods.ekaid.dynamic_speaker import DynamicSpeaker
from intervalchange.methods.ekaid.region_graphs import RelationEncoder, RelationGraph, box_geometry, spatial_relations

SIDE = 1024


def _relation_encoder(z: Golden, prefix: str, relations: int) -> Any:
    """`relations`: kinds of edge, 0 for the implicit graph. Plain layers get the original's normalised weights."""
    c, w = z.configuration, z.sub(prefix + ".")
    ours = RelationEncoder(c["v_dim"], c["q_dim"], c["num_heads"], relations=relations, geometry=not relations).eval()
    stems = {name.rsplit(".", 1)[0] for name in w if name.endswith("weight_v")}
    last = {stem.split(".main.")[0]: stem for stem in stems}

    def effective(name: str) -> Tensor:
        v = w[f"{last[name]}.weight_v"]
        return v * w[f"{last[name]}.weight_g"] / v.norm()

    def fill_layer(layer: Any, name: str) -> None:
        fill(layer.weight, effective(name))
        if layer.bias is not None:
            fill(layer.bias, w[f"{last[name]}.bias"])

    fill_layer(ours.own, "self_weights")
    layer: Any
    for place, layer in enumerate(ours.directions):
        own = f"neighbor_net.{place}."
        fill_layer(layer.query, own + "query")
        fill_layer(layer.key, own + "key")
        linear(layer.join, w, own + "linear_out_2")
        if layer.relation is not None:
            layer.relation.weight.data.zero_()
            fill(layer.relation.weight[1:, 0], effective("bias")[0, : relations - 1])
        if layer.geometry is not None:
            fill_layer(layer.geometry, own + "pair_pos_fc1")
    return ours


def _question(z: Golden) -> Tensor:
    """The question at every node that is there."""
    return z.i["question"][:, None] * (z.i["nodes"].sum(-1, keepdim=True) != 0)


def _explicit_layer(z: Golden, relations: int) -> Comparisons:
    ours = _relation_encoder(z, "explicit_relation", relations)

    def graph(codes: Tensor) -> RelationGraph:
        return RelationGraph(codes, (codes > 0).float())

    whole, lonely = graph(z.i["codes"]), graph(z.i["codes_lonely"])
    got = ours(z.i["nodes"], _question(z), whole)
    for place, (layer, one) in enumerate(zip(ours.directions, (whole, whole.reversed()), strict=True)):
        yield f"heard_{place}", layer(z.o["own"], one)
    yield "sum", got
    yield "published", got
    got, want = ours(z.i["nodes"], _question(z), lonely), z.o["sum_lonely"]
    yield "sum_lonely", got
    # Node 4 of the first film has no neighbours. (The tolerance is that of the whole sum.)
    yield "sum_lonely@other_films", Held(got[1:], want[1:], z.tolerance["sum"])


_OWN = "a node keeps its own term and hears both directions; the published sum overwrites all but the last"
_EXPLICIT = (
    agrees("heard_0", "heard_1", "sum", "sum_lonely@other_films"),
    differs(_OWN, "published"),
    differs("a node without neighbours hears nothing; published, it hears all nodes alike", "sum_lonely"),
)


@golden("ekaid_semantic_layer", *_EXPLICIT)
@torch.no_grad()
def ekaid_semantic_layer(z: Golden) -> Comparisons:
    yield from _explicit_layer(z, 3)


@golden("ekaid_spatial_layer", *_EXPLICIT)
@torch.no_grad()
def ekaid_spatial_layer(z: Golden) -> Comparisons:
    yield from _explicit_layer(z, 12)


@golden(
    "ekaid_implicit_layer",
    agrees("geometry@pixel_larger", "sum@geometry_of_original", "sum@geometry_pixel_larger"),
    differs("no pixel is added to the sides of boxes", "geometry"),
    differs(_OWN, "published"),
)
@torch.no_grad()
def ekaid_implicit_layer(z: Golden) -> Comparisons:
    boxes, nodes, question = z.i["boxes"].clone(), z.i["nodes"], _question(z)
    yield "geometry", box_geometry(boxes / SIDE)
    boxes[..., 2:] += 1
    own = box_geometry(boxes / SIDE)
    yield "geometry@pixel_larger", own
    ours, n = _relation_encoder(z, "implicit_relation", 0), nodes.shape[1]
    graph = RelationGraph(torch.ones(n, n, dtype=torch.long), torch.ones(len(own), n, n))
    got = ours(nodes, question, graph, z.o["geometry"])
    yield "sum@geometry_of_original", got
    yield "published", got
    # The geometry's own tolerance, 5e-4, goes through the layer.
    yield "sum@geometry_pixel_larger", Held(ours(nodes, question, graph, own), z.o["sum"], 4e-3)


@golden(
    "ekaid_spatial_codes",
    agrees("codes"),
    differs("an angle of exactly 0 is a direction like the others (published: overlap)", "codes_level"),
    differs("no pixel is added to the sides of boxes, which decides an IoU", "codes_near"),
)
def ekaid_spatial_codes(z: Golden) -> Comparisons:
    for tag in ("", "_level", "_near"):
        yield f"codes{tag}", spatial_relations(z.i[f"boxes{tag}"] / SIDE)


@golden("ekaid_node_attention", agrees("attention_1", "vector_1", "attention_2", "vector_2"))
@torch.no_grad()
def ekaid_node_attention(z: Golden) -> Comparisons:
    c = z.configuration
    ours: Any = NodeAttention(c["att_dim"], c["dim"], 0.0).eval()
    fill(ours.context_difference.weight, z.w["context1.weight"])
    fill(ours.gate_difference.weight, z.w["gate1.weight"])
    linears(
        z.w,
        (
            (ours.context_node, "context2"),
            (ours.gate_node, "gate2"),
            (ours.score[0], "embed.0"),
            (ours.score[3], "att"),
        ),
    )
    nodes = [F.linear(z.i[f"input_{k}"], z.w["img.weight"], z.w["img.bias"]) for k in (1, 2)]
    for k in (1, 2):
        attention = ours(nodes[k - 1], nodes[1] - nodes[0])
        yield f"attention_{k}", attention
        yield f"vector_{k}", torch.einsum("bn,bnd->bd", attention, nodes[k - 1])


def _speaker(z: Golden) -> Any:
    c = z.configuration
    ours: Any = DynamicSpeaker(
        words(c["vocab_size"], bos=c["start_word"], eos=0, pad=0),
        parts=c["input_dim"],
        width=c["embed_dim"],
        words=c["word_embed_size"],
        hidden=c["rnn_size"],
        speech=c["parts_of_speech"],
        dropout=0.0,
    ).eval()
    put(ours.module, z.sub("core.module_att_lstm."))
    put(ours.language, z.sub("core.lang_lstm."))
    fill(ours.words.weight, z.w["embed.0.weight"])
    linears(
        z.w,
        (
            (ours.together, "core.embed.0"),
            (ours.choose, "core.weight_fc.0"),
            (ours.speech[0], "core.pos1.0"),
            (ours.speech[3], "core.weight_pos"),
            (ours.speech_vector, "core.pos2"),
            (ours.gate[0], "core.gate1x.0"),
            (ours.gate[3], "core.gate2x"),
            (ours.leave, "logit"),
        ),
    )
    return ours


@golden(
    "ekaid_speaker",
    agrees("log_probabilities", "module", "module_weights", "language", "greedy"),
)
@torch.no_grad()
def ekaid_speaker(z: Golden) -> Comparisons:
    ours, limit = _speaker(z), z.configuration["seq_length"]
    parts = torch.stack([z.i["bef"], z.i["diff"], z.i["aft"]], dim=1)
    mask = torch.ones(parts.shape[:2], dtype=torch.bool)

    described, state = ours.start(parts, mask)
    states = []
    for word in ours.embed(z.i["words"]).unbind(1):
        state = ours.step(described, state, word)
        states.append(state)
    yield "log_probabilities", torch.log_softmax(ours.leave(torch.stack([one.output for one in states], 1)), -1)
    for name in ("module", "language"):
        yield name, torch.stack([getattr(one, name) for one in states], 1)
    yield "module_weights", torch.stack([torch.softmax(ours.choose(one.module), 1) for one in states], 1)
    spoken = ours.generate(parts, mask, limit=limit)
    yield "greedy", F.pad(spoken.ids * spoken.mask, (0, limit - spoken.ids.shape[1]))
