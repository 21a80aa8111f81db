"""Pulmonary arteries and veins: trees that fill the lung and taper by Murray's law."""

from dataclasses import replace

import numpy as np
from numba import njit

from intervalchange.simulation.anatomy import Anatomy
from intervalchange.simulation.compiled import Array
from intervalchange.simulation.thorax import lung_table


@njit(cache=True, nogil=True)
def _grow(points: Array, root: Array, trunk: float, leaf_radius: float, exponent: float, jitter: Array) -> Array:
    """Splits the leaves again and again along their longest extent; returns segments (n, 8)."""
    count = points.shape[0]
    order = np.arange(count)
    segments = np.empty((4 * count + 8, 8))
    pending = np.empty((count + 8, 2), np.int64)
    starts = np.empty((count + 8, 4))
    pending[0, 0] = 0
    pending[0, 1] = count
    starts[0, :3] = root
    starts[0, 3] = leaf_radius * count ** (1 / exponent)
    waiting = 1
    used = 0
    while waiting > 0:
        waiting -= 1
        low = pending[waiting, 0]
        high = pending[waiting, 1]
        start = starts[waiting].copy()
        leaves = high - low
        middle = np.zeros(3)
        smallest = np.full(3, 1e9)
        largest = np.full(3, -1e9)
        for i in range(low, high):
            for c in range(3):
                value = points[order[i], c]
                middle[c] += value / leaves
                smallest[c] = min(smallest[c], value)
                largest[c] = max(largest[c], value)
        radius = leaf_radius * leaves ** (1 / exponent)
        reach = 1.0 if leaves == 1 else (trunk if leaves == count else 0.55)
        end = np.empty(4)
        gap = 0.0
        for c in range(3):
            gap += (middle[c] - start[c]) ** 2
        gap = np.sqrt(gap) * reach
        for c in range(3):
            wobble = jitter[(low * 7 + high * 3 + c) % jitter.shape[0]] * 0.12 * gap
            end[c] = start[c] + reach * (middle[c] - start[c]) + wobble
        end[3] = radius
        # A bent segment looks like a vessel, a straight one like a stick.
        bend = np.empty(4)
        for c in range(3):
            bend[c] = 0.5 * (start[c] + end[c]) + jitter[(low * 5 + high + 11 * c) % jitter.shape[0]] * 0.07 * gap
        bend[3] = 0.5 * (start[3] + radius)
        segments[used, :4] = start
        segments[used, 4:] = bend
        segments[used + 1, :4] = bend
        segments[used + 1, 4:] = end
        used += 2
        if leaves == 1:
            continue
        axis = 0
        for c in range(1, 3):
            if largest[c] - smallest[c] > largest[axis] - smallest[axis]:
                axis = c
        part = order[low:high].copy()
        values = np.empty(leaves)
        for i in range(leaves):
            values[i] = points[part[i], axis]
        ranked = np.argsort(values)
        for i in range(leaves):
            order[low + i] = part[ranked[i]]
        share = 0.5 + 0.22 * jitter[(low + high) % jitter.shape[0]]
        cut = low + min(max(int(leaves * min(max(share, 0.2), 0.8)), 1), leaves - 1)
        for k in range(2):
            pending[waiting, 0] = low if k == 0 else cut
            pending[waiting, 1] = cut if k == 0 else high
            starts[waiting] = end
            waiting += 1
    return segments[:used]


def _leaves(anatomy: Anatomy, side: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Points (count, 3) evenly through a lung, a little short of the pleura."""
    y, table = lung_table(anatomy, side)
    slab = np.gradient(y)
    area = table[:, 2] * table[:, 3] * slab * (y < anatomy.angle)
    row = rng.choice(len(y), size=count, p=area / area.sum())
    height = y[row] + slab[row] * rng.uniform(-0.5, 0.5, count)
    out = 0.94 * np.sqrt(rng.random(count))
    angle = rng.uniform(0, 2 * np.pi, count)
    x = table[row, 0] + out * table[row, 2] * np.cos(angle)
    z = table[row, 1] + out * table[row, 3] * np.sin(angle)
    return np.stack([x, height, z], 1)


def vessel_tree(anatomy: Anatomy, style: str) -> tuple[np.ndarray, np.ndarray]:
    """Segments (n, 8) of both lungs at full inspiration and their sides (n,)."""
    healthy = replace(anatomy, lift=(0.0, 0.0))
    arteries, veins, exponent = (1000, 600, 2.65) if style == "a" else (520, 600, 2.85)
    parts, sides = [], []
    for side in (0, 1):
        sign = 1 if side else -1
        rng = np.random.default_rng([anatomy.vessel_seed, side])
        roots = (
            (arteries, 0.042, np.array([sign * 3.1, anatomy.hilum - (0.9 if side else 0.1), -1.3])),
            (veins, 0.036, np.array([sign * 2.6, anatomy.hilum + 2.0, -1.6])),
        )
        for count, leaf, root in roots:
            points = _leaves(healthy, side, count, rng)
            tree = _grow(points, root, 0.22, leaf * anatomy.vascularity, exponent, rng.normal(size=997))
            # Trunks are wider than the law of their twigs has it.
            tree[:, [3, 7]] *= 1 + 0.3 * np.clip(tree[:, [3, 7]] / 0.45, 0, 1)
            parts.append(tree)
            sides.append(np.full(len(tree), side))
    return np.concatenate(parts), np.concatenate(sides)


def carry(
    segments: np.ndarray,
    healthy: tuple[np.ndarray, np.ndarray],
    now: tuple[np.ndarray, np.ndarray],
    lift: float,
    anatomy: Anatomy,
) -> np.ndarray:
    """Moves segments (n, 8) from the healthy lung into its present shape (both as heights and table)."""
    moved = segments.copy()
    y0, before = healthy
    y1, after = now
    low = anatomy.dome + 2.0
    for start in (0, 4):
        x, y, z = segments[:, start], segments[:, start + 1], segments[:, start + 2]
        part = np.clip((low - y) / (low - y0[0]), 0, 1)
        level = y - lift * (1 - part)
        level = level + max(y1[0] - y0[0], 0) * part**2
        old = [np.interp(y, y0, before[:, i]) for i in range(4)]
        new = [np.interp(level, y1, after[:, i]) for i in range(4)]
        moved[:, start] = new[0] + (x - old[0]) * new[2] / np.maximum(old[2], 0.05)
        moved[:, start + 1] = level
        moved[:, start + 2] = new[1] + (z - old[1]) * new[3] / np.maximum(old[3], 0.05)
    return moved
