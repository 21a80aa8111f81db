"""From optical depth to a finished film: scatter, quantum noise, the vendor's curve, collimation and marker."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from intervalchange.simulation.camera import Camera
from intervalchange.simulation.scene import Acquisition
from intervalchange.simulation.splatting import lay_tile, resample, view_of

TILE_CM = 32.0
"""Edge of a repeating tile of texture."""


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Square image (n, n) to (size, size) float32."""
    return image if len(image) == size else resample(np.ascontiguousarray(image, np.float32), size)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian of `sigma` pixels; wide ones are made on a smaller grid."""
    size = len(image)
    small = int(np.clip(np.ceil(size * 2.5 / sigma), 24, size)) if sigma > 4 else size
    shrunk = resize(image, small)
    return resize(gaussian_filter(shrunk, sigma * small / size, mode="nearest", truncate=3.0), size)


def detected(depth: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """Signal relative to the open beam, primary and scatter, (h, w)."""
    primary = np.exp(-depth)
    pixel = acquisition.field_cm / len(depth)
    # Scatter comes from irradiated tissue, not from the open beam beside the patient.
    born = primary * (1 - np.exp(-0.7 * depth))
    # Plain numbers keep the film in single precision; numpy's own would not.
    share = float(np.clip(acquisition.scatter, 0.0, 0.9))
    scatter = 0.65 * blur(born, 5.0 / pixel) + 0.35 * blur(born, 1.6 / pixel)
    signal: np.ndarray = primary + share / (1 - share) * scatter
    return signal


def add_noise(signal: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """Quantum noise: its relative size falls with the root of signal and pixel area."""
    if acquisition.noise <= 0:
        return signal
    pixel = acquisition.field_cm / len(signal)
    rng = np.random.default_rng([acquisition.seed, 1])
    grain = rng.standard_normal(signal.shape, dtype=np.float32)
    strength, width = (1.9, 0.75) if acquisition.style == "b" else (1.15, 0.35)
    grain = strength * gaussian_filter(grain, width)
    amount = acquisition.noise * 0.0005 * float(np.exp(-0.5 * acquisition.exposure)) / pixel
    noisy: np.ndarray = signal * np.maximum(1 + amount * grain / np.sqrt(np.maximum(signal, 1e-4)), 0.05)
    return noisy


def develop(signal: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """Detected signal to display values in [0, 1], white = dense."""
    pixel = acquisition.field_cm / len(signal)
    density = -np.log(np.maximum(signal, 1e-4))
    coarse = blur(density, 1.4 / pixel)
    middle = blur(density, 0.35 / pixel)
    fine = blur(density, 0.09 / pixel) if pixel < 0.12 else density
    k = acquisition.detail
    if acquisition.style == "a":
        boosted = coarse * (1 - 0.16 * k) + (middle - coarse) * (1 + 0.35 * k)
        boosted = boosted + (fine - middle) * (1 + 0.9 * k) + (density - fine) * (1 + 0.7 * k)
    else:
        boosted = coarse * (1 - 0.3 * k) + (middle - coarse) * (1 + 0.1 * k) + (density - middle) * (1 + 0.9 * k)
    edge = len(signal) // 12
    core = boosted[edge:-edge:4, edge:-edge:4]
    core = core[density[edge:-edge:4, edge:-edge:4] > 0.55]
    if core.size < 50:
        core = boosted.ravel()
    low, high = (float(edge) for edge in np.percentile(core, [2.0, 99.3]))
    value = (boosted - low) / max(high - low, 1e-3)
    value = value - 0.12 * acquisition.exposure
    return curve(value, acquisition)


def curve(value: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """Toe and shoulder of the display; 0 and 1 are approached, not hit."""
    if acquisition.style == "a":
        toe, slope, gain = 0.16, 4.2, 0.5
    else:
        toe, slope, gain = 0.24, 2.9, 0.46
    soft = 1 / (1 + np.exp(-slope * (value - gain)))
    low, high = float(1 / (1 + np.exp(slope * gain))), float(1 / (1 + np.exp(-slope * (1 - gain))))
    shaped = toe + (0.9 - toe) * (soft - low) / (high - low)
    shaped = np.where(value < 0, toe * np.exp(np.minimum(value, 0) * 2.4), shaped)
    return np.clip(shaped, 0, 1) ** acquisition.gamma


def collimate(film: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """Blackens what the shutters cut off; often nothing, sometimes a slanted edge."""
    rng = np.random.default_rng([acquisition.seed, 2])
    draws = rng.random(9)
    size = len(film)
    along = (np.arange(size) + 0.5) / size
    mask = np.ones_like(film)
    probability = 0.4 if acquisition.style == "a" else 0.75
    slant = (draws[8] - 0.5) * (0.05 if acquisition.view == "AP" else 0.012)
    softness = 0.25 / acquisition.field_cm
    for side in range(4):
        if draws[side] > probability:
            continue
        depth = 0.045 * draws[4 + side]
        line = depth + slant * (along - 0.5)
        distance = (along[None, :] - line[:, None]) if side < 2 else (along[:, None] - line[None, :])
        ramp = np.clip(distance / softness + 0.5, 0, 1).astype(np.float32)
        ramp = ramp[:, ::-1] if side == 1 else ramp
        mask *= ramp[::-1] if side == 3 else ramp
    level = 0.015 if acquisition.style == "a" else 0.05
    shuttered: np.ndarray = film * mask + level * (1 - mask)
    return shuttered


def mark(film: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """Side marker, and sometimes a word about the exposure, as lead letters would show."""
    rng = np.random.default_rng([acquisition.seed, 3])
    draws = rng.random(6)
    size = len(film)
    canvas = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(canvas)
    left = draws[0] < 0.7
    font = ImageFont.load_default(size=max(size * (0.032 + 0.014 * draws[1]), 7))
    x = size * ((0.9 + 0.05 * draws[2]) if left else (0.05 + 0.05 * draws[2]))
    y = size * (0.035 + 0.07 * draws[3])
    pen.text((x, y), "L" if left else "R", fill=255, font=font, anchor="mm")
    if acquisition.style == "b":
        r = size * 0.032
        pen.ellipse((x - r, y - r, x + r, y + r), outline=255, width=max(size // 200, 1))
    if draws[4] < (0.6 if acquisition.view == "AP" else 0.25):
        words = ("AP", "PORTABLE", "SUPINE") if acquisition.view == "AP" else ("PA", "ERECT")
        word = words[int(draws[5] * len(words))]
        small = ImageFont.load_default(size=max(size * 0.02, 6))
        pen.text((x, y + size * 0.05), word, fill=230, font=small, anchor="mm")
    ink = np.asarray(canvas, np.float32) / 255
    return film + ink * (0.97 - film)


def finish(depth: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """Optical depth (h, w) to the film's pixels (h, w) float32 in [0, 1]."""
    film = develop(add_noise(detected(depth, acquisition), acquisition), acquisition)
    film = mark(collimate(film, acquisition), acquisition)
    pixels: np.ndarray = np.clip(film, 0, 1).astype(np.float32)
    return pixels


