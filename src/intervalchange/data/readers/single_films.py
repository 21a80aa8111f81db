"""Films in DICOM that come without a table of their own: their names on disk, their headers, boxes on them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from intervalchange.data.dicom_selection import named_view
from intervalchange.data.readers.files import PROBED, progress, years
from intervalchange.errors import SourceError
from intervalchange.records import Box

READ = ("PatientAge", "PatientSex", "ViewPosition", "Rows", "Columns")
MANY = 2000
"""From this many headers on, a progress bar is shown."""


@dataclass(frozen=True, slots=True)
class FilmHeader:
    """What the readers need of the header of a film."""

    view: str = ""
    """PA, AP, or empty where unknown."""
    frontal: bool = True
    """False where the header says another view."""
    height: int = 0
    """Pixels of the film; 0 where unknown."""
    width: int = 0
    age: float = math.nan
    """Years."""
    sex: str = ""
    """F, M, or empty."""


def film_paths(
    folder: Path, stems: Mapping[str, str], endings: Iterable[str], tables_only: bool, remedy: str
) -> dict[str, str]:
    """Image id -> file under the folder, by the first of the endings that films are found with.

    stems: image id -> path without ending. Some hundred films are looked for. Raises SourceError where none is there,
    unless tables_only.
    """
    endings = tuple(endings)
    probed = list(stems.values())[:: max(1, len(stems) // PROBED)]
    on_disk = (ending for ending in endings if any((folder / f"{stem}{ending}").is_file() for stem in probed))
    ending = next(on_disk, "")
    if stems and not ending and not tables_only:
        raise SourceError("none of the films that the labels name is here.", where=folder, remedy=remedy)
    return {image: stem + (ending or endings[0]) for image, stem in stems.items()}


def read_headers(root: Path, images: Mapping[str, str], notes: Counter[str]) -> dict[str, FilmHeader]:
    """Image id -> header of its DICOM file, read without the pixels; empty, and counted, where it cannot be read.

    images: image id -> path under root. Files of another kind (.png, .jpg) have no header and are passed over.
    """
    headers = {}
    for image, path in progress(images.items(), "headers", len(images), MANY):
        headers[image] = FilmHeader()
        if path.endswith((".dcm", ".dicom")):
            try:
                headers[image] = read_header(root / path, notes)
            except Exception:  # a foreign parser fails in every way there is; prepare says what is wrong with the film
                notes["films that are missing or whose header cannot be read"] += 1
    return headers


def frontal(
    images: Iterable[str], headers: Mapping[str, FilmHeader], notes: Counter[str]
) -> Iterator[tuple[str, FilmHeader]]:
    """The images that no header calls another view than a frontal one, each with its header; the others are counted."""
    for image in images:
        header = headers.get(image, FilmHeader())
        if header.frontal:
            yield image, header
        else:
            notes["films that are not frontal (left out)"] += 1


def read_header(path: Path, notes: Counter[str]) -> FilmHeader:
    """The header of one DICOM file. Raises whatever pydicom raises, or OSError."""
    import pydicom

    data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(READ))

    def text(name: str) -> str:
        # As it is written: pydicom would complain of an age of plain digits.
        item = data.get_item(name)
        value = "" if item is None or item.value is None else item.value
        return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip("\0 ").upper()

    view, sex = named_view(text("ViewPosition")), text("PatientSex")
    return FilmHeader(
        view=view if view in ("PA", "AP") else "",
        frontal=view != "lateral",
        height=int(data.get("Rows") or 0),
        width=int(data.get("Columns") or 0),
        age=years(text("PatientAge"), notes),
        sex=sex if sex in ("F", "M") else "",
    )


def within_film(box: Box, height: int, width: int, notes: Counter[str]) -> Box | None:
    """The part of a box that lies on the film; None where nothing is left. Both are counted.

    height, width: 0 where unknown; then only what is left of and above the film is cut.
    """
    if any(math.isnan(edge) for edge in box):
        notes["boxes that cannot be read (left out)"] += 1
        return None
    x1, x2 = (min(max(edge, 0.0), float(width or math.inf)) for edge in (box[0], box[2]))
    y1, y2 = (min(max(edge, 0.0), float(height or math.inf)) for edge in (box[1], box[3]))
    if x2 <= x1 or y2 <= y1:
        notes["boxes without an area on the film (left out)"] += 1
        return None
    if (x1, y1, x2, y2) != box:
        notes["boxes that leave the film (clipped)"] += 1
    return x1, y1, x2, y2
