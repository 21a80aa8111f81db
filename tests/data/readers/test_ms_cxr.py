"""MS-CXR: phrases and boxes, as CSV and as COCO, simulated and broken."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.ms_cxr import read_phrases
from intervalchange.errors import SourceError
from intervalchange.findings import CHEXPERT_OF_FINDING, FINDINGS
from intervalchange.simulation.cohort import simulate, simulate_patient
from intervalchange.simulation.layouts.ms_cxr import CATEGORIES, boxes_of
from intervalchange.simulation.records import SimulatedPatient

PATIENTS, PIXELS, SEED = 4, 64, 43
HEAD = "category_name,label_text,path,image_width,image_height,x,y,w,h,dicom_id,split"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ms_cxr") / "cohort"
    options = {"layout": "ms_cxr", "patients": PATIENTS, "seed": SEED, "pixels": PIXELS, "splits": "2:1:1"}
    return simulate(out, workers=1, progress=False, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def patients() -> list[SimulatedPatient]:
    return [simulate_patient(SEED, index, PIXELS) for index in range(PATIENTS)]


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(root, tmp_path / "copy"))


def table_of(root: Path, ending: str = "csv") -> Path:
    return root / "ms-cxr" / f"MS_CXR_Local_Alignment_v1.1.0.{ending}"


def test_films_findings_and_boxes_equal_the_truth(root: Path, patients: list[SimulatedPatient]) -> None:
    cases = {case.current.study_id: case for case in read_source("ms_cxr", root).cases}
    several = 0
    for patient in patients:
        for study in patient.studies:
            masks = study.film.finding_masks if study.film is not None else {}
            named = [
                finding
                for finding in study.account.attributes
                if CHEXPERT_OF_FINDING.get(finding) in CATEGORIES and masks[finding].any()
            ]
            if not named:
                assert study.study.study_id not in cases
                continue
            case = cases.pop(study.study.study_id)
            assert (case.patient_id, case.kind, case.prior) == (patient.patient_id, "abnormality", None)
            assert (case.current.image, case.current.view) == (study.study.image, study.study.view)
            assert case.current.findings == dict.fromkeys(named, 1.0)
            assert case.answer == ", ".join(finding for finding in FINDINGS if finding in named)
            for finding in named:
                found = [region.box for region in case.current.regions if region.name == finding]
                whole = next(r.box for r in study.study.regions if (r.kind, r.name) == ("finding", finding))
                assert [(x, y, x + w, y + h) for x, y, w, h in boxes_of(masks[finding])] == found
                assert (min(b[0] for b in found), min(b[1] for b in found)) == whole[:2]
                assert (max(b[2] for b in found), max(b[3] for b in found)) == whole[2:]
                several += len(found) > 1
            phrases = [tag.split("=", 1)[1] for tag in case.tags]
            assert len(phrases) == len(named)
            assert all(f"{phrase}." in " ".join(study.study.report.split()) for phrase in phrases)
    assert not cases
    assert several, "some phrase has several boxes"


def test_both_forms_say_the_same(root: Path, tree: Path) -> None:
    assert table_of(root).read_text().splitlines()[0] == HEAD
    source = read_source("ms_cxr", root)
    plain = json.loads(table_of(root, "json").read_text())
    assert len({image["file_name"] for image in plain["images"]}) < len(plain["images"]), "records of a film repeat"
    table_of(tree).unlink()
    assert read_source("ms_cxr", tree).cases == source.cases


def test_official_split_and_preparation(root: Path, tmp_path: Path) -> None:
    manifest = prepare("ms_cxr", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    patients = {case.patient_id for case in read_source("ms_cxr", root).cases}
    assert sum(count["patients"] for count in manifest["doctor"]["splits"].values()) == len(patients)
    assert manifest["release"] == "1.1.0"
    assert manifest["doctor"]["studies_with_report"] == manifest["doctor"]["studies_with_regions"]


def test_masks_are_boxed_by_parts_from_left_to_right() -> None:
    mask = np.zeros((50, 100), bool)
    mask[10:20, 5:15] = mask[30:45, 60:90] = mask[31, 91] = True
    assert boxes_of(mask) == [(5, 10, 10, 10), (60, 30, 32, 15)]


# --- what goes wrong -------------------------------------------------------------------------------------------------

ONE = "Pneumothorax,small right apical pneumothorax,{},64,64,{},d,test"


def write_rows(root: Path, *rows: str, head: str = HEAD) -> Counter[str]:
    """Put these rows in the place of the table and return what reading them notes."""
    table_of(root).write_text("\ufeff" + "\r\n".join([head, *rows]) + "\r\n")
    notes: Counter[str] = Counter()
    read_phrases(root, notes)
    return notes


@pytest.fixture
def film(root: Path) -> str:
    return str(pd.read_csv(table_of(root)).path[0])


def test_rows_of_one_phrase_are_put_together(tree: Path, film: str) -> None:
    other = ONE.replace("small right", "a  small right").format(film, "1,2,3,4")
    rows = [ONE.format(film, "1,2,3,4"), other, ONE.format(film, "10.5,2,3,4.5"), ONE.format(film, "1,2,3,4")]
    assert write_rows(tree, *rows) == {"boxes given twice (kept once)": 1}
    first, second = read_phrases(tree)
    assert first.boxes == ((1, 2, 4, 6), (10.5, 2, 13.5, 6.5))
    assert (second.text, second.boxes) == ("a small right apical pneumothorax", ((1, 2, 4, 6),))
    (case,) = read_source("ms_cxr", tree).cases
    assert case.tags == (
        "phrase:pneumothorax=small right apical pneumothorax",
        "phrase:pneumothorax=a small right apical pneumothorax",
    )
    assert len(case.current.regions) == 3


@pytest.mark.parametrize(
    ("row", "note"),
    [
        (("{}", "-2,60,10,9"), "boxes that reach beyond the film (cut)"),
        (("{}", "1,2,0,4"), "boxes that are empty or beside the film (skipped)"),
        (("{}", "70,2,3,4"), "boxes that are empty or beside the film (skipped)"),
        (("{}", "a,2,3,4"), "boxes that are not numbers (skipped)"),
        (("nowhere.jpg", "1,2,3,4"), "rows whose path names no film (skipped)"),
    ],
)
def test_one_bad_row_does_not_lose_the_rest(tree: Path, film: str, row: tuple[str, str], note: str) -> None:
    notes = write_rows(tree, ONE.format(film, "1,2,3,4"), ONE.format(row[0].format(film), row[1]))
    assert notes == {note: 1}
    boxes = read_phrases(tree)[0].boxes
    assert boxes == ((1, 2, 4, 6), (0, 60, 8, 64)) if "cut" in note else ((1, 2, 4, 6),)


def test_a_release_without_split_is_test(tree: Path, film: str) -> None:
    row = ONE.format(film, "1,2,3,4").removesuffix(",test")
    write_rows(tree, row, head=HEAD.removesuffix(",split"))
    table_of(tree).rename(table_of(tree).with_name("MS_CXR_Local_Alignment_v1.0.0.csv"))
    source = read_source("ms_cxr", tree)
    assert (source.release, [case.split for case in source.cases]) == ("1.0.0", ["test"])
    assert source.notes["this release has no split: every film is test"] == 1


def test_annotations_that_cannot_be_read_are_skipped(tree: Path) -> None:
    table_of(tree).unlink()
    path = table_of(tree, "json")
    plain = json.loads(path.read_text())
    plain["annotations"] += [{"image_id": -1}, {**plain["annotations"][0], "bbox": [1, 2]}]
    path.write_text(json.dumps(plain))
    assert read_source("ms_cxr", tree).notes["annotations that cannot be read (skipped)"] == 2
    path.write_text("[]")
    with pytest.raises(SourceError, match="COCO form"):
        read_source("ms_cxr", tree)


def test_without_metadata_the_view_stays_open(tree: Path) -> None:
    (tree / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    source = read_source("ms_cxr", tree)
    assert {case.current.view for case in source.cases} == {""}
    assert len(source.cases) == len(read_source("ms_cxr", tree, tables_only=True).cases)
    assert all(math.isnan(case.current.order) for case in source.cases)


def test_missing_pieces_say_where_to_get_them(tree: Path) -> None:
    table_of(tree).write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match=r"columns category_name.*are missing.*physionet\.org/content/ms-cxr/"):
        read_source("ms_cxr", tree)
    table_of(tree).write_text(HEAD + "\n")
    with pytest.raises(SourceError, match="no row could be used"):
        read_source("ms_cxr", tree)
    shutil.rmtree(tree / "ms-cxr")
    with pytest.raises(SourceError, match=r"MS_CXR_Local_Alignment_v\*\.csv or \.json.*ROOT/ms-cxr"):
        read_source("ms_cxr", tree)
    shutil.rmtree(tree / "mimic-cxr-jpg")
    with pytest.raises(SourceError, match="mimic-cxr-jpg"):
        read_source("ms_cxr", tree)
