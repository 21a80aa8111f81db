"""One row of rays through all solids at once, compiled: solid after solid, so that the loops over rays become vectors.

Works on the records of `rays`, `Solids` and `Blobs`, and speaks of roles by their numbers there. Records are passed
once a row, never once a ray: every array in one is counted when it is passed.
"""

from typing import NamedTuple

import numpy as np

from intervalchange.simulation.compiled import Array, compiled
from intervalchange.simulation.intervals import (
    ball_form,
    ball_intervals,
    clip_parts,
    cut,
    erf,
    free_parts,
    sort_by_start,
    stack_intervals,
    union_length,
)

Count = int | np.int64
"""Of rays. Typed as int64 where numba would compile a function for the literal 0 as well."""


class Solids(NamedTuple):
    """All solids of a scene, packed for the compiled loops. n of each kind."""

    tables: np.ndarray
    """(stacks, rows, 4): centre x, centre z, half-axis x, half-axis z."""
    spans: np.ndarray
    """(stacks, 2): y of the first row, where rows crowd, and of the last; either may be the lower."""
    centres: np.ndarray
    """(ellipsoids, 3)."""
    maps: np.ndarray
    """(ellipsoids, 3, 3): to the unit sphere."""
    planes: np.ndarray
    """(ellipsoids, 4): normal n and d; only n·p < d belongs. Zero normal: uncut."""
    roles: np.ndarray
    """(stacks + ellipsoids,) int64."""
    sides: np.ndarray
    """(stacks + ellipsoids,) int64: 0 right, 1 left, -1 neither."""
    weights: np.ndarray
    """(stacks + ellipsoids,): attenuation per cm of dense solids."""
    boxes: np.ndarray
    """(stacks + ellipsoids, 4): x1, y1, x2, y2 on the detector in cm, to skip rays."""


class Blobs(NamedTuple):
    """Gaussian densities inside aerated lung."""

    centres: np.ndarray
    """(blobs, 3)."""
    precisions: np.ndarray
    """(blobs, 3, 3): inverse covariance."""
    amplitudes: np.ndarray
    """(blobs,): density at the centre relative to water."""
    planes: np.ndarray
    """(blobs, 4): as for solids: a fissure."""
    sides: np.ndarray
    """(blobs,) int64."""
    boxes: np.ndarray
    """(blobs, 4)."""


class RayRow(NamedTuple):
    """Rays of one row, from left to right, with what they meet; room for n of them and all solids."""

    across: np.ndarray
    """(n,): film coordinate u."""
    directions: np.ndarray
    """(3, n): unit vectors."""
    near: np.ndarray
    """(n,): where each enters the solid at hand."""
    far: np.ndarray
    """(n,)."""
    scratch: np.ndarray
    """(6, n): scratch of `intervals.stack_intervals`."""
    starts: np.ndarray
    """(4, n, solids): entries by role BODY to GAS."""
    ends: np.ndarray
    """(4, n, solids)."""
    counts: np.ndarray
    """(4, n)."""
    chests: np.ndarray
    """(3, 2, n, 2): near and far of lungs, KEEP_DRY, KEEP_INFLATED on each side."""
    parts: np.ndarray
    """(n, solids + 2, 2): of each ray, what is aerated."""
    pieces: np.ndarray
    """(n,): how many such parts."""
    excess: np.ndarray
    """(n,): cm of water by all blobs."""
    values: np.ndarray
    """(len(CHANNELS), n): results."""


class RayView(NamedTuple):
    """Where the rays come from and what is the same for all of them."""

    source: np.ndarray
    """(3,)."""
    corner: np.ndarray
    """(3,)."""
    right: np.ndarray
    """(3,)."""
    down: np.ndarray
    """(3,)."""
    lung_density: float
    balls: np.ndarray
    """(ellipsoids, 10): see `intervals.ball_form`."""
    slopes: np.ndarray
    """(blobs, 4): precision times source less centre, and the same times source less centre again."""


@compiled
def _between(across: Array, count: Count, left: float, right: float) -> tuple[int, int]:
    """The first of `count` rising positions that is at least `left`, and the first beyond `right`."""
    low = 0
    high: int = count  # type: ignore[assignment]  # int64 is an int to numba
    while low < high:
        middle = (low + high) // 2
        if across[middle] < left:
            low = middle + 1
        else:
            high = middle
    first = low
    high = count  # type: ignore[assignment]  # as above
    while low < high:
        middle = (low + high) // 2
        if across[middle] <= right:
            low = middle + 1
        else:
            high = middle
    return first, low


