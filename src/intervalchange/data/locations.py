"""Where each finding lies on a film: boxes and masks of regions -> one coarse map per finding.

A cell of a map is 1 where the finding is, 0 where it is not, NaN where that is not known (inside a box without a mask).
`data/masks.py` has the same regions at the resolution of the film.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intervalchange.data import run_length
from intervalchange.data.films import Geometry
from intervalchange.data.transforms import Affine
from intervalchange.findings import FINDINGS
from intervalchange.records import Region

GRID = 32
"""Cells along a side."""
_COVERED = 0.3
"""Share of a cell, after a motion, from which it counts as covered."""
_INDEX = {finding: index for index, finding in enumerate(FINDINGS)}


@dataclass(frozen=True)
class FindingLocation:
    """One region of one finding, in the square that holds its film."""

    finding: int
    """Index in FINDINGS."""
    box: np.ndarray
    """(4,) x1, y1, x2, y2 as shares of the side."""
    mask: np.ndarray | None
    """(GRID, GRID) float32: 1 in every cell that the mask touches; None where there is only a box."""


def finding_locations(regions: Sequence[Region], geometry: Geometry, side: int) -> tuple[FindingLocation, ...]:
    """Where the findings of a film are. regions: in original pixels. side: of the stored square."""
    return tuple(
        FindingLocation(
            _INDEX[region.name],
            np.array(geometry.to_square(region.box)) / side,
            None if region.rle is None else _cells(region.rle, geometry, side),
        )
        for region in regions
        if region.kind != "anatomy" and region.name in _INDEX
    )


def _cells(rle: str, geometry: Geometry, side: int) -> np.ndarray:
    """COCO run lengths of a mask over the original film -> (GRID, GRID) float32."""
    rows, columns = np.nonzero(run_length.decode(rle, geometry.height, geometry.width))
    down = ((rows + 0.5) * geometry.scale + geometry.offset_y) * GRID / side
    right = ((columns + 0.5) * geometry.scale + geometry.offset_x) * GRID / side
    cells = np.zeros((GRID, GRID), np.float32)
    cells[down.astype(int).clip(0, GRID - 1), right.astype(int).clip(0, GRID - 1)] = 1
    return cells


def location_maps(locations: Sequence[FindingLocation], motion: Affine | None = None) -> np.ndarray:
    """(f, GRID, GRID) float32 in the frame of the film after `motion`; NaN for findings that have no region."""
    maps = np.full((len(FINDINGS), GRID, GRID), np.nan, np.float32)
    maps[sorted({location.finding for location in locations})] = 0
    edges = np.arange(GRID + 1) / GRID
    for location in locations:
        cells = maps[location.finding]
        if location.mask is not None:
            cells[(location.mask if motion is None else motion.warp(location.mask)) > _COVERED] = 1
        else:
            x1, y1, x2, y2 = location.box if motion is None else motion.boxes(location.box[None])[0]
            columns, rows = (edges[1:] > x1) & (edges[:-1] < x2), (edges[1:] > y1) & (edges[:-1] < y2)
            cells[rows[:, None] & columns & (cells != 1)] = np.nan
    return maps
