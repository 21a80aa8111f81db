"""RSNA pneumonia, stage 2: read from a simulated tree and from broken ones."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from film_files import chest
from simulated_tree import write_with_truth

from intervalchange.data import run_length
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.data.readers import read_source
from intervalchange.data.splits import by_patient
from intervalchange.errors import SourceError
from intervalchange.simulation.dicom_files import dicom_bytes, uid
from intervalchange.simulation.layouts.rsna import image_id
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

PIXELS, SEED = 64, 87
LABELS, CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SimulatedPatient]]:
    return write_with_truth(tmp_path_factory.mktemp("rsna") / "cohort", "rsna", "3:0:1", seed=SEED, pixels=PIXELS)


@pytest.fixture(scope="module")
def root(written: tuple[Path, list[SimulatedPatient]]) -> Path:
    return written[0]


@pytest.fixture(scope="module")
def truth(written: tuple[Path, list[SimulatedPatient]]) -> dict[str, tuple[SimulatedPatient, SimulatedStudy]]:
    return {image_id(SEED, p.index, place): (p, s) for p in written[1] for place, s in enumerate(p.studies)}


def test_films_equal_the_truth(root: Path, truth: dict[str, tuple[SimulatedPatient, SimulatedStudy]]) -> None:
    source = read_source("rsna", root)
    hidden = {path.stem for path in (root / "stage_2_test_images").iterdir()}
    assert {case.current.study_id for case in source.cases} == truth.keys() - hidden
    assert source.notes["test films, whose labels are hidden (left out)"] == len(hidden) > 0
    assert source.simulated["seed"] == SEED
    classes = set()
    for case in source.cases:
        patient, study = truth[case.current.study_id]
        seen = {name for name, value in study.study.findings.items() if value == 1}
        pneumonia = bool(seen & {"consolidation", "lung opacity"})
        assert case.current.findings == {"pneumonia": float(pneumonia), "no finding": float(not seen)}
        assert case.answer == ("pneumonia" if pneumonia else "" if seen else "no abnormality")
        assert (case.case_id, case.kind, case.prior) == (f"{case.current.study_id}-film", "abnormality", None)
        assert case.patient_id == patient.patient_id, "the match table makes patients of films"
        assert (case.current.view, case.current.sex) == (study.study.view, study.study.sex)
        assert case.current.age == study.study.age
        assert (source.image_root / case.current.image).is_file()
        classes.add(case.answer)
        compare_boxes(case.current.regions, study)
    assert "pneumonia" in classes
    assert len(classes) > 1


def compare_boxes(regions: tuple, study: SimulatedStudy) -> None:
    """The boxes hold nearly all of the two masks, and each touches them on its four sides."""
    masks = [
        run_length.decode(region.rle, PIXELS, PIXELS)
        for region in study.study.regions
        if region.kind == "finding" and region.name in ("consolidation", "lung opacity")
    ]
    assert bool(regions) == bool(masks)
    if not masks:
        return
    mask = np.logical_or.reduce(masks)
    held = np.zeros_like(mask)
    for region in regions:
        assert (region.kind, region.name, region.rle) == ("finding", "pneumonia", None)
        x1, y1, x2, y2 = (int(edge) for edge in region.box)
        inside = mask[y1:y2, x1:x2]
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
        held[y1:y2, x1:x2] = True
    assert (mask & held).sum() >= 0.95 * mask.sum()


def test_preparation_without_and_with_films(root: Path, tmp_path: Path) -> None:
    manifest = prepare("rsna", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    films = len(read_source("rsna", root).cases)
    assert manifest["doctor"]["films"]["read"] == films
    assert manifest["doctor"]["films"]["bad"] == 0
    assert set(manifest["doctor"]["views"]) <= {"PA", "AP"}
    assert manifest["split"] == "patient"
    dry = prepare("rsna", root, tmp_path / "dry", dry_run=True, progress=False)
    assert dry["doctor"]["studies_with_regions"] == manifest["doctor"]["studies_with_regions"] > 0


def test_without_quirks_and_interrupted_at_the_tables(root: Path, tmp_path: Path) -> None:
    from intervalchange.simulation.layouts import rsna

    fragments = [
        {"films": [{"image": f"a{n}", "class": "Normal", "boxes": [], "nih": "20000001_000.png"}]} for n in (0, 1)
    ]
    (tmp_path / "stage_2_train_images").mkdir()
    for n in (0, 1):
        (tmp_path / "stage_2_train_images" / f"a{n}.dcm").write_bytes(b"film")
    for _ in range(2):
        rsna.write_tables(fragments, tmp_path, tmp_path, ["train", "test"], 0, False)
    assert (tmp_path / "stage_2_test_images" / "a1.dcm").is_file()
    assert (tmp_path / "stage_2_train_images" / "a0.dcm").is_file()
    assert (tmp_path / LABELS).read_text() == "patientId,x,y,width,height,Target\na0,,,,,0\n"
    assert (tmp_path / CLASSES).read_text() == "patientId,class\na0,Normal\n"
    lines = (root / LABELS).read_text().splitlines()
    assert lines[1:] != sorted(lines[1:])


# --- a small tree with everything that goes wrong ------------------------------------------------------------------

ROWS = """\ufeffpatientId,x,y,width,height,Target\r
one,10.0,20.0,30.0,40.0,1\r
one, 60.0,50.0,30.0,40.0,1.0\r
two,,,,,0\r
three,,,,,0\r
four,,,,,0\r
four,1.0,1.0,5.0,5.0,1\r
five,1.0,2.0,0.0,5.0,1\r
five,?,2.0,3.0,5.0,1\r
six,1.0,1.0,5.0,5.0,0\r
,,,,,0\r
seven,,,,,maybe\r
eight,,,,,0\r
nine,,,,,0\r
"""
KINDS = """patientId,class,extra
one,Lung Opacity,
one,Lung Opacity,
two,Normal ,
three,No Lung Opacity / Not Normal,
four,Normal,
five,Lung Opacity,
six,Normal,
six,Lung Opacity,
nine,Cloudy,
"""
MATCHES = """patientId,cxr_match,mse
one,00000013_005.png,1.9
two,00000013_006.png,2.2
three,00000014_000.png,44.0
four,unknown,
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "stage_2_train_images").mkdir(parents=True)
    (root / LABELS).write_text(ROWS)
    (root / CLASSES).write_text(KINDS)
    views = {"one": ("PA", "51"), "two": ("AP", "155"), "three": ("PA", "000Y"), "four": ("PA", "006M")}
    views |= {"five": ("", ""), "six": ("PA", "51"), "eight": ("LL", "51")}
    for name, (view, age) in views.items():
        ids = {"patient_id": name, "study_uid": uid(name, "s"), "instance_uid": uid(name)}
        content = dicom_bytes(chest(80, 80), **ids, view=view, sex="F", elements={"PatientAge": age})
        (root / "stage_2_train_images" / f"{name}.dcm").write_bytes(content)
    return root


