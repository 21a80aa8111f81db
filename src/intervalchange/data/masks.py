"""Masks of findings at the resolution of a film, for stages that are trained on them.

`data/locations.py` has the same regions on a coarse grid, for methods that need only a rough location.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intervalchange.data import run_length
from intervalchange.data.films import Geometry
from intervalchange.data.prepared import Prepared
from intervalchange.data.transforms import Affine
from intervalchange.records import Region

_COVERED = 0.5
"""Share of a pixel, after a motion, from which it counts as covered."""


def known_extents(prepared: Prepared, names: Sequence[str], labels: np.ndarray) -> np.ndarray:
    """(studies, l) float32 for these label names: 1 with a region, 0 absent, NaN where the location is not known.

    labels: (studies, l), 1, 0 or NaN. A film with the finding but without a region of it says nothing about locations.
    """
    known = np.where(labels == 0, np.float32(0), np.float32(np.nan))
    column = {name: index for index, name in enumerate(names)}
    regions = prepared.regions[(prepared.regions["kind"] == "finding") & prepared.regions["name"].isin(list(names))]
    known[regions["study"].to_numpy(np.int64), regions["name"].map(column).to_numpy(np.int64)] = 1
    return known


def mask_in_square(region: Region, geometry: Geometry, side: int, pixels: int) -> np.ndarray:
    """(pixels, pixels) bool: a region of a film whose stored square has this side; a box is a filled box.

    A pixel takes what lies under its centre, so that borders neither grow nor shrink with the size.
    """
    centres = (np.arange(pixels) + 0.5) * side / pixels
    down, right = (centres - geometry.offset_y) / geometry.scale, (centres - geometry.offset_x) / geometry.scale
    if region.rle is None:
        x1, y1, x2, y2 = region.box
        filled: np.ndarray = ((down >= y1) & (down < y2))[:, None] & ((right >= x1) & (right < x2))
        return filled
    mask = run_length.decode(region.rle, geometry.height, geometry.width)
    rows, columns = np.floor(down).astype(int), np.floor(right).astype(int)
    inside = ((rows >= 0) & (rows < geometry.height))[:, None] & ((columns >= 0) & (columns < geometry.width))
    sampled: np.ndarray = mask[rows.clip(0, geometry.height - 1)][:, columns.clip(0, geometry.width - 1)] & inside
    return sampled


class MaskReader:
    """The masks of some labels; each study is decoded once and held at one bit per pixel."""

    def __init__(self, prepared: Prepared, names: Sequence[str], pixels: int) -> None:
        self.prepared, self.names, self.pixels = prepared, tuple(names), pixels
        self._packed: dict[int, dict[int, np.ndarray]] = {}

    def read(self, study: int, known: np.ndarray, motion: Affine) -> np.ndarray:
        """(l, pixels, pixels) float32 after a motion: 1 on the finding, 0 off it; all NaN where `known` (l,) is."""
        masks = np.zeros((len(self.names), self.pixels, self.pixels), np.float32)
        masks[np.isnan(known)] = np.nan
        for index, bits in self._decoded(study).items():
            mask = np.unpackbits(bits, count=self.pixels**2).reshape(self.pixels, self.pixels)
            masks[index] = mask if motion == Affine() else motion.warp(mask.astype(np.float32)) > _COVERED
        return masks

    def _decoded(self, study: int) -> dict[int, np.ndarray]:
        """Index of the label -> packed mask, the union of its regions."""
        if study not in self._packed:
            side, geometry = self.prepared.pixels.shape[0], self.prepared.geometry(study)
            union: dict[int, np.ndarray] = {}
            for region in self.prepared.regions_of.get(study, ()):
                if region.kind == "finding" and region.name in self.names:
                    index = self.names.index(region.name)
                    mask = mask_in_square(region, geometry, side, self.pixels)
                    union[index] = union[index] | mask if index in union else mask
            self._packed[study] = {index: np.packbits(mask) for index, mask in union.items()}
        return self._packed[study]
