"""Exact path lengths of cone-beam rays through analytic solids, one compiled thread.

A solid is an *ellipsoid* (cut by a plane if wanted) or a *stack*: an ellipse in x and z whose centre and half-axes
are tables of y. Rows of a table crowd at its first end, by a square law, since that is where domes close. Both meet
a ray in one interval, so unions and differences are exact: sort, then running maximum.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from intervalchange.simulation.casting import (
    Blobs,
    Count,
    RayRow,
    RayView,
    Solids,
    cast,
    ray_room,
    ray_view,
    solids_near,
)
from intervalchange.simulation.compiled import Array, compiled

BODY, LUNG, DISPLACER, GAS, DENSE, KEEP_DRY, KEEP_INFLATED = range(7)
"""Roles. Body solids unite; lungs are what displacers leave of them; gas lies outside the lung; dense adds to the
attenuation. Outside KEEP_DRY a lung is fluid, outside KEEP_INFLATED it is free air in the pleura."""

CHANNELS = ("body", "gas", "dense", "lung_right", "lung_left", "air_right", "air_left", "free", "fluid", "excess")
"""Results of `trace`: lengths in cm, but for dense (optical depth) and excess (cm of water)."""


@compiled
def retrace(
    out: Array,
    wanted: Array,
    source: Array,
    corner: Array,
    right: Array,
    down: Array,
    solids: Solids,
    blobs: Blobs,
    lung_density: float,
) -> None:
    """Casts the rays of the pixels `wanted` (size, size) anew, into `out` (len(CHANNELS), size, size)."""
    size = out.shape[1]
    row = ray_room(size, solids.roles.shape[0])
    near_by = np.empty(solids.roles.shape[0], np.int64)
    columns = np.empty(size, np.int64)
    view = ray_view(source, corner, right, down, solids, blobs, lung_density)
    for i in range(size):
        count = np.int64(0)  # Typed, or numba would compile `cast` for the literal as well.
        for j in range(size):
            if wanted[i, j]:
                columns[count] = j
                row.across[count] = (j + 0.5) / size - 0.5
                count += 1
        if count == 0:
            continue
        v = (i + 0.5) / size - 0.5
        active = solids_near(v, 1.0 / size, solids, near_by)
        cast(row, count, v, view, solids, blobs, near_by, active)
        for c in range(10):
            for index in range(count):
                out[c, i, columns[index]] = row.values[c, index]


@compiled
def _quarter(
    row: RayRow,
    columns: Array,
    count: Count,
    i: int,
    size: int,
    view: RayView,
    solids: Solids,
    blobs: Blobs,
    near_by: Array,
    active: int,
    finer: Array,
) -> None:
    """Means over the four quarters of the first `count` pixels `columns` of film row i, into `finer` (10, n)."""
    finer[:, :count] = 0.0
    for half in range(2):
        v = (i + 0.5) / size - 0.5 + (0.25 if half else -0.25) / size
        for index in range(count):
            u = (columns[index] + 0.5) / size - 0.5
            row.across[2 * index] = u - 0.25 / size
            row.across[2 * index + 1] = u + 0.25 / size
        cast(row, 2 * count, v, view, solids, blobs, near_by, active)
        for c in range(10):
            for index in range(count):
                finer[c, index] += 0.25 * (row.values[c, 2 * index] + row.values[c, 2 * index + 1])


@compiled
def _bend(out: Array, i: int, j: int) -> float:
    """How much the path through tissue bends at a pixel, cm."""
    size = out.shape[1]
    twice = 2.0 * _tissue(out, i, j)
    step = 0.0
    if 0 < i < size - 1:
        step = abs(twice - _tissue(out, i - 1, j) - _tissue(out, i + 1, j))
    if 0 < j < size - 1:
        step = max(step, abs(twice - _tissue(out, i, j - 1) - _tissue(out, i, j + 1)))
    return step


@compiled
def _smooth(
    out: Array,
    source: Array,
    corner: Array,
    right: Array,
    down: Array,
    solids: Solids,
    blobs: Blobs,
    lung_density: float,
) -> None:
    """Gives the pixels on an edge four rays, one pixel after the other: each sees its left neighbour smoothed."""
    size = out.shape[1]
    # Where the path bends by more than this from pixel to pixel, in cm of tissue, there is an edge.
    edge = 1.5
    row = ray_room(2 * size, solids.roles.shape[0])
    near_by = np.empty(solids.roles.shape[0], np.int64)
    columns = np.empty(size, np.int64)
    finer = np.empty((10, size))
    one = np.empty(1, np.int64)
    single = np.int64(1)
    alone = np.empty((10, 1))
    view = ray_view(source, corner, right, down, solids, blobs, lung_density)
    for i in range(size):
        active = solids_near((i + 0.5) / size - 0.5, 1.0 / size, solids, near_by)
        count = np.int64(0)
        for j in range(size):
            if _bend(out, i, j) >= edge:
                columns[count] = j
                count += 1
        # All at once, as if no neighbour had been smoothed; the few that this changes follow one by one.
        _quarter(row, columns, count, i, size, view, solids, blobs, near_by, active, finer)
        index = 0
        for j in range(size):
            ready = index < count and columns[index] == j
            if _bend(out, i, j) >= edge:
                if ready:
                    for c in range(10):
                        out[c, i, j] = finer[c, index]
                else:
                    one[0] = j
                    _quarter(row, one, single, i, size, view, solids, blobs, near_by, active, alone)
                    for c in range(10):
                        out[c, i, j] = alone[c, 0]
            if ready:
                index += 1


def touched(first: tuple[Solids, Blobs], second: tuple[Solids, Blobs], size: int) -> np.ndarray:
    """Pixels (size, size) bool whose rays may meet a solid or blob that only one of two scenes has."""
    wanted = np.zeros((size, size), bool)
    centres = (np.arange(size) + 0.5) / size - 0.5
    counts = [Counter(_parts(*scene)) for scene in (first, second)]
    for _, box in (counts[0] - counts[1]) + (counts[1] - counts[0]):
        x1, y1, x2, y2 = np.frombuffer(box)
        # Rows have the slack that `solids_near` has.
        rows = (centres >= y1 - 1.01 / size) & (centres <= y2 + 1.01 / size)
        wanted |= rows[:, None] & (centres >= x1) & (centres <= x2)
    return wanted


def _parts(solids: Solids, blobs: Blobs) -> Iterator[tuple[bytes, bytes]]:
    """Each solid and blob as bytes, with the bytes of its box."""
    stacks = len(solids.spans)
    for k in range(len(solids.roles)):
        e = k - stacks
        shape = (solids.tables[k], solids.spans[k]) if e < 0 else (solids.centres[e], solids.maps[e], solids.planes[e])
        kind = (solids.roles[k], solids.sides[k], solids.weights[k])
        yield b"".join(part.tobytes() for part in (*kind, *shape)), solids.boxes[k].tobytes()
    for k in range(len(blobs.sides)):
        yield b"".join(array[k].tobytes() for array in blobs), blobs.boxes[k].tobytes()


def trace(
    source: np.ndarray,
    corner: np.ndarray,
    right: np.ndarray,
    down: np.ndarray,
    size: int,
    solids: Solids,
    blobs: Blobs,
    lung_density: float,
    smooth: bool = False,
) -> np.ndarray:
    """Casts size x size rays; returns (len(CHANNELS), size, size) float32.

    `source` (3,), `corner` (3,) the detector's upper left corner, `right` and `down` (3,) its full edges, all in the
    patient frame; film coordinates, also of `boxes`, run from -0.5 to 0.5. If `smooth`, pixels on an edge
    get four rays more.
    """
    out = np.zeros((len(CHANNELS), size, size), np.float32)
    retrace(out, np.ones((size, size), bool), source, corner, right, down, solids, blobs, lung_density)
    if smooth:
        _smooth(out, source, corner, right, down, solids, blobs, lung_density)
    return out


@compiled
def _tissue(out: Array, i: int, j: int) -> float:
    """Path through something denser than lung."""
    path: float = out[0, i, j] - out[1, i, j] - out[5, i, j] - out[6, i, j] - out[7, i, j] + out[9, i, j]
    return path


@compiled
def aerated_at(points: Array, sides: Array, solids: Solids, blobs: Blobs) -> Array:
    """How much air surrounds each point (n, 3) of lung `sides` (n,): 0 in displacers and fluid, 1 in healthy lung."""
    result = np.ones(points.shape[0])
    stacks = solids.spans.shape[0]
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        for k in range(solids.roles.shape[0]):
            role = solids.roles[k]
            if role != 2 and ((role != 5 and role != 1) or solids.sides[k] != sides[n]):
                continue
            inside = False
            if k < stacks:
                table = solids.tables[k]
                part = (y - solids.spans[k, 0]) / (solids.spans[k, 1] - solids.spans[k, 0])
                if 0.0 <= part <= 1.0:
                    position = min(np.sqrt(part) * (table.shape[0] - 1), table.shape[0] - 1.001)
                    row = int(position)
                    part = position - row
                    cx = table[row, 0] + part * (table[row + 1, 0] - table[row, 0])
                    cz = table[row, 1] + part * (table[row + 1, 1] - table[row, 1])
                    a = max(table[row, 2] + part * (table[row + 1, 2] - table[row, 2]), 1e-6)
                    b = max(table[row, 3] + part * (table[row + 1, 3] - table[row, 3]), 1e-6)
                    inside = ((x - cx) / a) ** 2 + ((z - cz) / b) ** 2 < 1.0
            else:
                e = k - stacks
                square = 0.0
                for i in range(3):
                    q = 0.0
                    for j in range(3):
                        q += solids.maps[e, i, j] * (points[n, j] - solids.centres[e, j])
                    square += q * q
                inside = square < 1.0
            if inside == (role == 2):
                result[n] = 0.0
                break
        if result[n] == 0.0:
            continue
        density = 0.0
        for k in range(blobs.sides.shape[0]):
            if blobs.sides[k] == sides[n]:
                square = 0.0
                for i in range(3):
                    for j in range(3):
                        square += (
                            (points[n, i] - blobs.centres[k, i])
                            * blobs.precisions[k, i, j]
                            * (points[n, j] - blobs.centres[k, j])
                        )
                density += blobs.amplitudes[k] * np.exp(-0.5 * square)
        result[n] = np.exp(-1.2 * density)
    return result
