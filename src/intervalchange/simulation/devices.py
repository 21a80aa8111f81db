"""Tubes, wires and boxes on or in the patient: nuisance without a label."""

import numpy as np

from intervalchange.simulation.anatomy import Anatomy, spine_offset
from intervalchange.simulation.scene import Acquisition, State
from intervalchange.simulation.solids import Scene


def _wire(points: list[tuple[float, float, float]], radius: float, steps: int = 40) -> np.ndarray:
    """Segments (steps, 8) of a smooth curve (Catmull-Rom) through points."""
    p = np.array(points, float)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, len(points) - 1.0001, steps + 1)
    i = t.astype(int)
    f = (t - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    curve = 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)
    r = np.full((steps, 1), radius)
    return np.concatenate([curve[:-1], r, curve[1:], r], 1)


def _tube(scene: Scene, points: list[tuple[float, float, float]], radius: float, density: float) -> None:
    rows = _wire(points, radius)
    scene.tubes.append((rows, np.full(len(rows), density)))


def _leads(scene: Scene, a: Anatomy, rng: np.random.Generator) -> None:
    front = a.depth + 3.0
    ends = [(-10.5, -9.0), (10.5, -9.5), (9.5, 8.0), (-9.0, 7.0)][: int(rng.integers(3, 5))]
    exit_x = float(rng.uniform(-14, 14))
    for x, y in ends:
        x, y = x + rng.normal(0, 1.2), y + rng.normal(0, 1.5)
        scene.balls.append((np.array([[x, y, front, 0.42]]), np.array([1.1])))
        middle = (0.5 * (x + exit_x) + rng.normal(0, 2.0), 0.5 * (y + 19) + rng.normal(0, 2.5), front)
        _tube(scene, [(x, y, front), middle, (exit_x + rng.normal(0, 1.0), 21.0, front)], 0.09, 2.6)


def _endotracheal(scene: Scene, a: Anatomy, rng: np.random.Generator) -> None:
    tip = -9.2 + rng.normal(0, 0.9)
    x = float(0.7 * spine_offset(a, np.array([tip]))[0] + a.trachea)
    for edge in (-0.38, 0.38):
        _tube(scene, [(x + edge + 0.3, -22.0, 1.5), (x + edge + 0.1, -15.0, 0.0), (x + edge, tip, -1.2)], 0.07, 1.1)
    _tube(scene, [(x + 0.35, -22.0, 1.5), (x + 0.12, -15.0, 0.0), (x + 0.3, tip - 0.3, -1.2)], 0.05, 3.2)


def _central_line(scene: Scene, a: Anatomy, rng: np.random.Generator) -> None:
    if rng.random() < 0.6:
        path = [(-5.0, -20.0, 1.0), (-3.6, -15.5, 1.0), (-2.8, -10.5, 1.5)]
    else:
        path = [(-12.0, -12.8, 3.0), (-6.0, -12.6, 2.6), (-2.9, -10.6, 2.0)]
    _tube(scene, [*path, (-2.4, -6.0, 1.5), (-2.2, -2.6 + rng.normal(0, 1.2), 1.5)], 0.11, 2.2)


def _pacemaker(scene: Scene, a: Anatomy, rng: np.random.Generator) -> None:
    x, y, z = 9.6 + rng.normal(0, 0.8), -8.6 + rng.normal(0, 0.8), a.depth * 0.8 + 2.0
    rows = []
    for offset in np.linspace(-1.5, 1.5, 13):
        half = 2.1 * np.sqrt(1 - (offset / 2.3) ** 2)
        rows.append([x - half, y + offset, z, 0.3, x + half, y + offset, z, 0.3])
    scene.tubes.append((np.array(rows), np.full(len(rows), 2.4)))
    bend = rng.normal(0, 0.5)
    vein = [(x - 1.5, y - 1.6, z), (6.0, -11.2, 4.0), (1.0, -10.2, 3.0), (-2.6, -7.6, 2.0), (-2.9, -1.0, 2.0)]
    _tube(scene, [*vein, (-1.8, 4.5 + bend, 3.0), (2.0, 6.6 + bend, 4.5), (5.6, 7.0 + bend, 6.0)], 0.09, 5.0)
    _tube(scene, [*vein, (-3.0, 2.0 + bend, 3.0), (-1.6, 2.6 + bend, 4.0)], 0.09, 5.0)


def attach(scene: Scene, anatomy: Anatomy, state: State, acquisition: Acquisition) -> None:
    """Adds the state's devices; what is stuck on the skin lies differently at every exposure."""
    for name in state.devices:
        if name == "leads":
            _leads(scene, anatomy, np.random.default_rng([acquisition.seed, 4]))
        else:
            adder = {"endotracheal tube": _endotracheal, "central line": _central_line, "pacemaker": _pacemaker}[name]
            adder(scene, anatomy, np.random.default_rng([anatomy.texture_seed, 6, len(name)]))
