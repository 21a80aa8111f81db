"""One film: file -> [0, 1] with white dense -> padded square -> the normalised input of every model.

    read_image       any PNG, JPEG or DICOM, recognised by its first bytes, never by its name
    fit              whole film into a square, aspect kept, with the geometry to go back
    film_from_file   both, as the 8-bit square that `prepare` stores and that `answer` looks at
    standardise      the one normaliser, in training and in answering

What a file claims about its size is checked against `MAX_FILE_BYTES` and `MAX_PIXELS` before anything is decoded.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from intervalchange.errors import ImageError
from intervalchange.records import Box

MAX_FILE_BYTES = 512 * 2**20
MAX_PIXELS = 80_000_000
"""Largest detectors are about 20 million pixels; Pillow itself complains from 89 million on."""
MIN_SIDE = 32

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
FOREIGN = {
    b"GIF8": "a GIF",
    b"II*\x00": "a TIFF",
    b"MM\x00*": "a TIFF",
    b"BM": "a BMP",
    b"RIFF": "a WebP or another RIFF file",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive",
    b"\x93NUMPY": "a NumPy array",
    b"\x00\x00\x00\x0cjP": "a bare JPEG 2000",
    b"<svg": "an SVG",
}
CONVERT = "Give one film as PNG, JPEG or DICOM."


@dataclass(frozen=True)
class Image:
    """A decoded film."""

    pixels: np.ndarray
    """(h, w) float32 in [0, 1], white = dense."""
    height: int
    width: int
    warnings: tuple[str, ...] = ()
    """What a reader of the answer should know, in plain words."""
    header: Mapping[str, str] = field(default_factory=dict)
    """`view`, `date`, `photometric`, `modality`, `bits`: nothing that names a person leaves the reader."""


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
        x1, y1, x2, y2 = box
        s, dx, dy = self.scale, self.offset_x, self.offset_y
        xs = (min(max((x - dx) / s, 0.0), float(self.width)) for x in (x1, x2))
        ys = (min(max((y - dy) / s, 0.0), float(self.height)) for y in (y1, y2))
        (x1, x2), (y1, y2) = xs, ys
        return x1, y1, x2, y2


def read_image(path: str | Path, force: bool = False) -> Image:
    """Decode one film.

    force: read a lateral view, another body part or a colour picture all the same, with a warning.
    Raises ImageError, with the file and what to do, for everything else that is not one film.
    """
    path = Path(path)
    head = _first_bytes(path)
    if head[128:132] == b"DICM":
        from intervalchange.data.dicom import read_dicom

        image = read_dicom(path, force)
    elif head.startswith((PNG, JPEG)):
        image = _read_picture(path, force)
    else:
        known = next((name for magic, name in FOREIGN.items() if head.startswith(magic)), "neither PNG, JPEG nor DICOM")
        raise ImageError(f"this is {known}.", where=path, remedy=CONVERT)
    return _with_content_warnings(image)


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


def refuse_unless(force: bool, path: Path, what: str) -> str:
    """Raise ImageError, or give the warning that replaces it when forced."""
    if not force:
        raise ImageError(f"{what}.", where=path, remedy="Give a frontal chest radiograph, or pass --force.")
    return f"{what}; read all the same because of --force"


def to_grey(colours: np.ndarray, path: Path, force: bool) -> tuple[np.ndarray, list[str]]:
    """(h, w, 3) uint8 -> (h, w) float32 in [0, 1]; saturated colour is refused, a few coloured marks are not."""
    spread = colours.max(axis=2).astype(np.int16) - colours.min(axis=2)
    warnings = []
    if np.mean(spread > 48) > 0.02:
        warnings.append(refuse_unless(force, path, "this is a colour picture, not a radiograph"))
    weights = np.array([0.299, 0.587, 0.114], np.float32) / 255
    return colours.astype(np.float32) @ weights, warnings


def _first_bytes(path: Path) -> bytes:
    """The first 132 bytes of a regular file of a bearable size."""
    try:
        if not path.exists():
            raise ImageError("no such file.", where=path, remedy="Check the path.")
        if path.is_dir():
            raise ImageError("this is a folder.", where=path, remedy="Give the film itself.")
        if not path.is_file():
            raise ImageError("this is not a regular file.", where=path, remedy=CONVERT)
        size = path.stat().st_size
        if size == 0:
            raise ImageError("the file is empty.", where=path, remedy="Fetch it again.")
        if size > MAX_FILE_BYTES:
            raise ImageError(f"{size:,} bytes are too many for one film.", where=path, remedy=CONVERT)
        with path.open("rb") as file:
            return file.read(132)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the name cannot be used"
        raise ImageError(f"cannot be opened: {reason}.", where=path, remedy="Check the path and its rights.") from error


def picture_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) that a PNG or JPEG stream claims, without decoding; None where it does not say."""
    if data.startswith(PNG):
        return struct.unpack(">II", data[16:24]) if len(data) >= 24 and data[12:16] == b"IHDR" else None
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 2
        elif marker in (0xD9, 0xDA):
            return None
        elif (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        else:
            place += 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
    return None


def _read_picture(path: Path, force: bool) -> Image:
    """PNG or JPEG."""
    damaged = ImageError("the picture is damaged or cut short.", where=path, remedy="Fetch or export it again.")
    size = picture_size(path.read_bytes())
    if size is None:
        raise damaged
    check_size(path, *size)
    try:
        with Pillow.open(path, formats=("PNG", "JPEG")) as picture:
            if getattr(picture, "n_frames", 1) > 1:
                raise ImageError("the file holds several pictures.", where=path, remedy=CONVERT)
            picture.load()
            photometric = picture.mode
            upright = ImageOps.exif_transpose(picture)
            pixels, bits, warnings = _picture_pixels(upright, path, force)
    except ImageError:
        raise
    except Exception as error:  # decoders of foreign code fail in every way there is
        raise damaged from error
    height, width = pixels.shape
    header = {"photometric": photometric, "bits": str(bits)}
    return Image(pixels, height, width, tuple(warnings), header)


def _picture_pixels(picture: Pillow.Image, path: Path, force: bool) -> tuple[np.ndarray, int, list[str]]:
    """Grey (h, w) in [0, 1], bits of the source, warnings. Transparency is laid on black."""
    mode = picture.mode
    if mode.startswith("I;16") or mode == "I":
        return np.asarray(picture, dtype=np.float32) / 65535, 16, []
    if mode == "1":
        return np.asarray(picture, dtype=np.float32), 1, ["the picture has two grey levels only"]
    if mode == "L" and "transparency" not in picture.info:
        return np.asarray(picture, dtype=np.float32) / 255, 8, []
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        colours = picture.convert("RGBA")
        black = Pillow.new("RGBA", colours.size, (0, 0, 0, 255))
        picture = Pillow.alpha_composite(black, colours)
    grey, warnings = to_grey(np.asarray(picture.convert("RGB")), path, force)
    return grey, 8, warnings


def _with_content_warnings(image: Image) -> Image:
    """Add what the pixels themselves give away. Never a refusal: content is not proof."""
    found = list(image.warnings)
    if float(image.pixels.max()) - float(image.pixels.min()) < 0.02:
        found.append("the film is blank")
    else:
        if max(image.height, image.width) > 2.5 * min(image.height, image.width):
            found.append("the film is unusually long and narrow")
        if looks_inverted(image.pixels):
            found.append("the film looks like a negative (bone dark): check its polarity")
    return Image(image.pixels, image.height, image.width, tuple(found), image.header)


def looks_inverted(pixels: np.ndarray) -> bool:
    """(h, w) -> whether the two lung fields are brighter than the middle between and the shoulders above them."""
    small = np.asarray(Pillow.fromarray(pixels).resize((20, 20), Pillow.Resampling.BOX))
    lungs = (np.median(small[5:12, 4:8]) + np.median(small[5:12, 12:16])) / 2
    spine = np.median(small[5:18, 9:11])
    air = np.median(np.concatenate([small[:2, :2].ravel(), small[:2, -2:].ravel()]))
    return bool(lungs > spine + 0.1 and air > spine)


def fit(pixels: np.ndarray, size: int) -> tuple[np.ndarray, Geometry]:
    """(h, w) float32 -> (size, size) float32 and its Geometry.

    The long side becomes `size`, the short side is centred and padded with 0, so that no part of the film is lost.
    Area averaging on the way down, bilinear on the way up.
    """
    height, width = pixels.shape
    scale = size / max(height, width)
    rows, columns = _sides(height, width, size)
    if (rows, columns) != (height, width):
        how = Pillow.Resampling.BOX if scale < 1 else Pillow.Resampling.BILINEAR
        pixels = np.asarray(Pillow.fromarray(np.ascontiguousarray(pixels, np.float32)).resize((columns, rows), how))
    top, left = (size - rows) // 2, (size - columns) // 2
    square = np.zeros((size, size), np.float32)
    square[top : top + rows, left : left + columns] = pixels
    return square, Geometry(height, width, scale, left, top)


def _sides(height: int, width: int, size: int) -> tuple[int, int]:
    """Rows and columns of a film whose long side is scaled to `size`."""
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


@dataclass(frozen=True)
class FilmSquare:
    """A film as it is stored, and as `answer` sees it."""

    pixels: np.ndarray
    """(size, size) uint8."""
    geometry: Geometry
    warnings: tuple[str, ...] = ()
    header: Mapping[str, str] = field(default_factory=dict)


def film_square(image: Image, size: int) -> FilmSquare:
    """`fit`, then the range of the film's grey levels (0.1 to 99.9 %) to 0..255, whole numbers.

    The stretch comes before rounding to 8 bits, so that a 16-bit film of little contrast loses no grey levels.
    """
    square, geometry = fit(image.pixels, size)
    rows, columns = _sides(geometry.height, geometry.width, size)
    top, left = geometry.offset_y, geometry.offset_x
    low, high = _range(square[top : top + rows, left : left + columns])
    stretched = (square - low) * (255 / (high - low)) if high > low else square * 255
    whole = np.clip(np.rint(stretched), 0, 255).astype(np.uint8)
    return FilmSquare(whole, geometry, image.warnings, image.header)


def film_from_file(path: str | Path, stored_pixels: int, force: bool = False) -> FilmSquare:
    """File -> square film of this side. The one path for `prepare` and for inference, bit for bit."""
    return film_square(read_image(path, force), stored_pixels)


def resize(squares: np.ndarray, size: int) -> np.ndarray:
    """(n, s, s) uint8 -> (n, size, size) float32 in [0, 1] by area averaging; s >= size."""
    stored = squares.shape[-1]
    if stored == size:
        return squares.astype(np.float32) / 255
    if stored % size == 0:
        step = stored // size
        kind = np.uint16 if step <= 16 else np.uint32
        rows: np.ndarray = squares[:, ::step].astype(kind)
        for shift in range(1, step):
            rows += squares[:, shift::step]
        total: np.ndarray = rows[:, :, ::step].copy()
        for shift in range(1, step):
            total += rows[:, :, shift::step]
        return total.astype(np.float32) * np.float32(1 / (255 * step * step))
    out = np.empty((len(squares), size, size), np.float32)
    for index, square in enumerate(squares):
        film = Pillow.fromarray(square.astype(np.float32))
        out[index] = np.asarray(film.resize((size, size), Pillow.Resampling.BOX))
    return out / np.float32(255)


LEVELS = 1024
MARGIN = 0.15
BORDER = np.float32(4 / 255)


def standardise(pixels: np.ndarray) -> np.ndarray:
    """(h, w) float32 in [0, 1] -> (h, w) float32, about mean 0 and deviation 1, in [-1.74, 1.74].

    Each grey level is replaced by its rank in the film's own histogram, then scaled like a uniform variable. Window,
    gamma, detector response and histogram equalisation are monotone curves, and a rank does not see them: the same
    film comes out the same as 8-bit PNG, as the equalised JPEG of MIMIC-CXR-JPG, or as 16-bit DICOM (a linear
    z-norm cannot, and what equalisation threw away cannot be had back, so the equalised form is the common one).
    The histogram is taken in the middle 70 % a side of what lies inside a black border, so that collimation, padding
    and background beside the patient do not move the grey of the lung.

    Measured on 90 films of the open longitudinal set, file to 512 to 256 px, mean (worst) correlation with the plain
    8-bit PNG: equalised JPEG at quality 95 0.9988 (0.9949), noisy 15-bit MONOCHROME1 DICOM with a window 1.0000
    (0.9999). Percentiles with a linear z-norm reached 0.956 (0.856) for the equalised JPEG. A blank film becomes zeros.
    """
    rows = np.flatnonzero(pixels.max(axis=1) > BORDER)
    columns = np.flatnonzero(pixels.max(axis=0) > BORDER)
    if not len(rows) or not len(columns):
        return np.zeros(pixels.shape, np.float32)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    dy, dx = int((bottom - top) * MARGIN), int((right - left) * MARGIN)
    grey = (pixels * np.float32(LEVELS - 1) + np.float32(0.5)).astype(np.int32)
    middle = grey[top + dy : bottom - dy, left + dx : right - dx]
    counts = np.bincount(middle.ravel(), minlength=LEVELS)[:LEVELS].astype(np.float64)
    counts[:3] = 0
    total = counts.sum()
    if np.count_nonzero(counts) < 2:
        return np.zeros(pixels.shape, np.float32)
    rank = (np.cumsum(counts) - counts / 2) / total
    shown: np.ndarray = ((rank - 0.5) * math.sqrt(12)).astype(np.float32)[grey]
    return shown


def _range(pixels: np.ndarray) -> tuple[float, float]:
    """0.1 and 99.9 percentile."""
    last = pixels.size - 1
    low, high = int(last * 0.001), math.ceil(last * 0.999)
    flat = np.partition(pixels, (low, high), axis=None)
    return float(flat[low]), float(flat[high])
