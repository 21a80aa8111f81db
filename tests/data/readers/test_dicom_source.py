"""A hospital's folder of DICOM: what is made of it, what is left out, and that nobody's name leaves it."""

from __future__ import annotations

import itertools
import math
import os
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from dicom_archive import SALT, Archive, of_kind, pseudonym, study_id
from film_files import chest, save
from pydicom.dataset import Dataset
from simulated_tree import write_with_truth

from intervalchange.data import prepare as preparing
from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.pseudonyms import Pseudonyms
from intervalchange.errors import IntervalChangeError, SourceError
from intervalchange.grammar import DIFFERENCE_QUESTION, QUESTIONS
from intervalchange.simulation.dicom_files import uid
from intervalchange.simulation.layouts import dicom
from intervalchange.simulation.records import SimulatedPatient

SEED = 87
PERSONAL = (
    *("PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "PatientAddress", "ReferringPhysicianName"),
    *("AccessionNumber", "InstitutionName", "StationName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
    *("StudyDate", "SeriesDescription"),
)


@pytest.fixture(scope="module")
def salt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "salt"
    path.write_text(SALT.hex() + "\n")
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SimulatedPatient]]:
    return write_with_truth(tmp_path_factory.mktemp("dicom") / "cohort", "dicom", "2:1:1", patients=6, seed=SEED)


@pytest.fixture(autouse=True)
def no_salt_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


# --- a simulated hospital ------------------------------------------------------------------------------------------


def test_cases_equal_the_truth(written: tuple[Path, list[SimulatedPatient]], salt: Path) -> None:
    root, patients = written
    source = read_source("dicom", root, salt=salt)
    assert source.simulated["seed"] == SEED
    views = {case.current.study_id: case for case in of_kind(source.cases, "view")}
    pairs = {case.current.study_id: case for case in of_kind(source.cases, "difference")}
    assert len(views) + len(pairs) == len(source.cases) == len({case.case_id for case in source.cases})
    expected = 0
    for patient in patients:
        person = pseudonym("P", patient.patient_id)
        names = [
            study_id(patient.patient_id, dicom.study_uid(SEED, patient.index, visit))
            for visit in range(len(patient.studies))
        ]
        orders = []
        for name, study in zip(names, patient.studies, strict=True):
            expected += 1
            case = views[name]
            film = case.current
            assert (case.patient_id, case.question, case.answer) == (
                person,
                QUESTIONS["view"][0],
                f"{study.study.view} view",
            )
            assert (film.view, film.sex, film.acquired_at) == (study.study.view, study.study.sex, "")
            assert film.age == min(study.study.age, 90)
            assert film.findings == {}
            days = (study.acquired.date() - patient.studies[0].acquired.date()).days
            assert math.floor(film.order) == days
            assert film.image == f"{person}/{name}.dcm"
            header = pydicom.dcmread(source.files[film.image], stop_before_pixels=True)
            assert header.StudyInstanceUID == dicom.study_uid(SEED, patient.index, names.index(name))
            assert source.files[film.image].stem == "IM000001", "the first frontal film of the study"
            orders.append(film.order)
        assert orders == sorted(set(orders))
        for prior, current in itertools.pairwise(names):
            case = pairs.pop(current)
            assert case.prior is not None
            assert (case.prior.study_id, case.question, case.answer) == (prior, DIFFERENCE_QUESTION, "")
    assert len(views) == expected
    assert not pairs


def test_quirks_are_counted(written: tuple[Path, list[SimulatedPatient]], salt: Path) -> None:
    notes = read_source("dicom", written[0], salt=salt).notes
    assert notes["files that are not DICOM (left out)"] == 1, "the text beside the films; not DICOMDIR"
    for note in (
        "films that are not frontal (left out)",
        "further frontal films of a study (left out)",
        "DICOM files of another modality than a radiograph (left out)",
        "files that are there twice (the first is taken)",
    ):
        assert notes[note] > 0, note
    assert set(Counter(path.suffix for path in written[0].rglob("IM*"))) == {"", ".dcm"}


