"""From a run to answers: conditions, refusals, resuming a predictions file, the command line's manners."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import film_files
import numpy as np
import pytest
import torch
import toy

import intervalchange as ic
from intervalchange import cli
from intervalchange.errors import InputError, RunError
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.inference import NOT_SURE, Predictor, load, shown_as
from intervalchange.records import CONDITIONS, KINDS
from intervalchange.runs import predict_to_file
from intervalchange.training import train


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.cohort(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def run(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(
        "set_difference/answer",
        prepared,
        tmp_path_factory.mktemp("run") / "r",
        "tiny",
        overrides={"train.max_steps": 3},
    )


@pytest.fixture(scope="module")
def model(run: Path) -> Predictor:
    return load(run)


@pytest.fixture
def films(tmp_path: Path) -> tuple[Path, Path]:
    return film_files.save(film_files.chest(seed=1), tmp_path / "a.png"), film_files.save(
        film_files.chest(seed=2), tmp_path / "b.jpg"
    )


def test_the_kinds_of_a_run_are_what_it_answers(model: Predictor, prepared: Path) -> None:
    def kinds(**train: object) -> tuple[str, ...]:
        return Predictor(model.model, {"fingerprint": {"train": train}} if train else {}).kinds

    assert model.kinds == ("difference",)
    assert kinds(kinds=["presence", "level"]) == ("presence", "level")
    assert kinds(kinds=[]) == KINDS, "trained on all kinds"
    assert kinds() == ("difference",), "an old record does not say"


def test_two_files_and_a_question(model: Predictor, films: tuple[Path, Path]) -> None:
    result = model.answer(*films)
    assert result.answer and result.change is not None and result.confidence and result.evidence is not None
    assert ic.Prediction.from_json(json.loads(json.dumps(result.as_json()))).answer == result.answer


def test_a_question_about_one_film_needs_no_prior(model: Predictor, films: tuple[Path, Path]) -> None:
    assert model.answer(None, films[1], "is there pleural effusion?").answer in ("yes", "no")
    with pytest.raises(InputError, match="no prior"):
        model.answer(None, films[1])


def test_conditions_show_what_they_say() -> None:
    batch = toy.batch(3)
    torch.testing.assert_close(shown_as(batch, "swap").current, batch.prior)
    torch.testing.assert_close(shown_as(batch, "swap").prior, batch.current)
    torch.testing.assert_close(shown_as(batch, "identity").prior, batch.current)
    torch.testing.assert_close(shown_as(batch, "prior_twice").current, batch.prior)
    assert not shown_as(batch, "blank").current.any() and not shown_as(batch, "blank").prior.any()
    assert shown_as(batch, "given").current is batch.current
    with pytest.raises(InputError, match="unknown condition"):
        shown_as(batch, "sideways")


def test_predictions_resume_where_they_stopped(model: Predictor, prepared: Path, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    added = predict_to_file(model, prepared, whole, conditions=CONDITIONS)
    content = whole.read_bytes()
    lines = content.split(b"\n")
    assert added == len(lines) - 2
    torn.write_bytes(b"\n".join(lines[:7]) + b"\n" + lines[7][:20])
    assert predict_to_file(model, prepared, torn, conditions=CONDITIONS) == added - 6
    assert {p.as_json()["case_id"] + p.condition + p.answer for p in read_predictions(torn)[1]} == {
        p.as_json()["case_id"] + p.condition + p.answer for p in read_predictions(whole)[1]
    }
    provenance, _ = read_predictions(whole)
    assert provenance is not None and provenance.training_answers and provenance.split_hash


def test_patients_of_the_training_data_are_refused(model: Predictor, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="in the training data"):
        predict_to_file(model, prepared, tmp_path / "all.jsonl", split="all")
    assert predict_to_file(model, prepared, tmp_path / "train.jsonl", split="train") > 0


def test_abstaining_marks_and_keeps(model: Predictor, prepared: Path, tmp_path: Path) -> None:
    predict_to_file(model, prepared, tmp_path / "a.jsonl", abstain_at=1.1)
    _, predictions = read_predictions(tmp_path / "a.jsonl")
    assert predictions and all("abstained" in p.warnings and p.answer for p in predictions)


def test_a_run_that_may_abstain_says_so_below_its_threshold(
    run: Path, films: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    careful = tmp_path / "careful"
    shutil.copytree(run, careful)
    facts = json.loads((careful / "run.json").read_text())
    confidence = load(run).answer(*films).confidence["answer"]
    for threshold, unsure in ((confidence + 1e-4, True), (confidence - 1e-4, False)):
        (careful / "run.json").write_text(json.dumps({**facts, "abstain_at": threshold}))
        asked = ["answer", str(careful), "--prior", str(films[0]), "--current", str(films[1])]
        cli.main(asked)
        assert capsys.readouterr().out.startswith(NOT_SURE) == unsure
        cli.main([*asked, "is there edema?"])
        assert NOT_SURE not in capsys.readouterr().out, "questions about one film are answered"
    assert load(run).abstain_at is None


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"stage": "set_difference/answer", "finished": false}')
    with pytest.raises(RunError, match="has not finished"):
        load(tmp_path)
    with pytest.raises(RunError, match=r"run\.json is missing"):
        load(tmp_path / "nowhere")


def hostile(folder: Path) -> dict[str, Path]:
    """Name -> a file that must be refused."""
    film = film_files.chest()
    png, jpeg = film_files.encoded(film, "PNG"), film_files.encoded(film, "JPEG")
    contents = {
        "empty.png": b"",
        "text.png": b"this is not a film, it is a sentence",
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "cut.png": png[: len(png) // 2],
        "huge.png": film_files.png_claiming(60_000, 60_000),
        "moving.gif": b"GIF89a" + bytes(64),
    }
    paths = {"missing": folder / "missing.png", "folder": folder}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        paths[name] = folder / name
    stored = np.rint(film * 4095).astype(np.uint16)
    paths["ct"] = film_files.dicom(folder / "ct.dcm", stored, Modality="CT")
    paths["frames"] = film_files.dicom(folder / "frames.dcm", stored, NumberOfFrames=2)
    paths["no pixels"] = film_files.dicom(folder / "none.dcm", stored, PixelData=None)
    whole = film_files.dicom(folder / "whole.dcm", stored).read_bytes()
    paths["cut dicom"] = folder / "cut.dcm"
    paths["cut dicom"].write_bytes(whole[: len(whole) // 2])
    paths["lateral"] = film_files.dicom(folder / "lateral.dcm", stored, ViewPosition="LATERAL")
    return paths


def test_bad_films_end_with_a_sentence(run: Path, films: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name, path in hostile(folder).items():
        code = cli.main(["answer", str(run), "--prior", str(films[0]), "--current", str(path)])
        said = capsys.readouterr().err
        assert code == 2, name
        assert str(path) in said and "Traceback" not in said and len(said.split(". ")) >= 2, (name, said)
    both = [folder / "cut.dcm", folder / "lateral.dcm"]
    assert cli.main(["answer", str(run), "--prior", str(both[0]), "--current", str(both[1])]) == 2
    said = capsys.readouterr().err
    assert all(str(path) in said for path in both)


def test_force_reads_a_lateral(run: Path, films: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    lateral = hostile(tmp_path)["lateral"]
    arguments = ["answer", str(run), "--prior", str(films[0]), "--current", str(lateral), "--json"]
    assert cli.main([*arguments, "--force"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["answer"] and any("--force" in warning for warning in printed["warnings"])
    assert "Research use only" in printed["notice"]


def test_the_report_is_one_page_without_outside_parts(run: Path, films: tuple[Path, Path], tmp_path: Path) -> None:
    report = tmp_path / "answer.html"
    assert (
        cli.main(["answer", str(run), "--prior", str(films[0]), "--current", str(films[1]), "--report", str(report)])
        == 0
    )
    page = report.read_text(encoding="utf-8")
    assert "Research use only" in page and page.count("data:image/jpeg;base64,") >= 2
    assert "http://" not in page and "https://" not in page and "<script" not in page


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "real/anwser", "--data", "x", "--out", "y"],
        ["train", "real/answer", "--data", "nowhere", "--out", "y"],
        ["train", "real/answer", "--data", "x", "--out", "y", "--model.querys", "3"],
        ["predict", "nowhere", "--data", "x"],
        ["prepare", "pairs", "nowhere.csv", "out"],
        ["prepare", "mimic_diff_vqa", "nowhere", "out"],
        ["score", "nowhere.jsonl"],
        ["simulate", "out", "--splits", "8:1"],
    ],
    ids=" ".join,
)
def test_mistakes_on_the_command_line(arguments: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert f"intervalchange {arguments[0]}: " in said and "Traceback" not in said


def test_headers_against_the_order_and_another_patient_are_said(model: Predictor, tmp_path: Path) -> None:
    def film(name: str, seed: int, **header: object) -> Path:
        return film_files.dicom(tmp_path / name, np.rint(film_files.chest(seed=seed) * 4095), 12, **header)

    old, new = film("2019.dcm", 1, StudyDate="20190110"), film("2020.dcm", 2, StudyDate="20200110")
    other = film("other.dcm", 2, StudyDate="20210110", PatientID="OTHER")
    png = film_files.save(film_files.chest(seed=5), tmp_path / "a.png")
    for prior, current, said in (
        (old, new, ""),
        (old, png, ""),
        (png, old, ""),
        (new, old, "the prior is the later film"),
        (old, other, "different PatientIDs"),
        (png, png, "prior and current are the same film"),
        (new, film("again.dcm", 2, StudyDate="20200110"), "prior and current are the same film"),
    ):
        warnings = " ".join(model.answer(prior, current).warnings)
        assert said in warnings
        assert bool(said) == any(word in warnings for word in ("later film", "PatientIDs", "same film"))
        assert "OTHER" not in warnings


def test_the_command_line_says_what_the_headers_say(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = np.rint(film_files.chest(seed=1) * 4095)
    old = film_files.dicom(tmp_path / "old.dcm", stored, 12, StudyDate="20190110")
    new = film_files.dicom(tmp_path / "new.dcm", stored[::-1], 12, StudyDate="20200110")
    page = tmp_path / "page.html"
    arguments = ["answer", str(run), "--prior", str(new), "--current", str(old), "--json", "--report", str(page)]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr()
    assert "later film" in json.loads(printed.out)["warnings"][-1]
    assert "later film" in printed.err
    assert "later film" in page.read_text(encoding="utf-8")
