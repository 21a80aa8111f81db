"""NIH ChestX-ray14: read from a simulated tree and from broken ones."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from film_files import chest, save
from PIL import Image
from simulated_tree import write_with_truth

from intervalchange.data.frames import SCALED
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.data.readers import read_source
from intervalchange.data.readers.nih import FINDING_OF_LABEL
from intervalchange.data.readers.source import Frame
from intervalchange.data.splits import CUT, NAMES, assign
from intervalchange.errors import SourceError
from intervalchange.findings import FINDINGS
from intervalchange.grammar import NOTHING, render
from intervalchange.records import Case, Change
from intervalchange.simulation.layouts import nih
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

PIXELS, SEED, PATIENTS = 64, 88, 5
V2020, V2017 = "Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv"
FILMS = "images", "images_001/images"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SimulatedPatient]]:
    return write_with_truth(tmp_path_factory.mktemp("nih") / "cohort", "nih", "3:1:1", PATIENTS, SEED, PIXELS)


@pytest.fixture(scope="module")
def root(written: tuple[Path, list[SimulatedPatient]]) -> Path:
    return written[0]


@pytest.fixture(scope="module")
def patients(written: tuple[Path, list[SimulatedPatient]]) -> list[SimulatedPatient]:
    return written[1]


def names_of(patient: SimulatedPatient) -> list[str]:
    return [nih.image_name(patient.patient_id, suffix)[:-4] for suffix in nih.suffixes(patient, True)]


def truth_of(study: SimulatedStudy) -> dict[str, float]:
    """Every label of NIH, from what is visible on the film."""
    seen = {name for name, value in study.study.findings.items() if value == 1}
    seen |= {"infiltration"} if "lung opacity" in seen else set()
    seen |= {"nodule"} if "granuloma" in seen else set()
    labels = {name: float(name in seen) for name in FINDING_OF_LABEL.values()}
    return labels | {"no finding": float(not any(labels.values()))}


def films_of(cases: list[Case]) -> dict[str, Case]:
    return {case.current.study_id: case for case in cases if case.prior is None}


def pairs_of(cases: list[Case]) -> dict[tuple[str, str], Case]:
    return {(case.prior.study_id, case.current.study_id): case for case in cases if case.prior is not None}


def test_films_equal_the_truth(root: Path, patients: list[SimulatedPatient]) -> None:
    source = read_source("nih", root)
    films = films_of(source.cases)
    assert films.keys() == {name for patient in patients for name in names_of(patient)}
    assert (source.release, source.simulated["seed"]) == ("v2020", SEED)
    answers, boxes = set(), 0
    for patient in patients:
        for place, (name, study) in enumerate(zip(names_of(patient), patient.studies, strict=True)):
            case, record = films[name], study.study
            labels = truth_of(study)
            assert case.current.findings == labels
            known = [finding for finding in FINDINGS if labels.get(finding) == 1]
            assert case.answer == (", ".join(known) or ("no abnormality" if labels["no finding"] else ""))
            assert (case.patient_id, case.current.order) == (patient.patient_id, place)
            assert (case.current.view, case.current.sex, case.current.age) == (record.view, record.sex, record.age)
            assert (source.image_root / case.current.image).is_file()
            answers.add(case.answer)
            boxes += compare_boxes(case, study)
    assert boxes and len(answers) > 2


def compare_boxes(case: Case, study: SimulatedStudy) -> int:
    names = {"lung opacity": "infiltration", "granuloma": "nodule"}
    regions = [region for region in study.study.regions if region.kind == "finding" and region.name in nih.BOXED]
    assert [region.name for region in case.current.regions] == [names.get(r.name, r.name) for r in regions]
    for found, true in zip(case.current.regions, regions, strict=True):
        assert found.kind == "finding"
        assert [edge * PIXELS / 1024 for edge in found.box] == pytest.approx(true.box, abs=0.01)
    return len(regions)


def test_pairs_equal_the_truth_in_spite_of_the_file_numbers(root: Path, patients: list[SimulatedPatient]) -> None:
    pairs = pairs_of(read_source("nih", root).cases)
    wanted = {}
    for patient in patients:
        for (one, prior), (other, current) in pairwise(zip(names_of(patient), patient.studies, strict=True)):
            then, now = truth_of(prior), truth_of(current)
            added = {name for name in FINDINGS if now.get(name, 0) > then.get(name, 0)}
            missing = {name for name in FINDINGS if now.get(name, 0) < then.get(name, 0)}
            others = [name for name in now if name not in FINDINGS and name != "no finding" and now[name] != then[name]]
            assert ("other_labels_changed" in pairs[one, other].tags) == bool(others)
            unnamed = others and not (added or missing)
            wanted[one, other] = "" if unnamed else render(Change.of(added, missing))
            assert pairs[one, other].patient_id == patient.patient_id
    assert {pair: case.answer for pair, case in pairs.items()} == wanted
    assert any(one > other for one, other in wanted), "some file numbers run against time"
    assert len(set(wanted.values())) > 1


def test_the_lists_are_the_split(root: Path, patients: list[SimulatedPatient], tmp_path: Path) -> None:
    source = read_source("nih", root)
    by_patient = {case.patient_id: case.split for case in source.cases}
    assert len(by_patient) == PATIENTS
    assert sorted(by_patient.values()) == ["test", *["train"] * 4]
    assert all(by_patient[case.patient_id] == case.split for case in source.cases)
    manifest = prepare("nih", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    assert (manifest["split"], manifest["doctor"]["films"]["bad"]) == ("official", 0)
    assert manifest["doctor"]["pairs"] == len(pairs_of(source.cases))
    dry = prepare("nih", root, tmp_path / "dry", dry_run=True, progress=False)
    assert dry["split_hash"] == manifest["split_hash"]


# --- a small tree with everything that goes wrong ------------------------------------------------------------------

ROWS = """\
00000101_000.png,Cardiomegaly|Effusion,1,101,61,F,PA,2500,2048,0.168,0.168
00000101_001.png,Cardiomegaly|Mass,0,101,060Y,F,AP,2500,2048,0.168,0.168
00000101_002.png,Mass|Infiltration,2,101,61,F,PA,2500,2048,0.168,0.168
00000102_000.png,No Finding,0,102,414,M,PA,2500,2048,0.168,0.168
00000103_000.png,Pleural_Thickening,0,103,30,M,PA,2500,2048,0.168,0.168
00000103_001.png,Emphysema,1,103,29,M,PA,2500,2048,0.168,0.168
00000104_000.png,No Finding|Hernia,0,104,018M,?,PA,2500,2048,0.168,0.168
00000104_001.png,Hernia,1,104,,M,LL,2500,2048,0.168,0.168
00000104_002.png,Hernia|Gout,0,104,50,M,PA,2500,2048,0.168,0.168
00000105_000.png,Fibrosis,soon,105,50,M,PA,2500,2048,0.168,0.168
00000105_001.png,Gout,0,105,50,M,PA,2500,2048,0.168,0.168
00000101_000.png,Cardiomegaly|Effusion,1,101,61,F,PA,2500,2048,0.168,0.168
"""
BOX_ROWS = """\
Image Index,Finding Label,Bbox [x,y,w,h],,,
00000101_000.png,Effusion,210.123456789012,530.500000000001,90.25,80.75
00000101_002.png,Infiltrate,1000.0,512.0,100.0,128.0
00000101_002.png,Nodule,1.0,1.0,0.0,5.0
00000101_002.png,Gout,1.0,1.0,5.0,5.0
00000101_002.png,Pneumonia,512.0,512.0,256.0,256.0
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The table of 2020, a film of 1024 pixels and one of 64."""
    root = tmp_path / "root"
    for number, name in enumerate(dict.fromkeys(line.split(",")[0] for line in ROWS.splitlines())):
        film = np.full((1024, 1024), 0.5) if name == "00000101_000.png" else chest(64, 64, number)
        save(film, root / FILMS[number % 2] / name)
    (root / V2020).write_text(f"\ufeff{nih.HEADER}\r\n" + ROWS.replace("\n", "\r\n"))
    (root / "BBox_List_2017.csv").write_text(BOX_ROWS)
    return root


def test_follow_up_is_the_order_and_every_defect_is_counted(tree: Path) -> None:
    source = read_source("nih", tree)
    pairs = pairs_of(source.cases)
    assert list(pairs) == [("00000101_001", "00000101_000"), ("00000101_000", "00000101_002")]
    gained, lost = pairs.values()
    assert gained.answer == render(Change.of(added=["pleural effusion"]))
    assert lost.answer == render(Change.of(missing=["pleural effusion", "cardiomegaly"]))
    assert gained.tags == lost.tags == ("other_labels_changed",)
    films = films_of(source.cases)
    assert films["00000101_002"].answer == ""
    assert films["00000102_000"].answer == "no abnormality"
    assert films["00000103_000"].answer == "pleural thickening"
    assert films["00000104_000"].answer == films["00000104_002"].answer == "hernia"
    assert films["00000101_001"].current.age == 60
    assert films["00000104_000"].current.age == 1
    assert math.isnan(films["00000102_000"].current.age)
    assert films["00000104_000"].current.sex == ""
    assert all((source.image_root / case.current.image).is_file() for case in source.cases)
    notes = dict(source.notes)
    assert notes.pop("rows without a film, patient, Follow-up # or known label (skipped)") == 2
    assert notes.pop("label cells with a word that is none of the labels (left out)") == 2
    assert notes.pop("pairs that differ in labels the answers have no word for (tag other_labels_changed)") == 2
    assert set(notes.values()) == {1}
    for part in (
        "films given twice (the first is kept)",
        "films that are not frontal (left out)",
        "ages over 120 years (unknown)",
        "label cells that name a finding and No Finding (the finding is kept)",
        "patients whose age falls along the order of their films, which must be wrong (no pair is made)",
        "neighbouring studies of the same number (no pair is made)",
        "boxes of an unknown label (left out)",
        "boxes that leave the film (clipped)",
        "boxes without an area on the film (left out)",
        "boxes of findings that the labels of the film do not name (kept)",
        "train_val_list.txt is not there: the official split is unknown",
    ):
        assert part in notes, part


def test_boxes_are_in_pixels_of_the_copy(tree: Path, tmp_path: Path) -> None:
    films = films_of(read_source("nih", tree).cases)
    (effusion,) = films["00000101_000"].current.regions
    assert (effusion.name, effusion.box) == ("pleural effusion", pytest.approx((210.1235, 530.5, 300.3735, 611.25)))
    infiltration, _ = films["00000101_002"].current.regions
    assert (infiltration.name, infiltration.box) == ("infiltration", (1000, 512, 1024, 640)), "the frame of the table"
    manifest = prepare("nih", tree, tmp_path / "out", pixels=32, workers=1, progress=False)
    assert manifest["doctor"]["notes"][SCALED] == 1
    boxes = boxes_of(Prepared(tmp_path / "out"))
    assert boxes["00000101_000"] == [("pleural effusion", pytest.approx((210.1235, 530.5, 300.3735, 611.25)))]
    assert boxes["00000101_002"] == [("infiltration", (62.5, 32, 64, 40)), ("pneumonia", (32, 32, 48, 48))]


def boxes_of(prepared: Prepared) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Study -> names and boxes of its regions, in pixels of the film on disk."""
    return {
        str(prepared.studies.iloc[row]["study_id"]): [(region.name, region.box) for region in regions]
        for row, regions in prepared.regions_of.items()
    }


