"""Exact path lengths of cone-beam rays through analytic solids, one compiled thread.

A solid is an *ellipsoid* (cut by a plane if wanted) or a *stack*: an ellipse in x and z whose centre and half-axes
are tables of y. Rows of a table crowd at its first end, by a square law, since that is where domes close. Both meet a ray in one interval, so unions and differences are exact: sort, then running maximum.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

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
def _stack_interval(table, y0, y1, o, d):  # noqa: ANN001, ANN202
    """Entry and exit of a ray; entry > exit when it misses. The ellipse is taken at the height of each root."""
    rows = table.shape[0]
    step = 1.0 / (y1 - y0)
    middle = rows // 2
    start = (table[middle, 1] - o[2]) / d[2]
    near = start
    far = start
    for end in range(2):
        t = start
        for turn in range(2):
            place = np.sqrt(max((o[1] + t * d[1] - y0) * step, 0.0)) * (rows - 1)
            place = min(place, rows - 1.001)
            row = int(place)
            part = place - row
            cx = table[row, 0] + part * (table[row + 1, 0] - table[row, 0])
            cz = table[row, 1] + part * (table[row + 1, 1] - table[row, 1])
            a = max(table[row, 2] + part * (table[row + 1, 2] - table[row, 2]), 1e-6)
            b = max(table[row, 3] + part * (table[row + 1, 3] - table[row, 3]), 1e-6)
            px = (o[0] - cx) / a
            pz = (o[2] - cz) / b
            dx = d[0] / a
            dz = d[2] / b
            square = dx * dx + dz * dz
            half = px * dx + pz * dz
            rest = half * half - square * (px * px + pz * pz - 1.0)
            if rest <= 0.0:
                if turn == 0 and end == 0:
                    # A ray that misses at the middle height misses altogether, but for slivers at a tapered end.
                    return 1.0, 0.0
                rest = 0.0
            root = np.sqrt(rest)
            t = (-half - root) / square if end == 0 else (-half + root) / square
        if end == 0:
            near = t
        else:
            far = t
    if abs(d[1]) > 1e-9:
        ta = (y0 - o[1]) / d[1]
        tb = (y1 - o[1]) / d[1]
        near = max(near, min(ta, tb))
        far = min(far, max(ta, tb))
    elif (o[1] - y0) * step < 0.0 or (o[1] - y0) * step > 1.0:
        return 1.0, 0.0
    return near, far


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _cut(near, far, plane, o, d):  # noqa: ANN001, ANN202
    """The part of an interval on the inner side of a plane."""
    slope = plane[0] * d[0] + plane[1] * d[1] + plane[2] * d[2]
    if plane[0] == 0.0 and plane[1] == 0.0 and plane[2] == 0.0:
        return near, far
    gap = plane[3] - (plane[0] * o[0] + plane[1] * o[1] + plane[2] * o[2])
    if abs(slope) < 1e-12:
        return (near, far) if gap > 0 else (1.0, 0.0)
    t = gap / slope
    if slope > 0:
        return near, min(far, t)
    return max(near, t), far


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _ellipsoid_interval(centre, unit, plane, o, d):  # noqa: ANN001, ANN202
    square = 0.0
    half = 0.0
    rest = -1.0
    for i in range(3):
        q = unit[i, 0] * (o[0] - centre[0]) + unit[i, 1] * (o[1] - centre[1]) + unit[i, 2] * (o[2] - centre[2])
        e = unit[i, 0] * d[0] + unit[i, 1] * d[1] + unit[i, 2] * d[2]
        square += e * e
        half += q * e
        rest += q * q
    inside = half * half - square * rest
    if inside <= 0.0:
        return 1.0, 0.0
    root = np.sqrt(inside)
    return _cut((-half - root) / square, (-half + root) / square, plane, o, d)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _sort(starts, ends, count):  # noqa: ANN001, ANN202
    for i in range(1, count):
        s = starts[i]
        e = ends[i]
        j = i - 1
        while j >= 0 and starts[j] > s:
            starts[j + 1] = starts[j]
            ends[j + 1] = ends[j]
            j -= 1
        starts[j + 1] = s
        ends[j + 1] = e


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _union_length(starts, ends, count):  # noqa: ANN001, ANN202
    _sort(starts, ends, count)
    total = 0.0
    reached = -1e30
    for i in range(count):
        low = max(starts[i], reached)
        if ends[i] > low:
            total += ends[i] - low
            reached = ends[i]
    return total


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _free_parts(near, far, starts, ends, count, parts):  # noqa: ANN001, ANN202
    """What sorted displacers leave of [near, far]: rows of `parts`; returns how many."""
    found = 0
    reached = near
    for i in range(count):
        if starts[i] >= far:
            break
        if starts[i] > reached and found < parts.shape[0]:
            parts[found, 0] = reached
            parts[found, 1] = starts[i]
            found += 1
        reached = max(reached, ends[i])
        if reached >= far:
            return found
    if far > reached and found < parts.shape[0]:
        parts[found, 0] = reached
        parts[found, 1] = far
        found += 1
    return found


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _clip_parts(parts, count, near, far):  # noqa: ANN001, ANN202
    """Keeps of `parts` only what lies in [near, far]; returns count and total length before and after."""
    before = 0.0
    after = 0.0
    found = 0
    for i in range(count):
        before += parts[i, 1] - parts[i, 0]
        low = max(parts[i, 0], near)
        high = min(parts[i, 1], far)
        if high > low:
            parts[found, 0] = low
            parts[found, 1] = high
            found += 1
            after += high - low
    return found, before, after


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _erf(x):  # noqa: ANN001, ANN202
    """Abramowitz and Stegun 7.1.26, error below 2e-7."""
    s = 1.0 if x >= 0 else -1.0
    x = abs(x)
    t = 1.0 / (1.0 + 0.3275911 * x)
    poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    return s * (1.0 - poly * np.exp(-x * x))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _blob_excess(blobs, side, u, v, o, d, parts, count):  # noqa: ANN001, ANN202
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
            low, high = _cut(parts[i, 0], parts[i, 1], blobs.planes[k], o, d)
            if high > low:
                scale = 0.5 * np.sqrt(np.pi) / root
                area = scale * (_erf((high - middle) * root) - _erf((low - middle) * root))
                total += blobs.amplitudes[k] * peak * area
    return total


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _cast(u, v, source, corner, right, down, solids, blobs, lung_density, near_by, active, scratch, out):  # noqa: ANN001, ANN202
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
            near, far = _stack_interval(solids.tables[k], solids.spans[k, 0], solids.spans[k, 1], source, d)
        else:
            e = k - stacks
            near, far = _ellipsoid_interval(solids.centres[e], solids.maps[e], solids.planes[e], source, d)
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
    out[0] = _union_length(starts[0], ends[0], counts[0])
    if counts[3] > 0:
        out[1] = _union_length(starts[3], ends[3], counts[3])
    _sort(starts[2], ends[2], counts[2])
    for s in range(2):
        if lungs[s, 1] <= lungs[s, 0]:
            continue
        count = _free_parts(lungs[s, 0], lungs[s, 1], starts[2], ends[2], counts[2], parts)
        length = 0.0
        for p in range(count):
            length += parts[p, 1] - parts[p, 0]
        out[3 + s] = length
        air = length
        if dry[s, 2] > 0:
            count, before, air = _clip_parts(parts, count, dry[s, 0], dry[s, 1])
            out[8] += before - air
        if inflated[s, 2] > 0:
            count, before, air = _clip_parts(parts, count, inflated[s, 0], inflated[s, 1])
            out[7] += before - air
        out[5 + s] = air
        if air > 0 and blobs.sides.shape[0] > 0:
            excess = _blob_excess(blobs, s, u, v, source, d, parts, count)
            cap = air * (1.0 - lung_density)
            out[9] += cap * (1.0 - np.exp(-excess / cap))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def trace(source, corner, right, down, size, solids, blobs, lung_density, smooth):  # noqa: ANN001, ANN201
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
                    _cast(u, v, source, corner, right, down, solids, blobs, lung_density, near_by, active, scratch, values)
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
                        u + du, v + dv, source, corner, right, down, solids, blobs, lung_density, near_by, active,
                        scratch, values,
                    )
                    for c in range(10):
                        out[c, i, j] += 0.25 * values[c]
    return out


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _tissue(out, i, j):  # noqa: ANN001, ANN202
    """Path through something denser than lung."""
    return out[0, i, j] - out[1, i, j] - out[5, i, j] - out[6, i, j] - out[7, i, j] + out[9, i, j]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def aerated_at(points, sides, solids, blobs):  # noqa: ANN001, ANN201
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
