"""The frame that boxes and masks were drawn on, beside the film on disk: scaled where both show the same, else refused.

Many people keep a copy of 224, 512 or 1024 pixels of a data set whose tables are in pixels of the original. A copy that
kept the shape of the film differs from the frame by one factor, but for the rounding of its sides. A copy of another
shape was padded, cut or stretched, and its size does not tell which. Where nobody says the size of the original, boxes
that lie beside the film tell that it is not the one they were drawn on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from intervalchange.data import run_length
from intervalchange.data.film_records import FilmRecord
from intervalchange.data.png_jpeg import size_of_file
from intervalchange.data.readers.source import Frame, Source
from intervalchange.errors import SourceError
from intervalchange.records import Box, Region, Study

BESIDE, BESIDE_OF_MANY, MANY = 0.25, 0.02, 5
"""Share of the films with boxes that may have some beside them: more is no typing error but another size.

From MANY such films on the smaller share counts.
"""
LOOKED_AT = 100
"""Films of which the size is looked at before all are decoded."""
REMEDY = (
    "Give the films as published, or scaled with their shape kept (neither padded, cut nor stretched); "
    "or say `--option copies=stretched` where you know that they were stretched (vindr and the MIMIC family); "
    "or take the boxes away, where they have a file of their own, to prepare the films without."
)
SCALED = "films of another size than the one their boxes were drawn on (their boxes are scaled)"
OTHER_SHAPE = (
    "films of another shape than the one their boxes were drawn on (padded, cut or stretched: their boxes are left out)"
)
TOO_SMALL = "films of which nobody says the original size, with boxes beside them (their boxes are left out)"

Studies = Sequence[tuple[str, Study]]
"""(patient_id, study)."""


@dataclass(frozen=True)
class _Doubts:
    """The films with boxes that cannot be used, and how many of their kind there are."""

    other_shape: list[str]
    """`image, a x b pixels, boxes in c x d`, of films whose frame is known."""
    framed: int
    beside: list[str]
    """The same of films whose frame is unknown."""
    unframed: int

    def refuse(self, where: Path) -> None:
        """Raise SourceError where no film of known frame fits it, or too many of the others have boxes beside them."""
        if self.framed and len(self.other_shape) == self.framed:
            what = f"none of {self.framed} films with boxes has the shape of the films that the boxes were drawn on"
            raise SourceError(f"{what}, e.g. {self.other_shape[0]}.", where=where, remedy=REMEDY)
        if too_many(len(self.beside), self.unframed):
            what = f"{len(self.beside)} of {self.unframed} films with boxes are too small for them"
            raise SourceError(f"{what}, e.g. {self.beside[0]}.", where=where, remedy=REMEDY)


def same_shape(frame: Frame, height: int, width: int) -> bool:
    """Whether a film of this size is the frame at one scale, each side rounded to whole pixels, up or down.

    Or is said to be stretched: then it is the frame at two.
    """
    if frame.stretched:
        return True
    low = max((height - 1) / frame.height, (width - 1) / frame.width)
    return low < min((height + 1) / frame.height, (width + 1) / frame.width)


def lies_beside(box: Box, height: int, width: int) -> bool:
    """Whether the middle of a box is not on a film of this size."""
    return box[0] + box[2] > 2 * width or box[1] + box[3] > 2 * height


def too_many(beside: int, films: int) -> bool:
    """Whether so many of these films have boxes or masks beside them that they are copies of another size."""
    return beside > (BESIDE if beside < MANY else BESIDE_OF_MANY) * films


def scaled(region: Region, frame: Frame, height: int, width: int) -> Region:
    """A region of the frame on a film of this size."""
    wide, high = width / frame.width, height / frame.height
    x1, y1, x2, y2 = region.box
    return replace(
        region, box=(x1 * wide, y1 * high, x2 * wide, y2 * high), rle=_scaled_mask(region, frame, height, width)
    )


def _scaled_mask(region: Region, frame: Frame, height: int, width: int) -> str | None:
    """Each pixel takes what lies under its centre; None where that leaves nothing of a mask."""
    if region.rle is None:
        return None
    mask = run_length.decode(region.rle, frame.height, frame.width)
    rows = ((np.arange(height) + 0.5) * frame.height / height).astype(int)
    columns = ((np.arange(width) + 0.5) * frame.width / width).astype(int)
    small = mask[rows][:, columns]
    return run_length.encode(small) if small.any() else None


def on_films(
    studies: Studies, source: Source, films: Mapping[str, FilmRecord]
) -> tuple[list[tuple[str, Study]], dict[str, int]]:
    """The studies with their regions in pixels of the films on disk, and notes. films: image -> record, as read.

    Raises SourceError where that is wrong of all films, not of a few.
    """
    sizes = {
        image: Frame(record.geometry.height, record.geometry.width)
        for image, record in films.items()
        if record.geometry is not None
    }
    _doubts(
        ((study, sizes[study.image]) for _, study in studies if study.regions and study.image in sizes), source
    ).refuse(source.image_root)
    notes: Counter[str] = Counter()
    fitted = [
        (patient, _fitted(study, source.frames.get(study.image), sizes.get(study.image), notes))
        for patient, study in studies
    ]
    return fitted, dict(notes)


def _fitted(study: Study, frame: Frame | None, size: Frame | None, notes: Counter[str]) -> Study:
    """The study with its regions in pixels of a film of this size, without them where they cannot be placed."""
    if size is None or not study.regions or (frame and (frame.height, frame.width) == (size.height, size.width)):
        return study
    if frame is None:
        if not _beside(study, size):
            return study
        notes[TOO_SMALL] += 1
    elif same_shape(frame, size.height, size.width):
        notes[SCALED] += 1
        return replace(study, regions=tuple(scaled(region, frame, size.height, size.width) for region in study.regions))
    else:
        notes[OTHER_SHAPE] += 1
    return replace(study, regions=())


def _doubts(films: Iterable[tuple[Study, Frame]], source: Source) -> _Doubts:
    """films: studies with regions, each with the size of its film on disk."""
    doubts = _Doubts([], 0, [], 0)
    framed = unframed = 0
    for study, size in films:
        frame = source.frames.get(study.image)
        here = f"{study.image}, {size.width} x {size.height} pixels"
        if frame is None:
            unframed += 1
            if _beside(study, size):
                doubts.beside.append(here)
        else:
            framed += 1
            if not same_shape(frame, size.height, size.width):
                doubts.other_shape.append(f"{here}, boxes in {frame.width} x {frame.height}")
    return replace(doubts, framed=framed, unframed=unframed)


def _beside(study: Study, size: Frame) -> bool:
    return any(lies_beside(region.box, size.height, size.width) for region in study.regions)


def look_before(source: Source) -> None:
    """Raise SourceError where the sizes of a sample of PNG and JPEG files tell what `on_films` would refuse.

    It spares the hours of decoding. A file that cannot be read, or is neither, is passed over.
    """
    studies = {study.image: study for case in source.cases for study in (case.current, case.prior) if study is not None}
    with_regions = [study for study in studies.values() if study.regions]
    sized = []
    for study in with_regions[:: math.ceil(len(with_regions) / LOOKED_AT) or 1]:
        size = size_of_file(source.files.get(study.image, source.image_root / study.image))
        if size is not None:
            sized.append((study, Frame(size[1], size[0])))
    turned = [(study, Frame(size.width, size.height)) for study, size in sized]
    upright, lying = _doubts(sized, source), _doubts(turned, source)
    # A header of EXIF may turn the film.
    doubts = min(upright, lying, key=lambda one: len(one.other_shape) + len(one.beside))
    doubts.refuse(source.image_root)