@compiled
def _add_blobs(row: RayRow, count: Count, s: int, v: float, view: RayView, blobs: Blobs) -> None:
    """Adds to `row.excess` the integral of every blob of side s over what is aerated of each ray, in cm of water."""
    o, d, parts, pieces, away, excess = view.source, row.directions, row.parts, row.pieces, row.near, row.excess
    for k in range(blobs.sides.shape[0]):
        box = blobs.boxes[k]
        if blobs.sides[k] != s or v < box[1] or v > box[3]:
            continue
        low, high = _between(row.across, count, box[0], box[2])
        p, slope, plane = blobs.precisions[k], view.slopes[k], blobs.planes[k]
        squares, halves = row.scratch[0], row.scratch[1]
        for j in range(low, high):
            x = d[0, j]
            y = d[1, j]
            z = d[2, j]
            a = p[0, 0] * x * x + p[1, 1] * y * y + p[2, 2] * z * z
            a += 2.0 * (p[0, 1] * x * y + p[0, 2] * x * z + p[1, 2] * y * z)
            b = slope[0] * x + slope[1] * y + slope[2] * z
            squares[j] = a
            halves[j] = b
            away[j] = max(slope[3] - b * b / a, 0.0)
        uncut = plane[0] == 0.0 and plane[1] == 0.0 and plane[2] == 0.0
        gap = plane[3] - (plane[0] * o[0] + plane[1] * o[1] + plane[2] * o[2])
        for j in range(low, high):
            # Where exp(-away / 2) falls below 1e-3.
            if pieces[j] == 0 or away[j] > 13.815510557964274:
                continue
            root = np.sqrt(0.5 * squares[j])
            middle = -halves[j] / squares[j]
            lean = plane[0] * d[0, j] + plane[1] * d[1, j] + plane[2] * d[2, j]
            area = 0.0
            for i in range(pieces[j]):
                start = parts[j, i, 0]
                end = parts[j, i, 1]
                if not uncut:
                    start, end = cut(start, end, lean, gap)
                if end > start:
                    area += erf((end - middle) * root) - erf((start - middle) * root)
            excess[j] += blobs.amplitudes[k] * np.exp(-0.5 * away[j]) * (0.5 * np.sqrt(np.pi) / root) * area


@compiled
def _aim(row: RayRow, count: Count, v: float, view: RayView) -> None:
    """Directions of the first `count` rays of a row at film height v."""
    for j in range(count):
        u = row.across[j]
        x = view.corner[0] + (u + 0.5) * view.right[0] + (v + 0.5) * view.down[0] - view.source[0]
        y = view.corner[1] + (u + 0.5) * view.right[1] + (v + 0.5) * view.down[1] - view.source[1]
        z = view.corner[2] + (u + 0.5) * view.right[2] + (v + 0.5) * view.down[2] - view.source[2]
        scale = 1.0 / np.sqrt(x * x + y * y + z * z)
        row.directions[0, j] = x * scale
        row.directions[1, j] = y * scale
        row.directions[2, j] = z * scale


@compiled
def _sort_in(row: RayRow, role: int, side: int, weight: float, low: int, high: int) -> None:
    """Files the intervals of one solid with rays `low` to `high` by its role."""
    if role == 4:
        for j in range(low, high):
            row.values[2, j] += weight * max(row.far[j] - row.near[j], 0.0)
    elif role == 1 or role == 5 or role == 6:
        kind = 0 if role == 1 else role - 4
        for j in range(low, high):
            if row.far[j] > row.near[j]:
                row.chests[kind, side, j, 0] = row.near[j]
                row.chests[kind, side, j, 1] = row.far[j]
    else:
        for j in range(low, high):
            if row.far[j] > row.near[j]:
                slot = row.counts[role, j]
                row.starts[role, j, slot] = row.near[j]
                row.ends[role, j, slot] = row.far[j]
                row.counts[role, j] = slot + 1


