"""Boxes, masks and the rules of data against MGCA's: YOLOv3, the segmentation loss, CheXpert, Object-CXR, RSNA."""

from __future__ import annotations

import csv
import math
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from parity_golden import Comparisons, Golden, Held, agrees, differs, golden
from torch import Tensor

from intervalchange.config import load_preset
from intervalchange.data.readers.chexpert import read as read_chexpert
from intervalchange.data.readers.object_cxr import parse
from intervalchange.data.readers.pole_boxes import pole_box
from intervalchange.data.readers.rsna import read as read_rsna
from intervalchange.losses.dense import focal_and_batch_dice, soft_dice
from intervalchange.losses.labels import masked_bce
from intervalchange.losses.yolo import anchor_boxes, anchor_labels, anchor_objects, anchor_targets
from intervalchange.methods import method_class

GRIDS = (7, 14, 28)
POLE = 20.0
"""Pixels by which a side of a polylabel box may differ: the pole by its tolerance of 10, the reach by as much."""


def _preset(task: str) -> Any:
    """The configuration of the preset `paper`."""
    stage = f"tasks/{task}"
    return method_class(stage).config_class(**load_preset(stage, "paper").model)


def _yolo_loss(raw: Tensor, targets: Any, grid: int) -> Tensor:
    films = len(raw)
    said, known = raw.view(films, 3, 6, grid, grid), torch.ones(films, dtype=torch.bool)
    places, objects = anchor_boxes(said[:, :, :4], targets), anchor_objects(said[:, :, 4], targets, known)
    return 2.5 * places + objects + anchor_labels(said[:, :, 5:], targets, known[:, None])


@golden(
    "mgca_yolo_loss",
    agrees(*(f"{key}_{grid}@targets_of_original" for grid in GRIDS for key in ("loss", "grad.raw"))),
    agrees(*(f"{key}_{grid}" for grid in GRIDS for key in ("full", "empty", "shift", "stretch", "loss", "grad.raw"))),
    agrees("full_7@ours", "shift_28@ours-both_full"),
    differs("a best anchor is never told that it is empty, shapes are compared by plain IoU",
            *(f"{key}_{grid}@ours" for grid in GRIDS for key in ("empty", "loss"))),
    differs("shapes are compared by plain IoU; the family adds 1 to every side", "full_14@ours", "full_28@ours"),
    differs("of two boxes that want one anchor the first has it; the family keeps the last",
            "shift_7@ours-both_full", "shift_14@ours-both_full"),
)  # fmt: skip
def mgca_yolo_loss(z: Golden) -> Comparisons:
    c, boxes = z.configuration, z.i["boxes"]
    labels = torch.where(boxes[..., 2] >= 0, 0, -1)
    for row, (grid, stride) in enumerate(zip(GRIDS, c["strides"], strict=True)):
        anchors = torch.tensor(c["anchors_of_416"][row]).float() * c["side"] / 416
        full = z.o[f"full_{grid}"]
        published = anchor_targets(boxes, labels, 1, (grid, grid), stride, anchors, _preset("detection").targets)
        yield f"full_{grid}", published.full
        yield f"empty_{grid}", published.empty
        held = full[:, :, None].expand_as(published.shift)
        for key in ("shift", "stretch"):
            yield f"{key}_{grid}", Held(getattr(published, key)[held], z.o[f"{key}_{grid}"][held])
        (raw,) = z.leaves(f"raw_{grid}")
        loss = _yolo_loss(raw, published, grid)
        yield f"loss_{grid}", loss
        yield f"grad.raw_{grid}", torch.autograd.grad(loss, raw)[0]
        ours = anchor_targets(boxes, labels, 1, (grid, grid), stride, anchors)
        yield f"full_{grid}@ours", ours.full
        yield f"empty_{grid}@ours", ours.empty
        same = (ours.full & full)[:, :, None].expand_as(ours.shift)
        yield f"shift_{grid}@ours-both_full", Held(ours.shift[same], z.o[f"shift_{grid}"][same])
        yield f"loss_{grid}@ours", _yolo_loss(z.i[f"raw_{grid}"], ours, grid)
        theirs = SimpleNamespace(
            full=full,
            empty=z.o[f"empty_{grid}"],
            shift=z.o[f"shift_{grid}"],
            stretch=z.o[f"stretch_{grid}"],
            label=full[:, :, None].float(),
        )
        (raw,) = z.leaves(f"raw_{grid}")
        loss = _yolo_loss(raw, theirs, grid)
        yield f"loss_{grid}@targets_of_original", loss
        yield f"grad.raw_{grid}@targets_of_original", torch.autograd.grad(loss, raw)[0]


@golden(
    "mgca_segmentation_loss",
    agrees("mixed", "grad.mixed", "dice_of_batch@one_film"),
    differs("`small` has binary cross-entropy and the soft Dice of each film", "mixed@ours"),
)  # fmt: skip
def mgca_segmentation_loss(z: Golden) -> Comparisons:
    logits, masks = z.i["logits"], z.i["masks"]
    assert _preset("segmentation").loss == "published"
    (leaf,) = z.leaves("logits")
    loss = focal_and_batch_dice(leaf, masks)
    yield "mixed", loss
    yield "grad.mixed", torch.autograd.grad(loss, leaf)[0]
    yield "mixed@ours", masked_bce(logits, masks) + soft_dice(logits, masks)
    whole = [one.reshape(1, 1, -1, one.shape[-1]) for one in (logits, masks)]
    yield "dice_of_batch@one_film", 1 - soft_dice(whole[0], whole[1])


