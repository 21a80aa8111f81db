"""tasks/detection: boxes of findings from any encoder by a small head without anchors.

A ladder (`decoder.py`) brings the encoder's maps to a stride of a few pixels; there a heat map of centres for each
label and the four sides of a box at each cell (CenterNet and TTFNet, see `losses/detection.py`). Peaks of the heat are
the boxes: there is no suppression of overlapping ones. Orientation: one film, the `current` side of a batch.

Differs: the family (MGCA, CM-CGNS) trains a YOLOv3 head with COCO's anchors on the C3 to C5 of a ResNet; this head is
    smaller, works on any encoder, and has no anchors to choose.
Differs: a frozen encoder is in evaluation mode; the family's BatchNorm drifts while it is "frozen".
Differs: films keep their aspect and are augmented; boxes move with them, and are never scaled in place.
Differs: selection is by the strict mAP, every film counted; `boxes.compat.*` beside it is what the family prints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.processes import average_over_processes
from intervalchange.evaluation.boxes import Boxes, box_figures
from intervalchange.evaluation.labels import label_figures
from intervalchange.losses.detection import BoxTargets, box_sides, box_targets, centre_focal
from intervalchange.methods.method import MethodOutput
from intervalchange.records import Region
from intervalchange.tasks.decoder import Ladder
from intervalchange.tasks.encoders import shape_of
from intervalchange.tasks.probe import Probe, ProbeConfig

SMALLEST = 0.5
"""Pixels: a box that the augmentation has left with less is not taught."""
RARE = 0.05
"""What the heat is before anything is learnt."""

Found = tuple[float, float, float, float, float, float]
"""Number of the label, score, x1, y1, x2, y2."""


class DetectionConfig(ProbeConfig):
    """Configuration of tasks/detection."""

    model_type = "tasks_detection"

    labels: tuple[str, ...] = ("pneumonia",)
    """Names of boxed findings; a film that has one without a box of it is left out for that label."""
    stride: int = 4
    """Pixels a cell of the heat map."""
    head_width: int = 64
    sides_weight: float = 1.0
    """Weight of the boxes' sides beside the heat of their centres."""
    most: int = 100
    """Boxes a film, the surest ones."""


@dataclass(frozen=True)
class JudgedBoxes:
    """One film: its boxes and those that were found, in pixels of the film as shown."""

    patient: str
    known: tuple[float, ...]
    """By label: 1 where it is known whether and where it is."""
    truth: tuple[Found, ...]
    """Score 1."""
    found: tuple[Found, ...]


@dataclass(frozen=True)
class Said:
    """What the head says of a batch."""

    heat: Tensor
    """(b, l, g, g) logits."""
    boxes: Tensor
    """(b, 4, g, g) x1, y1, x2, y2 in pixels."""


