"""A film from a PNG or JPEG file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from intervalchange.data.decoded_film import DecodedFilm, check_size, to_grey
from intervalchange.errors import ImageError

if TYPE_CHECKING:
    import PIL.Image

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
HEAD_BYTES = 65_536
"""Read of a file at first, to learn the size of the film."""
FEW_LEVELS = 32
ONE_FILM = "Give one film as PNG, JPEG or DICOM."


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What a JPEG or JPEG-LS stream says of itself."""

    marker: int
    """0xC0 baseline, 0xC1 extended, 0xC2 progressive, 0xC3 lossless, 0xF7 JPEG-LS."""
    bits: int
    height: int
    width: int


def frame_header(data: bytes) -> FrameHeader | None:
    """The frame header of a JPEG or JPEG-LS stream; None where there is none before the pixels."""
    offset = 2
    while offset + 9 <= len(data):
        if data[offset] != 0xFF:
            return None
        marker = data[offset + 1]
        if marker == 0xFF:
            offset += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            offset += 2
        elif marker in (0xD9, 0xDA):
            return None
        elif (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return FrameHeader(marker, *struct.unpack(">BHH", data[offset + 4 : offset + 9]))
        else:
            offset += 2 + max(2, int.from_bytes(data[offset + 2 : offset + 4], "big"))
    return None


def size_of_file(path: Path) -> tuple[int, int] | None:
    """(width, height) that a PNG or JPEG file claims; None where it cannot be read, is neither, or does not say."""
    try:
        with path.open("rb") as file:
            data = file.read(HEAD_BYTES)
            if not data.startswith((PNG, JPEG)):
                return None
            return size_from_header(data) or size_from_header(data + file.read())
    except (OSError, ValueError):  # ValueError: no file has this name
        return None


def size_from_header(data: bytes) -> tuple[int, int] | None:
    """(width, height) that a PNG or JPEG stream claims, without decoding; None where it does not say."""
    if data.startswith(PNG):
        return struct.unpack(">II", data[16:24]) if len(data) >= 24 and data[12:16] == b"IHDR" else None
    frame = frame_header(data)
    return (frame.width, frame.height) if frame else None


def read_png_or_jpeg(path: Path, force: bool = False) -> DecodedFilm:
    """One film. Called by `film_files.read_film`, which has checked the size of the file."""
    from PIL import Image, ImageOps

    damaged = ImageError("the picture is damaged or cut short.", where=path, remedy="Fetch or export it again.")
    data = path.read_bytes()
    size = size_from_header(data)
    if size is None:
        raise damaged
    check_size(path, *size)
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise ImageError("the file holds several pictures.", where=path, remedy=ONE_FILM)
            image.load()
            _check_deep_colour(data, image, path)
            pixels, bits, warnings = _grey(ImageOps.exif_transpose(image), path, force)
            return DecodedFilm(pixels, tuple(warnings), {"photometric": image.mode, "bits": str(bits)})
    except ImageError:
        raise
    except Exception as error:  # foreign decoders fail in every way there is
        raise damaged from error


def _check_deep_colour(data: bytes, image: PIL.Image.Image, path: Path) -> None:
    """Refuse channels of 16 bits with ten or fewer in them: Pillow keeps the high byte, where hardly anything is."""
    if not data.startswith(PNG) or data[24] != 16 or image.mode.startswith("I"):
        return
    low, high = image.convert("L").getextrema()
    if high - low < FEW_LEVELS:  # type: ignore[operator]
        what = "its channels of 16 bits hold too few grey levels to be read in colour."
        raise ImageError(what, where=path, remedy="Save it in grey, with 16 bits.")


def _grey(image: PIL.Image.Image, path: Path, force: bool) -> tuple[np.ndarray, int, list[str]]:
    """Grey (h, w) in [0, 1], bits of the source, warnings. Transparency is laid on black."""
    from PIL import Image

    mode = image.mode
    if mode.startswith("I;16") or mode == "I":
        return np.asarray(image, dtype=np.float32) / 65535, 16, []
    if mode == "1":
        return np.asarray(image, dtype=np.float32), 1, ["the picture has two grey levels only"]
    if mode == "L" and "transparency" not in image.info:
        return np.asarray(image, dtype=np.float32) / 255, 8, []
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    grey, warnings = to_grey(np.asarray(image.convert("RGB")), path, force)
    return grey, 8, warnings
