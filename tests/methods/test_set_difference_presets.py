"""set_difference by its presets: hard and soft subtraction, with and without the branch on the pair."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toy

from intervalchange.config import load_preset, preset_sizes
from intervalchange.findings import FINDINGS
from intervalchange.grammar import parse
from intervalchange.methods.set_difference.answer import SetDifference, SetDifferenceConfig
from intervalchange.methods.set_difference.thresholds import false_share, subtracting, tune, tune_global

STAGE = "set_difference/answer"
ROWS = {"small": (True, False), "small_soft": (False, False), "small_hard_pair": (True, True),
        "small_hard": (False, True)}  # fmt: skip
"""Size -> (pair, hard)."""
ROUGH = {"pixels": 64, "widths": (16, 16, 32, 32), "width": 32}


def configured(size: str, **changes: object) -> SetDifference:
    """An untrained model of a preset, made small."""
    torch.manual_seed(0)
    return SetDifference(SetDifferenceConfig(**{**load_preset(STAGE, size).model, **ROUGH, **changes})).eval()


def test_the_four_rows_are_presets_and_differ_in_nothing_else() -> None:
    assert set(ROWS) <= set(preset_sizes(STAGE))
    plain = load_preset(STAGE, "small")
    for size, (pair, hard) in ROWS.items():
        preset = load_preset(STAGE, size)
        config = SetDifferenceConfig(**preset.model)
        assert (config.pair, config.hard) == (pair, hard)
        options = {name: value for name, value in preset.model.items() if name not in ("pair", "hard")}
        assert options == plain.model
        assert preset.train == plain.train


@pytest.mark.parametrize("size", ROWS)
def test_a_row_is_what_it_says(size: str) -> None:
    """Soft: p (1 - q). Hard: a difference of sets. With the pair: the mean of that and what the branch says."""
    (pair, hard), model, batch = ROWS[size], configured(size), toy.batch(4)
    model.finding_threshold.copy_(torch.linspace(0.3, 0.7, len(FINDINGS)))
    current, prior = model.encode_pair(batch.current, batch.prior)
    with torch.no_grad():
        branch = torch.sigmoid(model.pair(current.features, prior.features)[1]) if pair else None
    with torch.no_grad():
        now, then = torch.sigmoid(current.findings), torch.sigmoid(prior.findings)
    added = model.change_probabilities(model.probabilities(current, prior)).added
    for row in range(4):
        for place in range(len(FINDINGS)):
            p, q, limit = float(now[row, place]), float(then[row, place]), float(model.finding_threshold[place])
            wanted = float(p > limit >= q) if hard else p * (1 - q)
            if branch is not None:
                wanted = (wanted + float(branch[row, place])) / 2
            assert float(added[row, place]) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("size", [size for size, (_, hard) in ROWS.items() if hard])
def test_hard_subtraction_is_calibrated_for_what_it_then_says(size: str) -> None:
    """The false changes of unchanged pairs that calibration bounds are those of the answers given afterwards."""
    model, batch = configured(size, max_false_change=0.3), toy.batch(48)
    with torch.no_grad():
        model.maps.weight.mul_(8.0)
    set_to = model.calibrate([batch])
    predictions = model.answer(batch)
    same = [one.change for one, wanted in zip(predictions, batch.answer, strict=True) if not parse(wanted).change]
    assert same and sum(bool(change) for change in same) / len(same) <= 0.3
    hits = said = meant = 0
    for one in predictions:
        told, truth = one.change, parse(one.reference or "").change
        hits += len(told.added & truth.added) + len(told.missing & truth.missing)
        said += len(told.added) + len(told.missing)
        meant += len(truth.added) + len(truth.missing)
    assert set_to["change_f1"] == pytest.approx(2 * hits / max(said + meant, 1), abs=1e-6)


def test_subtracting_by_hand_and_its_thresholds() -> None:
    now, then = np.array([[0.9, 0.2], [0.5, 0.8]]), np.array([[0.1, 0.7], [0.4, 0.9]])
    chosen = subtracting(now, then)(np.array([0.45, 0.5]))
    assert chosen.tolist() == [[[True, False], [False, True]], [[True, False], [False, False]]]
    rng = np.random.default_rng(0)
    there = rng.random((2, 300, 3)) < 0.4
    there[1, :120] = there[0, :120]
    seen = np.clip(0.48 * there + 0.5 * rng.random(there.shape), 0, 1)
    target = np.stack([there[0] & ~there[1], there[1] & ~there[0]], axis=1)
    unchanged = ~target.any(axis=(1, 2))
    rule = subtracting(seen[0], seen[1])
    for bound in (0.1, 1.0):
        one, by_one = tune_global(rule, target, unchanged, bound)
        each, reached = tune(rule, target, unchanged, bound)
        assert reached >= by_one > 0 and 0 < one < 1
        assert false_share(rule(each), unchanged) <= bound


def test_exchanging_the_films_exchanges_added_and_missing_in_every_row() -> None:
    batch = toy.batch(6)
    for size in ROWS:
        model = configured(size)
        there = model.probabilities(*model.encode_pair(batch.current, batch.prior))
        back = model.probabilities(*model.encode_pair(batch.prior, batch.current))
        torch.testing.assert_close(there.level, back.level)
        changes, reversed_changes = model.change_probabilities(there), model.change_probabilities(back)
        torch.testing.assert_close(changes.added, reversed_changes.missing)
        torch.testing.assert_close(changes.missing, reversed_changes.added)
