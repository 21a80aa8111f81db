"""Where each finding lies on a film: boxes and masks of regions -> one coarse map a finding.

A cell of a map is 1 where the finding is, 0 where it is not, NaN where that is not known (inside a box without a mask).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intervalchange.data import run_length
from intervalchange.data.images import Geometry
from intervalchange.data.transforms import Affine
from intervalchange.findings import FINDINGS
from intervalchange.records import Region

GRID = 32
"""Cells along a side."""
_COVERED = 0.3
"""Share of a cell, after a motion, from which it counts as covered."""
_NUMBER = {finding: place for place, finding in enumerate(FINDINGS)}


@dataclass(frozen=True)
class Place:
    """One region of one finding, in the square that holds its film."""

    finding: int
    """Number in FINDINGS."""
    box: np.ndarray
    """(4,) x1, y1, x2, y2 as shares of the side."""
    mask: np.ndarray | None
    """(GRID, GRID) float32: 1 in every cell that the mask touches; None where there is only a box."""


def places_of(regions: Sequence[Region], geometry: Geometry, side: int) -> tuple[Place, ...]:
    """Where the findings of a film are (regions in original pixels); its stored square has this side."""
    shift = np.array([geometry.offset_x, geometry.offset_y] * 2)
    return tuple(
        Place(
            _NUMBER[region.name],
            (np.array(region.box) * geometry.scale + shift) / side,
            None if region.rle is None else _cells(region.rle, geometry, side),
        )
        for region in regions
        if region.kind != "anatomy" and region.name in _NUMBER
    )


def _cells(rle: str, geometry: Geometry, side: int) -> np.ndarray:
    """COCO run lengths of a mask over the original film -> (GRID, GRID) float32."""
    rows, columns = np.nonzero(run_length.decode(rle, geometry.height, geometry.width))
    down = ((rows + 0.5) * geometry.scale + geometry.offset_y) * GRID / side
    right = ((columns + 0.5) * geometry.scale + geometry.offset_x) * GRID / side
    cells = np.zeros((GRID, GRID), np.float32)
    cells[down.astype(int).clip(0, GRID - 1), right.astype(int).clip(0, GRID - 1)] = 1
    return cells


def place_maps(places: Sequence[Place], motion: Affine | None = None) -> np.ndarray:
    """(f, GRID, GRID) float32 in the frame of the film after `motion`; NaN for findings that have no region."""
    maps = np.full((len(FINDINGS), GRID, GRID), np.nan, np.float32)
    edges = np.arange(GRID + 1) / GRID
    for place in places:
        map_ = maps[place.finding]
        if np.isnan(map_[0, 0]) and np.isnan(map_).all():
            map_[:] = 0
        if place.mask is not None:
            mask = place.mask if motion is None else motion.warp(place.mask)
            map_[mask > _COVERED] = 1
        else:
            x1, y1, x2, y2 = place.box if motion is None else motion.boxes(place.box[None])[0]
            across, along = (edges[1:] > x1) & (edges[:-1] < x2), (edges[1:] > y1) & (edges[:-1] < y2)
            inside = along[:, None] & across
            map_[inside & (map_ != 1)] = np.nan
    return maps
