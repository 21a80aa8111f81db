"""A chest film from a DICOM file: [0, 1], white = dense, and nothing of the header that names a person.

The header is checked before a pixel is decoded: size, frames, bits, modality, transfer syntax, and what the compressed
stream itself claims. The file is read as a whole first (its size is capped), so that no length in it can make the
parser allocate more than there is. Error texts never quote header values other than codes of the standard.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from intervalchange.data.decoded_film import DecodedFilm, check_size, refuse_unless
from intervalchange.data.dicom_grey import COLOUR, grey, upright
from intervalchange.data.dicom_selection import (
    FORCIBLE,
    NOTHING_MORE,
    OTHERS,
    RADIOGRAPHS,
    UNSAID,
    Admitted,
    kind_of,
    modality_of,
    part_of_body,
    says_a_view,
    view_of,
)
from intervalchange.data.dicom_stream import (
    CONVERT,
    DAMAGED,
    ELSEWHERE,
    check_syntax,
    decode_elsewhere,
    decode_here,
    decoding_of,
    lacks_preamble,
    pixels_only,
    with_preamble,
)
from intervalchange.errors import ImageError

PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", *COLOUR)
NEEDED = ("Rows", "Columns", "BitsAllocated")
UNREAD = ("PALETTE COLOR", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "HSV", "ARGB", "CMYK", "XYB")
"""What an error may name."""
USUAL = {"SamplesPerPixel": 1, "PixelRepresentation": 0, "PlanarConfiguration": 0}
"""What pydicom needs and some files leave out: what it is in nearly all others."""

_one_at_a_time = threading.Lock()
"""Python's warning filters are shared by all threads."""


DUMMY_DATES = ("19010101",)
"""Dates that stand for none: RSNA's films all have this one."""


def read_dicom(
    path: Path, force: bool = False, admitted: Admitted = NOTHING_MORE, as_stored: bool = False
) -> DecodedFilm:
    """One single-frame chest radiograph. Called by `film_files.read_film`, which has checked the size of the file."""
    data = path.read_bytes()
    bare = lacks_preamble(data[:132])
    complaints: list[warnings.WarningMessage] = []
    with _guarded(path, complaints):
        header = _parsed(with_preamble(data), path)
        notes = _check_header(header, path, force, admitted)
        decoding = decoding_of(header, path)
        if decoding.plugin not in ELSEWHERE:
            decoded = decode_here(header, decoding)
    if decoding.plugin in ELSEWHERE:
        with _guarded(path, complaints):
            film = pixels_only(header, decoding)
        decoded = decode_elsewhere(film, decoding, path)
    with _guarded(path, complaints):
        pixels, pixel_notes = _upright_grey(header, decoded, path, force, as_stored)
        facts = _facts(header)
    notes += pixel_notes
    if bare:
        notes.append("the file is DICOM without its preamble")
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
        except NotImplementedError:
            what = "it is stored in a way that is not read here."
            raise ImageError(what, where=path, remedy=CONVERT) from None
        except Exception as error:  # foreign code fails in every way there is
            # Not chained: the message of a parser may quote the header.
            kind = type(error).__name__
            raise ImageError(f"the DICOM file is damaged or cut short ({kind}).", where=path, remedy=DAMAGED) from None
        complaints += caught


def _parsed(data: bytes, path: Path) -> Any:
    """The data set, once its transfer syntax is known to be readable; its photometric interpretation in capitals."""
    import pydicom

    check_syntax(data, path)
    header = pydicom.dcmread(io.BytesIO(data))
    for name, value in USUAL.items():
        if header.get(name) is None:
            setattr(header, name, value)
    header.PhotometricInterpretation = code(header, "PhotometricInterpretation").replace("MONOCHROME ", "MONOCHROME")
    return header