def old_table(tree: Path, rows: str) -> None:
    """The table of 2017: sorted, a comma at the end of every line, `Patient Sex`."""
    header = nih.HEADER.replace("Gender", "Sex")
    (tree / V2017).write_text("".join(f"{line},\n" for line in (header, *rows.splitlines())))


def test_the_table_of_2017_is_doubted(tree: Path) -> None:
    # Its Follow-up # is the number of the file: the age of 101 now falls from 61 to 60.
    turned = ROWS.replace("Effusion,1,101", "Effusion,0,101").replace("Mass,0,101", "Mass,1,101")
    old_table(tree, turned)
    assert read_source("nih", tree).release == "v2020"
    (tree / V2020).unlink()
    source = read_source("nih", tree)
    assert source.release == "2017"
    assert not pairs_of(source.cases)
    falling = "patients whose age falls along the order of their films, which must be wrong (no pair is made)"
    assert source.notes[falling] == 2
    assert any("Data_Entry_2017_v2020.csv is not there" in note for note in source.notes)
    assert films_of(source.cases)["00000101_000"].current.sex == "F"
    old_table(tree, ROWS.replace("058Y", "58"))
    assert len(pairs_of(read_source("nih", tree).cases)) == 2


def test_a_patient_in_both_lists_is_test(tree: Path) -> None:
    (tree / "train_val_list.txt").write_text("00000101_000.png\n00000101_001.png\n00000102_000.png\n")
    (tree / "test_list.txt").write_text("00000101_002.png\r\n00000103_000.png\r\n00000103_001.png\r\n")
    source = read_source("nih", tree)
    split = {case.patient_id: case.split for case in source.cases}
    assert split == {"101": "test", "102": "train", "103": "test", "104": ""}
    assert all(case.split == split[case.patient_id] for case in source.cases)
    assert source.notes["patients in both official lists (taken as test)"] == 1
    assert source.notes["patients in neither official list (no split)"] == 1


