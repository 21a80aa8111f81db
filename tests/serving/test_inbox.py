"""Films that are sent here."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from memory_archive import film_file
from pynetdicom import AE

from intervalchange.archive.dimse import FILMS
from intervalchange.errors import ConfigError
from intervalchange.serving.inbox import Inbox, listen
from intervalchange.serving.limits import Limits
from intervalchange.simulation.dicom_files import uid

FILM = film_file("second", "20300301")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox")


@pytest.fixture
def port(inbox: Inbox) -> Iterator[int]:
    server = listen(inbox, "127.0.0.1", 0, "US", ["SCANNER"], Limits(upload_bytes=100_000))
    yield server.server_address[1]
    server.shutdown()


def sent(port: int, film: bytes, sender: str = "SCANNER", called: str = "US") -> int | None:
    """The status that comes back; None where the association is refused."""
    entity = AE(sender)
    for storage in FILMS:
        entity.add_requested_context(storage)
    association = entity.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return None
    status = association.send_c_store(pydicom.dcmread(io.BytesIO(film)))
    association.release()
    return int(status.Status)


def test_a_film_is_kept_until_it_is_dropped(inbox: Inbox, port: int) -> None:
    assert sent(port, FILM) == 0
    assert inbox.studies() == [uid("second")]
    (film,) = Inbox(inbox.folder).films_of(uid("second"))  # As after a kill.
    kept = pydicom.dcmread(io.BytesIO(inbox.fetch(film)))
    assert kept.PixelData == pydicom.dcmread(io.BytesIO(FILM)).PixelData
    assert stat.S_IMODE(inbox.folder.stat().st_mode) == 0o700
    assert "A1" not in "".join(path.name for path in inbox.folder.rglob("*"))
    inbox.drop(uid("second"))
    assert inbox.studies() == [] and not list(inbox.folder.iterdir())


def test_who_is_not_named_may_not_send(inbox: Inbox, port: int) -> None:
    assert sent(port, FILM, sender="STRANGER") is None
    assert sent(port, FILM, called="THEM") is None
    assert inbox.studies() == []


def test_what_cannot_be_kept_is_refused(inbox: Inbox, port: int) -> None:
    assert sent(port, film_file("second", "20300301", ImageComments="A" * 10_000, PatientComments="A" * 10_000)) == 0
    without = pydicom.dcmread(io.BytesIO(FILM))
    del without.StudyInstanceUID
    file = io.BytesIO()
    without.save_as(file)
    assert sent(port, file.getvalue()) == 0xC000
    large = pydicom.dcmread(io.BytesIO(FILM))
    large.PixelData = b"\0" * 200_000
    file = io.BytesIO()
    large.save_as(file)
    assert sent(port, file.getvalue()) == 0xA700


def test_a_name_in_a_header_is_no_path(inbox: Inbox) -> None:
    inbox.add("../../etc", "/etc/passwd", FILM)
    assert [len(path.relative_to(inbox.folder).parts) for path in inbox.folder.rglob("*.dcm")] == [2]


def test_a_port_that_is_taken_is_refused(inbox: Inbox, port: int) -> None:
    with pytest.raises(ConfigError, match="cannot be had"):
        listen(inbox, "127.0.0.1", port, "US", [], Limits())
