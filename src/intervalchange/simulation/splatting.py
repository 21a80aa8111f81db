"""Thin things by mass: bones as shells of quads, vessels and wires as chains of balls, spread over the film.

Every sample carries mass (attenuation times volume, cm²) and lands on the film with it, so that overlap, obliquity
and magnification come out right whatever the number of samples.
"""

import numpy as np

from intervalchange.simulation.camera import Camera
from intervalchange.simulation.compiled import Array, compiled

FilmView = tuple[Array, Array, float, float, float]
"""Turn (3, 3) and shift (3,) of the patient, z of source and detector, edge of the film in cm."""


def view_of(camera: Camera) -> FilmView:
    """The camera as plain values for compiled loops."""
    return (
        np.ascontiguousarray(camera.turn),
        np.ascontiguousarray(camera.shift),
        float(camera.source_z),
        float(camera.detector_z),
        float(camera.field),
    )


@compiled
def _spread(image: Array, px: float, py: float, mass: float) -> None:
    """Adds mass with a quadratic B-spline, so that evenly spaced samples leave no grain."""
    height, width = image.shape
    column = int(np.floor(px + 0.5))
    row = int(np.floor(py + 0.5))
    if column < 1 or row < 1 or column >= width - 1 or row >= height - 1:
        return
    fx = px - column
    fy = py - row
    wx0 = 0.5 * (0.5 - fx) ** 2
    wx1 = 0.75 - fx * fx
    wx2 = 0.5 * (0.5 + fx) ** 2
    # Unsigned, or numba would handle negative indices.
    left = np.uint64(column - 1)
    top = np.uint64(row - 1)
    for k in range(3):
        wy = 0.5 * (0.5 - fy) ** 2 if k == 0 else (0.75 - fy * fy if k == 1 else 0.5 * (0.5 + fy) ** 2)
        m = mass * wy
        line = top + np.uint64(k)
        image[line, left] += m * wx0
        image[line, left + np.uint64(1)] += m * wx1
        image[line, left + np.uint64(2)] += m * wx2


@compiled
def _ball(image: Array, px: float, py: float, radius: float, mass: float) -> None:
    """Adds a ball's shadow: a paraboloid of `radius` pixels."""
    if radius < 1.2:
        _spread(image, px, py, mass)
        return
    height, width = image.shape
    x0 = max(int(np.ceil(px - radius)), 0)
    x1 = min(int(np.floor(px + radius)), width - 1)
    y0 = max(int(np.ceil(py - radius)), 0)
    y1 = min(int(np.floor(py + radius)), height - 1)
    peak = 2.0 * mass / (np.pi * radius * radius)
    inverse = 1.0 / (radius * radius)
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            k = 1.0 - ((x - px) ** 2 + (y - py) ** 2) * inverse
            if k > 0:
                image[y, x] += peak * k


@compiled
def _distance(points: Array, i: int, j: int) -> float:
    """Between two rows of points (n, 3). No temporary arrays: there are tens of thousands of quads."""
    x = points[i, 0] - points[j, 0]
    y = points[i, 1] - points[j, 1]
    z = points[i, 2] - points[j, 2]
    distance: float = np.sqrt(x * x + y * y + z * z)
    return distance