def test_missing_pieces_say_where_to_get_them(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match=r"Data_Entry_2017_v2020\.csv.*nihcc\.app\.box\.com"):
        read_source("nih", empty)
    (tree / "BBox_List_2017.csv").unlink()
    assert "BBox_List_2017.csv is not there: no boxes" in read_source("nih", tree).notes
    for place in FILMS:
        shutil.move(tree / place, tmp_path / "films" / place)
    with pytest.raises(SourceError, match=r"no film is here.*nihcc"):
        read_source("nih", tree)
    moved = read_source("nih", tree, images=tmp_path / "films")
    assert all((moved.image_root / case.current.image).is_file() for case in moved.cases)
    assert len(films_of(read_source("nih", tree, tables_only=True).cases)) == 8
    (tree / V2020).write_text("Image Index,Finding Labels\na.png,Hernia\n")
    with pytest.raises(SourceError, match=r"columns Follow-up #, Patient ID, View Position are missing"):
        read_source("nih", tree, tables_only=True)
    (tree / V2020).write_text(nih.HEADER + "\n")
    with pytest.raises(SourceError, match="no film could be used"):
        read_source("nih", tree, tables_only=True)


def test_one_film_only_has_no_pair_and_nothing_changed_is_said(tree: Path) -> None:
    same = "00000102_000.png,No Finding,0,102,41,M,PA,1,1,1,1\n00000102_001.png,No Finding,1,102,41,M,PA,1,1,1,1\n"
    (tree / V2020).write_text(f"{nih.HEADER}\n{same}{ROWS.splitlines()[4]}\n")
    cases = read_source("nih", tree).cases
    assert [case.kind for case in cases if case.patient_id == "103"] == ["abnormality"]
    (pair,) = pairs_of(cases).values()
    assert pair.answer == NOTHING


