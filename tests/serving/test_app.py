"""The server as a client meets it."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from film_files import chest, dicom, encoded, png_claiming
from served import Echo, words_of
from starlette.testclient import TestClient

import intervalchange as ic
from intervalchange.cli import main
from intervalchange.data.films import film_from_file
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.inference import NOT_SURE
from intervalchange.policy import RESEARCH_USE
from intervalchange.serving.app import create_app
from intervalchange.serving.limits import Limits

SAMPLES = Path(ic.__file__).parent / "samples"
FILMS = [encoded(chest(seed=seed), "PNG") for seed in range(6)]


def client_of(echo: Echo, limits: Limits | None = None, **options: object) -> TestClient:
    return TestClient(create_app(echo, "echo", limits or Limits(readers=1), **options), base_url="http://localhost")


@pytest.fixture(scope="module")
def echo() -> Echo:
    return Echo()


@pytest.fixture(scope="module")
def client(echo: Echo) -> Iterator[TestClient]:
    with client_of(echo) as served:
        yield served


def files_of(prior: bytes | None, current: bytes) -> dict[str, tuple[str, bytes]]:
    """The films of a request, under names that no answer may depend on."""
    sides = {"current": current} if prior is None else {"prior": prior, "current": current}
    return {side: ("../../SECRET.txt", data) for side, data in sides.items()}


def expected(prior: bytes, current: bytes, folder: Path) -> str:
    """What `Echo` answers to two uploads."""
    squares = []
    for name, data in (("prior", prior), ("current", current)):
        (folder / name).write_bytes(data)
        squares.append(film_from_file(folder / name, Echo.stored_pixels).pixels)
    return words_of(squares[0], squares[1])


def test_an_answer_is_that_of_the_films_that_were_sent(client: TestClient, tmp_path: Path) -> None:
    reply = client.post("/v1/answer", files=files_of(FILMS[0], FILMS[1]))
    assert reply.status_code == 200
    plain = reply.json()
    assert plain["answer"] == expected(FILMS[0], FILMS[1], tmp_path)
    assert plain["question"] == DIFFERENCE_QUESTION
    assert plain["change"] == {
        "added": ["edema"],
        "missing": [],
        "levels": [{"finding": "pleural effusion", "prior": "small", "current": "massive"}],
    }
    assert plain["confidence"] == {"answer": 0.75, "added:edema": 0.9}
    assert plain["notice"] == RESEARCH_USE
    assert (plain["evidence"], plain["films"], plain["unsure"], plain["model"]) == (None, None, False, "echo")


def test_maps_and_films_come_when_they_are_asked_for(client: TestClient) -> None:
    form = {"maps": "true", "films": "true"}
    plain = client.post("/v1/answer", files=files_of(FILMS[0], FILMS[1]), data=form).json()
    assert plain["evidence"] == {"edema": [[0.5, 0.5], [0.5, 0.5]]}
    film = plain["films"]["prior"]
    assert film["png"].startswith("data:image/png;base64,")
    assert (film["height"], film["width"], film["scale"], film["offset_x"]) == (200, 160, 0.32, 6)


def test_a_pair_is_read_backwards_with_it(client: TestClient, echo: Echo, tmp_path: Path) -> None:
    form = {"backwards": "true"}
    echo.batches.clear()
    plain = client.post("/v1/answer", files=files_of(FILMS[0], FILMS[1]), data=form).json()
    assert plain["answer"] == expected(FILMS[0], FILMS[1], tmp_path)
    assert plain["backwards"]["answer"] == expected(FILMS[1], FILMS[0], tmp_path)
    assert sum(echo.batches) == 2
    one_film = {**form, "question": "is there edema?"}
    assert client.post("/v1/answer", files=files_of(FILMS[0], FILMS[1]), data=one_film).json()["backwards"] is None


@pytest.mark.slow
def test_the_demo_answers_as_on_the_command_line(tmp_path: Path) -> None:
    prior, current = SAMPLES / "han-19abe1f3.jpg", SAMPLES / "han-24035bda.jpg"
    demo = ic.load("demo")
    with TestClient(create_app(demo, "demo"), base_url="http://localhost") as served:
        plain = served.post("/v1/answer", files=files_of(prior.read_bytes(), current.read_bytes())).json()
    answered = demo.answer(prior, current)
    assert plain["leaning"] == answered.answer, "the demo is not sure of this pair"
    assert plain["answer"] == "I am not sure."
    assert plain["change"] is None
    assert plain["confidence"] == {name: round(value, 4) for name, value in answered.confidence.items()}


def test_dicom_headers_are_compared_and_none_of_their_values_comes_back(client: TestClient, tmp_path: Path) -> None:
    films = [
        dicom(tmp_path / f"{year}.dcm", np.rint(chest(seed=year) * 4095), StudyDate=f"{year}0102").read_bytes()
        for year in (2020, 2019)
    ]
    reply = client.post("/v1/answer", files=files_of(*films))
    assert "the prior is the later film" in " ".join(reply.json()["warnings"])
    assert "SECRET" not in reply.text
    assert "2020" not in reply.text


@pytest.mark.parametrize(
    ("prior", "current", "question", "status", "text"),
    [
        (None, FILMS[0], DIFFERENCE_QUESTION, 422, "needs the prior film"),
        (FILMS[0], b"not a film", DIFFERENCE_QUESTION, 422, "current: this is neither PNG, JPEG nor DICOM."),
        (b"", FILMS[0], DIFFERENCE_QUESTION, 422, "prior: the file is empty."),
        (FILMS[0], FILMS[1][:300], DIFFERENCE_QUESTION, 422, "current: "),
        (FILMS[0], png_claiming(60_000, 60_000), DIFFERENCE_QUESTION, 422, "current: the header claims 60000 x 60000"),
        (FILMS[0], FILMS[1], "who won the match?", 422, "is not understood"),
        (FILMS[0], FILMS[1], "what has not changed?", 422, "not changed"),
        (FILMS[0], FILMS[1], "x" * 1001, 400, "body/question: "),
        (FILMS[0], FILMS[1], "is there a fracture?", 500, "a fault of the server (ZeroDivisionError)"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(
    client: TestClient, prior: bytes | None, current: bytes, question: str, status: int, text: str
) -> None:
    served = TestClient(client.app, base_url="http://localhost", raise_server_exceptions=False)
    reply = served.post("/v1/answer", files=files_of(prior, current), data={"question": question})
    assert reply.status_code == status
    assert text in reply.json()["error"]
    assert reply.json()["notice"] == RESEARCH_USE
    assert "/proc/" not in reply.text and "SECRET" not in reply.text


def test_a_film_is_shown_with_all_of_its_grey_levels(client: TestClient, tmp_path: Path) -> None:
    stored = np.rint(chest(height=240, width=180) * 4095)
    reply = client.post("/v1/film", files={"film": dicom(tmp_path / "a.dcm", stored).read_bytes()})
    sides = [int(reply.headers[name]) for name in ("x-rows", "x-columns", "x-height", "x-width")]
    assert sides == [240, 180, 240, 180]
    shown = np.frombuffer(reply.content, "<u2").reshape(240, 180)
    assert np.corrcoef(shown.ravel(), stored.ravel())[0, 1] > 0.9999
    assert len(np.unique(shown)) > 1000
    assert client.post("/v1/film", files={"film": b"nothing"}).status_code == 422


def test_a_film_says_when_it_was_taken_and_whose_it_is_without_a_name(client: TestClient, tmp_path: Path) -> None:
    reply = client.post("/v1/film", files={"film": dicom(tmp_path / "a.dcm", np.rint(chest() * 4095)).read_bytes()})
    assert reply.headers["x-taken"] == "2020-01-02T08:09:10"
    assert len(reply.headers["x-patient"]) == 32
    assert "SECRET" not in str(reply.headers)
    plain = client.post("/v1/film", files={"film": FILMS[0]})
    assert (plain.headers["x-taken"], plain.headers["x-patient"]) == ("", "")


@pytest.mark.slow
def test_a_film_is_registered_or_left_as_taken(client: TestClient) -> None:
    large = chest(height=320, width=280)
    sides = {"prior": encoded(large[20:300, :240], "PNG"), "current": encoded(large[:280, 40:], "PNG")}
    reply = client.post("/v1/registration", files=sides).json()
    assert reply["used"] and reply["words"].startswith("registered: the prior is shifted")
    assert np.allclose(np.array(reply["matrix"]) @ [120, 140, 1], [80, 160], atol=5)
    same = client.post("/v1/registration", files={"prior": FILMS[0], "current": FILMS[0]}).json()
    assert (same["used"], same["matrix"]) == (False, None)
    assert client.post("/v1/registration", files={"prior": b"x", "current": FILMS[0]}).status_code == 422


def test_a_large_film_is_shown_smaller(client: TestClient) -> None:
    reply = client.post("/v1/film", files={"film": encoded(chest(height=2100, width=1050), "PNG")})
    assert [int(reply.headers[name]) for name in ("x-rows", "x-columns", "x-height")] == [2048, 1024, 2100]


def test_both_films_are_named_where_both_are_refused(client: TestClient) -> None:
    error = client.post("/v1/answer", files=files_of(b"a", b"b")).json()["error"]
    assert "prior: " in error and "current: " in error


def test_a_lateral_view_is_read_when_forced(client: TestClient, tmp_path: Path) -> None:
    lateral = dicom(tmp_path / "l.dcm", np.rint(chest() * 4095), ViewPosition="LATERAL").read_bytes()
    assert client.post("/v1/answer", files=files_of(FILMS[0], lateral)).status_code == 422
    forced = client.post("/v1/answer", files=files_of(FILMS[0], lateral), data={"force": "true"})
    assert forced.status_code == 200
    assert any("not frontal" in warning for warning in forced.json()["warnings"])


def test_a_batch_answers_what_it_can(client: TestClient, tmp_path: Path) -> None:
    coded = [base64.b64encode(film).decode() for film in FILMS]
    cases = [
        {"prior": coded[0], "current": coded[1]},
        {"prior": coded[0], "current": "%%%"},
        {"prior": coded[2], "current": coded[3]},
        {"prior": coded[2], "current": coded[3], "question": "who are you?"},
    ]
    results = client.post("/v1/answers", json={"cases": cases}).json()["results"]
    assert [result.get("answer") for result in results] == [
        expected(FILMS[0], FILMS[1], tmp_path), None, expected(FILMS[2], FILMS[3], tmp_path), None,
    ]  # fmt: skip
    assert results[1]["error"].startswith("a film is not base64.")
    assert "is not understood" in results[3]["error"]
    assert client.post("/v1/answers", json={"cases": cases * 5}).status_code == 413
    assert client.post("/v1/answers", json={"cases": [{"current": coded[0], "patient": "x"}]}).status_code == 400


def chat(text: str, *films: bytes) -> dict[str, object]:
    """A chat completion request."""
    urls = ["data:image/png;base64," + base64.b64encode(film).decode() for film in films]
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"messages": [{"role": "user", "content": [*images, {"type": "text", "text": text}]}]}


def test_the_chat_protocol_takes_the_prior_first(client: TestClient, tmp_path: Path) -> None:
    text = f"These are two films.\n\n{DIFFERENCE_QUESTION}\n\nAnswer in a few short sentences."
    reply = client.post("/v1/chat/completions", json=chat(text, FILMS[0], FILMS[1])).json()
    assert reply["choices"][0]["message"]["content"] == expected(FILMS[0], FILMS[1], tmp_path)
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert client.get("/v1/models").json()["data"][0]["id"] == "echo"


@pytest.mark.parametrize(
    "body",
    [
        chat("what has changed?"),
        chat("what has changed?", *FILMS[:3]),
        chat("tell me a story", FILMS[0], FILMS[1]),
        {"messages": [{"role": "user", "content": 3}]},
        {**chat("what has changed?", FILMS[0], FILMS[1]), "stream": True},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1/a"}}]}]},
    ],
)
def test_a_chat_of_another_form_is_refused(client: TestClient, body: dict[str, object]) -> None:
    assert client.post("/v1/chat/completions", json=body).status_code == 422


def test_a_request_is_refused_before_it_is_read() -> None:
    with client_of(Echo(), Limits(readers=1, upload_bytes=50_000)) as served:
        assert served.get("/ready", headers={"Host": "attacker.example"}).status_code == 421
        assert served.get("/ready", headers={"Origin": "http://attacker.example"}).status_code == 403
        assert served.get("/ready", headers={"Origin": "http://localhost"}).status_code == 200
        large = served.post("/v1/answer", files=files_of(FILMS[0], b"0" * 60_000))
        assert (large.status_code, large.json()["error"]) == (413, "a request has at most 50,000 bytes.")

        def without_length() -> Iterator[bytes]:
            for _ in range(60):
                yield b"0" * 1000

        headers = {"content-type": "multipart/form-data; boundary=x"}
        assert served.post("/v1/answer", content=without_length(), headers=headers).status_code == 413


def test_a_token_opens_all_but_the_page() -> None:
    with client_of(Echo(), token="0123456789abcdef", loopback=False) as served:
        films = files_of(FILMS[0], FILMS[1])
        assert served.post("/v1/answer", files=films).status_code == 401
        assert served.get("/metrics").status_code == 401
        assert served.get("/openapi.json").status_code == 401
        assert served.post("/v1/answer", files=films, headers={"Authorization": "Bearer x"}).status_code == 401
        right = {"Authorization": "Bearer 0123456789abcdef", "Host": "reading-room.example"}
        assert served.post("/v1/answer", files=films, headers=right).status_code == 200
        assert served.get("/health").status_code == 200


def test_every_response_forbids_what_a_page_may_not_load(client: TestClient) -> None:
    for path in ("/", "/health", "/v1/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_no_path_of_a_request_reaches_the_file_system(client: TestClient) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"):
        assert client.get(path).status_code == 404


def test_one_question_too_many_is_told_when_to_come_back() -> None:
    echo = Echo()
    echo.gate.clear()
    with client_of(echo, Limits(readers=2, waiting=2)) as served, ThreadPoolExecutor(2) as pool:
        open_ = [pool.submit(served.post, "/v1/answer", files=files_of(FILMS[0], FILMS[1])) for _ in range(2)]
        until = time.monotonic() + 20
        while "intervalchange_waiting 2.0" not in served.get("/metrics").text:
            assert time.monotonic() < until
            time.sleep(0.02)
        busy = served.post("/v1/answer", files=files_of(FILMS[0], FILMS[1]))
        assert busy.status_code == 429
        assert int(busy.headers["retry-after"]) >= 1
        assert served.get("/ready").status_code == 503
        echo.gate.set()
        assert [reply.result().status_code for reply in open_] == [200, 200], "what was accepted is answered"
        assert served.post("/v1/answer", files=files_of(FILMS[0], FILMS[1])).status_code == 200


def test_a_question_that_takes_too_long_is_given_up() -> None:
    echo = Echo()
    echo.gate.clear()
    with client_of(echo, Limits(readers=1, deadline=0.2)) as served:
        late = served.post("/v1/answer", files=files_of(FILMS[0], FILMS[1]))
        assert late.status_code == 503
        assert "0.2 seconds" in late.json()["error"]
        echo.gate.set()
        assert served.post("/v1/answer", files=files_of(FILMS[0], FILMS[1])).status_code == 200


@pytest.mark.slow
def test_answers_are_not_mixed_between_clients(tmp_path: Path) -> None:
    echo = Echo()
    pairs = [(FILMS[first], FILMS[second]) for first in range(6) for second in range(6) if first != second]
    wanted = [expected(*pair, tmp_path) for pair in pairs]
    echo.gate.clear()
    with client_of(echo, Limits(readers=2, waiting=64)) as served, ThreadPoolExecutor(8) as pool:
        threading.Timer(0.5, echo.gate.set).start()
        replies = list(pool.map(lambda pair: served.post("/v1/answer", files=files_of(*pair)).json(), pairs))
    assert [reply["answer"] for reply in replies] == wanted
    assert max(echo.batches) > 1, "questions were answered together"


def test_the_fault_of_one_question_is_its_own(tmp_path: Path) -> None:
    echo = Echo()
    echo.gate.clear()
    questions = [DIFFERENCE_QUESTION, "is there a fracture?", DIFFERENCE_QUESTION]
    with client_of(echo, Limits(readers=2)) as served, ThreadPoolExecutor(3) as pool:
        quiet = TestClient(served.app, base_url="http://localhost", raise_server_exceptions=False)
        threading.Timer(0.5, echo.gate.set).start()
        films = files_of(FILMS[0], FILMS[1])
        replies = list(
            pool.map(lambda asked: quiet.post("/v1/answer", files=films, data={"question": asked}), questions)
        )
    assert [reply.status_code for reply in replies] == [200, 500, 200]


@pytest.mark.slow
def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: set[str] = set()
    opened = os.open

    def noted(path: object, *rest: object, **options: object) -> int:
        seen.add(str(path))
        return opened(path, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", noted)
    large = encoded(np.random.default_rng(0).random((1500, 1500)).astype(np.float32), "PNG")
    assert len(large) > 2**21, "far beyond what is kept in memory otherwise"
    with client_of(Echo()) as served:
        assert served.post("/v1/answer", files=files_of(large, large)).status_code == 200
    assert not [path for path in seen if path.startswith(str(tmp_path))]


def test_numbers_say_nothing_of_a_film(client: TestClient) -> None:
    client.post("/v1/answer", files=files_of(b"SECRET", FILMS[0]))
    text = client.get("/metrics").text
    assert 'intervalchange_answers_total{outcome="ImageError"}' in text
    assert "SECRET" not in text


def test_the_document_of_the_interface_lists_every_route(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/answer", "/v1/answers", "/v1/film", "/v1/registration", "/v1/models", "/v1/chat/completions", "/health",
        "/ready", "/metrics",
    }  # fmt: skip
    assert json.dumps(document).count(RESEARCH_USE) >= 1
    assert {"413", "422", "429"} <= set(document["paths"]["/v1/answer"]["post"]["responses"])


@pytest.mark.slow
def test_the_demo_is_asked_as_a_model_of_others(tmp_path: Path) -> None:
    """`predict openai:` over a real socket gives the answers of `predict`, but for what the demo is not sure of."""
    cohort = ic.simulate(tmp_path / "cohort", patients=4, seed=7, pixels=128, splits="0:0:1", progress=False)
    prepared = tmp_path / "prepared"
    ic.prepare("mimic_diff_vqa", cohort, prepared, pixels=128, progress=False)
    config = uvicorn.Config(create_app(ic.load("demo"), "demo"), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        arguments = ["--data", str(prepared), "--split", "test", "--out"]
        assert (
            main(["predict", f"openai:http://127.0.0.1:{port}/v1#demo", *arguments, str(tmp_path / "asked.jsonl")]) == 0
        )
    finally:
        server.should_exit = True
        thread.join()
    assert main(["predict", "demo", *arguments, str(tmp_path / "own.jsonl")]) == 0
    asked, own = (
        {one.case_id: one.answer for one in read_predictions(tmp_path / f"{name}.jsonl")[1]}
        for name in ("asked", "own")
    )
    assert asked.keys() == own.keys() and asked
    sure = [case for case, answer in asked.items() if answer != NOT_SURE]
    assert sure
    assert {case: asked[case] for case in sure} == {case: own[case] for case in sure}
