"""PLURAL: its sequence of films and text, its reports, OFA's weights, and the defects that it must not have."""

from __future__ import annotations

from pathlib import Path

import contract
import pytest
import torch
import toy
from torch.nn import functional as F

from intervalchange.blocks.tokenizer import Tokens
from intervalchange.data.batch import Batch
from intervalchange.errors import ConfigError
from intervalchange.losses import answer_nll
from intervalchange.methods.plural.answer import Plural, PluralConfig
from intervalchange.methods.plural.findings import PluralFindings, PluralFindingsConfig
from intervalchange.methods.plural.ofa import ofa_tensors, our_name
from intervalchange.methods.plural.reports import PROMPTS, TextOutputs, section
from intervalchange.methods.plural.two_stream import ScaledOutput
from intervalchange.training.listing import meta_model
from intervalchange.training.stage import start_from, train

TINY = {
    "pixels": 64,
    "encoder_widths": (8, 16),
    "encoder_depth": 0,
    "stem_stride": 4,
    "grid": 4,
    "decoder_width": 32,
    "decoder_layers": 1,
    "decoder_heads": 2,
    "decoder_feedforward": 32,
    "dropout": 0.0,
}


def tiny(**changes: object) -> Plural:
    torch.manual_seed(0)
    return Plural(PluralConfig(**{**TINY, **changes}))


def of_reports(**changes: object) -> PluralFindings:
    torch.manual_seed(0)
    return PluralFindings(PluralFindingsConfig(**{**TINY, **changes}))


