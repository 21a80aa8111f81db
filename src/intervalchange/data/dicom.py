"""A chest film from a DICOM file: [0, 1], white = dense, and nothing of the header that names a person.

The header is checked before a pixel is decoded: size, frames, bits, modality, transfer syntax, and what the compressed
stream itself claims. The file is read as a whole first (its size is capped), so that no length in it can make the
parser allocate more than there is. Error texts never quote header values other than codes of the standard.
"""

from __future__ import annotations

import io
import logging
import math
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from intervalchange.data.decoded_film import DecodedFilm, check_size, refuse_unless, to_grey
from intervalchange.data.png_jpeg import size_from_header
from intervalchange.errors import ImageError

MODALITIES = ("CR", "DX", "RG", "OT", "SC", "")
"""Projection radiographs, and what digitised films are filed as."""
OTHERS = ("CT", "MR", "US", "NM", "PT", "MG", "XA", "RF", "DR", "IO", "PX", "ES", "SM", "SR", "PR", "KO", "SEG")
"""Modalities that an error may name; a damaged header can hold anything instead."""
CHEST = ("CHEST", "THORAX", "LUNG", "HEART", "THORACIC")
FRONTAL = ("", "PA", "AP", "AP AXIAL", "PA LLD", "PA RLD", "AP LLD", "AP RLD", "LLD", "RLD")
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4."
JPEG_2000 = (JPEG + "90", JPEG + "91")
PLUGINS = {
    **dict.fromkeys((*NATIVE, RLE), ""),
    **dict.fromkeys((JPEG + "50", *JPEG_2000), "pillow"),
    **dict.fromkeys((JPEG + "51", JPEG + "57", JPEG + "70"), "gdcm"),
    **dict.fromkeys((JPEG + "80", JPEG + "81"), "pyjpegls"),
}
"""Transfer syntaxes that are read -> pydicom's decoder. gdcm and pyjpegls run in a process of their own: a damaged
stream can abort them, and the caller with them."""
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
DECODING_SECONDS = 60
DAMAGED = "Fetch or export it again, uncompressed if need be."

_one_at_a_time = threading.Lock()
"""Python's warning filters are shared by all threads."""


def read_dicom(path: Path, force: bool = False) -> DecodedFilm:
    """One single-frame chest radiograph. Called by `film_files.read_film`, which has checked the size of the file."""
    data = path.read_bytes()
    complaints: list[warnings.WarningMessage] = []
    with _guarded(path, complaints):
        header = _parsed(data, path)
        notes = _check_header(header, path, force)
        plugin = PLUGINS[str(header.file_meta.TransferSyntaxUID)]
        if plugin not in ("gdcm", "pyjpegls"):
            # _stored_values decides about bits beyond the stored ones.
            header.pixel_array_options(decoding_plugin=plugin, correct_unused_bits=bool(header.PixelRepresentation))
            decoded = header.pixel_array
    if plugin in ("gdcm", "pyjpegls"):
        decoded = decode_in_process(data, plugin, path)
    with _guarded(path, complaints):
        pixels, pixel_notes = _grey(header, decoded, path, force)
        facts = _facts(header)
    notes += pixel_notes
    if complaints:
        notes.append("the DICOM header does not follow the standard everywhere")
    return DecodedFilm(pixels, tuple(notes), facts)


@contextmanager
def silenced() -> Iterator[list[warnings.WarningMessage]]:
    """Keep Python's warnings and pydicom's log lines, which may quote the header, from the screen.

    Yields the warnings so far. One block at a time, whatever the thread.
    """
    log, silent = logging.getLogger("pydicom"), logging.NullHandler()
    with _one_at_a_time, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log.propagate = False
        log.addHandler(silent)
        try:
            yield caught
        finally:
            log.removeHandler(silent)
            log.propagate = True


@contextmanager
def _guarded(path: Path, complaints: list[warnings.WarningMessage]) -> Iterator[None]:
    """Turn whatever a parser or decoder raises into ImageError; add its warnings to `complaints`."""
    with silenced() as caught:
        try:
            yield
        except ImageError:
            raise
        except Exception as error:  # foreign code fails in every way there is
            # Not chained: the message of a parser may quote the header.
            kind = type(error).__name__
            raise ImageError(f"the DICOM file is damaged or cut short ({kind}).", where=path, remedy=DAMAGED) from None
        complaints += caught


def decode_in_process(data: bytes, plugin: str, path: Path) -> np.ndarray:
    """Decode a DICOM file in a process of its own, with limits on memory and time (`decoding_process.py`)."""
    script = Path(__file__).with_name("decoding_process.py")
    command = [sys.executable, "-I", str(script), plugin]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=DECODING_SECONDS, check=True)
        pixels: np.ndarray = np.load(io.BytesIO(done.stdout), allow_pickle=False)
    except (subprocess.SubprocessError, ValueError, EOFError):
        raise ImageError("its compressed pixels are damaged.", where=path, remedy=DAMAGED) from None
    return pixels


