"""VED: its difference embedding, its stages, and the defects of the published code that it must not have."""

from __future__ import annotations

import json
from pathlib import Path

import contract
import pytest
import torch
import toy
from transformers import SwinConfig, SwinModel

from intervalchange.blocks.tokenizer import encode
from intervalchange.errors import ConfigError
from intervalchange.methods.ved.answer import Ved, VedConfig
from intervalchange.tasks.classification import Classification, ClassificationConfig
from intervalchange.training.listing import meta_model
from intervalchange.training.stage import start_from

ENCODER = {"pixels": 64, "encoder_widths": (8, 16), "encoder_depth": 0, "stem_stride": 4}
TINY = {
    **ENCODER,
    "decoder_width": 32,
    "decoder_layers": 1,
    "decoder_heads": 2,
    "decoder_feedforward": 32,
    "dropout": 0.0,
}
SWIN = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}


def tiny(**changes: object) -> Ved:
    torch.manual_seed(0)
    return Ved(VedConfig(**{**TINY, **changes}))


@torch.no_grad()
@pytest.mark.parametrize("told_apart", [True, False])
def test_only_the_difference_embedding_knows_which_film_is_which(told_apart: bool) -> None:
    model, batch = tiny(difference_embedding=told_apart).eval(), toy.batch(4)
    answer = encode(model.tokenizer, batch.answer, eos=True)

    def logits() -> torch.Tensor:
        return model.decoder(
            *model.prefix(batch.question), answer, **model.memory(model.encode_films(batch), batch.has_prior)
        )

    given = logits()
    batch["current"], batch["prior"] = batch.prior, batch.current
    moved = (logits() - given).abs().max()
    assert moved > 1e-3 if told_apart else moved < 1e-5, moved


