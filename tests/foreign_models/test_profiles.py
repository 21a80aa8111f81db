"""What each kind of model is shown and asked: the exact messages, as a server gets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import toy
from chat_server import ChatServer

from intervalchange.cli import main
from intervalchange.cli.foreign import add_foreign_options
from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, InputError
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.foreign_models.answering import ForeignPredictor
from intervalchange.foreign_models.kept_answers import KeptAnswers
from intervalchange.foreign_models.opening import OpenedModel, open_model
from intervalchange.foreign_models.profiles import NONE, PROFILES, profile_of
from intervalchange.foreign_models.prompts import FORMS, ORDER
from intervalchange.foreign_models.records import FilmQuestion, ForeignOptions
from intervalchange.records import Case, Study

PRIOR, CURRENT = np.full((8, 8), 10, np.uint8), np.full((8, 8), 200, np.uint8)
QUESTION = "what has changed compared to the reference image?"
COMMON = f"{ORDER}\n\n{QUESTION}\n\n{FORMS['prose']}"
SHOWN = {
    "none": ["<prior>", "<current>", COMMON],
    "libra": [
        "[The assistant specialized in comparing Chest X-ray images, identifying differences, and noting temporal "
        "changes.]",
        "<current>",
        "<prior>",
        QUESTION,
    ],
    "maira-2": [
        "Given the current frontal image",
        "<current>",
        " and the prior frontal image",
        "<prior>",
        " PRIOR_REPORT: N/A Provide a description of the findings in the radiology study in comparison to the prior "
        "frontal image. INDICATION: N/A TECHNIQUE: N/A COMPARISON: N/A",
    ],
    "medgemma": ["[You are an expert radiologist.]", "<prior>", "<current>", COMMON],
    "qwen-vl": ["<prior>", "<current>", COMMON],
}
"""Profile -> the parts of its messages, in order; the system's in brackets."""
ONE_FILM = {
    "libra": [SHOWN["libra"][0], "<current>", "is there edema?"],
    "qwen-vl": ["<current>", "This is a frontal chest radiograph.\n\nis there edema?\n\nAnswer in a few words."],
}
TOKENS = {"maira-2": 300}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.cohort(tmp_path_factory.mktemp("toy"), train=1, val=1, test=2)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(lambda films, text: "Nothing has changed.") as server:
        yield server


def named(parts: list[np.ndarray | str]) -> list[str]:
    return [part if isinstance(part, str) else "<prior>" if part.mean() < 100 else "<current>" for part in parts]


def opened(server: ChatServer, prepared: Path, **options: object) -> OpenedModel:
    return open_model(server.name, ForeignOptions(**options), Prepared(prepared))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SHOWN)
def test_the_messages_of_a_profile(name: str, server: ChatServer, prepared: Path) -> None:
    model = opened(server, prepared, profile=name)
    dict(model.replies([(0, FilmQuestion(PRIOR, CURRENT, QUESTION))]))
    assert named(server.shown[0]) == SHOWN[name]
    assert server.bodies[0]["max_tokens"] == TOKENS.get(name, 512)
    order = [part.strip("<>") for part in SHOWN[name] if part.startswith("<")]
    assert model.facts["films"] == model.prompt.order == ", ".join(order)
    if name in ONE_FILM:
        dict(model.replies([(0, FilmQuestion(None, CURRENT, "is there edema?"))]))
        assert named(server.shown[1]) == ONE_FILM[name]


def test_every_profile_is_here_with_its_source() -> None:
    assert [NONE.name, *(one.name for one in PROFILES)] == list(SHOWN)
    assert all(one.source and one.unverified for one in PROFILES)


@pytest.mark.parametrize(
    ("model", "profile"),
    [
        ("X-iZhang/libra-v1.0-7b", "libra"),
        ("GUI-Libra-3B", "none"),
        ("microsoft/maira-2", "maira-2"),
        ("X-iZhang/libra-maira-2", "maira-2"),
        ("google/medgemma-1.5-4b-it", "medgemma"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen-vl"),
        ("qwen2.5vl:7b", "qwen-vl"),
        ("Qwen/Qwen3-VL-8B-Instruct", "qwen-vl"),
        ("Qwen/Qwen3-8B", "none"),
        ("HuggingFaceTB/SmolVLM-256M-Instruct", "none"),
    ],
)
def test_a_model_is_known_by_its_name(model: str, profile: str) -> None:
    assert profile_of(None, model).name == profile
    assert profile_of("none", model) is NONE and profile_of("libra", model).name == "libra"


def test_the_help_names_them_all() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_foreign_options(parser)
    text = " ".join(parser.format_help().split())
    assert all(one.name in text for one in (NONE, *PROFILES))


def test_the_profile_is_said_and_stands_in_the_provenance(
    server: ChatServer, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes, out = set(), tmp_path / "a.jsonl"
    for name in SHOWN:
        command = ["predict", server.name, "--data", str(prepared), "--profile", name]
        assert main([*command, "--out", str(tmp_path / f"{name}.jsonl")]) == 0
        said = capsys.readouterr().err
        provenance, _ = read_predictions(tmp_path / f"{name}.jsonl")
        assert provenance is not None and provenance.more["profile"] == name
        assert provenance.more["prompt_sha256"][:12] in said
        assert ("no profile" if name == "none" else f"profile {name}: --profile none") in said
        hashes.add((name, provenance.more["prompt_sha256"], provenance.more["system"]))
    assert len({digest for _, digest, _ in hashes}) == len(SHOWN) - 1, "qwen-vl differs in the processor alone"
    out.write_bytes((tmp_path / "none.jsonl").read_bytes())
    assert main(["predict", server.name, "--data", str(prepared), "--out", str(out), "--profile", "qwen-vl"]) == 2
    assert "another profile" in capsys.readouterr().err


def test_a_wording_of_ones_own_keeps_the_order_and_the_system(
    server: ChatServer, prepared: Path, tmp_path: Path
) -> None:
    own = tmp_path / "p.txt"
    own.write_text("Look. {question}", encoding="utf-8")
    dict(opened(server, prepared, profile="libra", prompt=own).replies([(0, FilmQuestion(PRIOR, CURRENT, "q"))]))
    assert named(server.shown[0]) == [SHOWN["libra"][0], "<current>", "<prior>", "Look. q"]
    assert opened(server, prepared, profile="maira-2", max_tokens=7).facts["parameters"]["max_tokens"] == 7


def test_a_model_of_reports_is_asked_nothing_else(server: ChatServer, prepared: Path) -> None:
    study = Study("1", "1.png")
    case = Case("c", "p", study, None, "is there edema?", "no", "presence", "test")
    predictor = ForeignPredictor(opened(server, prepared, profile="maira-2"), KeptAnswers())
    with pytest.raises(InputError, match=r"maira-2 models write a report.*--profile none"):
        predictor._refuse([case])
    ForeignPredictor(opened(server, prepared, profile="libra"), KeptAnswers())._refuse([case])
    with pytest.raises(ConfigError, match="prompt of their own"):
        opened(server, prepared, profile="libra", answer_as="table")
    assert not server.shown