@lru_cache(maxsize=3)
def _tiles(seed: int, style: str) -> tuple[np.ndarray, ...]:
    """Five repeating tiles (256, 256) float32: two of parenchyma, two of mottle, one of fat."""
    cells = 256
    frequency = np.hypot(np.fft.fftfreq(cells)[:, None], np.fft.rfftfreq(cells)[None]) * cells / TILE_CM
    fine, slope = (3.2, 1.0) if style == "a" else (2.4, 0.6)
    bands = ((0.25, fine, slope), (0.08, 2.0, 1.4), (0.04, 0.5, 2.0))
    rng = np.random.default_rng([seed, 7])
    tiles = []
    for (low, high, power), count in zip(bands, (2, 2, 1), strict=True):
        spectrum = np.where((frequency > low) & (frequency < high), np.maximum(frequency, low) ** -power, 0)
        for _ in range(count):
            tile = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((cells, cells))) * spectrum, s=(cells, cells))
            tiles.append((tile / tile.std() / np.sqrt(count)).astype(np.float32))
    return tuple(tiles)


def texture(seed: int, camera: Camera, style: str, size: int) -> np.ndarray:
    """Three patterns (3, size, size) of mean 0 and deviation about 1 that belong to the patient, not to the film:
    lung parenchyma, mottle of disease, fat between the muscles. Each is laid out in depth, so that it shifts as
    tissue does when the view changes."""
    out = np.zeros((3, size, size), np.float32)
    layers = ((0, -3.0), (0, 3.0), (1, -2.0), (1, 2.0), (2, 8.0))
    for tile, (index, depth) in zip(_tiles(seed, style), layers, strict=True):
        lay_tile(out[index], tile, TILE_CM, depth, view_of(camera))
    return out
