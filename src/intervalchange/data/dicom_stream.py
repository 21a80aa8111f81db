"""The bytes of a DICOM file: preamble, transfer syntax, whether the pixels are whole, and which decoder reads them.

All of it is known before a pixel is decoded. What is whole but not read here is named, and not called damaged.
"""

from __future__ import annotations

import importlib.util
import io
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intervalchange.data.decoded_film import check_size
from intervalchange.data.png_jpeg import frame_header
from intervalchange.errors import ImageError

NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
IMPLICIT, EXPLICIT, BIG_ENDIAN = NATIVE
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4."
JPEG_LOSSLESS = JPEG + "57"
JPEG_8_BIT, JPEG_ALL = (JPEG + "50", JPEG + "51"), (JPEG + "50", JPEG + "51", JPEG_LOSSLESS, JPEG + "70")
JPEG_2000 = (JPEG + "90", JPEG + "91")
PLUGINS = {
    **dict.fromkeys((*NATIVE, RLE), ""),
    **dict.fromkeys((JPEG + "50", *JPEG_2000), "pillow"),
    **dict.fromkeys((JPEG + "51", JPEG_LOSSLESS, JPEG + "70"), "gdcm"),
    **dict.fromkeys((JPEG + "80", JPEG + "81"), "pyjpegls"),
}
"""Transfer syntaxes that are read -> pydicom's decoder. gdcm and pyjpegls run in a process of their own: a damaged
stream can abort them, and the caller with them."""
ELSEWHERE = {"gdcm": ("gdcm", "python-gdcm"), "pyjpegls": ("jpeg_ls", "pyjpegls")}
"""Decoders in a process of their own -> their module and their package."""
READ_PROCESSES = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC3: "lossless", 0xF7: "JPEG-LS"}
DESCRIPTION = (
    *("Rows", "Columns", "SamplesPerPixel", "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PhotometricInterpretation"),
)
DECODING_SECONDS = 60
DAMAGED = "Fetch or export it again, uncompressed if need be."
CONVERT = "Convert it, for instance with `gdcmconv --raw`."


# --- preamble and transfer syntax ----------------------------------------------------------------------------------


def is_dicom(head: bytes) -> bool:
    """By the first 132 bytes of a file, with or without the preamble."""
    return head[128:132] == b"DICM" or lacks_preamble(head)


def lacks_preamble(head: bytes) -> bool:
    """Whether a file begins with `DICM`, or with an element of group 0002 or 0008, as old archives write it."""
    if head[128:132] == b"DICM":
        return False
    return head.startswith(b"DICM") or _begins_group(head, 2) or _begins_group(head, 8)


def _begins_group(head: bytes, group: int) -> bool:
    """An element of this group, of a low number, with a VR or a length that fits."""
    little = head[:2] == bytes((group, 0)) and head[3:4] in (b"\0", b"\1")
    big = group == 8 and head[:2] == bytes((0, group)) and head[2:3] == b"\0"
    plausible = bool(re.fullmatch(rb"[A-Z]{2}", head[4:6])) or (
        little and head[6:8] == b"\0\0" and head[4:6] != b"\0\0"
    )
    return len(head) > 8 and (little or big) and plausible


def with_preamble(data: bytes) -> bytes:
    """The file as the standard has it: a preamble, and a transfer syntax where neither is written."""
    if data[128:132] == b"DICM":
        if _begins_group(data[132:264], 2):
            return data
        body = data[132:]
    elif data.startswith(b"DICM"):
        body = data[4:]
    elif lacks_preamble(data[:132]):
        body = data
    else:
        return data
    if not _begins_group(body, 8):
        return data if data[128:132] == b"DICM" else bytes(128) + b"DICM" + body
    syntax = BIG_ENDIAN if body[0] == 0 else EXPLICIT if body[4:6].isalpha() else IMPLICIT
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = b"\2\0\x10\0UI" + len(value).to_bytes(2, "little") + value
    length = b"\2\0\0\0UL\4\0" + len(meta).to_bytes(4, "little")
    return bytes(128) + b"DICM" + length + meta + body


def transfer_syntax(data: bytes) -> str:
    """The transfer syntax of the first bytes of a file, empty where there is none.

    Found by hand: pydicom would already inflate a deflated file to tell its syntax.
    """
    start = data.find(b"\x02\x00\x10\x00UI", 132, 8192)
    length = int.from_bytes(data[start + 6 : start + 8], "little") if start > 0 else 0
    return data[start + 8 : start + 8 + length].decode("ascii", "replace").strip("\0 ")


def check_syntax(data: bytes, path: Path) -> None:
    """Refuse, by name, a transfer syntax that is not read here."""
    from pydicom.uid import UID

    syntax = transfer_syntax(data)
    if syntax in PLUGINS:
        return
    valid = re.fullmatch(r"[\d.]{1,64}", syntax)
    name = UID(syntax).name if valid else ""
    named = f"{name}, {syntax}" if name != syntax and valid else syntax if valid else "none that is valid"
    raise ImageError(f"its transfer syntax ({named}) is not read here.", where=path, remedy=CONVERT)


# --- the pixel data ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the pixels of a file are decoded."""

    plugin: str
    """pydicom's name; empty for its own decoders."""
    syntax: str
    """The transfer syntax that the decoder is told."""
    bits: int
    """Stored, as the decoder is told."""


