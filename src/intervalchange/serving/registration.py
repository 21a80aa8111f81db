"""Lays a prior film over a current one: turned, scaled and shifted, and only where that is certain to help.

A chest film has no landmark that every patient keeps, so the texture decides: ribs, clavicles, mediastinum, diaphragm.
Both films become local contrast (grey minus its surroundings, over its spread), which neither exposure nor a detector
changes. Angles and scales are tried on a grid, all shifts of each at once by masked correlation in the Fourier domain
(Padfield, IEEE TIP 2012, eq. 19); the best few are refined, and the best of them once more on finer texture. Two films
of a patient differ in distance and in the size of the plate, so that scale is part of it; nothing bends: breath and
posture stay as taken.

It is used where the two textures are clearly closer than as taken, and close enough for one patient
(`benchmarks/registration.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, optimize

from intervalchange.data.films import FilmSquare, Geometry, resize

SIDE = 128
"""Pixels at which it is refined."""
COARSE = 64
"""Pixels at which angles, scales and shifts are searched."""
SPREAD = 0.075
"""How far the spread reaches, the same way."""
BROAD, FINE = 0.05, 0.025
"""How far the surroundings reach (deviation, share of the side): ribs and outlines, which are found from afar; ribs and
vessels, by which the outcome is judged, since they are this patient's own."""
ANGLES = np.linspace(-12, 12, 7)
"""Degrees."""
SCALES = np.exp(np.linspace(-0.24, 0.24, 7))
MOST_TURNED, MOST_SCALED, MOST_SHIFTED = 16.0, 1.4, 0.4
"""Degrees, ratio, share of the side: what the search reaches."""
FINALISTS = 3
LEAST_OVERLAP = 0.5
"""Share of the smaller film that lies on the other."""
LEAST_SIMILARITY, LEAST_GAIN = 0.25, 0.02
"""Correlation of the registered pair, and how much above that of the films as taken."""


@dataclass(frozen=True)
class Similarity:
    """Turn, scale, shift: position in the current square = middle + scale x turn(position in the prior's - middle) +
    shift, all in shares of the side."""

    turned: float = 0.0
    """Degrees, clockwise on the screen."""
    scale: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    @property
    def matrix(self) -> np.ndarray:
        """(2, 3): prior (x, y, 1) -> current (x, y), in shares of the side."""
        angle = math.radians(self.turned)
        linear = self.scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        middle = np.full(2, 0.5)
        return np.column_stack([linear, middle - linear @ middle + (self.shift_x, self.shift_y)])

    @classmethod
    def of(cls, vector: np.ndarray) -> Similarity:
        """(4,): angle in radians, log scale, shifts -> that similarity."""
        return cls(math.degrees(vector[0]), math.exp(vector[1]), float(vector[2]), float(vector[3]))

    @property
    def vector(self) -> np.ndarray:
        """The inverse of `of`."""
        return np.array([math.radians(self.turned), math.log(self.scale), self.shift_x, self.shift_y])


@dataclass(frozen=True)
class Registration:
    """What was found for a pair of squares."""

    similarity: Similarity
    as_taken: float
    """Correlation of the local contrast, -1 to 1, of the films as they are."""
    registered: float
    """The same of the prior laid over the current film."""

    @property
    def helps(self) -> bool:
        """Whether the prior is better shown registered than as taken."""
        found = self.similarity
        small = (
            abs(found.turned) <= MOST_TURNED
            and abs(math.log(found.scale)) <= math.log(MOST_SCALED)
            and math.hypot(found.shift_x, found.shift_y) <= MOST_SHIFTED
        )
        return small and self.registered >= max(LEAST_SIMILARITY, self.as_taken + LEAST_GAIN)


@dataclass(frozen=True)
class _Texture:
    """Local contrast, and where the film is: (s, s) each."""

    contrast: np.ndarray
    mask: np.ndarray


