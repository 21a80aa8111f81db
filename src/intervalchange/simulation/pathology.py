"""What disease does to the chest: it bends the anatomy, displaces lung, and fills it.

Every lesion draws its randomness from its own seed in a fixed order, whatever its severity, so that the same lesion
grows and shrinks in place.
"""

from dataclasses import replace

import numpy as np

from intervalchange.findings import SIMULATED
from intervalchange.simulation import rays
from intervalchange.simulation.anatomy import Anatomy
from intervalchange.simulation.scene import Acquisition, Lesion, State
from intervalchange.simulation.skeleton import sheet
from intervalchange.simulation.solids import UNCUT, Scene, heights, turned
from intervalchange.simulation.thorax import dome_top, lung_table

WATER = 0.19
"""Attenuation of soft tissue per cm at the mean energy behind the patient."""
PERIPHERAL = "peripheral"
"""Type of a lung opacity that follows the pleura, for the layouts that ask for COVID-19."""
ZONES = {"upper": (0.08, 0.36), "middle": (0.36, 0.66), "lower": (0.66, 0.96)}
"""Height in the lung, 0 at the apex and 1 at the dome."""


def generator(lesion: Lesion) -> np.random.Generator:
    """The lesion's own randomness."""
    return np.random.default_rng([lesion.seed, SIMULATED.index(lesion.finding)])


def sides_of(lesion: Lesion, rng: np.random.Generator) -> tuple[int, ...]:
    """0 right, 1 left; a lesion without a side takes one from its seed."""
    chosen = int(rng.integers(2))
    return {"right": (0,), "left": (1,), "both": (0, 1)}.get(lesion.side, (chosen,))


def deform(anatomy: Anatomy, state: State) -> Anatomy:
    """The anatomy as disease has changed its shape; lesions that only fill the lung leave it as it is."""
    a = anatomy
    for lesion in state.lesions:
        s = lesion.severity
        rng = generator(lesion)
        if lesion.finding == "cardiomegaly":
            a = replace(a, heart_spread=a.heart_spread * (1.02 + 0.40 * s), heart=a.heart * (1 + 0.10 * s))
        elif lesion.finding == "emphysema":
            a = replace(
                a,
                lift=(a.lift[0] - 0.2 - 2.3 * s, a.lift[1] - 0.2 - 2.2 * s),
                depth=a.depth * (1 + 0.12 * s),
                lung_density=a.lung_density * (1 - 0.5 * s),
                heart_spread=a.heart_spread * (1 - 0.16 * s),
                ribs=a.ribs * (1 - 0.3 * s),
            )
        elif lesion.finding == "scoliosis":
            sway = 1 if sides_of(lesion, rng)[0] == 1 else -1
            phase = rng.uniform(-0.6, 0.6) + (np.pi / 2 if sway > 0 else -np.pi / 2)
            a = replace(a, spine_sway=(0.3 + 3.0 * s, float(phase), float(rng.uniform(34, 46))))
        elif lesion.finding == "tortuosity of the thoracic aorta":
            a = replace(a, unfolding=a.unfolding + 0.05 + 0.8 * s, knob=a.knob * (1 + 0.12 * s))
        elif lesion.finding == "gastric distention":
            right, left = a.lift
            a = replace(a, bubble=max(a.bubble, 1.2 + 3.3 * s), bubble_x=6.6, lift=(right, left + 3.0 * s))
        elif lesion.finding == "atelectasis":
            lift = list(a.lift)
            for side in sides_of(lesion, rng):
                lift[side] += 1.6 * s
            a = replace(a, lift=(lift[0], lift[1]))
        elif lesion.finding in ("pneumothorax", "pleural effusion") and s > 0.6 and lesion.side in ("left", "right"):
            # Much air or fluid pushes the heart to the other side.
            push = 2.0 * (s - 0.6) / 0.4 * (1 if lesion.side == "right" else -1)
            a = replace(a, heart_shift=a.heart_shift + push)
    return a


def breathe(anatomy: Anatomy, acquisition: Acquisition) -> Anatomy:
    """The same chest at this depth of breath, upright or lying."""
    out = 1 - acquisition.inspiration
    lying = 1.0 if acquisition.view == "AP" else 0.0
    rise = 3.2 * out + 0.5 * lying
    return replace(
        anatomy,
        lift=(anatomy.lift[0] + rise, anatomy.lift[1] + rise),
        heart_spread=anatomy.heart_spread * (1 + 0.09 * out + 0.04 * lying),
        lung_density=anatomy.lung_density * (1 + 0.35 * out),
        ribs=anatomy.ribs * (1 + 0.14 * out),
        width=anatomy.width * (1 - 0.025 * out),
    )