def test_every_defect_is_counted_and_loses_nothing_else(tree: Path) -> None:
    source = read_source("rsna", tree)
    films = {case.current.study_id: case for case in source.cases}
    assert list(films) == ["one", "two", "three", "four", "five", "six", "nine"], "eight is a lateral film"
    assert [region.box for region in films["one"].current.regions] == [(10, 20, 40, 60), (60, 50, 80, 80)]
    answers = {name: case.answer for name, case in films.items()}
    assert answers == {
        "one": "pneumonia",
        "two": "no abnormality",
        "three": "",
        "four": "pneumonia",
        "five": "pneumonia",
        "six": "",
        "nine": "",
    }
    assert films["five"].current.regions == ()
    assert math.isnan(films["six"].current.findings["no finding"])
    assert films["four"].current.findings["no finding"] == 0
    assert (films["one"].current.age, films["four"].current.age) == (51, 0)
    assert math.isnan(films["two"].current.age) and math.isnan(films["three"].current.age)
    assert films["five"].current.view == ""
    notes = dict(source.notes)
    assert notes.pop("films whose person is unknown (one person has several ids: a split by film leaks)") == 8
    assert notes.pop("films without pneumonia that are not said to be normal (their answer is left empty)") == 3
    assert notes.pop("films without a class") == 2
    assert notes.pop("label rows without an id or a target of 0 or 1 (skipped)") == 2
    assert set(notes.values()) == {1}
    for part in (
        "films with and without pneumonia in different rows (taken as with)",
        "boxes in rows without pneumonia (left out)",
        "films of two classes (taken as of none)",
        "class rows of an unknown class (skipped)",
        "films whose class and target disagree (the target is kept)",
        "boxes that leave the film (clipped)",
        "boxes without an area on the film (left out)",
        "boxes that cannot be read (left out)",
        "ages over 120 years (unknown)",
        "films that are not frontal (left out)",
        "films that are missing or whose header cannot be read",
    ):
        assert part in notes


