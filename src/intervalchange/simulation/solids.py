"""The solids in front of the tube: stacks of ellipses, ellipsoids and densities, packed for the compiled loops."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intervalchange.simulation import rays
from intervalchange.simulation.camera import Camera
from intervalchange.simulation.casting import Blobs, Solids

ROWS = 64
"""Rows of every stack's table."""
_CROWDED = np.linspace(0, 1, ROWS) ** 2
UNCUT = (0.0, 0.0, 0.0, 0.0)


def heights(first: float, last: float) -> np.ndarray:
    """y of the rows of a stack (ROWS,): they crowd at `first`, where caps close."""
    return first + (last - first) * _CROWDED


@dataclass
class Scene:
    """The solids and densities in front of the tube, before they are packed for the compiled loops."""

    stacks: list[tuple[Any, ...]] = field(default_factory=list)
    ellipsoids: list[tuple[Any, ...]] = field(default_factory=list)
    blobs: list[tuple[Any, ...]] = field(default_factory=list)
    shells: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    """Thin sheets: quads (n, 4, 3) and optical depths (n,), as in `skeleton`."""
    tubes: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    """Segments (n, 8) and attenuation per cm (n,), as in `splatting.splat_tubes`."""
    balls: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    """Balls (n, 4) and attenuation per cm (n,)."""
    named: dict[str, np.ndarray] = field(default_factory=dict)
    """Region name -> points (n, 3) whose projection spans its box."""

    def stack(self, role: int, y: np.ndarray, table: np.ndarray, side: int = -1, weight: float = 0.0) -> None:
        """Adds a stack with rows (n, 4) of centre x, centre z, half-axis x, half-axis z at `heights` y (n,)."""
        self.stacks.append((role, side, weight, (float(y[0]), float(y[-1])), np.asarray(table, float)))

    def ellipsoid(
        self,
        role: int,
        centre: tuple[float, float, float],
        axes: tuple[float, float, float],
        turn: np.ndarray | None = None,
        plane: tuple[float, float, float, float] = UNCUT,
        side: int = -1,
        weight: float = 0.0,
    ) -> None:
        """Adds an ellipsoid with half-axes along the columns of `turn` (3, 3)."""
        frame = np.eye(3) if turn is None else turn
        self.ellipsoids.append((role, side, weight, np.array(centre, float), np.array(axes, float), frame, plane))

    def blob(
        self,
        side: int,
        centre: np.ndarray,
        spread: tuple[float, float, float],
        amplitude: float,
        turn: np.ndarray | None = None,
        plane: tuple[float, float, float, float] = UNCUT,
    ) -> None:
        """Adds a Gaussian density with standard deviations `spread` in cm along the columns of `turn`."""
        frame = np.eye(3) if turn is None else turn
        self.blobs.append((side, np.array(centre, float), np.array(spread, float), amplitude, frame, plane))

    def pack(self, camera: Camera) -> tuple[Solids, Blobs]:
        """Arrays for `rays.trace`, with the place of each solid on this camera's film."""
        roles = [s[0] for s in self.stacks] + [e[0] for e in self.ellipsoids]
        boxes = _boxes(
            camera,
            _stack_shells(self.stacks)
            + _ball_shells(
                [(e[3], e[4], e[5]) for e in self.ellipsoids] + [(b[1], 3.7 * b[2], b[4]) for b in self.blobs]
            ),
        )
        sides = [s[1] for s in self.stacks] + [e[1] for e in self.ellipsoids]
        lungs = {side: box for role, side, box in zip(roles, sides, boxes.copy(), strict=False) if role == rays.LUNG}
        for index, role in enumerate(roles):
            # What is kept of a lung matters wherever the lung is, also where this solid is not.
            if role in (rays.KEEP_DRY, rays.KEEP_INFLATED):
                boxes[index] = lungs[sides[index]]
        solids = Solids(
            tables=np.array([s[4] for s in self.stacks]).reshape(-1, ROWS, 4),
            spans=np.array([s[3] for s in self.stacks]).reshape(-1, 2),
            centres=np.array([e[3] for e in self.ellipsoids]).reshape(-1, 3),
            maps=np.array([e[5].T / e[4][:, None] for e in self.ellipsoids]).reshape(-1, 3, 3),
            planes=np.array([e[6] for e in self.ellipsoids], float).reshape(-1, 4),
            roles=np.array(roles, np.int64),
            sides=np.array(sides, np.int64),
            weights=np.array([s[2] for s in self.stacks] + [e[2] for e in self.ellipsoids], float),
            boxes=boxes[: len(roles)],
        )
        blobs = Blobs(
            centres=np.array([b[1] for b in self.blobs], float).reshape(-1, 3),
            precisions=np.array([(b[4] / b[2] ** 2) @ b[4].T for b in self.blobs], float).reshape(-1, 3, 3),
            amplitudes=np.array([b[3] for b in self.blobs], float),
            planes=np.array([b[5] for b in self.blobs], float).reshape(-1, 4),
            sides=np.array([b[0] for b in self.blobs], np.int64),
            boxes=boxes[len(roles) :],
        )
        return solids, blobs


def _stack_shells(stacks: list[tuple[Any, ...]]) -> list[np.ndarray]:
    """Corners (4 * ROWS, 3) of the boxes about each stack's rows."""
    if not stacks:
        return []
    tables = np.stack([stack[4] for stack in stacks])
    y = np.stack([heights(*stack[3]) for stack in stacks])
    corners = [
        np.stack([tables[..., 0] + i * tables[..., 2], y, tables[..., 1] + k * tables[..., 3]], 2)
        for i in (-1, 1)
        for k in (-1, 1)
    ]
    return list(np.concatenate(corners, 1))


_CORNERS = np.indices((2, 2, 2)).reshape(3, 8).T * 2 - 1


def _ball_shells(balls: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Corners (8, 3) of the boxes about ellipsoids, each by its centre, half-axes and frame."""
    if not balls:
        return []
    centres, axes, frames = (np.stack(part) for part in zip(*balls, strict=True))
    return list(centres[:, None] + (_CORNERS * axes[:, None]) @ frames.transpose(0, 2, 1))


def _boxes(camera: Camera, shells: list[np.ndarray]) -> np.ndarray:
    """The box (x1, y1, x2, y2) of each shell's points (n, 3) on the film, (shells, 4)."""
    flat = camera.project(np.concatenate(shells))
    starts = np.cumsum([0, *(len(shell) for shell in shells[:-1])])
    return np.concatenate([np.minimum.reduceat(flat, starts), np.maximum.reduceat(flat, starts)], 1)


def turned(axis: str, degrees: float) -> np.ndarray:
    """(3, 3) rotation about a patient axis."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]
