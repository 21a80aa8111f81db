"""VinDr-CXR of PhysioNet and the Kaggle table: read from a simulated tree and from broken ones."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from film_files import chest
from simulated_tree import write_with_truth

from intervalchange.data.film_files import read_film
from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.vindr import KAGGLE_LABELS
from intervalchange.errors import ConfigError, SourceError
from intervalchange.findings import FINDINGS
from intervalchange.records import Case
from intervalchange.simulation.dicom_files import dicom_bytes, uid
from intervalchange.simulation.layouts import vindr
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

PIXELS, SEED = 64, 87
Truth = dict[str, tuple[SimulatedPatient, SimulatedStudy]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SimulatedPatient]]:
    return write_with_truth(tmp_path_factory.mktemp("vindr") / "cohort", "vindr", "2:1:1", seed=SEED, pixels=PIXELS)


@pytest.fixture(scope="module")
def root(written: tuple[Path, list[SimulatedPatient]]) -> Path:
    return written[0]


@pytest.fixture(scope="module")
def truth(written: tuple[Path, list[SimulatedPatient]]) -> Truth:
    return {
        vindr.image_id(SEED, p.index, place): (p, s)
        for p in written[1]
        for place, s in enumerate(p.studies)
        if s.study.view == "PA"
    }


def expected(study: SimulatedStudy) -> dict[str, float]:
    """Finding -> 0 or 1, as all 28 labels say it, by hand."""
    names = {label.lower().replace("other diseases", "other disease"): label for label in vindr.columns("train")}
    seen = {vindr.LABEL_OF_FINDING[name] for name, value in study.study.findings.items() if value == 1}
    found = {name: float(label in seen) for name, label in names.items()}
    found["no finding"] = float(not seen)
    if "Rib fracture" in seen:
        found["fracture"] = 1.0
    return found


def test_films_equal_the_truth(root: Path, truth: Truth) -> None:
    source = read_source("vindr", root)
    assert {case.current.study_id for case in source.cases} == truth.keys()
    assert (source.release, source.simulated["seed"]) == ("1.0.0", SEED)
    for case in source.cases:
        _, study = truth[case.current.study_id]
        assert case.current.findings == expected(study)
        seen = [name for name in FINDINGS if case.current.findings.get(name) == 1]
        normal = not any(study.study.findings.values())
        assert case.answer == (", ".join(seen) or ("no abnormality" if normal else ""))
        assert (case.case_id, case.patient_id) == (f"{case.current.study_id}-film", case.current.study_id)
        assert case.split in ("train", "test")
        assert case.current.image == f"{case.split}/{case.current.study_id}.dicom"
        assert (source.image_root / case.current.image).is_file()
        assert case.current.view == "PA"
        assert case.current.sex in (study.study.sex, "")
        assert case.current.age == study.study.age or math.isnan(case.current.age)
        compare_boxes(case, study)
    assert {case.split for case in source.cases} == {"train", "test"}


def compare_boxes(case: Case, study: SimulatedStudy) -> None:
    """Each label that has boxes has those of two or three readers, or of the consensus, all within a pixel."""
    wanted: dict[str, list[tuple[float, ...]]] = {}
    for region in study.study.regions:
        if region.kind == "finding" and vindr.LABEL_OF_FINDING[region.name] in vindr.LOCAL:
            wanted.setdefault(vindr.LABEL_OF_FINDING[region.name].lower(), []).append(region.box)
    found = {
        region.name: [r.box for r in case.current.regions if r.name == region.name] for region in case.current.regions
    }
    assert found.keys() == wanted.keys()
    for name, boxes in found.items():
        assert len(boxes) in ((1,) if case.split == "test" else (2, 3))
        for box in boxes:
            assert any(np.allclose(box, one, atol=1) for one in wanted[name])


def test_true_layout(root: Path) -> None:
    tables = {
        name: (root / "annotations" / f"{name}.csv").read_text().splitlines()
        for name in ("image_labels_train", "image_labels_test", "annotations_train", "annotations_test")
    }
    assert tables["image_labels_train"][0].split(",")[:3] == ["image_id", "rad_id", "Aortic enlargement"]
    assert tables["image_labels_train"][0].endswith(",Other diseases,No finding")
    assert tables["image_labels_test"][0].endswith(",Other disease,No finding")
    assert tables["annotations_train"][0] == "image_id,rad_id,class_name,x_min,y_min,x_max,y_max"
    assert tables["annotations_test"][0] == "image_id,class_name,x_min,y_min,x_max,y_max"
    films = len(list((root / "train").iterdir()))
    assert len(tables["image_labels_train"]) == 1 + 3 * films
    assert any(row.endswith(",No finding,,,,") for row in tables["annotations_train"])


def test_polarity_and_depth_come_back_as_one_film(truth: Truth) -> None:
    image, (_, study) = next(iter(truth.items()))
    film = study.film
    assert film is not None
    looks = {}
    for seed in range(40):
        content = vindr._dicom(image, study, film.pixels, np.random.default_rng(seed), quirks=True)
        header = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))
        looks[header.PhotometricInterpretation, header.BitsStored, "WindowWidth" in header] = content
    assert {key[0] for key in looks} == {"MONOCHROME1", "MONOCHROME2"}
    assert {key[1] for key in looks} == {12, 14, 16}
    assert {key[2] for key in looks} == {True, False}


def test_every_look_is_read_alike(truth: Truth, tmp_path: Path) -> None:
    image, (_, study) = next(iter(truth.items()))
    assert study.film is not None
    pixels = study.film.pixels
    stretched = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    for seed in range(12):
        path = tmp_path / f"{seed}.dicom"
        path.write_bytes(vindr._dicom(image, study, pixels, np.random.default_rng(seed), quirks=True))
        read = read_film(path)
        assert min(np.abs(read.pixels - film).max() for film in (pixels, stretched)) < 0.01


def test_preparation(root: Path, tmp_path: Path) -> None:
    manifest = prepare("vindr", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    films = len(read_source("vindr", root).cases)
    assert (manifest["doctor"]["cases"], manifest["doctor"]["films"]["bad"]) == (films, 0)
    assert manifest["doctor"]["views"] == {"PA": films}
    assert manifest["split"] == "official"
    dry = prepare("vindr", root, tmp_path / "dry", dry_run=True, progress=False)
    assert dry["doctor"]["studies_with_regions"] == manifest["doctor"]["studies_with_regions"]


def test_the_kaggle_table_says_the_same(root: Path, tmp_path: Path) -> None:
    boxes = pd.read_csv(root / "annotations" / "annotations_train.csv", dtype=str, keep_default_na=False)
    boxes["class_id"] = [
        KAGGLE_LABELS.index(n.lower()) if n.lower() in KAGGLE_LABELS else -1 for n in boxes["class_name"]
    ]
    labels = pd.read_csv(root / "annotations" / "image_labels_train.csv", dtype=str)
    kept = boxes[boxes["class_id"] >= 0]
    told = set(zip(kept["image_id"], kept["rad_id"], strict=True))
    silent = [pair for pair in zip(labels["image_id"], labels["rad_id"], strict=True) if pair not in told]
    empty = dict.fromkeys(("x_min", "y_min", "x_max", "y_max"), "")
    rows = [{"image_id": i, "rad_id": r, "class_name": "No finding", "class_id": 14, **empty} for i, r in silent]
    table = pd.concat([kept, pd.DataFrame(rows)])
    order = ["image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max"]
    copy = tmp_path / "kaggle"
    shutil.copytree(root / "train", copy / "train")
    table[order].to_csv(copy / "train.csv", index=False)
    source = read_source("vindr", copy)
    assert source.release == "Kaggle"
    both = {case.current.study_id: case for case in read_source("vindr", root).cases}
    assert len(source.cases) == len(list((copy / "train").iterdir()))
    for case in source.cases:
        other = both[case.current.study_id].current
        shared = [name for name in KAGGLE_LABELS if name != "no finding"]
        assert {n: case.current.findings[n] for n in shared} == {n: other.findings[n] for n in shared}
        assert sorted((r.name, r.box) for r in case.current.regions) == sorted(
            (r.name, r.box) for r in other.regions if r.name in shared
        )
        assert case.split == ""


# --- a small tree with everything that goes wrong ------------------------------------------------------------------

LABELS = """\ufeffimage_id,rad_id,Cardiomegaly,Pleural effusion,Rib fracture,ILD,Other diseases,No finding
aa,R1,1,1,0,0,0,0
aa,R2,1,0,0,0,0,0
aa,R3,0,0,0,0,0,1
bb,R1,0,0,0,0,0,1
bb,R2,0,0,0,0,0,1
bb,R8,0,0,0,1,0,0
cc,R1,0,0,1,0,1,0
cc,R2,0,0,1,0,1,0
cc,R2,1,1,1,1,1,0
cc,R3,0,0,1,0,0,0
dd,R1,0,0,0,1,0,0
dd,R2,0,0,0,1,0,0
dd,R3,0,1,0,0,0,0
ee,R1,1,0,0,0,0,0
,R1,1,0,0,0,0,0
ff,R1,?,,,,,
gg,R1,0,0,0,0,0,1
gg,R2,0,0,0,0,0,1
gg,R3,0,0,0,0,0,1
"""
BOXES = """image_id,rad_id,class_name,x_min,y_min,x_max,y_max
aa,R1,Cardiomegaly,-5.5,10.0,40.0,50.0
aa,R2,Cardiomegaly,10.0,10.0,10.0,50.0
aa,R1,Pleural effusion,1.0,1.0,9.0,9.0
aa,R3,No finding,,,,
cc,R1,Rib fracture,10.0,20.0,99.0,44.5
cc,R2,Rib fracture,oops,20.0,30.0,40.0
zz,R2,Rib fracture,1.0,20.0,30.0,40.0
"""
TEST_LABELS = """image_id,Cardiomegaly,Pleural effusion,Rib fracture,ILD,Other disease,No finding
hh,0,1,0,0,1,0
aa,1,0,0,0,0,0
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root" / "1.0.0"
    for name, text in (
        ("image_labels_train", LABELS),
        ("annotations_train", BOXES),
        ("image_labels_test", TEST_LABELS),
    ):
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        (root / "annotations" / f"{name}.csv").write_text(text)
    for name, folder, view in (
        ("aa", "train", ""),
        ("bb", "train", "PA"),
        ("cc", "train", "PA"),
        ("dd", "train", "PA"),
        ("ee", "train", "PA"),
        ("gg", "train", "LATERAL"),
        ("hh", "test", "PA"),
    ):
        ids = {"patient_id": name, "study_uid": uid(name, "s"), "instance_uid": uid(name)}
        (root / folder).mkdir(exist_ok=True)
        content = dicom_bytes(chest(64, 80), **ids, view=view, bits=12, elements={"PatientAge": "000Y"})
        (root / folder / f"{name}.dicom").write_bytes(content)
    return root.parent