# --- JPEG copies -----------------------------------------------------------------------------------------------------


def test_jpeg_copies_are_read_as_the_png_of_the_tables(tree: Path, tmp_path: Path) -> None:
    tables = films_of(read_source("nih", tree).cases)
    for number, path in enumerate(sorted(path for place in FILMS for path in (tree / place).iterdir())):
        Image.open(path).resize((320, 320)).convert("L").save(path.with_suffix((".jpg", ".jpeg", ".JPG")[number % 3]))
        path.unlink()
    copies = films_of(read_source("nih", tree).cases)
    assert copies.keys() == tables.keys()
    for name, case in copies.items():
        assert (case.answer, case.split, case.current.regions) == (
            tables[name].answer,
            tables[name].split,
            tables[name].current.regions,
        )
    prepare("nih", tree, tmp_path / "out", pixels=32, workers=1, progress=False)
    boxes = boxes_of(Prepared(tmp_path / "out"))
    assert boxes["00000101_002"] == [
        ("infiltration", pytest.approx((312.5, 160, 320, 200))),
        ("pneumonia", pytest.approx((160, 160, 240, 240))),
    ]


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_lists_name_films_by_either_ending(ending: str, tree: Path) -> None:
    (tree / "train_val_list.txt").write_text(f"00000101_000{ending}\n00000101_001{ending}\n00000101_002{ending}\n")
    (tree / "test_list.txt").write_text(f"00000102_000{ending}\n")
    splits = {case.patient_id: case.split for case in read_source("nih", tree).cases}
    assert (splits["101"], splits["102"]) == ("train", "test")


def test_the_shared_films_png_and_jpeg(shared: Path) -> None:
    root = shared / "data" / "nih_films"
    source = read_source("nih", root)
    endings = Counter(Path(film.current.image).suffix for film in films_of(source.cases).values())
    assert min(endings[".png"], endings[".jpg"]) > 2000
    splits, how, notes = assign(source.cases, "official", source.validation_share)
    patients = {name: {c.patient_id for c, s in zip(source.cases, splits, strict=True) if s == name} for name in NAMES}
    assert how == "official"
    assert 0.1 < len(patients["val"]) / len(patients["train"] | patients["val"]) < 0.15
    assert notes[CUT] == len(patients["val"])
    assert not (patients["train"] | patients["val"]) & patients["test"]
    in_boxes = {line.split(",")[0][:-4] for line in (root / "BBox_List_2017.csv").read_text().splitlines()[1:]}
    boxed = {name for name, case in films_of(source.cases).items() if case.current.regions}
    assert boxed == in_boxes
    assert {source.frames[case.current.image] for case in source.cases if case.current.regions} == {Frame(1024, 1024)}
