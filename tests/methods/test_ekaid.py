"""EKAID: what the published code gets wrong. Its graphs are in `test_region_graphs.py`."""

from __future__ import annotations

import math
from pathlib import Path

import contract
import pytest
import torch
import toy

from intervalchange.blocks.region_queries import RegionView
from intervalchange.blocks.tokenizer import Tokens, encode, template_tokenizer
from intervalchange.config import load_preset
from intervalchange.data.prepared import Prepared
from intervalchange.data.region_store import write_region_store
from intervalchange.errors import ConfigError
from intervalchange.findings import C2F_LABELS, C2F_REGIONS, EKAID_REGIONS
from intervalchange.inference import load
from intervalchange.methods.ekaid.answer import GRAPHS, Ekaid, EkaidConfig, QuestionEncoder
from intervalchange.methods.ekaid.dynamic_speaker import DynamicSpeaker
from intervalchange.methods.ekaid.knowledge import Knowledge
from intervalchange.training.listing import meta_model
from intervalchange.training.stage import train

SUBJECT = contract.Subject("ekaid/answer")


def model(**changes: object) -> Ekaid:
    return SUBJECT.model(**changes)


# --- question, difference, speaker -------------------------------------------------------------------------------


@torch.no_grad()
def test_question_attention_is_over_the_words_of_each_question() -> None:
    torch.manual_seed(0)
    tokenizer = template_tokenizer()
    texts = [
        "is there edema?",
        "what has changed in the left lower lung area compared to the reference image?",
        "edema",
    ]
    reader = QuestionEncoder(len(tokenizer), 6, 8, 0.0).eval()
    text = encode(tokenizer, texts)
    hidden, _ = reader.read(reader.words(text.ids))
    weights = reader.weights(hidden, text.mask)
    assert torch.allclose(weights.sum(1), torch.ones(3))
    assert not weights[text.mask == 0].any()
    for row, wanted in enumerate(reader(text)):
        scores = [math.exp(float(reader.score(word))) for word, counts in zip(hidden[row], text.mask[row], strict=True)
                  if counts]  # fmt: skip
        pooled = sum(score / sum(scores) * word for score, word in zip(scores, hidden[row], strict=False))
        assert torch.allclose(wanted, pooled, atol=1e-5)
        assert torch.allclose(reader(encode(tokenizer, texts[row : row + 1]))[0], wanted, atol=1e-6)


@torch.no_grad()
def test_a_channel_has_one_scale_in_all_regions_and_nodes_know_their_place() -> None:
    """A region that hardly moves must not be blown up to the size of the others: the nodes are added up."""
    answerer, batch = model(), toy.batch(8)
    views = answerer.region_views(batch)
    for view in views:
        view.disease[:, 3] *= 0.01
    _, disease, _ = answerer.region_vectors(views)
    spread = disease.std(0).mean(-1)
    assert spread[3] < 0.05 * spread[4:].mean()
    assert 0.8 < answerer.node_types.weight.std() < 1.2


@torch.no_grad()
def test_the_question_changes_the_nodes() -> None:
    answerer, batch = model().eval(), toy.batch(2)
    seen = answerer.encode_films(batch)
    one, other = (
        answerer.relate(seen, answerer.encode_questions([text] * 2)) for text in (batch.question[0], "is there edema?")
    )
    assert not torch.allclose(one, other, atol=1e-4)


@torch.no_grad()
def test_the_same_film_twice_has_no_difference_and_a_missing_prior_has_no_part() -> None:
    answerer, batch = model().eval(), toy.batch(3)
    batch["prior"] = batch["current"].clone()
    compared = answerer.fuse(answerer.encode_films(batch), batch.question)
    assert compared.parts[:, 1].abs().max() < 1e-5
    assert compared.parts[:, 2].abs().max() > 1e-2
    assert compared.mask.all()
    single = toy.batch(3, kind="presence")
    compared = answerer.fuse(answerer.encode_films(single), single.question)
    assert compared.mask.tolist() == [[False, False, True]] * 3
    assert not compared.attention[:3].any()


