"""set_difference: equivariant by construction, thresholds fixed under a bound, words from numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toy

from intervalchange.data.batch import Batch
from intervalchange.findings import FINDINGS, RANKED_LEVELS, SIMULATED
from intervalchange.grammar import parse
from intervalchange.inference import shown_as
from intervalchange.methods.set_difference.answer import SetDifference, SetDifferenceConfig
from intervalchange.methods.set_difference.deciding import level_word
from intervalchange.methods.set_difference.network import rank_probabilities
from intervalchange.methods.set_difference.thresholds import tune, tune_global


@pytest.fixture(scope="module", params=[True, False], ids=["pair", "films"])
def model(request: pytest.FixtureRequest) -> SetDifference:
    torch.manual_seed(0)
    config = SetDifferenceConfig(pixels=64, widths=(16, 16, 32, 32), width=32, pair=request.param)
    made = SetDifference(config).eval()
    made.change_threshold.fill_(0.3)
    made.level_threshold.fill_(0.2)
    return made


def test_exchanging_the_films_reverses_the_answer(model: SetDifference) -> None:
    batch = toy.batch(6)
    given, swapped = model.answer(batch), model.answer(shown_as(batch, "swap"))
    assert any(prediction.change for prediction in given), "an untrained model at a low threshold says something"
    for one, other in zip(given, swapped, strict=True):
        assert one.change is not None and other.change == one.change.reverse()
        assert parse(one.answer).change == one.change


def test_probabilities_of_the_two_directions_mirror_each_other(model: SetDifference) -> None:
    batch = toy.batch(4)
    there = model.probabilities(*model.encode_pair(batch.current, batch.prior))
    back = model.probabilities(*model.encode_pair(batch.prior, batch.current))
    torch.testing.assert_close(model.change_probabilities(there).added, model.change_probabilities(back).missing)
    torch.testing.assert_close(there.level, back.level)


def test_hard_subtraction_gives_ones_and_zeros() -> None:
    torch.manual_seed(0)
    config = SetDifferenceConfig(pixels=64, widths=(16, 16, 32, 32), width=32, pair=False, hard=True)
    model = SetDifference(config).eval()
    batch = toy.batch(4)
    change = model.change_probabilities(model.probabilities(*model.encode_pair(batch.current, batch.prior)))
    assert set(change.added.unique().tolist()) <= {0.0, 1.0}
    assert not (change.added * change.missing).any()


def test_ranks_are_a_distribution_even_when_cuts_cross(model: SetDifference) -> None:
    film, _ = model.encode_pair(toy.batch(3).current, toy.batch(3).prior)
    with torch.no_grad():
        model.level_cuts[0] = torch.tensor([2.0, -1.0, 0.0])
        ranks = rank_probabilities(film.severity, model.level_cuts)
    assert (ranks >= 0).all()
    torch.testing.assert_close(ranks.sum(-1), torch.ones_like(ranks[..., 0]))


def test_a_word_for_every_rank() -> None:
    for finding in SIMULATED:
        assert [RANKED_LEVELS[level_word(finding, rank)] for rank in range(4)] == [1.0, 2.0, 3.0, 4.0]
    assert level_word("pneumothorax", 1) == "small" and level_word("edema", 1) == "mild"


def test_thresholds_keep_the_bound_on_false_changes() -> None:
    rng = np.random.default_rng(0)
    target = rng.random((400, 2, 3)) < 0.05
    score = np.clip(0.25 * target + 0.6 * rng.random(target.shape), 0, 1)
    unchanged = ~target.any(axis=(1, 2))
    for bound in (0.02, 0.1, 1.0):
        one, reached_by_one = tune_global(score, target, unchanged, bound)
        each, reached = tune(score, target, unchanged, bound)
        assert (score > each)[unchanged].any(axis=(1, 2)).mean() <= bound
        assert (score > one)[unchanged].any(axis=(1, 2)).mean() <= bound
        assert reached >= reached_by_one > 0


def test_without_a_threshold_that_keeps_the_bound_nothing_is_said() -> None:
    score = np.ones((4, 1, 2)) * 0.99
    assert tune_global(score, np.zeros((4, 1, 2), bool), np.ones(4, bool), 0.0) == (1.0, 0.0)


def test_calibration_raises_the_change_score() -> None:
    torch.manual_seed(0)
    model = SetDifference(
        SetDifferenceConfig(pixels=64, widths=(16, 16, 32, 32), width=32, max_false_change=2.0)
    ).eval()
    batch = toy.batch(64)
    set_to = model.calibrate([batch])
    assert 0 <= set_to["change_f1"] <= 1
    assert float(model.change_threshold.min()) >= 0.05 and float(model.change_threshold.max()) <= 0.95
    hits = sum(len(p.change.items & parse(p.reference or "").change.items) for p in model.answer(batch) if p.change)
    assert hits > 0


def asked(question: str, kind: str) -> Batch:
    batch = toy.batch(2)
    return Batch(**{**batch, "question": [question] * 2, "kind": [kind] * 2})


@pytest.mark.parametrize(
    ("question", "kind", "pattern"),
    [
        ("is there edema?", "presence", r"yes|no"),
        ("is there evidence of any abnormalities in this image?", "abnormality", r"yes|no"),
        ("what abnormalities are seen in this image?", "abnormality", "|".join(FINDINGS)),
        ("what level is the pleural effusion?", "level", r"minimal|small|moderate|severe"),
        ("where is the pneumothorax?", "location", r"(left|right|bilateral) area"),
        ("is the pneumothorax located on the left side or right side?", "location", r"(left|right|bilateral) side"),
    ],
)
def test_questions_about_one_film(model: SetDifference, question: str, kind: str, pattern: str) -> None:
    import re

    for prediction in model.answer(asked(question, kind)):
        assert re.match(pattern, prediction.answer), prediction.answer
        assert prediction.change is None and 0 <= (prediction.confidence or {})["answer"] <= 1


def test_what_it_cannot_answer_it_says(model: SetDifference) -> None:
    for prediction in model.answer(asked("which view is this image taken?", "view")):
        assert prediction.answer == "" and "does not answer" in prediction.warnings[0]


def test_evidence_is_there_only_for_what_changed(model: SetDifference) -> None:
    for prediction in model.answer(toy.batch(6), evidence=True):
        changed = prediction.change.added | prediction.change.missing | {x.finding for x in prediction.change.levels}
        assert set(prediction.evidence) == (changed | {"change"} if changed else set())
