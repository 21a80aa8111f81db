"""`intervalchange watch`: what it takes, and the whole way through a folder."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml
from memory_archive import film_file, looks_once, two_visits

import intervalchange as ic
from intervalchange import cli
from intervalchange.inference import load
from intervalchange.policy import RESEARCH_USE
from intervalchange.simulation.cohort import simulate_patient
from intervalchange.simulation.dicom_files import uid

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Two visits of one patient, and one of another."""
    folder = tmp_path / "films"
    folder.mkdir()
    first, second = (study.film for study in simulate_patient(900_600, 3, pixels=256).studies[-2:])
    assert first is not None and second is not None
    for name, film in {
        "a": film_file("first", "20300101", pixels=first.pixels),
        "b": film_file("second", "20300301", pixels=second.pixels),
        "c": film_file("alone", "20300301", person="B2", seed=3),
    }.items():
        (folder / name).write_bytes(film)
    return folder


def results(out: Path) -> dict[str, dict[str, str]]:
    """Study -> what `result.json` says of it."""
    plain = json.loads((out / "result.json").read_text())
    assert plain["notice"] == RESEARCH_USE
    return {study["study"]: study for study in plain["studies"]}


@pytest.mark.slow
def test_a_folder_in_and_answers_out(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["watch", "demo", "--in", str(films), "--out", str(out)]
    assert cli.main(command) == 0
    said = results(out)
    assert said[uid("second")]["state"] == "filed" and said[uid("second")]["prior"] == uid("first")
    assert said[uid("alone")]["state"] == "refused"
    assert said[uid("alone")]["why"] == "there is no other study of the patient."
    objects = {path.name: path.read_bytes() for path in out.glob("*.dcm")}
    assert len(objects) == 2
    assert [ic.read_report(path) for path in out.glob("SR-*.dcm")] == [
        load("demo").answer(films / "a", films / "b").change
    ]
    log = capsys.readouterr().err
    assert "filed after" in log and uid("second") not in log and "A1" not in log
    assert cli.main(command) == 0  # As a router does after a failure: nothing is written over.
    assert {path.name: path.read_bytes() for path in out.glob("*.dcm")} == objects


@pytest.mark.slow
def test_a_router_names_its_folders(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERCURE_IN_DIR", str(films))
    monkeypatch.setenv("MERCURE_OUT_DIR", str(tmp_path / "out"))
    assert cli.main(["watch", "demo", "--pdf"]) == 0
    assert len(list((tmp_path / "out").glob("*.dcm"))) == 3


def test_what_it_prints_is_for_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("intervalchange.archive.addresses.open_archive", lambda address, title: two_visits())
    monkeypatch.setattr("intervalchange.serving.watcher.watch", looks_once)
    state = ["--state", str(tmp_path / "state"), "--settle", "0", "--backlog", "--viewer", "http://127.0.0.1:3000"]
    assert cli.main(["watch", "demo", "--archive", "http://archive/dicom-web", *state]) == 0
    shown = capsys.readouterr()
    first, second = sorted(map(json.loads, shown.out.splitlines()), key=lambda study: study["state"])
    assert (first["study"], first["prior"], second["study"]) == (uid("second"), uid("first"), uid("first"))
    assert first["link"].endswith(f"{uid('second')},{uid('first')}&hangingprotocolId=@ohif/hpCompare")
    assert RESEARCH_USE in shown.err and uid("second") not in shown.err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "there is nothing to watch"),
        (["--in", "films"], "--in and --out belong together"),
        (["--archive", "http://h/d", "--listen", "11112", "--host", "0.0.0.0"], "nobody is named who may send"),
        (["--archive", "http://h/d", "--senders", "ROUTER"], "are for --listen"),
        (["--archive", "http://h/d", "--listen-web", "8080", "--senders", "ROUTER"], "are for --listen"),
        (["--archive", "http://h/d", "--host", "0.0.0.0"], "is for --listen"),
        (["--in", "films", "--out", "out", "--days", "0"], "--days says nothing of a folder"),
        (["--in", "films", "--out", "out", "--listen-web", "8080"], "--listen-web says nothing of a folder"),
        (["--archive", "h"], "no address of an archive"),
        (["--in", "nowhere", "--out", "out"], "no such folder"),
    ],
)
def test_what_does_not_fit_is_refused(
    options: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["watch", "demo", *options]) == 2
    assert why in capsys.readouterr().err


def test_the_commands_of_the_containers_parse() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    commands = [service["command"] for service in services.values() if "build" in service]
    assert sorted(shlex.split(command)[0] for command in commands) == ["serve", "watch"]
    for command in commands:
        cli.parser().parse_args(shlex.split(command))