@compiled
def splat_quads(image: Array, quads: Array, weights: Array, view: FilmView) -> None:
    """Shells: quads (n, 4, 3) in order round the edge, weights (n,) optical depth when crossed at right angles."""
    turn, shift, source_z, detector_z, field = view
    size = image.shape[0]
    distance = detector_z - source_z
    corners = np.empty((4, 3))
    base = np.empty(3)
    along = np.empty(3)
    for n in range(quads.shape[0]):
        if weights[n] == 0.0:
            continue
        for c in range(4):
            for i in range(3):
                corners[c, i] = (
                    turn[i, 0] * quads[n, c, 0] + turn[i, 1] * quads[n, c, 1] + turn[i, 2] * quads[n, c, 2] + shift[i]
                )
        scale = distance / (corners[0, 2] - source_z)
        pixel = field / size / scale
        u1 = _distance(corners, 1, 0)
        u2 = _distance(corners, 2, 3)
        v1 = _distance(corners, 3, 0)
        v2 = _distance(corners, 2, 1)
        nu = int(max(u1, u2) / (1.1 * pixel)) + 1
        nv = int(max(v1, v2) / (1.1 * pixel)) + 1
        for i in range(3):
            base[i] = corners[2, i] - corners[0, i]
            along[i] = corners[3, i] - corners[1, i]
        cx = base[1] * along[2] - base[2] * along[1]
        cy = base[2] * along[0] - base[0] * along[2]
        cz = base[0] * along[1] - base[1] * along[0]
        area = 0.5 * np.sqrt(cx * cx + cy * cy + cz * cz)
        mass = weights[n] * area / (nu * nv) / (pixel * pixel)
        for a in range(nu):
            s = (a + 0.5) / nu
            for i in range(3):
                base[i] = corners[0, i] + s * (corners[1, i] - corners[0, i])
                along[i] = corners[3, i] + s * (corners[2, i] - corners[3, i]) - base[i]
            for b in range(nv):
                t = (b + 0.5) / nv
                x = base[0] + t * along[0]
                y = base[1] + t * along[1]
                z = base[2] + t * along[2]
                m = distance / (z - source_z) / field
                _spread(image, (x * m + 0.5) * size - 0.5, (y * m + 0.5) * size - 0.5, mass)


@compiled
def splat_tubes(image: Array, tubes: Array, weights: Array, view: FilmView) -> None:
    """Round tubes (n, 8): x, y, z, radius of both ends; weights (n,) attenuation per cm. Negative weights dig."""
    turn, shift, source_z, detector_z, field = view
    size = image.shape[0]
    distance = detector_z - source_z
    ends = np.empty((2, 3))
    for n in range(tubes.shape[0]):
        if weights[n] == 0.0:
            continue
        for c in range(2):
            for i in range(3):
                ends[c, i] = (
                    turn[i, 0] * tubes[n, 4 * c]
                    + turn[i, 1] * tubes[n, 4 * c + 1]
                    + turn[i, 2] * tubes[n, 4 * c + 2]
                    + shift[i]
                )
        length = _distance(ends, 1, 0)
        scale = distance / (ends[0, 2] - source_z)
        pixel = field / size / scale
        thick = max(tubes[n, 3], tubes[n, 7])
        steps = int(np.ceil(length / max(0.9 * pixel, 0.35 * thick))) + 1
        for k in range(steps):
            t = (k + 0.5) / steps
            radius = tubes[n, 3] + t * (tubes[n, 7] - tubes[n, 3])
            x = ends[0, 0] + t * (ends[1, 0] - ends[0, 0])
            y = ends[0, 1] + t * (ends[1, 1] - ends[0, 1])
            z = ends[0, 2] + t * (ends[1, 2] - ends[0, 2])
            m = distance / (z - source_z)
            p = field / size / m
            mass = weights[n] * np.pi * radius * radius * length / steps / (p * p)
            px = (x * m / field + 0.5) * size - 0.5
            py = (y * m / field + 0.5) * size - 0.5
            _ball(image, px, py, np.sqrt((radius / p) ** 2 + 0.6), mass)


@compiled
def splat_balls(image: Array, balls: Array, weights: Array, view: FilmView) -> None:
    """Single balls (n, 4): x, y, z, radius; weights (n,) attenuation per cm."""
    turn, shift, source_z, detector_z, field = view
    size = image.shape[0]
    distance = detector_z - source_z
    for n in range(balls.shape[0]):
        x = turn[0, 0] * balls[n, 0] + turn[0, 1] * balls[n, 1] + turn[0, 2] * balls[n, 2] + shift[0]
        y = turn[1, 0] * balls[n, 0] + turn[1, 1] * balls[n, 1] + turn[1, 2] * balls[n, 2] + shift[1]
        z = turn[2, 0] * balls[n, 0] + turn[2, 1] * balls[n, 1] + turn[2, 2] * balls[n, 2] + shift[2]
        m = distance / (z - source_z)
        p = field / size / m
        radius = balls[n, 3]
        mass = weights[n] * 4.18879 * radius**3 / (p * p)
        px = (x * m / field + 0.5) * size - 0.5
        py = (y * m / field + 0.5) * size - 0.5
        _ball(image, px, py, np.sqrt((radius / p) ** 2 + 0.6), mass)


