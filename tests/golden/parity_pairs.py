"""MCCFormers and C2F against their originals."""

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
    prefixed,
    put,
    put_attention,
    words,
)
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.cross_decoder import CrossDecoder
from intervalchange.blocks.pair_attention import PairAttention
from intervalchange.blocks.tokenizer import Tokens
from intervalchange.config import load_preset
from intervalchange.losses.contrastive import answer_matching, matches
from intervalchange.methods.c2f.contrast import SCALE, coarse_logits, contrast_loss, fine_logits
from intervalchange.methods.c2f.graph import GraphConvolution, normalised
from intervalchange.methods.c2f.text_encoder import GroundedTextEncoder

# --- MCCFormers ----------------------------------------------------------------------------------------------------


def _pair_layers(ours: Any, kind: str, weights: dict[str, Tensor], stem: str, attention: str) -> None:
    """The layers of the transformer: S has one for both films, D some of its own."""
    if kind == "S":
        put(ours.layers[0], prefixed(weights, "transformer."))
        return
    for place, layer in enumerate(ours.layers):
        own = prefixed(weights, f"{stem}{place}.")
        put(layer.attention, prefixed(own, f"{attention}."))
        linears(
            own,
            (
                (layer.feedforward[0], "linear1"),
                (layer.feedforward[3], "linear2"),
                (layer.norm, "norm1"),
                (layer.feedforward_norm, "norm2"),
            ),
        )


def _mccformers_encoder(z: Golden, kind: Any, weights: dict[str, Tensor]) -> Tensor:
    c = z.configuration
    width = c["encoder_dim"]
    ours = PairAttention(
        kind,
        c["image_size"] ** 2,
        c["feature_dim"],
        width,
        layers=2,
        heads=c.get("nhead", 4),
        feedforward=4 * width,
        dropout=0.1,
        segments=False,
    ).eval()
    fill(ours.enter.weight, weights["linear.weight"].flatten(1))
    fill(ours.enter.bias, weights["linear.bias"])
    fill(ours.positions, weights["positional_encoding.pe"][:, 0])
    _pair_layers(ours, kind, weights, "transformer.layers.", "self_attn")
    first, second = ours(*(z.i[name].flatten(2).transpose(1, 2) for name in ("before", "after")))
    return torch.cat([first, second], dim=2).transpose(0, 1)


@golden("mccformers_encoder_d", agrees("tokens"))
@torch.no_grad()
def mccformers_encoder_d(z: Golden) -> Comparisons:
    yield "tokens", _mccformers_encoder(z, "D", z.w)


@golden("mccformers_encoder_s", agrees("tokens"))
@torch.no_grad()
def mccformers_encoder_s(z: Golden) -> Comparisons:
    yield "tokens", _mccformers_encoder(z, "S", z.w)


def _mccformers_decoder(z: Golden) -> Any:
    c = z.configuration
    width = c["decoder_dim"]
    ours = CrossDecoder(
        words(c["num_tokens"], bos=0),
        width=width,
        layers=2,
        heads=c["decoder_nhead"],
        positions=c["max_len"],
        feedforward=c["decoder_feedforward"],
        dropout=0.0,
        activation="relu",
    ).eval()
    model: Any = ours.language_model
    fill(model.bert.embeddings.word_embeddings.weight, z.w["embedding_layer.weight"])
    fill(model.bert.embeddings.position_embeddings.weight, z.w["positional_encoding.pe"][:, 0])
    for place, layer in enumerate(model.bert.encoder.layer):
        own = z.sub(f"decoder.layers.{place}.")
        for theirs, inside, after, norm in (
            ("self_attn", layer.attention.self, layer.attention.output, "norm1"),
            ("multihead_attn", layer.crossattention.self, layer.crossattention.output, "norm2"),
        ):
            for part, name in enumerate(("query", "key", "value")):
                rows = slice(part * width, (part + 1) * width)
                fill(getattr(inside, name).weight, own[f"{theirs}.in_proj_weight"][rows])
                fill(getattr(inside, name).bias, own[f"{theirs}.in_proj_bias"][rows])
            linears(own, ((after.dense, f"{theirs}.out_proj"), (after.LayerNorm, norm)))
        linears(
            own,
            (
                (layer.intermediate.dense, "linear1"),
                (layer.output.dense, "linear2"),
                (layer.output.LayerNorm, "norm3"),
            ),
        )
    linear(model.lm_head, z.w, "cap_predictor")
    return model


