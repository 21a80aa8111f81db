"""An archive in memory that does as it is told, and can be down."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import pydicom
from film_files import chest
from pydicom.dataset import Dataset

from intervalchange.archive.films import ArchivedFilm
from intervalchange.archive.interface import ArchiveError, latest_first
from intervalchange.serving.watcher import Outcome, Watcher
from intervalchange.simulation.dicom_files import dicom_bytes, uid


def film_file(
    study: str, day: str, person: str = "A1", seed: int = 0, pixels: np.ndarray | None = None, **elements: object
) -> bytes:
    """A frontal chest film, of noise unless pixels are given."""
    ids = {"study_uid": uid(study), "instance_uid": uid(study, "film")}
    pixels = chest(48, 40, seed=seed) if pixels is None else pixels
    return dicom_bytes(
        pixels, patient_id=person, study_date=day, study_time="081500", modality="DX", **ids, elements=elements
    )


class MemoryArchive:
    """See `archive.interface.Archive`."""

    def __init__(self, *films: bytes) -> None:
        self.down = False
        self.stored: list[str] = []
        """UIDs in the order in which they came, each time again."""
        self.objects: dict[str, Dataset] = {}
        self.files: dict[str, bytes] = {}
        for film in films:
            self.add(film)

    def add(self, file: bytes) -> None:
        film = ArchivedFilm(pydicom.dcmread(io.BytesIO(file)))
        self.files[film.instance] = file

    @property
    def films(self) -> list[ArchivedFilm]:
        if self.down:
            raise ArchiveError("the archive is down.")
        return [ArchivedFilm(pydicom.dcmread(io.BytesIO(file))) for file in self.files.values()]

    def recent_studies(self, since: date | None) -> list[str]:
        return list(dict.fromkeys(film.study for film in self.films))

    def studies_of(self, patient: str) -> list[str]:
        return latest_first([film.header for film in self.films if film.patient == patient])

    def films_of(self, study: str) -> list[ArchivedFilm]:
        return [film for film in self.films if film.study == study]

    def fetch(self, film: ArchivedFilm) -> bytes:
        assert self.films
        return self.files[film.instance]

    def holds(self, study: str, instance: str) -> bool:
        return bool(self.films) and instance in self.objects and self.objects[instance].StudyInstanceUID == study

    def store(self, objects: Sequence[Dataset]) -> None:
        assert self.films
        for each in objects:
            self.stored.append(each.SOPInstanceUID)
            self.objects.setdefault(each.SOPInstanceUID, each)


def two_visits() -> MemoryArchive:
    """An archive with two studies of a patient."""
    return MemoryArchive(film_file("first", "20300101", seed=1), film_file("second", "20300301", seed=2))


def looks_once(watcher: Watcher, say: Callable[[str], None], report: Callable[[Outcome], None]) -> None:
    """In place of `watch`, which goes on until it is stopped."""
    for outcome in watcher.step():
        say(outcome.line)
        report(outcome)
