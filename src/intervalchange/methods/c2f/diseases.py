"""C2F, second film stage: which findings are in each region.

C2F trains a ResNet-101 on the crop of every annotated box: a vector f of the crop, plus an embedding of the region,
says which of 38 labels are there; f alone is kept. Here the crop is one of the feature map that also finds the boxes
(RoI-align), so that both films' regions cost one pass of one small trunk.

What is in which region comes from the locations of the findings (masks or boxes) where they are known; a film whose
findings have labels but no locations still teaches that one of its regions has them.

Differs: crops are taken from the map of the shared trunk, from the boxes that were found, not from pixels in 224 x 224.
Differs: the right way round; C2F crops rows by x and columns by y.
Differs: the findings of the library, unless `findings` is ["imagenome"], C2F's 38 labels, as in the paper preset. Of
    these, the ones that the reader of Chest ImaGenome takes for one finding (airspace and lung opacity; atelectasis,
    linear atelectasis and collapse; fractures) are learnt alike.
Differs: absent findings weigh as they are (`balance` for those present); C2F drops four fifths of healthy boxes.
Differs: the film's own labels are learned too (one of its regions has it), and a dense map of the locations of findings
    helps the trunk while training (`locations_weight`; 0 leaves it out).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.processes import average_over_processes
from intervalchange.data.dataset import FilmDataset, PairDataset
from intervalchange.data.prepared import Prepared
from intervalchange.data.readers.imagenome_graphs import FINDING_OF_LABEL
from intervalchange.evaluation.metrics.labels import by_label
from intervalchange.findings import FINDINGS
from intervalchange.losses.dense import inside_and_outside
from intervalchange.losses.labels import masked_bce
from intervalchange.losses.regions import any_region, findings_in_regions, region_findings
from intervalchange.methods.base.method import Method, MethodOutput
from intervalchange.methods.c2f.anatomy import (
    ANATOMY_WEIGHTS,
    RegionConfig,
    RegionOutputs,
    RegionTargets,
    anatomy_terms,
    build_vision,
    region_metrics,
    region_outputs,
    region_targets,
)
from intervalchange.records import Region


class DiseasesConfig(RegionConfig):
    """Loss weights and what counts as a finding in a region."""

    model_type = "c2f_diseases"
    renamed: ClassVar[Mapping[str, str]] = {"places_weight": "locations_weight"}

    anatomy_weight: float = 0.5
    """How much the boxes are still learned; the trunk is shared."""
    region_weight: float = 1.0
    film_weight: float = 0.5
    """Of the film's labels through all of its regions."""
    locations_weight: float = 1.0
    """Of the dense map of locations, which is there while training only."""
    balance: float = 3.0
    """How much a present finding of a region weighs against an absent one."""
    least: float = 0.3
    """Share of a finding that must lie in a region for the region to have it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What is looked for beyond the findings of the library, by the names that the data have."""
        return tuple(dict.fromkeys(name for name in map(name_in_data, self.findings) if name not in FINDINGS))


def name_in_data(name: str) -> str:
    """The name of a finding, or of a label of Chest ImaGenome, in prepared data."""
    return FINDING_OF_LABEL.get(name, name)


def located_maps(
    regions: Sequence[Mapping[str, Sequence[Region]]], names: Sequence[str], pixels: int, side: int
) -> Tensor:
    """Where findings outside the library are on the current films: (b, f, side, side), NaN in their boxes, 0 elsewhere;
    all NaN for one without a box. Boxes of the batch are in pixels of the film shown."""
    maps = torch.full((len(regions), len(names), side, side), float("nan"))
    for row, sides in enumerate(regions):
        boxes = [one for one in sides["current"] if one.kind != "anatomy" and one.name in names]
        for name in {one.name for one in boxes}:
            maps[row, names.index(name)] = 0
        for one in boxes:
            x1, y1, x2, y2 = (edge * side / pixels for edge in one.box)
            rows, columns = slice(max(0, math.floor(y1)), math.ceil(y2)), slice(max(0, math.floor(x1)), math.ceil(x2))
            maps[row, names.index(one.name), rows, columns] = float("nan")
    return maps


@dataclass(frozen=True)
class FilmOutputs:
    """What validation knows of one film."""

    regions: RegionOutputs
    findings: np.ndarray
    """(f,) probabilities that the film has it."""
    true_findings: np.ndarray
    """(f,) int8: 1, 0, -1 unknown."""
    in_regions: np.ndarray
    """(r, f) probabilities."""
    true_in_regions: np.ndarray
    """(r, f), likewise."""


