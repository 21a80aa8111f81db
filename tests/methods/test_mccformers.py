"""MCCFormers: what each pairing sees, what is frozen, and how large it is as published."""

from __future__ import annotations

import json

import contract
import pytest
import torch
import toy
from torch.nn import functional as F

from intervalchange.config import load_preset
from intervalchange.errors import ConfigError
from intervalchange.methods.mccformers.answer import Mccformers, MccformersConfig
from intervalchange.training.listing import meta_model

TINY = {
    "pixels": 64,
    "encoder_widths": (8, 16),
    "encoder_depth": 0,
    "stem_stride": 4,
    "grid": 4,
    "pair_layers": 1,
    "pair_heads": 2,
    "pair_feedforward": 32,
    "decoder_width": 32,
    "decoder_layers": 1,
    "decoder_heads": 2,
    "decoder_feedforward": 32,
    "dropout": 0.0,
    "word_dropout": 0.0,
}
RESNET = {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}


def tiny(**changes: object) -> Mccformers:
    torch.manual_seed(0)
    return Mccformers(MccformersConfig(**{**TINY, **changes})).eval()


def maps(pairs: int = 2, side: int = 4) -> torch.Tensor:
    return torch.randn(2 * pairs, 16, side, side, generator=torch.Generator().manual_seed(0))


def known(pairs: int = 2) -> torch.Tensor:
    return torch.ones(pairs, dtype=torch.bool)


def read(model: Mccformers, seen: torch.Tensor) -> torch.Tensor:
    return model.memory(seen, known(len(seen) // 2))["encoder_hidden_states"]


@torch.no_grad()
def test_co_attention_is_that_of_a_slow_loop() -> None:
    """One pair, one head, cell by cell: each cell of a film asks every cell of the other film."""
    model = tiny(pair_heads=1)
    seen, layer, pair = maps(1), model.pair.layers[0], model.pair
    streams = [pair.enter(F.adaptive_avg_pool2d(film[None], 4)[0].flatten(1).T) + pair.positions for film in seen]
    wq, wk, wv = layer.attention.in_proj_weight.chunk(3)
    bq, bk, bv = layer.attention.in_proj_bias.chunk(3)
    expected = []
    for own, other in (streams, streams[::-1]):
        rows = []
        for cell in own:
            scores = torch.stack([(wq @ cell + bq) @ (wk @ there + bk) for there in other]) / len(cell) ** 0.5
            heard = sum(chance * (wv @ there + bv) for chance, there in zip(scores.softmax(0), other, strict=True))
            asked = layer.norm(cell + layer.attention.out_proj(heard))
            rows.append(layer.feedforward_norm(asked + layer.feedforward(asked)))
        expected.append(torch.stack(rows))
    assert torch.allclose(read(model, seen)[0], torch.cat(expected, dim=1), atol=1e-5)


@torch.no_grad()
def test_exchanging_the_films_exchanges_the_halves_in_d_and_not_in_s() -> None:
    seen = maps()
    swapped = seen.roll(2, dims=0)
    for pairing, equal in (("D", True), ("S", False)):
        model = tiny(pairing=pairing)
        there, back = read(model, seen), read(model, swapped)
        assert torch.allclose(back, there.roll(16, dims=2), atol=1e-5) == equal, pairing
        assert not torch.allclose(back, there, atol=1e-2), pairing


@torch.no_grad()
@pytest.mark.parametrize("pairing", ["D", "S"])
def test_each_half_hears_the_other_film(pairing: str) -> None:
    model, seen = tiny(pairing=pairing), maps()
    given = read(model, seen)
    for film, half in ((0, slice(16, 32)), (1, slice(0, 16))):
        moved = seen.clone()
        moved[2 * film : 2 * film + 2] += torch.randn(2, 16, 4, 4, generator=torch.Generator().manual_seed(1))
        assert (read(model, moved)[..., half] - given[..., half]).abs().amax() > 1e-3


@torch.no_grad()
def test_a_finer_map_is_averaged_to_the_grid() -> None:
    model, fine = tiny(), maps(side=8)
    coarse = fine.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))
    assert torch.allclose(read(model, fine), read(model, coarse), atol=1e-5)


@torch.no_grad()
def test_without_a_prior_the_current_film_stands_in_its_place() -> None:
    model, batch = tiny(), toy.batch(3, kind="presence")
    alone = model(**batch).loss
    batch["prior"], batch["has_prior"] = batch.current.clone(), known(3)
    assert torch.allclose(model(**batch).loss, alone)


def test_a_frozen_trunk_of_resnet_stays_as_it_is() -> None:
    model = tiny(backbone="hub", hub_model=json.dumps(RESNET), frozen=True).train()
    kept = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    optimiser = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=0.1, weight_decay=0.5)
    before = model.pair.enter.weight.detach().clone()
    for _ in range(2):
        model.train()
        model(**toy.batch(4)).loss.backward()
        optimiser.step()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in model.encoder.state_dict().items())
    assert not torch.equal(model.pair.enter.weight, before)


def test_evidence_needs_no_gradient_in_a_frozen_encoder() -> None:
    heat = [one.evidence for one in tiny(frozen=True).answer(toy.batch(2), evidence=True)]
    assert all(one is not None and one["change"].shape == (8, 8) for one in heat)


@pytest.mark.parametrize(("pairing", "millions"), [("D", 6.9), ("S", 7.0)])
def test_published_size(pairing: str, millions: float) -> None:
    """The specification counts 40.8 M with 66 words and the D encoder; ours has a few words and positions more."""
    size = {name: sum(one.numel() for one in part.parameters()) for name, part in sizes(pairing).items()}
    assert size["pair"] == pytest.approx(millions * 1e6, rel=0.02)
    assert size["pair"] + size["decoder"] == pytest.approx(40.8e6, rel=0.02)
    assert size["encoder"] == pytest.approx(27.5e6, rel=0.02), "ResNet-101 without its last stage"


def sizes(pairing: str) -> dict[str, torch.nn.Module]:
    published = meta_model("mccformers/answer", "paper")
    assert isinstance(published, Mccformers)
    if pairing == "D":
        return dict(published.named_children())
    with torch.device("meta"):
        other = Mccformers(MccformersConfig(**{**load_preset("mccformers/answer", "paper").model, "pairing": "S"}))
    return dict(other.named_children())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pairing": "E"}, "pairing"),
        ({"decoder_width": 36, "pair_heads": 4}, "half"),
        ({"backbone": "vgg"}, "backbone"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        MccformersConfig(**{**TINY, **change})


@pytest.mark.slow
@pytest.mark.parametrize("pairing", ["D", "S"])
def test_eight_pairs_are_learnt_by_heart(pairing: str) -> None:
    contract.eight_pairs_are_learnt_by_heart(contract.Subject("mccformers/answer"), pairing=pairing)
