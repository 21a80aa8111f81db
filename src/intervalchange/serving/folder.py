"""Films in a folder in, answers in a folder out: the contract of routers that run a container on what arrives."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from intervalchange.archive.films import ArchivedFilm
from intervalchange.archive.interface import Archive, latest_first
from intervalchange.atomic_files import write_durably
from intervalchange.data.dicom import silenced
from intervalchange.data.dicom_selection import kind_of
from intervalchange.data.dicom_stream import is_dicom
from intervalchange.errors import SourceError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class FolderArchive:
    """See `archive.interface.Archive`: what is in `inside`, and `archive` for priors that are not; answers go into
    `outside`."""

    def __init__(self, inside: Path, outside: Path, archive: Archive | None = None) -> None:
        """Raises SourceError where `inside` is no folder or holds no radiograph."""
        if not inside.is_dir():
            raise SourceError("no such folder.", where=inside, remedy="Give the folder that the films are in.")
        outside.mkdir(parents=True, exist_ok=True)
        self.outside, self.archive = outside, archive
        self._films = dict(_radiographs(inside))
        if not self._films:
            raise SourceError("there is no radiograph in DICOM.", where=inside)

    def newest_studies(self) -> list[str]:
        """The last study of each patient in the folder."""
        patients = {film.patient for film in self._films.values()}
        return sorted(self._here(patient)[0] for patient in patients)

    def recent_studies(self, since: date | None) -> list[str]:
        """All that are in the folder, whatever their date."""
        return latest_first([film.header for film in self._films.values()])

    def studies_of(self, patient: str) -> list[str]:
        """See `archive.interface.Archive`."""
        here = self._here(patient)
        return [
            *here,
            *(study for study in (self.archive.studies_of(patient) if self.archive else ()) if study not in here),
        ]

    def films_of(self, study: str) -> list[ArchivedFilm]:
        """See `archive.interface.Archive`."""
        here = [film for film in self._films.values() if film.study == study]
        return here or (self.archive.films_of(study) if self.archive else [])

    def fetch(self, film: ArchivedFilm) -> bytes:
        """See `archive.interface.Archive`."""
        path = next((path for path, own in self._films.items() if own.instance == film.instance), None)
        if path is None:
            assert self.archive is not None
            return self.archive.fetch(film)
        return path.read_bytes()

    def holds(self, study: str, instance: str) -> bool:
        """Whether it was written here already."""
        return any(self.outside.glob(f"*-{instance}.dcm"))

    def store(self, objects: Sequence[Dataset]) -> None:
        """Write them, each under its modality and UID: SR-1.2.3.dcm."""
        for each in objects:
            file = io.BytesIO()
            each.save_as(file, enforce_file_format=True)
            write_durably(self.outside / f"{each.Modality}-{each.SOPInstanceUID}.dcm", file.getvalue())

    def _here(self, patient: str) -> list[str]:
        own = [film.header for film in self._films.values() if film.patient == patient]
        return list(dict.fromkeys(latest_first(own)))


def _radiographs(folder: Path) -> Iterable[tuple[Path, ArchivedFilm]]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            if not is_dicom(file.read(132)):
                continue
        try:
            with silenced():
                header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        except Exception:  # a foreign parser fails in every way there is
            continue
        if kind_of(header) == "radiograph" and header.get("StudyInstanceUID") and header.get("SOPInstanceUID"):
            yield path, ArchivedFilm(header)