@torch.no_grad()
def test_a_region_that_is_not_there_says_nothing() -> None:
    answerer, batch = model().eval(), toy.batch(2)
    views = answerer.region_views(batch)
    for view in views:
        view.presence[:, 3] = -100
    stored = type(batch)(**{**batch, "features_prior": views[0].packed(), "features_current": views[1].packed()})
    given = answerer.fuse(answerer.encode_films(stored), batch.question)
    for side in ("features_prior", "features_current"):
        moved = RegionView.unpacked(stored[side].clone(), answerer.config.width)
        moved.anatomy[:, 3] += 1
        moved.disease[:, 3] -= 1
        moved.boxes[:, 3] = torch.tensor([0.1, 0.1, 0.3, 0.3])
        stored[side] = moved.packed()
    found = answerer.fuse(answerer.encode_films(stored), batch.question)
    assert torch.allclose(found.parts, given.parts, atol=1e-5)
    stored["features_current"][:, 4] += 1
    assert not torch.allclose(
        answerer.fuse(answerer.encode_films(stored), batch.question).parts, given.parts, atol=1e-3
    )


def speaker() -> DynamicSpeaker:
    torch.manual_seed(0)
    return DynamicSpeaker(template_tokenizer(), parts=6, width=5, words=4, hidden=7, speech=3, dropout=0.0).eval()


@torch.no_grad()
def test_the_speaker_says_what_training_would_score_highest() -> None:
    talker, parts, mask = speaker(), 5 * torch.randn(6, 3, 6), torch.ones(6, 3, dtype=torch.bool)
    lengths = set()
    for eagerness in torch.linspace(0, 1, 21).tolist():
        talker.leave.bias[talker.eos] = eagerness
        said = talker.generate(parts, mask, limit=12)
        counts = said.mask.bool()
        assert torch.equal(talker(parts, mask, said).argmax(-1)[counts], said.ids[counts])
        assert (said.ids[~counts] == talker.pad).all()
        ends = (said.ids == talker.eos) & counts
        assert torch.equal(ends.long().argmax(1)[ends.any(1)], counts.sum(1)[ends.any(1)] - 1)
        lengths |= {*counts.sum(1).tolist()}
    assert len(lengths) > 2, "answers of different lengths were compared"


@torch.no_grad()
def test_training_begins_with_the_token_that_answering_begins_with() -> None:
    talker, parts, mask = speaker(), torch.randn(2, 3, 6), torch.ones(2, 3, dtype=torch.bool)
    first: list[list[int]] = []
    handle = talker.words.register_forward_pre_hook(
        lambda module, ids: first.append(ids[0].reshape(2, -1)[:, 0].tolist())
    )
    talker(parts, mask, Tokens(torch.full((2, 3), 9), torch.ones(2, 3, dtype=torch.long)))
    talker.generate(parts, mask, limit=1)
    handle.remove()
    assert first == [[talker.bos] * 2] * 2


@torch.no_grad()
def test_the_speaker_hears_all_parts_and_not_the_future() -> None:
    talker, parts, mask = speaker(), torch.randn(2, 3, 6), torch.ones(2, 3, dtype=torch.bool)
    answer = Tokens(torch.randint(5, 50, (2, 6)), torch.ones(2, 6, dtype=torch.long))
    given = talker(parts, mask, answer)
    for part in range(3):
        moved = parts.clone()
        moved[:, part] += 1
        assert not torch.allclose(talker(moved, mask, answer), given, atol=1e-4)
        gone = mask.clone()
        gone[:, part] = False
        assert torch.equal(talker(moved, gone, answer), talker(parts, gone, answer))
    changed = Tokens(answer.ids.clone(), answer.mask)
    changed.ids[:, 3] = 7
    later = talker(parts, mask, changed)
    assert torch.equal(later[:, :4], given[:, :4])
    assert not torch.allclose(later[:, 4], given[:, 4], atol=1e-4)


