"""Bones as thin cortical shells: ribs, spine, clavicles, scapulae, humeri."""

from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from intervalchange.simulation.anatomy import (
    Anatomy,
    cage_centre_depth,
    cage_half_depth,
    cage_half_width,
    spine_offset,
)

CORTEX = 0.36
"""Attenuation of cortical bone above that of soft tissue, per cm."""
RIB_DROPS = (4.2, 6.2, 7.8, 9.0, 9.8, 10.4, 10.6, 10.2, 9.2, 7.6, 5.2, 3.0)
"""How far each rib falls from its vertebra to its front end, cm."""
RIB_ENDS = (148, 150, 150, 150, 149, 146, 141, 133, 124, 112, 74, 44)
"""Angle round the cage at which the bone ends, degrees from the back."""

RAISED = {"PA": 0.0, "AP": 1.2}
"""How far the shoulders ride up, cm."""

Shell = tuple[np.ndarray, np.ndarray]
"""Quads (n, 4, 3) and their optical depth at right angles (n,)."""


def tube(
    path: np.ndarray, tall: np.ndarray, thick: np.ndarray, depth: np.ndarray | float, up: np.ndarray, sides: int
) -> Shell:
    """Hollow tubes along paths (..., n, 3), with half-height `tall` along `up` (..., n, 3) and half-thickness `thick`.

    `tall`, `thick` and `depth` are (..., n) or broadcast to it.
    """
    along = np.gradient(path, axis=-2)
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    high = up - (up * along).sum(-1, keepdims=True) * along
    high /= np.linalg.norm(high, axis=-1, keepdims=True)
    flat = np.cross(along, high)
    turn = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
    ring = (
        path[..., None, :]
        + np.cos(turn) * (tall[..., None] * high)[..., None, :]
        + np.sin(turn) * (thick[..., None] * flat)[..., None, :]
    )
    return sheet(ring, depth)


def sheet(grid: np.ndarray, depth: np.ndarray | float) -> Shell:
    """Quads between neighbours of grids (..., n, m, 3); depth per row (..., n) or one value."""
    quads = np.stack([grid[..., :-1, :-1, :], grid[..., :-1, 1:, :], grid[..., 1:, 1:, :], grid[..., 1:, :-1, :]], -2)
    rows = np.broadcast_to(depth, grid.shape[:-2])
    weights = np.broadcast_to(0.5 * (rows[..., :-1] + rows[..., 1:])[..., None], quads.shape[:-2])
    return quads.reshape(-1, 4, 3), weights.reshape(-1)


