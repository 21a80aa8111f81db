"""C2F, first film stage: where the regions of the anatomy are on a film.

C2F (big-white-rabbit/Coarse-to-Fine-Grained-Contrastive-Learning; no licence, nothing copied) trains a Faster R-CNN
with 24 classes on Chest ImaGenome boxes and keeps the best box of each class. A region occurs at most once on a film,
so here each has one learned query, without proposals, matching or suppression (`blocks/region_queries.py`).

Differs: one query per region over a small convolutional trunk in place of Faster R-CNN R50-FPN; the measured choice is
    docs/decisions/007-one-query-a-region.md.
Differs: a region that is not on the film is predicted as missing; C2F files it under class 0, "right lung".
Differs: boxes follow each film's own padding (`data/films.py`); C2F stretches films to a square and not their boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.encoder_weights import encoder_tensors
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.region_queries import RegionView, RegionVision
from intervalchange.errors import ConfigError
from intervalchange.evaluation.metrics.boxes import STRICT, Boxes, box_metrics, iou
from intervalchange.findings import C2F_LABELS, C2F_REGIONS, FINDINGS
from intervalchange.losses.labels import masked_bce
from intervalchange.losses.regions import region_boxes
from intervalchange.methods.base.method import Method, MethodConfig, MethodOutput
from intervalchange.records import Region


class RegionConfig(MethodConfig):
    """What finds regions: shared by all stages of C2F, so that `--from` carries it from one to the next."""

    model_type = "c2f_anatomy"

    region_names: tuple[str, ...] = C2F_REGIONS
    """The regions, in the order of the tokens: C2F's 24; `findings.EKAID_REGIONS` are EKAID's 26."""
    findings: tuple[str, ...] = FINDINGS
    """What is looked for in them: findings of the library, or labels of Chest ImaGenome (`findings.C2F_LABELS`);
    ["imagenome"] for all 38 of these."""
    widths: tuple[int, ...] = (16, 32, 64, 96)
    """Channels of the trunk at strides 4, 8, 16, 32."""
    width: int = 48
    """Channels of its map, and of the two vectors of a region; divisible by 4."""
    depth: int = 1
    """Residual blocks per stage."""
    region_layers: int = 1
    """Decoder layers in which the queries read the map."""
    region_heads: int = 4
    crop_cells: int = 4
    """Cells along a side of a region's crop."""
    crop_margin: float = 0.1
    """How much a crop reaches beyond its box on each side, as a share of the box."""
    dropout: float = 0.0

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.findings == ("imagenome",):
            self.findings = C2F_LABELS
        strange = [name for name in self.findings if name not in (*FINDINGS, *C2F_LABELS)]
        if strange:
            raise ConfigError(
                f"{strange[0]!r} is not a finding of the library or a label of Chest ImaGenome.",
                remedy="See findings.FINDINGS and findings.C2F_LABELS.",
            )
        if self.width % 4 or self.width % self.region_heads:
            raise ConfigError(
                f"model option 'width' is {self.width}.", remedy="It is divisible by 4 and by region_heads."
            )


def build_vision(config: RegionConfig, diseases: bool) -> RegionVision:
    """The part that all stages share."""
    return RegionVision(
        len(config.region_names),
        len(config.findings),
        widths=config.widths,
        width=config.width,
        depth=config.depth,
        layers=config.region_layers,
        heads=config.region_heads,
        cells=config.crop_cells,
        margin=config.crop_margin,
        dropout=config.dropout,
        diseases=diseases,
    )


@dataclass(frozen=True)
class RegionTargets:
    """Boxes of the named regions of b films."""

    boxes: Tensor
    """(b, r, 4) in [0, 1]; zeros where a region is not there."""
    there: Tensor
    """(b, r) bool."""
    presence: Tensor
    """(b, r) 1, 0. A region without a box is absent where at least half of the regions have one, else NaN: unknown."""


def region_targets(
    regions: Sequence[Mapping[str, Sequence[Region]]], names: Sequence[str], pixels: int
) -> RegionTargets:
    """The anatomy boxes of the current films of a batch; boxes of the batch are in pixels of the film shown."""
    number = {name: index for index, name in enumerate(names)}
    known = [
        (row, number[one.name], *one.box)
        for row, sides in enumerate(regions)
        for one in sides["current"]
        if one.kind == "anatomy" and one.name in number
    ]
    table = torch.tensor(known, dtype=torch.float32).reshape(-1, 6)
    boxes = torch.zeros(len(regions), len(names), 4)
    there = torch.zeros(len(regions), len(names), dtype=torch.bool)
    row, column = table[:, 0].long(), table[:, 1].long()
    boxes[row, column] = table[:, 2:] / pixels
    # A box that the motion pushed off the film has no area left.
    there[row, column] = (table[:, 4:] - table[:, 2:4]).amin(-1) > 0.5
    presence = there.float().masked_fill(~(there | _all_marked(there)), float("nan"))
    return RegionTargets(boxes, there, presence)


