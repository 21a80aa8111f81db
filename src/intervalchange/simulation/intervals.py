"""Where a ray enters and leaves one solid, and what unions and differences of such intervals leave; compiled."""

import numpy as np

from intervalchange.simulation.compiled import Array, compiled


@compiled
def stack_intervals(
    table: Array, y0: float, y1: float, o: Array, d: Array, low: int, high: int, near: Array, far: Array, scratch: Array
) -> None:
    """Entries and exits of the rays `low` to `high` with directions d (3, n), into near and far (n,).

    Entry > exit when a ray misses. The ellipse is taken at the height of each root: first at the height where the ray
    crosses the middle row, then once more at either end. `scratch` (6, n) is overwritten. Loops without branches, one
    after the other, compile to vectors.
    """
    step = 1.0 / (y1 - y0)
    reach = table[table.shape[0] // 2, 1] - o[2]
    dx, dy, dz = d
    share, rest = scratch[4], scratch[5]
    for j in range(low, high):
        share[j] = (o[1] + reach / dz[j] * dy[j] - y0) * step
    _ellipses(table, share, low, high, scratch)
    for j in range(low, high):
        half, wide, square, rest[j] = _quadratic(scratch, j, o, dx[j], dz[j])
        root = wide * np.sqrt(max(rest[j], 0.0))
        near[j] = (-half - root) / square
        far[j] = (-half + root) / square
        share[j] = (o[1] + near[j] * dy[j] - y0) * step
    _ellipses(table, share, low, high, scratch)
    for j in range(low, high):
        half, wide, square, left = _quadratic(scratch, j, o, dx[j], dz[j])
        near[j] = (-half - wide * np.sqrt(max(left, 0.0))) / square
        share[j] = (o[1] + far[j] * dy[j] - y0) * step
    _ellipses(table, share, low, high, scratch)
    for j in range(low, high):
        half, wide, square, left = _quadratic(scratch, j, o, dx[j], dz[j])
        exit = (-half + wide * np.sqrt(max(left, 0.0))) / square
        # A level ray is cut by neither end, or lies outside both.
        fall = dy[j] if abs(dy[j]) > 1e-9 else 1e-9
        ta = (y0 - o[1]) / fall
        tb = (y1 - o[1]) / fall
        near[j] = max(near[j], min(ta, tb))
        # A ray that misses at the middle height misses altogether, but for slivers at a tapered end.
        far[j] = min(exit, max(ta, tb)) if rest[j] > 0.0 else near[j] - 1.0


@compiled
def _ellipses(table: Array, share: Array, low: int, high: int, scratch: Array) -> None:
    """Centres and half-axes of a stack at shares (n,) of its height, into the first four rows of `scratch`."""
    top = table.shape[0] - 1.0
    for j in range(low, high):
        share[j] = min(np.sqrt(max(share[j], 0.0)) * top, top - 1e-3)
    for j in range(low, high):
        # Unsigned, or numba would handle negative indices.
        row = np.uint32(share[j])
        part = share[j] - row
        for c in range(4):
            value = table[row, c]
            scratch[c, j] = value + part * (table[row + np.uint32(1), c] - value)


@compiled
def _quadratic(scratch: Array, j: int, o: Array, dx: float, dz: float) -> tuple[float, float, float, float]:
    """An ellipse met by a ray: half and square of the quadratic, product of the half-axes, and what its root is of."""
    px = o[0] - scratch[0, j]
    pz = o[2] - scratch[1, j]
    a = max(scratch[2, j], 1e-6)
    b = max(scratch[3, j], 1e-6)
    square = dx * dx * b * b + dz * dz * a * a
    cross = px * dz - pz * dx
    return px * dx * b * b + pz * dz * a * a, a * b, square, square - cross * cross


@compiled
def cut(near: float, far: float, slope: float, gap: float) -> tuple[float, float]:
    """The part of an interval on the inner side of a plane that a ray nears by `slope`, with `gap` to go at 0."""
    if abs(slope) < 1e-12:
        return (near, far) if gap > 0 else (1.0, 0.0)
    t = gap / slope
    if slope > 0:
        return near, min(far, t)
    return max(near, t), far


@compiled
def ball_form(centre: Array, unit: Array, o: Array, form: Array) -> None:
    """What an ellipsoid is to every ray from o: its quadratic form (6), slope (3) and constant, into `form` (10,)."""
    form[:] = 0.0
    form[9] = -1.0
    for i in range(3):
        q = unit[i, 0] * (o[0] - centre[0]) + unit[i, 1] * (o[1] - centre[1]) + unit[i, 2] * (o[2] - centre[2])
        for j in range(3):
            form[j] += unit[i, j] * unit[i, j]
            form[3 + j] += 2.0 * unit[i, j] * unit[i, (j + 1) % 3]
            form[6 + j] += q * unit[i, j]
        form[9] += q * q


@compiled
def ball_intervals(form: Array, plane: Array, o: Array, d: Array, low: int, high: int, near: Array, far: Array) -> None:
    """Entries and exits of the rays `low` to `high` with directions d (3, n) through an ellipsoid and its plane."""
    for j in range(low, high):
        dx = d[0, j]
        dy = d[1, j]
        dz = d[2, j]
        square = form[0] * dx * dx + form[1] * dy * dy + form[2] * dz * dz
        square += form[3] * dx * dy + form[4] * dy * dz + form[5] * dz * dx
        half = form[6] * dx + form[7] * dy + form[8] * dz
        inside = half * half - square * form[9]
        root = np.sqrt(max(inside, 0.0))
        near[j] = (-half - root) / square
        far[j] = (-half + root) / square
    if plane[0] != 0.0 or plane[1] != 0.0 or plane[2] != 0.0:
        gap = plane[3] - (plane[0] * o[0] + plane[1] * o[1] + plane[2] * o[2])
        for j in range(low, high):
            slope = plane[0] * d[0, j] + plane[1] * d[1, j] + plane[2] * d[2, j]
            near[j], far[j] = cut(near[j], far[j], slope, gap)


@compiled
def sort_by_start(starts: Array, ends: Array, count: int) -> None:
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


@compiled
def union_length(starts: Array, ends: Array, count: int) -> float:
    sort_by_start(starts, ends, count)
    total = 0.0
    reached = -1e30
    for i in range(count):
        low = max(starts[i], reached)
        if ends[i] > low:
            total += ends[i] - low
            reached = ends[i]
    return total


@compiled
def free_parts(near: float, far: float, starts: Array, ends: Array, count: int, parts: Array) -> int:
    """What sorted displacers leave of [near, far]: rows of `parts`; returns how many."""
    pieces = 0
    reached = near
    for i in range(count):
        if starts[i] >= far:
            break
        if starts[i] > reached and pieces < parts.shape[0]:
            parts[pieces, 0] = reached
            parts[pieces, 1] = starts[i]
            pieces += 1
        reached = max(reached, ends[i])
        if reached >= far:
            return pieces
    if far > reached and pieces < parts.shape[0]:
        parts[pieces, 0] = reached
        parts[pieces, 1] = far
        pieces += 1
    return pieces


@compiled
def clip_parts(parts: Array, count: int, near: float, far: float) -> tuple[int, float, float]:
    """Keeps of `parts` only what lies in [near, far]; returns count and total length before and after."""
    before = 0.0
    after = 0.0
    pieces = 0
    for i in range(count):
        before += parts[i, 1] - parts[i, 0]
        low = max(parts[i, 0], near)
        high = min(parts[i, 1], far)
        if high > low:
            parts[pieces, 0] = low
            parts[pieces, 1] = high
            pieces += 1
            after += high - low
    return pieces, before, after


@compiled
def erf(x: float) -> float:
    """Abramowitz and Stegun 7.1.26, error below 2e-7."""
    s = 1.0 if x >= 0 else -1.0
    x = abs(x)
    t = 1.0 / (1.0 + 0.3275911 * x)
    poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    value: float = s * (1.0 - poly * np.exp(-x * x))
    return value