def films_of(cases: list[Case]) -> dict[str, Case]:
    return {case.current.study_id: case for case in cases}


def test_every_defect_is_counted_and_loses_nothing_else(tree: Path) -> None:
    source = read_source("vindr", tree)
    assert source.release == "1.0.0"
    films = films_of(source.cases)
    assert {name: (case.split, case.answer) for name, case in films.items()} == {
        "aa": ("train", "cardiomegaly"),
        "bb": ("train", "no abnormality"),
        "cc": ("train", "fracture"),
        "dd": ("train", ""),
        "ee": ("train", "cardiomegaly"),
        "hh": ("test", "pleural effusion"),
    }
    assert films["cc"].current.findings["other disease"] == films["hh"].current.findings["other disease"] == 1
    assert films["dd"].current.findings == {
        "cardiomegaly": 0,
        "pleural effusion": 0,
        "rib fracture": 0,
        "ild": 1,
        "other disease": 0,
        "no finding": 0,
    }
    assert [(r.name, r.box) for r in films["aa"].current.regions] == [("cardiomegaly", (0, 10, 40, 50))]
    assert [(r.name, r.box) for r in films["cc"].current.regions] == [("rib fracture", (10, 20, 80, 44.5))]
    assert films["aa"].current.view == "PA"
    assert math.isnan(films["aa"].current.age)
    notes = dict(source.notes)
    assert notes.pop("labels that too few readers see (taken as absent)") == 3
    assert notes.pop("boxes that leave the film (clipped)") == 2
    assert notes.pop("label rows without an id or labels of 0 and 1 (skipped)") == 2
    assert set(notes.values()) == {1}
    assert set(notes) == {
        "annotations_test.csv is not there: no boxes",
        "boxes of films without labels (left out)",
        "boxes of labels that too few readers see (left out)",
        "boxes that cannot be read (left out)",
        "boxes without an area on the film (left out)",
        "films in both splits (kept in train)",
        "films of more or fewer than 3 readers",
        "films that are not frontal (left out)",
        "films with other findings than we know by name, or none agreed on (their answer is left empty)",
        "rows of the same film and reader (the first is kept)",
    }