def _all_marked(there: Any) -> Any:
    """(b, r) bool -> (b, 1) bool: films on which all regions are marked that are there, not only the lungs."""
    return (2 * there.sum(-1) >= there.shape[-1])[..., None]


def anatomy_terms(view: RegionView, targets: RegionTargets) -> dict[str, Tensor]:
    """Loss terms of boxes and presence."""
    distance, overlap = region_boxes(view.boxes, targets.boxes, targets.there, average_over_processes)
    presence = masked_bce(view.presence, targets.presence, reduce_mean=average_over_processes)
    return {"distance": distance, "overlap": overlap, "presence": presence}


ANATOMY_WEIGHTS = {"distance": 20.0, "overlap": 2.0, "presence": 1.0}
"""DETR's 5 for the sum of four sides is 20 for their mean; its 2 for the generalised IoU."""


@dataclass(frozen=True)
class RegionOutputs:
    """What validation knows of the regions of one film."""

    boxes: np.ndarray
    """(r, 4) in [0, 1]."""
    presence: np.ndarray
    """(r,) probabilities."""
    true_boxes: np.ndarray
    there: np.ndarray
    """(r,) bool."""


def region_outputs(view: RegionView, targets: RegionTargets) -> list[RegionOutputs]:
    """One record per film."""
    columns = (view.boxes.float(), torch.sigmoid(view.presence.float()), targets.boxes, targets.there)
    return [RegionOutputs(*row) for row in zip(*(column.cpu().numpy() for column in columns), strict=True)]


def region_metrics(outputs: Sequence[RegionOutputs], names: Sequence[str]) -> dict[str, float]:
    """Mean IoU over the regions that are there, presence right, and the mean average precision of COCO."""
    there = np.stack([one.there for one in outputs])
    boxes, true = (np.stack([getattr(one, field) for one in outputs]) for field in ("boxes", "true_boxes"))
    presence = np.stack([one.presence for one in outputs])
    overlap = iou(boxes[..., None, :], true[..., None, :])[..., 0, 0]
    known = there | _all_marked(there)
    film, label = np.nonzero(there)
    all_films, all_labels = np.nonzero(np.ones_like(there))
    truth = Boxes.of(film, true[film, label], label)
    found = Boxes.of(all_films, np.sort(boxes.reshape(-1, 2, 2), axis=1).reshape(-1, 4), all_labels, presence.ravel())
    precision = box_metrics(truth, found, len(outputs), names, rules=(STRICT,), replicates=0)
    return {
        "regions.iou": float(overlap[there].mean()) if there.any() else 0.0,
        "regions.iou.lungs": _mean_of(overlap, there, names, ("right lung", "left lung")),
        "regions.presence.accuracy": float(((presence > 0.5) == there)[known].mean()) if known.any() else 0.0,
        "regions.map": precision["boxes.strict.map"],
        "regions.ap50": precision["boxes.strict.ap50"],
    }


def _mean_of(overlap: np.ndarray, there: np.ndarray, names: Sequence[str], chosen: Sequence[str]) -> float:
    columns = [index for index, name in enumerate(names) if name in chosen]
    values = overlap[:, columns][there[:, columns]]
    return float(values.mean()) if len(values) else float("nan")


class C2FAnatomy(Method):
    """See the module's docstring."""

    config_class = RegionConfig
    config: RegionConfig
    name = "c2f/anatomy"
    supervision = ("regions",)
    unit = "films"
    needs = ("regions",)
    selection = "regions.iou"

    def __init__(self, config: RegionConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        self.vision = build_vision(config, diseases=False)
        self.post_init()

    def map_pretrained(self, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
        """The encoder of any run; a run of C2F gives all it has."""
        if any(name.startswith("vision.") for name in tensors):
            return tensors
        found = encoder_tensors(self.vision.encoder, tensors, run)
        return {f"vision.encoder.{name}": tensor for name, tensor in found.items()}

    def _targets(self, batch: Mapping[str, Any]) -> RegionTargets:
        targets = region_targets(batch["regions"], self.config.region_names, batch["current"].shape[-1])
        return RegionTargets(*(field.to(self.device) for field in (targets.boxes, targets.there, targets.presence)))

    def forward(self, **batch: Any) -> MethodOutput:
        view, _ = self.vision(batch["current"])
        return MethodOutput.of(anatomy_terms(view, self._targets(batch)), ANATOMY_WEIGHTS)

    def validation_outputs(self, batch: Any) -> list[Any]:
        with torch.no_grad():
            view, _ = self.vision(batch["current"].to(self.device))
        return region_outputs(view, self._targets(batch))

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        return region_metrics(outputs, self.config.region_names)
