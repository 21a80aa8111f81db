"""tasks/detection: boxes of findings from any encoder, by a small head without anchors or by that of YOLOv3.

`centre`: a ladder (`decoder.py`) brings the encoder's maps to a stride of a few pixels, where `centre.py` marks centres
and sides. `yolov3`: `yolo.py` on three scales, which is what the family (MGCA, CM-CGNS) trains on the C3 to C5 of a
frozen ResNet. Orientation: one film, the `current` side of a batch.

Differs: a frozen encoder is in evaluation mode; the family's BatchNorm drifts while it is "frozen".
Differs: films keep their aspect and are augmented; boxes move with them, and are never scaled in place.
Differs: selection is by the strict mAP, every film counted; `boxes.compat.*` beside it is what the family prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.centre_head import CentreHead
from intervalchange.blocks.encoders import shape_of
from intervalchange.blocks.segmentation_decoder import Ladder
from intervalchange.blocks.yolo_head import YoloHead
from intervalchange.evaluation.metrics.boxes import COMPAT, STRICT, Boxes, box_metrics
from intervalchange.evaluation.metrics.labels import label_metrics
from intervalchange.methods.base.method import MethodOutput
from intervalchange.records import Region
from intervalchange.tasks.probe import Probe, ProbeConfig

SMALLEST = 0.5
"""Pixels: a box that the augmentation has left with less is not taught."""
Found = tuple[float, float, float, float, float, float]
"""Number of the label, score, x1, y1, x2, y2."""


class DetectionConfig(ProbeConfig):
    """Configuration of tasks/detection."""

    model_type = "tasks_detection"

    labels: tuple[str, ...] = ("pneumonia",)
    """Names of boxed findings; a film that has one without a box of it is left out for that label."""
    head: Literal["centre", "yolov3"] = "centre"
    """`centre`: no anchors. `yolov3`: three scales with three anchors each, as the family has it."""
    stride: int = 4
    """Pixels a cell of the heat map of `centre`."""
    head_width: int = 64
    """Channels of `centre` and its ladder; of the coarsest scale of `yolov3` (512 as published)."""
    sides_weight: float = 1.0
    """`centre`: weight of the boxes' sides beside the heat of their centres."""
    places_weight: float = 2.5
    """`yolov3`: weight of the boxes' places and sizes beside what holds a box."""
    most: int = 100
    """Boxes a film, the surest ones."""
    compat_score: float = 0.0
    """Boxes less sure than this stay out of `boxes.compat.*`; the family leaves out those below 0.5."""


@dataclass(frozen=True)
class BoxOutputs:
    """One film: its boxes and those that were found, in pixels of the film as shown."""

    patient: str
    known: tuple[float, ...]
    """By label: 1 where it is known whether and where it is."""
    truth: tuple[Found, ...]
    """Score 1."""
    found: tuple[Found, ...]


