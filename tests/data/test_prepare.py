"""Source tree -> prepared folder: each film once, bad films counted, killed at any moment and continued, same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from film_files import chest, dicom, save
from mimic_tree import MISSING, film, write_tree

from intervalchange.data import prepare as preparing
from intervalchange.data import shards, store
from intervalchange.data.film_files import read_film
from intervalchange.data.films import film_from_file
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.data.store import PixelStore
from intervalchange.errors import ConfigError, SourceError
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING, parse
from intervalchange.records import Change


def write_pairs(folder: Path, patients: int = 6, side: int = 80) -> Path:
    """Three films a patient, each with the next as a pair."""
    lines = ["patient,prior,current,case_id,answer,change_label"]
    for patient in range(patients):
        for visit in range(3):
            save(chest(side, side - 10, patient * 3 + visit), folder / f"p{patient}" / f"{visit}.png")
        for visit in range(2):
            lines.append(f"p{patient},p{patient}/{visit}.png,p{patient}/{visit + 1}.png,c{patient}-{visit},{NOTHING},x")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    return folder / "pairs.csv"


def fingerprint(folder: Path) -> dict[str, str]:
    """Name of every file -> its hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def quietly(*arguments: Any, **options: Any) -> dict[str, Any]:
    return prepare(*arguments, progress=False, **options)


def test_pairs_are_prepared(tmp_path: Path) -> None:
    csv = write_pairs(tmp_path / "in")
    manifest = quietly("pairs", csv, tmp_path / "out", pixels=64)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "bad_films.json",
        "cases.parquet",
        "contact_sheet.jpg",
        "doctor.txt",
        "manifest.json",
        "pixels-00000.npy",
        "regions.parquet",
        "studies.parquet",
    ]
    prepared = Prepared(tmp_path / "out")
    assert (len(prepared.cases), len(prepared.studies), len(prepared.pixels)) == (12, 18, 18)
    assert manifest == prepared.manifest
    assert manifest["doctor"]["patients"] == 6
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest
    case = next(case for case in prepared.case_records("all") if case.case_id == "c3-1")
    assert case.prior is not None
    assert (case.prior.image, case.current.image, case.tags) == ("p3/1.png", "p3/2.png", ("change_label=x",))
    row = prepared.studies.set_index("image").loc["p3/2.png"]
    stored = prepared.pixels.read([row["row"]])[0]
    fresh = film_from_file(tmp_path / "in" / "p3" / "2.png", 64)
    assert np.array_equal(stored, fresh.pixels), "inference sees the same bits"
    assert prepared.geometry(int(np.flatnonzero(prepared.studies["image"] == "p3/2.png")[0])) == fresh.geometry
    text = (tmp_path / "out" / "doctor.txt").read_text()
    assert "6 patients, 18 studies, 12 cases" in text
    assert "patients were split 8:1:1" in text


def test_no_pickle_and_the_same_bytes_twice(tmp_path: Path) -> None:
    csv = write_pairs(tmp_path / "in")
    quietly("pairs", csv, tmp_path / "a", pixels=64, workers=1)
    quietly("pairs", csv, tmp_path / "b", pixels=64, workers=3)
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    for path in (tmp_path / "a").glob("*.npy"):
        np.load(path, allow_pickle=False)
    before = fingerprint(tmp_path / "a")
    quietly("pairs", csv, tmp_path / "a", pixels=64)
    assert fingerprint(tmp_path / "a") == before, "a complete folder is left alone"


def test_a_mimic_tree_with_its_troubles(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "root")
    dry = quietly("mimic_diff_vqa", root, tmp_path / "out", pixels=64, dry_run=True)
    assert not (tmp_path / "out").exists()
    assert dry["doctor"]["kinds"]["difference"] == 6
    manifest = quietly("mimic_diff_vqa", root, tmp_path / "out", pixels=64)
    doctor = manifest["doctor"]
    assert doctor["films"]["bad"] == 1
    assert doctor["films"]["cases_lost"] == 2
    assert doctor["tags"] == {"answer_reversed": 1, "swapped_row": 2}
    assert json.loads((tmp_path / "out" / "bad_films.json").read_text()) == {film(MISSING): "no such file."}
    prepared = Prepared(tmp_path / "out")
    assert film(MISSING) not in set(prepared.studies["image"])
    assert len(set(prepared.studies["row"])) == len(prepared.studies)
    patients = prepared.cases.groupby("patient_id")["split"].nunique()
    assert (patients == 1).all()
    page = (tmp_path / "out" / "doctor.txt").read_text()
    for words in ("turned round", "not known to be frontal", "duplicate rows", "bad film", "pleural effusion"):
        assert words in page


