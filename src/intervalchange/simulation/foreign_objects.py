"""What people forget to take off: buttons, necklaces, clips, coins and pins, with their exact shape on the film.

Object-CXR (JF Healthcare, MIDL 2020) asks for these and leaves support devices out, as we do. Objects lie on the skin
or in a pocket, so they neither displace nor fill anything; they only add their own shadow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intervalchange.simulation import splatting
from intervalchange.simulation.anatomy import Anatomy
from intervalchange.simulation.camera import Camera
from intervalchange.simulation.scene import ForeignObject
from intervalchange.simulation.solids import Scene

KINDS = ("button", "necklace", "clip", "coin", "pin")
_OUTLINE = 0.02
"""Optical depth from which a shadow of an object belongs to its mask."""


@dataclass(frozen=True)
class Solid:
    """An object in front of the tube, in cm: balls (n, 4) x, y, z, radius; tubes (m, 8), both ends and their radii."""

    balls: np.ndarray
    ball_densities: np.ndarray
    tubes: np.ndarray
    tube_densities: np.ndarray


def solid(item: ForeignObject, anatomy: Anatomy) -> Solid:
    """The object on this patient."""
    rng = np.random.default_rng([item.seed, KINDS.index(item.kind)])
    front = anatomy.depth + 3.0
    balls, tubes, density = _SHAPES[item.kind](rng, front)
    return Solid(balls, np.full(len(balls), density), tubes, np.full(len(tubes), density))


def attach(scene: Scene, anatomy: Anatomy, objects: tuple[ForeignObject, ...]) -> None:
    """Add the objects to what is in front of the tube."""
    for item in objects:
        shape = solid(item, anatomy)
        scene.balls.append((shape.balls, shape.ball_densities))
        scene.tubes.append((shape.tubes, shape.tube_densities))


def mask(item: ForeignObject, anatomy: Anatomy, camera: Camera, size: int) -> np.ndarray:
    """(size, size) bool: the shadow of the object alone. All False where it lies outside the film."""
    shape, view = solid(item, anatomy), splatting.view_of(camera)
    image = np.zeros((size, size), np.float32)
    splatting.splat_balls(image, shape.balls, shape.ball_densities, view)
    splatting.splat_tubes(image, shape.tubes, shape.tube_densities, view)
    return image > _OUTLINE


Shape = tuple[np.ndarray, np.ndarray, float]
"""Balls (n, 4), tubes (m, 8), density."""
_NO_BALLS, _NO_TUBES = np.zeros((0, 4)), np.zeros((0, 8))


def _chain(points: np.ndarray, radius: float) -> np.ndarray:
    """Points (n, 3) -> tubes (n - 1, 8) that join them."""
    r = np.full((len(points) - 1, 1), radius)
    return np.concatenate([points[:-1], r, points[1:], r], axis=1)


def _circle(centre: np.ndarray, radius: float, steps: int = 24) -> np.ndarray:
    """(steps + 1, 3) points of a circle that faces the tube."""
    turn = np.linspace(0, 2 * np.pi, steps + 1)
    return centre + radius * np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=1)


def _disc(centre: np.ndarray, radius: float, thickness: float) -> np.ndarray:
    """A flat disc as concentric rings of tubes."""
    rings = [_chain(_circle(centre, r), thickness) for r in np.arange(thickness, radius, 1.4 * thickness)]
    return np.concatenate([*rings, _chain(_circle(centre, radius), 1.3 * thickness)])


def _button(rng: np.random.Generator, front: float) -> Shape:
    centre = np.array([rng.normal(0, 1.5) + rng.choice([0.0, 0.0, -8.0, 8.0]), rng.uniform(-14, 10), front])
    radius = rng.uniform(0.5, 0.85)
    rim = _chain(_circle(centre, radius), 0.14)
    holes = [
        _circle(centre + np.array([dx, dy, 0]), 0.13, 10)
        for dx, dy in ((-0.2, 0.2), (0.2, 0.2), (-0.2, -0.2), (0.2, -0.2))
    ]
    plate = _disc(centre, radius - 0.12, 0.07)
    return (
        _NO_BALLS,
        np.concatenate([rim, plate, *(_chain(hole, 0.05) for hole in holes)]),
        float(rng.uniform(0.5, 1.3)),
    )


def _necklace(rng: np.random.Generator, front: float) -> Shape:
    half, low = rng.uniform(4.5, 7.0), rng.uniform(-13.0, -6.0)
    across = np.linspace(-1, 1, 70)
    top = -19.0
    down = top + (low - top) * (1 - across**2) + rng.normal(0, 0.05, 70)
    line = np.stack([half * across, down, np.full(70, front)], axis=1)
    pendant = _disc(np.array([0.0, low + 0.8, front]), rng.uniform(0.4, 0.8), 0.1)
    return np.concatenate([line, np.full((70, 1), 0.11)], axis=1), np.concatenate([_chain(line, 0.05), pendant]), 1.8


def _clip(rng: np.random.Generator, front: float) -> Shape:
    x, y, tilt = rng.choice([-1, 1]) * rng.uniform(0.5, 10.0), rng.uniform(-12, 9), rng.uniform(0, np.pi)
    along, across = np.array([np.cos(tilt), np.sin(tilt), 0]), np.array([-np.sin(tilt), np.cos(tilt), 0])
    length, gap = rng.uniform(1.4, 3.0), rng.uniform(0.25, 0.5)
    corners = [(0, -gap), (length, -gap), (length, gap), (0.2, gap), (0.2, 0.3 * gap)]
    points = np.array([x, y, front]) + np.array([a * along + c * across for a, c in corners])
    return _NO_BALLS, _chain(points, 0.09), 8.0


def _coin(rng: np.random.Generator, front: float) -> Shape:
    side = rng.choice([-1, 1])
    centre = np.array([side * rng.uniform(6, 10), rng.uniform(-7, -1), front])
    return _NO_BALLS, _disc(centre, rng.uniform(0.8, 1.25), 0.09), 6.0


def _pin(rng: np.random.Generator, front: float) -> Shape:
    start = np.array([rng.uniform(-12, 12), rng.uniform(-15, 8), front])
    tilt, length = rng.uniform(0, 2 * np.pi), rng.uniform(2.5, 4.5)
    way, aside = np.array([np.cos(tilt), np.sin(tilt), 0]), np.array([-np.sin(tilt), np.cos(tilt), 0])
    loop = _circle(start, 0.25, 12)
    legs = [start, start + length * way, start + length * way + 0.5 * aside, start + 0.3 * aside]
    return _NO_BALLS, np.concatenate([_chain(np.array(legs), 0.06), _chain(loop, 0.06)]), 10.0


_SHAPES = {"button": _button, "necklace": _necklace, "clip": _clip, "coin": _coin, "pin": _pin}