def afflict(scene: Scene, anatomy: Anatomy, state: State, view: str) -> None:
    """Adds what the lesions put into the (deformed, breathed) chest."""
    for lesion in state.lesions:
        adder = _ADDERS.get(lesion.finding)
        if adder is not None:
            adder(scene, anatomy, lesion, view)


def _place(a: Anatomy, side: int, height: float, across: float, depth: float) -> np.ndarray:
    """A point in a lung: height 0 apex to 1 dome, across 0 medial to 1 lateral, depth -1 back to 1 front."""
    y, table = lung_table(a, side)
    level = a.apex + height * (dome_top(a, side) - a.apex)
    cx, cz, half, deep = (np.interp(level, y, table[:, i]) for i in range(4))
    sign = 1 if side == 1 else -1
    inner, outer = abs(cx) - half, abs(cx) + half
    return np.array([sign * (max(inner, 2.0) + across * (outer - max(inner, 2.0))), level, cz + depth * deep])


def _height(lesion: Lesion, rng: np.random.Generator) -> float:
    low, high = ZONES.get(lesion.zone, (0.15, 0.92))
    return float(rng.uniform(low, high))


def _effusion(scene: Scene, a: Anatomy, lesion: Lesion, view: str) -> None:
    rng = generator(lesion)
    slack = rng.uniform(-0.15, 0.15)
    for side in sides_of(lesion, rng):
        sign = 1 if side == 1 else -1
        s = lesion.severity
        angle = a.angle + (0.5 * a.left_drop if side == 1 else 0.0)
        bottom = angle + 1.6 + slack - (0.6 + (angle - a.apex - 3.0) * 0.86) * s**1.25 - 0.5 * a.lift[side]
        height = 3.8 + 2.2 * s + (2.0 if view == "AP" else 0.0)
        # Lying, the fluid spreads behind the lung instead of standing below it.
        y = heights(bottom, a.apex - 1.0)
        lung_y, lung = lung_table(a, side)
        table = np.stack([np.interp(y, lung_y, lung[:, i]) for i in range(4)], 1)
        part = np.clip((y - (bottom - height)) / height, 0, 1)
        reach = np.sqrt(1 - part**1.6)
        lung_half = table[:, 2].copy()
        table[:, 2:] = table[:, 2:] * (1.04 * reach)[:, None] + 0.15 * (part[:, None] < 1)
        table[:, 0] -= sign * 0.3 * (lung_half - table[:, 2]) * part
        table[:, 1] += 0.8 * part * (2.0 if view == "AP" else 1.0)
        scene.stack(rays.KEEP_DRY, y, table, side=side)


def collapsed_table(a: Anatomy, side: int, severity: float) -> tuple[np.ndarray, np.ndarray]:
    """The lung under a pneumothorax: heights (ROWS,) and table (ROWS, 4)."""
    sign = 1 if side == 1 else -1
    s = severity
    drop = 0.7 + 8.0 * s**1.4
    top = a.apex + drop
    y = heights(top, a.angle + 2.0)
    lung_y, lung = lung_table(a, side)
    table = np.stack([np.interp(y, lung_y, lung[:, i]) for i in range(4)], 1)
    low = np.clip((y - a.apex) / (a.angle - a.apex), 0, 1)
    gap = (0.5 + 7.5 * s**1.3) * ((1 - low) ** 0.8 * (1 - s) + s * (1 - 0.35 * low))
    gap = np.minimum(gap, 1.5 * table[:, 2])
    rise = np.clip((y - top) / 4.0, 0, 1)
    cap = np.sqrt(1 - (1 - rise) ** 2)
    half = np.maximum((table[:, 2] - gap / 2) * cap, 0.02)
    inner = np.abs(table[:, 0]) - table[:, 2]
    table[:, 0] = sign * (inner + half + (1 - cap) * 1.4)
    table[:, 2] = half
    table[:, 3] = np.maximum(table[:, 3] * (1 - 0.45 * s) * cap, 0.02)
    return y, table


def _pneumothorax(scene: Scene, a: Anatomy, lesion: Lesion, view: str) -> None:
    rng = generator(lesion)
    for side in sides_of(lesion, rng)[:1]:
        y, table = collapsed_table(a, side, lesion.severity)
        scene.stack(rays.KEEP_INFLATED, y, table, side=side)
        turn = np.linspace(0, 2 * np.pi, 25)
        rows = table[y < dome_top(a, side) + 0.5]
        ring = np.stack(
            [
                rows[:, :1] + rows[:, 2:3] * np.cos(turn),
                np.broadcast_to(y[: len(rows), None], (len(rows), 25)),
                rows[:, 1:2] + rows[:, 3:4] * np.sin(turn),
            ],
            2,
        )
        # Only the lateral side borders on air; medially the pleura lies on the mediastinum.
        quads, weights = sheet(ring, WATER * 0.12)
        lateral = np.abs(quads[:, :, 0].mean(1)) > 2.6
        scene.shells.append((quads[lateral], weights[lateral]))