def test_the_same_bytes_each_time(written: tuple[Path, list[SimulatedPatient]], tmp_path: Path) -> None:
    patient = written[1][0]
    work = tmp_path / "work"
    work.mkdir()
    dicom.write_patient(patient, tmp_path / "again", work, "1.0.1", True)
    files = [path for path in (tmp_path / "again").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.read_bytes() == (written[0] / path.relative_to(tmp_path / "again")).read_bytes()


# --- nothing personal leaves ---------------------------------------------------------------------------------------


def planted(root: Path) -> set[str]:
    """Every personal string of every header and of the names of folders, and the dates in ISO form."""
    found = set()
    for path in root.rglob("IM*"):
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        for name in PERSONAL:
            text = str(header.get(name, ""))
            found |= {text, *text.split("^")}
            if len(text) == 8 and text.isdigit():
                found.add(f"{text[:4]}-{text[4:6]}-{text[6:]}")
        found |= set(path.relative_to(root).parts[1:-1]) | set(path.parts[-3].split("_"))
    return {text for text in found if len(text) >= 8}


def all_that_is_in(folder: Path) -> bytes:
    """The bytes of every file and its name, and of every table what its compressed pages say."""
    told = b""
    for path in sorted(folder.rglob("*")):
        told += path.name.encode() + b"\n"
        if path.is_file():
            told += path.read_bytes()
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
            told += "\n".join(str(value) for name in table for value in (name, *table[name])).encode()
    return told


def test_nothing_personal_is_in_the_prepared_folder(
    written: tuple[Path, list[SimulatedPatient]],
    salt: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, patients = written
    secrets = planted(root)
    assert len(secrets) > 8 * len(patients)
    assert {patients[0].patient_id, dicom.HOSPITAL, f"{patients[0].studies[0].acquired:%Y-%m-%d}"} <= secrets

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "_finish", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare("dicom", root, tmp_path / "out", pixels=64, workers=1, salt=salt)
    unfinished = all_that_is_in(tmp_path / "out")
    manifest = prepare("dicom", root, tmp_path / "out", pixels=64, workers=1, salt=salt)
    assert manifest["doctor"]["films"]["bad"] == 0
    assert manifest["doctor"]["studies"] == sum(len(patient.studies) for patient in patients)
    said = "".join(capfd.readouterr()).encode().replace(str(root).encode(), b"")
    for place, told in (("unfinished", unfinished), ("out", all_that_is_in(tmp_path / "out")), ("screen", said)):
        found = [text for text in secrets if text.encode() in told]
        assert not found, (place, found)
    studies = pd.read_parquet(tmp_path / "out" / "studies.parquet")
    assert set(studies["acquired_at"]) == {""}
    assert studies["image"].str.fullmatch(r"P[0-9a-f]{12}/S[0-9a-f]{12}\.dcm").all()
    assert SALT.hex().encode() not in all_that_is_in(tmp_path / "out")
    assert repr(SALT) not in repr(Pseudonyms(SALT))


def test_the_salt_decides_and_is_kept(written: tuple[Path, list[SimulatedPatient]], salt: Path, tmp_path: Path) -> None:
    root = written[0]
    usual = tmp_path / "settings" / "intervalchange" / "salt"
    dry = read_source("dicom", root, tables_only=True)
    assert not usual.exists(), "a dry run writes nothing"
    first, again = read_source("dicom", root), read_source("dicom", root)
    assert os.stat(usual).st_mode & 0o777 == 0o600
    assert first.cases == again.cases
    given = read_source("dicom", root, salt=salt)
    people = [{case.patient_id for case in source.cases} for source in (dry, first, given)]
    assert not (people[0] & people[1] or people[1] & people[2])
    assert read_source("dicom", root, tables_only=True).cases == first.cases
    assert len({path.read_text() for path in (usual, salt)}) == 2
    usual.write_text("not a salt")
    with pytest.raises(SourceError, match=r"no salt.*--salt"):
        read_source("dicom", root)
    usual.unlink()
    usual.parent.rmdir()
    usual.parent.write_text("a file where the folder should be")
    with pytest.raises(SourceError, match=r"cannot be kept.*--salt"):
        read_source("dicom", root)


# --- a small tree with everything that goes wrong ------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "root")


@pytest.mark.parametrize(
    ("header", "note"),
    [
        ({"view": "LL"}, "films that are not frontal (left out)"),
        ({"view": "", "PatientOrientation": ["A", "F"]}, "films that are not frontal (left out)"),
        ({"view": "", "SeriesDescription": "CHEST_LAT"}, "films that are not frontal (left out)"),
        ({"view": "", "description": "CHEST (PA AND LAT)"}, "films that may be frontal or lateral by their"),
        ({"view": "", "BodyPartExamined": "", "description": "KNEE 2 VIEWS"}, "films of another part of the body"),
        ({"BodyPartExamined": "HAND"}, "films of another part of the body"),
        ({"Modality": "CT"}, "DICOM files of another modality"),
        ({"Modality": "RF"}, "DICOM files of another modality"),
        ({"Modality": "PX"}, "DICOM files of another modality"),
        ({"view": "LAO"}, "films that are not frontal (left out)"),
        ({"view": "UNKNOWN", "SeriesDescription": "CHEST LAT"}, "films that are not frontal (left out)"),
        ({"view": "", "PatientOrientation": ["F", "P"]}, "films that are not frontal (left out)"),
        ({"view": "AP LAT"}, "films that may be frontal or lateral by their"),
        ({"BodyPartExamined": "RODILLA"}, "films of another part of the body"),
        ({"BodyPartExamined": "TSPINE"}, "films of another part of the body"),
        ({"BodyPartExamined": "UNKNOWN", "description": "ABDOMEN"}, "films of another part of the body"),
        ({"NumberOfFrames": "12"}, "films of several frames"),
        ({"Rows": None}, "DICOM files without a picture"),
        ({"BurnedInAnnotation": "YES"}, "films with text burned into the pixels"),
        ({"StudyInstanceUID": ""}, "films without the UID of their study"),
    ],
)
def test_what_is_left_out(archive: Archive, salt: Path, header: dict[str, object], note: str) -> None:
    archive.add("kept")
    archive.add("other", **header)
    views, notes = archive.read(salt)
    assert list(views) == [study_id("A1", uid("kept"))]
    assert [value for name, value in notes.items() if name.startswith(note)] == [1], notes


@pytest.mark.parametrize(
    ("header", "view"),
    [
        ({"SeriesDescription": "Thorax p.a."}, "PA"),
        ({"SeriesDescription": "", "ProtocolName": "CHEST_AP"}, "AP"),
        ({"SeriesDescription": "PA", "description": "CHEST PA/LAT"}, "PA"),
        ({"description": "PORTABLE CHEST"}, "AP"),
        ({"description": "CHEST PA LAT", "PatientOrientation": ["L", "F"]}, ""),
        ({"description": "Bilateral rib view of the chest"}, ""),
        ({"BodyPartExamined": "", "description": "CHEST AND SHOULDER PA"}, "PA"),
    ],
)
def test_the_view_by_description(archive: Archive, salt: Path, header: dict[str, object], view: str) -> None:
    archive.add("a", **{"view": "", **header})
    views, notes = archive.read(salt)
    (case,) = views.values()
    assert (case.current.view, case.answer) == (view, f"{view} view" if view else "")
    assert notes.get("films whose view is not said (taken as frontal)", 0) == int(not view)


@pytest.mark.parametrize(
    ("header", "view", "note"),
    [
        ({"view": "AP SUPINE"}, "AP", ""),
        ({"view": "POSTERO_ANTERIOR"}, "PA", ""),
        ({"view": "pa erect"}, "PA", ""),
        ({"view": "FRONTAL"}, "", "films whose view is not said (taken as frontal)"),
        ({"view": "UNKNOWN"}, "", "films whose view is not known here (taken as frontal)"),
        ({"view": "UNKNOWN", "description": "CHEST PA"}, "PA", ""),
        ({"BodyPartExamined": "TORAX"}, "PA", ""),
        ({"BodyPartExamined": "T\xd3RAX"}, "PA", ""),
        ({"BodyPartExamined": "胸部".encode().decode("latin-1")}, "PA", ""),
        (
            {"BodyPartExamined": "PORTABLE"},
            "PA",
            "films of a part of the body that is not known here (taken as the chest)",
        ),
        ({"BodyPartExamined": "PORTABLE", "description": "THORAX"}, "PA", ""),
        ({"Modality": "DR"}, "PA", ""),
        ({"Modality": "RG"}, "PA", ""),
        ({"Modality": "DIGITAL"}, "PA", "films whose modality is not known here (taken as radiographs)"),
    ],
)
def test_a_frontal_chest_film_in_other_words(
    archive: Archive, salt: Path, header: dict[str, object], view: str, note: str
) -> None:
    archive.add("a", **header)
    views, notes = archive.read(salt)
    (case,) = views.values()
    assert case.current.view == view
    assert notes == ({note: 1} if note else {})


def test_films_without_the_preamble(archive: Archive, salt: Path) -> None:
    for name, cut in (("a", 132), ("b", 128)):
        path = archive.add(name, person=name)
        path.write_bytes(path.read_bytes()[cut:])
    views, notes = archive.read(salt)
    assert len(views) == 2
    assert notes == {"DICOM without its preamble (read)": 2}


def test_named_words_are_let_in(archive: Archive, salt: Path, tmp_path: Path) -> None:
    archive.add("plain")
    archive.add("rf", date="20200205", Modality="RF", PatientOrientation=["R", "F"])
    archive.add("ribs", date="20200305", BodyPartExamined="RIBS")
    archive.add("lao", date="20200405", view="LAO")
    archive.add("both", date="20200505", view="", description="CHEST PA AND LAT")
    assert len(archive.read(salt)[0]) == 1
    options = {"modalities": "rf", "body_parts": "RIBS, abdomen", "views": "LAO,either"}
    source = read_source("dicom", archive.root, salt=salt, **options)
    assert len(of_kind(source.cases, "view")) == 5
    assert not [note for note in source.notes if "left out" in note]
    manifest = prepare("dicom", archive.root, tmp_path / "out", pixels=64, workers=1, salt=salt, **options)
    assert manifest["doctor"]["films"]["bad"] == 0, "what the reader lets in is read too"
    assert manifest["doctor"]["studies"] == 5
    (archive.root / "0001").unlink()
    with pytest.raises(SourceError, match=r"--option modalities=RF"):
        read_source("dicom", archive.root, salt=salt)


def test_one_film_of_a_study(archive: Archive, salt: Path) -> None:
    archive.add("a", "1", view="AP", InstanceNumber=1)
    archive.add("a", "2", InstanceNumber=3, PresentationIntentType="FOR PROCESSING")
    wanted = archive.add("a", "3", InstanceNumber=7)
    archive.add("a", "4", InstanceNumber=2, ImageType=["DERIVED", "PRIMARY"])
    archive.add("a", "5", InstanceNumber=8)
    source = read_source("dicom", archive.root, salt=salt)
    assert list(source.files.values()) == [wanted]
    assert source.notes == {"further frontal films of a study (left out)": 4}


def test_time(archive: Archive, salt: Path) -> None:
    archive.add("late", date="2020.03.05")
    archive.add("noon", date="20200105", study_time="120000.5")
    archive.add("early", date="20200105", study_time="08:15:00")
    archive.add("before", date="", AcquisitionDate="20191231", AcquisitionTime="235959")
    archive.add("undated", date="SECRET!!")
    archive.add("one", person="B2", date="20200301", study_time="")
    archive.add("two", person="B2", date="20200301")
    archive.add("three", person="B2", date="20200302")
    views, notes = archive.read(salt)
    orders = {name: views[study_id("A1", uid(name))].current.order for name in ("before", "early", "noon", "late")}
    assert orders == {"before": 0, "early": 5, "noon": 5.001, "late": 65}
    assert math.isnan(views[study_id("A1", uid("undated"))].current.order)
    source = read_source("dicom", archive.root, salt=salt)
    pairs = Counter(case.patient_id for case in of_kind(source.cases, "difference"))
    assert pairs == {pseudonym("P", "A1"): 3, pseudonym("P", "B2"): 1}
    assert notes == {
        "dates that cannot be read": 1,
        "studies without a date (in no pair)": 1,
        "neighbouring studies of one day whose order is unknown (no pair)": 1,
    }


def test_people(archive: Archive, salt: Path) -> None:
    archive.add("a", person="A1 ", age=95.0, sex="M")
    archive.add("b", person="A1", date="20210105", sex="F", PatientBirthDate="19500106")
    archive.add("c", person="", PatientAge="018M")
    archive.add("d", person="", PatientAge="999Y")
    odd = archive.add("e", person="E", PatientName="AEOE", SpecificCharacterSet="ISO_IR 100")
    odd.write_bytes(odd.read_bytes().replace(b"AEOE", b"\xc6^\xd8\xff").replace(b"ISO_IR 100", b"NO SUCH SE"))
    archive.add("f", person="")
    shutil.copy(archive.add("g", person="E", date="20200203"), archive.root / "again.dcm")
    views, notes = archive.read(salt)
    seen = {name: views[study_id(person, uid(name))].current for name, person in (("a", "A1"), ("b", "A1"), ("c", ""))}
    assert (seen["a"].age, seen["a"].sex) == (90, "M")
    assert seen["b"].age == 70, "the day before the birthday is not told apart"
    assert seen["c"].age == 1
    assert len({case.patient_id for case in views.values()}) == 5
    assert notes == {
        "patients whose films give two dates of birth or sexes (one PatientID for several people?)": 1,
        "films without a PatientID (each study counts as a patient)": 3,
        "ages over 120 years (unknown)": 1,
        "files that are there twice (the first is taken)": 1,
    }


def test_broken_files_lose_nothing_else(archive: Archive, salt: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kept = archive.add("kept", "deep/er/and/deeper/film.of.somebody.IMA", PatientName="SECRET^PERSON")
    data = kept.read_bytes()
    (archive.root / "cut").write_bytes(data[:140])
    (archive.root / "cut.dcm").write_bytes(data[:300])
    (archive.root / "empty").touch()
    (archive.root / "DICOMDIR").write_bytes(data)
    (archive.root / ".hidden").write_bytes(data)
    syntax = data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.9.9\0")
    (archive.root / "syntax").write_bytes(syntax)
    place = data.index(b"\x10\x00\x10\x00PN")
    (archive.root / "lengths").write_bytes(data[: place + 4] + b"OB\0\0\xf0\xff\xff\xff" + data[place + 12 :])
    damaged = archive.add("damaged", NumberOfFrames="77")
    damaged.write_bytes(damaged.read_bytes().replace(b"IS\x02\x0077", b"IS\x02\x00xx"))
    save(chest(), archive.root / "picture.png")
    (archive.root / "loop").symlink_to(archive.root, target_is_directory=True)
    (archive.root / "nowhere").symlink_to(archive.root / "gone")
    views, notes = archive.read(salt)
    assert list(views) == [study_id("A1", uid("kept"))]
    assert notes == {
        "files that are not DICOM (left out)": 2,
        "DICOM files in a transfer syntax that is not read here, or without one (left out)": 2,
        "DICOM files without a picture, or cut short (left out)": 2,
        "damaged DICOM files (left out)": 1,
        "files that cannot be opened (left out)": 1,
    }
    assert "SECRET" not in "".join(capfd.readouterr()) + repr(notes)


def test_a_long_header_is_read_to_its_end(archive: Archive, salt: Path) -> None:
    code = Dataset()
    long = {
        "view": "",
        "RedPaletteColorLookupTableData": b"\0" * 50_000,
        "GreenPaletteColorLookupTableData": b"\0" * 50_000,
    }
    code.CodeMeaning = "antero-posterior"
    archive.add("a", ViewCodeSequence=[code], **long)
    code.CodeMeaning = "left lateral"
    archive.add("b", ViewCodeSequence=[code], **long)
    views, notes = archive.read(salt)
    assert {name: case.answer for name, case in views.items()} == {study_id("A1", uid("a")): "AP view"}
    assert notes == {"films that are not frontal (left out)": 1}


def test_refusals_say_what_to_do_and_quote_no_header(archive: Archive, salt: Path) -> None:
    with pytest.raises(SourceError, match=r"no such folder.*any depth"):
        read_source("dicom", archive.root, salt=salt)
    save(chest(), archive.root / "a.png")
    with pytest.raises(SourceError, match=r"no DICOM file.*any depth"):
        read_source("dicom", archive.root, salt=salt)
    archive.add("a", view="LATERAL", PatientName="SECRET^PERSON", person="SECRET")
    with pytest.raises(IntervalChangeError, match="no frontal chest film") as caught:
        read_source("dicom", archive.root, salt=salt)
    assert "SECRET" not in str(caught.value)
    assert "not frontal" in str(caught.value)
