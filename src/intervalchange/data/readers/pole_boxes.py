"""The boxes of outlines in the MGCA family: symmetric about a pole of inaccessibility, and larger than the outline.

An outline, as a closed line, is widened by BUFFER pixels; of the area that this gives the point furthest from its edge
is searched for to within TOLERANCE, cell by cell (polylabel, Mapbox, 2016). The box reaches from there as far to each
side as the outline does to the further one.

Differs: no Shapely. Distances are to points on the edge a pixel apart; where two poles are equally good, as in a thin
    bar, another may be found, as it is by different versions of Shapely.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from intervalchange.records import Box

BUFFER = 100.0
TOLERANCE = 10.0
SPACING = 1.0
"""Pixels between neighbouring points on the edge."""
GRID = 200
"""Points a side by which the centre of the area is measured."""


@dataclass(order=True)
class _Cell:
    """A square that may hold the pole."""

    bound: float
    """Minus the largest distance that a point inside can have: the heap gives the most promising cell first."""
    centre: tuple[float, float] = field(compare=False)
    half: float = field(compare=False)
    distance: float = field(compare=False)


class WidenedOutline:
    """All points closer than BUFFER to a closed line."""

    def __init__(self, corners: Sequence[tuple[float, float]]) -> None:
        ring = np.array([*corners, corners[0]], float)
        self.start, self.step = ring[:-1], np.diff(ring, axis=0)
        self.low, self.high = ring.min(0) - BUFFER, ring.max(0) + BUFFER
        self.edge = self._edge()

    def to_line(self, points: np.ndarray) -> np.ndarray:
        """(n, 2) -> (n): distance to the closed line."""
        squared = np.maximum((self.step**2).sum(1), 1e-12)
        away = points[:, None] - self.start
        along = np.clip((away * self.step).sum(2) / squared, 0, 1)
        nearest: np.ndarray = np.linalg.norm(away - along[..., None] * self.step, axis=2).min(1)
        return nearest

    def _edge(self) -> np.ndarray:
        """(n, 2): points on the edge of the area, outside and inside the line."""
        angles = np.arange(0, 2 * math.pi, SPACING / BUFFER)
        circle = BUFFER * np.stack([np.cos(angles), np.sin(angles)], 1)
        parts = [(self.start[:, None] + circle).reshape(-1, 2)]
        for start, step in zip(self.start, self.step, strict=True):
            length = float(np.hypot(*step))
            if length > 0:
                line = start + np.arange(0, length, SPACING)[:, None] * step / length
                aside = BUFFER * np.array([-step[1], step[0]]) / length
                parts += [line + aside, line - aside]
        points = np.concatenate(parts)
        # Rounded: a point may be closer by a last bit.
        edge: np.ndarray = points[self.to_line(points) >= BUFFER * (1 - 1e-9)]
        return edge

    def distance(self, point: tuple[float, float]) -> float:
        """From a point to the edge; negative outside."""
        inside = self.to_line(np.array([point]))[0] < BUFFER
        nearest = float(np.hypot(*(self.edge - point).T).min())
        return nearest if inside else -nearest

    def centre(self) -> tuple[float, float]:
        """The mean of the area."""
        axes = [
            low + (np.arange(GRID) + 0.5) * (high - low) / GRID for low, high in zip(self.low, self.high, strict=True)
        ]
        points = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
        inside = points[self.to_line(points) < BUFFER]
        return float(inside[:, 0].mean()), float(inside[:, 1].mean())

    def cell(self, x: float, y: float, half: float) -> _Cell:
        distance = self.distance((x, y))
        return _Cell(-(distance + half * math.sqrt(2)), (x, y), half, distance)

    def pole(self) -> tuple[float, float]:
        """The point furthest from the edge, to within TOLERANCE."""
        (left, top), (width, height) = self.low, self.high - self.low
        size = min(width, height)
        best = max(
            (self.cell(*self.centre(), 0.0), self.cell(left + width / 2, top + height / 2, 0.0)),
            key=lambda cell: cell.distance,
        )
        queue = [
            self.cell(x + size / 2, y + size / 2, size / 2)
            for x in np.arange(left, self.high[0], size)
            for y in np.arange(top, self.high[1], size)
        ]
        heapq.heapify(queue)
        while queue:
            cell = heapq.heappop(queue)
            best = cell if cell.distance > best.distance else best
            if -cell.bound - best.distance > TOLERANCE:
                half, (x, y) = cell.half / 2, cell.centre
                for right, down in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
                    heapq.heappush(queue, self.cell(x + right * half, y + down * half, half))
        return best.centre


def pole_box(corners: Sequence[tuple[float, float]]) -> Box:
    """The corners of an outline, in pixels -> the family's box around it; it may leave the film."""
    centre = np.array(WidenedOutline(corners).pole())
    points = np.array(corners, float)
    reach = np.maximum(np.abs(points.min(0) - centre), np.abs(points.max(0) - centre))
    (x1, y1), (x2, y2) = (centre - reach).tolist(), (centre + reach).tolist()
    return x1, y1, x2, y2
