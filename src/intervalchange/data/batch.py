"""The input of a model: tensors and strings, never token ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.utils.generic import ModelOutput

from intervalchange.records import Region

TENSORS = (
    "current",
    "prior",
    "has_prior",
    "findings_current",
    "findings_prior",
    "levels_current",
    "levels_prior",
    "opacity_current",
    "opacity_prior",
    "locations_current",
    "locations_prior",
    "labels_current",
    "features_current",
    "features_prior",
    "masks_current",
    "finding_rates",
    "change_rates",
)


@dataclass
class Batch(ModelOutput):
    """b cases. f = len(findings.FINDINGS), in that order. A field that is None is not there (`batch.keys()`).

    Fields without `| None` in their type are in every batch that `collate` makes of cases with labels, unless the data
    set leaves that kind of `supervision` out; ModelOutput wants a default all the same.
    """

    current: torch.Tensor = None  # type: ignore[assignment]
    """(b, 1, h, w) float32, as `films.normalised` gives it."""
    prior: torch.Tensor = None  # type: ignore[assignment]
    """(b, 1, h, w) float32, likewise; zeros where absent."""
    has_prior: torch.Tensor = None  # type: ignore[assignment]
    """(b) bool."""
    question: list[str] = None  # type: ignore[assignment]
    answer: list[str] | None = None
    report_current: list[str] | None = None
    report_prior: list[str] | None = None
    kind: list[str] = None  # type: ignore[assignment]
    case_id: list[str] = None  # type: ignore[assignment]
    patient_id: list[str] = None  # type: ignore[assignment]
    findings_current: torch.Tensor = None  # type: ignore[assignment]
    """(b, f) float32: 1 present, 0 absent, NaN unknown."""
    findings_prior: torch.Tensor = None  # type: ignore[assignment]
    """(b, f) float32; NaN where there is no prior."""
    levels_current: torch.Tensor = None  # type: ignore[assignment]
    """(b, f) float32: rank of the level, NaN where there is none."""
    levels_prior: torch.Tensor = None  # type: ignore[assignment]
    opacity_current: torch.Tensor | None = None
    """(b, 1, g, g) float32 in [0, 1] in the frame of `current`; NaN where unknown."""
    opacity_prior: torch.Tensor | None = None
    locations_current: torch.Tensor | None = None
    """(b, f, g, g) float32: 1 where a finding is, 0 where it is not, NaN where not known."""
    locations_prior: torch.Tensor | None = None
    labels_current: torch.Tensor | None = None
    """(b, l) float32: the labels that a method over films names in its configuration; 1, 0, NaN unknown."""
    masks_current: torch.Tensor | None = None
    """(b, l, h, w) float32: 1 where the label is on the film, 0 elsewhere, NaN where that is not known. Only for
    methods over films that need "masks"."""
    features_current: torch.Tensor | None = None
    """(b, r, c) float32: stored regions in place of films (`data/region_store.py`)."""
    features_prior: torch.Tensor | None = None
    finding_rates: torch.Tensor | None = None
    """(b, f) float32 in (0, 1): how frequent each finding is among the training films of the case's source, NaN where
    none of them says. Only for methods that learn from sources of several kinds of patients."""
    change_rates: torch.Tensor | None = None
    """(b, f) float32: how often a finding is on the one film of a training pair of that source and not on the other,
    in one direction."""
    tags: list[tuple[str, ...]] | None = None
    regions: list[dict[str, tuple[Region, ...]]] | None = None
    """Per case: "current" and "prior" -> regions, boxes in pixels of these (h, w)."""

    def _each_tensor(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        fields: dict[str, Any] = {k: change(v) if isinstance(v, torch.Tensor) else v for k, v in self.items()}
        return Batch(**fields)

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """The batch with its tensors moved, as by `torch.Tensor.to`."""
        return self._each_tensor(lambda tensor: tensor.to(*args, **kwargs))

    def pin_memory(self) -> Batch:
        """Called by torch's DataLoader."""
        return self._each_tensor(lambda tensor: tensor.pin_memory())

    def without(self, *names: str) -> Batch:
        """The batch with these fields removed."""
        return Batch(**{name: value for name, value in self.items() if name not in names})

    def known_counts(self) -> dict[str, int | torch.Tensor]:
        """findings, levels, opacity, ... -> the films of the batch of which any of it is known; answers -> the cases
        that have one."""
        counts: dict[str, int | torch.Tensor] = {"answers": sum(map(bool, self.answer))} if self.answer else {}
        for name, value in self.items():
            known, _, side = name.rpartition("_")
            if known in ("", "has", "features") or side not in ("current", "prior"):
                continue
            if isinstance(value, torch.Tensor):
                counts[known] = counts.get(known, 0) + (~torch.isnan(value)).flatten(1).any(dim=1).sum()
        return counts

    @property
    def size(self) -> int:
        """b."""
        if self.current is None:
            return 0
        return int(self.current.shape[0])


def collate(items: Sequence[Mapping[str, Any]]) -> Batch:
    """Items of `PairDataset` or `FilmDataset` -> Batch."""
    fields: dict[str, Any] = {}
    for name in items[0]:
        values = [item[name] for item in items]
        if name == "has_prior":
            fields[name] = torch.tensor(values, dtype=torch.bool)
        elif name in TENSORS:
            fields[name] = torch.from_numpy(np.stack(values))
        else:
            fields[name] = values
    return Batch(**fields)