def _both(points: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the left side -> (2, ..., 3): the right, which mirrors it, and the left."""
    return np.stack([points * [-1, 1, 1], points])


def vertebra_height(a: Anatomy, index: np.ndarray) -> np.ndarray:
    """y of the thoracic vertebrae `index` (1 to 12; other numbers go on into neck and loin)."""
    step = (a.dome - a.apex) / 9.2
    return a.apex - 0.9 + (index - 1) * step


def rib_paths(a: Anatomy, side: int, points: int = 56) -> np.ndarray:
    """Centre lines (12, points, 3) of the ribs of one side, from spine to front end."""
    sign = 1 if side == 1 else -1
    start = vertebra_height(a, np.arange(1, 13)) - 0.2 + 0.2 * a.rib_phase
    angle = np.linspace(np.full(12, np.deg2rad(13)), np.deg2rad(RIB_ENDS), points - 2, axis=1)
    part = (angle - angle[:, :1]) / (np.deg2rad(148) - angle[:, :1])
    fall = a.ribs * np.array(RIB_DROPS)[:, None] * part**1.12
    y = start[:, None] + fall / np.maximum(part[:, -1:] ** 1.12, 0.3)
    wide = cage_half_width(a, y, side) + 0.3
    deep = cage_half_depth(a, np.maximum(y, a.apex + 0.5)) + 0.5
    power = 0.8
    x = sign * wide * np.abs(np.sin(angle)) ** power
    z = cage_centre_depth(a, y) - deep * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    x = x + spine_offset(a, y) * (0.35 + 0.65 * (1 - np.clip(part * 2.2, 0, 1)))
    middle, root = spine_offset(a, start), np.empty((12, 2, 3))
    for place, (away, z_root) in enumerate(((1.7, -6.3), (2.6, -7.4))):
        root[:, place] = np.stack([middle + sign * away, start - 0.1, np.full(12, z_root)], 1)
    path = np.concatenate([root, np.stack([x, y, z], 2)], 1)
    # Round the corner where the neck of the rib meets the cage.
    path[:, 1:6] = 0.5 * path[:, 1:6] + 0.25 * (path[:, 0:5] + path[:, 2:7])
    return path


Fracture = tuple[int, int, float, np.ndarray, float]
"""Rib (1 to 12), side, place along the rib 0 to 1, displacement (3,) in cm, severity."""


def _broken_ribs(a: Anatomy, broken: list[Fracture]) -> tuple[np.ndarray, np.ndarray]:
    """Centre lines (2, 12, n, 3) of both sides, and what is left of the cortex along them (2, 12, n)."""
    paths = np.stack([rib_paths(a, side) for side in (0, 1)])
    left = np.ones(paths.shape[:-1])
    for rib, side, position, step, _ in broken:
        paths[side, rib - 1], left[side, rib - 1] = _break(paths[side, rib - 1], position, step)
    return paths, left


def _ribs(a: Anatomy, paths: np.ndarray, left: np.ndarray) -> Shell:
    n = paths.shape[2]
    along = np.linspace(0, 1, n)
    tall = np.tile(a.rib_height * np.interp(along, (0, 0.12, 0.5, 0.9, 1), (0.75, 0.9, 1.0, 1.1, 1.15)), (12, 1))
    tall[0] *= 1.25
    tall[10:] *= np.linspace(0.9, 0.5, n)
    thick = np.full((12, 1), 0.34)
    thick[0] = 0.28
    up = np.broadcast_to([0.0, 1.0, 0.0], paths.shape).copy()
    # The first rib lies flat.
    up[:, 0] = paths[:, 0] * [1, 0, 1] + 1e-3
    thinning = np.interp(along, (0, 0.1, 0.34, 0.42, 0.6, 0.7, 1.0), (1.2, 1.2, 1.05, 0.6, 0.5, 0.65, 0.55))
    cortex = left * CORTEX * a.bone * 0.105 * thinning
    cortex[:, 0] *= 0.7
    return tube(paths, tall, thick, cortex, up, 14)


def callus(a: Anatomy, broken: list[Fracture]) -> tuple[np.ndarray, np.ndarray]:
    """Cuffs of new bone about the breaks: balls (n, 4) and attenuation per cm (n,)."""
    balls, densities = [], []
    for rib, side, position, _, severity in broken:
        path = rib_paths(a, side)[rib - 1]
        cut = round(position * len(path))
        for offset, share in ((-2, 0.7), (0, 1.0), (2, 0.7)):
            balls.append([*path[cut + offset], share * (0.55 + 0.45 * severity)])
            densities.append(a.bone * (0.07 + 0.20 * severity))
    return np.array(balls).reshape(-1, 4), np.array(densities)


def _break(path: np.ndarray, position: float, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shifts the far fragment near the break and opens a gap between the two; returns path and cortex (n,)."""
    n = len(path)
    cut = round(position * n)
    along = np.arange(n)
    far = np.exp(-(along - cut) / 9.0)
    near = -0.35 * np.exp(-(cut - along) / 7.0)
    away = np.where(along >= cut, far, near)
    gap = np.where(along == cut, 0.0, 1.0)
    return path + away[:, None] * step, gap


def _vertebra(a: Anatomy, tall: float) -> Shell:
    """One vertebra about its own centre: body, pedicles, processes."""
    y = np.linspace(-0.5, 0.5, 5) * tall * 0.82
    w = a.spine_width
    waist = np.array([1.06, 0.98, 0.95, 0.98, 1.06])
    path = np.stack([np.zeros(5), y, np.zeros(5)], 1)
    shells = [tube(path, w * waist, 1.35 * waist, CORTEX * a.bone * 0.024, np.array([1.0, 0.0, 0.0]), 18)]
    for end in (y[0], y[-1]):
        radius = np.array([0.02, 0.5, 0.85, 1.05])
        turn = np.linspace(0, 2 * np.pi, 17)
        rim = np.stack([w * np.cos(turn), np.zeros(17), 1.35 * np.sin(turn)], 1)
        plate = (
            radius[:, None, None] * rim[None]
            + np.array([0, end, 0])
            + np.array([0, 1.0, 0]) * (np.sign(end) * -0.12 * (1 - radius**2))[:, None, None]
        )
        shells.append(sheet(plate, CORTEX * a.bone * 0.024))
    pedicle = np.array([[0.72 * w, -0.25 * tall, z] for z in (-1.2, -1.8, -2.4)])
    wing = np.array([[k, -0.2 * tall - 0.05 * k, -2.2 - 0.25 * k] for k in (0.9, 1.8, 2.7)])
    upright, ring = np.array([0.0, 1.0, 0.0]), np.full(3, 0.36)
    shells.append(tube(_both(pedicle), ring * 1.35, ring, CORTEX * a.bone * 0.024, upright, 10))
    shells.append(tube(_both(wing), ring, ring, CORTEX * a.bone * 0.03, upright, 10))
    thorn = np.array([[0, 0.1, -2.6], [0, 0.6, -3.6], [0, 1.2, -4.6]])
    tall_and_thick = np.array([0.7, 0.6, 0.4]), np.array([0.22, 0.22, 0.3])
    shells.append(tube(thorn, *tall_and_thick, CORTEX * a.bone * 0.03, upright, 10))
    return join(shells)


def _spine(a: Anatomy) -> Shell:
    """One vertebra, set twenty times."""
    quads, weights = _vertebra(a, (a.dome - a.apex) / 9.2)
    index = np.arange(-4, 16)
    y = vertebra_height(a, index)
    slope = spine_offset(a, y + 0.5) - spine_offset(a, y - 0.5)
    size = np.interp(index, (-4, 0, 1, 12, 15), (0.68, 0.78, 0.86, 1.12, 1.25))
    tilt = np.zeros((len(index), 3, 3))
    tilt[:, [0, 1, 2], [0, 1, 2]] = 1
    tilt[:, 0, 1], tilt[:, 1, 0] = -slope, slope
    sized = quads.reshape(-1, 3) * np.stack([size, np.full(len(y), 0.96), np.ones(len(y))], 1)[:, None]
    placed = sized @ tilt + np.stack([spine_offset(a, y), y, np.full(len(y), -4.9)], 1)[:, None]
    return placed.reshape(-1, 4, 3), np.tile(weights, len(index))


def clavicle_path(a: Anatomy, side: int, raised: float) -> np.ndarray:
    """Centre line (24, 3) from breastbone to shoulder."""
    sign = 1 if side == 1 else -1
    t = np.linspace(0, 1, 24)
    outer = a.shoulder - 1.6
    x = sign * (1.9 + t * (outer - 1.9))
    y = a.clavicle - t**0.85 * (a.clavicle_rise + 1.4 * raised)
    z = a.depth * 0.62 + 1.1 * np.sin(2 * np.pi * t * 0.95) - 7.0 * t**1.4
    return np.stack([x, y, z], 1)


def _shoulder_girdle(a: Anatomy, inward: float, raised: float) -> list[Shell]:
    """Clavicle, scapula and humerus, of both sides; `inward` brings the scapulae over the lungs."""
    path = clavicle_path(a, 1, raised)
    girth = np.interp(np.linspace(0, 1, len(path)), (0, 0.1, 0.4, 0.8, 1), (1.2, 0.95, 0.72, 0.74, 0.95))
    shells = [tube(_both(path), girth, girth * 0.9, CORTEX * a.bone * 0.125, np.array([0.0, 1.0, 0.0]), 14)]
    x, y = a.shoulder, a.shoulder_y - raised
    edge = a.shoulder - 4.9 + a.scapula - inward
    inner = np.array(
        [
            [edge - 0.6, y + 0.6, -7.6],
            [edge - 0.4, y + 5.0, -8.6],
            [edge + 0.4, y + 10.0, -8.2],
            [edge + 1.4, y + 14.5, -7.0],
        ]
    )
    outer = np.array(
        [
            [x - 1.8, y - 0.4, -3.6],
            [x - 1.6, y + 3.0, -4.4],
            [edge + 3.6, y + 8.6, -6.4],
            [edge + 1.9, y + 14.9, -6.9],
        ]
    )
    mix = np.linspace(0, 1, 7)[None, :, None]
    blade = inner[:, None] * (1 - mix) + outer[:, None] * mix
    blade[:, :, 2] -= 0.8 * np.sin(np.pi * mix[..., 0])
    shells.append(sheet(_both(blade), CORTEX * a.bone * 0.12))
    for border, r, cortex in ((outer[1:], 0.3, 0.09), (inner, 0.18, 0.05)):
        shells.append(_rod(border, np.full(len(border), r), CORTEX * a.bone * cortex, (0.0, 0.3, 1.0)))
    ridge = np.array(
        [
            [edge, y + 3.2, -8.8],
            [edge + 2.6, y + 1.4, -8.6],
            [x - 0.6, y - 1.9, -6.0],
            [x + 0.9, y - 1.7, -3.4],
        ]
    )
    shells.append(_rod(ridge, np.array([0.3, 0.45, 0.6, 0.7]), CORTEX * a.bone * 0.07, (0.0, 1.0, 0.0)))
    beak = np.array([[x - 2.0, y + 0.2, -3.2], [x - 2.2, y - 0.8, -1.2], [x - 1.2, y - 0.2, 0.6]])
    shells.append(_rod(beak, np.array([0.5, 0.6, 0.45]), CORTEX * a.bone * 0.035, (1.0, 0.0, 0.3)))
    shells.append(_humerus(a, x, y))
    return shells


@lru_cache(maxsize=4)
def _through(points: int) -> np.ndarray:
    """(14, points): the smooth curve through so many points is this matrix times them."""
    curve: np.ndarray = CubicSpline(np.arange(points), np.eye(points))(np.linspace(0, points - 1, 14))
    return curve


def _rod(path: np.ndarray, radius: np.ndarray, depth: float, up: tuple[float, float, float]) -> Shell:
    """Round hollow rods of both sides along a smooth curve through a few points of the left."""
    r = np.interp(np.linspace(0, len(path) - 1, 14), np.arange(len(path)), radius)
    return tube(_both(_through(len(path)) @ path), r, 0.9 * r, depth, np.array(up), 10)


def _marrow(a: Anatomy, raised: float, ribs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spongy bone inside ribs and clavicles: segments (n, 8) and attenuation per cm (n,)."""
    clavicles = np.stack([clavicle_path(a, side, raised) for side in (0, 1)])[:, None]
    parts, densities = [], []
    for paths, radius, density in ((ribs[:, :11, ::2], 0.78 * a.rib_height, 0.078), (clavicles, 0.75, 0.1)):
        r = np.full((*paths.shape[:2], paths.shape[2] - 1, 1), radius)
        parts.append(np.concatenate([paths[:, :, :-1], r, paths[:, :, 1:], r], 3).reshape(-1, 8))
        along = np.linspace(0, 1, r.shape[2])
        share = np.interp(along, (0, 0.34, 0.42, 0.6, 0.7, 1), (1, 1, 0.5, 0.4, 0.5, 0.5))
        densities.append(np.tile(density * a.bone * share, paths.shape[0] * paths.shape[1]))
    return np.concatenate(parts), np.concatenate(densities)


def _humerus(a: Anatomy, x: float, y: float) -> Shell:
    depth = np.array([0, 0.6, 1.2, 2.0, 3.2, 4.6, 7.0, 16.0])
    radius = np.array([0.5, 1.7, 2.15, 2.3, 2.0, 1.5, 1.25, 1.15])
    lean = np.array([-0.3, -0.3, -0.2, 0.0, 0.5, 0.9, 1.4, 3.4])
    path = np.stack([x + 1.2 + lean, y - 0.6 + depth, np.full(8, -2.2)], 1)
    cortex = CORTEX * a.bone * np.array([0.08, 0.08, 0.08, 0.09, 0.13, 0.22, 0.3, 0.3])
    return tube(_both(path), radius, radius, cortex, np.array([1.0, 0.0, 0.0]), 18)


def join(shells: list[Shell]) -> Shell:
    """All quads in one."""
    return np.concatenate([s[0] for s in shells]), np.concatenate([s[1] for s in shells])


def skeleton(anatomy: Anatomy, view: str, broken: list[Fracture]) -> tuple[Shell, tuple[np.ndarray, np.ndarray]]:
    """Every bone: its shells, and its marrow as tubes (n, 8) with attenuation per cm (n,).

    On a bedside film the scapulae lie over the lungs and the shoulders ride up.
    """
    inward = 2.6 if view == "AP" else 0.0
    paths, left = _broken_ribs(anatomy, broken)
    shells = [_ribs(anatomy, paths, left), _spine(anatomy), *_shoulder_girdle(anatomy, inward, RAISED[view])]
    return join(shells), _marrow(anatomy, RAISED[view], paths)
