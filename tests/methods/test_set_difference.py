"""set_difference: equivariant by construction, thresholds fixed under a bound, words from numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toy

from intervalchange.data.batch import Batch
from intervalchange.errors import ConfigError
from intervalchange.findings import FINDINGS, RANKED_LEVELS, SIMULATED
from intervalchange.grammar import parse
from intervalchange.inference import shown_as
from intervalchange.losses.labels import masked_bce
from intervalchange.methods.set_difference.answer import SetDifference, SetDifferenceConfig
from intervalchange.methods.set_difference.deciding import PairProbabilities, level_word
from intervalchange.methods.set_difference.network import rank_probabilities
from intervalchange.methods.set_difference.thresholds import PairLabels, fit_thresholds, tune, tune_global


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


def two_sources(rng: np.random.Generator, pairs: int = 300) -> tuple[PairProbabilities, PairLabels]:
    """The first half of the pairs knows findings 0 to 2, the second only 0 and 1; nobody knows finding 3."""
    current, prior = ((rng.random((pairs, 4)) < 0.3).astype(np.float32) for _ in range(2))
    noisy = [np.clip(0.7 * side + 0.4 * rng.random(side.shape), 0.01, 0.99) for side in (current, prior)]
    for side in (current, prior):
        side[pairs // 2 :, 2] = np.nan
        side[:, 3] = np.nan
    films = [torch.from_numpy(side).float() for side in noisy]
    ranks = torch.zeros(pairs, 4, dtype=torch.int64)
    probabilities = PairProbabilities(films[0], films[1], torch.zeros(pairs, 4), ranks, ranks)
    return probabilities, PairLabels(current, prior, np.zeros((pairs, 4), bool))


def test_unknown_labels_do_not_move_thresholds_and_what_nobody_knew_is_never_said() -> None:
    probabilities, labels = two_sources(np.random.default_rng(1))
    thresholds, reached = fit_thresholds(probabilities, labels, hard=False, max_false_change=1.0)
    assert thresholds.change[3] == thresholds.finding[3] == 1.0
    assert reached > 0.8
    # Finding 2 of the second half is unknown: whatever the model says there, nothing moves.
    films = [side.clone() for side in (probabilities.current, probabilities.prior)]
    films[0][150:, 2], films[1][150:, 2] = 0.99, 0.01
    others = PairProbabilities(*films, probabilities.level, probabilities.current_rank, probabilities.prior_rank)
    again, _ = fit_thresholds(others, labels, hard=False, max_false_change=1.0)
    np.testing.assert_array_equal(again.change, thresholds.change)
    np.testing.assert_array_equal(again.finding, thresholds.finding)


def test_a_pair_of_which_less_is_known_is_not_unchanged() -> None:
    _, labels = two_sources(np.random.default_rng(1))
    assert labels.unchanged[:150].any() and not labels.unchanged[150:].any()
    known = labels.known[:150, :3]
    assert known.all() and not labels.known[:, 3].any()
    np.testing.assert_array_equal(
        labels.unchanged[:150], (labels.current[:150, :3] == labels.prior[:150, :3]).all(axis=1)
    )


@pytest.mark.parametrize("size", ["residual", "efficientnet_lite0"])
def test_films_paired_anew_teach_the_branch_alone(size: str) -> None:
    config = {"pixels": 64, "widths": (16, 16, 32, 32), "width": 32, "trunk": size}
    torch.manual_seed(0)
    model = SetDifference(SetDifferenceConfig(**config, strangers_weight=0.5)).eval()
    batch = toy.batch(6)
    torch.manual_seed(1)
    output = model(**batch)
    model.config.strangers_weight = 0.0
    plain = model(**batch)
    assert set(output.terms) - set(plain.terms) == {"strangers"}
    torch.testing.assert_close(output.loss, plain.loss + 0.5 * output.terms["strangers"])


def test_even_rates_teach_evidence_not_the_source() -> None:
    """Two sources that differ in how frequent findings are: the loss expects the log-odds of each beside the logits."""
    config = {"pixels": 64, "widths": (16, 16, 32, 32), "width": 32, "even_rates": True}
    torch.manual_seed(0)
    model = SetDifference(SetDifferenceConfig(**config, strangers_weight=0.5)).eval()
    batch = toy.batch(4)
    rare, frequent = 1 / (1 + np.e**3), 1 / (1 + np.e)  # Log-odds of -3 and -1: one below and one above their mean.
    rates = torch.tensor([[rare], [rare], [frequent], [frequent]]).expand(4, len(FINDINGS)).clone()
    rates[:2, 5] = float("nan")  # Only the second source knows it, so nothing is to be made even.
    with torch.no_grad():
        odds, change_odds = model._odds({"finding_rates": rates, "change_rates": rates})
        torch.testing.assert_close(odds[:, 0], torch.tensor([-1.0, -1, 1, 1, -1, -1, 1, 1]))
        torch.testing.assert_close(change_odds[:, 0], torch.tensor([-1.0, -1, 1, 1]))
        assert not odds[:, 5].any()
        plain, alike = (
            model(**batch),
            model(**batch, finding_rates=rates[2:3].expand(4, -1), change_rates=rates[2:3].expand(4, -1)),
        )
        uneven = model(**batch, finding_rates=rates, change_rates=rates)
        films = model.encode_pair(batch.current, batch.prior)
        known = torch.cat([batch.findings_current, batch.findings_prior])
        expected = masked_bce(torch.cat([film.findings for film in films]) + odds, known)
    for term in ("findings", "pair"):
        torch.testing.assert_close(alike.terms[term], plain.terms[term])
    torch.testing.assert_close(uneven.terms["findings"], expected)
    assert uneven.terms["findings"] != plain.terms["findings"] and uneven.terms["pair"] != plain.terms["pair"]


def test_the_whole_film_is_read_beside_the_maps_and_exchanges_with_the_films() -> None:
    torch.manual_seed(0)
    model = SetDifference(SetDifferenceConfig(pixels=64, widths=(16, 16, 32, 32), width=32, whole_film=True)).eval()
    batch = toy.batch(3)
    with torch.no_grad():
        film, prior = model.encode_pair(batch.current, batch.prior)
        torch.testing.assert_close(film.findings, model.pooling(film.maps) + model.whole(film.whole))
        there, back = (model.probabilities(*films) for films in ((film, prior), (prior, film)))
    torch.testing.assert_close(model.change_probabilities(there).added, model.change_probabilities(back).missing)


def test_a_film_against_itself_has_not_changed_whatever_the_threshold() -> None:
    torch.manual_seed(0)
    model = SetDifference(SetDifferenceConfig(pixels=64, widths=(16, 16, 32, 32), width=32, whole_film=True)).eval()
    model.change_threshold.fill_(0.01)
    batch = toy.batch(6)
    assert any(prediction.change.added for prediction in model.answer(batch) if prediction.change)
    for prediction in model.answer(shown_as(batch, "identity")):
        assert prediction.change is not None and not prediction.change.added and not prediction.change.missing


def test_thresholds_weigh_each_source_alike() -> None:
    """Many easy pairs of one source, few hard ones of another whose probabilities are low: both are answered."""
    easy, hard, rng = 400, 40, np.random.default_rng(0)
    target = rng.random((easy + hard, 1, 1)) < 0.3
    score = np.where(target, 0.9, 0.4) + 0.05 * rng.random(target.shape)
    score[easy:] = np.where(target[easy:], 0.3, 0.1)
    sources, unchanged = np.repeat([0, 1], [easy, hard]), np.zeros(easy + hard, bool)
    pooled, _ = tune_global(score, target, unchanged, 1.0)
    fair, reached = tune_global(score, target, unchanged, 1.0, sources)
    assert pooled > 0.4 and 0.1 <= fair < 0.3
    assert reached == pytest.approx(np.mean([2 * 0.3 / 1.3, 1.0]), abs=0.05)


def test_frozen_blocks_of_the_trunk_do_not_learn() -> None:
    config = SetDifferenceConfig(pixels=64, width=32, trunk="efficientnet_lite0", trunk_frozen=2)
    model = SetDifference(config)
    model(**toy.batch(2)).loss.backward()
    network = model.encoder.network
    assert not any(parameter.requires_grad for parameter in network.blocks[:2].parameters())
    assert not network.stem.weight.requires_grad
    assert all(parameter.grad is not None for parameter in network.blocks[2:].parameters())


def test_an_option_of_the_trunk_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="trunk_frozen"):
        SetDifferenceConfig(trunk_frozen=2)


def test_calibration_raises_the_change_score() -> None:
    torch.manual_seed(0)
    model = SetDifference(
        SetDifferenceConfig(pixels=64, widths=(16, 16, 32, 32), width=32, max_false_change=2.0)
    ).eval()
    batch = toy.batch(64)
    set_to = model.calibrate([batch])
    assert 0 <= set_to["change_f1"] <= 1
    known = [FINDINGS.index(finding) for finding in toy.PLACES]
    assert all(0.05 <= value <= 0.95 for value in model.change_threshold[known].tolist())
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
