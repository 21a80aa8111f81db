"""Confidence from probabilities of tokens and from samples."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy
from chat_server import ChatServer, kill_after

from intervalchange.cli import main
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.foreign_models.answering import NO_CONFIDENCE
from intervalchange.foreign_models.chat import _reply_of
from intervalchange.foreign_models.confidence import agreement, confidence_of
from intervalchange.foreign_models.records import Reply

PAIRS = 4
NEW, GONE, SAME = "There is a new effusion.", "The effusion has resolved.", "Nothing has changed."
SAMPLES = [NEW, "New pleural effusion.", GONE, NEW]
"""Answers to the first samples of any question."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.cohort(tmp_path_factory.mktemp("toy"), train=1, val=1, test=PAIRS)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """Answers the first sample of a question otherwise than the question itself."""
    with ChatServer(lambda films, text: NEW) as server:
        server.oracle = lambda films, text: SAMPLES[server.bodies[-1].get("seed", 1) - 1]
        yield server


@pytest.mark.parametrize(
    ("answer", "kind", "share"),
    [
        (NEW, "difference", 3 / 4),
        (GONE, "difference", 1 / 4),
        (SAME, "difference", 0),
        ("I cannot compare these images.", "difference", 0),
        ("new EFFUSION, there is a", "presence", 0),
        ("there is a new effusion", "presence", 2 / 4),
    ],
)
def test_the_share_of_samples_that_agree(answer: str, kind: str, share: float) -> None:
    assert agreement(answer, SAMPLES, "what has changed?", kind) == share


def test_no_change_agrees_however_it_is_said() -> None:
    answers = ["The heart is unchanged.", "No interval change.", "There is a new edema.", "I cannot say.", "???"]
    assert agreement(SAME, answers, "what has changed?", "difference") == 2 / 5


def test_the_probability_of_an_answer_is_the_geometric_mean_of_its_tokens() -> None:
    reply = Reply("x", log_probability=(math.log(0.5) + math.log(0.125)) / 2)
    assert confidence_of(reply, [], "q", "difference") == pytest.approx(0.25, abs=1e-15)
    assert confidence_of(Reply("x"), [], "q", "difference") is None
    assert confidence_of(reply, [Reply("x")], "q", "view") == 1


@pytest.mark.parametrize(
    ("given", "mean"),
    [
        ({"content": [{"logprob": -0.5}, {"logprob": -1.5}]}, -1.0),
        ({"content": [{"logprob": 1e-9}]}, 0.0),
        ({"content": [{"logprob": -math.inf}, {"logprob": 0}]}, -1e6),
        ({"content": []}, None),
        ({"content": None}, None),
        ({"content": [{"logprob": None}]}, None),
        ({"content": [{"logprob": math.nan}]}, None),
        (None, None),
    ],
)
def test_what_servers_give(given: object, mean: float | None) -> None:
    choice = {"message": {"content": "x"}, "finish_reason": "stop", "logprobs": given}
    assert _reply_of({"choices": [choice]}).log_probability == mean


def predict(server: ChatServer, prepared: Path, out: Path, *more: str) -> int:
    return main(["predict", server.name, "--data", str(prepared), "--out", str(out), *more])


def test_from_probabilities_to_calibration(
    server: ChatServer, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.log_probabilities = [math.log(0.9), math.log(0.4)]
    out = tmp_path / "a.jsonl"
    assert predict(server, prepared, out, "--abstain-at", "0.7") == 0
    assert all(one["logprobs"] is True for one in server.bodies) and NO_CONFIDENCE not in capsys.readouterr().err
    _, answers = read_predictions(out)
    assert {(one.confidence or {})["answer"] for one in answers} == {0.6} and answers[0].warnings == ("abstained",)
    assert main(["score", str(out), "--json", "--no-meteor", "--replicates", "20"]) == 0
    scores = json.loads(capsys.readouterr().out)
    right = scores["change.exact.accuracy"]
    assert scores["calibration.answer.ece"] == pytest.approx(abs(right - 0.6), abs=1e-9)
    assert scores["selective.abstained.count"] == PAIRS


def test_a_server_without_probabilities_is_said_once(
    server: ChatServer, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(server, prepared, tmp_path / "a.jsonl") == 0
    assert capsys.readouterr().err.count(NO_CONFIDENCE) == 1
    assert all(one.confidence is None for one in read_predictions(tmp_path / "a.jsonl")[1])
    assert predict(server, prepared, tmp_path / "b.jsonl", "--parameter", "logprobs=null") == 0
    assert "logprobs" not in server.bodies[-1]
    server.faults.append("400 logprobs are not supported")
    assert predict(server, prepared, tmp_path / "c.jsonl", "--concurrency", "1") == 2
    assert "add --parameter logprobs=null" in capsys.readouterr().err


def test_samples_are_other_answers_to_the_same_question(server: ChatServer, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    assert predict(server, prepared, out, "--samples", "4", "--controls") == 0
    provenance, answers = read_predictions(out)
    assert provenance is not None and provenance.more["samples"] == 4
    for one in answers:
        assert one.answer == NEW
        assert one.confidence == ({"answer": 0.75} if one.condition in ("given", "swap") else None)
    sampled = [one for one in server.bodies if "seed" in one]
    assert {(one["temperature"], one["seed"]) for one in sampled} == {(1.0, seed) for seed in (1, 2, 3, 4)}
    assert not any("logprobs" in one for one in server.bodies)
    assert {one["temperature"] for one in server.bodies if "seed" not in one} == {0}
    assert set(server.asked.values()) == {1}
    assert predict(server, prepared, out, "--samples", "5", "--controls") == 2, "another file"
    assert predict(server, prepared, tmp_path / "b.jsonl", "--samples", "1", "--parameter", "temperature=0.3") == 0
    assert {one["temperature"] for one in server.bodies[-2 * PAIRS :]} == {0.3}


def test_the_suite_needs_none(server: ChatServer, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", server.name, "--data", str(prepared), "--samples", "3"]) == 2
    assert "Leave out --samples" in capsys.readouterr().err


@pytest.mark.slow
def test_after_kill_9_no_sample_is_drawn_again(server: ChatServer, prepared: Path, tmp_path: Path) -> None:
    out, answered = tmp_path / "answers.jsonl", 11
    kept = tmp_path / "answers.answers.jsonl"
    words = ["predict", server.name, "--data", str(prepared), "--out", str(out), "--samples", "4", "--concurrency", "3"]
    command = [sys.executable, "-c", "import sys; from intervalchange.cli import main; sys.exit(main())", *words]
    kill_after(server, answered, command, kept)
    server.hold_after = None
    server.released.set()
    subprocess.run(command, capture_output=True, check=True)
    assert set(server.answered.values()) == {1} and len(server.answered) == 5 * PAIRS
    assert predict(server, prepared, tmp_path / "whole.jsonl", *words[-4:]) == 0
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
