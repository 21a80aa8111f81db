"""Models behind chat completions, on a server of our own: its faults, what is kept, what is asked."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy
from chat_server import MODEL, ChatServer, kill_after

from intervalchange.cli import main
from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, IntervalChangeError, RunError
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.foreign_models.addresses import Address
from intervalchange.foreign_models.answering import ForeignPredictor
from intervalchange.foreign_models.chat import ChatModel
from intervalchange.foreign_models.exchange import Exchange
from intervalchange.foreign_models.kept_answers import KeptAnswers
from intervalchange.foreign_models.opening import open_model
from intervalchange.foreign_models.prompts import common_prompt
from intervalchange.foreign_models.records import FilmQuestion, ForeignOptions
from intervalchange.records import CONDITIONS
from intervalchange.runs import predict, predict_to_file

PAIRS = 4
FAULTS = ("429 0", "500", "cut", "chunked cut", "hang up", "not JSON", "other JSON", "no text", "503", "slow", "502")
BLANK = np.zeros((8, 8), np.uint8)


def oracle(films: list[np.ndarray], text: str) -> str:
    """Looks at both films and says in prose what differs."""
    then, now = ({name for name, where in toy.PLACES.items() if film[where].mean() > 0.55 * 255} for film in films)
    said = [f"There is a new {name}." for name in sorted(now - then)]
    said += [f"The {name} has resolved." for name in sorted(then - now)]
    return " ".join(said) or "Both films look the same: nothing has changed."


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.cohort(tmp_path_factory.mktemp("toy"), train=1, val=1, test=PAIRS)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(oracle) as server:
        yield server


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERVALCHANGE_API_KEY", raising=False)


def quick(server: ChatServer, prepared: Path, out: Path, options: ForeignOptions, **more: object) -> None:
    """`predict` with short waits."""
    opened, keep = open_model(server.name, options, Prepared(prepared)), KeptAnswers.beside(out)
    opened.model.first_wait = 0.01  # type: ignore[attr-defined]
    predict_to_file(ForeignPredictor(opened, keep), prepared, out, **more)  # type: ignore[arg-type]
    keep.remove()


@pytest.mark.slow
def test_from_a_model_to_a_score(
    server: ChatServer, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.jsonl"
    command = ["predict", server.name, "--data", str(prepared), "--out", str(out), "--controls", "--concurrency", "3"]
    assert main([*command, "--parameter", "top_p=0.9", "--parameter", "temperature=null"]) == 0
    said = capsys.readouterr().err
    provenance, answers = read_predictions(out)
    assert provenance is not None
    assert provenance.run == server.name and provenance.more["prompt_sha256"][:12] in said
    assert all(line in said for line in provenance.more["prompt"].splitlines())
    assert [one.condition for one in answers] == [name for name in CONDITIONS for _ in range(PAIRS)]
    assert len({one.case_id for one in answers}) == PAIRS
    assert not (tmp_path / "answers.answers.jsonl").exists()
    assert server.most_open <= 3 and set(server.asked.values()) == {1}
    assert len(server.asked) < len(answers) - PAIRS + 2, "two blank films are asked about once"
    assert {one["top_p"] for one in server.bodies} == {0.9} and "temperature" not in server.bodies[0]
    assert server.bodies[0]["max_tokens"] == 512
    assert main(["score", str(out), "--json", "--no-meteor", "--replicates", "20"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["change.findings.micro.f1"] == 1 and scores["answers.read.rate"] == 1
    assert scores["consistency.swap.rate"] == 1 and scores["consistency.use.ideal.rate"] == 1
    before = Counter(server.asked)
    assert main([*command, "--parameter", "top_p=0.9", "--parameter", "temperature=null"]) == 0
    assert server.asked == before, "all is answered"
    assert main(command) == 2 and "another" in capsys.readouterr().err, "with other parameters it is another file"


@pytest.mark.parametrize("concurrency", [1, 4])
def test_faults_that_pass_change_nothing(server: ChatServer, prepared: Path, tmp_path: Path, concurrency: int) -> None:
    options = ForeignOptions(concurrency=concurrency, timeout=0.3)
    quick(server, prepared, tmp_path / "whole.jsonl", options)
    server.faults.extend(FAULTS)
    quick(server, prepared, tmp_path / "faults.jsonl", options)
    assert not server.faults
    assert (tmp_path / "faults.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert set(server.answered.values()) == {2}


def test_all_wait_as_long_as_the_server_asks(server: ChatServer) -> None:
    model = ChatModel(_address(server), common_prompt("prose"), ForeignOptions(concurrency=2), first_wait=0.01)
    server.faults.append("429 0.4")
    server.seconds = 0.02
    films = np.arange(20, dtype=np.uint8)
    questions = [(number, FilmQuestion(BLANK + film, BLANK, "q")) for number, film in enumerate(films)]
    server.oracle = lambda films, text: "Nothing has changed."
    assert len(dict(model.replies(questions))) == 20
    gaps = np.diff(server.arrivals)
    assert gaps.max() > 0.25, "nobody asked meanwhile"


def _address(server: ChatServer):
    from intervalchange.foreign_models.addresses import Address

    return Address.of(server.name)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("400", r"status 400: a fault.*takes two images"),
        ("401", r"status 401.*Set INTERVALCHANGE_API_KEY to a key of this server; it is not set"),
        ("404", rf"status 404.*It has {MODEL}, other: name one after the #"),
        ("413", "fewer --pixels"),
        ("redirect", "redirects are not followed"),
    ],
)
def test_what_stays_wrong_ends_with_what_to_do_and_keeps_what_was_answered(
    server: ChatServer, prepared: Path, tmp_path: Path, fault: str, says: str
) -> None:
    out, options = tmp_path / "answers.jsonl", ForeignOptions(concurrency=1)
    server.faults.extend(["", "", fault])
    with pytest.raises(RunError, match=says) as refusal:
        quick(server, prepared, out, options)
    assert "rerun the command to resume" in str(refusal.value)
    assert sum(server.asked.values()) == 3, "it was not tried again"
    assert len(KeptAnswers.beside(out).known) == 2
    quick(server, prepared, out, options)
    assert set(server.answered.values()) == {1} and len(server.answered) == PAIRS
    assert len(read_predictions(out)[1]) == PAIRS and not (tmp_path / "answers.answers.jsonl").exists()


def test_a_wrong_name_does_not_bar_the_right_one(server: ChatServer, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    with pytest.raises(RunError, match=r"does not exist\. It has"):
        predict(f"{server.name}s", prepared, out)
    quick(server, prepared, out, ForeignOptions())
    assert len(read_predictions(out)[1]) == PAIRS


def test_every_request_with_a_wrong_name_is_told_the_right_one(server: ChatServer) -> None:
    """Of several that are refused at once, any may be the one whose error is shown."""
    exchange = Exchange(Address.of(f"{server.name}s"), 20.0)
    exchange.stopped.set()
    assert "It has" in str(exchange._refused(404, b""))


def test_requests_that_are_open_at_a_refusal_are_kept(server: ChatServer, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    server.seconds = 0.3
    server.faults.extend(["", "", "400"])
    with pytest.raises(RunError, match="status 400"):
        quick(server, prepared, out, ForeignOptions(concurrency=3))
    assert len(KeptAnswers.beside(out).known) == sum(server.answered.values()) == 2


def test_patience_has_an_end(server: ChatServer, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    server.faults.extend(["503"] * 100)
    with pytest.raises(RunError, match=r"given up after \d+ tries: status 503"):
        quick(server, prepared, out, ForeignOptions(patience=0.2))
    server.faults.clear()
    server.faults.append("429 3600")
    with pytest.raises(RunError, match="asks to wait for 3600 seconds"):
        quick(server, prepared, out, ForeignOptions(concurrency=1))


def test_nobody_there(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be reached"):
        predict("openai:http://127.0.0.1:9/v1#m", prepared, tmp_path / "a.jsonl")


def test_the_key_goes_to_the_server_and_nowhere_else(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(oracle, key="sesame-4711") as server:
        command = ["predict", server.name, "--data", str(prepared), "--out", str(tmp_path / "a.jsonl")]
        monkeypatch.setenv("INTERVALCHANGE_API_KEY", "wrong-4711")
        assert main(command) == 2
        said = capsys.readouterr()
        assert "it refuses the one that is set" in said.err and "Bearer ***" in said.err
        monkeypatch.setenv("INTERVALCHANGE_API_KEY", "sesame-4711\n")
        assert main(command) == 0
        said_then = capsys.readouterr()
    everything = said.err + said.out + said_then.err + said_then.out
    everything += "".join(path.read_text(encoding="utf-8") for path in tmp_path.iterdir())
    assert "4711" not in everything
    assert "4711" not in repr(ChatModel(_address(server), common_prompt("prose"), ForeignOptions()))


def test_a_key_is_not_sent_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    from intervalchange.foreign_models.addresses import Address

    monkeypatch.setenv("INTERVALCHANGE_API_KEY", "k")
    there = Address.of("openai:http://10.0.0.7:8000/v1#m")
    for address, options in ((there, ForeignOptions(own_server=True)), (replace(there, scheme="https"), None)):
        ChatModel(address, common_prompt("prose"), options or ForeignOptions())
    with pytest.raises(ConfigError, match="unencrypted"):
        ChatModel(there, common_prompt("prose"), ForeignOptions())


def test_an_answer_cut_at_the_limit_says_so(server: ChatServer, prepared: Path, tmp_path: Path) -> None:
    from intervalchange.foreign_models.chat import _reply_of

    choice = {"message": {"content": [{"type": "text", "text": "A \ud800 new"}]}, "finish_reason": "length"}
    assert _reply_of({"choices": [choice]}).text == "A ? new" and _reply_of({"choices": [choice]}).cut
    refusal = {"message": {"content": None, "refusal": "I cannot."}}
    assert _reply_of({"choices": [refusal]}).text == "I cannot."
    keep = KeptAnswers(tmp_path / "kept.jsonl")
    keep.add("k", _reply_of({"choices": [choice]}))
    assert KeptAnswers(tmp_path / "kept.jsonl").known == keep.known


def test_leaving_ends_what_is_open(server: ChatServer) -> None:
    server.hold_after = 1
    server.oracle = lambda films, text: "Nothing."
    model = ChatModel(_address(server), common_prompt("prose"), ForeignOptions(concurrency=3))
    replies = model.replies((number, FilmQuestion(BLANK + number, BLANK, "q")) for number in range(9))
    assert next(replies)[1].text == "Nothing."
    start = time.monotonic()
    replies.close()
    assert time.monotonic() - start < 1


def test_the_suite_asks_a_model_of_prose(
    server: ChatServer, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "suite.json"
    assert main(["check", server.name, "--data", str(prepared), "--limit", "3", "--out", str(out)]) == 0
    (found,) = json.loads(out.read_text(encoding="utf-8"))
    for name in ("swap.rate", "identity.rate", "identity_moved.rate", "paraphrase.rate", "given.change_f1"):
        assert found[f"suite.{name}"] == 1, name
    assert found["suite.unread.rate"] == 0 and set(server.asked.values()) == {1}
    assert "prompt " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("demo", ["--max-tokens", "5"], "a run of ours"),
        ("openai:http://127.0.0.1:9/v1#m", ["--profile", "gpt"], "none, libra, maira-2, medgemma, qwen-vl"),
        ("openai:http://127.0.0.1:9/v1#maira-2", ["--answer-as", "json"], "add --profile none"),
        ("openai:http://127.0.0.1:9/v1#m", ["--batch-size", "5"], "--batch-size is for hf: models"),
        ("hf:nowhere", ["--concurrency", "5"], "--concurrency is for openai: models"),
        ("hf:nowhere", ["--allow-remote"], "--allow-remote is for openai: models"),
        ("openai:http://127.0.0.1:9/v1#m", ["--prompt", "p.txt", "--answer-as", "json"], "Leave out --answer-as"),
        ("openai:https://example.org/v1#m", [], "--allow-remote"),
        ("openai:http://127.0.0.1:9/v1#m", ["--parameter", "stream=true"], "--parameter stream is set by this command"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(
    name: str, options: list[str], says: str, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.jsonl"
    assert main(["predict", name, "--data", str(prepared), "--out", str(out), *options]) == 2
    assert says in capsys.readouterr().err and not out.exists()


def test_other_doors_name_the_right_one(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from intervalchange.inference import load

    with pytest.raises(IntervalChangeError, match="Use `intervalchange predict`"):
        load("openai:http://127.0.0.1:9/v1#m")
    assert main(["check", "demo", "--data", str(prepared), "--max-tokens", "5"]) == 2
    assert "none of these is a model of others" in capsys.readouterr().err


@pytest.mark.slow
def test_after_kill_9_nothing_that_was_answered_is_asked_again(
    server: ChatServer, prepared: Path, tmp_path: Path
) -> None:
    """In processes of their own, which need no torch."""
    out, answered = tmp_path / "answers.jsonl", 8
    kept = tmp_path / "answers.answers.jsonl"
    code = "import sys; from intervalchange.cli import main; print(main(), 'torch' in sys.modules)"
    words = ["predict", server.name, "--data", str(prepared), "--out", str(out), "--controls", "--concurrency", "3"]
    command = [sys.executable, "-c", code, *words]
    kill_after(server, answered, command, kept)
    with kept.open("ab") as file:
        file.write(b'{"key": "torn')
    assert sum(server.answered.values()) == answered
    server.hold_after = None
    server.released.set()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]
    assert set(server.answered.values()) == {1}, "nothing that was answered was asked again"
    assert not kept.exists()
    quick(server, prepared, tmp_path / "whole.jsonl", ForeignOptions(concurrency=3), conditions=CONDITIONS)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
