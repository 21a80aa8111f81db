"""A decoded film -> the padded square that is stored -> the standardised input of every model.

fit              the whole film in a square, aspect kept, with the geometry to go back
film_from_file   the 8-bit square of a file, as `prepare` stores it and `answer` reads it
standardise      the one normaliser, in training and in answering
normalised       it, or the published scaling of grey levels, for encoders that were trained elsewhere with that
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from intervalchange.data.decoded_film import DecodedFilm, has_shape, middle
from intervalchange.data.dicom_selection import NOTHING_MORE, Admitted
from intervalchange.data.film_files import read_film
from intervalchange.records import Box


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a film lies in its square: stored = original * scale + offset, in pixels."""

    height: int
    width: int
    scale: float
    offset_x: int
    offset_y: int

    def to_square(self, box: Box) -> Box:
        """Original pixels -> pixels of the square."""
        x1, y1, x2, y2 = box
        s, dx, dy = self.scale, self.offset_x, self.offset_y
        return x1 * s + dx, y1 * s + dy, x2 * s + dx, y2 * s + dy

    def to_film(self, box: Box) -> Box:
        """Pixels of the square -> original pixels, clipped to the film."""
        x1, x2 = (min(max((x - self.offset_x) / self.scale, 0.0), float(self.width)) for x in box[::2])
        y1, y2 = (min(max((y - self.offset_y) / self.scale, 0.0), float(self.height)) for y in box[1::2])
        return x1, y1, x2, y2


def fit(pixels: np.ndarray, size: int) -> tuple[np.ndarray, Geometry]:
    """(h, w) float32 -> (size, size) float32 and its Geometry.

    The long side becomes `size`, the short side is centred and padded with 0, so that no part of the film is lost.
    Area averaging on the way down, bilinear on the way up.
    """
    from PIL import Image

    height, width = pixels.shape
    scale = size / max(height, width)
    rows, columns = _scaled_sides(height, width, size)
    if (rows, columns) != (height, width):
        resampling = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
        film = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
        pixels = np.asarray(film.resize((columns, rows), resampling))
    top, left = (size - rows) // 2, (size - columns) // 2
    square = np.zeros((size, size), np.float32)
    square[top : top + rows, left : left + columns] = pixels
    return square, Geometry(height, width, scale, left, top)


def _scaled_sides(height: int, width: int, size: int) -> tuple[int, int]:
    """Rows and columns of a film whose long side is scaled to `size`."""
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


@dataclass(frozen=True)
class FilmSquare:
    """A film as `prepare` stores it and `answer` reads it."""

    pixels: np.ndarray
    """(size, size) uint8."""
    geometry: Geometry
    warnings: tuple[str, ...] = ()
    header: Mapping[str, str] = field(default_factory=dict)


def film_square(film: DecodedFilm, size: int) -> FilmSquare:
    """`fit`, then the range of the film's grey levels (0.1 to 99.9 %) to 0..255, whole numbers.

    The stretch comes before rounding to 8 bits, so that a 16-bit film of little contrast loses no grey levels.
    """
    square, geometry = fit(film.pixels, size)
    rows, columns = _scaled_sides(geometry.height, geometry.width, size)
    top, left = geometry.offset_y, geometry.offset_x
    low, high = _shown_range(square[top : top + rows, left : left + columns])
    stretched = (square - low) * (255 / (high - low)) if high > low else square * 255
    return FilmSquare(np.clip(np.rint(stretched), 0, 255).astype(np.uint8), geometry, film.warnings, film.header)


def film_from_file(
    path: str | Path,
    stored_pixels: int,
    force: bool = False,
    admitted: Admitted = NOTHING_MORE,
    as_stored: bool = False,
) -> FilmSquare:
    """File -> square film of this side. The one path for `prepare` and for inference, bit for bit."""
    return film_square(read_film(path, force, admitted, as_stored), stored_pixels)


