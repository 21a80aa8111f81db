"""Any file -> one decoded film, recognised by its first bytes, never by its name; everything else is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from intervalchange.data.decoded_film import MAX_FILE_BYTES, DecodedFilm, has_shape
from intervalchange.data.dicom import read_dicom
from intervalchange.data.dicom_selection import NOTHING_MORE, Admitted
from intervalchange.data.dicom_stream import is_dicom
from intervalchange.data.png_jpeg import JPEG, ONE_FILM, PNG, read_png_or_jpeg
from intervalchange.errors import ImageError

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


def read_film(
    path: str | Path, force: bool = False, admitted: Admitted = NOTHING_MORE, as_stored: bool = False
) -> DecodedFilm:
    """Decode one film.

    force: read a lateral view, another body part or a colour picture all the same, with a warning. admitted: what a
    DICOM header may say besides. as_stored: a DICOM film that its header calls mirrored or turned is not turned.
    Raises ImageError, with the file and what to do, for everything else that is not one film.
    """
    path = Path(path)
    head = _first_bytes(path)
    if is_dicom(head):
        film = read_dicom(path, force, admitted, as_stored)
    elif head.startswith((PNG, JPEG)):
        film = read_png_or_jpeg(path, force)
    else:
        format_ = next(
            (name for magic, name in FOREIGN.items() if head.startswith(magic)), "neither PNG, JPEG nor DICOM"
        )
        raise ImageError(f"this is {format_}.", where=path, remedy=ONE_FILM)
    return replace(film, warnings=(*film.warnings, *_content_warnings(film.pixels)))


def _first_bytes(path: Path) -> bytes:
    """The first 132 bytes of a regular file that is not too large."""
    try:
        if not path.exists():
            raise ImageError("no such file.", where=path, remedy="Check the path.")
        if path.is_dir():
            raise ImageError("this is a folder.", where=path, remedy="Give the film itself.")
        if not path.is_file():
            raise ImageError("this is not a regular file.", where=path, remedy=ONE_FILM)
        size = path.stat().st_size
        if size == 0:
            raise ImageError("the file is empty.", where=path, remedy="Fetch it again.")
        if size > MAX_FILE_BYTES:
            raise ImageError(f"{size:,} bytes are too many for one film.", where=path, remedy=ONE_FILM)
        with path.open("rb") as file:
            return file.read(132)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the name cannot be used"
        raise ImageError(f"cannot be opened: {reason}.", where=path, remedy="Check the path and its rights.") from error


def _content_warnings(pixels: np.ndarray) -> list[str]:
    """What the pixels (h, w) themselves give away. Never a refusal: content is not proof."""
    if is_blank(pixels):
        return ["the film is blank"]
    warnings = []
    if max(pixels.shape) > 2.5 * min(pixels.shape):
        warnings.append("the film is unusually long and narrow")
    if looks_inverted(pixels):
        warnings.append("the film looks like a negative (bone dark): check its polarity")
    return warnings


FAINT = 0.02
"""Share of the grey levels of a file, below which a film may be blank. Ten bits in a file of 16 are as few."""
FEW_LEVELS = 32
"""A faint film of fewer grey levels is blank: an empty film has some, of noise and uneven exposure."""


def is_blank(pixels: np.ndarray) -> bool:
    """Whether a film (h, w) has one grey level, or only noise about it: judged on its own range, not on the file's."""
    low, high = float(pixels.min()), float(pixels.max())
    if high - low >= FAINT or high <= low:
        return high <= low
    return len(np.unique(pixels)) < FEW_LEVELS or not has_shape(pixels)


def looks_inverted(pixels: np.ndarray) -> bool:
    """Whether the two lung fields of a film (h, w) are brighter than the spine between and the air above them."""
    from PIL import Image

    small = np.asarray(Image.fromarray(pixels).resize((20, 20), Image.Resampling.BOX))
    lungs = (np.median(small[5:12, 4:8]) + np.median(small[5:12, 12:16])) / 2
    spine = np.median(small[5:18, 9:11])
    air = np.median(np.concatenate([small[:2, :2].ravel(), small[:2, -2:].ravel()]))
    return bool(lungs > spine + 0.1 and air > spine)