def _check_header(header: Any, path: Path, force: bool, admitted: Admitted) -> list[str]:
    """Refuse what is not a single chest film before it is decoded; warnings for what was forced or is not stated."""
    notes = []
    kind, modality = kind_of(header, admitted), modality_of(header)
    if kind == "other":
        named = modality if modality in OTHERS else "in its header"
        what = f"the modality {named} is not a radiograph"
        notes.append(refuse_unless(force and modality in FORCIBLE, path, what, "Give a CR or DX chest film."))
    if "PixelData" not in header:
        raise ImageError("there are no pixels in it.", where=path, remedy="Export the film with its image.")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"it holds {frames} frames.", where=path, remedy="Give a single-frame film.")
    _check_description(header, path)
    if part_of_body(header, admitted) == "other":
        notes.append(refuse_unless(force, path, "the header says another part of the body"))
    elif part_of_body(header, admitted) == "unknown":
        notes.append("the header names a part of the body that is not known here: taken as the chest")
    view = view_of(header, admitted)
    if view == "lateral":
        notes.append(refuse_unless(force, path, "the header says that the view is not frontal"))
    elif view == "either":
        notes.append("the header names a frontal view and another: taken as frontal")
    elif not view and says_a_view(header):
        notes.append("the header names a view that is not known here: taken as frontal")
    if kind == "unknown":
        notes.append("the header does not say that this is a radiograph")
    return notes


def _check_description(header: Any, path: Path) -> None:
    """Size, bits and photometric interpretation of the pixels."""
    missing = [name for name in NEEDED if header.get(name) is None]
    if missing:
        what = f"its header does not say {', '.join(missing)}: it is damaged, or was never complete."
        raise ImageError(what, where=path, remedy=DAMAGED)
    check_size(path, int(header.Columns), int(header.Rows))
    if header.get("BitsStored") is None:
        header.BitsStored = header.BitsAllocated
    layout = (int(header.BitsAllocated), int(header.SamplesPerPixel))
    if layout not in ((8, 1), (16, 1), (8, 3)) or not 1 <= int(header.BitsStored) <= layout[0]:
        what = f"{layout[1]} x {layout[0]} bits a pixel, {header.BitsStored} stored, is no film that is read here."
        raise ImageError(what, where=path, remedy="Export it with 8 to 16 bits.")
    photometric = header.PhotometricInterpretation
    if not photometric:
        what = "its header does not say whether low values are black or white (PhotometricInterpretation)."
        raise ImageError(what, where=path, remedy="Export it again, or add the element: MONOCHROME2 where 0 is black.")
    if photometric not in PHOTOMETRIC or (photometric in COLOUR) != (layout[1] == 3):
        named = f" ({photometric})" if photometric in (*PHOTOMETRIC, *UNREAD) else ""
        what = f"its photometric interpretation{named} is not read here."
        raise ImageError(what, where=path, remedy="Export it in grey.")


def _upright_grey(
    header: Any, decoded: np.ndarray, path: Path, force: bool, as_stored: bool
) -> tuple[np.ndarray, list[str]]:
    """(h, w) float32 in [0, 1], white = dense; turned as the header says, unless it is a view from the side."""
    if decoded.shape[:2] != (int(header.Rows), int(header.Columns)):
        raise ImageError("its pixels do not have the size of its header.", where=path, remedy=DAMAGED)
    pixels, notes = grey(header, decoded, path, force)
    if view_of(header) == "lateral":
        return pixels, notes
    pixels, turned = upright(pixels, header, as_stored)
    return pixels, notes + turned


def _facts(header: Any) -> dict[str, str]:
    """All of the header that leaves the reader."""
    date, time = (str(header.get(name) or "") for name in ("StudyDate", "StudyTime"))
    date = "" if date in DUMMY_DATES else date
    date = f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else ""
    if date and time[:6].isdigit() and len(time) >= 6:
        date += f"T{time[:2]}:{time[2:4]}:{time[4:6]}"
    modality, view = modality_of(header), view_of(header)
    return {
        "view": view if view in ("PA", "AP") else "",
        "date": date,
        "photometric": header.PhotometricInterpretation,
        "modality": modality if modality in (*RADIOGRAPHS, *UNSAID, *OTHERS) else "",
        "bits": str(int(header.BitsStored)),
    }


def code(header: Any, name: str) -> str:
    """A code string in capitals, empty where absent."""
    return str(header.get(name) or "").strip().upper()
