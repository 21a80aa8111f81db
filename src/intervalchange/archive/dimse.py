"""An archive over DIMSE: C-FIND, C-GET and C-STORE by the study root."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom import ALL_TRANSFER_SYNTAXES as ALL_SYNTAXES
from pynetdicom.association import Association
from pynetdicom.presentation import build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # Its names are made when it is imported.
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from intervalchange.archive.films import ArchivedFilm
from intervalchange.archive.interface import MODALITIES, ArchiveError, latest_first
from intervalchange.data.dicom_selection import kind_of

FILMS = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)
RESULTS = (ComprehensiveSRStorage, SecondaryCaptureImageStorage, EncapsulatedPDFStorage)
SECONDS = 60
"""That a message may take."""
OF_STUDY = (
    *("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"),
    *("StudyTime", "StudyDescription", "ModalitiesInStudy"),
)
OF_SERIES = (
    *("SeriesInstanceUID", "Modality", "SeriesDate", "SeriesTime", "SeriesDescription", "ProtocolName"),
    *("BodyPartExamined", "ViewPosition", "SeriesNumber"),
)
OF_FILM = (
    *("SOPInstanceUID", "SOPClassUID", "ImageType", "AcquisitionDate", "AcquisitionTime", "ContentDate"),
    *("ContentTime", "PresentationIntentType", "InstanceNumber", "PatientOrientation", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "BodyPartExamined", "ViewPosition", "ViewCodeSequence"),
    *("AnatomicRegionSequence", "SpecificCharacterSet", "TimezoneOffsetFromUTC"),
)
PENDING = (0xFF00, 0xFF01)
WARNINGS = (0xB000, 0xB006, 0xB007)
"""A store that is done, though something was changed."""


class DimseArchive:
    """See `interface.Archive`. An association is opened for each request and released."""

    def __init__(self, title: str, host: str, port: int, our_title: str) -> None:
        self.title, self.host, self.port, self.our_title = title, host, port, our_title

    def recent_studies(self, since: date | None) -> list[str]:
        """See `interface.Archive`."""
        return self._studies({} if since is None else {"StudyDate": f"{since:%Y%m%d}-"})

    def studies_of(self, patient: str) -> list[str]:
        """See `interface.Archive`."""
        return self._studies({"PatientID": patient})

    def films_of(self, study: str) -> list[ArchivedFilm]:
        """See `interface.Archive`. What an archive says at one level is not asked of it at the next."""
        films = []
        with self._finding() as find:
            at_study = find("STUDY", OF_STUDY, {"StudyInstanceUID": study})
            for series in find("SERIES", OF_SERIES, {"StudyInstanceUID": study}) if at_study else ():
                if kind_of(series) != "radiograph":
                    continue
                within = {"StudyInstanceUID": study, "SeriesInstanceUID": str(series.SeriesInstanceUID)}
                films += [_merged(at_study[0], series, each) for each in find("IMAGE", OF_FILM, within)]
        return [ArchivedFilm(film) for film in films]

    def fetch(self, film: ArchivedFilm) -> bytes:
        """See `interface.Archive`."""
        files: list[bytes] = []

        def keep(event: evt.Event) -> int:
            files.append(event.encoded_dataset())
            return 0x0000

        wanted = _query("IMAGE", {"StudyInstanceUID": film.study, "SeriesInstanceUID": film.series})
        wanted.SOPInstanceUID = film.instance
        contexts = {StudyRootQueryRetrieveInformationModelGet: None, **dict.fromkeys(FILMS, ALL_SYNTAXES)}
        with self._associated(contexts, keep) as association:
            replies = association.send_c_get(wanted, StudyRootQueryRetrieveInformationModelGet)
            status = [int(reply.Status) for reply, _ in replies if "Status" in reply]
        if not status or status[-1] != 0 or len(files) != 1:
            raise ArchiveError("the archive did not send a film.", remedy="See whether it allows C-GET.")
        return files[0]

    def holds(self, study: str, instance: str) -> bool:
        """See `interface.Archive`."""
        with self._finding() as find:
            return bool(find("IMAGE", ("SOPInstanceUID",), {"StudyInstanceUID": study, "SOPInstanceUID": instance}))

    def store(self, objects: Sequence[Dataset]) -> None:
        """See `interface.Archive`."""
        with self._associated(dict.fromkeys(RESULTS)) as association:
            for each in objects:
                status = association.send_c_store(each).get("Status")
                if status not in (0x0000, *WARNINGS):
                    shown = "nothing" if status is None else f"{status:04X}"
                    text = f"the archive was sent an answer and replied {shown}."
                    raise ArchiveError(text, remedy="See whether it accepts structured reports and secondary captures.")

    def _studies(self, filters: Mapping[str, str]) -> list[str]:
        studies = {}
        with self._finding() as find:
            for modality in MODALITIES:
                for study in find("STUDY", OF_STUDY, {**filters, "ModalitiesInStudy": modality}):
                    studies[str(study.StudyInstanceUID)] = study
        return latest_first(list(studies.values()))

    @contextmanager
    def _finding(self) -> Iterator[Any]:
        """(level, what is to be returned, what is to match) -> the matches."""
        model = StudyRootQueryRetrieveInformationModelFind
        with self._associated({model: None}) as association:

            def find(level: str, returned: Sequence[str], matching: Mapping[str, str]) -> list[Dataset]:
                found, status = [], None
                for reply, identifier in association.send_c_find(_query(level, matching, returned), model):
                    status = reply.get("Status")
                    if status in PENDING and identifier is not None:
                        found.append(identifier)
                if status != 0x0000:
                    shown = "nothing" if status is None else f"{status:04X}"
                    raise ArchiveError(f"the archive was queried and replied {shown}.", remedy="See its log.")
                return found

            yield find

    @contextmanager
    def _associated(self, contexts: Mapping[str, Any], keep: Any = None) -> Iterator[Association]:
        """An association with these abstract syntaxes. keep: what is done with a film that comes back."""
        entity = AE(ae_title=self.our_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = SECONDS
        for syntax, transfer in contexts.items():
            entity.add_requested_context(syntax, transfer) if transfer else entity.add_requested_context(syntax)
        roles: list[Any] = [build_role(film, scp_role=True) for film in FILMS] if keep else []
        handlers = [(evt.EVT_C_STORE, keep)] if keep else []
        association = entity.associate(
            self.host,
            self.port,
            ae_title=self.title,
            ext_neg=roles,
            evt_handlers=handlers,  # type: ignore[arg-type]
        )
        if not association.is_established:
            why = "refused the association" if association.is_rejected else "cannot be reached"
            text = f"the archive {self.title} at {self.host}:{self.port} {why}."
            raise ArchiveError(text, remedy=f"See whether it runs and knows the title {self.our_title}.")
        try:
            yield association
        except (RuntimeError, ValueError, AttributeError) as problem:
            text = f"the association with the archive broke off ({type(problem).__name__})."
            raise ArchiveError(text, remedy="See its log.") from None
        finally:
            if association.is_established:
                association.release()


def _query(level: str, matching: Mapping[str, str], returned: Sequence[str] = ()) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for name in returned:
        setattr(query, name, [] if name.endswith("Sequence") else None)
    for name, value in matching.items():
        setattr(query, name, value)
    return query


def _merged(*levels: Dataset) -> Dataset:
    """The elements of all levels; the lower level has the last word, unless it says nothing."""
    merged = Dataset()
    for level in levels:
        for element in level:
            if not element.is_empty or element.tag not in merged:
                merged.add(element)
    return merged
