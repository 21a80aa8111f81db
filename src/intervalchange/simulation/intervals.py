"""Where a ray enters and leaves one solid, and what unions and differences of such intervals leave; compiled."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def stack_interval(table, y0, y1, o, d):
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
def cut(near, far, plane, o, d):
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
def ellipsoid_interval(centre, unit, plane, o, d):
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
    return cut((-half - root) / square, (-half + root) / square, plane, o, d)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def sort_by_start(starts, ends, count):
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
def union_length(starts, ends, count):
    sort_by_start(starts, ends, count)
    total = 0.0
    reached = -1e30
    for i in range(count):
        low = max(starts[i], reached)
        if ends[i] > low:
            total += ends[i] - low
            reached = ends[i]
    return total


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def free_parts(near, far, starts, ends, count, parts):
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
def clip_parts(parts, count, near, far):
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
def erf(x):
    """Abramowitz and Stegun 7.1.26, error below 2e-7."""
    s = 1.0 if x >= 0 else -1.0
    x = abs(x)
    t = 1.0 / (1.0 + 0.3275911 * x)
    poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    return s * (1.0 - poly * np.exp(-x * x))
