"""COVIDx: read from a simulated tree, and from lists in every form there is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from film_files import chest, save
from simulated_tree import write_with_truth

from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.covidx import FINDINGS_OF, CovidxRow, parse
from intervalchange.data.splits import CUT
from intervalchange.errors import ConfigError, SourceError
from intervalchange.simulation.layouts.covidx import VISITS, illness, names_of_film
from intervalchange.simulation.records import SimulatedPatient

PIXELS, SEED, PATIENTS = 64, 87, 5
ANSWERS = {"normal": "no abnormality", "pneumonia": "pneumonia", "COVID-19": ""}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SimulatedPatient]]:
    out = tmp_path_factory.mktemp("covidx") / "cohort"
    return write_with_truth(out, "covidx", "3:1:1", patients=PATIENTS, seed=SEED, pixels=PIXELS)


@pytest.fixture(scope="module")
def root(written: tuple[Path, list[SimulatedPatient]]) -> Path:
    return written[0]


def test_films_equal_the_truth(written: tuple[Path, list[SimulatedPatient]]) -> None:
    root, patients = written
    truth = {}
    for patient in patients:
        word, _ = illness(SEED, patient.index)
        for visit in range(min(len(patient.studies), VISITS)):
            person, name, source = names_of_film(patient, visit, word, True)
            truth[name] = (person, word, source.replace("rnsa", "rsna"))
    source = read_source("covidx", root)
    assert (source.release, source.simulated["seed"]) == ("9A", SEED)
    assert {case.current.study_id for case in source.cases} == truth.keys()
    for case in source.cases:
        person, word, origin = truth[case.current.study_id]
        assert (case.patient_id, case.answer) == (person, ANSWERS[word])
        assert case.current.findings == FINDINGS_OF[word.lower()]
        assert case.tags == (f"source={origin}",)
        assert (case.case_id, case.kind, case.prior) == (f"{case.current.study_id}-film", "abnormality", None)
        assert (source.image_root / case.current.image).is_file()
        assert case.current.image.startswith(f"{case.split}/")
    assert {word for _, word, _ in truth.values()} == {"normal", "pneumonia", "COVID-19"}
    assert {origin for _, _, origin in truth.values()} == {"rsna", "ricord", "sirm"}
    assert {case.split for case in source.cases} == {"train", "test"}
    told = [f"{part} films whose source tells whether they are COVID-19" for part in ("train", "test")]
    assert sum(count for note, count in source.notes.items() if note.startswith(tuple(told))) == len(source.cases)


def test_preparation_without_and_with_films(root: Path, tmp_path: Path) -> None:
    manifest = prepare("covidx", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    films = len(read_source("covidx", root).cases)
    assert (manifest["doctor"]["films"]["read"], manifest["doctor"]["films"]["bad"]) == (films, 0)
    assert manifest["split"] == "official"
    dry = prepare("covidx", root, tmp_path / "dry", dry_run=True, progress=False)
    assert dry["split"] == "official"


# --- lines and lists of every form ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "film"),
    [
        ("9 a.jpg normal", ("9", "a.jpg", "normal", "")),
        ("9 a-1.2.JPG pneumonia cohen", ("9", "a-1.2.JPG", "pneumonia", "cohen")),
        ("COVID_99 COVID(99).png COVID-19 sirm", ("COVID_99", "COVID(99).png", "covid-19", "sirm")),
        ("COVID 99 COVID(99).png COVID-19 sirm", ("COVID 99", "COVID(99).png", "covid-19", "sirm")),
        ("COVID 99 COVID(99).png COVID-19", ("COVID 99", "COVID(99).png", "covid-19", "")),
        (" x  x.png\tnormal rnsa ", ("x", "x.png", "normal", "rsna")),
        ("A9 a.jpeg Positive elsewhere", ("A9", "a.jpeg", "positive", "elsewhere")),
    ],
)
def test_lines_are_read_from_the_right(line: str, film: tuple[str, str, str, str]) -> None:
    assert parse(line, "test") == CovidxRow(*film, "test")


@pytest.mark.parametrize(
    "line",
    ["", "a.png", "a.png normal", "a.png normal rsna", "9 a.png level1 cohen", "9 a.txt normal", "9 ../a.png normal"],
)
def test_lines_that_are_something_else(line: str) -> None:
    assert parse(line) is None


TRAIN = """\ufeff9 a.jpg normal cohen\r
COVID 99 COVID(99).png COVID-19 sirm\r
u1 u1.png pneumonia rnsa\r
u2 u2.png normal rsna\r
u2 u2.png normal rsna\r
S9 sub-S9_ses-E9_run-1_bp-chest_vp-pa_dx-corrected.png COVID-19 bimcv\r
c1 c1.jpg COVID-19 cohen\r
c2 c2.jpg pneumonia cohen\r
c2 c2.jpg COVID-19 cohen\r
both train.png COVID-19 ricord\r
u3 u3.png normal rsna\r
f1 fig.png normal fig1\r
\r
what is this\r
"""
TEST = """plain plain.png pneumonia
both test.png COVID-19 ricord
u3 u3.png normal rsna
"""
ON_DISK = [
    "train/a.jpg",
    "train/COVID(99).png",
    "train/u1.png",
    "train/u2.png",
    "train/c1.jpg",
    "train/c2.jpg",
    "train/train.png",
    "train/sub-S9_ses-E9_run-1_bp-chest_vp-pa_dx-corrected.png",
    "test/plain.png",
    "test/test.png",
    "u3.png",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "train_COVIDx9A.txt").write_text(TRAIN)
    (root / "test_COVIDx9A.txt").write_text(TEST)
    for seed, name in enumerate(ON_DISK):
        save(chest(64, 64, seed=seed), root / name)
    return root


def test_every_defect_is_counted_and_loses_nothing_else(tree: Path) -> None:
    source = read_source("covidx", tree)
    films = {case.current.study_id: case for case in source.cases}
    assert films.keys() == {Path(name).name for name in ON_DISK} - {"c2.jpg"}
    assert films["COVID(99).png"].patient_id == "COVID 99"
    assert films["COVID(99).png"].current.findings == {"no finding": 0, "covid-19": 1}
    assert films["u1.png"].current.findings == {"no finding": 0, "pneumonia": 1, "covid-19": 0}
    assert films["u2.png"].current.findings == {"no finding": 1, "pneumonia": 0, "covid-19": 0}
    assert films["u1.png"].tags == ("source=rsna",) and films["plain.png"].tags == ()
    assert (films["u3.png"].split, films["u3.png"].current.image) == ("test", "u3.png")
    assert {case.current.view for case in source.cases} == {"", "PA"}
    notes = dict(source.notes)
    tells = "films whose source tells whether they are COVID-19 (a model may learn the source)"
    assert notes.pop(f"train {tells}") == 5, "of sirm, rsna, bimcv and ricord; cohen has both"
    assert notes.pop(f"test {tells}") == 2
    assert notes == {
        "lines that are not patient, file, class and source (skipped)": 1,
        "lines that repeat a film (kept once; in the test list where it is in both)": 3,
        "lines of source rnsa (taken as rsna)": 1,
        "films of two classes (left out)": 1,
        "films of fig1 that are not on disk (left out)": 1,
        "films of rsna, whose patient id names the film (one person may have several)": 3,
        "films of cohen: normal": 1,
        "films of cohen: covid-19": 1,
        "films of sirm: covid-19": 1,
        "films of rsna: pneumonia": 1,
        "films of rsna: normal": 2,
        "films of bimcv: covid-19": 1,
        "films of ricord: covid-19": 2,
        "films of no named source: pneumonia": 1,
    }


def test_a_patient_of_both_lists_keeps_the_test_film(tree: Path, tmp_path: Path) -> None:
    manifest = prepare("covidx", tree, tmp_path / "out", pixels=64, workers=1, progress=False)
    note = "patients in several splits (only their test, or else val, cases are kept)"
    assert manifest["doctor"]["notes"][note] == 1
    assert manifest["doctor"]["notes"]["cases dropped because their patient is in several splits"] == 1
    assert manifest["doctor"]["films"]["bad"] == 0


def test_versions_and_binary_lists(tree: Path) -> None:
    labels = tree / "labels"
    labels.mkdir()
    (labels / "train_COVIDx9B.txt").write_text("9 a.jpg negative cohen\nCOVID 99 COVID(99).png positive sirm\n")
    (labels / "test_COVIDx9B.txt").write_text("both test.png positive ricord\n")
    (tree / "train.txt").write_text("9 a.jpg negative cohen\n")
    (tree / "val.txt").write_text("u2 u2.png negative rsna\n")
    (tree / "test.txt").write_text("both test.png positive ricord\n")
    assert read_source("covidx", tree).release == "9A"
    source = read_source("covidx", tree, version="9B")
    assert source.release == "9B"
    assert [case.current.findings for case in source.cases] == [{"covid-19": 0}, {"covid-19": 1}, {"covid-19": 1}]
    assert [case.answer for case in source.cases] == ["", "", ""], "not positive is not normal"
    assert [case.split for case in read_source("covidx", tree, version="CXR-4").cases] == ["train", "val", "test"]
    (tree / "train_COVIDx9A.txt").unlink()
    notes = read_source("covidx", tree).notes
    assert notes["there is no list of train films"] == 1
    (tree / "test_COVIDx9A.txt").unlink()
    assert read_source("covidx", tree).release == "9B"
    shutil.rmtree(labels)
    assert read_source("covidx", tree).release == "CXR"


def test_missing_pieces_say_where_to_get_them(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match=r"neither train_COVIDx9A.txt nor test_COVIDx9A.txt.*lindawangg/COVID-Net"):
        read_source("covidx", empty)
    with pytest.raises(SourceError, match=r"neither train_COVIDx7B.txt"):
        read_source("covidx", tree, version="7B")
    with pytest.raises(ConfigError, match=r"no version 'Sev'.*9A, 9B"):
        read_source("covidx", tree, version="Sev")
    films = tmp_path / "films"
    films.mkdir()
    with pytest.raises(SourceError, match=r"none of the films that the lists name.*COVID-Net"):
        read_source("covidx", tree, images=films)
    assert len(read_source("covidx", tree, images=films, tables_only=True).cases) == 11
    (tree / "test" / "plain.png").rename(films / "plain.png")
    flat = read_source("covidx", tree, images=films)
    assert [case.current.image for case in flat.cases] == ["plain.png"]
    (tree / "train_COVIDx9A.txt").write_bytes(b"\xff\xfe9\x00 \x00")
    with pytest.raises(SourceError, match=r"not a text in UTF-8"):
        read_source("covidx", tree)
    for part in ("train", "test"):
        (tree / f"{part}_COVIDx9A.txt").write_text("9 a.jpg level1 cohen\n")
    with pytest.raises(SourceError, match=r"no film could be used.*skipped"):
        read_source("covidx", tree)


def test_a_fifth_of_the_training_patients_validates_where_no_list_says_who(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for part, count in (("train", 40), ("test", 5)):
        for number in range(count):
            save(chest(64, 64, number), root / part / f"{part}{number}.png")
        lines = "".join(f"{part}-{n // 2} {part}{n}.png normal rsna\n" for n in range(count))
        (root / f"{part}_COVIDx9A.txt").write_text(lines)
    manifests = {
        split: prepare("covidx", root, tmp_path / split, pixels=32, split=split, workers=1, progress=False)["doctor"]
        for split in ("official", "lists")
    }
    official, lists = manifests["official"], manifests["lists"]
    assert 2 <= official["splits"]["val"]["patients"] <= 7
    assert official["notes"][CUT] == official["splits"]["val"]["patients"]
    assert official["splits"]["test"] == lists["splits"]["test"] == {"cases": 5, "patients": 3}
    assert lists["splits"]["val"]["cases"] == 0 and lists["splits"]["train"]["cases"] == 40
    assert CUT not in lists["notes"]
    cases = pd.read_parquet(tmp_path / "official" / "cases.parquet")
    assert (cases.groupby("patient_id")["split"].nunique() == 1).all(), "no patient is in two parts"
    (root / "val_COVIDx9A.txt").write_text("v1 train0.png normal rsna\n")
    manifest = prepare("covidx", root, tmp_path / "with a list", pixels=32, workers=1, progress=False)["doctor"]
    assert CUT not in manifest["notes"]
    assert manifest["splits"]["val"]["cases"] == 1