@compiled
def lay_tile(image: Array, tile: Array, tile_cm: float, depth: float, view: FilmView) -> None:
    """Adds a repeating tile (n, n) that lies in the patient at z = `depth`, as the camera sees it."""
    turn, shift, source_z, detector_z, field = view
    size = image.shape[0]
    cells = tile.shape[0]
    # Turns are small: the room's plane z = `depth` stands for the patient's, which makes the map affine.
    scale = (detector_z - source_z) / (depth - source_z)
    step = field / size / scale
    per_cm = cells / tile_cm
    xx = turn[0, 0] * step * per_cm
    yx = turn[0, 1] * step * per_cm
    for row in range(size):
        x = (0.5 - size / 2) * step - shift[0]
        y = (row + 0.5 - size / 2) * step - shift[1]
        fx = ((turn[0, 0] * x + turn[1, 0] * y + turn[2, 0] * depth) * per_cm) % cells
        fy = ((turn[0, 1] * x + turn[1, 1] * y + turn[2, 1] * depth) * per_cm) % cells
        for column in range(size):
            i = int(fy)
            j = int(fx)
            ty = fy - i
            tx = fx - j
            i2 = i + 1 if i + 1 < cells else 0
            j2 = j + 1 if j + 1 < cells else 0
            upper = (1 - tx) * tile[i, j] + tx * tile[i, j2]
            lower = (1 - tx) * tile[i2, j] + tx * tile[i2, j2]
            image[row, column] += (1 - ty) * upper + ty * lower
            fx += xx
            fy += yx
            if fx >= cells:
                fx -= cells
            if fy >= cells:
                fy -= cells
            elif fy < 0:
                fy += cells
                # Rounding may land on the edge itself.
                fy = min(fy, cells - 1e-6)


@compiled
def resample(image: Array, size: int) -> Array:
    """Square image (n, n) to (size, size) float32: Catmull-Rom when it grows, area mean when it shrinks."""
    n = image.shape[0]
    ratio = n / size
    support = ratio if ratio > 1.0 else 1.0
    taps = int(np.ceil(4 * support)) + 1
    weights = np.zeros((size, taps), np.float32)
    firsts = np.zeros(size, np.int64)
    for i in range(size):
        centre = (i + 0.5) * ratio - 0.5
        first = int(np.ceil(centre - 2 * support))
        firsts[i] = first
        total = 0.0
        for k in range(taps):
            d = abs(first + k - centre) / support
            w = 0.0
            if ratio > 1.0:
                w = max(min(0.5 * support + 0.5 - d * support, 1.0), 0.0)
            elif d < 1:
                w = 1.5 * d**3 - 2.5 * d**2 + 1
            elif d < 2:
                w = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
            weights[i, k] = w
            total += w
        weights[i] /= total
    # Twice down the columns, which compiles to vectors, with the image turned over in between.
    half = np.zeros((size, n), np.float32)
    _weigh(image, weights, firsts, half)
    out = np.zeros((size, size), np.float32)
    _weigh(half.T.copy(), weights, firsts, out)
    return out.T.copy()


@compiled
def _weigh(image: Array, weights: Array, firsts: Array, out: Array) -> None:
    """Rows of `out` (size, m) as weighted sums of rows of `image` (n, m): weights (size, taps) from row `firsts` on."""
    n = image.shape[0]
    for i in range(out.shape[0]):
        for k in range(weights.shape[1]):
            w = weights[i, k]
            if w != 0.0:
                source = image[min(max(firsts[i] + k, 0), n - 1)]
                for column in range(out.shape[1]):
                    out[i, column] += w * source[column]
