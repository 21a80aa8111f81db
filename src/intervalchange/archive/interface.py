"""What the project asks of an archive, over DICOMweb or over DIMSE."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Protocol

from intervalchange.archive.films import ArchivedFilm
from intervalchange.errors import ConfigError, IntervalChangeError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MODALITIES = ("CR", "DX", "DR")
"""Of the studies that are looked for."""
USER = "INTERVALCHANGE_ARCHIVE_USER"
OUR_TITLE = "INTERVALCHANGE"
FORMS = "Write http://HOST:PORT/dicom-web, or dicom://TITLE@HOST:PORT."


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


def open_archive(address: str, title: str = OUR_TITLE) -> Archive:
    """The archive at an address: `http(s)://...` is DICOMweb, `dicom://TITLE@HOST:PORT` is DIMSE.

    title: our own application entity title. The name and password of DICOMweb are in the environment variable USER, as
    name:password. Raises ConfigError for another form.
    """
    try:
        parts = urllib.parse.urlsplit(address)
        port = parts.port
    except ValueError as problem:
        raise ConfigError(f"{problem}.", where=address, remedy=FORMS) from None
    if parts.scheme in ("http", "https") and parts.hostname:
        if "@" in parts.netloc:  # The address is printed, so it is not repeated here.
            raise ConfigError("the address of an archive holds no password.", remedy=f"Put name:password into {USER}.")
        from intervalchange.archive.web import WebArchive

        return WebArchive(address, os.environ.get(USER, ""))
    if parts.scheme == "dicom" and parts.hostname and parts.username and port:
        from intervalchange.archive.dimse import DimseArchive

        return DimseArchive(parts.username, parts.hostname, port, title)
    raise ConfigError("this is no address of an archive.", where=address, remedy=FORMS)


def latest_first(studies: Sequence[Dataset]) -> list[str]:
    """UIDs of studies, by date and time; those without a date last."""

    def when(study: Dataset) -> tuple[str, str]:
        return (str(study.get("StudyDate") or ""), str(study.get("StudyTime") or ""))

    return [str(study.StudyInstanceUID) for study in sorted(studies, key=when, reverse=True)]
