"""An archive over DICOMweb: QIDO-RS, WADO-RS and STOW-RS."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset

from intervalchange.archive.films import ArchivedFilm
from intervalchange.archive.interface import MODALITIES, ArchiveError, latest_first
from intervalchange.data.dicom import silenced
from intervalchange.data.dicom_selection import kind_of

SECONDS = 60
"""That a request may take."""
AS_STORED = (("application/dicom", "*"),)


class WebArchive:
    """See `interface.Archive`."""

    def __init__(self, url: str, user: str = "") -> None:
        session = requests.Session()
        if user:
            name, _, password = user.partition(":")
            session.auth = (name, password)
        self._client = DICOMwebClient(url.rstrip("/"), session=session, timeout=SECONDS, permissive_uid=True)
        self._client.set_http_retry_params(retry=False)

    def recent_studies(self, since: date | None) -> list[str]:
        """See `interface.Archive`."""
        dated = {} if since is None else {"StudyDate": f"{since:%Y%m%d}-"}
        return self._studies(dated)

    def studies_of(self, patient: str) -> list[str]:
        """See `interface.Archive`."""
        return self._studies({"PatientID": patient})

    def films_of(self, study: str) -> list[ArchivedFilm]:
        """See `interface.Archive`."""
        with _asked("for the films of a study"):
            films: list[ArchivedFilm] = []
            for series in map(_data_set, self._client.search_for_series(study)):
                if kind_of(series) == "radiograph":
                    metadata = self._client.retrieve_series_metadata(study, str(series.SeriesInstanceUID))
                    films += [ArchivedFilm(_data_set(each)) for each in metadata]
        return films

    def fetch(self, film: ArchivedFilm) -> bytes:
        """See `interface.Archive`."""
        with _asked("for a film"):
            data = self._client.retrieve_instance(film.study, film.series, film.instance, media_types=AS_STORED)
            file = io.BytesIO()
            data.save_as(file, enforce_file_format=True)
        return file.getvalue()

    def holds(self, study: str, instance: str) -> bool:
        """See `interface.Archive`."""
        with _asked("for an instance"):
            return bool(self._client.search_for_instances(study, search_filters={"SOPInstanceUID": instance}))

    def store(self, objects: Sequence[Dataset]) -> None:
        """See `interface.Archive`."""
        with _asked("to store an answer"):
            reply = self._client.store_instances(list(objects))
            failed = reply.get("FailedSOPSequence")
        if failed:
            raise ArchiveError(f"the archive refused {len(failed)} of {len(objects)} objects.", remedy="See its log.")

    def _studies(self, filters: dict[str, str]) -> list[str]:
        """By UID, since a study with two modalities is found twice."""
        studies: dict[str, Dataset] = {}
        with _asked("for studies"):
            for modality in MODALITIES:
                for study in self._pages({**filters, "ModalitiesInStudy": modality}):
                    studies[str(study.StudyInstanceUID)] = study
        return latest_first(list(studies.values()))

    def _pages(self, filters: dict[str, str]) -> Iterator[Dataset]:
        """All matches. What an archive sends at once is its own affair: Orthanc 1.10 with a limit sends the first page
        and none behind it. So no limit is set, and more is asked for until nothing new comes."""
        seen: set[str] = set()
        while True:
            found = map(_data_set, self._client.search_for_studies(search_filters=filters, offset=len(seen) or None))
            new = {uid: study for study in found if (uid := str(study.get("StudyInstanceUID", ""))) not in seen}
            if not new:
                return
            yield from new.values()
            seen |= new.keys()


def _data_set(plain: dict[str, Any]) -> Dataset:
    """DICOM JSON, without what only is referenced. One that cannot be read is empty, and so of no use to anybody."""
    nothing: Callable[..., None] = lambda *_: None  # noqa: E731
    try:
        with silenced():
            return Dataset.from_json(plain, bulk_data_uri_handler=nothing)
    except Exception:  # a foreign parser fails in every way there is
        return Dataset()


@contextmanager
def _asked(what: str) -> Iterator[None]:
    try:
        yield
    except requests.HTTPError as problem:
        status = problem.response.status_code if problem.response is not None else "no status"
        raise ArchiveError(f"the archive was asked {what} and answered {status}.", remedy="See its log.") from None
    except requests.RequestException as problem:
        text = f"the archive was asked {what} and did not answer ({type(problem).__name__})."
        raise ArchiveError(text, remedy="See whether it runs.") from None
    except (ValueError, KeyError, AttributeError, OSError, EOFError) as problem:
        text = f"the archive was asked {what} and answered with something else ({type(problem).__name__})."
        raise ArchiveError(text, remedy="See whether the address is that of its DICOMweb service.") from None