def test_votes(tree: Path) -> None:
    answers = {
        votes: {name: case.answer for name, case in films_of(read_source("vindr", tree, votes=votes).cases).items()}
        for votes in (1, 2, 3)
    }
    assert answers[1]["aa"] == "pleural effusion, cardiomegaly"
    assert answers[3]["aa"] == ""
    assert (answers[1]["bb"], answers[3]["bb"]) == ("", "")
    assert {answers[votes]["hh"] for votes in (1, 2, 3)} == {"pleural effusion"}, "the consensus has one voice"
    assert films_of(read_source("vindr", tree, votes=1).cases)["bb"].current.findings["no finding"] == 0
    for votes in (0, 4):
        with pytest.raises(ConfigError, match="1, 2 or 3"):
            read_source("vindr", tree, votes=votes)


def test_missing_pieces_say_where_to_get_them(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match=r"neither annotations/ nor train.csv.*physionet.org"):
        read_source("vindr", empty)
    root = tree / "1.0.0"
    for name in ("train", "test"):
        shutil.move(root / name, tmp_path / "films" / name)
    assert read_source("vindr", tree, images=tmp_path / "films").image_root == tmp_path / "films"
    with pytest.raises(SourceError, match=r"none of the films.*physionet.org"):
        read_source("vindr", tree)
    assert len(read_source("vindr", tree, tables_only=True).cases) == 7
    (root / "annotations" / "image_labels_test.csv").unlink()
    (root / "annotations" / "annotations_train.csv").unlink()
    source = read_source("vindr", tree, tables_only=True)
    assert source.notes["image_labels_test.csv is not there: no test films"] == 1
    assert source.notes["annotations_train.csv is not there: no boxes"] == 1
    (root / "annotations" / "image_labels_train.csv").write_text("image_id,Cardiomegaly\naa,1\n")
    with pytest.raises(SourceError, match="columns No finding are missing"):
        read_source("vindr", tree)
    (root / "annotations" / "image_labels_train.csv").unlink()
    with pytest.raises(SourceError, match=r"image_labels_train.csv: the labels of the films are missing"):
        read_source("vindr", tree)
    shutil.rmtree(root / "annotations")
    header = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
    (root / "train.csv").write_text(header + "aa,Moonlight,99,R1,1,1,2,2\n")
    with pytest.raises(SourceError, match=r"no film could be used.*known label"):
        read_source("vindr", tree, tables_only=True)