@golden(
    "mccformers_decoder",
    agrees("memory", "logits@without_norm", "greedy@without_norm"),
    differs("the decoder has a norm after its embeddings", "logits"),
)
@torch.no_grad()
def mccformers_decoder(z: Golden) -> Comparisons:
    yield "memory", _mccformers_encoder(z, "D", z.sub("encoder."))
    model, memory = _mccformers_decoder(z), z.o["memory"].transpose(0, 1)

    def said(ids: Tensor) -> Tensor:
        state = model.base_model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            position_ids=torch.arange(ids.shape[1])[None].expand_as(ids),
            encoder_hidden_states=memory,
            encoder_attention_mask=torch.ones(memory.shape[:2]),
        ).last_hidden_state
        return model.lm_head(state)  # type: ignore[no-any-return]

    ids = z.i["target"][:, :-1]
    yield "logits", said(ids).transpose(0, 1)
    model.bert.embeddings.LayerNorm = nn.Identity()
    yield "logits@without_norm", said(ids).transpose(0, 1)
    greedy = torch.zeros(len(memory), 1, dtype=torch.long)
    for _ in range(z.configuration["max_len"] - 1):
        greedy = torch.cat([greedy, said(greedy)[:, -1].argmax(-1, keepdim=True)], dim=1)
    yield "greedy@without_norm", greedy


# --- C2F -----------------------------------------------------------------------------------------------------------


def _c2f_mccformer(z: Golden, kind: Any) -> Comparisons:
    c, bef, aft = z.configuration, z.i["bef"], z.i["aft"]
    ours = PairAttention(
        kind,
        bef.shape[1],
        c["feature_dim"],
        c["d_model"],
        layers=c["n_layers"],
        heads=4,
        feedforward=c["feedforward"],
        dropout=0.1,
        segments=True,
    ).eval()
    linear(ours.enter, z.w, "projection")
    fill(ours.positions, z.w["position_embedding.weight"][: bef.shape[1]])
    if ours.segments is not None:
        fill(ours.segments, z.w["idx_embedding.weight"][:, None, None])
    _pair_layers(ours, kind, z.w, "transformer.", "attention")
    yield "pair", torch.cat(ours(bef, aft), 1)
    for name, difference in (("f_diff@prior-current", aft - bef), ("f_diff", bef - aft)):
        yield name, torch.cat([torch.cat(ours(film, difference), 1) for film in (bef, aft)], 1)


_SIGN = "D = current - prior, as the figure has it; the code has the opposite sign"


@golden("c2f_mccformer_d", agrees("pair", "f_diff@prior-current"), differs(_SIGN, "f_diff"))
@torch.no_grad()
def c2f_mccformer_d(z: Golden) -> Comparisons:
    yield from _c2f_mccformer(z, "D")


@golden(
    "c2f_mccformer_s",
    agrees("pair", "f_diff@prior-current", "pairing@paper"),
    differs(_SIGN, "f_diff"),
)
@torch.no_grad()
def c2f_mccformer_s(z: Golden) -> Comparisons:
    yield from _c2f_mccformer(z, "S")
    yield "pairing@paper", Held({str(load_preset("c2f/align", "paper").model["pairing"])}, {"S"})


@golden(
    "c2f_graph",
    agrees("in.adjacency_normalised", "normalised"),
    differs("the graph is normalised and there is no log-softmax over features", "published"),
)
@torch.no_grad()
def c2f_graph(z: Golden) -> Comparisons:
    c = z.configuration
    ours = GraphConvolution(c["nfeat"], c["nhid"], c["nclass"], 0.0).eval()
    for layer, name in ((ours.first, "gc1"), (ours.second, "gc2")):
        fill(layer.weight, z.w[f"{name}.weight"].T)
        fill(layer.bias, z.w[f"{name}.bias"])
    yield "in.adjacency_normalised", Held(normalised(z.i["adjacency"]), z.i["adjacency_normalised"], 1e-6)
    yield "normalised", ours(z.i["nodes"], z.i["adjacency"])
    yield "published", ours(z.i["nodes"], z.i["adjacency"])


