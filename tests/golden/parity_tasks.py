"""Boxes, masks and the rules of data against MGCA's: YOLOv3, the segmentation loss, CheXpert, Object-CXR, RSNA."""

from __future__ import annotations

import csv
import math
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from parity_golden import Comparisons, Golden, Held, Missing, agrees, differs, faulty, golden
from torch import Tensor

from intervalchange.data.readers.chexpert import read as read_chexpert
from intervalchange.data.readers.object_cxr import parse
from intervalchange.data.readers.rsna import read as read_rsna
from intervalchange.losses.dense import soft_dice
from intervalchange.losses.labels import masked_bce
from intervalchange.losses.yolo import anchor_boxes, anchor_labels, anchor_objects, anchor_targets

GRIDS = (7, 14, 28)


def _yolo_loss(raw: Tensor, targets: Any, grid: int) -> Tensor:
    films = len(raw)
    said, known = raw.view(films, 3, 6, grid, grid), torch.ones(films, dtype=torch.bool)
    places, objects = anchor_boxes(said[:, :, :4], targets), anchor_objects(said[:, :, 4], targets, known)
    return 2.5 * places + objects + anchor_labels(said[:, :, 5:], targets, known[:, None])


@golden(
    "mgca_yolo_loss",
    agrees(*(f"{key}_{grid}@targets_of_original" for grid in GRIDS for key in ("loss", "grad.raw"))),
    agrees("full_7", "shift_28@both_full"),
    faulty("2.12", "a best anchor with IoU <= .5 is also told that it is empty there (plain IoU is declared)",
           *(f"{key}_{grid}" for grid in GRIDS for key in ("empty", "loss"))),
    differs("shapes are compared by plain IoU; the family adds 1 to every side", "full_14", "full_28"),
    differs("of two boxes that want one anchor the first has it; the family keeps the last",
            "shift_7@both_full", "shift_14@both_full"),
)  # fmt: skip
def mgca_yolo_loss(z: Golden) -> Comparisons:
    c, boxes = z.configuration, z.i["boxes"]
    labels = torch.where(boxes[..., 2] >= 0, 0, -1)
    for row, (grid, stride) in enumerate(zip(GRIDS, c["strides"], strict=True)):
        anchors = torch.tensor(c["anchors_of_416"][row]).float() * c["side"] / 416
        ours = anchor_targets(boxes, labels, 1, (grid, grid), stride, anchors)
        full = z.o[f"full_{grid}"]
        yield f"full_{grid}", ours.full
        yield f"empty_{grid}", ours.empty
        same = (ours.full & full)[:, :, None].expand_as(ours.shift)
        yield f"shift_{grid}@both_full", Held(ours.shift[same], z.o[f"shift_{grid}"][same])
        yield f"loss_{grid}", _yolo_loss(z.i[f"raw_{grid}"], ours, grid)
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
    agrees("dice_of_batch@one_film"),
    faulty("2.11", "binary cross-entropy and soft Dice a film; the published loss has no switch",
           "mixed", "mixed@switch"),
)  # fmt: skip
def mgca_segmentation_loss(z: Golden) -> Comparisons:
    logits, masks = z.i["logits"], z.i["masks"]
    yield "mixed", masked_bce(logits, masks) + soft_dice(logits, masks)
    yield "mixed@switch", Missing("10 focal - log(Dice of the batch) as an option")
    whole = [one.reshape(1, 1, -1, one.shape[-1]) for one in (logits, masks)]
    yield "dice_of_batch@one_film", 1 - soft_dice(whole[0], whole[1])


# --- rules of data -------------------------------------------------------------------------------------------------


def _write_csv(path: Path, columns: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


@golden(
    "chexpert_labels",
    agrees("path", "labels@unknown-where_known"),
    faulty("2.2", "a blank is unknown here and absent there", "labels@unknown-cells_known"),
    faulty("2.2", "the uncertain are mapped alike here, by label there; no switch",
           "labels@present-where_known", "labels@absent-where_known"),
    faulty("2.2", "a blank is unknown here and absent there", "labels@present-cells_known",
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
    agrees("boxes@rectangles_and_ellipses", "tight"),
    faulty("2.8", "polygon boxes are tight here, polylabel boxes in the family", "boxes@polygons"),
)
def object_cxr_boxes(z: Golden) -> Comparisons:
    ours = []
    for cell in z.i["annotation"]:
        for text in cell.split(";"):
            shape = parse(text)
            assert shape is not None, text
            xs, ys = zip(*shape[1], strict=True)
            ours.append([min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)])
    got, polygon = torch.tensor(ours).float(), z.o["kind"] == 2
    yield "boxes@rectangles_and_ellipses", Held(got[~polygon], z.o["boxes"][~polygon])
    yield "boxes@polygons", Held(got[polygon], z.o["boxes"][polygon])
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
