"""IDCPCL, PLURAL and VED against their originals."""

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
    linears,
    put,
    words,
)
from torch import Tensor
from torch.nn import functional as F

from intervalchange.blocks.cross_decoder import CrossDecoder
from intervalchange.blocks.tokenizer import Tokens
from intervalchange.config import load_preset
from intervalchange.losses.contrastive import (
    first_of_candidates,
    masked_features,
)
from intervalchange.methods.idcpcl.prefix_transformer import PrefixStack, sinusoid
from intervalchange.methods.plural.ofa import our_name
from intervalchange.methods.plural.two_stream import TwoStreamDecoder, TwoStreamSizes
from intervalchange.methods.ved.answer import DifferenceEmbedding

# --- IDCPCL --------------------------------------------------------------------------------------------------------


@golden("idcpcl_mvcl", agrees("loss", "grad.predicted", "loss_sharp", "grad.predicted_sharp"))
def idcpcl_mvcl(z: Golden) -> Comparisons:
    for tag, heat in (("", 1.0), ("_sharp", 0.1)):
        (said,) = z.leaves("predicted")
        loss = masked_features(
            said, z.i["original"], z.i["hidden"], torch.ones_like(z.i["hidden"]), heat, same_above=1.0
        )
        yield "loss" + tag, loss
        yield "grad.predicted" + tag, torch.autograd.grad(loss, said)[0]


@golden(
    "idcpcl_fda",
    agrees("loss", "grad.films", "grad.texts", "loss_sharp", "grad.films_sharp", "grad.texts_sharp"),
)
def idcpcl_fda(z: Golden) -> Comparisons:
    pairs, candidates = z.configuration["pairs"], z.configuration["candidates"]
    for tag, heat in (("", 1.0), ("_sharp", 0.1)):
        films, texts = z.leaves("films", "texts")
        cosine = F.cosine_similarity(films, texts, dim=-1).view(pairs, candidates)
        there = torch.ones_like(cosine, dtype=torch.bool)
        loss = first_of_candidates(cosine / heat, there, torch.tensor(float(pairs)))
        yield "loss" + tag, loss
        for name, grad in zip(("films", "texts"), torch.autograd.grad(loss, (films, texts)), strict=True):
            yield f"grad.{name}{tag}", grad


@golden(
    "idcpcl_stack",
    agrees("all_usual_norm", "prefix_usual_norm", "step_usual_norm"),
    differs("the usual norm, where the original divides by (deviation + eps)", "all"),
    differs("in one dimension, half of the published frequencies vanish by a slip (docs)", "positions"),
)
@torch.no_grad()
def idcpcl_stack(z: Golden) -> Comparisons:
    c = z.configuration
    ours = PrefixStack(c["n_embs"], c["n_block"], c["n_head"], c["dim_ff"], 0.0).eval()

    def norm(layer: Any, name: str) -> None:
        fill(layer.weight, z.w[f"{name}.a_2"])
        fill(layer.bias, z.w[f"{name}.b_2"])

    norm(ours.norm, "norm")
    block: Any
    for place, block in enumerate(ours.blocks):
        own, names = z.sub(f"layers.{place}."), ("q_linear", "k_linear", "v_linear")
        fill(block.enter.weight, torch.cat([own[f"attn.{name}.weight"] for name in names]))
        fill(block.enter.bias, torch.cat([own[f"attn.{name}.bias"] for name in names]))
        linears(
            own,
            (
                (block.leave, "attn.out"),
                (block.feedforward[0], "feed_forward.w_1"),
                (block.feedforward[3], "feed_forward.w_2"),
            ),
        )
        for k in range(2):
            norm(block.norms[k], f"layers.{place}.sublayer.{k}.norm")
    x, films, said = z.i["tokens"], c["film_tokens"], c["words"]
    everything = ours(x, torch.ones(x.shape[:2], dtype=torch.bool)).hidden
    yield "all", everything
    yield "all_usual_norm", everything
    memory = ours(x[:, :films], torch.ones(len(x), films, dtype=torch.bool))
    within = torch.ones(said, said, dtype=torch.bool).tril()
    step = ours(x[:, films:], torch.ones(len(x), said, dtype=torch.bool), memory.memory, within).hidden
    yield "prefix_usual_norm", torch.cat([memory.hidden, step], 1)
    yield "step_usual_norm", step
    yield "positions", sinusoid(torch.arange(16), c["n_embs"])


# --- PLURAL --------------------------------------------------------------------------------------------------------


def _ofa(z: Golden) -> Any:
    c = z.configuration
    sizes = TwoStreamSizes(
        width=c["embed_dim"],
        layers=1,
        heads=c["heads"],
        feedforward=c["ffn_embed_dim"],
        cells=4,
        question_tokens=8,
        answer_tokens=8,
        dropout=0.0,
    )
    return TwoStreamDecoder(words(30), sizes).eval()


