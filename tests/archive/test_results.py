"""What is filed of an answer: in the study of the current film, once, and as the standard wants it."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from filed import CHANGE, answered, complaints, film, header, saved

from intervalchange import cli
from intervalchange.archive.read_report import read_report, whole_report
from intervalchange.archive.results import film_header, result_uids, results_of
from intervalchange.errors import ImageError, InputError
from intervalchange.inference import load
from intervalchange.policy import RESEARCH_USE
from intervalchange.records import Change

EVIDENCE = {name: np.eye(8, dtype=np.float32) for name in ("change", "pleural effusion", "edema")}
TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate", "StudyTime"),
    *("AccessionNumber", "StudyID", "ReferringPhysicianName", "StudyDescription", "ViewPosition", "Rows", "Columns"),
)
LETTERS = "Müller^Jörg=山田^太郎"
HOSTILE = {
    "plain": {},
    "incomplete": dict.fromkeys(TYPE_2),
    "wrong": {
        "StudyDate": "2020-01-02", "StudyTime": "half past two", "PatientSex": "female", "PatientBirthDate": "17th",
        "AccessionNumber": "A" * 40, "StudyID": "S" * 20, "PatientName": "N" * 80, "StudyDescription": "D" * 99,
        "PatientAge": "fifty", "ReferringPhysicianName": "R^" * 9, "IssuerOfPatientID": "I" * 70,
    },
    "letters": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": LETTERS, "StudyDescription": "胸部"},
}  # fmt: skip


def test_all_in_the_current_study_each_in_a_series_of_its_own() -> None:
    current, prior = header(), header("prior")
    results = results_of(answered(evidence=EVIDENCE), current, prior, model="run", pdf=True)
    uids = result_uids(current.SOPInstanceUID, prior.SOPInstanceUID, "run")
    assert [data.SOPInstanceUID for data in results] == [uids.report, uids.capture, uids.pdf]
    assert [data.Modality for data in results] == ["SR", "OT", "DOC"]
    assert {data.StudyInstanceUID for data in results} == {current.StudyInstanceUID}
    assert len({data.SeriesInstanceUID for data in results} | {current.SeriesInstanceUID}) == 4
    for data in results:
        assert (data.PatientID, data.AccessionNumber, data.StudyID, data.StudyDate) == ("P1", "A1", "7", "20200102")
        assert (data.PatientSex, data.PatientAge, data.SpecificCharacterSet) == ("F", "050Y", "ISO_IR 192")
        assert RESEARCH_USE in data.SeriesDescription


@pytest.mark.slow
def test_the_same_answer_twice_is_the_same_instance() -> None:
    def uids() -> list[tuple[str, str]]:
        results = results_of(answered(), header(), header("prior"), model="run", pdf=True)
        return [(data.SOPInstanceUID, data.SeriesInstanceUID) for data in results]

    assert uids() == uids()


def test_no_pdf_unless_asked_for() -> None:
    assert len(results_of(answered(), header(), header("prior"), model="run")) == 2


def test_an_answer_about_one_film() -> None:
    results = results_of(answered(Change(), with_prior=False), header(), None, model="run")
    assert "PertinentOtherEvidenceSequence" not in results[0]


def test_a_pair_needs_both_headers() -> None:
    with pytest.raises(InputError, match="cites both"):
        results_of(answered(), header(), None, model="run")


@pytest.mark.slow
def test_a_long_model_name_is_kept_whole() -> None:
    name = "openai:http://127.0.0.1:8000/v1#" + "M" * 80
    report = results_of(answered(), header(), header("prior"), model=name)[0]
    assert whole_report(report).model == name and len(report.ManufacturerModelName) == 64


def check_conformance(results: list[pydicom.Dataset], folder: Path) -> None:
    """No errors from dicom3tools; DCMTK reads the report."""
    for data in results:
        path = saved(data, folder / f"{data.Modality}.dcm")
        assert not complaints(path), data.Modality
    done = subprocess.run(["dsrdump", str(folder / "SR.dcm")], capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("case", HOSTILE)
def test_files_follow_the_standard(case: str, tmp_path: Path) -> None:
    if not shutil.which("dciodvfy") or not shutil.which("dsrdump"):
        pytest.skip("dicom3tools and dcmtk are not installed")
    current, prior = (header(name, elements=HOSTILE[case]) for name in ("current", "prior"))
    results = results_of(answered(evidence=EVIDENCE), current, prior, model="run", why="the latest", pdf=True)
    check_conformance(results, tmp_path)
    assert read_report(tmp_path / "SR.dcm") == CHANGE
    if case == "letters":
        assert str(pydicom.dcmread(tmp_path / "SR.dcm").PatientName) == LETTERS
    for change, warnings in ((Change(), ()), (CHANGE, ("abstained",))):
        check_conformance(
            results_of(answered(change, warnings=warnings), current, prior, model="run", pdf=True), tmp_path
        )


@pytest.mark.slow
def test_real_films_follow_the_standard(shared: Path, tmp_path: Path) -> None:
    if not shutil.which("dciodvfy") or not shutil.which("dsrdump"):
        pytest.skip("dicom3tools and dcmtk are not installed")
    films = sorted((shared / "data" / "dicom").glob("*.dcm"))
    model = load("demo")
    for current in films:
        prior = films[0] if current != films[0] else films[1]
        answer = model.answer_shown(prior, current)
        headers = film_header(current), film_header(prior)
        check_conformance(results_of(answer, *headers, model="demo", pdf=True), tmp_path)


@pytest.mark.slow
def test_simulated_films_follow_the_standard(tmp_path: Path) -> None:
    if not shutil.which("dciodvfy") or not shutil.which("dsrdump"):
        pytest.skip("dicom3tools and dcmtk are not installed")
    cohort = tmp_path / "cohort"
    assert cli.main(["simulate", str(cohort), "--layout", "dicom", "--patients", "6", "--pixels", "256"]) == 0
    files = [path for path in sorted((cohort / "EXPORT").rglob("*")) if path.is_file()]
    model, filed = load("demo"), 0
    for prior, current in pairwise(files):
        try:
            answer = model.answer_shown(prior, current)
        except ImageError:  # laterals, and objects without pixels
            continue
        headers = film_header(current), film_header(prior)
        check_conformance(results_of(answer, *headers, model="demo", pdf=True), tmp_path)
        if "abstained" not in answer.prediction.warnings:
            assert read_report(tmp_path / "SR.dcm") == answer.prediction.change
        filed += 1
    assert filed > 5


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_a_film_without_a_header_is_refused(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(head)
    with pytest.raises(InputError, match=r"names no study.*leave --dicom out"):
        film_header(path)


@pytest.mark.slow
def test_answer_files_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("prior", "current"):
        (tmp_path / f"{name}.dcm").write_bytes(film(name, pixels=rng.random((256, 256))))
    films = ["--prior", str(tmp_path / "prior.dcm"), "--current", str(tmp_path / "current.dcm")]
    assert cli.main(["answer", "demo", *films, "--dicom", str(tmp_path / "new" / "filed")]) == 0
    assert sorted(path.name for path in (tmp_path / "new" / "filed").iterdir()) == ["sc.dcm", "sr.dcm"]
    assert cli.main(["answer", "demo", *films, "--pdf"]) == 2
    assert "Add --dicom FOLDER" in capsys.readouterr().err
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    films[3] = str(tmp_path / "a.png")
    assert cli.main(["answer", "demo", *films, "--dicom", str(tmp_path / "filed")]) == 2
    assert "names no study" in capsys.readouterr().err and not (tmp_path / "filed").exists()