def transfer_syntax(data: bytes) -> str:
    """The transfer syntax of the first bytes of a file, empty where there is none.

    Found by hand: pydicom would already inflate a deflated file to tell its syntax.
    """
    start = data.find(b"\x02\x00\x10\x00UI", 132, 8192)
    length = int.from_bytes(data[start + 6 : start + 8], "little") if start > 0 else 0
    return data[start + 8 : start + 8 + length].decode("ascii", "replace").strip("\0 ")


def _parsed(data: bytes, path: Path) -> Any:
    """The data set, once its transfer syntax is known to be readable."""
    import pydicom

    syntax = transfer_syntax(data)
    if syntax not in PLUGINS:
        named = syntax if re.fullmatch(r"[\d.]{1,64}", syntax) else "none that is valid"
        raise ImageError(
            f"its transfer syntax ({named}) is not read here.",
            where=path,
            remedy="Convert it, for instance with `gdcmconv --raw`.",
        )
    return pydicom.dcmread(io.BytesIO(data))


def _check_header(header: Any, path: Path, force: bool) -> list[str]:
    """Refuse what is not a single chest film before it is decoded; warnings for what was forced or is not stated."""
    notes = []
    modality = code(header, "Modality")
    if modality not in MODALITIES:
        named = modality if modality in OTHERS else "in its header"
        raise ImageError(f"the modality {named} is not a radiograph.", where=path, remedy="Give a CR or DX chest film.")
    if "PixelData" not in header:
        raise ImageError("there are no pixels in it.", where=path, remedy="Export the film with its image.")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"it holds {frames} frames.", where=path, remedy="Give a single-frame film.")
    check_size(path, int(header.Columns), int(header.Rows))
    layout = (int(header.BitsAllocated), int(header.get("SamplesPerPixel", 1)))
    if layout not in ((8, 1), (16, 1), (8, 3)) or not 1 <= int(header.BitsStored) <= layout[0]:
        what = f"{layout[1]} x {layout[0]} bits a pixel, {header.BitsStored} stored, is no film that is read here."
        raise ImageError(what, where=path, remedy="Export it with 8 to 16 bits.")
    _check_stream(header, path)
    body = code(header, "BodyPartExamined")
    if body and not any(word in body for word in CHEST):
        notes.append(refuse_unless(force, path, "the header says another part of the body"))
    if not is_frontal(header):
        notes.append(refuse_unless(force, path, "the header says that the view is not frontal"))
    if modality in ("OT", "SC", ""):
        notes.append("the header does not say that this is a radiograph")
    return notes


def _check_stream(header: Any, path: Path) -> None:
    """Compare what the pixel data are with what the header claims."""
    rows, columns = int(header.Rows), int(header.Columns)
    syntax = str(header.file_meta.TransferSyntaxUID)
    data = header.PixelData
    short = ImageError("there are fewer pixels in it than its header claims.", where=path, remedy=DAMAGED)
    if syntax in NATIVE:
        if len(data) < rows * columns * int(header.get("SamplesPerPixel", 1)) * int(header.BitsAllocated) // 8:
            raise short
        return
    from pydicom.encaps import get_frame

    frame = get_frame(data, 0, number_of_frames=1)
    if syntax == RLE:
        return  # pydicom's own decoder stops at the expected length
    claimed = _jpeg_2000_size(frame) if syntax in JPEG_2000 else size_from_header(frame)
    if claimed is None:
        raise short
    if claimed != (columns, rows):
        what = f"the compressed film is {claimed[0]} x {claimed[1]}, the header says {columns} x {rows}."
        raise ImageError(what, where=path, remedy=DAMAGED)


