"""A film as any format is decoded to, and what all formats refuse: absurd sizes, colour, other views.

What a file claims about its size is checked against `MAX_FILE_BYTES` and `MAX_PIXELS` before anything is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from intervalchange.errors import ImageError

MAX_FILE_BYTES = 512 * 2**20
MAX_PIXELS = 80_000_000
"""Largest detectors are about 20 million pixels; Pillow itself complains from 89 million on."""
MIN_SIDE = 32


@dataclass(frozen=True)
class DecodedFilm:
    """A film in its own size."""

    pixels: np.ndarray
    """(h, w) float32 in [0, 1], white = dense."""
    warnings: tuple[str, ...] = ()
    """What a reader of the answer should know, in plain words."""
    header: Mapping[str, str] = field(default_factory=dict)
    """`view`, `date`, `photometric`, `modality`, `bits`: nothing that names a person leaves the reader."""


MARGIN = 0.15
"""Share of each side that is not the middle of a film."""
BORDER = np.float32(4 / 255)
"""Darker rows and columns are a black border."""


def middle(pixels: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns of the middle 70 % a side of what lies inside a black border; None for a black film.

    pixels: (h, w) in [0, 1], white = dense. Where grey levels are judged: collimation, padding and the background
    beside the patient are not in it.
    """
    rows = np.flatnonzero(pixels.max(axis=1) > BORDER)
    columns = np.flatnonzero(pixels.max(axis=0) > BORDER)
    if not len(rows) or not len(columns):
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    dy, dx = int((bottom - top) * MARGIN), int((right - left) * MARGIN)
    return slice(top + dy, bottom - dy), slice(left + dx, right - dx)


COARSE, SHAPE = 8, 0.2
"""Blocks a side whose means tell a film from noise, and the share of its range that they span at least."""


def has_shape(pixels: np.ndarray) -> bool:
    """Whether there is more than noise in a film (h, w) or a part of it."""
    from PIL import Image

    film = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    means = np.asarray(film.resize((COARSE, COARSE), Image.Resampling.BOX))
    low, high = np.percentile(pixels, (0.1, 99.9))
    return bool(np.ptp(means) > SHAPE * (high - low))


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse what no detector makes, before it is decoded."""
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"the header claims {width} x {height} pixels, more than {MAX_PIXELS:,}.",
            where=path,
            remedy="Check the file, or scale the film down first.",
        )
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"{width} x {height} pixels are too few for a radiograph.",
            where=path,
            remedy=f"Give a film of at least {MIN_SIDE} pixels a side.",
        )


FORCE = "Give a frontal chest radiograph, or pass --force."


def refuse_unless(force: bool, path: Path, what: str, remedy: str = FORCE) -> str:
    """Raise ImageError; when forced, return the warning that replaces it."""
    if not force:
        raise ImageError(f"{what}.", where=path, remedy=remedy)
    return f"{what}; read all the same because of --force"


def to_grey(colours: np.ndarray, path: Path, force: bool) -> tuple[np.ndarray, list[str]]:
    """(h, w, 3) uint8 -> (h, w) float32 in [0, 1]; saturated colour is refused, a few coloured marks are not."""
    spread = colours.max(axis=2).astype(np.int16) - colours.min(axis=2)
    warnings = []
    if np.mean(spread > 48) > 0.02:
        warnings.append(refuse_unless(force, path, "this is a colour picture, not a radiograph"))
    weights = np.array([0.299, 0.587, 0.114], np.float32) / 255
    return colours.astype(np.float32) @ weights, warnings