# --- rules of data -------------------------------------------------------------------------------------------------


def _write_csv(path: Path, columns: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


@golden(
    "chexpert_labels",
    agrees("path", "labels", "labels@unknown-where_known"),
    differs("a blank is unknown (labels=known); as published it is absent", "labels@unknown-cells_known"),
    differs("all uncertain labels become the same (labels=known), as published by label",
            "labels@present-where_known", "labels@absent-where_known"),
    differs("a blank is unknown (labels=known); as published it is absent", "labels@present-cells_known",
            "labels@absent-cells_known"),
)  # fmt: skip
def chexpert_labels(z: Golden) -> Comparisons:
    cells = [["" if math.isnan(value) else f"{value:.1f}" for value in row] for row in z.i["table"].tolist()]
    lines = [
        [path, "Female", "60", plane, "AP" if plane == "Frontal" else "", *row]
        for path, plane, row in zip(z.i["path"], z.i["plane"], cells, strict=True)
    ]
    paths, tasks, want = z.o["path"], [task.lower() for task in z.o["tasks"]], z.o["labels"].long()
    uncertain: Any
    with tempfile.TemporaryDirectory() as folder:
        _write_csv(
            Path(folder) / "train.csv", ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *z.i["columns"]], lines
        )
        published = read_chexpert(Path(folder), labels="published", tables_only=True)
        films = {str(case.current.image): case.current.findings for case in published.cases}
        yield "labels", torch.tensor([[int(films[path][task]) for task in tasks] for path in paths])
        for uncertain in ("unknown", "present", "absent"):
            found = read_chexpert(Path(folder), uncertain=uncertain, tables_only=True)
            films = {str(case.current.image): case.current.findings for case in found.cases}
            if uncertain == "unknown":
                yield "path", Held(set(films), set(paths))
            ours = torch.tensor([[float(films[path].get(task, math.nan)) for task in tasks] for path in paths])
            known = ~ours.isnan()
            yield f"labels@{uncertain}-where_known", Held(ours[known].long(), want[known])
            yield f"labels@{uncertain}-cells_known", Held(known.sum(), torch.tensor(want.numel()))


@golden(
    "object_cxr_boxes",
    agrees("boxes@rectangles_and_ellipses", "tight", "boxes@polygons"),
    differs("boxes are tight (boxes=tight); as published they are polylabel boxes", "boxes@polygons-tight"),
)
def object_cxr_boxes(z: Golden) -> Comparisons:
    ours, poles = [], []
    for cell in z.i["annotation"]:
        for text in cell.split(";"):
            shape = parse(text)
            assert shape is not None, text
            xs, ys = zip(*shape[1], strict=True)
            ours.append([min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)])
            x1, y1, x2, y2 = pole_box(shape[1])
            poles.append([x1, y1, x2 - x1, y2 - y1])
    got, polygon = torch.tensor(ours).float(), z.o["kind"] == 2
    yield "boxes@rectangles_and_ellipses", Held(got[~polygon], z.o["boxes"][~polygon])
    published = torch.tensor(poles).float()
    # The pole is searched to within 10 pixels; the boxes of Shapely 2.2 differ from those of 1.8 by up to 102.
    yield "boxes@polygons", Held(published[polygon], z.o["boxes"][polygon], POLE)
    yield "boxes@polygons-tight", Held(got[polygon], z.o["boxes"][polygon], POLE)
    yield "tight", got


@golden("rsna_boxes", agrees("film", "target", "boxes@with_pneumonia", "labels"))
def rsna_boxes(z: Golden) -> Comparisons:
    lines = [
        [one, *("" if math.isnan(value) else f"{value:g}" for value in row[:4]), int(row[4])]
        for one, row in zip(z.i["patient"], z.i["table"].tolist(), strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        columns = ["patientId", "x", "y", "width", "height", "Target"]
        _write_csv(Path(folder) / "stage_2_train_labels.csv", columns, lines)
        found = read_rsna(Path(folder), tables_only=True)
    films = {case.current.study_id: case.current for case in found.cases}
    names = z.o["film"]
    yield "film", Held(set(films), set(names))
    yield "target", torch.tensor([int(films[name].findings["pneumonia"]) for name in names])
    boxes, labels = torch.full_like(z.o["boxes"], -1.0), torch.zeros_like(z.o["labels"])
    for row, name in enumerate(names):
        for place, region in enumerate(films[name].regions):
            box = torch.tensor(region.box)
            boxes[row, place] = box
            labels[row, place, 1:] = torch.cat([(box[:2] + box[2:]) / 2, box[2:] - box[:2]]) / 1024
    has = z.o["target"] == 1
    yield "boxes@with_pneumonia", Held(boxes[has], z.o["boxes"][has])
    yield "labels", labels