def register(prior: FilmSquare, current: FilmSquare) -> Registration:
    """The similarity that lays one square over another, and how good it is. Deterministic; about a CPU second."""
    coarse, broad, fine = (
        (_texture(prior, side, reach), _texture(current, side, reach))
        for side, reach in ((COARSE, BROAD), (SIDE, BROAD), (SIDE, FINE))
    )
    begun = [_refined(*broad, start, evaluations=40) for start in _grid(*coarse)]
    best = _refined(*broad, max(begun, key=lambda each: _correlation(*broad, each)), evaluations=80)
    found = _refined(*fine, best, evaluations=80, step=0.005)
    return Registration(found, _correlation(*fine, Similarity()), _correlation(*fine, found))


def film_matrix(found: Similarity, prior: Geometry, current: Geometry, side: int) -> np.ndarray:
    """(2, 3): pixels of the prior film as it was sent -> pixels of the current one. side: of the squares, in pixels."""
    shares = _whole(found.matrix)
    matrix: np.ndarray = _inverse(_shares_of(current, side)) @ shares @ _shares_of(prior, side)
    return matrix[:2]


def _shares_of(geometry: Geometry, side: int) -> np.ndarray:
    """(3, 3): film pixels -> shares of the side of its square."""
    scale = geometry.scale / side
    return np.array(
        [[scale, 0, geometry.offset_x / side], [0, scale, geometry.offset_y / side], [0, 0, 1]], dtype=float
    )


def _whole(matrix: np.ndarray) -> np.ndarray:
    return np.vstack([matrix, [0.0, 0.0, 1.0]])


def _inverse(matrix: np.ndarray) -> np.ndarray:
    inverse: np.ndarray = np.linalg.inv(matrix)
    return inverse


# --- what is compared ----------------------------------------------------------------------------------------------


def _texture(film: FilmSquare, side: int, reach: float) -> _Texture:
    pixels = resize(film.pixels[None], side)[0] if len(film.pixels) >= side else _enlarged(film.pixels, side)
    inside = _inside(film, side)
    blur = side * reach
    weight = ndimage.gaussian_filter(inside, blur) + 1e-6
    around = ndimage.gaussian_filter(pixels * inside, blur) / weight
    high = (ndimage.gaussian_filter(pixels, side * 0.004) - around) * inside
    wide = side * SPREAD
    spread = np.sqrt(ndimage.gaussian_filter(high**2, wide) / (ndimage.gaussian_filter(inside, wide) + 1e-6))
    contrast = np.clip(high / (spread + 0.01), -3, 3)
    return _Texture((contrast * inside).astype(np.float32), inside)


def _enlarged(pixels: np.ndarray, side: int) -> np.ndarray:
    larger: np.ndarray = ndimage.zoom(pixels.astype(np.float32) / 255, side / len(pixels), order=1)
    return larger


def _inside(film: FilmSquare, side: int) -> np.ndarray:
    """(side, side) float: 1 on the film without its outermost part, where markers and collimators are."""
    size, geometry = len(film.pixels), film.geometry
    edge = 0.04 * size
    along = (np.arange(side) + 0.5) * size / side
    rows = np.abs(along - size / 2) < geometry.height * geometry.scale / 2 - edge
    columns = np.abs(along - size / 2) < geometry.width * geometry.scale / 2 - edge
    inside: np.ndarray = (rows[:, None] & columns[None]).astype(np.float32)
    return inside


# --- the search ----------------------------------------------------------------------------------------------------


def _grid(prior: _Texture, current: _Texture) -> list[Similarity]:
    """The best shift of each angle and scale; of all these, the best few."""
    target = _Spectra.of(current.contrast, current.mask)
    scored = []
    for angle in ANGLES:
        for scale in SCALES:
            moved = _moved(prior, Similarity(float(angle), float(scale)))
            score, shift_x, shift_y = target.best_shift(moved)
            scored.append((score, Similarity(float(angle), float(scale), shift_x, shift_y)))
    scored.sort(key=lambda pair: -pair[0])
    return [found for _, found in scored[:FINALISTS]]


