"""EKAID's anatomical knowledge: which regions and findings belong to one organ, and which findings go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from intervalchange.data.readers.imagenome_graphs import FINDING_OF_LABEL


@dataclass(frozen=True)
class Organ:
    """What EKAID's anatomical knowledge graph files together."""

    regions: tuple[str, ...]
    findings: tuple[str, ...]


def _both_sides(*names: str) -> tuple[str, ...]:
    return tuple(f"{side} {name}" for side in ("right", "left") for name in names)


ORGANS = MappingProxyType(
    {
        "lung": Organ(
            (
                *_both_sides("lung", "upper lung zone", "mid lung zone", "lower lung zone", "apical zone"),
                *_both_sides("hilar structures"),
                *("trachea", "carina"),
            ),
            (
                *("atelectasis", "consolidation", "lung opacity", "pneumonia", "edema", "vascular congestion"),
                *("hilar congestion", "emphysema", "granuloma", "contusion", "hypoxemia", "hematoma"),
                *("lung lesion", "calcified nodule", "mass/nodule (not otherwise specified)"),
                *("multiple masses/nodules", "hyperaeration", "enlarged hilum", "vascular redistribution"),
                *("increased reticular markings/ild pattern", "infiltration", "bronchiectasis", "cyst/bullae"),
            ),
        ),
        "pleura": Organ(
            _both_sides("costophrenic angle", "hemidiaphragm"),
            (
                *("pleural effusion", "pleural thickening", "pneumothorax", "air collection"),
                *("blunting of the costophrenic angle", "gastric distention", "pleural/parenchymal scarring"),
                *("hydropneumothorax", "elevated hemidiaphragm", "sub-diaphragmatic air"),
            ),
        ),
        "heart": Organ(
            (
                *("aortic arch", "svc", "cardiac silhouette", "cavoatrial junction", "right atrium"),
                *("left cardiac silhouette", "right cardiac silhouette"),
            ),
            (
                *("cardiomegaly", "enlargement of the cardiac silhouette", "heart failure"),
                *("hypertensive heart disease", "tortuosity of the thoracic aorta"),
                *("tortuosity of the descending aorta", "vascular calcification"),
            ),
        ),
        "mediastinum": Organ(
            ("upper mediastinum", "mediastinum"),
            (
                *("thymoma", "pneumomediastinum", "hernia", "mediastinal widening", "mediastinal displacement"),
                "superior mediastinal mass/enlargement",
            ),
        ),
        "bone": Organ(
            ("right clavicle", "left clavicle", "spine"),
            ("calcification", "fracture", "scoliosis", "spinal degenerative changes", "bone lesion"),
        ),
    }
)
"""EKAID's five organs, with the library's findings and C2F's labels in place of VinDr's; C2F's regions are filed where
they belong."""

TOGETHER: tuple[tuple[str, str], ...] = (
    ("atelectasis", "pleural effusion"),
    ("cardiomegaly", "pleural effusion"),
    ("consolidation", "pleural effusion"),
    ("edema", "cardiomegaly"),
    ("edema", "pleural effusion"),
    *((finding, finding) for finding in ("atelectasis", "cardiomegaly", "consolidation", "edema", "lung opacity")),
    *((finding, finding) for finding in ("pneumothorax", "pleural effusion")),
)
"""Findings that go together: one has the other in more than 18% of the labels of MIMIC-CXR; and each with itself."""


@dataclass(frozen=True)
class Knowledge:
    """The tables of the semantic graph for chosen regions and findings. Plain arrays: they are facts, not weights."""

    regions: np.ndarray
    """(r, o) bool."""
    findings: np.ndarray
    """(f, o) bool."""
    together: np.ndarray
    """(k, 2) int64, both orders."""

    @classmethod
    def of(cls, regions: Sequence[str], findings: Sequence[str]) -> Knowledge:
        """A region or a finding that no organ has is related to nothing."""
        organs = list(ORGANS.values())
        named = [FINDING_OF_LABEL.get(name, name) for name in findings]
        ordered = {order for pair in TOGETHER for order in (pair, pair[::-1])}
        both = [(i, j) for i, one in enumerate(named) for j, other in enumerate(named) if (one, other) in ordered]
        return cls(
            np.array([[name in organ.regions for organ in organs] for name in regions]),
            np.array([[name in organ.findings for organ in organs] for name in named]),
            np.array(both, dtype=np.int64).reshape(-1, 2),
        )

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Regions, findings, pairs, where they are needed."""
        tables = (self.regions, self.findings, self.together)
        regions, findings, together = (torch.from_numpy(table).to(device) for table in tables)
        return regions, findings, together