def test_a_match_table_makes_patients(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "match.csv").write_text(MATCHES)
    source = read_source("rsna", tree, match=tmp_path / "match.csv")
    people = {case.current.study_id: case.patient_id for case in source.cases}
    assert (people["one"], people["two"], people["three"], people["four"]) == ("13", "13", "three", "four")
    assert source.notes["films without a match at NIH (their person is unknown)"] == 6
    shutil.copy(tmp_path / "match.csv", tree / "nih_match.csv")
    assert {c.current.study_id: c.patient_id for c in read_source("rsna", tree).cases} == people
    (tmp_path / "match.csv").write_text("id,file\n")
    with pytest.raises(SourceError, match=r"patientId, cxr_match are missing.*00000013_005"):
        read_source("rsna", tree, match=tmp_path / "match.csv")


def test_missing_pieces_say_where_to_get_them(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match=r"stage_2_train_labels.csv.*kaggle.com"):
        read_source("rsna", empty)
    (tree / CLASSES).unlink()
    source = read_source("rsna", tree)
    assert any("which films are normal is unknown" in note for note in source.notes)
    assert {case.answer for case in source.cases} == {"pneumonia", ""}
    shutil.move(tree / "stage_2_train_images", tmp_path / "films")
    assert read_source("rsna", tree, images=tmp_path / "films").image_root == tmp_path / "films"
    with pytest.raises(SourceError, match=r"none of the films.*kaggle.com"):
        read_source("rsna", tree)
    assert len(read_source("rsna", tree, tables_only=True).cases) == 8
    (tree / LABELS).write_text("patientId,Target\none,1\n")
    with pytest.raises(SourceError, match=r"columns x, y, width, height are missing"):
        read_source("rsna", tree, tables_only=True)
    (tree / LABELS).write_text("patientId,x,y,width,height,Target\n")
    with pytest.raises(SourceError, match="no film could be used"):
        read_source("rsna", tree, tables_only=True)


# --- RSNA's own mapping ----------------------------------------------------------------------------------------------

MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
PAIRS = [("one", "00000013_005.png"), ("two", "00000013_006.png"), ("three", "00000014_000.PNG"), ("four", "unknown")]


def mapping(root: Path) -> Path:
    rows = [{"subset_img_id": image, "img_id": file, "orig_labels": ["Pneumonia"]} for image, file in PAIRS]
    (root / MAPPING).write_text(json.dumps(rows))
    return root / MAPPING


@pytest.mark.parametrize("where", ["in ROOT", "as an option"])
def test_films_of_one_person_are_one_patient_by_the_official_mapping(where: str, tree: Path, tmp_path: Path) -> None:
    path = mapping(tree if where == "in ROOT" else tmp_path)
    source = read_source("rsna", tree, match=None if where == "in ROOT" else str(path))
    patients = {case.current.study_id: case.patient_id for case in source.cases}
    assert (patients["one"], patients["two"], patients["three"]) == ("13", "13", "14")
    assert patients["four"] == "four"
    assert source.notes["films without a match at NIH (their person is unknown)"] == 5
    manifest = prepare("rsna", tree, tmp_path / "out", pixels=32, workers=1, progress=False, match=path)
    split_of = {by_patient(patients[name]) for name in ("one", "two")}
    assert len(split_of) == 1
    assert manifest["split"] == "patient"


@pytest.mark.parametrize("text", ["", "[", "{}", '{"a": 1}', "[1]", '[{"subset_img_id": "one"}]', "null", '"x"'])
def test_a_mapping_that_is_none_is_refused(text: str, tree: Path) -> None:
    (tree / MAPPING).write_text(text)
    with pytest.raises(SourceError, match=r"not RSNA's mapping.*subset_img_id"):
        read_source("rsna", tree)


# --- copies of another size -----------------------------------------------------------------------------------------


def test_dicom_of_a_smaller_copy_is_known_by_its_boxes(tree: Path, tmp_path: Path) -> None:
    """Boxes of the square of 1024 on DICOM of 80 pixels: most of them lie beside such films."""
    big = ROWS.replace("one,10.0,20.0,30.0,40.0", "one,512.0,256.0,128.0,256.0").replace("60.0,50.0,", "768.0,640.0,")
    (tree / LABELS).write_text(big)
    prepare("rsna", tree, tmp_path / "out", pixels=64, workers=1, progress=False)
    folder = Prepared(tmp_path / "out")
    boxes = {folder.studies.iloc[row]["study_id"]: [r.box for r in rs] for row, rs in folder.regions_of.items()}
    assert boxes["one"] == [(40, 20, 50, 40), (60, 50, pytest.approx(62.34375), pytest.approx(53.125))]