@dataclass(frozen=True)
class _Spectra:
    """A texture in the Fourier domain, padded to twice its side."""

    contrast: np.ndarray
    square: np.ndarray
    mask: np.ndarray

    @classmethod
    def of(cls, contrast: np.ndarray, mask: np.ndarray) -> _Spectra:
        shape = (2 * contrast.shape[0], 2 * contrast.shape[1])
        return cls(*(fft.rfft2(each, shape) for each in (contrast * mask, contrast**2 * mask, mask)))

    def best_shift(self, moved: _Texture) -> tuple[float, float, float]:
        """The highest masked correlation over all shifts of `moved`, and that shift, in shares of the side."""
        other = _Spectra.of(moved.contrast, moved.mask)
        side = len(moved.mask)

        def over(first: np.ndarray, second: np.ndarray) -> np.ndarray:
            result: np.ndarray = fft.irfft2(first * second.conj(), (2 * side, 2 * side))
            return result

        count = np.maximum(over(self.mask, other.mask), 1e-3)
        means = over(self.contrast, other.mask), over(self.mask, other.contrast)
        product = over(self.contrast, other.contrast) - means[0] * means[1] / count
        energies = (
            over(self.square, other.mask) - means[0] ** 2 / count,
            over(self.mask, other.square) - means[1] ** 2 / count,
        )
        score = product / np.sqrt(np.maximum(energies[0] * energies[1], 1e-6))
        steps = fft.fftfreq(2 * side, 1 / (2 * side)) / side
        near = np.hypot(steps[:, None], steps[None]) <= MOST_SHIFTED
        enough = count >= LEAST_OVERLAP * min(self.mask[0, 0].real, other.mask[0, 0].real)
        score = np.where(near & enough, score, -1)
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        return float(score[row, column]), float(steps[column]), float(steps[row])


def _refined(prior: _Texture, current: _Texture, start: Similarity, evaluations: int, step: float = 0.02) -> Similarity:
    """Of the highest correlation nearby. step: radians, log scale and twice the share of the side to begin with."""
    steps = step * np.array([1, 1, 0.5, 0.5])
    simplex = start.vector + np.vstack([np.zeros(4), np.diag(steps)])
    result = optimize.minimize(
        lambda vector: -_correlation(prior, current, Similarity.of(vector)),
        start.vector,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "xatol": 2e-4, "fatol": 1e-4, "maxfev": evaluations},
    )
    return Similarity.of(result.x)


def _correlation(prior: _Texture, current: _Texture, found: Similarity) -> float:
    """Of both textures where both films are; -1 where they hardly overlap."""
    moved = _moved(prior, found)
    weight = moved.mask * current.mask
    total = weight.sum()
    if total < LEAST_OVERLAP * min(prior.mask.sum(), current.mask.sum()):
        return -1.0
    first = moved.contrast - (moved.contrast * weight).sum() / total
    second = current.contrast - (current.contrast * weight).sum() / total
    energy = (first**2 * weight).sum() * (second**2 * weight).sum()
    return float((first * second * weight).sum() / math.sqrt(energy)) if energy > 0 else -1.0


def _moved(texture: _Texture, found: Similarity) -> _Texture:
    """The texture as it lies over the current square."""
    side = len(texture.mask)
    back = _inverse(_whole(found.matrix))[:2]
    # Middles of pixels are at (index + .5) / side; rows are y.
    linear = back[::-1, 1::-1]
    offset = back[::-1, 2] * side + linear @ np.full(2, 0.5) - 0.5
    contrast, mask = (
        ndimage.affine_transform(each, linear, offset, order=1) for each in (texture.contrast, texture.mask)
    )
    return _Texture(contrast, mask)
