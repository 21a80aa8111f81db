"""C2F's two stages over pairs: what the published code never did, tested."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import toy

from intervalchange.blocks.tokenizer import Tokens, template_tokenizer
from intervalchange.config import load_preset
from intervalchange.data.answer_words import key_vocabulary
from intervalchange.errors import ConfigError
from intervalchange.findings import C2F_LABELS, C2F_REGIONS, EKAID_REGIONS
from intervalchange.grammar import NOTHING
from intervalchange.methods import method_class
from intervalchange.methods.c2f.align import C2FAlign
from intervalchange.methods.c2f.answer import C2F, C2FConfig

STAGES = ("c2f/align", "c2f/answer")
ROWS = [
    {"graph": False},
    {"difference": False},
    {"pairing": "S"},
    {"coarse_weight": 0.0, "fine_weight": 0.0},
    {"coarse_weight": 0.0, "fine_weight": 0.0, "matching_weight": 0.0},
    {"vision_rate": 0.0},
    {"slots": 0},
    {"region_names": EKAID_REGIONS},
    {"findings": ("edema", "pleural effusion")},
    {"aliases": ("aortic arch=aorta",)},
    {"contrast": "published", "slots": 0},
    {"findings": ("imagenome",), "aliases": ("published",)},
    {"graph_dropout": 0.5, "pair_dropout": 0.5, "dropout": 0.1},
]


def model(stage: str = "c2f/answer", **changes: object) -> C2FAlign:
    torch.manual_seed(0)
    kind = method_class(stage)
    return kind(kind.config_class(**{**load_preset(stage, "tiny").model, **changes}))


def logits(answerer: C2F, batch: object, answer: Tokens) -> torch.Tensor:
    asked = answerer.fuse_question(answerer.fuse_films(answerer.encode_films(batch)), batch.question)
    return answerer.decoder(answerer.to_decoder(asked.tokens), asked.mask, answer)


def test_the_decoder_sees_both_films_and_not_the_future() -> None:
    answerer, batch = model().eval(), toy.batch(3)
    answer = Tokens(torch.randint(5, 50, (3, 6)), torch.ones(3, 6, dtype=torch.long))
    with torch.no_grad():
        given = logits(answerer, batch, answer)
        for side in ("current", "prior"):
            other = type(batch)(**{**batch, side: torch.roll(batch[side], 1, dims=0)})
            assert (logits(answerer, other, answer) - given).abs().max() > 1e-5, side
        changed = Tokens(answer.ids.clone(), answer.mask)
        changed.ids[:, 4] = 7
        later = logits(answerer, batch, changed)
    assert torch.allclose(later[:, :5], given[:, :5], atol=1e-5)
    assert not torch.allclose(later[:, 5], given[:, 5], atol=1e-5)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("size", [1, 2, 8])
def test_a_step_gives_a_finite_scalar_and_reaches_every_part(stage: str, size: int) -> None:
    trained, batch = model(stage), toy.batch(size)
    batch["answer"] = ["", *batch.answer[1:]]  # no key word at all
    loss = trained(**batch).loss
    loss.backward()
    assert loss.ndim == 0 and torch.isfinite(loss)
    for name, parameter in trained.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    if size > 1:
        parts = (
            "anatomy_tokens",
            "disease_tokens",
            "graph.first",
            "pairs.layers",
            "text.layers.0.across",
            "vision.encoder",
        )
        reached = dict.fromkeys(parts, 0.0)
        for name, parameter in trained.named_parameters():
            for part in parts:
                if name.startswith(part) and parameter.grad is not None:
                    reached[part] += float(parameter.grad.abs().sum())
        assert all(reached.values()), reached


@pytest.mark.parametrize(
    ("stage", "row"), [("c2f/answer", row) for row in ROWS] + [("c2f/align", row) for row in ROWS[:4]], ids=str
)
def test_rows_of_the_ablation_run(stage: str, row: dict[str, object]) -> None:
    trained, batch = model(stage, **row), toy.batch(3)
    output = trained(**batch)
    output.loss.backward()
    assert torch.isfinite(output.loss)
    assert ("coarse" in output.terms) == (row.get("coarse_weight") is None)
    if stage == "c2f/answer":
        assert len(trained.eval().answer(batch, evidence=True)) == 3


def test_without_the_difference_the_films_are_still_compared() -> None:
    for row in ({}, {"difference": False}):
        trained, batch = model(**row).eval(), toy.batch(2)
        with torch.no_grad():
            seen = trained.encode_films(batch)
            pair = trained.fuse_films(seen)
        assert pair.tokens.shape[1] == (2 if row else 4) * seen.current.shape[1]


def test_the_same_film_twice_has_no_difference_and_a_swap_negates_it() -> None:
    trained, batch = model().eval(), toy.batch(2)
    batch["prior"] = batch.current
    with torch.no_grad():
        seen = trained.encode_films(batch)
    assert torch.allclose(seen.current, seen.prior, atol=1e-5)


def test_names_of_nodes_are_encoded_once_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, calls = model("c2f/align", coarse_weight=0.0, fine_weight=0.0), []
    given = trained.text.forward

    def watched(text: Tokens, *rest: object, **more: object) -> torch.Tensor:
        calls.append(len(text.ids) if not rest and not more else 0)
        return given(text, *rest, **more)

    monkeypatch.setattr(trained.text, "forward", watched)
    for _ in range(3):
        trained(**toy.batch(2))
    nodes = len(trained.config.region_names) + len(trained.config.findings)
    assert [size for size in calls if size] == [nodes]
    assert trained.node_vectors.shape[0] == nodes
    assert trained.node_vectors.abs().sum() > 0


def test_tables_follow_the_configuration() -> None:
    for names in (C2F_REGIONS, EKAID_REGIONS, C2F_REGIONS[:5]):
        for graph in (True, False):
            trained = model(region_names=names, findings=("edema",), graph=graph)
            assert len(trained.pairs.positions) == 2 * len(names) + graph * (len(names) + 1)


def test_masked_words_are_key_words_and_the_only_one_is_always_masked() -> None:
    trained = model("c2f/align")
    answers = ["yes", "the main image has additional findings of edema, and hernia than the reference image.", ""]
    words = trained._words(answers, 40)
    for step in range(5):
        filled, hidden = trained._hide_words(words, ["a", "b", "c"], step)
        assert not hidden[:, 0].any() and not (hidden & (words.mask == 0)).any()
        assert hidden[0].sum() == 1 and hidden[1].any() and not hidden[2].any()
        said = set(trained.tokenizer.convert_ids_to_tokens(words.ids[hidden].tolist()))
        assert said <= key_vocabulary()
        assert torch.equal(filled[~hidden], words.ids[~hidden])


def test_answers_and_near_misses_go_through_one_encoder_with_one_prefix() -> None:
    trained, batch, seen = model("c2f/align"), toy.batch(4), []
    handle = trained.text.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    trained(**batch)
    handle.remove()
    read = max(seen, key=lambda text: len(text.ids))
    assert (read.ids[:, 0] == trained.tokenizer.bos_token_id).all()
    true, miss = read.ids[:4], read.ids[4:8]
    assert (true != miss).any(dim=1).all()


def test_near_misses_use_no_word_that_no_answer_has() -> None:
    trained = model("c2f/align")
    answers = [
        f"the main image has an additional finding of {name} than the reference image." for name in ("edema", "hernia")
    ]
    trained.check_items(SimpleNamespace(answers=[*answers, NOTHING]))
    assert trained.hard_negatives(answers[0], "difference") == ((answers[1],),), "not missing, which was never heard"
    assert trained.hard_negatives("yes", "presence") == ()


def test_alignment_is_judged_case_by_case() -> None:
    trained, batch = model("c2f/align").eval(), toy.batch(6)
    outputs = trained.validation_outputs(batch)
    metrics = trained.validation_scores(outputs)
    assert len(outputs) == 6
    assert metrics["alignment"] == pytest.approx((metrics["matching.accuracy"] + metrics["masking.accuracy"]) / 2)


def test_what_two_stages_share_has_one_name() -> None:
    first, second = model("c2f/align").state_dict(), model("c2f/answer").state_dict()
    shared = {name for name in first if name in second and first[name].shape == second[name].shape}
    assert {name.split(".")[0] for name in first.keys() - shared} == {"fill", "fill_bias"}
    assert {name.split(".")[0] for name in second.keys() - shared} == {"to_decoder", "decoder"}
    diseases = method_class("c2f/diseases")
    seen = diseases(diseases.config_class(**load_preset("c2f/diseases", "tiny").model)).state_dict()
    assert {name for name in first if name.startswith("vision.")} == {
        name for name in seen if name.startswith("vision.")
    }


def test_paper_size_has_the_published_parts() -> None:
    """Counts of the specification, in millions: D 14.9, S 11.7, graph convolution 1.6."""
    paper = load_preset("c2f/answer", "paper").model
    kind = method_class("c2f/answer")
    for change, part, count in (
        ({}, "pairs", 11.7),
        ({"pairing": "D", "pair_feedforward": 3072}, "pairs", 14.9),
        ({}, "graph", 1.6),
    ):
        with torch.device("meta"):
            built = kind(kind.config_class(**{**paper, **change}), tokenizer=template_tokenizer())
        millions = sum(parameter.numel() for parameter in getattr(built, part).parameters()) / 1e6
        assert millions == pytest.approx(count, rel=0.02), (part, change)


def test_the_paper_preset_is_the_published_code() -> None:
    """62 nodes of 24 regions and 38 labels; the numbers of the code and of its optimiser."""
    paper = load_preset("c2f/answer", "paper")
    config = C2FConfig(**paper.model)
    assert (len(config.node_texts), len(set(config.node_texts))) == (62, 50)
    assert config.findings == C2F_LABELS
    assert (config.node_texts[17], config.node_texts[24 + 16]) == ("aorta", "pneumomediastinum")
    assert (config.pairing, config.pair_dropout, config.graph_dropout, config.repetition_penalty) == (
        "S",
        0.1,
        0.5,
        1.2,
    )
    train = paper.train
    assert (train.optimizer, train.learning_rate, train.weight_decay, train.max_steps) == ("adam", 6e-6, 1e-5, 400_000)
    assert load_preset("c2f/diseases", "paper").train.learning_rate == 1e-6
    unknown = template_tokenizer().unk_token_id
    words = template_tokenizer()(list(config.node_texts), add_special_tokens=False)["input_ids"]
    said = {text for text, ids in zip(config.node_texts, words, strict=True) if unknown in ids}
    assert said == {"cavoatrial junction"}, "the texts are words of the questions"


def test_the_published_contrast_has_fixed_scales_and_no_first_token() -> None:
    torch.manual_seed(0)
    published = model("c2f/align", contrast="published")
    assert not [name for name, _ in published.named_parameters() if name.endswith("_scale")]
    batch = toy.batch(4)
    question = published.fuse_question(published.fuse_films(published.encode_films(batch)), batch.question)
    given = published._contrasts(question, batch)
    question.tokens[:, published.config.slots] = 0
    changed = published._contrasts(question, batch)
    assert given["fine"] == changed["fine"]
    assert given["coarse"] != changed["coarse"]


def test_a_repetition_penalty_changes_answers() -> None:
    answers = []
    for penalty in (1.0, 1e6):
        answerer = model("c2f/answer", repetition_penalty=penalty).eval()
        context = answerer.context(answerer.encode_films(toy.batch(1)), toy.batch(1))
        answers.append(answerer.generate(context).ids[0].tolist())
    assert len(set(answers[1])) == len(answers[1])
    assert len(set(answers[0])) < len(answers[0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"regions": "store", "vision_rate": 1.0}, "do not learn"),
        ({"aliases": ("aorta=arch",)}, "no node"),
        ({"findings": ("cough",)}, "not a finding"),
        ({"width": 18}, "width"),
        ({"pairing": "X"}, "pairing"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        C2FConfig(**{**load_preset("c2f/answer", "tiny").model, **change})


def test_evidence_names_regions_and_nodes() -> None:
    (first, *_) = model().eval().answer(toy.batch(2), evidence=True)
    names = list(first.evidence)
    assert names[0] == "change"
    assert any(name.startswith("region: ") and name.removeprefix("region: ") in C2F_REGIONS for name in names)
    assert any(name.startswith("node: ") for name in names)


@pytest.mark.slow
def test_overfits_eight_pairs_to_exact_match() -> None:
    trained, batch = model(coarse_weight=0.1, fine_weight=0.1, matching_weight=0.1), toy.batch(8, seed=3)
    optimiser = torch.optim.AdamW(trained.parameters(), lr=2e-3)
    for step in range(400):
        loss = trained(**batch).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 49:
            answers = [prediction.answer for prediction in trained.eval().answer(batch)]
            trained.train()
            if answers == batch.answer:
                return
    pytest.fail(f"after 400 steps: {answers} instead of {batch.answer}")
