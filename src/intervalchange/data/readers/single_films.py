"""Films in DICOM that come without a table of their own: their names on disk, their headers, boxes on them."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intervalchange.data.dicom_selection import named_view
from intervalchange.data.frames import lies_beside, too_many
from intervalchange.data.readers.files import progress, years
from intervalchange.data.readers.folders import films_by_name, is_clutter
from intervalchange.data.readers.source import Frame
from intervalchange.errors import SourceError
from intervalchange.records import Box

READ = ("PatientAge", "PatientSex", "ViewPosition", "Rows", "Columns")
PARTS = frozenset({"train", "val", "valid", "test", "dev"})
"""Folders of the parts of a data set."""
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
    folder: Path,
    stems: Mapping[str, str],
    endings: Sequence[str],
    tables_only: bool,
    remedy: str,
    named_in: str = "the labels",
) -> dict[str, str]:
    """Image id -> path under the folder: where its stem says, else wherever below the folder a film of its name is.

    stems: image id -> path without ending. endings: in lower case, the better one first. A film that is nowhere keeps
    its stem, with the first of the endings. Raises SourceError where none is there, unless tables_only.
    """
    paths = {image: stem + endings[0] for image, stem in stems.items()}
    if tables_only:
        return paths
    listed = {parent: films_in(folder / parent, endings) for parent in {_parent(stem) for stem in stems.values()}}
    at_stem = {
        image: listed[_parent(stem)][name]
        for image, stem in stems.items()
        if (name := _name(stem)) in listed[_parent(stem)]
    }
    on_disk = {
        image: f"{parent}/{at_stem[image]}" if (parent := _parent(stems[image])) else at_stem[image]
        for image in at_stem
    }
    if len(on_disk) < len(stems):
        on_disk = _elsewhere(films_by_name(folder, endings), stems) | on_disk
    if stems and not on_disk:
        raise SourceError(f"none of the films of {named_in} is here.", where=folder, remedy=remedy)
    return paths | on_disk


def _elsewhere(films: Mapping[str, Sequence[str]], stems: Mapping[str, str]) -> dict[str, str]:
    """Image id -> path of a film of its name that is below a folder of its part, or below none of another part.

    Films of different parts may have the same name: one is never taken for the other.
    """
    paths = {}
    for image, stem in stems.items():
        parts = [(path, {part.lower() for part in path.split("/")[:-1]} & PARTS) for path in films.get(_name(stem), ())]
        own = [path for path, of in parts if _parent(stem).lower() in of]
        neutral = [path for path, of in parts if not of or not _parent(stem)]
        if own or neutral:
            paths[image] = (own or neutral)[0]
    return paths


def _parent(stem: str) -> str:
    return stem.rpartition("/")[0]


def _name(stem: str) -> str:
    return stem.rpartition("/")[2]


def films_in(folder: Path, endings: Sequence[str]) -> dict[str, str]:
    """Name without ending -> name of the films of one folder, by the earliest of the endings (in lower case)."""
    films: dict[str, str] = {}
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    for ending in reversed(endings):
        films |= {
            name[: -len(ending)]: name for name in names if name.lower().endswith(ending) and not is_clutter(name)
        }
    return films


def read_headers(root: Path, images: Mapping[str, str], notes: Counter[str]) -> dict[str, FilmHeader]:
    """Image id -> header of its DICOM file, read without the pixels; empty, and counted, where it cannot be read.

    images: image id -> path under root. Files of another kind (.png, .jpg) have no header and are passed over.
    """
    headers = {}
    for image, path in progress(images.items(), "headers", len(images), MANY):
        headers[image] = FilmHeader()
        if path.lower().endswith((".dcm", ".dicom")):
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


def drawn_on(boxes: Mapping[str, Sequence[Box]], headers: Mapping[str, FilmHeader], side: int) -> dict[str, Frame]:
    """Image id -> the film that its boxes were drawn on, of a data set whose films are all squares of `side` pixels.

    A DICOM of another size is a film of its own, unless the boxes of the set say that it is a smaller copy.
    """
    sizes = {image: Frame(header.height, header.width) for image, header in headers.items() if header.height}
    boxed = [image for image, several in boxes.items() if several and image in sizes]
    beside = sum(any(lies_beside(box, sizes[i].height, sizes[i].width) for box in boxes[i]) for i in boxed)
    published = Frame(side, side)
    copies = too_many(beside, len(boxed))
    return {image: published if copies else sizes.get(image, published) for image in boxes}


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