def decoding_of(header: Any, path: Path) -> Decoding:
    """The decoder for what the pixel data are, which is compared with what the header claims.

    Raises ImageError where they are fewer than claimed, of another size, or of a kind that is not read.
    """
    rows, columns = int(header.Rows), int(header.Columns)
    syntax = str(header.file_meta.TransferSyntaxUID)
    usual = Decoding(PLUGINS[syntax], syntax, int(header.BitsStored))
    data = header.PixelData
    short = ImageError("there are fewer pixels in it than its header claims.", where=path, remedy=DAMAGED)
    if syntax in NATIVE:
        if header["PixelData"].is_undefined_length:
            what = "its pixels are compressed, and it does not say how."
            raise ImageError(what, where=path, remedy="Export it with a transfer syntax.")
        if len(data) < _native_bytes(header, rows * columns):
            raise short
        return usual
    from pydicom.encaps import get_frame

    frame = get_frame(data, 0, number_of_frames=1)
    if syntax == RLE:
        return usual  # pydicom's own decoder stops at the expected length
    if syntax in JPEG_2000:
        claimed = _jpeg_2000_size(frame)
    else:
        usual, claimed = _jpeg_decoding(usual, frame, path)
    if claimed is None:
        raise short
    if claimed != (columns, rows):
        check_size(path, *claimed)
        what = f"the compressed film is {claimed[0]} x {claimed[1]}, the header says {columns} x {rows}."
        raise ImageError(what, where=path, remedy=DAMAGED)
    return usual


def _native_bytes(header: Any, pixels: int) -> int:
    """Bytes of a film that is not compressed; of 4:2:2 two pixels share their colour."""
    samples = pixels * int(header.SamplesPerPixel)
    if header.PhotometricInterpretation == "YBR_FULL_422":
        samples = pixels * 2
    return samples * int(header.BitsAllocated) // 8


def _jpeg_decoding(usual: Decoding, frame: bytes, path: Path) -> tuple[Decoding, tuple[int, int] | None]:
    """The decoder of a JPEG or JPEG-LS stream, and its (width, height) where it says so."""
    stream = frame_header(frame)
    if stream is None:
        return usual, None
    if stream.marker not in READ_PROCESSES:
        what = f"its JPEG process (SOF{stream.marker - 0xC0}) is not read here."
        raise ImageError(what, where=path, remedy=CONVERT)
    size = stream.width, stream.height
    if usual.syntax in JPEG_8_BIT and (stream.bits != 8 or stream.marker == 0xC3):
        # pydicom offers no 12 bits for these syntaxes; GDCM reads the stream, whatever JPEG syntax it is told.
        return Decoding("gdcm", JPEG_LOSSLESS, max(stream.bits, usual.bits)), size
    return usual, size


def _jpeg_2000_size(stream: bytes) -> tuple[int, int] | None:
    """(width, height) of the SIZ segment, with or without the JP2 boxes around it."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(stream) < start + 24:
        return None
    right, down, left, top = (int.from_bytes(stream[start + at : start + at + 4], "big") for at in (8, 12, 16, 20))
    return right - left, down - top


# --- decoding ------------------------------------------------------------------------------------------------------


def decode_here(header: Any, decoding: Decoding) -> np.ndarray:
    """Decode with pydicom or Pillow. Raises whatever they raise."""
    # dicom_grey decides about bits beyond the stored ones.
    header.pixel_array_options(decoding_plugin=decoding.plugin, correct_unused_bits=bool(header.PixelRepresentation))
    pixels: np.ndarray = header.pixel_array
    return pixels


def decode_elsewhere(pixels_only: bytes, decoding: Decoding, path: Path) -> np.ndarray:
    """Decode in a process of its own, with limits on memory and time (`decoding_process.py`)."""
    module, package = ELSEWHERE[decoding.plugin]
    if importlib.util.find_spec(module) is None:
        raise ImageError(
            "its compression is not read without another package.", where=path, remedy=f"pip install {package}"
        )
    script = Path(__file__).with_name("decoding_process.py")
    command = [sys.executable, "-I", str(script), decoding.plugin]
    try:
        done = subprocess.run(command, input=pixels_only, capture_output=True, timeout=DECODING_SECONDS, check=True)
        decoded: np.ndarray = np.load(io.BytesIO(done.stdout), allow_pickle=False)
    except subprocess.TimeoutExpired:
        what = f"its pixels take more than {DECODING_SECONDS} seconds to decode."
        raise ImageError(what, where=path, remedy=CONVERT) from None
    except (subprocess.SubprocessError, ValueError, EOFError):
        raise ImageError("its compressed pixels are damaged.", where=path, remedy=DAMAGED) from None
    return decoded


def pixels_only(header: Any, decoding: Decoding) -> bytes:
    """A DICOM file of the pixels and what describes them, and of nothing else: what another process is given."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = UID(decoding.syntax)
    film.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    film.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    for name in DESCRIPTION:
        if name in header:
            setattr(film, name, header[name].value)
    film.BitsStored, film.HighBit = decoding.bits, decoding.bits - 1
    film.PixelData = header.PixelData
    film["PixelData"].VR = "OB"
    film["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    film.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
