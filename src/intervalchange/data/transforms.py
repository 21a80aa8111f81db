"""Augmentation of a pair: shared where the two films must agree, apart where two exposures differ.

Both films turn, grow and shift together, then each a little by itself (no patient is positioned the same way twice);
window, gamma, shading, blur, noise and collimation are random for each film. No left-right flip: sides carry meaning.
All randomness comes from the generator that `PairDataset` makes from (seed, epoch, case_id).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Affine:
    """out = centre + scale * rotation @ (in - centre) + shift, in pixels of a square of side 1 (multiply by w)."""

    degrees: float = 0.0
    scale: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    def and_then(self, other: Affine) -> Affine:
        """Both motions, angles and shifts added, scales multiplied."""
        shift = (self.shift_x + other.shift_x, self.shift_y + other.shift_y)
        return Affine(self.degrees + other.degrees, self.scale * other.scale, *shift)

    def matrix(self) -> np.ndarray:
        """(2, 3): out = matrix @ (x, y, 1) in units of the side."""
        angle = math.radians(self.degrees)
        c, s = self.scale * math.cos(angle), self.scale * math.sin(angle)
        dx = 0.5 - 0.5 * c + 0.5 * s + self.shift_x
        dy = 0.5 - 0.5 * s - 0.5 * c + self.shift_y
        return np.array([[c, -s, dx], [s, c, dy]])

    def warp(self, film: np.ndarray) -> np.ndarray:
        """(s, s) float32 -> (s, s) float32, bilinear, 0 outside."""
        side = film.shape[0]
        (a, b, c), (d, e, f) = _inverse(self.matrix())
        # Pillow takes output to input and samples at pixel centres itself.
        how = Image.Transform.AFFINE, (a, b, c * side, d, e, f * side), Image.Resampling.BILINEAR
        moved: np.ndarray = np.asarray(Image.fromarray(film).transform((side, side), *how))
        return moved

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """(r, 4) x1, y1, x2, y2 in units of the side -> the upright boxes around the moved ones, clipped to [0, 1]."""
        (a, b, c), (d, e, f) = self.matrix()
        x, y = boxes[:, [0, 2, 0, 2]], boxes[:, [1, 1, 3, 3]]
        xs, ys = a * x + b * y + c, d * x + e * y + f
        moved: np.ndarray = np.clip(np.stack([xs.min(1), ys.min(1), xs.max(1), ys.max(1)], axis=1), 0, 1)
        return moved


def _inverse(matrix: np.ndarray) -> np.ndarray:
    turn = np.linalg.inv(matrix[:, :2])
    return np.concatenate([turn, -turn @ matrix[:, 2:]], axis=1)


@dataclass(frozen=True)
class Augment:
    """How strongly films are varied in training. All ranges are symmetric unless said otherwise."""

    degrees: float = 6.0
    """Shared rotation."""
    scale: float = 0.12
    """Shared change of size, as a fraction."""
    shift: float = 0.05
    """Shared shift, as a fraction of the side."""
    jitter: float = 0.35
    """Independent geometry of each film, as a fraction of the three shared ranges."""
    window: float = 0.06
    """Each end of the grey range is cut by up to this much (never widened): saturation."""
    gamma: float = 0.3
    """Log of the gamma."""
    shading: float = 0.15
    """Smooth change of grey over the film: grid cut-off, heel effect, a bedside film not held square."""
    blur: float = 0.6
    """Up to this weight of a 3 x 3 binomial blur; half of the films."""
    noise: float = 0.02
    """Standard deviation of the noise, up to; half of the films."""
    collimation: float = 0.06
    """Depth of a black border on one side, up to; a quarter of the films."""
    frame: float = 0.1
    """Black bands on two opposite sides, up to this share of the side each, as an oblong film has in its square; half
    of the films."""

    equalise: float = 0.0
    """Up to this weight of the film with its histogram made flat; a third of the films."""

    @classmethod
    def of_strength(cls, strength: float, equalise: float = 0.0) -> Augment | None:
        """All ranges times `strength`, but for `jitter` and `equalise`; None where nothing is left."""
        apart = ("jitter", "equalise")
        scaled = {entry.name: getattr(cls, entry.name) * strength for entry in fields(cls) if entry.name not in apart}
        return cls(**scaled, equalise=equalise) if strength > 0 or equalise > 0 else None

    def geometry(self, rng: np.random.Generator, films: int) -> list[Affine]:
        """One motion for each film: the shared one, then its own."""
        shared = self._draw(rng, 1.0)
        return [shared.and_then(self._draw(rng, self.jitter)) for _ in range(films)]

    def _draw(self, rng: np.random.Generator, share: float) -> Affine:
        turn, size, right, down = (float(value) for value in rng.uniform(-share, share, 4))
        return Affine(turn * self.degrees, math.exp(size * self.scale), right * self.shift, down * self.shift)

    def exposure(self, film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(h, w) float32 in [0, 1] -> another exposure of the same film, same shape and range. Black stays black."""
        if self.equalise and rng.random() < 1 / 3:
            film = film + np.float32(rng.uniform(0, self.equalise)) * (_equalised(film) - film)
        low, high, gamma = rng.uniform((0, 1 - self.window, -self.gamma), (self.window, 1, self.gamma))
        out: np.ndarray = np.clip((film - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
        out = np.power(out, np.float32(math.exp(gamma)))
        if self.shading:
            out *= self._shade(film.shape, rng)
        weight, noise, border = (float(value) for value in rng.uniform((-1, -1, 0), 1))
        if weight > 0:
            out += np.float32(weight * min(self.blur, 1.0)) * (_blurred(out) - out)
        if noise > 0:
            out += rng.standard_normal(film.shape, np.float32) * np.float32(noise * self.noise) * (film > 0)
        if border < 0.25:
            _collimate(out, round(border * 4 * self.collimation * film.shape[0]), int(rng.integers(4)))
        band, upright = float(rng.uniform(-1, 1)), int(rng.integers(2))
        if band > 0:
            for side in (2 * upright, 2 * upright + 1):
                _collimate(out, round(band * self.frame * film.shape[0]), side)
        np.clip(out, 0, 1, out=out)
        return out

    def _shade(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """(h, w) float32 around 1: a plane and a saddle."""
        along, across, twist = rng.uniform(-self.shading, self.shading, 3).astype(np.float32)
        y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
        shade: np.ndarray = 1 + along * y + across * x + twist * (y * x)
        return shade


def _equalised(film: np.ndarray) -> np.ndarray:
    """(h, w) in [0, 1] -> the same with a flat histogram of what is not black."""
    levels = np.round(film * 255).astype(np.uint8)
    counts = np.bincount(levels.ravel(), minlength=256)
    counts[0] = 0
    flat: np.ndarray = (np.cumsum(counts) / max(int(counts.sum()), 1)).astype(np.float32)[levels]
    return flat


def _blurred(film: np.ndarray) -> np.ndarray:
    """3 x 3 binomial blur, edges repeated."""
    wide = np.pad(film, 1, mode="edge")
    rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    blurred: np.ndarray = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) * np.float32(1 / 16)
    return blurred


def _collimate(film: np.ndarray, depth: int, side: int) -> None:
    """Blacken `depth` rows or columns of one side, in place."""
    if depth:
        edge = (np.s_[:depth], np.s_[-depth:], np.s_[:, :depth], np.s_[:, -depth:])[side]
        film[edge] = 0
