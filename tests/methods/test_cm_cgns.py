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
from intervalchange.methods import method_class
from intervalchange.methods.cm_cgns.align import CmCgnsAlign
from intervalchange.methods.cm_cgns.film_side import FilmEncoding
from intervalchange.methods.cm_cgns.reconstruct import CmCgnsReconstruct
from intervalchange.methods.cm_cgns.report_tokens import report_tokenizer, sentence_means, tokenize_reports
from intervalchange.methods.cm_cgns.validation import FilmOutputs
from intervalchange.tasks.image_text import ImageText, WordsAndPatches
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


@pytest.mark.parametrize("size", [size for size in preset_sizes(ALIGN) if size not in ("paper", "vit")])
def test_presets_of_relatives_have_their_terms_alone(size: str) -> None:
    preset = load_preset(ALIGN, size).model
    names = (
        "image_weight",
        "text_weight",
        "word_weight",
        "token_weight",
        "clusters",
        "projection",
        "text_pool",
        "attention",
    )
    model = made(**{name: preset[name] for name in names if name in preset})
    terms = {"convirt": {"global"}, "gloria": {"global", "word"}, "mgca": {"global", "token"}}
    output = model(**toy.film_batch(4))
    assert set(output.terms) == terms.get(size, {"global", "image", "text"})
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert isinstance(model, ImageText)
    assert isinstance(model, WordsAndPatches) == (size == "gloria")


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
    for changes in ({"clusters": 1}, {"text_heads": 3}, {"global_weight": 0, "image_weight": 0, "text_weight": 0}):
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