def _cluster(
    scene: Scene,
    rng: np.random.Generator,
    side: int,
    centre: np.ndarray,
    radius: float,
    count: int,
    amplitude: float,
    plane: tuple[float, float, float, float],
) -> None:
    """Overlapping Gaussians: a lobulated patch whose size is `radius`."""
    offsets = rng.normal(size=(count, 3)) * [0.62, 0.62, 0.55]
    sizes = rng.uniform(0.38, 0.62, size=(count, 3))
    strengths = rng.uniform(0.6, 1.4, size=count)
    for offset, size, strength in zip(offsets, sizes, strengths, strict=True):
        scene.blob(side, centre + radius * offset, tuple(radius * size), amplitude * strength, plane=plane)


def _consolidation(scene: Scene, a: Anatomy, lesion: Lesion, view: str) -> None:
    rng = generator(lesion)
    s = lesion.severity
    sides = sides_of(lesion, rng)
    height, across, depth = _height(lesion, rng), rng.uniform(0.3, 0.65), rng.uniform(-0.35, 0.35)
    slope = rng.uniform(-0.12, 0.12)
    for side in sides:
        centre = _place(a, side, height, across, depth)
        radius = 1.5 + 3.4 * s
        # A fissure stops it on one side: below an upper lobe, above a lower one.
        sign = 1.0 if height < 0.45 else -1.0
        edge = centre[1] + sign * (0.9 + 1.0 * s)
        fissure = (sign * slope, sign, 0.0, sign * (edge + slope * centre[0]))
        plane = fissure if height < 0.7 else UNCUT
        _cluster(scene, rng, side, centre, radius, 12, 0.30 + 0.45 * s, plane)


def _opacity(scene: Scene, a: Anatomy, lesion: Lesion, view: str) -> None:
    rng = generator(lesion)
    s = lesion.severity
    sides = sides_of(lesion, rng)
    several = 5 if lesion.type in ("multifocal", "multi-focal", "scattered") else (3 if lesion.type == "patchy" else 1)
    glass = lesion.type == "ground-glass"
    # As in COVID-19: many ground-glass patches along the pleura, most of them low and towards the back.
    peripheral = lesion.type == PERIPHERAL
    several, glass = (9, True) if peripheral else (several, glass)
    for side in sides:
        for _ in range(several):
            height, across, depth = _height(lesion, rng), rng.uniform(0.35, 0.85), rng.uniform(-0.5, 0.5)
            if peripheral:
                height, across, depth = 0.3 + 0.7 * height, 0.82 + 0.3 * (across - 0.35), depth - 0.2
            radius = (1.6 + 2.2 * s) * (1.0 if several == 1 else 0.62) * (1.25 if glass else 1.0)
            amplitude = (0.12 + 0.42 * s) * (0.7 if glass else 1.15)
            _cluster(scene, rng, side, _place(a, side, height, across, depth), radius, 7, amplitude, UNCUT)


def _edema(scene: Scene, a: Anatomy, lesion: Lesion, view: str) -> None:
    rng = generator(lesion)
    s = lesion.severity
    balance = rng.uniform(0.85, 1.15)
    for side in (0, 1):
        strength = balance if side else 2 - balance
        core = _place(a, side, 0.6, 0.28, -0.1)
        scene.blob(side, core, (3.3, 4.6, 4.2), strength * (0.05 + 0.40 * s**1.4))
        scene.blob(side, _place(a, side, 0.78, 0.45, -0.2), (4.6, 4.4, 4.6), strength * (0.03 + 0.22 * s**1.4))
        patches = rng.random((22, 3))
        sizes = rng.uniform(0.7, 1.5, 22)
        for patch, size in zip(patches, sizes, strict=True):
            spot = _place(a, side, 0.35 + 0.6 * patch[0], 0.1 + 0.6 * patch[1] ** 1.3, 1.4 * patch[2] - 0.7)
            scene.blob(side, spot, (size, size, size), strength * (0.02 + 0.30 * s**1.7))
        _septal_lines(scene, a, side, rng, s * strength)


