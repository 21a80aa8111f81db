"""ReAl: what its residual, its alignment and its ablation must do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import toy

from intervalchange.config import load_preset
from intervalchange.data.batch import Batch
from intervalchange.errors import ConfigError, InputError
from intervalchange.methods.real.answer import Real, RealConfig
from intervalchange.training.listing import meta_model

TINY = {
    "pixels": 64,
    "encoder_widths": (8, 16, 24),
    "encoder_depth": 0,
    "stem_stride": 2,
    "queries": 3,
    "projection_width": 16,
    "projection_heads": 2,
    "projection_feedforward": 32,
    "decoder_width": 32,
    "decoder_layers": 1,
    "decoder_heads": 2,
    "dropout": 0.0,
}


def tiny(**changes: object) -> Real:
    torch.manual_seed(0)
    return Real(RealConfig(**{**TINY, **changes}))


class Exact(torch.nn.Module):
    """A residual encoder that gives what the film encoder's difference is."""

    def __init__(self, model: Real, batch: object) -> None:
        super().__init__()
        maps = model.encode_films(batch).maps()
        self.difference = maps["current"] - maps["prior"]

    def forward(self, residual: torch.Tensor) -> object:
        return type("Features", (), {"map": self.difference})


def alignment(model: Real, batch: Batch) -> torch.Tensor:
    films = model.encode_films(batch)
    return model.alignment(films.maps(), films.has_prior)


def test_alignment_is_zero_where_the_residual_is_the_difference() -> None:
    model, batch = tiny(), toy.batch(4)
    model.residual_encoder = Exact(model, batch)
    assert alignment(model, batch).item() == 0.0


def test_before_any_training_the_films_are_told_apart() -> None:
    """How far a swapped pair is from the pair, in distances of another pair: with marks of 0.02, a fiftieth."""
    model, batch = tiny(residual=False, alignment=False), toy.batch(8)
    model(**batch)  # the first batch standardises
    model.eval()
    answer = model.encode_answers(batch.answer)

    def logits(prior: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            films = {**batch, "current": current, "prior": prior}
            context = model.context(model.encode_films(films), films)
            return model.decoder(context.prefix, context.mask, answer)

    given, swapped = logits(batch.prior, batch.current), logits(batch.current, batch.prior)
    others = logits(batch.prior.roll(1, 0), batch.current.roll(1, 0))
    assert (swapped - given).std() > 0.1 * (others - given).std()


def test_identical_films_have_no_residual_and_a_swap_negates_it() -> None:
    model, batch = tiny(), toy.batch(4)
    assert torch.count_nonzero(model.residual_image(batch.current, batch.current)) == 0
    there = model.residual_image(batch.current, batch.prior)
    assert torch.count_nonzero(there) > 0
    assert torch.equal(model.residual_image(batch.prior, batch.current), -there)


def test_gradients_reach_the_residual_encoder_through_both_losses() -> None:
    batch = toy.batch(4)
    for weight, expected in ((0.0, "generation"), (1.0, "alignment")):
        model = tiny(alignment_weight=weight, detach_epochs=0.0)
        loss = model(**batch).loss if expected == "generation" else alignment(model, batch)
        loss.backward()
        gradients = [parameter.grad for parameter in model.residual_encoder.parameters()]
        assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients), expected


def test_detach_ends_after_its_epochs() -> None:
    batch = toy.batch(4)
    for epoch, reaches in ((0.5, False), (2.0, True)):
        model = tiny(detach_epochs=1.0)
        model.progress(step=0, steps=10, epoch=epoch)
        alignment(model, batch).backward()
        assert (model.film_encoder.stages[0].weight.grad is not None) == reaches


@pytest.mark.parametrize("row", [{"residual": False, "alignment": False}, {"alignment": False}, {}])
def test_rows_of_the_ablation_run(row: dict[str, bool]) -> None:
    model, batch = tiny(**row), toy.batch(4)
    output = model(**batch)
    output.loss.backward()
    assert ("alignment" in output.terms) == (not row)
    assert hasattr(model, "residual_encoder") == row.get("residual", True)
    assert len(model.eval().answer(batch)) == 4


@pytest.mark.parametrize(
    "change", [{"con_sign": -1}, {"con_at": "tokens"}, {"reduction": "sum"}, {"slots": False}, {"beams": 2}]
)
def test_every_open_point_of_the_paper_runs(change: dict[str, object]) -> None:
    model, batch = tiny(**change), toy.batch(2)
    assert torch.isfinite(model(**batch).loss)
    assert len(model.eval().answer(batch)) == 2


