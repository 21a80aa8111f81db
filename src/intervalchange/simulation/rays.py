"""Exact path lengths of cone-beam rays through analytic solids, one compiled thread.

A solid is an *ellipsoid* (cut by a plane if wanted) or a *stack*: an ellipse in x and z whose centre and half-axes
are tables of y. Rows of a table crowd at its first end, by a square law, since that is where domes close. Both meet
a ray in one interval, so unions and differences are exact: sort, then running maximum.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from intervalchange.simulation.intervals import (
    clip_parts,
    cut,
    ellipsoid_interval,
    erf,
    free_parts,
    sort_by_start,
    stack_interval,
    union_length,
)

BODY, LUNG, DISPLACER, GAS, DENSE, KEEP_DRY, KEEP_INFLATED = range(7)
"""Roles. Body solids unite; lungs are what displacers leave of them; gas lies outside the lung; dense adds to the
attenuation. Outside KEEP_DRY a lung is fluid, outside KEEP_INFLATED it is free air in the pleura."""

CHANNELS = ("body", "gas", "dense", "lung_right", "lung_left", "air_right", "air_left", "free", "fluid", "excess")
"""Results of `trace`: lengths in cm, but for dense (optical depth) and excess (cm of water)."""


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


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _blob_excess(blobs, side, u, v, o, d, parts, count):
    """Integral of all blobs of a side over the aerated parts of a ray, in cm of water."""
    total = 0.0
    for k in range(blobs.sides.shape[0]):
        if blobs.sides[k] != side:
            continue
        if u < blobs.boxes[k, 0] or u > blobs.boxes[k, 2] or v < blobs.boxes[k, 1] or v > blobs.boxes[k, 3]:
            continue
        a = 0.0
        b = 0.0
        c = 0.0
        for i in range(3):
            pd = 0.0
            pq = 0.0
            for j in range(3):
                pd += blobs.precisions[k, i, j] * d[j]
                pq += blobs.precisions[k, i, j] * (o[j] - blobs.centres[k, j])
            a += pd * d[i]
            b += pd * (o[i] - blobs.centres[k, i])
            c += pq * (o[i] - blobs.centres[k, i])
        peak = np.exp(-0.5 * max(c - b * b / a, 0.0))
        if peak < 1e-3:
            continue
        root = np.sqrt(0.5 * a)
        middle = -b / a
        for i in range(count):
            low, high = cut(parts[i, 0], parts[i, 1], blobs.planes[k], o, d)
            if high > low:
                scale = 0.5 * np.sqrt(np.pi) / root
                area = scale * (erf((high - middle) * root) - erf((low - middle) * root))
                total += blobs.amplitudes[k] * peak * area
    return total


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _cast(u, v, source, corner, right, down, solids, blobs, lung_density, near_by, active, scratch, out):
    """One ray at film coordinates u, v through the solids `near_by[:active]`; fills `out` (channels,)."""
    starts, ends, counts, lungs, dry, inflated, parts, d = scratch
    stacks = solids.spans.shape[0]
    norm = 0.0
    for c in range(3):
        d[c] = corner[c] + (u + 0.5) * right[c] + (v + 0.5) * down[c] - source[c]
        norm += d[c] * d[c]
    norm = np.sqrt(norm)
    for c in range(3):
        d[c] /= norm
    out[:] = 0.0
    counts[:] = 0
    for s in range(2):
        # Third column: whether the side has such a solid at all.
        for box in (lungs, dry, inflated):
            box[s, 0] = 1.0
            box[s, 1] = 0.0
            box[s, 2] = 0.0
    for index in range(active):
        k = near_by[index]
        role = solids.roles[k]
        side = solids.sides[k]
        if role == 5:
            dry[side, 2] = 1.0
        elif role == 6:
            inflated[side, 2] = 1.0
        if u < solids.boxes[k, 0] or u > solids.boxes[k, 2]:
            continue
        if k < stacks:
            near, far = stack_interval(solids.tables[k], solids.spans[k, 0], solids.spans[k, 1], source, d)
        else:
            e = k - stacks
            near, far = ellipsoid_interval(solids.centres[e], solids.maps[e], solids.planes[e], source, d)
        if far <= near:
            continue
        if role == 1:
            lungs[side, 0] = near
            lungs[side, 1] = far
        elif role == 4:
            out[2] += solids.weights[k] * (far - near)
        elif role == 5:
            dry[side, 0] = near
            dry[side, 1] = far
        elif role == 6:
            inflated[side, 0] = near
            inflated[side, 1] = far
        else:
            starts[role, counts[role]] = near
            ends[role, counts[role]] = far
            counts[role] += 1
    out[0] = union_length(starts[0], ends[0], counts[0])
    if counts[3] > 0:
        out[1] = union_length(starts[3], ends[3], counts[3])
    sort_by_start(starts[2], ends[2], counts[2])
    for s in range(2):
        if lungs[s, 1] <= lungs[s, 0]:
            continue
        count = free_parts(lungs[s, 0], lungs[s, 1], starts[2], ends[2], counts[2], parts)
        length = 0.0
        for p in range(count):
            length += parts[p, 1] - parts[p, 0]
        out[3 + s] = length
        air = length
        if dry[s, 2] > 0:
            count, before, air = clip_parts(parts, count, dry[s, 0], dry[s, 1])
            out[8] += before - air
        if inflated[s, 2] > 0:
            count, before, air = clip_parts(parts, count, inflated[s, 0], inflated[s, 1])
            out[7] += before - air
        out[5 + s] = air
        if air > 0 and blobs.sides.shape[0] > 0:
            excess = _blob_excess(blobs, s, u, v, source, d, parts, count)
            cap = air * (1.0 - lung_density)
            out[9] += cap * (1.0 - np.exp(-excess / cap))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def trace(source, corner, right, down, size, solids, blobs, lung_density, smooth):
    """Casts size x size rays; returns (len(CHANNELS), size, size) float32.

    `source` (3,), `corner` (3,) the detector's upper left corner, `right` and `down` (3,) its full edges, all in the
    patient frame; film coordinates, also of `boxes`, run from -0.5 to 0.5. If `smooth`, pixels on an edge
    get four rays more.
    """
    out = np.zeros((10, size, size), np.float32)
    total = solids.roles.shape[0]
    near_by = np.empty(total, np.int64)
    scratch = (
        np.empty((5, total + 1)),
        np.empty((5, total + 1)),
        np.empty(5, np.int64),
        np.empty((2, 3)),
        np.empty((2, 3)),
        np.empty((2, 3)),
        np.empty((total + 2, 2)),
        np.empty(3),
    )
    values = np.empty(10)
    # Where the path bends by more than this from pixel to pixel, in cm of tissue, there is an edge.
    edge = 1.5
    for refine in range(2 if smooth else 1):
        for i in range(size):
            v = (i + 0.5) / size - 0.5
            active = 0
            for k in range(total):
                if solids.boxes[k, 1] - 1.0 / size <= v <= solids.boxes[k, 3] + 1.0 / size:
                    near_by[active] = k
                    active += 1
            for j in range(size):
                u = (j + 0.5) / size - 0.5
                if refine == 0:
                    _cast(
                        u, v, source, corner, right, down, solids, blobs, lung_density, near_by, active, scratch, values
                    )
                    for c in range(10):
                        out[c, i, j] = values[c]
                    continue
                here = 2.0 * _tissue(out, i, j)
                step = 0.0
                if 0 < i < size - 1:
                    step = abs(here - _tissue(out, i - 1, j) - _tissue(out, i + 1, j))
                if 0 < j < size - 1:
                    step = max(step, abs(here - _tissue(out, i, j - 1) - _tissue(out, i, j + 1)))
                if step < edge:
                    continue
                for c in range(10):
                    out[c, i, j] = 0.0
                for part in range(4):
                    du = (0.25 if part % 2 else -0.25) / size
                    dv = (0.25 if part // 2 else -0.25) / size
                    _cast(
                        u + du,
                        v + dv,
                        source,
                        corner,
                        right,
                        down,
                        solids,
                        blobs,
                        lung_density,
                        near_by,
                        active,
                        scratch,
                        values,
                    )
                    for c in range(10):
                        out[c, i, j] += 0.25 * values[c]
    return out


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _tissue(out, i, j):
    """Path through something denser than lung."""
    return out[0, i, j] - out[1, i, j] - out[5, i, j] - out[6, i, j] - out[7, i, j] + out[9, i, j]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def aerated_at(points, sides, solids, blobs):
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
                    place = min(np.sqrt(part) * (table.shape[0] - 1), table.shape[0] - 1.001)
                    row = int(place)
                    part = place - row
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
