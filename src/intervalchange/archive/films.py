"""A film as an archive describes it: by its header, without pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intervalchange.data.dicom_selection import View, header_text, kind_of, part_of_body, view_of
from intervalchange.data.readers.dicom_headers import choice
from intervalchange.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

UNSAID = "whose headers do not say that they are frontal and of the chest"


@dataclass(frozen=True)
class ArchivedFilm:
    """A film in an archive. What its header says of the patient is not in its `repr`."""

    header: Dataset = field(repr=False)

    @property
    def study(self) -> str:
        """UID of its study, empty where none is given."""
        return header_text(self.header, "StudyInstanceUID")

    @property
    def series(self) -> str:
        """UID of its series."""
        return header_text(self.header, "SeriesInstanceUID")

    @property
    def instance(self) -> str:
        """UID of its own."""
        return header_text(self.header, "SOPInstanceUID")

    @property
    def patient(self) -> str:
        """PatientID as it is written."""
        return header_text(self.header, "PatientID")

    @property
    def issuer(self) -> str:
        """Who issued the PatientID, empty where nobody says so."""
        return header_text(self.header, "IssuerOfPatientID")

    @property
    def view(self) -> View:
        """PA, AP, frontal, lateral, either, or empty."""
        return view_of(self.header)

    @property
    def megabytes(self) -> float:
        """Of its pixels, uncompressed; 0 where the header does not say."""
        sides = [self.header.get(name) for name in ("Rows", "Columns", "BitsAllocated")]
        rows, columns, bits = (side if isinstance(side, int) else 0 for side in sides)
        return rows * columns * bits / 8e6


def why_not_frontal(film: ArchivedFilm, take_unsaid: bool = False) -> str:
    """Why a film is no frontal radiograph of the chest, in words that follow "films"; empty where it is one.

    take_unsaid: films whose headers name neither view nor part of the body are taken for one. Nobody looks at what a
    watcher takes, so what is not said is refused without it.
    """
    if kind_of(film.header) != "radiograph":
        return "of another modality"
    if header_text(film.header, "NumberOfFrames") not in ("", "0", "1"):
        return "of several frames"
    part, view = part_of_body(film.header), film.view
    if part == "other":
        return "of another part of the body"
    if view == "lateral":
        return "that are lateral"
    if view == "either":
        return "that may be lateral"
    return UNSAID if not take_unsaid and (part != "chest" or not view) else ""


def frontal_film(films: Iterable[ArchivedFilm], take_unsaid: bool = False) -> ArchivedFilm:
    """The film of a study that is asked about: PA rather than AP, for display, original, the first.

    Raises InputError, with the reasons, where no film of the study is a frontal one of the chest.
    """
    refused: Counter[str] = Counter()
    frontal = []
    for film in films:
        why = why_not_frontal(film, take_unsaid)
        if why:
            refused[why] += 1
        else:
            frontal.append(film)
    if not frontal:
        raise InputError(f"the study has no frontal chest film{listed(refused)}.")
    return min(frontal, key=in_study)


def in_study(film: ArchivedFilm) -> tuple[int | str, ...]:
    """The smallest one of a study is taken."""
    return (*choice(film.header, film.view if film.view in ("PA", "AP") else ""), film.instance)


def listed(refused: Counter[str], begin: str = ": films ") -> str:
    """`: films that are lateral (2), of several frames (1)`; empty where nothing was refused."""
    return begin + ", ".join(f"{why} ({count})" for why, count in refused.items()) if refused else ""