def _jpeg_2000_size(stream: bytes) -> tuple[int, int] | None:
    """(width, height) of the SIZ segment, with or without the JP2 boxes around it."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(stream) < start + 24:
        return None
    right, down, left, top = (int.from_bytes(stream[start + at : start + at + 4], "big") for at in (8, 12, 16, 20))
    return right - left, down - top


def is_frontal(header: Any) -> bool:
    """By view position, else view code, else patient orientation; a header that has none of them passes."""
    view = code(header, "ViewPosition")
    if view:
        return view in FRONTAL
    meaning = _view_meaning(header)
    if meaning:
        return (
            not any(word in meaning for word in ("lateral", "oblique")) or "antero" in meaning or "frontal" in meaning
        )
    orientation = header.get("PatientOrientation")
    first = str(orientation[0]).upper() if orientation else ""
    return not first.startswith(("A", "P"))


def view_of(header: Any) -> str:
    """PA, AP, or empty: by view position, else view code."""
    view = code(header, "ViewPosition")
    if not view:
        meaning = _view_meaning(header)
        view = "PA" if "postero" in meaning[:8] else "AP" if "antero" in meaning[:8] else ""
    return view[:2] if view[:2] in ("PA", "AP") else ""


def _view_meaning(header: Any) -> str:
    codes = header.get("ViewCodeSequence")
    return str(codes[0].get("CodeMeaning", "")).strip().lower() if codes else ""


def _grey(header: Any, decoded: np.ndarray, path: Path, force: bool) -> tuple[np.ndarray, list[str]]:
    """(h, w) float32 in [0, 1], white = dense."""
    if decoded.shape[:2] != (int(header.Rows), int(header.Columns)):
        raise ImageError("its pixels do not have the size of its header.", where=path, remedy=DAMAGED)
    photometric = code(header, "PhotometricInterpretation")
    if photometric in COLOUR and int(header.get("SamplesPerPixel", 1)) == 3:
        return to_grey(decoded, path, force)
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError("its photometric interpretation is not read here.", where=path, remedy="Export it in grey.")
    stored, notes = _stored_values(header, decoded)
    pixels, window_notes = _windowed(_rescaled(stored, header), header)
    if photometric == "MONOCHROME1":
        pixels = 1 - pixels
    padding = header.get("PixelPaddingValue")
    if padding is not None:
        limit = header.get("PixelPaddingRangeLimit", padding)
        low, high = sorted((int(padding), int(limit)))
        pixels[(stored >= low) & (stored <= high)] = 0
    return pixels, notes + window_notes


def _stored_values(header: Any, stored: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(h, w) integers. High bits are cut off where the header says that an overlay lives there."""
    bits = int(header.BitsStored)
    if stored.dtype.kind != "u" or bits >= int(header.BitsAllocated) or int(stored.max()) < 1 << bits:
        return stored, []
    if any(header.get((group, 0x0102)) for group in range(0x6000, 0x6020, 2)):
        return stored & ((1 << bits) - 1), []
    return stored, [f"there are more grey levels than the {bits} bits of the header"]


def _rescaled(stored: np.ndarray, header: Any) -> np.ndarray:
    """Modality look-up table, or slope and intercept."""
    from pydicom.pixels.processing import apply_modality_lut

    if header.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(stored, header), np.float32)
    slope, intercept = (_number(header, name, usual) for name, usual in (("RescaleSlope", 1), ("RescaleIntercept", 0)))
    if not slope:
        slope = 1.0
    return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _windowed(values: np.ndarray, header: Any) -> tuple[np.ndarray, list[str]]:
    """VOI look-up table, else the first window, else the whole range, onto [0, 1]."""
    from pydicom.pixels.processing import apply_voi

    if header.get("VOILUTSequence"):
        mapped = np.asarray(apply_voi(np.rint(values).astype(np.int32), header), np.float32)
        top = (1 << int(header.VOILUTSequence[0].LUTDescriptor[2])) - 1
        return np.clip(mapped / top, 0, 1), []
    low, high = float(values.min()), float(values.max())
    whole_range = (values - low) / max(high - low, 1e-6)
    width, centre = _number(header, "WindowWidth", math.nan), _number(header, "WindowCenter", math.nan)
    if math.isnan(width) or math.isnan(centre) or high <= low:
        return whole_range, []
    function = code(header, "VOILUTFunction") or "LINEAR"
    if function == "SIGMOID" and width > 0:
        return (1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -60, 60)))).astype(np.float32), []
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width > 0:
        windowed = np.clip((values - np.float32(centre)) / np.float32(width) + np.float32(0.5), 0, 1)
        if np.mean((windowed > 0) & (windowed < 1)) > 0.1:
            return windowed, []
    return whole_range, ["the window of the header does not fit the pixels: the whole range is shown"]


def _facts(header: Any) -> dict[str, str]:
    """All of the header that leaves the reader."""
    date, time = (str(header.get(name) or "") for name in ("StudyDate", "StudyTime"))
    date = f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else ""
    if date and time[:6].isdigit() and len(time) >= 6:
        date += f"T{time[:2]}:{time[2:4]}:{time[4:6]}"
    photometric, modality = code(header, "PhotometricInterpretation"), code(header, "Modality")
    return {
        "view": view_of(header),
        "date": date,
        "photometric": photometric if photometric in ("MONOCHROME1", "MONOCHROME2", *COLOUR) else "",
        "modality": modality if modality in MODALITIES else "",
        "bits": str(int(header.BitsStored)),
    }


def code(header: Any, name: str) -> str:
    """A code string in capitals, empty where absent."""
    return str(header.get(name) or "").strip().upper()


def _number(header: Any, name: str, usual: float) -> float:
    """The first value of a decimal string."""
    value = header.get(name)
    if value is None or value == "":
        return usual
    if not isinstance(value, (int, float)):
        value = value[0] if len(value) else usual
    number = float(value)
    return number if math.isfinite(number) else usual
