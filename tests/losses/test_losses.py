"""Each loss: a number worked by hand, a limit, a symmetry."""

from __future__ import annotations

import math

import pytest
import torch

from intervalchange.losses import (
    answer_nll,
    cumulative_ordinal,
    inside_and_outside,
    masked_bce,
    opacity,
    residual_alignment,
    sequence_log_probability,
    soft_dice,
)
from intervalchange.losses.dense import focal_and_batch_dice

NAN = float("nan")


def double(count: torch.Tensor) -> torch.Tensor:
    """As if the other process had three times as much."""
    return 2 * count


# --- language --------------------------------------------------------------------------------------------------


def test_answer_nll_by_hand() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]], [[0.1, 0.1, 0.8], [1.0, 1.0, 1.0]]]))
    targets, mask = torch.tensor([[0, 2], [1, 0]]), torch.tensor([[1, 1], [1, 0]])
    by_hand = -(math.log(0.5) + math.log(0.6) + math.log(0.1)) / 3
    assert answer_nll(logits, targets, mask).item() == pytest.approx(by_hand, rel=1e-6)
    assert answer_nll(logits, targets, mask, reduce_mean=double).item() == pytest.approx(by_hand / 2, rel=1e-6)
    expected = [math.log(0.5 * 0.6), math.log(0.1)]
    assert sequence_log_probability(logits, targets, mask).tolist() == pytest.approx(expected, rel=1e-5)


def test_answer_nll_limits_and_symmetry() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 5, 7), torch.randint(7, (3, 5))
    mask = torch.ones(3, 5)
    sure = 100.0 * torch.nn.functional.one_hot(targets, 7).float()
    assert answer_nll(sure, targets, mask).item() == pytest.approx(0.0, abs=1e-6)
    assert answer_nll(torch.zeros(3, 5, 7), targets, mask).item() == pytest.approx(math.log(7), rel=1e-6)
    assert answer_nll(logits, targets, torch.zeros(3, 5)).item() == 0.0
    order = torch.tensor([2, 0, 1])
    assert torch.allclose(answer_nll(logits[order], targets[order], mask), answer_nll(logits, targets, mask))
    mask[:, 3:] = 0
    changed = logits.clone()
    changed[:, 3:] = 9.0
    assert torch.equal(answer_nll(logits, targets, mask), answer_nll(changed, targets, mask))


# --- alignment -------------------------------------------------------------------------------------------------


def test_residual_alignment_by_hand() -> None:
    prior, current = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 1.0]])
    residual = torch.tensor([[1.0, -1.0]])
    assert residual_alignment(prior, current, residual).item() == pytest.approx((1 + 4) / 2)
    assert residual_alignment(prior, current, residual, reduction="sum").item() == pytest.approx(5)
    assert residual_alignment(prior, current, residual, sign=-1).item() == pytest.approx((9 + 0) / 2)


def test_residual_alignment_limits_and_symmetry() -> None:
    torch.manual_seed(0)
    prior, current = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    residual = torch.randn(2, 4, 3, 3)
    assert residual_alignment(prior, current, current - prior).item() == pytest.approx(0.0, abs=1e-12)
    assert residual_alignment(prior, current, prior - current, sign=-1).item() == pytest.approx(0.0, abs=1e-12)
    swapped = residual_alignment(current, prior, -residual)
    assert torch.allclose(swapped, residual_alignment(prior, current, residual))
    alone = residual_alignment(prior[:1], current[:1], residual[:1])
    weighed = residual_alignment(prior, current, residual, weight=torch.tensor([True, False]))
    assert torch.allclose(alone, weighed)
    none = residual_alignment(prior, current, residual, weight=torch.tensor([False, False]))
    assert none.item() == 0.0


def test_residual_alignment_detach_stops_the_films() -> None:
    prior, current, residual = (torch.randn(2, 3, requires_grad=True) for _ in range(3))
    residual_alignment(prior, current, residual, detach=True).backward()
    assert prior.grad is None
    assert current.grad is None
    assert residual.grad is not None


# --- labels ----------------------------------------------------------------------------------------------------


def test_masked_bce_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0), 5.0]])
    targets = torch.tensor([[1.0, 0.0, NAN]])
    by_hand = (math.log(2) + math.log(4)) / 2
    assert masked_bce(logits, targets).item() == pytest.approx(by_hand, rel=1e-6)
    weighed = masked_bce(logits, targets, weight=torch.tensor([3.0, 1.0, 1.0]))
    assert weighed.item() == pytest.approx((3 * math.log(2) + math.log(4)) / 4, rel=1e-6)


def test_masked_bce_limits_and_symmetry() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 3, requires_grad=True), torch.rand(4, 3)
    unknown = masked_bce(logits, torch.full((4, 3), NAN))
    assert unknown.item() == 0.0
    unknown.backward()
    assert torch.equal(logits.grad, torch.zeros(4, 3))
    assert masked_bce(60 * (2 * targets.round() - 1), targets.round()).item() == pytest.approx(0.0, abs=1e-6)
    assert torch.allclose(masked_bce(logits, targets), masked_bce(-logits, 1 - targets))


def test_cumulative_ordinal_by_hand() -> None:
    scores, cuts, values = torch.tensor([[1.0]]), torch.tensor([0.0, 2.0]), torch.tensor([1.5, 2.5])
    # rank 2: above the first cut, not above the second; both logits are +-1.
    by_hand = math.log(1 + math.exp(-1))
    assert cumulative_ordinal(scores, cuts, torch.tensor([[2.0]]), values).item() == pytest.approx(by_hand, rel=1e-6)


