"""Every example that a `--help` prints runs as printed: in a folder that holds what it names, and at a small size."""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import shutil
from pathlib import Path

import pytest
import tiny_vlm
from chat_server import ChatServer
from memory_archive import film_file, looks_once, two_visits
from starlette.testclient import TestClient

from intervalchange import cli
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING
from intervalchange.inference import DEMO

SHARED = {"answer", "score", "serve", "watch"}
"""Verbs whose examples are quick enough for the fast suite, but for those that name a prepared folder."""
SMALL = {"500": "10", "300": "4", "150": "2", "/data/physionet": "cohorts/sim", "small": "tiny"}
"""Words of the examples -> those of a test."""
TOKEN = "0123456789abcdef"
EDEMA = "the main image has an additional finding of edema than the reference image."
RUNS = {
    "runs/real": None,
    "runs/masks": ("tasks/segmentation", "prepared/siim"),
    "runs/align": ("cm_cgns/align", "prepared/sim"),
}
"""Runs that the examples name -> the stage and data they are trained on; None for the weights in the wheel."""


def examples() -> list[str]:
    """The example lines of the epilogs of all verbs."""
    (verbs,) = (action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
    pages = [verb.epilog or "" for verb in verbs.choices.values()]
    return [line.strip() for page in pages for line in page.splitlines() if line.strip().startswith("intervalchange ")]


def is_quick(example: str) -> bool:
    words = shlex.split(example)
    return (words[1] in SHARED and "--data" not in words) or "--help" in words


def test_every_verb_has_examples_that_parse() -> None:
    assert {shlex.split(line)[1] for line in examples()} == set(cli.VERBS)
    for line in examples():
        options, rest = cli.parser().parse_known_args(shlex.split(line)[1:])
        assert options.verb == "train" or not rest, line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """What the quick examples name: films, a run, files of answers."""
    place = tmp_path_factory.mktemp("examples")
    films = sorted((shared / "data" / "cxr_longitudinal" / "images").glob("han-*.png"))
    for name in ("2019.png", "a.png", "b.png"):
        shutil.copy(films[0], place / name)
    shutil.copy(shared / "data" / "dicom" / "nema_rg1_cr_chest_mono1_j2k.dcm", place / "2019.dcm")
    shutil.copy(shared / "data" / "dicom" / "nih_siim_cr_mono2_jpeg.dcm", place / "2020.dcm")
    (place / "films").mkdir()
    (place / "films" / "new.dcm").write_bytes(film_file("new", "20300401"))
    (place / "runs").mkdir()
    (place / "runs" / "real").symlink_to(DEMO)
    write_answers(place)
    return place


def write_answers(place: Path) -> None:
    """Predictions of ours, and a table of questions with results of somebody else."""
    answers = [EDEMA if number % 3 else NOTHING for number in range(12)]
    for name in ("predictions.jsonl", "real.jsonl", "plain.jsonl", "val.jsonl"):
        lines = [
            {
                "case_id": str(number),
                "patient_id": str(number // 2),
                "kind": "difference",
                "question": DIFFERENCE_QUESTION,
                "answer": NOTHING if number == 1 else answer,
                "reference": answer,
                "confidence": {"answer": 0.3 if number == 1 else 0.9},
            }
            for number, answer in enumerate(answers)
        ]
        (place / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with (place / "mimic_pair_questions.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split"])
        for number, answer in enumerate(answers):
            study, patient, reference = 69990001 + number, 29990001 + number, 68880001 + number
            table.writerow([study, patient, reference, "difference", DIFFERENCE_QUESTION, answer, "test"])
    results = [
        {"image_id": f"{69990001 + number}_{68880001 + number}", "caption": answer, "id": number}
        for number, answer in enumerate(answers)
    ]
    for name in ("results.json", "other.json"):
        (place / name).write_text(json.dumps(results), encoding="utf-8")


def asked_whether_it_is_ready(app: object, **_: object) -> None:
    """In place of a server that runs until it is stopped."""
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/ready", headers={"Authorization": f"Bearer {TOKEN}"}).json()["status"] == "ready"


@pytest.mark.parametrize("example", [line for line in examples() if is_quick(line)])
def test_quick_examples_run(
    example: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    if "train.idf.json" in example:
        assert cli.main(["score", "real.jsonl", "--no-meteor", "--save-idf", "train.idf.json"]) == 0
    words = shlex.split(example)[1:]
    if words[0] == "serve":
        monkeypatch.setenv("INTERVALCHANGE_TOKEN", TOKEN)
        monkeypatch.setattr("uvicorn.run", asked_whether_it_is_ready)
    if words[0] == "watch":
        monkeypatch.setattr("intervalchange.archive.addresses.open_archive", lambda address, title: two_visits())
        monkeypatch.setattr("intervalchange.serving.watcher.watch", looks_once)
    more = ["--replicates", "100", "--no-meteor"] if words[0] == "score" and "--risk" not in words else []
    assert cli.main([*words, *more]) == 0, capsys.readouterr().err
    if "is there pleural effusion?" in example:
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["question"] == "is there pleural effusion?"


@pytest.mark.slow
def test_the_other_examples_run_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of a user: a cohort, a prepared folder, runs, answers. What others have made already stands in."""
    monkeypatch.chdir(folder)
    with Path("my_pairs.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["patient", "prior", "current", "answer"], ["P1", "a.png", "b.png", NOTHING]])
    for source in ("siim", "nih"):
        cohort, out = f"cohorts/{source}", f"prepared/{source}"
        assert cli.main(["simulate", cohort, "--layout", source, "--patients", "16", "--pixels", "64"]) == 0
        assert cli.main(["prepare", source, cohort, out, "--pixels", "64", "--split", "patient"]) == 0
    tiny_vlm.llava(Path("models/vlm"))
    with ChatServer(lambda films, text: "There is a new pleural effusion.") as server:
        small_words = SMALL | {"openai:http://127.0.0.1:8000/v1#MODEL": server.name, "128": "4", "20": "2"}
        run_in_order(small_words)


def run_in_order(small_words: dict[str, str]) -> None:
    """Every example that is not quick, with words replaced."""
    for line in [line for line in examples() if not is_quick(line)]:
        words = [small_words.get(word, word) for word in shlex.split(line)[1:]]
        small = {"simulate": ["--pixels", "160"], "prepare": ["--pixels", "160"], "train": ["--train.max_steps", "4"]}
        if "--list" not in words:
            words += small.get(words[0], [])
            if words[0] == "train" and "--size" not in words:
                words += ["--size", "tiny"]
        make_run(words)
        if words[:2] == ["train", "real/answer"]:
            words[words.index("--out") + 1] += "_trained"
        if words[0] == "predict":  # The quick examples have answers of another run under this name.
            Path(words[words.index("--out") + 1]).unlink(missing_ok=True)
        if words[0] == "score":
            assert cli.main(["predict", "demo", "--data", "prepared/sim", "--out", "test.jsonl"]) == 0
        assert cli.main(words) == 0, line


def make_run(words: list[str]) -> None:
    """Train the run that a command names, where it is not there yet."""
    for run in RUNS.keys() & set(words):
        stage_and_data = RUNS[run]
        if stage_and_data and not Path(run).exists():
            stage, data = stage_and_data
            command = ["train", stage, "--data", data, "--out", run, "--size", "tiny", "--train.max_steps", "4"]
            if stage == "tasks/segmentation":
                command += ["--model.labels", "[pneumothorax]"]
            assert cli.main(command) == 0