class Detection(Probe):
    """See the module's docstring."""

    config_class = DetectionConfig
    config: DetectionConfig
    name: ClassVar[str] = "tasks/detection"
    supervision: ClassVar[tuple[str, ...]] = ("labels", "boxes")
    needs: ClassVar[tuple[str, ...]] = ("boxes",)
    selection: ClassVar[str] = "boxes.strict.map"

    def __init__(self, config: DetectionConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        shape, labels = shape_of(self.encoder), len(config.labels)
        self.ladder: Ladder | None = None
        self.head: CentreHead | YoloHead
        if config.head == "yolov3":
            self.head = YoloHead(shape, config.head_width, labels)
        else:
            self.ladder = Ladder(shape, config.head_width, config.stride)
            self.head = CentreHead(self.ladder.width, config.head_width, labels, self.ladder.stride)
        self.post_init()

    def maps(self, films: Tensor) -> list[Tensor]:
        """Films (b, 1, h, w) -> the maps that the head reads."""
        levels = self.levels(films)
        return levels if self.ladder is None else [self.ladder(levels, films)]

    def forward(self, **batch: Any) -> MethodOutput:
        films = batch["current"].to(self.device)
        boxes, labels = self.truths(batch["regions"])
        known = ~torch.isnan(batch["labels_current"]).to(self.device)
        terms = self.head.terms(self.maps(films), films.shape[-1], boxes, labels, known)
        weights = {"sides": self.config.sides_weight, "places": self.config.places_weight}
        loss = torch.stack([weights.get(name, 1.0) * term for name, term in terms.items()]).sum()
        return MethodOutput(loss=loss, terms={name: term.detach() for name, term in terms.items()})

    def truths(self, regions: Sequence[dict[str, tuple[Region, ...]]]) -> tuple[Tensor, Tensor]:
        """The regions of a batch -> boxes (b, m, 4) in pixels and numbers of their labels (b, m), -1 for padding."""
        shown = [self._truth(one["current"], SMALLEST) for one in regions]
        table = np.full((len(shown), max(1, *map(len, shown)), 5), -1, np.float32)
        for row, boxes in zip(table, shown, strict=True):
            row[: len(boxes)] = boxes
        held = torch.from_numpy(table).to(self.device)
        return held[..., 1:], held[..., 0].long()

    def _truth(self, regions: Sequence[Region], smallest: float = 0.0) -> np.ndarray:
        """(r, 5): number of the label, x1, y1, x2, y2 of the regions that the task is about."""
        names = self.config.labels
        rows = [(names.index(one.name), *one.box) for one in regions if one.kind == "finding" and one.name in names]
        table = np.array(rows, np.float32).reshape(-1, 5)
        kept: np.ndarray = table[(table[:, 3:] - table[:, 1:3] > smallest).all(1)]
        return kept

    def validation_outputs(self, batch: Any) -> list[BoxOutputs]:
        films = batch.current.to(self.device)
        known = (~torch.isnan(batch.labels_current)).float().tolist()
        found = self._clipped(self.head.found(self.maps(films), films.shape[-1], self.config.most), films.shape[-2:])
        truth = [
            tuple((label, 1.0, *box) for label, *box in self._truth(regions["current"]).tolist())
            for regions in batch.regions
        ]
        return [BoxOutputs(*one) for one in zip(batch.patient_id, map(tuple, known), truth, found, strict=True)]

    @staticmethod
    def _clipped(found: Tensor, size: Sequence[int]) -> list[tuple[Found, ...]]:
        """(b, n, 6) -> the boxes of each film inside the film; without those of score 0."""
        limit = found.new_tensor([size[1], size[0]] * 2)
        boxes = torch.minimum(found[..., 2:].clamp(min=0), limit)
        rows = torch.cat([found[..., :2], boxes], dim=2).tolist()
        return [tuple(tuple(row) for row in film if row[1] > 0) for film in rows]

    def validation_scores(self, outputs: Sequence[BoxOutputs]) -> dict[str, float]:
        """`boxes.strict.map` and the other metrics of `evaluation/boxes.py`; NaN left out, the selection then 0.

        Also `labels.auroc.*` and `labels.ap.*`: how well the surest box of a film tells whether there is one to find.
        """
        known = np.array([one.known for one in outputs])
        truth, found = (_flat([getattr(one, name) for one in outputs], known) for name in ("truth", "found"))
        names, patients = self.config.labels, [one.patient for one in outputs]
        metrics: dict[str, float] = {}
        for rule, least in ((STRICT, 0.0), (COMPAT, self.config.compat_score)):
            kept = found.chosen(found.score >= least)
            metrics |= box_metrics(truth, kept, len(outputs), names, patients, (rule,), self.replicates())
        present, surest = np.full((2, len(outputs), len(names)), 0.0)
        for boxes, table in ((truth, present), (found, surest)):
            np.maximum.at(table, (boxes.film, boxes.label), boxes.score)
        present[known == 0] = np.nan
        metrics |= label_metrics(present, surest, names, patients, self.replicates())
        return {self.selection: 0.0} | {name: value for name, value in metrics.items() if not np.isnan(value)}


def _flat(films: Sequence[tuple[Found, ...]], known: np.ndarray) -> Boxes:
    """Boxes of films -> one table, without those of a label whose place is not known on its film."""
    number = np.repeat(np.arange(len(films)), [len(boxes) for boxes in films])
    table = np.array([box for boxes in films for box in boxes], float).reshape(-1, 6)
    label = table[:, 0].astype(int)
    kept = known[number, label] == 1
    return Boxes.of(number[kept], table[kept, 2:], label[kept], table[kept, 1])