def _converted(z: Golden, side: str) -> dict[str, Tensor]:
    named = {our_name(f"{side}.layers.0.{name}"): tensor for name, tensor in z.w.items()}
    return {str(name).split("layers.0.", 1)[1]: tensor for name, tensor in named.items()}


def _blocked(padding: Tensor, rows: int) -> Tensor:
    mask = torch.zeros(len(padding), 1, rows, padding.shape[1])
    return mask.masked_fill(padding[:, None, None], torch.finfo(torch.float32).min)


def _first(result: Any) -> Tensor:
    return result[0] if isinstance(result, tuple) else result  # type: ignore[no-any-return]


@golden("plural_ofa_encoder_layer", agrees("tokens"))
@torch.no_grad()
def plural_ofa_encoder_layer(z: Golden) -> Comparisons:
    layer, x = _ofa(z).encoder.layers[0], z.i["tokens"]
    put(layer, _converted(z, "encoder"))
    yield "tokens", _first(layer(x, _blocked(z.i["padding"], x.shape[1])))


@golden("plural_ofa_decoder_layer", agrees("tokens"))
@torch.no_grad()
def plural_ofa_decoder_layer(z: Golden) -> Comparisons:
    layer, x = _ofa(z).language_model.base_model.layers[0], z.i["tokens"]
    put(layer, _converted(z, "decoder"))
    length = x.shape[1]
    causal = torch.full((length, length), torch.finfo(torch.float32).min).triu(1).expand(len(x), 1, -1, -1)
    said = layer(
        x,
        attention_mask=causal,
        encoder_hidden_states=z.i["memory"],
        encoder_attention_mask=_blocked(z.i["memory_padding"], length),
    )
    yield "tokens", _first(said)


# --- VED -----------------------------------------------------------------------------------------------------------


@golden(
    "ved_decoder",
    agrees("logits", "loss", "grad.memory", "grad.words", "tied@paper"),
)
def ved_decoder(z: Golden) -> Comparisons:
    c = z.configuration
    ours = CrossDecoder(
        words(c["vocab_size"], 5, 6, 1),
        width=c["hidden_size"],
        layers=c["num_hidden_layers"],
        heads=c["num_attention_heads"],
        feedforward=c["intermediate_size"],
        positions=c["max_position_embeddings"],
        dropout=0.0,
        tied_words=True,
    ).eval()
    model: Any = ours.language_model
    own = set(model.bert.state_dict())
    left = model.bert.load_state_dict({k: v for k, v in z.sub("bert.").items() if k in own}, strict=False)
    assert not left.missing_keys, left
    table = model.bert.embeddings.word_embeddings.weight
    assert model.lm_head.weight is table
    fill(model.lm_head.bias, z.w["lm_head.decoder.bias"])
    question, answer = z.i["question"], z.i["answer"][:, 1:]
    (memory,) = z.leaves("memory")
    logits = ours(
        ours.embed(question),
        torch.ones_like(question),
        Tokens(answer, torch.ones_like(answer)),
        encoder_hidden_states=memory,
        encoder_attention_mask=z.i["memory_mask"],
    )
    yield "logits", Held(logits, z.o["logits"][:, question.shape[1] : -1])
    loss = F.cross_entropy(logits.flatten(0, 1), answer.flatten())
    grads = torch.autograd.grad(loss, (memory, table))
    yield "loss", loss
    yield "grad.memory", grads[0]
    yield "grad.words", grads[1]
    yield "tied@paper", Held(torch.tensor(load_preset("ved/answer", "paper").model["tied_words"]), torch.tensor(True))


@golden(
    "ved_difference_embedding",
    agrees("tokens@with_reference", "configuration.drawn_with_deviation@paper"),
    differs("a pair without a reference masks the tokens of the film that is not there", "mask"),
)
@torch.no_grad()
def ved_difference_embedding(z: Golden) -> Comparisons:
    main, reference = z.i["features"].unbind(1)
    ours = DifferenceEmbedding(main.shape[-1], load_preset("ved/answer", "paper").model["difference_spread"])
    there = z.i["images_mask"][:, 1] != 0
    fill(ours.films.weight, z.w["pos_encoding"].flip(0))
    prior, current = ours(torch.cat([reference, main])).chunk(2)
    yield "tokens@with_reference", Held(torch.cat([current, prior], dim=1)[there], z.o["tokens"][there])
    length = main.shape[1]
    both = torch.cat([torch.ones(len(main), length), there.float()[:, None].expand(-1, length)], dim=1)
    yield "mask", both.bool()
    drawn = torch.tensor(float(ours.films.spread))
    yield "configuration.drawn_with_deviation@paper", Held(drawn, torch.tensor(1024**-0.5), 1e-6)