def test_cumulative_ordinal_limits_and_symmetry() -> None:
    cuts, values = torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([1.5, 2.5, 3.5])
    scores = torch.tensor([[0.3, -0.2]])
    assert cumulative_ordinal(scores, cuts, torch.full((1, 2), NAN), values).item() == 0.0
    top = cumulative_ordinal(torch.tensor([[60.0]]), cuts, torch.tensor([[4.0]]), values)
    assert top.item() == pytest.approx(0.0, abs=1e-6)
    low = cumulative_ordinal(scores, cuts, torch.tensor([[1.0, 2.0]]), values)
    mirrored = cumulative_ordinal(-scores, cuts, torch.tensor([[4.0, 3.0]]), values)
    assert torch.allclose(low, mirrored)


# --- dense -----------------------------------------------------------------------------------------------------


def test_soft_dice_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 60.0], [-60.0, -60.0]]]])
    targets = torch.tensor([[[[1.0, 1.0], [0.0, NAN]]]])
    # overlap 1.5, sums 1.5 and 2, smooth 1.
    assert soft_dice(logits, targets).item() == pytest.approx(1 - 4 / 4.5, rel=1e-6)


def test_soft_dice_limits_and_symmetry() -> None:
    torch.manual_seed(0)
    first, second = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    empty = torch.zeros(1, 1, 4, 4)
    assert soft_dice(torch.full((1, 1, 4, 4), -60.0), empty).item() == pytest.approx(0.0, abs=1e-6)
    assert soft_dice(torch.randn(1, 1, 4, 4), torch.full((1, 1, 4, 4), NAN)).item() == 0.0
    there, back = soft_dice(torch.logit(first), second), soft_dice(torch.logit(second), first)
    assert torch.allclose(there, back, atol=1e-6)


def test_opacity_is_the_sum_of_its_parts() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 1, 4, 4), torch.rand(2, 1, 4, 4).round()
    targets[0, 0, 0] = NAN
    parts = masked_bce(logits, targets) + 0.5 * soft_dice(logits, targets)
    assert torch.allclose(opacity(logits, targets, dice=0.5), parts)
    assert torch.equal(opacity(logits, targets, dice=0.0), masked_bce(logits, targets))
    assert opacity(logits, torch.full((2, 1, 4, 4), NAN)).item() == 0.0
    assert torch.allclose(opacity(logits.flip(-1), targets.flip(-1)), opacity(logits, targets))


def test_inside_and_outside_weigh_the_same() -> None:
    places = torch.zeros(1, 1, 4, 4)
    places[..., :2, :2] = 1
    yes = torch.ones(1, 1, dtype=torch.bool)
    logits = torch.where(places == 1, 20.0, -20.0)
    assert inside_and_outside(logits, places, yes) < 1e-6
    logits[..., 3, 3] = 3.0
    # One of the twelve cells outside says yes: a twelfth of -log(1 - sigmoid(3)), and the outside is one half of two.
    torch.testing.assert_close(inside_and_outside(logits, places, yes), torch.tensor(3.0485873 / 24))
    logits[..., 0, 0] = -3.0
    torch.testing.assert_close(inside_and_outside(logits, places, yes), torch.tensor(3.0485873 / 24 + 3.0485873 / 8))
    assert inside_and_outside(logits, places, ~yes) == 0, "not counted"
    assert inside_and_outside(logits, torch.full_like(places, NAN), yes) == 0, "not known"
    torch.testing.assert_close(
        inside_and_outside(logits.flip(-1), places.flip(-1), yes), inside_and_outside(logits, places, yes)
    )


def test_a_box_without_a_mask_only_says_what_is_outside() -> None:
    places = torch.zeros(1, 1, 8, 8)
    places[..., :4, :4] = NAN
    yes = torch.ones(1, 1, dtype=torch.bool)
    logits = torch.full((1, 1, 4, 4), -20.0, requires_grad=True)
    with torch.no_grad():
        logits[..., 3, 3] = 3.0
    loss = inside_and_outside(logits, places, yes)
    # The map is half as fine: two by two of its cells are in the box, twelve outside, and there is no inside half.
    torch.testing.assert_close(loss.detach(), torch.tensor(3.0485873 / 12))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[..., :2, :2].any()


def test_focal_and_batch_dice_by_hand() -> None:
    """One pixel right at even odds, one wrong; unknown pixels do not count."""
    logits, targets = torch.tensor([[[[0.0, 2.0]]]]), torch.tensor([[[[1.0, 0.0]]]])
    even, wrong = math.log(2), math.log(1 + math.exp(2))
    focal = (0.25 * even + (1 / (1 + math.exp(-2))) ** 2 * wrong) / 2
    dice = (2 * 0.5 + 1) / (0.5 + 1 / (1 + math.exp(-2)) + 1 + 1)
    loss = focal_and_batch_dice(logits, targets)
    assert float(loss) == pytest.approx(10 * focal - math.log(dice), rel=1e-5)
    unknown = torch.cat([targets, torch.full((1, 1, 1, 2), torch.nan)])
    assert float(focal_and_batch_dice(torch.cat([logits, logits]), unknown)) == pytest.approx(float(loss), rel=1e-5)
    assert float(focal_and_batch_dice(logits, torch.full_like(targets, torch.nan))) == 0
    sure = torch.tensor([[[[50.0, -50.0]]]])
    assert float(focal_and_batch_dice(sure, targets)) == pytest.approx(0, abs=1e-4)
