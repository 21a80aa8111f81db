"""Contrasts of films and reports against their originals: GLoRIA, ConVIRT, MGCA, CM-CGNS, CM-MIR, FFA-CL."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from parity_golden import (
    Comparisons,
    Golden,
    Held,
    Missing,
    agrees,
    differs,
    fill,
    golden,
    linears,
    put,
    put_attention,
)
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.config import load_preset
from intervalchange.losses.clustering import cosines, farthest_chain, margin_loss, nearest, second_nearest
from intervalchange.losses.contrastive import cosine_logits, multi_positive
from intervalchange.losses.finding_alignment import combined, finding_contrast, graph_alignment, orthogonality
from intervalchange.losses.labels import masked_bce
from intervalchange.losses.local_alignment import (
    mutual_prediction,
    read_by_cosine,
    robust_weights,
    weighted_alignment,
    word_attention,
    word_logits,
)
from intervalchange.losses.prototypes import prototype_prediction, sinkhorn
from intervalchange.methods.cm_cgns.align import CmCgnsAlign
from intervalchange.methods.cm_cgns.cross_modal import AttentionPool, CrossModalAttention
from intervalchange.methods.cm_cgns.options import CmCgnsConfig
from intervalchange.methods.cm_cgns.prototypes import Prototypes
from intervalchange.methods.ffa_cl.label_tree import read_tree
from intervalchange.methods.ffa_cl.parts import FindingSplitter, PromptBranch, SharedClassifier, mixer


def _gradients(loss: Tensor, leaves: dict[str, Tensor], variant: str = "") -> Comparisons:
    """One comparison a leaf: `grad.NAME` and the variant."""
    grads = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True)
    for name, grad in zip(leaves, grads, strict=True):
        yield f"grad.{name}{variant}", grad


def _spoken(lengths: Tensor, places: int) -> Tensor:
    return (torch.arange(places)[None] < lengths[:, None]).long()


# --- GLoRIA and ConVIRT --------------------------------------------------------------------------------------------


def _preset(size: str) -> CmCgnsConfig:
    return CmCgnsConfig(**load_preset("cm_cgns/align", size).model)


@golden(
    "gloria_local",
    agrees("logits", "loss_films+loss_texts", "grad.places", "grad.words", "attention"),
    differs("`small` has unit length before the softmax and the mean of the words", "logits@ours"),
)
def gloria_local(z: Golden) -> Comparisons:
    """Unmarked: as the presets `gloria` and `gloria_paper` call it."""
    places, spoken = z.leaves("places", "words")
    seen, said = places.flatten(2).transpose(1, 2), spoken.transpose(1, 2)
    here, mask = torch.ones(seen.shape[:2]), _spoken(z.i["lengths"], said.shape[1])
    config = _preset("gloria")
    assert config.word_weight == 2.0
    form: dict[str, Any] = {"normalise": config.unit_parts, "aggregation": config.word_pool}
    logits = word_logits(seen, here, said, mask, config.word_scale, **form)
    loss = config.word_weight * multi_positive(logits, torch.eye(len(seen)))
    yield "logits", logits
    yield "loss_films+loss_texts", Held(loss, z.o["loss_films"] + z.o["loss_texts"], z.tolerance["loss_films"])
    yield from _gradients(loss, {"places": places, "words": spoken})
    yield "attention", word_attention(seen, said, mask, normalise=config.unit_parts)
    yield "logits@ours", word_logits(seen, here, said, mask, CmCgnsConfig().word_scale)


@golden("gloria_global", agrees("logits", "loss_films+loss_texts", "grad.films", "grad.texts"))
def gloria_global(z: Golden) -> Comparisons:
    films, texts = z.leaves("films", "texts")
    config = _preset("gloria")
    logits = cosine_logits(films, texts, torch.tensor(1 / config.global_temperature))
    loss = config.global_weight * multi_positive(logits, torch.eye(len(films)))
    yield "logits", logits
    yield "loss_films+loss_texts", Held(loss, z.o["loss_films"] + z.o["loss_texts"], z.tolerance["loss_films"])
    yield from _gradients(loss, {"films": films, "texts": texts})


@golden(
    "convirt_ntxent",
    agrees("loss", "grad.films", "grad.texts", "loss_half", "grad.films_half", "grad.texts_half"),
)
def convirt_ntxent(z: Golden) -> Comparisons:
    films, texts = z.leaves("films", "texts")
    config, eye = _preset("convirt"), torch.eye(len(films))
    logits = cosine_logits(films, texts, torch.tensor(1 / config.global_temperature))
    for variant, share in (("", config.global_share), ("_half", 0.5)):
        loss = multi_positive(logits, eye, share=share)
        yield f"loss{variant}", loss
        yield from _gradients(loss, {f"films{variant}": films, f"texts{variant}": texts})


# --- MGCA ----------------------------------------------------------------------------------------------------------


@golden(
    "mgca_local",
    agrees("words_look", "patches_look", "local_full", "local_padded", "local_padded_vit"),
    agrees(*(f"grad.{part}_{tag}" for part in ("patches", "words") for tag in ("full", "padded", "padded_vit"))),
    differs("`small` reads with learnt queries and keys", "words_look@ours"),
)
def mgca_local(z: Golden) -> Comparisons:
    heat = _preset("mgca").token_temperature
    patches, spoken = z.leaves("patches", "words")
    lengths = _spoken(z.i["lengths"], spoken.shape[1])
    p, w = F.normalize(patches, dim=-1), F.normalize(spoken, dim=-1)
    yield "words_look", read_by_cosine(w, p, heat)
    yield "patches_look", read_by_cosine(p, w, heat, lengths)
    everywhere, whole = torch.ones(p.shape[:2], dtype=torch.bool), torch.ones_like(lengths)
    even = robust_weights(everywhere.float(), everywhere)
    heard = robust_weights(z.i["word_attention"], lengths > 0)
    seen = robust_weights(z.i["patch_attention"][:, :, 0, 1:].mean(1), everywhere)
    for tag, mask, of_patches, of_words, unit in (
        ("full", whole, even, robust_weights(whole.float(), whole > 0), True),
        ("padded", lengths, even, heard, True),
        ("padded_vit", lengths, seen, heard, False),
    ):
        loss = weighted_alignment(patches, spoken, mask, of_patches, of_words, heat, unit_readings=unit).mean()
        yield f"local_{tag}", loss
        yield from _gradients(loss, {f"patches_{tag}": patches, f"words_{tag}": spoken})
    torch.manual_seed(0)
    learnt = CrossModalAttention(p.shape[-1], "softmax")
    yield "words_look@ours", torch.softmax(learnt.sentence_query(w) @ learnt.patch_key(p).mT * learnt.scale, -1)


@golden(
    "mgca_prototypes",
    agrees("global_loss", "grad.film_global", "grad.report_global"),
    agrees("prototypes", "film_codes", "report_codes", "film_probabilities", "report_probabilities"),
    agrees("prototype_loss", "grad.film_prototypes", "grad.report_prototypes", "grad.prototypes"),
)
def mgca_prototypes(z: Golden) -> Comparisons:
    film, report = z.leaves("film", "report")
    config = _preset("mgca")
    logits = cosine_logits(film, report, torch.tensor(1 / config.global_temperature))
    loss = config.global_weight * multi_positive(logits, torch.eye(len(film)))
    yield "global_loss", loss
    yield from _gradients(loss, {"film_global": film, "report_global": report})
    ours = Prototypes(z.configuration["prototypes"], z.configuration["width"]).train()
    fill(ours.weight, z.w["prototype_layer.weight"])
    ours.to_unit_length()
    sides = [ours(F.normalize(side, dim=-1)) for side in (film, report)]
    epsilon, temperature = config.prototype_epsilon, config.prototype_temperature
    loss = prototype_prediction(*sides, temperature=temperature, epsilon=epsilon)
    yield "prototypes", ours.weight
    for name, side in zip(("film", "report"), sides, strict=True):
        yield f"{name}_codes", sinkhorn(side, epsilon)
        yield f"{name}_probabilities", torch.softmax(side / temperature, -1)
    yield "prototype_loss", loss
    yield from _gradients(loss, {"film_prototypes": film, "report_prototypes": report, "prototypes": ours.weight})


# --- CM-CGNS -------------------------------------------------------------------------------------------------------


@golden("cm_cgns_global", agrees("logits", "loss", "grad.films", "grad.reports", "grad.logit_scale"))
def cm_cgns_global(z: Golden) -> Comparisons:
    films, reports = z.leaves("films", "reports")
    scale = z.w["logit_scale"].clone().requires_grad_()
    logits = cosine_logits(films, reports, scale.exp())
    loss = multi_positive(logits, torch.eye(len(films)))
    yield "logits", logits
    yield "loss", loss
    yield from _gradients(loss, {"films": films, "reports": reports, "logit_scale": scale})


@golden("cm_cgns_image", agrees("places_hear", "sentences_find", "loss", "grad.places", "grad.sentences"))
def cm_cgns_image(z: Golden) -> Comparisons:
    d = z.configuration["embed_dim"]
    cross = CrossModalAttention(d, "sigmoid")
    linears(
        z.sub("local_cross_attention."),
        (
            (cross.sentence_query, "query2"),
            (cross.patch_key, "key1"),
            (cross.patch_value, "value1"),
            (cross.patch_query, "query1"),
            (cross.sentence_key, "key2"),
            (cross.sentence_value, "value2"),
        ),
    )
    predictor = nn.Sequential(nn.Linear(d, d // 2), nn.ReLU(), nn.Linear(d // 2, d))
    put(predictor, z.sub("predictor."))
    places, sentences = z.leaves("places", "sentences")
    spoken, films = z.i["spoken"], len(places)
    said, found = cross.attend_to_sentences(places, sentences, spoken), cross.attend_to_patches(sentences, places)
    loss = mutual_prediction(
        places, said, predictor(places), predictor(said), torch.ones(films), torch.tensor(float(films))
    )
    yield "places_hear", said
    yield "sentences_find", found * spoken[..., None]
    yield "loss", loss
    yield from _gradients(loss, {"places": places, "sentences": sentences})


@golden("cm_cgns_sentence_pool", agrees("reports"))
@torch.no_grad()
def cm_cgns_sentence_pool(z: Golden) -> Comparisons:
    ours = AttentionPool(z.configuration["embed_dim"], z.configuration["num_heads"]).eval()
    put_attention(ours.attention, z.w, ("q_proj", "k_proj", "v_proj"), "c_proj")
    yield "reports", ours(z.i["sentences"], z.i["spoken"])


STEPS = range(1, 5)
SWITCHES: dict[str, Any] = {"centroid_update": "sum", "other_hard": "zero", "margin_masked": False}


def _each_step(*names: str) -> tuple[str, ...]:
    return tuple(f"{key}_{step}{'@' if variant else ''}{variant}"
                 for step, (key, _, variant) in product(STEPS, (name.partition("@") for name in names)))  # fmt: skip


@golden(
    "cm_cgns_clusters",
    agrees("centroids_0", *_each_step("false_negative", "second_nearest", "margin@switches")),
    agrees(*_each_step("loss@switches", "centroids@switches", "grad.told@switches", "grad.found@switches")),
    differs("centroids move to means, each row sees every hard negative, the margin is a mean over false negatives",
            *_each_step("loss", "centroids")),
)  # fmt: skip
def cm_cgns_clusters(z: Golden) -> Comparisons:
    c = z.configuration
    rows, first = F.normalize(z.i["found_0"], dim=-1), int(z.o["first_row"])
    order = [first, *(k for k in range(len(rows)) if k != first)]
    yield "centroids_0", farthest_chain(rows[order], c["k"])
    for step in STEPS:
        told, table = z.i[f"told_{step}"], z.o[f"centroids_{step}"]
        own = nearest(told, table)
        false = (own[:, None] == own[None, :]).fill_diagonal_(False)
        yield f"false_negative_{step}", false
        second = table[z.o[f"second_nearest_{step}"]]
        yield f"second_nearest_{step}", Held(second_nearest(told, table), second, 0.0)
        margin = margin_loss(cosines(told, z.i[f"found_{step}"]), false, c["alpha"], c["beta"], masked=False)
        yield f"margin_{step}@switches", margin
    yield from _four_steps(z, SWITCHES, "@switches")
    yield from _four_steps(z, {}, "")


def _four_steps(z: Golden, switches: dict[str, Any], variant: str) -> Comparisons:
    """The text term of one model after another batch, from the same first centroids."""
    c = z.configuration
    config = CmCgnsConfig(
        width=c["width"],
        clusters=c["k"],
        standardise=False,
        encoder_widths=(8, 8),
        stem_stride=2,
        encoder_depth=0,
        text_width=32,
        text_layers=1,
        text_heads=2,
        text_feedforward=32,
        pool_heads=4,
        **switches,
    )
    model: Any = CmCgnsAlign(config).train()
    fill(model.centroids.table, z.o["centroids_0"])
    model.centroids.filled.fill_(c["k"])
    for step in STEPS:
        told, found = z.leaves(f"told_{step}", f"found_{step}")
        loss = model.text_loss(told, found, torch.arange(len(told)))
        yield f"loss_{step}{variant}", loss
        yield f"centroids_{step}{variant}", model.centroids.table.clone()
        if switches:
            yield from _gradients(loss, {f"told_{step}": told, f"found_{step}": found}, variant)


_PAINTER = (
    "CmCgnsReconstruct and Painter cannot take these weights (other convolutions, no ReLU and tanh at the end, "
    "own layers, places hidden by a learnt vector)"
)


@golden("cm_mir_resnet", differs(_PAINTER, "loss"))
def cm_mir_resnet(z: Golden) -> Comparisons:
    yield "loss", Missing(_PAINTER)


@golden("cm_mir_vit", differs(_PAINTER, "loss"))
def cm_mir_vit(z: Golden) -> Comparisons:
    yield "loss", Missing(_PAINTER)


# --- FFA-CL --------------------------------------------------------------------------------------------------------


@golden(
    "ffa_losses",
    agrees("in.closeness", "similarity", "graph", "orthogonality", "contrast@normalise_rows"),
    agrees("grad.films_contrast@normalise_rows", "grad.prompts_contrast@normalise_rows"),
    agrees("grad.films_graph", "grad.prompts_graph", "grad.prompts_orthogonality"),
    differs("unnormalised contrast beside the published form (normalise_rows)", "contrast"),
)
def ffa_losses(z: Golden) -> Comparisons:
    closeness = torch.tensor(read_tree("published").closeness()).float()
    yield "in.closeness", Held(closeness, z.i["closeness"], 1e-6)
    prompts, films = z.leaves("prompts", "films")
    scale = z.w["logit_scale"].exp()
    similar = scale * torch.einsum("jd,bkd->bjk", prompts, films)
    contrast, graph = finding_contrast(similar, normalise_rows=True), graph_alignment(similar, z.i["closeness"])
    apart = orthogonality(prompts @ prompts.T, scale)
    yield "similarity", similar
    yield "contrast@normalise_rows", contrast
    yield "graph", graph
    yield "orthogonality", apart
    yield from _gradients(contrast, {"films_contrast": films, "prompts_contrast": prompts}, "@normalise_rows")
    yield from _gradients(graph, {"films_graph": films, "prompts_graph": prompts})
    yield from _gradients(apart, {"prompts_orthogonality": prompts})
    yield "contrast", finding_contrast(similar)


@golden("ffa_branches", agrees("embeddings@twice", "prompts", "logits", "classification"))
@torch.no_grad()
def ffa_branches(z: Golden) -> Comparisons:
    c = z.configuration
    d, shape = c["d_model"], (c["num_layers"], c["nhead"], c["dim_feedforward"], 0.1)
    splitter: Any = FindingSplitter(d, c["labels"], d, mixer(d, *shape), twice=True, norm=False).eval()
    classifier: Any = SharedClassifier(d, 1)
    branch = PromptBranch(z.i["prompts"], d, mixer(d, *shape)).eval()
    linears(
        z.w,
        (
            (splitter.split, "VisEncoder.input_splits"),
            (splitter.again, "VisEncoder.fc"),
            (classifier.hidden, "classifier.fc"),
            (classifier.out, "classifier.cls"),
        ),
    )
    put(splitter.transformer, z.sub("VisEncoder.encoder."))
    put(branch.transformer, z.sub("transformer.encoder."))
    embeddings = splitter(z.i["films"])
    logits = classifier(embeddings)[..., 0]
    yield "embeddings@twice", embeddings
    yield "prompts", branch()
    yield "logits", logits
    yield "classification", masked_bce(logits, z.i["labels"])


@golden("ffa_task_balance", agrees("task_balance@exp", "grad.task_balance@exp", "NA@none", "grad.NA@none"))
def ffa_task_balance(z: Golden) -> Comparisons:
    names = ("classification", "contrast", "orthogonality", "graph")
    weighting: Any
    for key, weighting in (("task_balance", "exp"), ("NA", "none")):
        terms = dict(zip(names, z.leaves(*names), strict=True))
        loss = combined(terms, dict.fromkeys(names, 1.0), weighting)
        yield f"{key}@{weighting}", loss
        yield f"grad.{key}@{weighting}", torch.stack(torch.autograd.grad(loss, list(terms.values())))