def _septal_lines(scene: Scene, a: Anatomy, side: int, rng: np.random.Generator, strength: float) -> None:
    """Kerley B: short horizontal lines that reach the pleura at the base."""
    sign = 1 if side == 1 else -1
    y, table = lung_table(a, side)
    heights = rng.uniform(0.55, 1.12, 26)
    lengths = rng.uniform(1.0, 2.2, 26)
    depths = rng.uniform(-0.6, 0.6, 26)
    slopes = rng.uniform(-0.25, 0.25, 26)
    rows = []
    for height, length, depth, slope in zip(heights, lengths, depths, slopes, strict=True):
        level = a.apex + height * (dome_top(a, side) - a.apex)
        cx, cz, half, deep = (np.interp(level, y, table[:, i]) for i in range(4))
        edge = abs(cx) + half * np.sqrt(1 - depth**2) - 0.1
        z = cz + depth * deep
        rows.append([sign * edge, level, z, 0.07, sign * (edge - length), level + slope, z, 0.05])
    scene.tubes.append((np.array(rows), np.full(26, WATER * 1.1 * min(strength * 1.6, 1.3))))


def _atelectasis(scene: Scene, a: Anatomy, lesion: Lesion, view: str) -> None:
    rng = generator(lesion)
    s = lesion.severity
    sides = sides_of(lesion, rng)
    dense = lesion.type in ("compressive", "obstructive", "patchy")
    for side in sides:
        sign = 1 if side == 1 else -1
        for band in range(3):
            across, rise, tilt = rng.uniform(0.3, 0.6), rng.uniform(0.4, 2.0), rng.uniform(-22, 22)
            depth = rng.uniform(-0.4, 0.3)
            share = np.clip(s * 3 - band * 0.8, 0, 1)
            point = _place(a, side, 0.97, across, depth)
            point[1] -= 0.6 + rise * (1 + band * 0.9)
            turn = turned("z", sign * -10 + tilt) @ turned("x", rng.uniform(-8, 8))
            size = (1.6 + 1.6 * s, 0.20 + 0.14 * s, 1.6 + 1.2 * s)
            scene.blob(side, point, size, share * (1.0 + 0.6 * s) * (0.5 if dense else 1.0), turn)
        base = _place(a, side, 1.0, 0.35, -0.35)
        scene.blob(side, base, (3.4, 1.0 + 0.9 * s, 3.2), (0.55 if dense else 0.14) * s)


def _hernia(scene: Scene, a: Anatomy, lesion: Lesion, view: str) -> None:
    rng = generator(lesion)
    s = lesion.severity
    r = 1.5 + 2.8 * s
    centre = np.array([rng.uniform(-0.6, 1.8), a.dome + 0.4 - 0.75 * r - max(a.lift), -3.2])
    scene.ellipsoid(rays.DISPLACER, tuple(centre), (1.15 * r, r, 0.95 * r))
    level = centre[1] - rng.uniform(-0.1, 0.25) * r
    plane = (0.0, 1.0, 0.0, level) if view == "PA" else UNCUT
    hollow = 0.82 if view == "PA" else 0.6
    scene.ellipsoid(rays.GAS, tuple(centre), (1.15 * r * hollow, r * hollow, 0.95 * r * hollow), plane=plane)


def _granuloma(scene: Scene, a: Anatomy, lesion: Lesion, view: str) -> None:
    rng = generator(lesion)
    side = sides_of(lesion, rng)[0]
    point = _place(a, side, _height(lesion, rng), rng.uniform(0.35, 0.85), rng.uniform(-0.6, 0.6))
    radius = 0.24 + 0.44 * lesion.severity
    lumps = rng.normal(size=(5, 3)) * 0.45
    balls = [[*point, radius]] + [[*(point + radius * lump), 0.55 * radius] for lump in lumps]
    scene.balls.append((np.array(balls), np.array([0.42] + [0.18] * 5)))


def fractures(anatomy: Anatomy, state: State) -> list[tuple[int, int, float, np.ndarray, float]]:
    """Broken ribs: (rib, side, place along it 0..1, displacement (3,) in cm, severity)."""
    broken = []
    for lesion in state.lesions:
        if lesion.finding == "fracture":
            rng = generator(lesion)
            side = sides_of(lesion, rng)[0]
            ribs = {"upper": (3, 5), "middle": (5, 7), "lower": (7, 9)}.get(lesion.zone, (4, 9))
            rib = int(rng.integers(ribs[0], ribs[1]))
            position = float(rng.uniform(0.17, 0.31))
            step = (0.3 + 0.9 * lesion.severity) * np.array([0.25, 1.0 if rng.random() < 0.5 else -1.0, 0.3])
            broken.append((rib, side, position, step, lesion.severity))
    return broken


_ADDERS = {
    "pleural effusion": _effusion,
    "pneumothorax": _pneumothorax,
    "consolidation": _consolidation,
    "lung opacity": _opacity,
    "edema": _edema,
    "atelectasis": _atelectasis,
    "hernia": _hernia,
    "granuloma": _granuloma,
}