def resize(squares: np.ndarray, size: int) -> np.ndarray:
    """(n, s, s) uint8 -> (n, size, size) float32 in [0, 1] by area averaging; s >= size."""
    from PIL import Image

    stored = squares.shape[-1]
    if stored == size:
        return squares.astype(np.float32) / 255
    if stored % size == 0:
        # Whole numbers, summed over strided views of all films at once; Pillow takes one film at a time.
        step = stored // size
        rows: np.ndarray = squares[:, ::step].astype(np.uint16 if step <= 16 else np.uint32)
        for shift in range(1, step):
            rows += squares[:, shift::step]
        total: np.ndarray = rows[:, :, ::step].copy()
        for shift in range(1, step):
            total += rows[:, :, shift::step]
        return total.astype(np.float32) * np.float32(1 / (255 * step * step))
    out = np.empty((len(squares), size, size), np.float32)
    for index, square in enumerate(squares):
        film = Image.fromarray(square.astype(np.float32))
        out[index] = np.asarray(film.resize((size, size), Image.Resampling.BOX))
    return out / np.float32(255)


Greys = Literal["ranks", "half", "imagenet", "clip"]
"""How a film is scaled for an encoder: see `normalised`."""


def normalised(pixels: np.ndarray, greys: Greys = "ranks") -> np.ndarray:
    """(h, w) float32 in [0, 1] -> (h, w) float32 as an encoder is shown it.

    `ranks`: `standardise`, for every encoder that was trained here. All others keep the grey levels of the film, which
    are not equalised, and scale them to [-1, 1]: mean and deviation .5, as the MGCA family has it (`half`). For weights
    from elsewhere that were trained on the mean and deviation of each colour (`imagenet`, `clip`) the encoder goes on
    from there (`blocks.encoders.in_colours`).
    """
    return standardise(pixels) if greys == "ranks" else pixels * np.float32(2) - np.float32(1)


FEWEST = 16
"""Grey levels of 256 that the middle of a film has at least, unless it has no more."""
GREY_LEVELS = 1024
"""Bins of the histogram of `standardise`."""


def standardise(pixels: np.ndarray) -> np.ndarray:
    """(h, w) float32 in [0, 1] -> (h, w) float32, about mean 0 and deviation 1, in [-1.74, 1.74].

    Each grey level is replaced by its rank in the film's own histogram, then scaled like a uniform variable. Window,
    gamma, detector response and histogram equalisation are monotone curves, which leave ranks unchanged: the same
    film comes out the same as 8-bit PNG, as the equalised JPEG of MIMIC-CXR-JPG, or as 16-bit DICOM (a linear
    z-norm cannot, and what equalisation threw away cannot be had back, so the equalised form is the common one).
    The histogram is taken in the middle 70 % a side of what lies inside a black border, so that collimation, padding
    and background beside the patient do not move the grey of the lung.

    Measured on 90 films of the open longitudinal set, file to 512 to 256 px, mean (worst) correlation with the plain
    8-bit PNG: equalised JPEG at quality 95 0.9988 (0.9949), noisy 15-bit MONOCHROME1 DICOM with a window 1.0000
    (0.9999). Percentiles with a linear z-norm reached 0.956 (0.856) for the equalised JPEG. A blank film becomes zeros.
    """
    inner = middle(pixels)
    if inner is None:
        return np.zeros(pixels.shape, np.float32)
    grey = (pixels * np.float32(GREY_LEVELS - 1) + np.float32(0.5)).astype(np.int32)
    counts = np.bincount(grey[inner].ravel(), minlength=GREY_LEVELS)[:GREY_LEVELS].astype(np.float64)
    counts[:3] = 0
    total = counts.sum()
    if np.count_nonzero(counts) < 2:
        return np.zeros(pixels.shape, np.float32)
    rank = (np.cumsum(counts) - counts / 2) / total
    standardised: np.ndarray = ((rank - 0.5) * math.sqrt(12)).astype(np.float32)[grey]
    return standardised


def _shown_range(pixels: np.ndarray) -> tuple[float, float]:
    """The range of a film; of its middle where that has less than a sixteenth of it.

    Then a border far outside the grey levels of the film, which no header calls padding, would leave it hardly any.
    """
    low, high = _grey_range(pixels)
    coarse = pixels[::4, ::4]
    inner = middle(coarse)
    if inner is None or high <= low:
        return low, high
    darkest, brightest = _grey_range(coarse[inner])
    if FEWEST * (brightest - darkest) < high - low and brightest > darkest and has_shape(coarse[inner]):
        return darkest, brightest
    return low, high


def _grey_range(pixels: np.ndarray) -> tuple[float, float]:
    """The 0.1 and the 99.9 percentile."""
    last = pixels.size - 1
    low, high = int(last * 0.001), math.ceil(last * 0.999)
    flat = np.partition(pixels, (low, high), axis=None)
    return float(flat[low]), float(flat[high])