@compiled
def cast(
    row: RayRow, count: Count, v: float, view: RayView, solids: Solids, blobs: Blobs, near_by: Array, active: int
) -> None:
    """Rays at film height v and the first `count` positions of `row.across` through the solids `near_by[:active]`;
    fills `row.values`."""
    stacks = solids.spans.shape[0]
    _aim(row, count, v, view)
    row.values[:, :count] = 0.0
    row.counts[:, :count] = 0
    row.chests[:, :, :count, 0] = 1.0
    row.chests[:, :, :count, 1] = 0.0
    # Which sides are wet, which hold free air: without such a solid everything is kept.
    kept = np.zeros((3, 2), np.bool_)
    for index in range(active):
        k = near_by[index]
        role = solids.roles[k]
        side = solids.sides[k]
        if role >= 5:
            kept[role - 4, side] = True
        low, high = _between(row.across, count, solids.boxes[k, 0], solids.boxes[k, 2])
        if high <= low:
            continue
        if k < stacks:
            y0, y1 = solids.spans[k]
            stack_intervals(
                solids.tables[k], y0, y1, view.source, row.directions, low, high, row.near, row.far, row.scratch
            )
        else:
            e = k - stacks
            ball_intervals(view.balls[e], solids.planes[e], view.source, row.directions, low, high, row.near, row.far)
        _sort_in(row, role, side, solids.weights[k], low, high)
    for j in range(count):
        row.values[0, j] = union_length(row.starts[0, j], row.ends[0, j], row.counts[0, j])
        if row.counts[3, j] > 0:
            row.values[1, j] = union_length(row.starts[3, j], row.ends[3, j], row.counts[3, j])
    for s in range(2):
        _aerate(row, count, s, kept)
        if blobs.sides.shape[0] > 0:
            row.excess[:count] = 0.0
            _add_blobs(row, count, s, v, view, blobs)
            for j in range(count):
                cap = row.values[5 + s, j] * (1.0 - view.lung_density)
                if cap > 0.0:
                    row.values[9, j] += cap * (1.0 - np.exp(-row.excess[j] / cap))


@compiled
def _taken(before: float, after: float) -> float:
    """What clipping took of a path; 0 for less than a millionth of a millimetre, which is how the sums were rounded.

    That depends on where in memory the rays lie: LLVM takes eight at once only where arrays are apart.
    """
    gone = before - after
    return gone if gone > 1e-7 else 0.0


@compiled
def _aerate(row: RayRow, count: Count, s: int, kept: Array) -> None:
    """What each ray meets in the lung of side s: lung, air, free air and fluid; leaves the aerated parts in `row`."""
    values, pieces = row.values, row.pieces
    lung, dry, inflated = row.chests[0, s], row.chests[1, s], row.chests[2, s]
    starts, ends, counts = row.starts[2], row.ends[2], row.counts[2]
    for j in range(count):
        pieces[j] = 0
        if lung[j, 1] <= lung[j, 0]:
            continue
        parts = row.parts[j]
        sort_by_start(starts[j], ends[j], counts[j])
        kept_parts = free_parts(lung[j, 0], lung[j, 1], starts[j], ends[j], counts[j], parts)
        length = 0.0
        for p in range(kept_parts):
            length += parts[p, 1] - parts[p, 0]
        values[3 + s, j] = length
        air = length
        if kept[1, s]:
            kept_parts, before, air = clip_parts(parts, kept_parts, dry[j, 0], dry[j, 1])
            values[8, j] += _taken(before, air)
        if kept[2, s]:
            kept_parts, before, air = clip_parts(parts, kept_parts, inflated[j, 0], inflated[j, 1])
            values[7, j] += _taken(before, air)
        values[5 + s, j] = air
        pieces[j] = kept_parts


@compiled
def ray_room(rays: int, total: int) -> RayRow:
    """Scratch for so many rays and solids."""
    return RayRow(
        np.empty(rays),
        np.empty((3, rays)),
        np.empty(rays),
        np.empty(rays),
        np.empty((6, rays)),
        np.empty((4, rays, total + 1)),
        np.empty((4, rays, total + 1)),
        np.empty((4, rays), np.int64),
        np.empty((3, 2, rays, 2)),
        np.empty((rays, total + 2, 2)),
        np.empty(rays, np.int64),
        np.empty(rays),
        np.empty((10, rays)),
    )


@compiled
def ray_view(
    source: Array, corner: Array, right: Array, down: Array, solids: Solids, blobs: Blobs, lung_density: float
) -> RayView:
    """What is the same for all rays of a film."""
    balls = np.empty((solids.centres.shape[0], 10))
    for e in range(balls.shape[0]):
        ball_form(solids.centres[e], solids.maps[e], source, balls[e])
    slopes = np.zeros((blobs.sides.shape[0], 4))
    for k in range(slopes.shape[0]):
        for i in range(3):
            for j in range(3):
                slopes[k, i] += blobs.precisions[k, i, j] * (source[j] - blobs.centres[k, j])
            slopes[k, 3] += slopes[k, i] * (source[i] - blobs.centres[k, i])
    return RayView(source, corner, right, down, lung_density, balls, slopes)


@compiled
def solids_near(v: float, slack: float, solids: Solids, near_by: Array) -> int:
    """Fills `near_by` with the solids a row at height v may meet; returns how many."""
    active = 0
    for k in range(solids.roles.shape[0]):
        if solids.boxes[k, 1] - slack <= v <= solids.boxes[k, 3] + slack:
            near_by[active] = k
            active += 1
    return active
