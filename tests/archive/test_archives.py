"""DICOMweb and DIMSE say the same of one archive."""

from __future__ import annotations

import io
from datetime import date

import pydicom
import pytest
from film_files import chest
from orthanc import Orthanc
from pydicom.dataset import Dataset

from intervalchange.archive.addresses import open_archive
from intervalchange.archive.films import ArchivedFilm, why_not_frontal
from intervalchange.archive.interface import Archive, ArchiveError
from intervalchange.archive.priors import choose_prior
from intervalchange.errors import ConfigError, InputError
from intervalchange.simulation.dicom_files import dicom_bytes, uid

pytestmark = pytest.mark.slow
"""Orthanc has to start, and every association takes its time."""


def film(study: str, day: str, person: str = "A1", name: str = "", **elements: object) -> bytes:
    ids = {"study_uid": uid(study), "instance_uid": uid(study, name), "series_uid": uid(study, name, "series")}
    return dicom_bytes(
        chest(48, 40), patient_id=person, study_date=day, study_time="081500", modality="DX", bits=12, **ids,
        elements={"PatientBirthDate": "19700101", **elements},
    )  # fmt: skip


FILMS = {
    "first": film("first", "20300101"),
    "second": film("second", "20300201", name="frontal"),
    "lateral": film("second", "20300201", name="lateral", ViewPosition="LL"),
    "undated": film("undated", ""),
    "new": film("new", "20300301", ViewPosition="", PatientOrientation=["L", "F"]),
    "other": film("other", "20300115", person="A12"),
    "star": film("star", "20300115", person="A*"),
}


@pytest.fixture(scope="module")
def filled(orthanc: Orthanc) -> Orthanc:
    for file in FILMS.values():
        orthanc.add(file)
    orthanc.add(film("slices", "20300102", Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"))
    return orthanc


@pytest.fixture(params=["web", "dimse"])
def archive(filled: Orthanc, request: pytest.FixtureRequest) -> Archive:
    return open_archive(getattr(filled, request.param))


def test_studies_with_radiographs_since_a_day(archive: Archive) -> None:
    everything = [uid(study) for study in ("new", "second", "other", "star", "first", "undated")]
    assert sorted(archive.recent_studies(None)) == sorted(everything)
    assert archive.recent_studies(date(2030, 2, 1)) == [uid("new"), uid("second")]
    assert archive.recent_studies(date(2031, 1, 1)) == []


def test_the_studies_of_a_patient_come_latest_first(archive: Archive) -> None:
    assert archive.studies_of("A1") == [uid(study) for study in ("new", "second", "first", "undated")]
    assert archive.studies_of("nobody") == []


def test_headers_say_what_the_choice_needs(archive: Archive) -> None:
    films = archive.films_of(uid("second"))
    assert sorted((each.view, why_not_frontal(each)) for each in films) == [("PA", ""), ("lateral", "that are lateral")]
    (new,) = archive.films_of(uid("new"))
    assert (new.view, new.patient, new.study, round(new.megabytes, 4)) == ("frontal", "A1", uid("new"), 0.0038)
    assert new.instance == uid("new", "")


def test_the_prior_is_found(archive: Archive) -> None:
    (new,) = archive.films_of(uid("new"))
    found = choose_prior(new, map(archive.films_of, archive.studies_of(new.patient)))
    assert found.film.instance == uid("second", "frontal")
    why = "the nearest earlier PA film, 28 days before; passed over: films that are lateral (1), without a date (1)."
    assert found.reason == why


def test_a_patient_id_with_a_wildcard_finds_nobody_else(archive: Archive) -> None:
    (star,) = archive.films_of(uid("star"))
    with pytest.raises(InputError, match=r"of another PatientID|no other study"):
        choose_prior(star, map(archive.films_of, archive.studies_of(star.patient)))


def test_a_film_comes_as_it_was_stored(archive: Archive) -> None:
    (first,) = archive.films_of(uid("first"))
    come, stored = (pydicom.dcmread(io.BytesIO(file)) for file in (archive.fetch(first), FILMS["first"]))
    assert come.file_meta.TransferSyntaxUID == stored.file_meta.TransferSyntaxUID
    assert {element.tag: element.value for element in come} == {element.tag: element.value for element in stored}


def test_what_is_stored_is_held_once(archive: Archive) -> None:
    capture = _capture(archive)
    assert not archive.holds(uid("new"), capture.SOPInstanceUID)
    archive.store([capture])
    archive.store([capture])
    assert archive.holds(uid("new"), capture.SOPInstanceUID)
    assert not archive.holds(uid("first"), capture.SOPInstanceUID)
    assert len(archive.films_of(uid("new"))) == 1  # A capture is no radiograph.


def _capture(archive: Archive) -> Dataset:
    capture = pydicom.dcmread(io.BytesIO(FILMS["new"]))
    storage = "1.2.840.10008.5.1.4.1.1.7"
    capture.Modality, capture.SOPClassUID, capture.file_meta.MediaStorageSOPClassUID = "OT", storage, storage
    own = uid("capture", type(archive).__name__)
    capture.SOPInstanceUID = capture.file_meta.MediaStorageSOPInstanceUID = own
    capture.SeriesInstanceUID = f"{own[:-4]}.1"
    return capture


# pynetdicom leaves the socket that could not connect to be collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("address", ["http://127.0.0.1:9/dicom-web", "dicom://ORTHANC@127.0.0.1:9"])
def test_an_archive_that_is_not_there_is_said_to_be_so(address: str) -> None:
    archive = open_archive(address)
    for ask in (archive.recent_studies, archive.studies_of, archive.films_of):
        with pytest.raises(ArchiveError, match=r"did not answer|cannot be reached"):
            ask(None)  # type: ignore[operator]


def test_a_study_that_is_not_there_has_no_films(archive: Archive) -> None:
    assert archive.films_of("1.2.3.4") == []


def test_a_film_that_is_not_there_cannot_be_fetched(archive: Archive) -> None:
    header = Dataset()
    header.StudyInstanceUID = header.SeriesInstanceUID = header.SOPInstanceUID = "1.2.3"
    with pytest.raises(ArchiveError):
        archive.fetch(ArchivedFilm(header))


def test_another_title_than_its_own_is_refused(filled: Orthanc) -> None:
    archive = open_archive(filled.dimse.replace("ORTHANC", "SOMEBODY"))
    with pytest.raises(ArchiveError, match=r"SOMEBODY at 127\.0\.0\.1:"):
        archive.recent_studies(None)


@pytest.mark.parametrize(
    "address", ["ftp://host/x", "dicom://host:104", "dicom://TITLE@host", "http://", "http://a:b@host/", "http://h:x/"]
)
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        open_archive(address)
    assert "a:b@" not in str(refusal.value)