@torch.no_grad()
def test_before_any_training_the_films_are_told_apart() -> None:
    """How far a swapped pair is from the pair, in distances of another pair."""
    model, batch = tiny(), toy.batch(8)
    model(**batch)  # the first batch standardises
    model.eval()
    answer = encode(model.tokenizer, batch.answer, eos=True)

    def logits(prior: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        maps = model.encode_films({**batch, "prior": prior, "current": current})
        return model.decoder(*model.prefix(batch.question), answer, **model.memory(maps, batch.has_prior))

    given, swapped = logits(batch.prior, batch.current), logits(batch.current, batch.prior)
    others = logits(batch.prior.roll(1, 0), batch.current.roll(1, 0))
    assert (swapped - given).std() > 0.1 * (others - given).std()


@torch.no_grad()
def test_each_film_gets_its_own_vector_in_the_order_current_prior() -> None:
    model = tiny(standardise=False, positions_2d=False).eval()
    maps = torch.randn(4, 16, 2, 2, generator=torch.Generator().manual_seed(0))
    memory = model.memory(maps, torch.tensor([True, False]))
    for row in range(2):
        for part, film, side in ((slice(0, 4), 2 + row, 1), (slice(4, 8), row, 0)):
            cells = torch.stack([model.enter(maps[film, :, y, x]) for y in (0, 1) for x in (0, 1)])
            expected = cells + model.difference_embedding.films.weight[side]
            assert torch.allclose(memory["encoder_hidden_states"][row, part], expected, atol=1e-6)
    assert memory["encoder_attention_mask"].tolist() == [[1] * 8, [1] * 4 + [0] * 4]


@torch.no_grad()
def test_padding_is_not_learnt_and_eos_is() -> None:
    """The loss of a batch is that of its words, however far a short answer is padded; EOS is one of the words."""
    model, batch = tiny().eval(), toy.batch(2)
    batch["answer"] = [
        "nothing has changed.",
        "the main image is missing the finding of pneumothorax than the reference image.",
    ]
    singly = 0.0
    words = [len(encode(model.tokenizer, [text], eos=True).ids[0]) for text in batch.answer]
    assert words[0] == 5
    for row, count in enumerate(words):
        one = type(batch)(**{name: value[row : row + 1] for name, value in batch.items()})
        singly += count * model(**one).loss.item()
    assert model(**batch).loss.item() == pytest.approx(singly / sum(words), rel=1e-5)


def test_an_answer_ends_where_it_ends() -> None:
    """Published, EOS was never said, and every answer took 63 steps."""
    model, batch = tiny(), toy.batch(2)
    batch["answer"] = ["yes", "nothing has changed."]
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        model(**batch).loss.backward()
        optimiser.step()
    model.eval()
    assert [one.answer for one in model.answer(batch)] == batch.answer
    with torch.no_grad():
        read = model.memory(model.encode_films(batch), batch.has_prior)
        said = model.decoder.generate(*model.prefix(batch.question), limit=96, **read)
    assert said.ids.shape[1] == 5
    assert said.mask.sum(1).tolist() == [2, 5]


def step(model: Ved, optimiser: torch.optim.Optimizer, epoch: float) -> None:
    model.train()
    model.progress(step=0, steps=10, epoch=epoch)
    optimiser.zero_grad()
    model(**toy.batch(4)).loss.backward()
    optimiser.step()


def test_first_frozen_then_free() -> None:
    model = tiny(frozen_epochs=2.0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.5)
    kept = [one.detach().clone() for one in model.encoder.parameters()]
    words = model.decoder.language_model.lm_head.weight.detach().clone()
    step(model, optimiser, epoch=0.0)
    step(model, optimiser, epoch=1.9)
    assert all(torch.equal(now, then) for now, then in zip(model.encoder.parameters(), kept, strict=True))
    assert not model.encoder.training
    assert not torch.equal(model.decoder.language_model.lm_head.weight, words)
    step(model, optimiser, epoch=2.0)
    assert not any(torch.equal(now, then) for now, then in zip(model.encoder.parameters(), kept, strict=True))
    assert model.encoder.training


def test_several_processes_make_two_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(ConfigError, match="two runs"):
        tiny(frozen_epochs=1.0).progress(0, 10, 0.0)
    tiny(frozen=True).progress(0, 10, 0.0)
    tiny().progress(0, 10, 0.0)


def test_stages_follow_each_other(tmp_path: Path) -> None:
    """Labels of films, then the decoder, then everything: each starts from the run before it."""
    torch.manual_seed(1)
    labels = Classification(ClassificationConfig(**ENCODER, labels=("edema", "fracture")))
    labels.save_pretrained(tmp_path / "classify")
    second = tiny(frozen=True)
    start_from(second, tmp_path / "classify")
    for name, tensor in labels.encoder.state_dict().items():
        assert torch.equal(tensor, second.encoder.state_dict()[name])
    second.save_pretrained(tmp_path / "second")
    third = tiny(encoder_rate=0.1)
    assert " 0 missing, 0 unexpected" in start_from(third, tmp_path / "second")
    assert all(torch.equal(tensor, third.state_dict()[name]) for name, tensor in second.state_dict().items())
    assert all(one.requires_grad for one in third.parameters())
    assert third.rate_factors() == {"encoder.": 0.1}


def test_a_published_swin_is_loaded_by_name_and_read(tmp_path: Path) -> None:
    torch.manual_seed(1)
    published = SwinModel(SwinConfig(**SWIN), add_pooling_layer=False)
    published.save_pretrained(tmp_path)
    for facts in ("", json.dumps({"model_type": "swin", **SWIN})):
        model = tiny(backbone="hub", backbone_weights=str(tmp_path), hub_model=facts)
        model.load_pretrained()
        ours = model.encoder.network.state_dict()
        assert all(torch.equal(tensor, ours[name]) for name, tensor in published.state_dict().items())
    batch = toy.batch(2)
    assert model.encode_films(batch).shape == (4, 16, 4, 4)
    assert torch.isfinite(model(**batch).loss)
    assert len(model.eval().answer(batch)) == 2


def test_one_table_of_words_is_saved_once_and_loaded(tmp_path: Path) -> None:
    model = tiny(tied_words=True)
    language_model = model.decoder.language_model
    assert language_model.lm_head.weight is language_model.bert.embeddings.word_embeddings.weight
    free = tiny().decoder.language_model
    assert free.lm_head.weight is not free.bert.embeddings.word_embeddings.weight
    model.save_pretrained(tmp_path)
    again = Ved.from_pretrained(tmp_path)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    language_model = again.decoder.language_model
    assert language_model.lm_head.weight is language_model.bert.embeddings.word_embeddings.weight
    other = tiny(tied_words=True)
    assert " 0 missing, 0 unexpected" in start_from(other, tmp_path)


def test_the_difference_embedding_is_drawn_as_asked() -> None:
    drawn = [tiny(decoder_width=256, difference_spread=one).difference_embedding.films.weight for one in (0.5, 0.03125)]
    assert [one.std().item() for one in drawn] == pytest.approx([0.5, 0.03125], rel=0.15)


def test_published_size() -> None:
    """137.9 M in the specification: 86.9 of Swin-B, 51.0 of the decoder."""
    parts = dict(meta_model("ved/answer", "paper").named_children())
    size = {name: sum(one.numel() for one in part.parameters()) for name, part in parts.items()}
    assert size["encoder"] == pytest.approx(86.9e6, rel=0.02)
    assert size["decoder"] == pytest.approx(51.0e6, rel=0.02)
    assert sum(size.values()) == pytest.approx(137.9e6, rel=0.02)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"decoder_width": 30}, "divisible by 4"), ({"decoder_heads": 5}, "decoder_heads"), ({"frozn": True}, "frozen")],
)
def test_a_configuration_that_does_not_fit_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        VedConfig(**{**TINY, **change})


@pytest.mark.slow
def test_eight_pairs_are_learnt_by_heart() -> None:
    contract.eight_pairs_are_learnt_by_heart(contract.Subject("ved/answer"))


def test_a_finer_map_is_averaged_down_to_the_grid() -> None:
    batch = toy.batch(2)
    whole, small = (tiny(grid=grid).eval() for grid in (0, 2))
    maps = whole.encode_films(batch)
    assert maps.shape[-1] > 2
    tokens = [model.memory(maps, batch.has_prior)["encoder_hidden_states"].shape[1] for model in (whole, small)]
    assert tokens == [2 * maps.shape[-1] ** 2, 2 * 2 * 2]
