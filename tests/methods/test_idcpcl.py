"""IDCPCL: its three tasks against slow loops, its masks, and the defects of the published code."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import contract
import pytest
import torch
import toy
from transformers import ResNetConfig, ResNetModel

from intervalchange import grammar
from intervalchange.blocks.tokenizer import Tokens, encode
from intervalchange.blocks.word_masking import hide_words
from intervalchange.data.answer_words import choose_hard_negatives, hard_negatives
from intervalchange.data.batch import Batch
from intervalchange.errors import ConfigError
from intervalchange.losses import contrastive
from intervalchange.methods.idcpcl import answer as idcpcl
from intervalchange.methods.idcpcl.answer import Idcpcl, IdcpclConfig
from intervalchange.methods.idcpcl.prefix_transformer import PrefixStack
from intervalchange.methods.idcpcl.pretrain import TASKS, IdcpclPretrain, IdcpclPretrainConfig
from intervalchange.training.stage import start_from

TINY = {
    "pixels": 64,
    "encoder_widths": (8, 16),
    "encoder_depth": 0,
    "grid": 4,
    "decoder_width": 32,
    "decoder_layers": 2,
    "decoder_heads": 2,
    "decoder_feedforward": 64,
    "dropout": 0.0,
}
OBJECTIVES = pytest.mark.parametrize("objective", ["next", "mask"])


def answering(**changes: object) -> Idcpcl:
    torch.manual_seed(0)
    return Idcpcl(IdcpclConfig(**{**TINY, **changes}))


def pretraining(**changes: object) -> IdcpclPretrain:
    torch.manual_seed(0)
    return IdcpclPretrain(IdcpclPretrainConfig(**{**TINY, **changes}))


# --- the task of a step -------------------------------------------------------------------------------------------


def test_tasks_are_drawn_by_seed_and_step_alone_with_the_published_weights() -> None:
    model = pretraining()
    drawn = [model.task(step) for step in range(2200)]
    torch.manual_seed(123)
    again = IdcpclPretrain(model.config)
    assert drawn == [again.task(step) for step in range(2200)]
    other = pretraining(task_seed=1)
    assert drawn != [other.task(step) for step in range(2200)]
    counts = Counter(drawn)
    for task, share in zip(TASKS, (8 / 11, 1 / 11, 2 / 11), strict=True):
        assert abs(counts[task] / 2200 - share) < 4 * math.sqrt(share * (1 - share) / 2200)


def test_a_task_without_weight_is_never_drawn() -> None:
    model = pretraining(task_weights=(0, 1, 1))
    assert {model.task(step) for step in range(200)} == {"cells", "aligning"}


def test_each_step_trains_the_task_that_it_drew() -> None:
    model, batch = pretraining(), toy.batch(8)
    for step in model.steps_of_every_task():
        model.progress(step, 100, 0.0)
        assert list(model(**batch).terms) == [model.task(step)]


@pytest.mark.parametrize("weights", [(1, 1), (0, 0, 0), (1, -1, 1)])
def test_wrong_weights_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="task_weights"):
        pretraining(task_weights=weights)


# --- losses -------------------------------------------------------------------------------------------------------


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(one @ other / one.norm() / other.norm())


@pytest.mark.parametrize("alike", [1.0, 0.9])
def test_masked_features_against_a_loop(alike: float) -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, original = (torch.randn(3, 6, 5, generator=generator) for _ in range(2))
    # Almost the double of a hidden cell: beyond .9, short of 1.
    original[1, 2] = original[0, 1] + 0.05 * original[1, 2]
    hidden, there = torch.zeros(3, 6, dtype=torch.bool), torch.ones(3, 6, dtype=torch.bool)
    hidden[0, 1] = hidden[0, 4] = hidden[2, 0] = True
    there[1, 4:] = False
    terms = []
    for row, place in hidden.nonzero().tolist():
        logits = []
        for other in range(3):
            for cell in range(6):
                if not there[other, cell]:
                    continue
                mine = (other, cell) == (row, place)
                if not mine and cosine(original[row, place], original[other, cell]) > alike:
                    continue
                against = original if hidden[other, cell] else predicted
                logits.append((mine, cosine(predicted[row, place], against[other, cell]) / 0.2))
        whole = sum(math.exp(logit) for _, logit in logits)
        terms.append(-math.log(math.exp(next(logit for mine, logit in logits if mine)) / whole))
    loss = contrastive.masked_features(predicted, original, hidden, there, 0.2, alike)
    assert 0.9 < cosine(original[0, 1], original[1, 2]) < 1
    assert float(loss) == pytest.approx(sum(terms) / len(terms), rel=1e-4)


def test_masked_features_teach_only_what_is_predicted() -> None:
    predicted, original = (torch.randn(2, 4, 3, requires_grad=True) for _ in range(2))
    hidden = torch.tensor([[True, False, False, False], [False, True, False, False]])
    contrastive.masked_features(predicted, original, hidden, torch.ones_like(hidden), 0.1).backward()
    assert original.grad is None
    assert predicted.grad.abs().sum() > 0
    nothing = torch.zeros_like(hidden)
    assert contrastive.masked_features(predicted, original, nothing, ~nothing, 0.1).item() == 0


def test_first_of_candidates_against_a_loop() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.5], [0.3, -1.0, 9.0], [4.0, 5.0, 6.0]])
    there = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    one = math.log(sum(math.exp(s) for s in (1.0, 2.0, 0.5))) - 1.0
    two = math.log(math.exp(0.3) + math.exp(-1.0)) - 0.3
    loss = contrastive.first_of_candidates(scores, there, torch.tensor(2.0))
    assert float(loss) == pytest.approx((one + two) / 2, rel=1e-5)


# --- hard negatives --------------------------------------------------------------------------------------------------

CHANGED = (
    "the level of edema has changed from mild to severe. the main image has additional findings of pleural effusion, "
    "and pneumonia than the reference image."
)


def test_six_near_misses_of_all_sorts_that_never_mean_what_the_answer_means() -> None:
    model = pretraining(others=0)
    groups = hard_negatives(CHANGED, "difference", model.config.findings)
    assert len(groups) == 3
    meant = grammar.parse(CHANGED).change
    for number in range(30):
        texts, there = model.candidates({"answer": [CHANGED], "kind": ["difference"], "case_id": [f"case {number}"]})
        assert there.all() and len(set(texts)) == 7 and texts[0] == CHANGED
        assert all(grammar.parse(text).change != meant for text in texts[1:])
        assert all(any(text in group for text in texts[1:]) for group in groups)


def test_near_misses_run_out_without_repeating() -> None:
    assert sorted(choose_hard_negatives([["a", "b"], ["c"]], 6, [0.9] * 7)) == ["a", "b", "c"]
    assert choose_hard_negatives([], 6, [0.5] * 7) == ()


def test_candidates_use_words_of_training_answers_and_other_answers() -> None:
    model = pretraining(others=2)
    answers = [grammar.NOTHING, "the main image has an additional finding of edema than the reference image.",
               "the main image is missing the finding of pneumonia than the reference image."]  # fmt: skip
    model.check_items(SimpleNamespace(answers=answers))
    words = {word for answer in answers for word in model._ids(answer)}
    batch = {"answer": answers, "kind": ["difference"] * 3, "case_id": ["a", "b", "c"]}
    found: set[str] = set()
    for step in range(10):
        model.progress(step, 100, 0.0)
        texts, there = model.candidates(batch)
        rows = [texts[place : place + there.shape[1]] for place in range(0, len(texts), there.shape[1])]
        for answer, row, exists in zip(answers, rows, there.tolist(), strict=True):
            told = [text for text, one in zip(row, exists, strict=True) if one]
            assert told[0] == answer and answer not in told[1:] and len(set(told)) == len(told)
            found |= set(told[1:])
            assert all(words.issuperset(model._ids(text)) for text in told)
    assert found & set(answers)


# --- what is hidden -----------------------------------------------------------------------------------------------


def test_hidden_words_are_words_and_there_is_one_in_each_row() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 50, (200, 9), generator=generator)
    words = torch.ones(200, 9, dtype=torch.bool)
    words[:, 0] = words[:, 6:] = False
    lots = tuple(torch.rand(200, 9, generator=generator) for _ in range(3))
    holes, hidden = hide_words(ids, 0.15 * words, words, lots, 3, 50)
    assert not hidden[~words].any()
    assert hidden.any(1).all()
    # The place that stands in where chance hides none is drawn; the published code takes the first word always.
    assert hidden[:, 1:6].sum(0).min() > 10
    assert torch.equal(holes[~hidden], ids[~hidden])
    masked = (holes[hidden] == 3).float().mean()
    assert 0.7 < masked < 0.9


def test_emptied_cells_are_in_one_film_and_never_in_an_absent_prior() -> None:
    model, batch = pretraining(), toy.batch(12)
    batch["has_prior"][:4] = False
    _, original, hidden, there = model.imagined(batch)
    prior, current = hidden.chunk(2, dim=1)
    assert hidden.any(1).all()
    assert not (prior.any(1) & current.any(1)).any()
    assert not prior[:4].any() and prior[4:].any() and current[4:].any()
    assert torch.equal(there.sum(1), torch.tensor([16] * 4 + [32] * 8))
    assert original.shape == (12, 32, 16)


def test_what_was_in_an_emptied_cell_is_not_seen() -> None:
    model = pretraining().eval()
    cells = torch.randn(4, 16, 16)
    empty = torch.zeros(4, 16, dtype=torch.bool)
    empty[0, 3] = empty[3, 5] = True
    other = cells.clone()
    other[empty] += 5.0
    has_prior = torch.ones(2, dtype=torch.bool)
    given, changed = (model.difference(one.masked_fill(empty[..., None], 0.0), has_prior)[0] for one in (cells, other))
    assert torch.equal(given, changed)
    assert not torch.allclose(model.difference(cells, has_prior)[0], model.difference(other, has_prior)[0])


# --- reading and saying -------------------------------------------------------------------------------------------


def test_a_sequence_read_part_by_part_is_the_same_as_at_once() -> None:
    torch.manual_seed(0)
    stack, x = PrefixStack(16, 2, 2, 32, 0.0), torch.randn(2, 7, 16)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 0] = False
    within = torch.ones(7, 7, dtype=torch.bool).tril()
    within[:4, :4] = True
    whole = stack(x, mask, within=within).hidden
    first = stack(x[:, :4], mask[:, :4])
    second = stack(x[:, 4:5], mask[:, 4:5], first.memory)
    third = stack(x[:, 5:], mask[:, 5:], second.memory, within[5:, 5:])
    parts = torch.cat([first.hidden, second.hidden, third.hidden], dim=1)
    assert torch.allclose(parts, whole, atol=1e-5)


@OBJECTIVES
def test_what_is_generated_is_what_teacher_forcing_says(objective: str) -> None:
    model, batch = answering(objective=objective).eval(), toy.batch(3)
    read = model.memory(model.encode_films(batch), batch.has_prior)
    prefix = model.prefix(batch.question)
    said = model.decoder.generate(*prefix, limit=8, **read)
    logits = model.decoder(*prefix, said, **read)
    assert said.ids.shape[1] > 1
    assert torch.equal(logits.argmax(-1)[said.mask > 0], said.ids[said.mask > 0])


@OBJECTIVES
def test_no_word_sees_itself_or_what_comes_after(objective: str) -> None:
    model, batch = answering(objective=objective).eval(), toy.batch(2)
    read, prefix = model.memory(model.encode_films(batch), batch.has_prior), model.prefix(batch.question)
    ids = torch.randint(5, 40, (2, 6), generator=torch.Generator().manual_seed(0))
    given = model.decoder(*prefix, Tokens(ids, torch.ones_like(ids)), **read)
    for place in range(6):
        other = ids.clone()
        other[:, place] += 1
        moved = model.decoder(*prefix, Tokens(other, torch.ones_like(ids)), **read)
        assert torch.allclose(moved[:, : place + 1], given[:, : place + 1], atol=1e-5)
        assert place == 5 or not torch.allclose(moved[:, place + 1], given[:, place + 1])


def test_a_mask_learns_fifteen_in_a_hundred_words_and_one_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch, masks = answering(objective="mask"), toy.batch(40), []

    def watch(logits: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, **_: object) -> torch.Tensor:
        masks.append(mask)
        return logits.sum() * 0

    monkeypatch.setattr("intervalchange.methods.idcpcl.answer.answer_nll", watch)
    for step in range(5):
        model.progress(step, 100, 0.0)
        model(**batch)
    learnt = torch.stack([mask.sum(1).float() for mask in masks])
    words = encode(model.tokenizer, batch.answer, eos=True).mask.sum()
    assert learnt.min() >= 1
    assert 0.1 < float(learnt.sum() / (5 * words)) < 0.25


def test_swapped_films_change_what_is_said() -> None:
    model, batch = answering().eval(), toy.batch(4)
    swapped = Batch(**{**batch, "current": batch.prior, "prior": batch.current})
    there, back = ([p.confidence["answer"] for p in model.answer(one)] for one in (batch, swapped))
    assert all(one != other for one, other in zip(there, back, strict=True))


def test_pixels_of_an_absent_prior_do_not_matter_in_pretraining() -> None:
    model, batch = pretraining().eval(), toy.batch(3, kind="presence")
    given = model.align(batch)[0]
    batch["prior"] = torch.randn(batch.prior.shape)
    assert torch.allclose(given, model.align(batch)[0], atol=1e-6)


def test_beams_are_refused() -> None:
    with pytest.raises(ConfigError, match="greedy"):
        answering(beams=3)


# --- weights ------------------------------------------------------------------------------------------------------


def test_answering_starts_from_all_of_pretraining(tmp_path: Path) -> None:
    taught = pretraining()
    taught.save_pretrained(tmp_path)
    torch.manual_seed(1)
    model = Idcpcl(IdcpclConfig(**TINY))
    said = start_from(model, tmp_path)
    assert " 0 missing" in said
    theirs = taught.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())


def test_published_weights_are_loaded_by_name(tmp_path: Path) -> None:
    torch.manual_seed(3)
    published = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 24], depths=[1, 1, 1, 1],
                                         layer_type="basic"))  # fmt: skip
    published.save_pretrained(tmp_path)
    model = answering(backbone="hub", backbone_weights=str(tmp_path), grid=2)
    model.load_pretrained()
    for name, tensor in published.state_dict().items():
        assert torch.equal(model.encoder.network.state_dict()[name], tensor), name


@pytest.mark.slow
@OBJECTIVES
def test_eight_pairs_are_learnt_by_heart(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the published 15% of the words a step, this takes seven times as many steps and shows nothing more.
    monkeypatch.setattr(idcpcl, "HIDDEN_WORDS", 0.9)
    model, batch = answering(objective=objective), toy.batch(8)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.0)
    for step in range(300 if objective == "mask" else 150):
        model.progress(step, 1000, 0.0)
        optimiser.zero_grad()
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    assert [prediction.answer for prediction in model.eval().answer(batch)] == batch.answer


@pytest.mark.slow
@pytest.mark.parametrize(("task", "figure", "least"), [(0, "words.accuracy", 0.7), (2, "aligning.accuracy", 0.8)])
def test_pretraining_finds_words_and_true_answers_of_eight_pairs(task: int, figure: str, least: float) -> None:
    model, batch = pretraining(task_weights=[float(place == task) for place in range(3)]), toy.batch(8)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=0.0)
    for step in range(300):
        model.progress(step, 1000, 0.0)
        # Aligning reads the first of eight.
        turned = [(step + row) % 8 for row in range(8)]
        optimiser.zero_grad()
        model(**contract.rows(batch, turned)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    assert model.eval().validation_scores(model.validation_outputs(batch))[figure] >= least
