"""Data sets of single films in DICOM that come without a table of their films: headers, boxes, and one case a film."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from intervalchange.data.dicom import FRONTAL
from intervalchange.data.readers import cases
from intervalchange.errors import SourceError
from intervalchange.records import Box, Case, Study

READ = ("PatientAge", "PatientSex", "ViewPosition", "Rows", "Columns")
OLDEST = 120
"""Years; what a header says beyond is a slip of the keyboard."""
PER_YEAR = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
PROBED = 200
"""How many films are looked for to learn their ending."""
MANY = 2000
"""From this many headers on, a progress bar is shown."""


@dataclass(frozen=True, slots=True)
class FilmHeader:
    """What is asked of the header of a film."""

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
    found = next((one for one in endings if any((folder / f"{stem}{one}").is_file() for stem in probed)), "")
    if stems and not found and not tables_only:
        raise SourceError("none of the films that the labels name is here.", where=folder, remedy=remedy)
    return {image: stem + (found or endings[0]) for image, stem in stems.items()}


def headers(root: Path, images: Mapping[str, str], notes: Counter[str]) -> dict[str, FilmHeader]:
    """Image id -> header of its DICOM file, read without the pixels; empty, and counted, where it cannot be read.

    images: image id -> path under root. Files of another kind (.png, .jpg) have no header and are passed over.
    """
    from rich.console import Console
    from rich.progress import track

    shown = track(images.items(), "headers", len(images), console=Console(stderr=True), disable=len(images) < MANY)
    found = {}
    for image, path in shown:
        found[image] = FilmHeader()
        if path.endswith((".dcm", ".dicom")):
            try:
                found[image] = read_header(root / path, notes)
            except Exception:  # a foreign parser fails in every way there is; prepare says what is wrong with the film
                notes["films that are missing or whose header cannot be read"] += 1
    return found


def read_header(path: Path, notes: Counter[str]) -> FilmHeader:
    """The header of one DICOM file. Raises whatever pydicom raises, or OSError."""
    import pydicom

    data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(READ))

    def text(name: str) -> str:
        # As it is written: pydicom would complain of an age of plain digits.
        item = data.get_item(name)
        value = "" if item is None or item.value is None else item.value
        return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip("\0 ").upper()

    view, sex = text("ViewPosition"), text("PatientSex")
    return FilmHeader(
        view=view[:2] if view in FRONTAL and view[:2] in ("PA", "AP") else "",
        frontal=view in FRONTAL,
        height=int(data.get("Rows") or 0),
        width=int(data.get("Columns") or 0),
        age=years(text("PatientAge"), notes),
        sex=sex if sex in ("F", "M") else "",
    )


def years(text: str, notes: Counter[str]) -> float:
    """`051Y`, `018M` or plain `51` -> years; NaN for nothing, nought years, and ages that nobody reaches."""
    said = re.fullmatch(r"(\d{1,3})([YMWD]?)", text)
    if said is None:
        return math.nan
    years = float(math.floor(int(said[1]) / PER_YEAR[said[2]]))
    if years > OLDEST:
        notes[f"ages over {OLDEST} years (unknown)"] += 1
        return math.nan
    return math.nan if int(said[1]) == 0 else years


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


def number(text: str) -> float:
    """A cell as a number, NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def film_case(study: Study, patient: str, *, normal: bool, split: str = "") -> Case:
    """One film and what is seen on it.

    normal: whether the labels say that nothing is wrong. A film without a named finding that is not said to be normal
    has an empty answer: "no abnormality" would be more than anybody has looked for.
    """
    case = cases.film_case(study, patient, split)
    return replace(case, answer="") if case.answer == cases.NOTHING_SEEN and not normal else case


def need_columns(table: pd.DataFrame, columns: Iterable[str], path: Path, remedy: str) -> None:
    """Raise SourceError where a table lacks columns."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise SourceError(f"columns {', '.join(missing)} are missing.", where=path, remedy=remedy)