class CentreHead(nn.Module):
    """A shared 3x3 convolution, then heat and sides by 1x1."""

    def __init__(self, width_in: int, width: int, labels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.mix = nn.Conv2d(width_in, width, 3, padding=1)
        self.heat = nn.Conv2d(width, labels, 1)
        self.sides = nn.Conv2d(width, 4, 1)

    def draw_weights(self, init: Any) -> None:
        """Centres are rare: without this the first steps only learn to say no (RetinaNet, Lin et al. 2017, 4.1)."""
        for last in (self.heat, self.sides):
            init.normal_(last.weight, std=0.01)
        init.constant_(self.heat.bias, -math.log((1 - RARE) / RARE))

    def forward(self, features: Tensor) -> Said:
        features = F.relu(self.mix(features))
        away = F.softplus(self.sides(features).float()) * 2 * self.stride
        rows, columns = (torch.arange(n, device=away.device) + 0.5 for n in features.shape[-2:])
        x, y = (columns * self.stride).expand(len(rows), -1), (rows * self.stride)[:, None].expand(-1, len(columns))
        boxes = torch.stack([x - away[:, 0], y - away[:, 1], x + away[:, 2], y + away[:, 3]], dim=1)
        return Said(self.heat(features), boxes)


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
        self.ladder = Ladder(shape_of(self.encoder), config.head_width, config.stride)
        self.head = CentreHead(self.ladder.width, config.head_width, len(config.labels), self.ladder.stride)
        self.post_init()

    def look(self, films: Tensor) -> Said:
        """Films (b, 1, h, w) -> heat and boxes."""
        films = films.to(self.device)
        said: Said = self.head(self.ladder(self.levels(films), films))
        return said

    def forward(self, **batch: Any) -> MethodOutput:
        said, known = self.look(batch["current"]), ~torch.isnan(batch["labels_current"])
        targets = self.targets(batch["regions"], said)
        centres = centre_focal(said.heat, targets.heat, known.to(said.heat.device), across=average_over_processes)
        sides = box_sides(said.boxes, targets, across=average_over_processes)
        terms = {"centres": centres.detach(), "sides": sides.detach()}
        return MethodOutput(loss=centres + self.config.sides_weight * sides, terms=terms)

    def targets(self, regions: Sequence[dict[str, tuple[Region, ...]]], said: Said) -> BoxTargets:
        """What the grid should say of the regions of a batch."""
        shown = [self._truth(one["current"], SMALLEST) for one in regions]
        most = max(1, *map(len, shown))
        table = np.full((len(shown), most, 5), -1, np.float32)
        for row, boxes in zip(table, shown, strict=True):
            row[: len(boxes)] = boxes
        held = torch.from_numpy(table).to(said.heat.device)
        grid = (said.heat.shape[-2], said.heat.shape[-1])
        return box_targets(held[..., 1:], held[..., 0].long(), len(self.config.labels), grid, self.ladder.stride)

    def _truth(self, regions: Sequence[Region], smallest: float = 0.0) -> np.ndarray:
        """(r, 5): number of the label, x1, y1, x2, y2 of the regions that the task is about."""
        names = self.config.labels
        rows = [(names.index(one.name), *one.box) for one in regions if one.kind == "finding" and one.name in names]
        table = np.array(rows, np.float32).reshape(-1, 5)
        kept: np.ndarray = table[(table[:, 3:] - table[:, 1:3] > smallest).all(1)]
        return kept

    def judged(self, batch: Any) -> list[JudgedBoxes]:
        said = self.look(batch.current)
        known = (~torch.isnan(batch.labels_current)).float().tolist()
        found = self._peaks(said, batch.current.shape[-2:])
        truth = [
            tuple((label, 1.0, *box) for label, *box in self._truth(regions["current"]).tolist())
            for regions in batch.regions
        ]
        return [JudgedBoxes(*one) for one in zip(batch.patient_id, map(tuple, known), truth, found, strict=True)]

    def _peaks(self, said: Said, size: tuple[int, int]) -> list[tuple[Found, ...]]:
        """The surest peaks of the heat of each film, with their boxes clipped to the film."""
        hot = said.heat.float().sigmoid()
        hot = hot * (hot == F.max_pool2d(hot, 3, 1, 1))
        scores, places = hot.flatten(1).topk(min(self.config.most, hot[0].numel()))
        cells = hot.shape[-2] * hot.shape[-1]
        index = (places % cells)[:, None].expand(-1, 4, -1)
        limit = torch.tensor([size[1], size[0]] * 2, device=hot.device)
        boxes = torch.minimum(said.boxes.flatten(2).gather(2, index).transpose(1, 2).clamp(min=0), limit)
        rows = torch.cat([(places // cells).float()[..., None], scores[..., None], boxes], dim=2).tolist()
        return [tuple(tuple(row) for row in film if row[1] > 0) for film in rows]

    def validation_scores(self, judged: Sequence[JudgedBoxes]) -> dict[str, float]:
        """`boxes.strict.map` and the other figures of `evaluation/boxes.py`; NaN left out, the selection then 0.

        Also `labels.auroc.*` and `labels.ap.*`: how well the surest box of a film tells whether there is one to find.
        """
        known = np.array([one.known for one in judged])
        truth, found = (_flat([getattr(one, name) for one in judged], known) for name in ("truth", "found"))
        names, patients = self.config.labels, [one.patient for one in judged]
        figures = box_figures(truth, found, len(judged), names, patients, replicates=self.replicates())
        present, surest = np.full((2, len(judged), len(names)), 0.0)
        for boxes, table in ((truth, present), (found, surest)):
            np.maximum.at(table, (boxes.film, boxes.label), boxes.score)
        present[known == 0] = np.nan
        figures |= label_figures(present, surest, names, patients, self.replicates())
        return {self.selection: 0.0} | {name: value for name, value in figures.items() if not np.isnan(value)}


def _flat(films: Sequence[tuple[Found, ...]], known: np.ndarray) -> Boxes:
    """Boxes of films -> one table, without those of a label whose place is not known on its film."""
    number = np.repeat(np.arange(len(films)), [len(boxes) for boxes in films])
    table = np.array([box for boxes in films for box in boxes], float).reshape(-1, 6)
    label = table[:, 0].astype(int)
    kept = known[number, label] == 1
    return Boxes.of(number[kept], table[kept, 2:], label[kept], table[kept, 1])