def logits(model: Plural, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        read = model.memory(model.encode_films(batch), batch.has_prior)
        return model.decoder(*model.prefix(batch.question), model.encode_answers(batch.answer), **read)


# --- what is read ----------------------------------------------------------------------------------------------


def test_exchanged_or_blank_films_change_the_logits() -> None:
    model, batch = tiny().eval(), toy.batch(4)
    given = logits(model, batch)
    for changed in (
        {"current": batch.prior, "prior": batch.current},
        {"prior": torch.zeros_like(batch.prior)},
        {"current": torch.zeros_like(batch.current)},
    ):
        assert (logits(model, Batch(**{**batch, **changed})) - given).abs().max() > 1e-3


def test_films_differ_in_their_vector_alone() -> None:
    """The same cell of both films has the same position: with one vector for both, exchanging them changes nothing."""
    model, batch = tiny().eval(), toy.batch(4)
    exchanged = Batch(**{**batch, "current": batch.prior, "prior": batch.current})
    with torch.no_grad():
        model.decoder.kinds.weight[0] = model.decoder.kinds.weight[1]
    assert torch.allclose(logits(model, batch), logits(model, exchanged), atol=1e-5)
    with torch.no_grad():
        model.decoder.cell_positions.weight.zero_()
        read = model.memory(model.encode_films(batch), batch.has_prior)
        order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
        moved = {"films": read["films"][:, order], "films_mask": read["films_mask"]}
        answer, text = model.encode_answers(batch.answer), model.prefix(batch.question)
        assert torch.allclose(model.decoder(*text, answer, **read), model.decoder(*text, answer, **moved), atol=1e-5)


def test_before_any_training_the_films_are_told_apart() -> None:
    """How far a swapped pair is from the pair, in distances of another pair: with marks of 0.02, a fiftieth."""
    model, batch = tiny(), toy.batch(8)
    model(**batch)  # the first batch standardises
    model.eval()
    given = logits(model, batch)
    swapped = logits(model, Batch(**{**batch, "current": batch.prior, "prior": batch.current}))
    others = logits(model, Batch(**{**batch, "current": batch.current.roll(1, 0), "prior": batch.prior.roll(1, 0)}))
    assert (swapped - given).std() > 0.1 * (others - given).std()


def test_an_absent_prior_is_not_read_whatever_it_holds() -> None:
    """Case by case: there, the first of a batch decided for all."""
    model, batch = tiny().eval(), toy.batch(4)
    batch["has_prior"] = torch.tensor([True, False, True, False])
    given = logits(model, batch)
    for pixels in (float("nan"), 1e6):
        changed = batch.prior.clone()
        changed[~batch.has_prior] = pixels
        assert torch.equal(logits(model, Batch(**{**batch, "prior": changed})), given)
    changed = batch.prior.clone()
    changed[0] = 0
    moved = (logits(model, Batch(**{**batch, "prior": changed})) - given).abs().amax(dim=(1, 2))
    assert moved[0] > 1e-3
    assert moved[1:].max() == 0


def test_words_are_not_seen_before_they_are_said() -> None:
    model, batch = tiny().eval(), toy.batch(2)
    given = logits(model, batch)
    answer = model.encode_answers(batch.answer)
    other = Tokens(answer.ids.clone(), answer.mask)
    other.ids[:, 3] = (other.ids[:, 3] + 1) % 200
    with torch.no_grad():
        read = model.memory(model.encode_films(batch), batch.has_prior)
        moved = (model.decoder(*model.prefix(batch.question), other, **read) - given).abs().amax(dim=2)
    assert moved[:, :4].max() < 1e-6
    assert moved[:, 4].min() > 1e-4


def test_what_is_generated_is_what_the_loss_scores() -> None:
    """With a cache and without: each word is the most likely one after those before it."""
    model, batch = tiny(answer_tokens=12).eval(), toy.batch(3)
    with torch.no_grad():
        read = model.memory(model.encode_films(batch), batch.has_prior)
        text = model.prefix(batch.question)
        said = model.decoder.generate(*text, limit=12, **read)
        again = model.decoder(*text, said, **read).argmax(dim=2)
    assert said.ids.shape[1] > 3
    assert torch.equal(said.ids * said.mask, again * said.mask)


def test_the_end_of_an_attention_against_a_slow_loop() -> None:
    torch.manual_seed(0)
    part, mixed = ScaledOutput(torch.nn.Linear(6, 6), heads=3), torch.randn(2, 4, 6)
    with torch.no_grad():
        part.heads.copy_(torch.tensor([1.0, -2.0, 0.5]))
        slow = torch.empty_like(mixed)
        for row in range(2):
            for word in range(4):
                scaled = torch.stack([mixed[row, word, k] * part.heads[k // 2] for k in range(6)])
                value = part.projection.weight @ scaled + part.projection.bias
                slow[row, word] = (value - value.mean()) / (value.var(unbiased=False) + 1e-5).sqrt()
        assert torch.allclose(part(mixed), slow, atol=1e-5)


def test_label_smoothing_by_hand() -> None:
    scores, target = torch.tensor([[[2.0, 0.0, -1.0]]]), torch.tensor([[0]])
    chances = F.log_softmax(scores[0, 0], dim=0)
    expected = -(0.9 * chances[0] + 0.1 * chances.mean())
    assert answer_nll(scores, target, torch.ones(1, 1), smoothing=0.1) == pytest.approx(expected.item())
    assert answer_nll(scores, target, torch.ones(1, 1)) == pytest.approx(-chances[0].item())


def test_punctuation_is_kept_unless_it_is_to_go() -> None:
    text = ["the main image is missing the finding of edema, than the reference image."]
    for strip, marks in ((False, 2), (True, 0)):
        model = tiny(strip_punctuation=strip)
        said = model.tokenizer.convert_ids_to_tokens(model.encode_answers(text).ids[0])
        assert sum(token in {",", "."} for token in said) == marks


def test_frozen_words_stay_as_they_are() -> None:
    model = tiny(frozen_words=True)
    language, before = model.decoder.language_model, model.decoder.embed(torch.arange(9)).clone()
    model(**toy.batch(2)).loss.backward()
    torch.optim.AdamW(model.parameters(), lr=0.1).step()
    assert torch.equal(model.decoder.embed(torch.arange(9)), before)
    assert language.lm_head.weight is language.get_input_embeddings().weight
    assert language.base_model.layers[0].fc1.weight.grad.abs().max() > 0


# --- reports ---------------------------------------------------------------------------------------------------


def test_sections_of_a_report() -> None:
    report = toy.report({"pneumothorax"})
    assert section(report, "impression") == "pneumothorax."
    assert section(report, "findings").startswith("There is no pleural effusion. There is a pneumothorax.")
    assert section("No edema.\n Normal heart.", "findings") == "No edema. Normal heart."
    assert section("No edema.", "impression") == ""


def test_each_target_is_asked_for_and_what_is_not_known_is_not_learnt() -> None:
    model, batch = of_reports(targets=("findings", "difference")), toy.batch(3)
    batch["report_current"][1] = ""
    asked, texts = model.targets(batch)
    assert asked == [PROMPTS["findings"]] * 3 + batch.question
    known = texts.mask.sum(dim=1).tolist()
    assert [count > 0 for count in known] == [True, False, True, True, True, True]
    spoken = model.tokenizer.batch_decode(texts.ids[3:], skip_special_tokens=True)
    assert [text.strip() for text in spoken] == batch.answer
    outputs = model.eval().validation_outputs(batch)
    assert [one.words for one in outputs] == [known[row] + known[3 + row] for row in range(3)]
    words = sum(one.words for one in outputs)
    mean = model.validation_scores(outputs)[model.selection]
    assert -mean == pytest.approx(model(**batch).loss.item(), rel=1e-4)
    assert words == sum(known)


def test_no_word_has_no_likelihood() -> None:
    assert of_reports().validation_scores([TextOutputs(0.0, 0)])["word_log_likelihood"] == -float("inf")


def test_a_draw_of_cells_of_pairs_while_training() -> None:
    model, batch = of_reports(sample_patches=5).train(), toy.batch(4)
    has_prior = torch.tensor([True, True, True, False])
    maps = model.encode_films(batch)
    mask = model.memory(maps, has_prior)["films_mask"].unflatten(1, (2, 16))
    assert mask.sum(dim=2).tolist() == [[5, 5], [5, 5], [5, 5], [0, 16]]
    assert not torch.equal(mask[0, 0], mask[0, 1])
    assert not torch.equal(mask, model.memory(maps, has_prior)["films_mask"].unflatten(1, (2, 16)))
    assert model.eval().memory(maps, has_prior)["films_mask"].sum(dim=1).tolist() == [32, 32, 32, 16]


def test_reports_are_learnt_and_written_and_answers_start_from_them(tmp_path: Path) -> None:
    model, batch = of_reports(smoothing=0.0), toy.batch(2)
    assert batch.report_current[0] != batch.report_current[1]
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        optimiser.zero_grad()
        model(**batch).loss.backward()
        optimiser.step()
    written = model.eval().write(batch.without("report_current", "report_prior", "answer"))
    assert written == [section(report, "findings").lower() for report in batch.report_current]
    model.save_pretrained(tmp_path)
    answers = tiny()
    assert " 0 missing, 0 unexpected" in start_from(answers, tmp_path)
    assert all(torch.equal(tensor, answers.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_data_without_reports_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="section of impression"):
        train("plural/impression", toy.cohort(tmp_path, train=2, val=1, test=1), tmp_path / "run", "tiny")


# --- OFA -------------------------------------------------------------------------------------------------------

RESNET = (
    '{"model_type": "resnet", "num_channels": 3, "embedding_size": 4, "depths": [1, 1, 1], "hidden_sizes": [4, 8, 16]}'
)
OFA = {"backbone": "hub", "hub_model": RESNET, "standardise": False, "vocab_size": 300}


def resnet_names(widths: tuple[int, ...] = (4, 8, 16), stem: int = 4) -> dict[str, torch.Size]:
    """A bottleneck ResNet in torchvision's names."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (stem, 3, 7, 7)}
    norms, before = {"bn1": stem}, stem
    for stage, width in enumerate(widths, start=1):
        inner, block = width // 4, f"layer{stage}.0."
        shapes[f"{block}conv1.weight"] = (inner, before, 1, 1)
        shapes[f"{block}conv2.weight"] = (inner, inner, 3, 3)
        shapes[f"{block}conv3.weight"] = (width, inner, 1, 1)
        norms |= {f"{block}bn1": inner, f"{block}bn2": inner, f"{block}bn3": width}
        if stage > 1:
            shapes[f"{block}downsample.0.weight"] = (width, before, 1, 1)
            norms[f"{block}downsample.1"] = width
        before = width
    for name, width in norms.items():
        shapes |= {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {name: torch.Size(shape) for name, shape in shapes.items()}


def ofa_state(width: int = 32, inner: int = 32, heads: int = 2, words: int = 300) -> dict[str, torch.Tensor]:
    """A state dict in the names and shapes of OFA's code, one layer a side."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.embed_tokens.weight": (words, width),
        "decoder.embed_tokens.weight": (words, width),
        "decoder.output_projection.weight": (words, width),
        "encoder.type_embedding.weight": (2, width),
        "encoder.embed_positions.weight": (1026, width),
        "encoder.embed_image_positions.weight": (1765, width),
        "encoder.image_rel_pos_table_list.0.weight": (6892, heads),
        "encoder.image_proj.weight": (width, 16),
        "encoder.image_proj.bias": (width,),
        "decoder.self_pos_q_linear.weight": (width, width),
    }
    norms = {
        "encoder": ("layers.0.attn_ln", "layers.0.self_attn_layer_norm", "layers.0.final_layer_norm"),
        "decoder": ("layers.0.self_attn_ln", "layers.0.cross_attn_ln", "layers.0.self_attn_layer_norm"),
    }
    norms["encoder"] += ("layer_norm", "layernorm_embedding", "patch_layernorm_embedding", "pos_ln")
    norms["decoder"] += ("layers.0.encoder_attn_layer_norm", "layers.0.final_layer_norm", "layer_norm")
    norms["decoder"] += ("layernorm_embedding", "code_layernorm_embedding")
    for side, attentions in (("encoder", ("self_attn",)), ("decoder", ("self_attn", "encoder_attn"))):
        layer = f"{side}.layers.0."
        for attention in attentions:
            shapes[f"{layer}{attention}.c_attn"] = (heads,)
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                shapes[f"{layer}{attention}.{part}.weight"] = (width, width)
                shapes[f"{layer}{attention}.{part}.bias"] = (width,)
        shapes |= {f"{layer}fc1.weight": (inner, width), f"{layer}fc1.bias": (inner,)}
        shapes |= {f"{layer}fc2.weight": (width, inner), f"{layer}fc2.bias": (width,)}
        shapes |= {f"{layer}ffn_layernorm.{part}": (inner,) for part in ("weight", "bias")}
        shapes |= {f"{side}.{norm}.{part}": (width,) for norm in norms[side] for part in ("weight", "bias")}
    shapes |= {f"encoder.embed_images.{name}": tuple(shape) for name, shape in resnet_names().items()}
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(shape, generator=generator) + 0.1 for name, shape in shapes.items()}


def test_ofa_is_loaded_into_every_layer(tmp_path: Path) -> None:
    state, path = ofa_state(), tmp_path / "ofa_base.pt"
    torch.save({"model": state, "cfg": None}, path)
    model = tiny(**OFA, ofa_weights=str(path))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_pretrained()
    after = model.state_dict()
    kept = {name for name in after if torch.equal(after[name], before[name])}
    assert {name for name in kept if not name.endswith("num_batches_tracked")} == {
        "decoder.cell_positions.weight",
        "decoder.text_positions.weight",
        "decoder.language_model.model.decoder.embed_positions.weight",
    }
    layer = "decoder.encoder.layers.0."
    assert torch.equal(after[f"{layer}self_attn.out_proj.heads"], state["encoder.layers.0.self_attn.c_attn"])
    assert torch.equal(after[f"{layer}self_attn.out_proj.norm.bias"], state["encoder.layers.0.attn_ln.bias"])
    assert torch.equal(after[f"{layer}fc2.1.weight"], state["encoder.layers.0.fc2.weight"])
    spoken = "decoder.language_model.model.decoder.layers.0."
    assert torch.equal(
        after[f"{spoken}encoder_attn.out_proj.norm.weight"], state["decoder.layers.0.cross_attn_ln.weight"]
    )
    assert torch.equal(after[f"{spoken}self_attn.out_proj.norm.weight"], state["decoder.layers.0.self_attn_ln.weight"])
    text, image = state["encoder.type_embedding.weight"]
    assert torch.equal(after["decoder.kinds.weight"], torch.stack([image, image, text]))
    assert torch.isfinite(model(**toy.batch(2)).loss)


def test_ofa_has_names_that_we_have_no_place_for() -> None:
    assert our_name("encoder.embed_positions.weight") is None
    assert our_name("decoder.output_projection.weight") is None
    assert our_name("encoder.layers.3.self_attn.q_proj.bias") == "decoder.encoder.layers.3.self_attn.q_proj.bias"


def test_a_vocabulary_of_another_size_is_left_behind(tmp_path: Path) -> None:
    torch.save(ofa_state(words=310), tmp_path / "ofa.pt")
    found = ofa_tensors(tiny(**OFA), str(tmp_path / "ofa.pt"))
    assert not [name for name in found if "embed_tokens" in name or "lm_head" in name]
    assert "decoder.encoder.layer_norm.weight" in found


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    torch.save(ofa_state(inner=64), tmp_path / "ofa.pt")
    with pytest.raises(ConfigError, match=r"fc1\.weight|fc1\.bias"):
        ofa_tensors(tiny(**OFA), str(tmp_path / "ofa.pt"))


def test_published_size() -> None:
    """Of the specification: encoder layers 42.6 M, decoder layers 56.8, words 45.7, ResNet 27.5; no OFA positions."""
    model = meta_model("plural/answer", "paper")

    def millions(module: torch.nn.Module) -> float:
        return sum(one.numel() for one in module.parameters()) / 1e6

    assert millions(model.decoder.encoder.layers) == pytest.approx(42.6, rel=0.01)
    assert millions(model.decoder.language_model.base_model.layers) == pytest.approx(56.8, rel=0.01)
    assert millions(model.decoder.language_model.get_input_embeddings()) == pytest.approx(45.7, rel=0.01)
    assert millions(model.encoder) == pytest.approx(27.5, rel=0.01)
    assert millions(model) == pytest.approx(182.2 - 4.7 - 5.0, rel=0.02)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"smoothing": 1.0}, "smoothing"), ({"targets": ("history",)}, "targets"), ({"sample_patches": 17}, "16 cells")],
)
def test_a_configuration_that_does_not_fit_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        PluralFindingsConfig(**{**TINY, **change})


@pytest.mark.slow
def test_eight_pairs_are_learnt_by_heart() -> None:
    contract.eight_pairs_are_learnt_by_heart(contract.Subject("plural/answer"))
