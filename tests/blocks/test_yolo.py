"""The head of YOLOv3: targets and losses against loops and numbers by hand, suppression, and that it learns."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from torch.nn import functional as F

from intervalchange.blocks.encoders import build_encoder, levels_of, shape_of
from intervalchange.blocks.yolo_head import ANCHORS, STRIDES, YoloHead, _decoded, most_confident_of_overlapping
from intervalchange.config import load_preset
from intervalchange.losses.yolo import anchor_boxes, anchor_labels, anchor_objects, anchor_targets, shape_iou
from intervalchange.tasks.detection import BoxOutputs, Detection, DetectionConfig

NAMES = tuple(toy.PLACES)
SHAPES = torch.tensor([[8.0, 8.0], [16.0, 32.0], [40.0, 20.0]])


def tiny(**changes: object) -> Detection:
    torch.manual_seed(0)
    return Detection(DetectionConfig(**{**load_preset("tasks/detection", "tiny").model, "head": "yolov3", **changes}))


# --- targets ---------------------------------------------------------------------------------------------------------


def test_shape_iou_by_hand() -> None:
    sizes = torch.tensor([[8.0, 8.0], [16.0, 16.0]])
    wanted = [[1, 64 / 512, 64 / 800], [64 / 256, 0.5, 256 / (256 + 800 - 256)]]
    assert torch.allclose(shape_iou(sizes, SHAPES), torch.tensor(wanted))


def test_targets_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (3, 6, 2))
    boxes = torch.tensor(np.concatenate([corners, corners + rng.uniform(3, 40, (3, 6, 2))], -1), dtype=torch.float32)
    labels = torch.tensor(rng.integers(-1, 2, (3, 6)))
    found = anchor_targets(boxes, labels, 2, (5, 6), 12.0, SHAPES)
    for film in range(3):
        full, empty = np.zeros((3, 5, 6), bool), np.ones((3, 5, 6), bool)
        facts = np.zeros((3, 6, 5, 6))
        for (x1, y1, x2, y2), label in zip(boxes[film].tolist(), labels[film].tolist(), strict=True):
            if label < 0:
                continue
            x, y, w, h = (x1 + x2) / 24, (y1 + y2) / 24, x2 - x1, y2 - y1
            column, row = min(int(x), 5), min(int(y), 4)
            shared = [min(w, a) * min(h, b) for a, b in SHAPES.tolist()]
            similarity = [s / (w * h + a * b - s) for s, (a, b) in zip(shared, SHAPES.tolist(), strict=True)]
            best = int(np.argmax(similarity))
            for anchor in range(3):
                if anchor == best or similarity[anchor] > 0.5:
                    empty[anchor, row, column] = False
            if not full[best, row, column]:
                full[best, row, column] = True
                a, b = SHAPES[best].tolist()
                told = [min(x - column, 1), min(y - row, 1), math.log(w / a), math.log(h / b), label == 0, label == 1]
                facts[best, :, row, column] = told
        assert np.array_equal(found.full[film].numpy(), full)
        assert np.array_equal(found.empty[film].numpy(), empty)
        together = torch.cat([found.shift, found.stretch, found.label], 2)[film]
        assert np.allclose(together.numpy(), facts, atol=1e-4)
    assert not (found.full & found.empty).any()


def test_nothing_to_find_is_empty_everywhere() -> None:
    found = anchor_targets(torch.zeros(2, 1, 4), torch.full((2, 1), -1), 1, (4, 4), 8.0, SHAPES)
    assert found.empty.all() and not found.full.any()
    assert torch.isfinite(found.stretch).all()


# --- losses ----------------------------------------------------------------------------------------------------------


def test_losses_by_hand() -> None:
    boxes = torch.tensor([[[8.0, 8.0, 24.0, 40.0]]])
    targets = anchor_targets(boxes, torch.tensor([[1]]), 2, (4, 4), 16.0, SHAPES)
    assert targets.full.nonzero().tolist() == [[0, 1, 1, 1]]
    said = torch.zeros(1, 3, 7, 4, 4)
    known = torch.ones(1, 2, dtype=torch.bool)
    cells = 48
    # x = 1.0 of a cell of 16 px, so .0 inside it; y = 1.5; the anchor's own shape, so nothing to stretch.
    assert float(anchor_boxes(said[:, :, :4], targets)) == pytest.approx(2 * math.log(2) / cells, rel=1e-5)
    wanted = (1 + 0.5 * int(targets.empty.sum())) * math.log(2) / cells
    assert float(anchor_objects(said[:, :, 4], targets, known.all(1))) == pytest.approx(wanted, rel=1e-5)
    assert float(anchor_labels(said[:, :, 5:], targets, known)) == pytest.approx(2 * math.log(2) / cells, rel=1e-5)
    blind = torch.zeros(1, 2, dtype=torch.bool)
    assert float(anchor_labels(said[:, :, 5:], targets, blind)) == 0
    assert float(anchor_objects(said[:, :, 4], targets, blind.all(1))) == pytest.approx(math.log(2) / cells, rel=1e-5)
    sure = torch.where(targets.full, 30.0, -30.0)
    assert float(anchor_objects(sure, targets, known.all(1))) == pytest.approx(0, abs=1e-6)


def test_what_the_targets_say_is_read_back() -> None:
    """Targets put into the head's numbers give the box they were made of, on every scale."""
    box, side = torch.tensor([[[30.0, 20.0, 70.0, 90.0]]]), 128
    for scale, stride in enumerate(STRIDES):
        anchors = torch.tensor(ANCHORS[scale]) * side / 416
        grid = side // stride
        targets = anchor_targets(box, torch.tensor([[0]]), 1, (grid, grid), float(stride), anchors)
        object_ = torch.where(targets.full, 9.0, -9.0)[:, :, None]
        shift = targets.shift.clamp(1e-4, 1 - 1e-4).logit()
        boxes, scores, _ = _decoded(torch.cat([shift, targets.stretch, object_, object_], 2), scale, side)
        assert torch.allclose(boxes[0, scores[0].argmax()], box[0, 0], atol=0.05)


