"""What detection and segmentation are taught: targets, losses and masks, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from intervalchange.data import run_length
from intervalchange.data.films import Geometry
from intervalchange.data.masks import mask_in_square
from intervalchange.losses.detection import box_sides, box_targets, centre_focal, generalised_iou
from intervalchange.records import Region


def test_the_heat_is_one_at_the_centre_and_falls_with_the_box() -> None:
    boxes = torch.tensor([[[8.0, 8.0, 40.0, 24.0], [0.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 8.0, 8.0], [40.0, 40, 64, 64]]])
    labels = torch.tensor([[1, -1], [0, 0]])
    targets = box_targets(boxes, labels, 2, (16, 16), 4.0)
    assert targets.heatmap.shape == (2, 2, 16, 16)
    assert (targets.heatmap[0, 0] == 0).all()
    assert [tuple(place) for place in (targets.heatmap[0, 1] == 1).nonzero().tolist()] == [(4, 6)]
    assert [tuple(place) for place in (targets.heatmap[1, 0] == 1).nonzero().tolist()] == [(1, 1), (13, 13)]
    # 32 px are 8 cells, so the deviation along x is 8 * .54 / 6; along y half of it, but at least half a cell.
    assert float(targets.heatmap[0, 1, 4, 7]) == pytest.approx(math.exp(-0.5 / 0.72**2), rel=1e-5)
    assert float(targets.heatmap[0, 1, 5, 6]) == pytest.approx(math.exp(-0.5 / 0.5**2), rel=1e-5)
    assert float(targets.count) == 3
    assert torch.allclose(targets.weight.sum((1, 2)), torch.tensor([1.0, 2.0]), atol=1e-5)
    assert targets.boxes[0, :, 4, 6].tolist() == [8, 8, 40, 24]
    assert targets.boxes[1, :, 13, 13].tolist() == [40, 40, 64, 64]


def test_the_order_of_boxes_and_a_centre_on_the_edge_do_not_matter() -> None:
    boxes = torch.tensor([[[8.0, 8.0, 40.0, 24.0], [32.0, 32.0, 64.0, 64.0], [60.0, 60.0, 68.0, 68.0]]])
    labels = torch.tensor([[0, 1, 0]])
    one = box_targets(boxes, labels, 2, (16, 16), 4.0)
    other = box_targets(boxes.flip(1), labels.flip(1), 2, (16, 16), 4.0)
    assert torch.allclose(one.heatmap, other.heatmap)
    assert torch.allclose(one.weight, other.weight)
    assert float(one.heatmap[0, 0, 15, 15]) == 1


def test_focal_by_hand_and_unknown_labels() -> None:
    heat = torch.tensor([[[[1.0, 0.5, 0.0]]]])
    logits = torch.zeros(1, 1, 1, 3)
    known = torch.ones(1, 1, dtype=torch.bool)
    wanted = math.log(2) * (0.25 + 0.25 * 0.5**4 + 0.25)
    assert float(centre_focal(logits, heat, known)) == pytest.approx(wanted, rel=1e-5)
    assert float(centre_focal(logits, heat, ~known)) == 0
    sure = torch.tensor([[[[20.0, -20.0, -20.0]]]])
    assert float(centre_focal(sure, heat, known)) == pytest.approx(0, abs=1e-5)


def test_generalised_iou() -> None:
    one = torch.tensor([0.0, 0.0, 2.0, 2.0])
    assert float(generalised_iou(one, one)) == 1
    beside = torch.tensor([2.0, 0.0, 4.0, 2.0])
    apart = torch.tensor([6.0, 0.0, 8.0, 2.0])
    assert float(generalised_iou(one, beside)) == pytest.approx(0)
    assert float(generalised_iou(one, apart)) == pytest.approx(-0.5)
    half = torch.tensor([1.0, 0.0, 3.0, 2.0])
    assert float(generalised_iou(one, half)) == pytest.approx(1 / 3)
    assert float(generalised_iou(half, one)) == pytest.approx(1 / 3)


def test_every_box_weighs_the_same_in_the_sides() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0], [16.0, 16.0, 64.0, 64.0]]])
    targets = box_targets(boxes, torch.zeros(1, 2, dtype=torch.long), 1, (16, 16), 4.0)
    assert float(box_sides(targets.boxes, targets)) == pytest.approx(0, abs=1e-6)
    wrong = targets.boxes.clone()
    small = (targets.boxes == boxes[0, 0].view(1, 4, 1, 1)).all(1, keepdim=True)
    wrong = torch.where(small, torch.tensor([100.0, 100, 108, 108]).view(1, 4, 1, 1), wrong)
    lost = 1 - float(generalised_iou(boxes[0, 0], torch.tensor([100.0, 100, 108, 108])))
    assert float(box_sides(wrong, targets)) == pytest.approx(lost / 2, rel=1e-5)
    nothing = box_targets(boxes, torch.full((1, 2), -1), 1, (16, 16), 4.0)
    assert float(box_sides(wrong, nothing)) == 0


@pytest.mark.parametrize("pixels", [32, 64, 128])
def test_a_mask_lies_where_its_film_lies(pixels: int) -> None:
    """A film of 200 x 100, scaled by .64 into a square of 128 with 32 columns of padding on each side."""
    mask = np.zeros((200, 100), bool)
    mask[50:100, 25:75] = True
    geometry = Geometry(200, 100, 0.64, 32, 0)
    region = Region("finding", "pneumothorax", (25.0, 50.0, 75.0, 100.0), run_length.encode(mask))
    drawn = mask_in_square(region, geometry, 128, pixels)
    box = mask_in_square(Region("finding", "pneumothorax", region.box), geometry, 128, pixels)
    assert (drawn == box).all()
    rows, columns = np.nonzero(drawn)
    unit = 128 / pixels
    for found, wanted in (
        (rows.min() * unit, 32),
        ((rows.max() + 1) * unit, 64),
        (columns.min() * unit, 48),
        ((columns.max() + 1) * unit, 80),
    ):
        assert abs(found - wanted) <= unit
    whole = mask_in_square(
        Region("finding", "x", (0, 0, 100, 200), run_length.encode(np.ones((200, 100), bool))), geometry, 128, pixels
    )
    assert whole.mean() == pytest.approx(0.5)
