"""What the project asks of an archive, over DICOMweb or over DIMSE."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Protocol

from intervalchange.archive.films import ArchivedFilm
from intervalchange.errors import IntervalChangeError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MODALITIES = ("CR", "DX", "DR")
"""Of the studies that are looked for."""


class ArchiveError(IntervalChangeError):
    """The archive cannot be reached, or does not do what it is asked: worth another try later."""


class Archive(Protocol):
    """An archive that keeps studies. All methods raise ArchiveError."""

    def recent_studies(self, since: date | None) -> list[str]:
        """UIDs of the studies with radiographs of that date or later; of all of them for None."""

    def studies_of(self, patient: str) -> list[str]:
        """UIDs of the studies of a PatientID that hold radiographs, the latest first, those without a date last."""

    def films_of(self, study: str) -> list[ArchivedFilm]:
        """Its radiographs, by their headers."""

    def fetch(self, film: ArchivedFilm) -> bytes:
        """The DICOM file of a film."""

    def holds(self, study: str, instance: str) -> bool:
        """Whether the study has an instance of this UID."""

    def store(self, objects: Sequence[Dataset]) -> None:
        """Keep these. One that is there already changes nothing."""


def latest_first(studies: Sequence[Dataset]) -> list[str]:
    """UIDs of studies, by date and time; those without a date last."""

    def when(study: Dataset) -> tuple[str, str]:
        return (str(study.get("StudyDate") or ""), str(study.get("StudyTime") or ""))

    return [str(study.StudyInstanceUID) for study in sorted(studies, key=when, reverse=True)]