# --- the whole -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("graphs", [("semantic",), ("spatial", "implicit"), GRAPHS])
def test_rows_of_the_ablation_take_a_step(graphs: tuple[str, ...]) -> None:
    one = model(graphs=graphs)
    output = one(**toy.batch(3))
    output.loss.backward()
    assert set(one.graphs) == {*graphs}
    assert float(output.loss.detach()) == pytest.approx(
        float(output.terms["generation"] + 0.0025 * output.terms["attention"])
    )
    read = [tensor for name, tensor in one.named_parameters() if tensor.requires_grad and "vision." not in name]
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in read)
    found = one.vision.diseases.findings.weight.grad
    assert (found is not None) == ("semantic" in graphs), "findings are read by the semantic graph alone"


def test_rows_that_do_not_exist_are_refused() -> None:
    for graphs in ((), ("semantic", "semantic"), ("temporal",)):
        with pytest.raises(ConfigError, match="graphs"):
            model(graphs=graphs)
    with pytest.raises(ConfigError, match="node_width"):
        model(node_width=33)


def test_ekaids_own_regions_and_fewer_findings() -> None:
    one = model(region_names=EKAID_REGIONS, findings=("edema", "fracture"))
    output = one(**toy.batch(2))
    assert torch.isfinite(output.loss)
    assert one.encode_films(toy.batch(2)).nodes.shape[:2] == (4, 52)


def test_runs_of_before_keep_the_gate_they_were_trained_with() -> None:
    """A configuration that does not say reads the parts of speech from the LSTM that weighs, as versions before did."""
    assert EkaidConfig().speech_from == "module"
    assert {load_preset("ekaid/answer", size).model["speech_from"] for size in ("tiny", "small", "paper")} == {
        "language"
    }


def test_labels_of_chest_imagenome_belong_to_organs() -> None:
    known = Knowledge.of(C2F_REGIONS, C2F_LABELS)
    assert known.findings.any(1).all()
    kinds = [C2F_LABELS.index(name) for name in ("pulmonary edema/hazy opacity", "pleural effusion")]
    assert kinds in known.together.tolist() and kinds[::-1] in known.together.tolist()


def test_the_published_sizes() -> None:
    big = meta_model("ekaid/answer", "paper")
    assert sum(parameter.numel() for parameter in big.decoder.parameters()) == pytest.approx(17.8e6, rel=0.02)
    assert (big.config.node_width, big.config.speaker_width, big.config.speech_parts) == (1024, 512, 16)
    assert big.config.region_names == C2F_REGIONS


@pytest.mark.slow
def test_eight_pairs_are_learnt_by_heart() -> None:
    contract.eight_pairs_are_learnt_by_heart(SUBJECT, steps=500, rate=3e-3)


@pytest.mark.slow
def test_starts_from_a_film_stage_with_and_without_its_store(tmp_path: Path) -> None:
    prepared = toy.cohort(tmp_path, train=16, val=8, test=2)
    brief = {"train.max_steps": 3, "train.eval_every": 3}
    films = train("c2f/diseases", prepared, tmp_path / "films", "tiny", overrides=brief)
    write_region_store(Prepared(prepared), load(films).model, progress=False)
    seen = load(films).model.vision.state_dict()
    for regions in ("store", "fly"):
        rest = {"model.regions": regions, "model.vision_rate": 0.0}
        run = train("ekaid/answer", prepared, tmp_path / regions, "tiny", sources=[films], overrides={**brief, **rest})
        trained = load(run).model
        assert all(torch.equal(tensor, seen[name]) for name, tensor in trained.vision.state_dict().items())
        assert len(trained.answer(toy.batch(2))) == 2
    with pytest.raises(ConfigError, match="made by weights"):
        train(
            "ekaid/answer", prepared, tmp_path / "none", "tiny", overrides={**brief, **rest, "model.regions": "store"}
        )