# --- suppression -----------------------------------------------------------------------------------------------------


def test_suppression_is_greedy() -> None:
    rng = np.random.default_rng(1)
    corners = torch.tensor(rng.uniform(0, 30, (4, 60, 2)), dtype=torch.float32)
    boxes = torch.cat([corners, corners + torch.tensor(rng.uniform(5, 30, (4, 60, 2)), dtype=torch.float32)], -1)
    labels = torch.tensor(rng.integers(0, 2, (4, 60)))
    is_kept = most_confident_of_overlapping(boxes, labels)
    for film in range(4):
        chosen: list[int] = []
        for row in range(60):
            (x1, y1, x2, y2), good = boxes[film, row].tolist(), True
            for other in chosen:
                a, b, c, d = boxes[film, other].tolist()
                shared = max(0, min(x2, c) - max(x1, a)) * max(0, min(y2, d) - max(y1, b))
                iou = shared / ((x2 - x1) * (y2 - y1) + (c - a) * (d - b) - shared)
                good &= not (iou > 0.5 and labels[film, row] == labels[film, other])
            chosen += [row] if good else []
        assert is_kept[film].nonzero().flatten().tolist() == chosen
        assert 5 < len(chosen) < 60


# --- the head --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["conv", "pyramid", "resnet50"])
def test_three_scales_of_any_encoder(backbone: str) -> None:
    encoder = build_encoder(backbone, (8, 16, 16, 24), 1, 4, 16).eval()
    head = YoloHead(shape_of(encoder), 32, 2)
    said = head(levels_of(encoder, torch.randn(2, 1, 64, 64)), 64)
    assert [tuple(one.shape) for one in said] == [(2, 3, 7, grid, grid) for grid in (8, 4, 2)]
    if backbone == "resnet50":
        assert [shape_of(encoder)[source] for source in head.sources] == [(512, 8), (1024, 16), (2048, 32)]


def test_as_published_on_a_resnet() -> None:
    """Widths 512, 256, 128, and 18 numbers a cell of one label: counted from the description of the family's head."""
    head = YoloHead(((256, 4), (512, 8), (1024, 16), (2048, 32)), 512, 1)

    def branch(width_in: int, width: int) -> int:
        sizes = [(width_in, width, 1), (width, 2 * width, 9), (2 * width, width, 1)]
        sizes += [(width, 2 * width, 9), (2 * width, width, 1), (width, 2 * width, 9)]
        return sum(a * b * k + 2 * b for a, b, k in sizes) + (2 * width + 1) * 18

    wanted = branch(2048, 512) + branch(1024 + 256, 256) + branch(512 + 128, 128)
    wanted += 512 * 256 + 2 * 256 + 256 * 128 + 2 * 128
    assert sum(parameter.numel() for parameter in head.parameters()) == wanted


@pytest.mark.slow
def test_it_learns_and_judges_each_film_by_itself(tmp_path: Path) -> None:
    model, test = tiny(), toy.film_batch(32, seed=9, names=NAMES)
    assert torch.allclose(model.head.branches[0].object.bias.sigmoid(), torch.full((3,), 0.01))
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for step in range(60):
        optimiser.zero_grad()
        loss = model.train()(**toy.film_batch(16, seed=100 + step, names=NAMES)).loss
        loss.backward()
        optimiser.step()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with torch.no_grad():
        outputs = model.eval().validation_outputs(test)
        scores = model.validation_scores(outputs)
        assert scores["boxes.strict.map.low"] > 0.3
        assert scores["boxes.compat.map"] > scores["boxes.strict.map"]
        model.save_pretrained(tmp_path)
        again = Detection.from_pretrained(tmp_path).eval().validation_outputs(toy.film_batch(3, seed=9, names=NAMES))
    few = [np.array(one.predicted[:5]) for one in again]
    assert all(
        np.allclose(one, np.array(other.predicted[:5]), atol=1e-3) for one, other in zip(few, outputs, strict=False)
    )


def test_unsure_boxes_stay_out_of_the_compat_figure_alone() -> None:
    model = tiny(labels=["x"], compat_score=0.5).eval()
    there = (0.0, 1.0, 1.0, 1.0, 9.0, 9.0)
    sure = BoxOutputs("a", (1.0,), (there,), ((0.0, 0.6, *there[2:]),))
    unsure = BoxOutputs("b", (1.0,), (there,), ((0.0, 0.4, *there[2:]),))
    scores = model.validation_scores([sure, unsure])
    assert scores["boxes.strict.map"] == scores["boxes.compat.map"] == 1
    assert (scores["boxes.strict.films"], scores["boxes.compat.films"]) == (2, 1)
    missed = BoxOutputs("b", (1.0,), (there,), ((0.0, 0.4, 20.0, 20.0, 30.0, 30.0),))
    scores = model.validation_scores([sure, missed])
    assert scores["boxes.strict.map"] < scores["boxes.compat.map"] == 1


def test_frozen_encoder_under_it_stays_as_it_is() -> None:
    model = tiny(backbone="resnet50", frozen=True, pixels=64, head_width=16).train()
    before = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    loss = model(**toy.film_batch(2, names=NAMES)).loss
    loss.backward()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.encoder.state_dict().items())
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert F.relu(loss) == loss
