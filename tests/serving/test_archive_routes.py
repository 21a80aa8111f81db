"""Two references in place of two uploads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from memory_archive import MemoryArchive, film_file
from served import Echo
from starlette.testclient import TestClient

from intervalchange.archive.pairs import PairFinder
from intervalchange.serving.app import create_app
from intervalchange.serving.limits import Limits
from intervalchange.simulation.dicom_files import uid

PRIOR, CURRENT = film_file("first", "20300101", seed=1), film_file("second", "20300301", seed=2)
PATH = f"/v1/studies/{uid('second')}"


@pytest.fixture(scope="module")
def archive() -> MemoryArchive:
    return MemoryArchive(PRIOR, CURRENT)


@pytest.fixture(scope="module")
def client(archive: MemoryArchive) -> Iterator[TestClient]:
    app = create_app(Echo(), "echo", Limits(readers=1), finder=PairFinder(archive))  # type: ignore[arg-type]
    with TestClient(app, base_url="http://localhost") as served:
        yield served


def test_the_pair_of_a_study(client: TestClient) -> None:
    reply = client.get(f"{PATH}/pair").json()
    assert reply == {
        "current": uid("second", "film"),
        "prior": uid("first", "film"),
        "prior_study": uid("first"),
        "days": 59,
        "why": "the nearest earlier PA film, 59 days before.",
    }
    films = {side: client.get(f"{PATH}/films/{side}") for side in ("prior", "current")}
    assert (films["prior"].content, films["current"].content) == (PRIOR, CURRENT)
    assert films["prior"].headers["content-type"] == "application/dicom"


def test_an_answer_is_that_to_the_two_files(client: TestClient) -> None:
    uploads = {"prior": ("a.dcm", PRIOR), "current": ("b.dcm", CURRENT)}
    sent = client.post("/v1/answer", files=uploads, data={"backwards": "true"}).json()
    found = client.post(f"{PATH}/answer", json={"backwards": True}).json()
    assert found.pop("pair")["prior"] == uid("first", "film")
    for reply in (sent, found, sent["backwards"], found["backwards"]):
        reply.pop("seconds", None)
    assert found == sent


@pytest.mark.parametrize(
    ("path", "status", "why"),
    [
        (f"/v1/studies/{uid('first')}/pair", 422, "there is no prior"),
        ("/v1/studies/1.2.3/pair", 422, "no frontal chest film"),
        ("/v1/studies/..%2f..%2fetc/pair", 404, ""),
        ("/v1/studies/1.2.x/pair", 400, "study"),
        (f"/v1/studies/{'1' * 65}/pair", 400, "study"),
        (f"{PATH}/films/both", 400, "side"),
    ],
)
def test_a_study_that_cannot_be_used_is_refused(client: TestClient, path: str, status: int, why: str) -> None:
    reply = client.get(path)
    assert reply.status_code == status and why in reply.json()["error"]


def test_an_archive_that_is_down_is_no_fault_of_the_client(client: TestClient, archive: MemoryArchive) -> None:
    archive.down = True
    try:
        reply = client.get(f"{PATH}/pair")
    finally:
        archive.down = False
    assert (reply.status_code, reply.json()["error"]) == (502, "the archive is down.")
