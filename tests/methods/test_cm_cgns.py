"""CM-CGNS: each defect of the published code, the relatives, and what the runs are then good for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import contract
import numpy as np
import pytest
import torch
import toy
from torch.nn import functional as F

from intervalchange.config import load_preset, preset_sizes
from intervalchange.data.batch import Batch
from intervalchange.data.extraction.sentences import sentences
from intervalchange.errors import ConfigError
from intervalchange.losses.local_alignment import word_attention
from intervalchange.methods import method_class
from intervalchange.methods.cm_cgns.align import CmCgnsAlign
from intervalchange.methods.cm_cgns.film_side import FilmEncoding
from intervalchange.methods.cm_cgns.options import CmCgnsConfig
from intervalchange.methods.cm_cgns.reconstruct import CmCgnsReconstruct
from intervalchange.methods.cm_cgns.report_side import ReportEncoding
from intervalchange.methods.cm_cgns.report_tokens import (
    merged_pieces,
    report_tokenizer,
    sentence_means,
    tokenize_reports,
)
from intervalchange.methods.cm_cgns.validation import FilmOutputs
from intervalchange.tasks.image_text import ImageText, WordsAndPatches
from intervalchange.training.listing import meta_model
from intervalchange.training.stage import start_from

ALIGN, RECONSTRUCT = "cm_cgns/align", "cm_cgns/reconstruct"


def made(stage: str = ALIGN, **changes: Any) -> Any:
    return contract.Subject(stage).model(**changes)


def stepped(model: CmCgnsAlign, batch: Batch, steps: int = 1) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        model.train()(**batch).loss.backward()
        optimiser.step()


# --- patches -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["conv", "resnet50"])
def test_a_change_in_one_patch_moves_its_tokens_most(backbone: str) -> None:
    """The published view mixed channels and patches: a change moved tokens anywhere."""
    model = made(backbone=backbone, standardise=False).eval()
    films = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = model.film_encoder(films)
        side = features.map.shape[-1]
        assert torch.equal(features.tokens[0, side + 1], features.map[0, :, 1, 1])
        # In a ResNet of random weights every patch depends on the whole of a small film.
        for row, column in ((0, 1), (1, 0), (1, 1)) if backbone == "conv" else ():
            touched = films.clone()
            touched[0, 0, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32] *= -3
            moved = (
                (model.encode_films(touched).patches - model.encode_films(films).patches)[0]
                .norm(dim=1)
                .unflatten(0, (2, side // 2, 2, -1))
            )
            assert int(moved.sum((1, 3)).argmax()) == 2 * row + column


def test_vision_transformers_give_patches_and_a_vector() -> None:
    tiny = (
        '{"model_type": "vit", "image_size": 64, "patch_size": 16, "hidden_size": 32, "num_hidden_layers": 1, '
        '"num_attention_heads": 2, "intermediate_size": 32}'
    )
    model = made(RECONSTRUCT, backbone="hub", hub_model=tiny, decoder_layers=2, decoder_heads=2)
    batch = toy.film_batch(3)
    assert model.encode_films(batch.current).patches.shape == (3, 16, 32)
    model(**batch).loss.backward()
    layers = model.image_decoder.mixer.layers
    assert layers[0].linear1.weight is not layers[1].linear1.weight
    assert all(parameter.grad is not None for parameter in model.parameters())


# --- sentences -----------------------------------------------------------------------------------------------------


def test_words_know_their_sentence_as_a_loop_finds_it() -> None:
    tokenizer = report_tokenizer()
    reports = ["FINDINGS: No pneumothorax. The heart is large.\n\nIMPRESSION: Zyxgl effusion.", "", "edema"]
    tokens = tokenize_reports(tokenizer, reports, limit=12, most=4)
    for row, report in enumerate(reports):
        words = [
            (token, number)
            for number, text in enumerate(sentences(report))
            for token in tokenizer(text.lower(), add_special_tokens=False)["input_ids"]
        ][:10]
        length = len(words) + 2
        assert tokens.mask[row].tolist() == [1] * length + [0] * (tokens.mask.shape[1] - length)
        assert tokens.ids[row, 1 : length - 1].tolist() == [token for token, _ in words]
        assert tokens.sentence[row, : length - 1].tolist() == [-1] + [number for _, number in words]
        assert (tokens.sentence[row, length - 1 :] == -1).all()
        kept = {number for _, number in words}
        assert tokens.sentence_mask[row].tolist() == [
            int(number in kept) for number in range(tokens.sentence_mask.shape[1])
        ]
    assert tokenizer.unk_token_id not in tokens.ids.tolist()[0]


def test_sentence_vectors_are_means_of_their_words() -> None:
    tokens = torch.arange(12.0).reshape(1, 6, 2)
    means = sentence_means(tokens, torch.tensor([[-1, 0, 0, 1, -1, -1]]), 3)
    assert means[0].tolist() == [[3.0, 4.0], [6.0, 7.0], [0.0, 0.0]]


@pytest.mark.parametrize("standardise", [True, False])
def test_what_reports_share_is_not_what_they_are_compared_by(standardise: bool) -> None:
    """Words of random weights are nearly the same in all reports; a contrast then draws everything together first."""
    model = made(standardise=standardise).train()
    vectors = model.encode_reports(toy.film_batch(8).report_current).vector.detach()
    similarity = (vectors @ vectors.T)[~torch.eye(8, dtype=torch.bool)]
    assert float(similarity.mean()) < 0.1 if standardise else float(similarity.mean()) > 0.8


def test_a_film_without_a_report_teaches_nothing() -> None:
    model, batch = made().eval(), toy.film_batch(4)
    few = Batch(**{name: value[:3] for name, value in batch.items()})
    batch["report_current"] = [*batch.report_current[:3], ""]
    together, alone = model(**batch), model(**few)
    for name in ("global", "image", "text"):
        assert torch.allclose(together.terms[name], alone.terms[name], atol=1e-5), name
    batch["report_current"] = [""] * 4
    assert torch.isfinite(made()(**batch).loss)


# --- clusters ------------------------------------------------------------------------------------------------------


def test_validation_changes_nothing() -> None:
    model, batch = made(RECONSTRUCT), toy.film_batch(6)
    stepped(model, batch, 2)
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.eval()
    with torch.no_grad():
        first = model(**batch).loss
        model.validation_outputs(batch)
        assert torch.equal(first, model(**batch).loss)
    assert all(torch.equal(kept[name], tensor) for name, tensor in model.state_dict().items())


def test_centroids_begin_with_what_a_batch_has_and_go_on_after_saving(tmp_path: Path) -> None:
    model, small = made(clusters=40), toy.film_batch(4)
    model.train()(**small)
    have = int(model.centroids.filled)
    assert 0 < have == int(made()(**small).terms["text"].isfinite()) * 12 < 40
    model.save_pretrained(tmp_path)
    again = CmCgnsAlign.from_pretrained(tmp_path)
    batches = [toy.film_batch(6, seed=seed) for seed in range(1, 4)]
    for one in (model, again):
        for batch in batches:
            one.train()(**batch)
    assert model.centroids.complete
    assert torch.equal(model.centroids.table, again.centroids.table)
    assert torch.allclose(model.centroids.table.norm(dim=1), torch.ones(40), atol=1e-5)


def test_centroids_wait_until_sentences_and_findings_differ() -> None:
    model = made(cluster_start=-1.0)
    model.train()(**toy.film_batch(6))
    assert int(model.centroids.filled) == 0


# --- reconstruction --------------------------------------------------------------------------------------------------


def test_the_content_of_a_hidden_patch_does_not_reach_the_reconstruction() -> None:
    model, batch = made(RECONSTRUCT).eval(), toy.film_batch(3)
    film, report = model.encode_films(batch.current), model.encode_reports(batch.report_current)
    hidden = model.hidden_at(film, batch.case_id, step=3)
    assert hidden.sum(1).tolist() == [round(0.5 * hidden.shape[1])] * 3
    other = torch.where(hidden[..., None], torch.randn_like(film.patches), film.patches)
    with torch.no_grad():
        reconstruction = model.reconstruct(film, report, (64, 64), hidden)
        assert torch.equal(reconstruction, model.reconstruct(type(film)(other, film.vector), report, (64, 64), hidden))
        assert not torch.equal(reconstruction, model.reconstruct(film, report, (64, 64)))
    assert not torch.equal(hidden, model.hidden_at(film, batch.case_id, step=4))


@pytest.mark.parametrize("output", ["linear", "tanh"])
def test_a_dark_film_can_be_reconstructed(output: str) -> None:
    """Published: ReLU before tanh, so nothing below mid-grey."""
    model = made(RECONSTRUCT, output=output)
    patches = F.normalize(torch.ones(2, 64, 32), dim=-1)
    film, dark = FilmEncoding(patches, patches[:, 0]), torch.full((2, 1, 64, 64), -2.0)
    report = model.encode_reports(["no edema.", "edema."])
    optimiser = torch.optim.Adam(model.image_decoder.parameters(), lr=0.01)
    for _ in range(40):
        detached = replace(report, sentences=report.sentences.detach())
        loss = (model.reconstruct(film, detached, (64, 64)) - dark).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.4


# --- relatives and weights -------------------------------------------------------------------------------------------


LARGE = ("paper", "vit", "convirt_paper", "gloria_paper", "mgca_paper", "mgca_vit")
SIZED = {"pixels", "tokens", "sentences", "dropout", "vocabulary", "standardise", "pool_heads", "width"}
"""Options that presets of one form may differ in, beside those of the encoders."""


def form_of(size: str) -> dict[str, Any]:
    """The options of a preset that say what is computed, not how large."""
    sizes = SIZED | {name for name in CmCgnsConfig.options() if name.startswith(("encoder_", "stem_", "text_"))}
    sizes -= {"text_pool", "text_part", "text_projection", "text_weight", "text_temperature"}
    sizes |= {
        "greys",
        "backbone",
        "backbone_weights",
        "hub_model",
        "projection_width",
        "patch_level",
        "enlarge",
        "layers_summed",
    }
    return {name: value for name, value in load_preset(ALIGN, size).model.items() if name not in sizes}


@pytest.mark.parametrize("size", [size for size in preset_sizes(ALIGN) if size not in LARGE])
def test_presets_of_relatives_have_their_terms_alone(size: str) -> None:
    form = form_of(size)
    model = made(**form, layers_summed=1)
    model.progress(0, 1, 1.0)
    terms = {"convirt": {"global"}, "gloria": {"global", "word"}, "mgca": {"global", "token", "prototype"}}
    output = model(**toy.film_batch(4))
    assert set(output.terms) == terms.get(size, {"global", "image", "text"})
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert isinstance(model, ImageText)
    assert isinstance(model, WordsAndPatches) == (size == "gloria")


@pytest.mark.parametrize("size", ["convirt", "gloria", "mgca"])
def test_small_and_paper_presets_of_a_relative_are_one_form(size: str) -> None:
    assert form_of(size) == {
        name: value
        for name, value in form_of(f"{size}_paper").items()
        if getattr(CmCgnsConfig(), name) != value or name in form_of(size)
    }


@pytest.mark.parametrize(
    ("size", "millions"),
    # ResNet-50 23.5, ViT-B 85.8, Bio_ClinicalBERT without its pooler 107.7; then the heads. Of ConVIRT's BERT the first
    # six layers are not trained, but they are there.
    [("convirt_paper", 137.4), ("gloria_paper", 133.6), ("mgca_paper", 141.8), ("mgca_vit", 201.2)],
)
def test_published_sizes(size: str, millions: float) -> None:
    model = meta_model(ALIGN, size)
    # Rows of the table of words: 28,996 in the preset, whatever tokenizer is at hand.
    assert sum(one.numel() for one in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)


def ratios(model: CmCgnsAlign) -> torch.Tensor:
    """Largest over smallest attention of each word of a batch over the patches of its film."""
    batch = toy.film_batch(4)
    with torch.no_grad():
        model.train()(**batch)  # Standardisation begins with the first batch.
        film, report = model.encode_films(batch.current), model.encode_reports(batch.report_current)
        attention = word_attention(film.patches, report.words, report.is_word, normalise=model.config.unit_parts)
    words = attention[report.is_word > 0]
    return words.amax(1) / words.amin(1)


def test_words_of_gloria_choose_patches() -> None:
    """With unit length before the softmax every word attended to all patches alike (fidelity 2.1)."""
    published = made(**form_of("gloria"), layers_summed=1, width=64, text_width=64)
    ours = made(word_weight=1.0)
    assert float(ratios(published).median()) > 10
    assert float(ratios(ours).median()) < 4


def test_a_step_shows_one_sentence_of_each_report() -> None:
    model = made(text_part="sentence")
    batch = toy.film_batch(3)
    batch["report_current"] = ["no edema. small left pleural effusion. the heart is enlarged."] * 3
    whole = model.eval()._reports_of(batch)
    assert int(whole.tokens.sentence_mask.sum()) == 9
    shown = set()
    for step in range(8):
        model.train().progress(step, 8, 0.0)
        drawn, again = model._reports_of(batch), model._reports_of(batch)
        assert drawn.tokens.sentence_mask.sum(1).tolist() == [1, 1, 1]
        assert torch.equal(drawn.tokens.ids, again.tokens.ids)
        shown |= set(drawn.tokens.report_codes.tolist())
    assert len(shown) == 3


def test_pieces_of_a_word_are_summed() -> None:
    tokenizer = report_tokenizer()
    tokens = tokenize_reports(tokenizer, ["no zebra.", "edema."], limit=40, most=4)
    # start, no, z ##e ##b ##r ##a (and its full stop, if it is kept), end.
    assert tokens.word[0, :7].tolist() == [0, 1, 2, 2, 2, 2, 2]
    assert (tokens.word[1][tokens.mask[1] == 0] == -1).all()
    states = torch.randn(2, tokens.ids.shape[1], 5)
    merged = merged_pieces(states, tokens.word)
    assert torch.allclose(merged[0, 2], states[0, 2:7].sum(0))
    assert torch.equal(merged[:, 0], states[:, 0])
    model = made(merge_pieces=True, marks="start", token_weight=0.0)
    report = model.encode_reports(["no zebra.", "edema."])
    assert report.is_word[:, 0].tolist() == [1, 1]
    ends = made(merge_pieces=True, marks="end").encode_reports(["no zebra.", "edema."])
    assert ends.is_word[:, 0].tolist() == [0, 0]
    assert ends.is_word.sum(1).tolist() == report.is_word.sum(1).tolist()


def test_prototypes_have_length_one_and_wait_an_epoch() -> None:
    model, batch = made(**form_of("mgca")), toy.film_batch(4)
    for epoch, moved in ((0.5, False), (1.0, True)):
        model.train().progress(0, 10, epoch)
        model.zero_grad()
        model(**batch).loss.backward()
        assert torch.allclose(model.prototypes.weight.norm(dim=1), torch.ones(500), atol=1e-6)
        assert bool(model.prototypes.weight.grad.abs().sum() > 0) == moved


def test_mgca_on_a_vision_transformer_weighs_patches_by_the_class_token() -> None:
    tiny = (
        '{"model_type": "vit", "image_size": 64, "patch_size": 16, "hidden_size": 32, "num_hidden_layers": 2, '
        '"num_attention_heads": 2, "intermediate_size": 32}'
    )
    model, batch = made(**form_of("mgca"), backbone="hub", hub_model=tiny), toy.film_batch(3)
    film = model.encode_films(batch.current)
    assert film.attention is not None
    assert film.attention.shape == (3, 16)
    # The class token attends to itself too.
    assert bool((film.attention.sum(1) < 1).all())
    model(**batch).loss.backward()


def test_the_token_term_of_mgca_does_not_depend_on_the_longest_report() -> None:
    model, batch = made(**form_of("mgca")).eval(), toy.film_batch(3)
    with torch.no_grad():
        film = model.encode_films(batch.current)
        both = [model.encode_reports(texts) for texts in (["no edema."] * 3, ["no edema."] * 2 + ["no edema. " * 5])]
        losses = [model._weighted_token_term(replace(film, patches=film.patches[:2]), cut(report)) for report in both]
    assert float(losses[0]) == pytest.approx(float(losses[1]), abs=1e-5)


def cut(report: ReportEncoding) -> ReportEncoding:
    """The first two reports."""
    parts = {name: getattr(report, name)[:2] for name in ("words", "is_word", "sentences", "vector", "attention")}
    mask = report.tokens.sentence_mask[:2]
    return replace(report, tokens=replace(report.tokens, sentence_mask=mask), **parts)


def test_patches_of_the_map_before_the_last() -> None:
    model = made(patch_level=2, enlarge=96).eval()
    plain = made().eval()
    films = toy.film_batch(2).current
    assert model.encode_films(films).patches.shape[1] == 24**2
    assert plain.encode_films(films).patches.shape[1] == 8**2


@pytest.mark.parametrize("left_out", ["global", "image", "text"])
def test_a_term_of_weight_zero_is_not_there_nor_what_only_it_needs(left_out: str) -> None:
    model = made(**{f"{left_out}_weight": 0.0})
    output = model(**toy.film_batch(4))
    output.loss.backward()
    assert left_out not in output.terms
    assert len(output.terms) == 2
    assert all(parameter.grad is not None for parameter in model.parameters())
    gone = {"global": "film_head.projection", "image": "predictor", "text": "centroids"}[left_out]
    assert any(name.startswith(gone) for name in made().state_dict())
    assert not any(name.startswith(gone) for name in model.state_dict())


def test_options_that_do_not_fit_are_refused() -> None:
    alone = {"image_weight": 0, "text_weight": 0, "word_weight": 1}
    for changes in (
        {"clusters": 1},
        {"text_heads": 3},
        {"global_weight": 0, "image_weight": 0, "text_weight": 0},
        {"text_projection": "mlp"},
        {"text_pool": "tokens", "text_projection": "none", "text_width": 64},
        {"projection": "none"},
        {"unit_parts": False},
        {"unit_parts": False, "token_weight": 1.0, **alone},
        {"layers_summed": 3},
        {"text_frozen_layers": 3},
        {"global_share": 1.5},
        {"patch_level": 3},
        {"enlarge": 32},
    ):
        with pytest.raises(ConfigError):
            made(**changes)
    with pytest.raises(ConfigError, match="share"):
        made(RECONSTRUCT, hidden=1.0)


# --- what runs are good for ------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    model = made()
    model.save_pretrained(tmp_path / "run")
    return tmp_path / "run"


def test_the_second_stage_takes_all_of_the_first(run: Path) -> None:
    first, second = made(), made(RECONSTRUCT)
    start_from(second, run)
    ours = second.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in first.state_dict().items())
    assert isinstance(second, CmCgnsReconstruct)


def test_real_takes_the_encoder_of_its_films(run: Path) -> None:
    torch.manual_seed(9)
    kind = method_class("real/answer")
    real = kind(kind.config_class(**load_preset("real/answer", "tiny").model))
    fresh = {name: tensor.clone() for name, tensor in real.film_encoder.state_dict().items()}
    start_from(real, run)
    theirs = made().film_encoder.state_dict()
    assert fresh.keys() == theirs.keys()
    for name, tensor in real.film_encoder.state_dict().items():
        assert torch.equal(tensor, theirs[name])
    assert any(not torch.equal(fresh[name], theirs[name]) for name in theirs)


def test_the_encoder_is_probed(run: Path) -> None:
    kind = method_class("tasks/classification")
    shape = {"backbone": "conv", "encoder_widths": (16, 32, 32), "encoder_depth": 0, "stem_stride": 2, "pixels": 64}
    probe = kind(kind.config_class(labels=("edema",), **shape))
    start_from(probe, run)
    for name, tensor in made().film_encoder.state_dict().items():
        assert torch.equal(probe.encoder.state_dict()[name], tensor)


def test_validation_is_retrieval_in_both_directions() -> None:
    model, axes = made(), np.eye(3, dtype=np.float32)
    films = [FilmOutputs(axes[0], axes[0], 1), FilmOutputs(axes[1], axes[1], 2), FilmOutputs(axes[2], axes[2], 3)]
    assert model.validation_scores(films)["retrieval.mrr"] == 1
    crossed = [FilmOutputs(axes[0], axes[1], 1), FilmOutputs(axes[1], axes[0], 2), FilmOutputs(axes[2], axes[2], 3)]
    assert model.validation_scores(crossed)["retrieval.recall.1"] == pytest.approx(1 / 3)
    same = [FilmOutputs(axes[0], axes[0], code) for code in (1, 2, 3)]
    assert model.validation_scores(same)["retrieval.mrr"] == pytest.approx(1 / 3)


@pytest.mark.slow
def test_films_find_their_reports() -> None:
    """A few steps on eight films: each is nearest to its own report, or to one in the same words."""
    model, batch = made(), toy.film_batch(8)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(150):
        optimiser.zero_grad()
        model.train()(**batch).loss.backward()
        optimiser.step()
    assert model.validation_scores(model.eval().validation_outputs(batch))["retrieval.recall.1"] == 1
