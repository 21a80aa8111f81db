"""The soft chest as analytic solids: body wall, lungs, heart, great vessels, diaphragm, abdomen."""

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d

from intervalchange.simulation import rays
from intervalchange.simulation.anatomy import (
    Anatomy,
    cage_centre_depth,
    cage_half_depth,
    cage_half_width,
    spine_offset,
)
from intervalchange.simulation.solids import ROWS, UNCUT, Scene, heights, turned

MUSCLE_EXCESS = 0.018
"""Attenuation of muscle above that of fat, per cm."""
BONE_SPONGE = 0.012
"""Attenuation of spongy bone above that of soft tissue, per cm."""


@lru_cache(maxsize=8)
def lung_table(anatomy: Anatomy, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Heights (ROWS,) and table (ROWS, 4) of one hemithorax, down to the costophrenic angle and a little below.

    Every spot of a lesion asks for it; the arrays are shared and can't be written to.
    """
    sign = 1 if side == 1 else -1
    y = heights(anatomy.apex, anatomy.angle + 2.0)
    rise = np.clip((y - anatomy.apex) / (0.17 * (anatomy.angle - anatomy.apex)), 0, 1)
    cap = np.sqrt(1 - (1 - rise) ** 2)
    outer = cage_half_width(anatomy, y, side)
    inner = np.full(ROWS, 0.2)
    middle = (outer + inner) / 2
    top = 4.6 / 13.6 * anatomy.width
    x = middle + (top - middle) * (1 - cap) * 0.8
    table = np.stack(
        [
            sign * x + 0.5 * spine_offset(anatomy, y),
            cage_centre_depth(anatomy, y),
            (outer - inner) / 2 * cap,
            cage_half_depth(anatomy, y) * np.maximum(cap, 0.02),
        ],
        1,
    )
    y.flags.writeable = table.flags.writeable = False
    return y, table


def dome_top(anatomy: Anatomy, side: int) -> float:
    """y of the top of a hemidiaphragm."""
    return anatomy.dome + (anatomy.left_drop if side == 1 else 0.0) - anatomy.lift[side]


def _dome_table(anatomy: Anatomy, side: int) -> tuple[np.ndarray, np.ndarray]:
    sign = 1 if side == 1 else -1
    top = dome_top(anatomy, side)
    angle = anatomy.angle + (0.5 * anatomy.left_drop if side == 1 else 0.0) - 0.35 * anatomy.lift[side]
    y = heights(top, 26.0)
    fall = np.clip((y - top) / max(angle - top, 0.8), 0, 1.4)
    reach = np.sqrt(np.clip(1 - (1 - np.minimum(fall, 1)) ** 2, 0, 1)) ** anatomy.roundness
    reach = np.where(fall > 1, 1.0 + 0.4 * (fall - 1), reach)
    outer = cage_half_width(anatomy, np.full(ROWS, angle), side)
    x = outer / 2 - 0.4
    table = np.stack(
        [
            sign * x + 0.5 * spine_offset(anatomy, np.full(ROWS, angle)),
            # The dome stands in front; the recess behind it reaches deeper.
            1.6 * (1 - np.minimum(fall, 1)) + 0.2,
            reach * (outer / 2 + 0.45),
            reach * (cage_half_depth(anatomy, np.array([angle])) + 0.3),
        ],
        1,
    )
    return y, table


def _body(scene: Scene, a: Anatomy, raised: float) -> None:
    """Skin and fat; muscle is added as density."""
    y = heights(-22.0, 26.0)
    wall = 1.5 + 0.95 * a.fat
    torso = cage_half_width(a, y) + wall
    belly = np.clip((y - a.dome) / 14, 0, 1)
    torso = torso + belly * (0.9 * a.fat - 0.9)
    # Shoulder, chest and back muscles run into the flank in one sweep.
    x, top = a.shoulder, a.shoulder_y - raised
    sweep = np.interp(
        y,
        (top - 4.5, top - 1.5, top + 2.0, top + 5.0, top + 9.0, top + 13.0, top + 17.0),
        (0.0, 0.45 * x, x + 3.2, x + 2.4, a.width + 3.1 + 0.6 * a.fat, a.width + 2.3 + 0.7 * a.fat, 0.0),
    )
    torso = gaussian_filter1d(np.maximum(torso, sweep), 1.2)
    depth = cage_half_depth(a, np.maximum(y, a.apex + 3)) + 2.2 + 0.7 * a.fat + 0.8 * belly * a.fat
    middle = np.zeros(ROWS)
    # One ellipse is too thin at the flanks; three make the box that a chest is.
    for offset, wide, deep in ((0.0, 0.9, 1.0), (0.57, 0.43, 0.97), (-0.57, 0.43, 0.97)):
        table = np.stack([middle + offset * torso, np.full(ROWS, -0.4), wide * torso, deep * depth], 1)
        scene.stack(rays.BODY, y, table)
    muscle = [middle, np.full(ROWS, -0.4), torso - 0.75 * a.fat - 0.3, depth - 0.5 * a.fat - 0.3]
    scene.stack(rays.DENSE, y, np.stack(muscle, 1), weight=MUSCLE_EXCESS)
    neck_y = heights(-32.0, -9.0)
    flare = np.clip((neck_y + 17.5) / 6, 0, 1) ** 1.5
    neck = np.stack(
        [np.zeros(ROWS), np.full(ROWS, -2.2), 4.7 + 0.45 * a.fat + 5 * flare, 4.9 + 0.4 * a.fat + 0.9 * flare], 1
    )
    scene.stack(rays.BODY, neck_y, neck)
    scene.stack(rays.DENSE, neck_y, neck * [1, 1, 0.86, 0.86], weight=MUSCLE_EXCESS)
    for sign in (-1, 1):
        _shoulder(scene, a, sign, raised)
        if a.breast > 0:
            _breast(scene, a, sign)
        scene.ellipsoid(
            rays.DENSE,
            (sign * 8.2, -5.2, a.depth + 0.6),
            (7.2, 4.6, a.pectoral),
            turned("z", sign * -24.0),
            weight=0.045,
        )


def _breast(scene: Scene, a: Anatomy, sign: int) -> None:
    """A teardrop against the detector: thick below, running out upwards."""
    r = a.breast
    surface = a.depth + 1.8 + 0.7 * a.fat
    lean = turned("z", sign * -14.0)
    centre = (sign * a.breast_x, a.breast_y - 0.25 * r, surface - 2.2)
    # Leaning forward: thick at the lower fold, buried in the chest wall above.
    scene.ellipsoid(rays.BODY, centre, (1.12 * r, 1.35 * r, 2.3 + 0.3 * r), lean @ turned("x", 22.0))


def _shoulder(scene: Scene, a: Anatomy, sign: int, raised: float) -> None:
    x, y = a.shoulder, a.shoulder_y - raised
    bulk = 1 + 0.06 * a.fat
    for role, weight, grow in ((rays.BODY, 0.0, 0.35 * a.fat + 0.2), (rays.DENSE, MUSCLE_EXCESS, 0.0)):
        parts = (
            ((sign * 7.6, y - 0.4, -2.6), (11.5, 4.6 + grow, 6.0 + grow), sign * 19.0),
            ((sign * (x + 4.4), y + 11.5, -1.0), (4.2 * bulk + grow, 14.0, 5.2 + grow), sign * -9.0),
        )
        for centre, axes, angle in parts:
            scene.ellipsoid(role, centre, axes, turned("z", angle), weight=weight)


def _heart(scene: Scene, a: Anatomy) -> None:
    """Chambers and great vessels at the heart as one union, riding on the diaphragm."""
    k, spread = a.heart, a.heart_spread
    x0, y0 = a.heart_shift + 0.35, a.dome - 4.0 - 0.6 * max(a.lift[0] + a.lift[1], 0) / 2
    axis = turned("z", a.heart_axis) @ turned("y", -22.0)
    parts = (
        ((2.3, 1.5, 2.4), (6.7, 4.8, 4.4), axis),
        ((-1.45, 0.0, 1.6), (3.1, 5.0, 3.6), turned("z", 6.0)),
        ((0.6, -2.6, -1.2), (4.0, 2.9, 2.9), np.eye(3)),
        ((2.2, -5.4, 1.0), (1.9, 3.6, 2.0), turned("z", -24.0)),
        ((0.3, 3.0, 3.2), (5.2, 3.0, 3.6), np.eye(3)),
        ((2.7, -2.4, 0.6), (2.9, 4.9, 2.8), turned("z", -34.0)),
    )
    shells = []
    for (x, y, z), axes, turn in parts:
        centre = (x0 + k * spread * x, y0 + k * y, k * z)
        size = (k * spread * axes[0], k * axes[1], k * axes[2])
        scene.ellipsoid(rays.DISPLACER, centre, size, turn)
        shells.append(_ball_surface(np.array(centre), np.array(size), turn))
    scene.named["cardiac silhouette"] = np.concatenate([shells[i] for i in (0, 1, 2, 4)])


def _ball_surface(centre: np.ndarray, axes: np.ndarray, turn: np.ndarray) -> np.ndarray:
    polar, round_ = np.meshgrid(np.linspace(0, np.pi, 9), np.linspace(0, 2 * np.pi, 13))
    unit = np.stack([np.sin(polar) * np.cos(round_), np.sin(polar) * np.sin(round_), np.cos(polar)], -1).reshape(-1, 3)
    points: np.ndarray = centre + (unit * axes) @ turn.T
    return points


def _mediastinum(scene: Scene, a: Anatomy) -> None:
    y = heights(-22.0, 14.0)
    sway = 0.6 * spine_offset(a, y)
    levels = (-22, -14, -11, -7.5, -4, 0, 4, 14)
    w = a.mediastinum
    half = np.interp(y, levels, (4.6, 1.5 * w, 1.2 * w, 1.08 * w, 2.7, 2.8, 1.9, 1.3))
    depth = np.interp(y, (-22, -13, -6, 0, 14), (2.6, 3.4, 4.4, 4.2, 3.4))
    scene.stack(rays.DISPLACER, y, np.stack([sway - 0.25, np.full(ROWS, -1.2), half, depth], 1))
    # The superior vena cava makes the upper right border.
    scene.ellipsoid(rays.DISPLACER, (-2.0, -6.0, 0.6), (1.25 * a.mediastinum / 2.35, 6.5, 1.2), turned("z", 3.0))
    spine_y = heights(-24.0, 26.0)
    spine = np.stack(
        [spine_offset(a, spine_y), np.full(ROWS, -6.4), np.full(ROWS, a.spine_width + 0.2), np.full(ROWS, 2.3)], 1
    )
    scene.stack(rays.DISPLACER, spine_y, spine)
    scene.stack(rays.DENSE, spine_y, spine * [1, 1, 0.86, 0.5], weight=BONE_SPONGE * a.bone)
    trachea_y = heights(-26.0, -4.6)
    bore = 0.88 + 0.12 * (not a.female)
    pipe = np.stack(
        [
            0.7 * spine_offset(a, trachea_y) + a.trachea * np.clip((trachea_y + 20) / 12, 0, 1),
            np.interp(trachea_y, (-26, -4.6), (2.2, -2.2)),
            np.full(ROWS, bore),
            np.full(ROWS, bore),
        ],
        1,
    )
    scene.stack(rays.GAS, trachea_y, pipe)
    carina = np.array([pipe[-1, 0], -4.6, -2.2])
    middle = np.stack([pipe[:, 0], trachea_y, pipe[:, 1]], 1)[ROWS // 5 :, None]
    scene.named["trachea"] = (middle + np.array([[-1, 0, 0], [1, 0, 0]])).reshape(-1, 3)
    scene.named["carina"] = carina + np.array([[-1.6, -1.0, 0], [1.6, 1.6, 0]])
    for sign, steep, length in ((-1, 58.0, 3.0), (1, 40.0, 4.2)):
        turn = turned("z", sign * steep if sign > 0 else 180 - steep)
        along = turn[:, 0] * (length / 2)
        scene.ellipsoid(rays.GAS, tuple(carina + along), (length * 0.62, 0.62, 0.55), turn)


def _aorta(scene: Scene, a: Anatomy) -> None:
    """Ascending part, arch with its knob, descending part; unfolding makes them longer and wider."""
    u = a.unfolding
    r = a.knob * (1 + 0.55 * u)
    arch_y = -7.4 - 0.9 * u
    sway = float(spine_offset(a, np.array([arch_y]))[0])
    knob = (1.85 + 1.5 * u + 0.6 * sway, arch_y, -2.0)
    scene.ellipsoid(rays.DISPLACER, knob, (r * 1.02, r * 1.12, 2.6 + u))
    scene.named["aortic arch"] = np.array(knob) + np.array([[-r, -1.3 * r, 0], [r, 1.3 * r, 0]])
    scene.ellipsoid(rays.DISPLACER, (-1.1 - 1.7 * u, -2.6, 2.0), (1.9 + 0.8 * u, 5.2, 2.2), turned("z", -6.0 + 8 * u))
    y = heights(arch_y, 15.0)
    part = (y - arch_y) / (15.0 - arch_y)
    swing = 1.9 * np.sin(np.pi * np.clip(part * 1.25, 0, 1)) + 0.9 * (part < 0.5) * np.cos(np.pi * part)
    bulge = 1.65 + 0.2 * np.cos(np.pi * part) + u * swing
    wall = r * (0.98 - 0.25 * part)
    table = np.stack([0.8 * spine_offset(a, y) + bulge - 0.9 * part, np.full(ROWS, -4.6), wall, wall], 1)
    scene.stack(rays.DISPLACER, y, table)


def _abdomen(scene: Scene, a: Anatomy, upright: bool) -> None:
    for side in (0, 1):
        y, table = _dome_table(a, side)
        scene.stack(rays.DISPLACER, y, table)
        crown = np.stack([table[:, 0], y, table[:, 1]], 1)[:: ROWS // 4]
        scene.named[f"{'left' if side else 'right'} hemidiaphragm"] = crown
    # The liver is a little denser than the fat around the bowel.
    scene.ellipsoid(rays.DENSE, (-5.5, a.dome + 8.5, 1.0), (8.5, 8.3, 7.2), turned("z", -12.0), weight=0.012)
    scene.ellipsoid(rays.DENSE, (8.5, a.dome + a.left_drop + 7.5, -2.0), (3.4, 5.2, 4.0), weight=0.012)
    if a.bubble > 0.4:
        r = a.bubble
        top = dome_top(a, 1) + 0.55
        centre = (a.bubble_x, top + 0.78 * r, 1.2)
        plane = (0.0, 1.0, 0.0, top + 1.15 * r) if upright else UNCUT
        scene.ellipsoid(rays.GAS, centre, (1.35 * r, 0.78 * r, 1.1 * r), turned("z", 8.0), plane)
    rng = np.random.default_rng([a.texture_seed, 5])
    for _ in range(int(rng.integers(0, 5))):
        x, drop, size = rng.uniform(-3, 11), rng.uniform(4.5, 9.0), rng.uniform(0.6, 1.5)
        centre = (x, a.dome + a.left_drop + drop, 3.0)
        scene.ellipsoid(rays.GAS, centre, (1.5 * size, size, size), turned("z", rng.uniform(-40, 40)))


def build(anatomy: Anatomy, view: str) -> Scene:
    """The soft chest of a (possibly deformed) anatomy; a bedside film lifts the shoulders and levels no fluid."""
    chest = _chest(anatomy, view)
    return Scene(list(chest.stacks), list(chest.ellipsoids), named=dict(chest.named))


@lru_cache(maxsize=4)
def _chest(anatomy: Anatomy, view: str) -> Scene:
    scene = Scene()
    for side in (0, 1):
        y, table = lung_table(anatomy, side)
        scene.stack(rays.LUNG, y, table, side=side)
    _body(scene, anatomy, 1.2 if view == "AP" else 0.0)
    _mediastinum(scene, anatomy)
    _heart(scene, anatomy)
    _aorta(scene, anatomy)
    _abdomen(scene, anatomy, view == "PA")
    hila = np.array([[-4.2, anatomy.hilum, -1.5], [4.4, anatomy.hilum - 0.8, -1.5]])
    box = np.array([[-1.9, -2.6, 0], [1.9, 2.6, 0]])
    scene.named["right hilar structures"] = hila[0] + box
    scene.named["left hilar structures"] = hila[1] + box
    return scene