def test_order_is_the_order_of_the_prefix() -> None:
    batch = toy.batch(2)
    model = tiny(slots=False)
    films = model.encode_films(batch)
    tokens = model.tokens(films)
    assert torch.equal(model.context(films, batch).prefix[:, :3], tokens["residual"])
    model.config.order = ("current", "residual", "prior")
    assert torch.equal(model.context(films, batch).prefix[:, :3], tokens["current"])


def test_exchanging_the_films_changes_the_loss_of_an_untrained_model() -> None:
    model, batch = tiny(), toy.batch(4)
    given = model(**batch).terms["generation"]
    batch["current"], batch["prior"] = batch.prior, batch.current
    assert abs(model(**batch).terms["generation"] - given) > 1e-5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"order": ("prior", "current")}, "order"),
        ({"residual": False}, "alignment needs the residual"),
        ({"con_sign": 2}, "con_sign"),
        ({"decoder_positions": 50}, "positions"),
        ({"backbone": "vgg"}, "backbone"),
        ({"backbone_weights": "resnet"}, "resnet50"),
        ({"querys": 3}, "queries"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        RealConfig(**{**TINY, **change})


def test_absent_prior_is_not_looked_at() -> None:
    model, batch = tiny().eval(), toy.batch(3, kind="presence")
    with torch.no_grad():
        given = model(**batch).terms["generation"]
        batch["prior"] = torch.randn_like(batch.prior)
        assert torch.equal(model(**batch).terms["generation"], given)
    assert len(model.answer(batch)) == 3


def test_difference_question_without_prior_is_refused() -> None:
    model, batch = tiny().eval(), toy.batch(2)
    batch["has_prior"] = torch.tensor([True, False])
    with pytest.raises(InputError, match="case-1"):
        model.answer(batch)


def test_evidence_is_a_map_of_the_current_film_and_never_constant() -> None:
    model, batch = tiny().eval(), toy.batch(3)
    for prediction in model.answer(batch, evidence=True):
        if prediction.evidence is not None:
            heat = prediction.evidence["change"]
            assert heat.shape == (8, 8)
            assert heat.min() >= 0
            assert heat.max() == 1
            assert heat.min() < 1
    assert all(prediction.evidence is None for prediction in model.answer(batch))


def test_confidence_is_the_probability_of_the_answer() -> None:
    model, batch = tiny(answer_tokens=4).eval(), toy.batch(3)
    for prediction in model.answer(batch):
        assert 0 < prediction.confidence["answer"] < 1


@pytest.mark.slow
def test_overfits_eight_pairs_to_exact_match() -> None:
    model, batch = tiny(alignment_weight=0.1), toy.batch(8, seed=3)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(600):
        loss = model(**batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 49:
            answers = [prediction.answer for prediction in model.eval().answer(batch)]
            model.train()
            if answers == batch.answer:
                return
    pytest.fail(f"after 600 steps: {answers} instead of {batch.answer}")


def test_paper_size_is_the_published_one() -> None:
    model = meta_model("real/answer", "paper")
    config = model.config
    assert (config.backbone, config.pixels, config.decoder_width, config.decoder_layers) == ("resnet50", 512, 768, 12)
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(191.2e6, rel=0.02)


def test_an_encoder_that_saw_other_grey_levels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "config.json").write_text(json.dumps({"backbone": "conv", "greys": "half"}))
    config = load_preset("real/answer", "tiny").model
    with pytest.raises(ConfigError, match="greys 'half', not 'ranks'"):
        Real(RealConfig(**config)).map_pretrained({}, tmp_path)
    assert Real(RealConfig(**config, greys="half")).map_pretrained({}, tmp_path) == {}


def test_tiny_preset_is_tiny() -> None:
    assert sum(parameter.numel() for parameter in meta_model("real/answer", "tiny").parameters()) < 1e6


@pytest.mark.slow
def test_paper_size_takes_a_step() -> None:
    from intervalchange.blocks.tokenizer import template_tokenizer

    config = RealConfig(**load_preset("real/answer", "paper").model)
    model = Real(config, tokenizer=template_tokenizer())
    batch = toy.batch(1)
    for side in ("current", "prior"):
        batch[side] = torch.nn.functional.interpolate(batch[side], config.pixels)
    output = model(**batch)
    output.loss.backward()
    assert torch.isfinite(output.loss)
    assert all(parameter.grad is not None for parameter in model.parameters())