def test_hostile_films_are_counted_not_fatal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    csv = write_pairs(tmp_path / "in", patients=4)
    folder = tmp_path / "in"
    (folder / "p0" / "1.png").write_text("not a picture")
    (folder / "p1" / "2.png").write_bytes((folder / "p1" / "2.png").read_bytes()[:300])
    dicom(folder / "p2" / "2.png", chest() * 4095, 12, ViewPosition="LATERAL")
    manifest = quietly("pairs", csv, tmp_path / "out", pixels=64)
    films = manifest["doctor"]["films"]
    assert (films["read"], films["bad"], films["cases_lost"]) == (9, 3, 4)
    assert any("not frontal" in line for line in films["bad_examples"])
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_no_film_at_all(tmp_path: Path) -> None:
    csv = write_pairs(tmp_path / "in", patients=1)
    for path in (tmp_path / "in").rglob("*.png"):
        path.unlink()
    with pytest.raises(SourceError, match="none of 3 films"):
        quietly("pairs", csv, tmp_path / "out", pixels=64)


def test_identical_films_and_dicom_headers_are_noted(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    film = chest()
    save(film, folder / "a.png")
    save(film, folder / "b.png")
    dicom(folder / "c.dcm", np.rint(chest(seed=1) * 4095), 12, StudyDate="20200105", ViewPosition="AP")
    dicom(folder / "d.dcm", np.rint(chest(seed=2) * 4095), 12, StudyDate="20200101", ViewPosition="AP")
    (folder / "pairs.csv").write_text("patient,prior,current\n1,a.png,b.png\n2,c.dcm,d.dcm\n")
    manifest = quietly("pairs", folder, tmp_path / "out", pixels=64)
    films = manifest["doctor"]["films"]
    assert films["identical_examples"] == ["a.png = b.png"]
    assert films["dates_against_order"] == 0, "the table has no order of its own: the pair is turned round"
    assert manifest["doctor"]["notes"]["cases turned round by the dates in their DICOM headers, with their answer"] == 1
    studies = Prepared(tmp_path / "out").studies.set_index("image")
    assert (studies.loc["c.dcm", "view"], studies.loc["c.dcm", "acquired_at"]) == ("AP", "2020-01-05T08:09:10")


def test_opacity_maps_lie_over_their_films(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "root")
    truth = root / "simulated-truth" / "opacity"
    film_name = Path(film("69000001")).stem
    square = np.zeros((64, 56), np.float32)
    square[:32, :28] = 0.8
    save(square, truth / f"{film_name}.png")
    quietly("mimic_diff_vqa", root, tmp_path / "out", pixels=64)
    prepared = Prepared(tmp_path / "out")
    assert prepared.maps is not None
    assert prepared.maps.shape == (32, 32)
    rows = prepared.studies.set_index("image")["opacity_row"]
    assert rows[film("69000001")] == 0
    assert (rows.drop(film("69000001")) == -1).all()
    (opacity,) = prepared.maps.read([0]) / 255
    assert abs(opacity[5, 8] - 0.8) < 0.01
    assert opacity[20, 8] == opacity[5, 20] == opacity[5, 0] == 0


def test_another_preparation_is_not_overwritten(tmp_path: Path) -> None:
    csv = write_pairs(tmp_path / "in", patients=2)
    quietly("pairs", csv, tmp_path / "out", pixels=64)
    with pytest.raises(ConfigError, match="another preparation"):
        quietly("pairs", csv, tmp_path / "out", pixels=72)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").touch()
    with pytest.raises(ConfigError, match="not empty"):
        quietly("pairs", csv, tmp_path / "full", pixels=64)
    with pytest.raises(ConfigError, match="file"):
        quietly("pairs", csv, csv, pixels=64)
    with pytest.raises(ConfigError, match="--pixels"):
        quietly("pairs", csv, tmp_path / "small", pixels=8)


@pytest.mark.parametrize("place", ["write_shard", "_finish", "_close"])
def test_stopped_at_every_stage_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    csv = write_pairs(tmp_path / "in")
    monkeypatch.setattr(store, "SHARD_BYTES", 4 * 64 * 64)
    quietly("pairs", csv, tmp_path / "whole", pixels=64)
    module = shards if place == "write_shard" else preparing
    plain, calls = getattr(module, place), []

    def stopping(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == (3 if place == "write_shard" else 1):
            raise KeyboardInterrupt
        return plain(*arguments)

    monkeypatch.setattr(module, place, stopping)
    with pytest.raises(KeyboardInterrupt):
        quietly("pairs", csv, tmp_path / "out", pixels=64)
    if place != "_close":
        with pytest.raises(SourceError, match="not finished"):
            Prepared(tmp_path / "out")
    monkeypatch.setattr(module, place, plain)
    decoded: list[Path] = []
    monkeypatch.setattr(
        preparing,
        "film_from_file",
        lambda path, side, **options: decoded.append(path) or film_from_file(path, side, **options),
    )
    quietly("pairs", csv, tmp_path / "out", pixels=64)
    assert fingerprint(tmp_path / "out") == fingerprint(tmp_path / "whole")
    assert len(decoded) == (18 - 8 if place == "write_shard" else 0), "finished shards are not decoded again"


@pytest.mark.slow
def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    """The process is killed again and again, a little later each time, until it gets through."""
    csv = write_pairs(tmp_path / "in", patients=8, side=300)
    program = (
        "import sys; from intervalchange.data import store; store.SHARD_BYTES = 4 * 256 * 256\n"
        "from intervalchange.data.prepare import prepare\n"
        "print('ready', flush=True); prepare('pairs', sys.argv[1], sys.argv[2], pixels=256, progress=False)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(out: Path, seconds: float | None) -> int:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(csv), str(out)], env=environment, stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            if seconds is not None:
                time.sleep(seconds)
                process.send_signal(signal.SIGKILL)
        return process.returncode

    assert run(tmp_path / "whole", None) == 0
    killed, seconds = 0, 0.01
    while run(tmp_path / "out", seconds) != 0:
        killed += 1
        seconds *= 1.6
        assert killed < 20
    assert killed >= 2
    assert fingerprint(tmp_path / "out") == fingerprint(tmp_path / "whole")


def test_store_refuses_what_is_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="missing"):
        PixelStore(tmp_path)
    with pytest.raises(SourceError, match="not a prepared folder"):
        Prepared(tmp_path)
    np.save(tmp_path / "pixels-00001.npy", np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(SourceError, match="not complete"):
        PixelStore(tmp_path)
    np.save(tmp_path / "pixels-00000.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(SourceError, match="damaged"):
        PixelStore(tmp_path)
    np.save(tmp_path / "pixels-00000.npy", np.zeros((2, 4, 4), np.float32))
    with pytest.raises(SourceError, match="8-bit"):
        PixelStore(tmp_path)


def test_store_reads_over_shards(tmp_path: Path) -> None:
    films = np.arange(5 * 16, dtype=np.uint8).reshape(5, 4, 4)
    for index in range(3):
        np.save(tmp_path / f"pixels-{index:05d}.npy", films[index * 2 : index * 2 + 2])
    pixels = PixelStore(tmp_path)
    assert len(pixels) == 5
    assert np.array_equal(pixels.read([4, 0, 3, 3]), films[[4, 0, 3, 3]])
    for row in (-1, 5):
        with pytest.raises(IndexError):
            pixels.read([row])


def test_films_are_stored_whole(tmp_path: Path) -> None:
    csv = write_pairs(tmp_path / "in", patients=1)
    quietly("pairs", csv, tmp_path / "out", pixels=160)
    prepared = Prepared(tmp_path / "out")
    geometry = prepared.geometry(0)
    assert (geometry.height, geometry.width, geometry.scale, geometry.offset_x, geometry.offset_y) == (80, 70, 2, 10, 0)
    assert isinstance(prepared.regions, pd.DataFrame)
    assert read_film(tmp_path / "in" / prepared.studies["image"][0]).pixels.shape[1] == 70


@pytest.mark.slow
@pytest.mark.parametrize("release", ["1.0.0", "1.0.1"])
def test_a_simulated_cohort_reads_forward_in_time(tmp_path: Path, release: str) -> None:
    """Whatever way round the release writes its rows, the answer is the change from the earlier to the later study."""
    from intervalchange.simulation.cohort import simulate

    simulate(tmp_path / "root", patients=4, seed=2, layout="mimic_diff_vqa", pixels=64, release=release, workers=1)
    quietly("mimic_diff_vqa", tmp_path / "root", tmp_path / "out", pixels=64)
    cases = Prepared(tmp_path / "out").case_records("all", ["difference"])
    assert cases
    for case in cases:
        assert case.prior is not None
        assert case.prior.acquired_at < case.current.acquired_at
        if case.question == DIFFERENCE_QUESTION:
            assert parse(case.answer).change == Change.between(case.prior, case.current)
        assert case.current.regions


def test_the_sheet_shows_a_pair_of_each_patient(tmp_path: Path) -> None:
    csv = write_pairs(tmp_path / "in")
    quietly("pairs", csv, tmp_path / "out", pixels=64)
    sheet = read_film(tmp_path / "out" / "contact_sheet.jpg", force=True).pixels
    # Six patients, two across: three rows of pictures, and a line of words.
    assert sheet.shape == (3 * (224 + 64) + 24, 2 * (2 * 224 + 16))
    shown = sheet[4:228, 4:228], sheet[4:228, 232:456]
    for picture in shown:
        assert picture.std() > 0.05, "a film, not a blank"
    assert np.abs(shown[0] - shown[1]).mean() > 0.01, "two films, not one twice"


def test_stopped_before_the_plan_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csv = write_pairs(tmp_path / "in", patients=1)

    def stopping(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "write_durably", stopping)
        with pytest.raises(KeyboardInterrupt):
            quietly("pairs", csv, tmp_path / "out", pixels=64, split="patient")
    assert quietly("pairs", csv, tmp_path / "out", pixels=64, split="patient")["doctor"]["patients"] == 1


@pytest.mark.slow
def test_a_ray_cluster_writes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three shards on two processes of a local cluster; one is there already, as after an interruption."""
    pytest.importorskip("ray")
    monkeypatch.setattr(store, "SHARD_BYTES", 6 * 64 * 64)
    csv = write_pairs(tmp_path / "in")
    quietly("pairs", csv, tmp_path / "here", pixels=64, split="patient")

    def stopping(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "_finish", stopping)
        with pytest.raises(KeyboardInterrupt):
            quietly("pairs", csv, tmp_path / "there", pixels=64, split="patient")
    (tmp_path / "there" / "progress" / "pixels-00001.json").unlink()
    (tmp_path / "there" / "progress" / "pixels-00002.json").unlink()
    quietly("pairs", csv, tmp_path / "there", pixels=64, split="patient", engine="ray", workers=2)
    assert fingerprint(tmp_path / "there") == fingerprint(tmp_path / "here")


def test_an_option_of_a_reader_is_read_from_text(tmp_path: Path) -> None:
    from intervalchange.data.readers import reader_options

    assert reader_options("vindr")["votes"] is int
    with pytest.raises(ConfigError, match="votes is 'two'"):
        quietly("vindr", tmp_path, tmp_path / "out", votes="two")
    with pytest.raises(ConfigError, match="4 votes of 3"):
        quietly("vindr", tmp_path, tmp_path / "out", votes="4")
    known = "no use for --option uncertain. Leave it out. It knows: --images, --option votes"
    with pytest.raises(ConfigError, match=known):
        quietly("vindr", tmp_path, tmp_path / "out", uncertain="present")


def test_options_of_a_reader_on_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from intervalchange.cli import main

    csv = write_pairs(tmp_path / "in")
    command = ["prepare", "pairs", str(csv), str(tmp_path / "out"), "--pixels", "64", "--split", "patient"]
    assert main([*command, "--option", "pixels=32"]) == 2
    assert "Give it as --pixels" in capfd.readouterr().err
    assert main([*command, "--option", "tag-columns=change_label,patient"]) == 0
    case = Prepared(tmp_path / "out").case_records("all")[0]
    assert set(case.tags) == {"change_label=x", "patient=p0"}