class C2FDiseases(Method):
    """See the module's docstring."""

    config_class = DiseasesConfig
    config: DiseasesConfig
    name = "c2f/diseases"
    follows = ("c2f/anatomy",)
    renamed_weights: ClassVar[Mapping[str, str]] = {r"^places\.": "locations."}
    supervision = ("regions", "findings", "masks")
    unit = "films"
    needs = ("findings",)
    selection = "findings.auroc"

    columns: Tensor

    def __init__(self, config: DiseasesConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        self.vision = build_vision(config, diseases=True)
        self.locations = nn.Conv2d(config.width, len(config.findings), 1) if config.locations_weight else None
        self.post_init()

    @classmethod
    def dataset(
        cls, config: Any, prepared: Prepared, split: str, kinds: Sequence[str] | None = None, **options: Any
    ) -> PairDataset | FilmDataset:
        """As every method's; a label that the data do not have is unknown."""
        return super().dataset(config, prepared, split, kinds, **{**options, "some_labels": True})

    def _findings(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Findings (b, f) and locations (b, f, g, g) by the names of the configuration."""
        findings, locations = batch["findings_current"], batch["locations_current"]
        if self.config.labels:
            findings = torch.cat([findings, batch["labels_current"].to(findings)], dim=1)
            maps = located_maps(batch["regions"], self.config.labels, batch["current"].shape[-1], locations.shape[-1])
            locations = torch.cat([locations, maps.to(locations)], dim=1)
        known = (*FINDINGS, *self.config.labels)
        columns = [known.index(name_in_data(name)) for name in self.config.findings]
        return findings.to(self.device)[:, columns], locations.to(self.device)[:, columns]

    def _targets(self, batch: Mapping[str, Any]) -> tuple[RegionTargets, Tensor, Tensor, Tensor]:
        """Regions, findings (b, f), findings of regions (b, r, f), locations (b, f, g, g)."""
        names, device = self.config.region_names, self.device
        targets = region_targets(batch["regions"], names, batch["current"].shape[-1])
        targets = RegionTargets(*(field.to(device) for field in (targets.boxes, targets.there, targets.presence)))
        findings, locations = self._findings(batch)
        inside = findings_in_regions(targets.boxes, targets.there, locations, findings, self.config.least)
        return targets, findings, inside, locations

    def forward(self, **batch: Any) -> MethodOutput:
        config = self.config
        view, features = self.vision(batch["current"])
        targets, findings, inside, locations = self._targets(batch)
        joined: dict[str, Any] = {"reduce_mean": average_over_processes}
        terms = anatomy_terms(view, targets)
        weights = {name: config.anatomy_weight * weight for name, weight in ANATOMY_WEIGHTS.items()}
        terms["regions"] = region_findings(view.findings, inside, config.balance, **joined)
        terms["film"] = masked_bce(any_region(view.findings, view.presence), findings, **joined)
        weights |= {"regions": config.region_weight, "film": config.film_weight}
        if self.locations is not None:
            terms["places"] = inside_and_outside(self.locations(features), locations, findings == 1, **joined)
            weights["places"] = config.locations_weight
        return MethodOutput.of(terms, weights)

    def validation_outputs(self, batch: Any) -> list[Any]:
        with torch.no_grad():
            view, _ = self.vision(batch["current"].to(self.device))
            targets, findings, inside, _ = self._targets(batch)
            film = torch.sigmoid(any_region(view.findings, view.presence))
            regions = torch.sigmoid(view.findings.float())
        known = [torch.nan_to_num(truth, nan=-1.0).to(torch.int8) for truth in (findings, inside)]
        columns = [column.cpu().numpy() for column in (film, known[0], regions, known[1])]
        return [FilmOutputs(*row) for row in zip(region_outputs(view, targets), *columns, strict=True)]

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        film = _areas([one.findings for one in outputs], [one.true_findings for one in outputs])
        inside = _areas([one.in_regions for one in outputs], [one.true_in_regions for one in outputs])
        metrics = {"findings.auroc": _mean(film), "regions.findings.auroc": _mean(inside)}
        named = zip(self.config.findings, film, strict=True)
        metrics |= {f"findings.auroc.{name}": float(area) for name, area in named if not np.isnan(area)}
        return metrics | region_metrics([one.regions for one in outputs], self.config.region_names)


def _areas(scores: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> np.ndarray:
    """(..., f) of each film, truth -1 where unknown -> (f,) area under the ROC curve, NaN where a class is missing."""
    predicted, target = (np.stack(list(table)).astype(float) for table in (scores, truth))
    target[target < 0] = np.nan
    predicted, target = (table.reshape(-1, table.shape[-1]) for table in (predicted, target))
    return by_label(target, predicted, np.ones(len(target)), "auroc")


def _mean(values: np.ndarray) -> float:
    """Over what is known; 0.5, which says nothing, where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.5