@golden(
    "c2f_contrast",
    agrees("local_logits", "local_loss", "grad.tokens", "grad.words", "contrast@paper"),
    agrees("global_logits", "global_loss", "grad.seen", "grad.said", "match@upper_half"),
    differs("both contrasts are symmetric; the code has half of the matrix", "match"),
)
def c2f_contrast(z: Golden) -> Comparisons:
    tokens, spoken = z.leaves("tokens", "words")
    here, mask = torch.ones(tokens.shape[:2]), _spoken(z, spoken.shape[1])
    counted = mask.any(1)
    logits = fine_logits("published", tokens, here, spoken, mask, SCALE)
    loss = contrast_loss("published", logits, z.o["match"], counted)
    yield "local_logits", logits
    yield "local_loss", loss
    for name, grad in zip(("tokens", "words"), torch.autograd.grad(loss, (tokens, spoken)), strict=True):
        yield f"grad.{name}", grad
    codes = torch.unique(z.i["keyword_ids"], dim=0, return_inverse=True)[1]
    seen, said = z.leaves("seen", "said")
    logits = coarse_logits(seen, said, SCALE)
    loss = contrast_loss("published", logits, z.o["match"], counted)
    yield "global_logits", logits
    yield "global_loss", loss
    for name, grad in zip(("seen", "said"), torch.autograd.grad(loss, (seen, said)), strict=True):
        yield f"grad.{name}", grad
    yield "contrast@paper", Held({str(load_preset("c2f/align", "paper").model["contrast"])}, {"published"})
    yield "match@upper_half", matches(codes).triu()
    yield "match", matches(codes)


def _spoken(z: Golden, length: int) -> Tensor:
    return (torch.arange(length)[None] < z.i["lengths"][:, None]).long()


def _text_encoder(z: Golden) -> Comparisons:
    c, w = z.configuration, z.sub("text_encoder.")
    ours = GroundedTextEncoder(
        c["vocab_size"],
        c["hidden_size"],
        layers=c["num_hidden_layers"],
        heads=c["num_attention_heads"],
        feedforward=c["intermediate_size"],
        positions=c["max_position_embeddings"],
        dropout=0.0,
    ).eval()
    fill(ours.words.weight, w["embeddings.word_embeddings.weight"])
    fill(ours.positions.weight, w["embeddings.position_embeddings.weight"])
    linear(ours.norm, w, "embeddings.LayerNorm")
    module: Any
    for place, module in enumerate(ours.layers):
        own = prefixed(w, f"encoder.layer.{place}.")
        for part, name, norm in ((module.inside, "attention", 0), (module.across, "crossattention", 1)):
            put_attention(part, own, (f"{name}.self.{q}" for q in ("query", "key", "value")), f"{name}.output.dense")
            linear(module.norms[norm], own, f"{name}.output.LayerNorm")
        linears(
            own,
            (
                (module.feedforward[0], "intermediate.dense"),
                (module.feedforward[3], "output.dense"),
                (module.norms[2], "output.LayerNorm"),
            ),
        )
    mask, real = z.i["mask"], z.i["mask"].bool()  # what stands at padding does not count
    (seen,) = z.leaves("seen")
    read = [ours(Tokens(z.i[name], mask), seen, z.i["seen_mask"]) for name in ("ids", "other_ids")]
    yield "grounded", Held(read[0][real], z.o["grounded"][real])
    yield "text", Held(ours(Tokens(z.i["ids"], mask))[real], z.o["text"][real])
    yield "embedded", ours.embed(z.i["ids"])
    head = [F.linear(text[:, 0], z.w["itm_head.weight"], z.w["itm_head.bias"]) for text in read]
    yield "itm_logits", torch.cat(head)
    counted = torch.ones(len(mask), dtype=torch.bool)
    loss = answer_matching(head[0], head[1], counted, torch.tensor(float(len(mask))))
    yield "itm_loss", loss
    yield "grad.seen", torch.autograd.grad(loss, seen)[0]


_TEXT = agrees("grounded", "text", "embedded", "itm_logits", "itm_loss", "grad.seen")


@golden("c2f_text_encoder", _TEXT)
def c2f_text_encoder(z: Golden) -> Comparisons:
    yield from _text_encoder(z)


@golden("blip_text_encoder", _TEXT)
def blip_text_encoder(z: Golden) -> Comparisons:
    yield from _text_encoder(z)
