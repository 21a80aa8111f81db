"""Films by STOW-RS."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from dicomweb_client.web import DICOMwebClient
from memory_archive import film_file
from starlette.testclient import TestClient

from intervalchange.errors import ConfigError
from intervalchange.serving.inbox import Inbox
from intervalchange.serving.limits import Limits
from intervalchange.serving.stow import FAILED, STORED, listen_web, stow_app
from intervalchange.simulation.dicom_files import uid

FILMS = [film_file("second", "20300301"), film_file("third", "20300401", seed=3)]
RELATED = {"content-type": 'multipart/related; type="application/dicom"; boundary="XX"'}


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox")


@pytest.fixture
def client(inbox: Inbox) -> TestClient:
    return TestClient(stow_app(inbox, Limits(upload_bytes=1_000_000)), base_url="http://localhost")


def body(*parts: bytes) -> bytes:
    return (
        b"".join(b"--XX\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts) + b"--XX--\r\n"
    )


def test_films_are_kept_as_they_were_sent(client: TestClient, inbox: Inbox) -> None:
    reply = client.post("/dicom-web/studies", content=body(*FILMS), headers=RELATED)
    assert reply.status_code == 200
    stored = [item["00081155"]["Value"][0] for item in reply.json()[STORED]["Value"]]
    assert stored == [uid("second", "film"), uid("third", "film")]
    for study, film in zip(("second", "third"), FILMS, strict=True):
        (kept,) = inbox.films_of(uid(study))
        assert inbox.fetch(kept) == film


def test_a_client_of_the_field_can_send(inbox: Inbox) -> None:
    server = listen_web(stow_app(inbox, Limits()), "127.0.0.1", 0)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        reply = DICOMwebClient(f"http://127.0.0.1:{port}/dicom-web").store_instances(
            [pydicom.dcmread(io.BytesIO(film)) for film in FILMS]
        )
        assert len(reply.ReferencedSOPSequence) == 2 and len(inbox.studies()) == 2
        with pytest.raises(ConfigError, match="cannot be had"):
            listen_web(stow_app(inbox, Limits()), "127.0.0.1", port)
    finally:
        server.should_exit = True


def test_what_is_no_film_is_named_as_failed(client: TestClient, inbox: Inbox) -> None:
    some = client.post("/dicom-web/studies/1.2.3", content=body(FILMS[0], b"noise"), headers=RELATED)
    assert some.status_code == 202 and len(some.json()[FAILED]["Value"]) == 1
    none = client.post("/dicom-web/studies", content=body(b"noise"), headers=RELATED)
    assert none.status_code == 409 and STORED not in none.json()
    assert inbox.studies() == [uid("second")]


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"content-type": "application/json"}, 415),
        (b"", {"content-type": "multipart/related"}, 415),
        (b"no boundary at all", RELATED, 400),
        (body(b"x" * 2_000_000), RELATED, 413),
        (body(FILMS[0]), {**RELATED, "host": "elsewhere"}, 421),
    ],
)
def test_another_request_is_refused(
    client: TestClient, inbox: Inbox, content: bytes, headers: dict[str, str], status: int
) -> None:
    assert client.post("/dicom-web/studies", content=content, headers=headers).status_code == status
    assert inbox.studies() == []


def test_a_token_is_asked_for(inbox: Inbox) -> None:
    app = stow_app(inbox, Limits(), token="0123456789abcdef", loopback=False)
    client = TestClient(app, base_url="http://reading.room")
    assert client.post("/dicom-web/studies", content=body(FILMS[0]), headers=RELATED).status_code == 401
    allowed = {**RELATED, "Authorization": "Bearer 0123456789abcdef"}
    assert client.post("/dicom-web/studies", content=body(FILMS[0]), headers=allowed).status_code == 200
