"""tasks/detection: boxes of findings from any encoder, by a small head without anchors or by that of YOLOv3.

`centre`: a ladder (`blocks/segmentation_decoder.py`) brings the encoder's maps to a stride of a few pixels, where
`CentreHead` predicts centres and sides. `yolov3`: `YoloHead` on three scales, which is what the family (MGCA, CM-CGNS)
trains on the C3 to C5 of a frozen ResNet. Orientation: one film, the `current` side of a batch.

Differs: a frozen encoder is in evaluation mode; the family's BatchNorm drifts while it is "frozen".
Differs: films keep their aspect and are augmented; boxes move with them, and are never scaled in place.
Differs: selection is by the strict mAP, every film counted; `boxes.compat.*` beside it is what the family prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.centre_head import CentreHead
from intervalchange.blocks.encoders import shape_of
from intervalchange.blocks.segmentation_decoder import Ladder
from intervalchange.blocks.yolo_head import YoloHead
from intervalchange.errors import ConfigError
from intervalchange.evaluation.metrics.boxes import COMPAT, STRICT, Boxes, box_metrics
from intervalchange.evaluation.metrics.labels import label_metrics
from intervalchange.losses.yolo import TargetRule
from intervalchange.methods.base.method import MethodOutput
from intervalchange.records import Region
from intervalchange.tasks.probe import Probe, ProbeConfig

SMALLEST = 0.5
"""Pixels: a box that the augmentation has left with less is not trained on."""
ScoredBox = tuple[float, float, float, float, float, float]
"""Number of the label, score, x1, y1, x2, y2."""


class DetectionConfig(ProbeConfig):
    """Configuration of tasks/detection."""

    model_type = "tasks_detection"
    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({"places_weight": "locations_weight"})

    labels: tuple[str, ...] = ("pneumonia",)
    """Names of boxed findings; a film that has one without a box of it is left out for that label."""
    head: Literal["centre", "yolov3"] = "centre"
    """`centre`: no anchors. `yolov3`: three scales with three anchors each, as the family has it."""
    stride: int = 4
    """Pixels per cell of the heatmap of `centre`."""
    head_width: int = 64
    """Channels of `centre` and its ladder; of the coarsest scale of `yolov3` (512 as published)."""
    sides_weight: float = 1.0
    """`centre`: weight of the boxes' sides beside the heatmap of their centres."""
    locations_weight: float = 2.5
    """`yolov3`: weight of the boxes' locations and sizes beside which anchors hold a box."""
    targets: TargetRule = "ours"
    """`yolov3`: which anchors hold a box and which are told that they are empty (`losses/yolo.py`)."""
    most: int = 100
    """Boxes per film, the most confident ones."""
    compat_score: float = 0.0
    """Boxes with a lower score stay out of `boxes.compat.*`; the family leaves out those below 0.5."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.targets == "published" and self.head != "yolov3":
            raise ConfigError("published targets are of anchors.", remedy="Set --model.head yolov3.")


@dataclass(frozen=True)
class BoxOutputs:
    """One film: its target and predicted boxes, in pixels of the film as shown."""

    patient: str
    known: tuple[float, ...]
    """By label: 1 where it is known whether and where it is."""
    target: tuple[ScoredBox, ...]
    """Score 1."""
    predicted: tuple[ScoredBox, ...]


class Detection(Probe):
    """See the module's docstring."""

    config_class = DetectionConfig
    config: DetectionConfig
    name: ClassVar[str] = "tasks/detection"
    supervision: ClassVar[tuple[str, ...]] = ("labels", "boxes")
    needs: ClassVar[tuple[str, ...]] = ("boxes",)
    selection: ClassVar[str] = "boxes.strict.map"
    renamed_weights: ClassVar[Mapping[str, str]] = MappingProxyType(
        {r"^head\.heat\.": "head.heatmap.", r"\.places\.": ".boxes."}
    )

    def __init__(self, config: DetectionConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        shape, labels = shape_of(self.encoder), len(config.labels)
        self.ladder: Ladder | None = None
        self.head: CentreHead | YoloHead
        if config.head == "yolov3":
            self.head = YoloHead(shape, config.head_width, labels, config.targets)
        else:
            self.ladder = Ladder(shape, config.head_width, config.stride)
            self.head = CentreHead(self.ladder.width, config.head_width, labels, self.ladder.stride)
        self.post_init()

    def maps(self, films: Tensor) -> list[Tensor]:
        """Films (b, 1, h, w) -> the input of the head."""
        levels = self.levels(films)
        return levels if self.ladder is None else [self.ladder(levels, films)]

    def forward(self, **batch: Any) -> MethodOutput:
        films = batch["current"].to(self.device)
        boxes, labels = self.targets(batch["regions"])
        known = ~torch.isnan(batch["labels_current"]).to(self.device)
        terms = self.head.terms(self.maps(films), films.shape[-1], boxes, labels, known)
        # `places` is the name of the term in log.jsonl.
        weights = {"sides": self.config.sides_weight, "places": self.config.locations_weight}
        return MethodOutput.of(terms, weights)

    def targets(self, regions: Sequence[dict[str, tuple[Region, ...]]]) -> tuple[Tensor, Tensor]:
        """The regions of a batch -> boxes (b, m, 4) in pixels and numbers of their labels (b, m), -1 for padding."""
        shown = [self._boxes_of(sides["current"], SMALLEST) for sides in regions]
        table = np.full((len(shown), max(1, *map(len, shown)), 5), -1, np.float32)
        for row, boxes in zip(table, shown, strict=True):
            row[: len(boxes)] = boxes
        padded = torch.from_numpy(table).to(self.device)
        return padded[..., 1:], padded[..., 0].long()

    def _boxes_of(self, regions: Sequence[Region], smallest: float = 0.0) -> np.ndarray:
        """(r, 5): number of the label, x1, y1, x2, y2 of the regions that the task is about."""
        names = self.config.labels
        rows = [
            (names.index(region.name), *region.box)
            for region in regions
            if region.kind == "finding" and region.name in names
        ]
        table = np.array(rows, np.float32).reshape(-1, 5)
        large: np.ndarray = table[(table[:, 3:] - table[:, 1:3] > smallest).all(1)]
        return large

    def validation_outputs(self, batch: Any) -> list[BoxOutputs]:
        films = batch.current.to(self.device)
        known = (~torch.isnan(batch.labels_current)).float().tolist()
        detected = self.head.detect(self.maps(films), films.shape[-1], self.config.most)
        predicted = self._clipped(detected, films.shape[-2:])
        target = [
            tuple((label, 1.0, *box) for label, *box in self._boxes_of(regions["current"]).tolist())
            for regions in batch.regions
        ]
        return [BoxOutputs(*row) for row in zip(batch.patient_id, map(tuple, known), target, predicted, strict=True)]

    @staticmethod
    def _clipped(detected: Tensor, size: Sequence[int]) -> list[tuple[ScoredBox, ...]]:
        """(b, n, 6) -> the boxes of each film inside the film; without those of score 0."""
        limit = detected.new_tensor([size[1], size[0]] * 2)
        boxes = torch.minimum(detected[..., 2:].clamp(min=0), limit)
        rows = torch.cat([detected[..., :2], boxes], dim=2).tolist()
        return [tuple(tuple(row) for row in film if row[1] > 0) for film in rows]

    def validation_scores(self, outputs: Sequence[BoxOutputs]) -> dict[str, float]:
        """`boxes.strict.map` and the other metrics of `box_metrics`; NaN left out, the selection then 0.

        Also `labels.auroc.*` and `labels.ap.*`: how well the most confident box of a film predicts whether it has one.
        """
        known = np.array([output.known for output in outputs])
        target = _flat([output.target for output in outputs], known)
        predicted = _flat([output.predicted for output in outputs], known)
        names, patients = self.config.labels, [output.patient for output in outputs]
        metrics: dict[str, float] = {}
        for rule, least in ((STRICT, 0.0), (COMPAT, self.config.compat_score)):
            scored = predicted.chosen(predicted.score >= least)
            metrics |= box_metrics(target, scored, len(outputs), names, patients, (rule,), self.replicates())
        present, confidence = np.full((2, len(outputs), len(names)), 0.0)
        for boxes, table in ((target, present), (predicted, confidence)):
            np.maximum.at(table, (boxes.film, boxes.label), boxes.score)
        present[known == 0] = np.nan
        return self.defined(metrics | label_metrics(present, confidence, names, patients, self.replicates()))


def _flat(films: Sequence[tuple[ScoredBox, ...]], known: np.ndarray) -> Boxes:
    """Boxes of films -> one table, without those of a label whose location is unknown on its film."""
    number = np.repeat(np.arange(len(films)), [len(boxes) for boxes in films])
    table = np.array([box for boxes in films for box in boxes], float).reshape(-1, 6)
    label = table[:, 0].astype(int)
    counted = known[number, label] == 1
    return Boxes.of(number[counted], table[counted, 2:], label[counted], table[counted, 1])
