"""The two folders of open films with several time points, and small ones like them with everything that goes wrong.

The tests of the real folders ask for `shared`, which fails in CI and skips loudly elsewhere where they are absent.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from film_files import chest, save
from PIL import Image

from intervalchange.data import run_length
from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.cxr_longitudinal import nih_patient
from intervalchange.errors import SourceError
from intervalchange.grammar import NOTHING, parse, render
from intervalchange.records import Case, Change


def films_of(cases: list[Case]) -> dict[str, Case]:
    return {case.current.study_id: case for case in cases if case.prior is None}


def pairs_of(cases: list[Case]) -> list[Case]:
    return [case for case in cases if case.prior is not None]


# --- the real folders ------------------------------------------------------------------------------------------------


def test_published_cases(shared: Path) -> None:
    folder = shared / "data" / "cxr_longitudinal"
    source = read_source("cxr_longitudinal", folder)
    films, pairs = films_of(source.cases), pairs_of(source.cases)
    assert (source.release, len(films), len(pairs)) == ("cases", 358, 943)
    assert len({case.patient_id for case in source.cases}) == 157
    assert all((folder / case.current.image).is_file() for case in source.cases)
    tags = Counter(tag for case in pairs for tag in case.tags)
    assert (tags["consecutive=1"], tags["same_view_group=1"]) == (229, 919)
    labels = {name: tags[f"change_label={name}"] for name in ("worsened", "improved", "unchanged", "mixed")}
    assert labels == {"worsened": 34, "improved": 17, "unchanged": 4, "mixed": 1}
    noted = [case for case in pairs if case.prior and case.prior.report and case.current.report]
    assert len(noted) == 104
    assert {case.answer for case in pairs} == {""}
    regions = Counter(region.name for case in films.values() for region in case.current.regions)
    assert regions == {"right lung": 253, "left lung": 253, "lungs": 158}
    assert sum(any(tag.startswith("brixia_senior_global=") for tag in case.tags) for case in films.values()) == 70
    assert all(any(tag.startswith("licence=CC BY") for tag in case.tags) for case in source.cases)
    assert {case.answer for case in films.values()} == {"", "no abnormality", "pneumonia"}


def test_masks_and_boxes_are_of_the_film(shared: Path) -> None:
    folder = shared / "data" / "cxr_longitudinal"
    case = films_of(read_source("cxr_longitudinal", folder).cases)["coh-17-01"]
    regions = {region.name: region for region in case.current.regions}
    assert regions["right lung"].box[2] <= regions["left lung"].box[0] + 60, "the patient's right is on the left"
    drawn = np.asarray(Image.open(folder / "lung_masks" / "coh-17-01.png"))
    mask = regions["lungs"].rle
    assert mask is not None
    assert np.array_equal(run_length.decode(mask, *drawn.shape), drawn)
    tables = films_of(read_source("cxr_longitudinal", folder, tables_only=True).cases)
    assert not any(r.rle for one in tables.values() for r in one.current.regions)


def test_nih_pairs_become_questions(shared: Path) -> None:
    folder = shared / "data" / "cxr_longitudinal_nih"
    source = read_source("cxr_longitudinal", folder)
    films, pairs = films_of(source.cases), pairs_of(source.cases)
    assert (source.release, len(films), len(pairs)) == ("nih", 850, 621)
    assert len({case.patient_id for case in source.cases}) == 229
    assert not any("disagrees" in note or "skipped" in note for note in source.notes)
    changed = [case for case in pairs if case.answer not in (NOTHING, "")]
    only_others = [case for case in pairs if case.answer == "" and "other_labels_changed" in case.tags]
    assert (len(changed), len(only_others)) == (284, 85), "369 pairs change a label, says the folder's README"
    assert all(not parse(case.answer).unread for case in pairs if case.answer)
    table = pd.read_csv(folder / "nih_label_table.csv.gz", dtype=str)
    known = set(table["Patient ID"])
    assert {case.patient_id for case in source.cases} <= known
    labels = dict(zip(table["Image Index"], table["Finding Labels"], strict=True))
    for name, case in films.items():
        said = labels[f"{name[4:12]}_{name[13:]}.png"]
        assert ("No Finding" in said) == (case.current.findings["no finding"] == 1)
        assert ("Effusion" in said) == (case.current.findings["pleural effusion"] == 1)


# --- small folders ---------------------------------------------------------------------------------------------------

CASES = """\ufeffimage_id,patient_id,study_index,study_offset_days,view,findings,image_note,case_note,sex,age,\
width,height,file,lung_mask,source,licence\r
a-1,a,1,0,PA,COVID-19|ARDS,First note.,The end.,F,50,60,80,images/a-1.png,lung_masks/a-1.png,Journal,CC BY 4.0\r
a-2,a,2,4,AP Supine,Pneumonia,Second note.,The end.,F,50,60,80,images/a-2.png,lung_masks/a-2.png,Journal,CC BY 4.0\r
a-3,a,3,9,L,COVID-19,,,F,50,60,80,images/a-3.png,,Journal,CC BY 4.0\r
b-1,b,one,,PA,No Finding,,,x,,60,80,images/b-1.png,,Journal,\r
b-1,b,1,,PA,No Finding,,,x,,60,80,images/b-1.png,,Journal,\r
"""
CASE_PAIRS = """pair_id,patient_id,ref_image_id,main_image_id,ref_file,main_file,days_between,consecutive,change_label,\
brixia_senior_ref,licence
p1,a,a-1,a-2,images/a-1.png,images/a-2.png,4,1,worsened,3,CC BY 4.0
p2,a,a-1,a-3,images/a-1.png,images/a-3.png,9,0,,,CC BY 4.0
"""
BOXES = """image_id,lung,x0,y0,x1,y1
a-1,right,5,5,25,70
a-1,left,35,5,65,70
a-1,middle,1,1,2,2
zz,left,1,1,2,2
"""
SEVERITY = "image_id,brixia_senior_global,opacity_mean\na-1,3,\n"
FOLLOWED = """image_id,patient_id,study_index,followup_index,age_years,view,findings,sex,file,licence,source
nih-00000013-000,nih-00000013,1,0,60,PA,Effusion,M,images/0.png,NIH,N
nih-00000013-001,nih-00000013,2,1,61,AP,Effusion|Mass,M,images/1.png,NIH,N
nih-00000013-002,nih-00000013,3,2,61,AP,No Finding,M,images/2.png,NIH,N
nih-00000013-003,nih-00000013,4,3,61,AP,Gout,M,images/3.png,NIH,N
"""
FOLLOWED_PAIRS = """pair_id,patient_id,ref_image_id,main_image_id,new_findings,resolved_findings,followup_gap
p1,nih-00000013,nih-00000013-000,nih-00000013-001,Mass,,1
p2,nih-00000013,nih-00000013-001,nih-00000013-002,Edema,Effusion|Mass,1
p3,nih-00000013,nih-00000013-002,nih-00000013-003,,,1
p4,nih-00000013,nih-00000013-002,nih-00000013-000,Effusion,,1
"""


def write(folder: Path, **tables: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = write(tmp_path / "cases", images=CASES, pairs=CASE_PAIRS, lung_boxes=BOXES, severity=SEVERITY)
    for number, name in enumerate(("a-1", "a-2", "a-3", "b-1")):
        save(chest(80, 60, number), folder / "images" / f"{name}.png")
    (folder / "lung_masks").mkdir()
    mask = np.zeros((80, 60), bool)
    mask[10:70, 5:25] = True
    Image.fromarray(mask).save(folder / "lung_masks" / "a-1.png")
    Image.fromarray(mask[:40]).save(folder / "lung_masks" / "a-2.png")
    return folder


def test_everything_known_of_a_film_reaches_its_cases(published: Path) -> None:
    source = read_source("cxr_longitudinal", published)
    films = films_of(source.cases)
    assert list(films) == ["a-1", "a-2", "b-1"]
    first = films["a-1"].current
    assert dict(first.findings) == {"covid-19": 1, "ards": 1}
    assert (first.report, first.view, first.order, first.age, first.sex) == ("First note.", "PA", 1, 50, "F")
    assert [(region.name, region.box) for region in first.regions] == [
        ("right lung", (5, 5, 25, 70)),
        ("left lung", (35, 5, 60, 70)),
        ("lungs", (5, 10, 25, 70)),
    ]
    assert films["a-1"].tags == ("licence=CC BY 4.0", "source=Journal", "brixia_senior_global=3")
    assert [films[name].answer for name in films] == ["", "pneumonia", "no abnormality"]
    assert films["a-2"].current.view == "AP"
    assert films["b-1"].current.sex == "" and math.isnan(films["b-1"].current.age)
    (pair,) = pairs_of(source.cases)
    assert (pair.case_id, pair.answer) == ("p1", "")
    assert (pair.prior, pair.current) == (first, films["a-2"].current)
    assert {"change_label=worsened", "consecutive=1", "brixia_senior_ref=3", "licence=CC BY 4.0"} <= set(pair.tags)
    notes = dict(source.notes)
    assert notes.pop("boxes of an unknown film or lung (left out)") == 2
    assert set(notes.values()) == {1}
    for part in (
        "films given twice (the last is kept)",
        "films that are not frontal, or without a file or a patient (left out)",
        "boxes that leave the film (clipped)",
        "masks of the lungs that cannot be read or do not fit their film (left out)",
        "pairs of which a film is unknown or left out (skipped)",
    ):
        assert part in notes, part


def test_a_missing_table_is_noted_and_a_missing_folder_named(published: Path, tmp_path: Path) -> None:
    manifest = prepare("cxr_longitudinal", published, tmp_path / "out", pixels=64, workers=1, progress=False)
    assert manifest["doctor"]["studies_with_regions"] == 1
    for name in ("lung_boxes", "severity"):
        (published / f"{name}.csv").unlink()
    (published / "lung_masks" / "a-1.png").unlink()
    source = read_source("cxr_longitudinal", published)
    assert sum("is not there" in note for note in source.notes) == 2
    assert not any(case.current.regions for case in source.cases)
    with pytest.raises(SourceError, match=r"images\.csv: no such file.*cxr_longitudinal_nih"):
        read_source("cxr_longitudinal", tmp_path)
    with pytest.raises(SourceError, match="columns study_index, view, findings, sex, file are missing"):
        read_source("cxr_longitudinal", write(tmp_path / "few", images="image_id,patient_id\n1,2\n"))
    lateral = CASES.replace("PA,", "L,").replace("AP Supine", "L")
    with pytest.raises(SourceError, match="no film could be used"):
        read_source("cxr_longitudinal", write(tmp_path / "none", images=lateral, pairs=CASE_PAIRS))


def test_followed_up_films_answer_by_their_labels(tmp_path: Path) -> None:
    folder = write(tmp_path / "nih", images=FOLLOWED, pairs=FOLLOWED_PAIRS)
    source = read_source("cxr_longitudinal", folder)
    assert {case.patient_id for case in source.cases} == {nih_patient("nih-00000013")} == {"13"}
    appeared, vanished = pairs_of(source.cases)
    assert (appeared.answer, vanished.answer) == ("", render(Change.of(missing=["pleural effusion"])))
    assert all("other_labels_changed" in case.tags for case in (appeared, vanished))
    assert {"followup_gap=1", "licence=NIH", "source=N"} <= set(appeared.tags)
    assert len(films_of(source.cases)) == 3
    notes = dict(source.notes)
    assert notes.pop("pairs that differ in labels the answers have no word for (tag other_labels_changed)") == 2
    assert set(notes.values()) == {1}
    for part in (
        "films without a known label (left out)",
        "pairs of which a film is unknown or left out (skipped)",
        "pairs against the order of Follow-up # or of age (skipped)",
        "pairs whose table of changes disagrees with the labels of the films (the labels are kept)",
    ):
        assert part in notes, part
    (folder / "pairs.csv").write_text("pair_id\n1\n")
    with pytest.raises(SourceError, match="ref_image_id"):
        read_source("cxr_longitudinal", folder)
