"""Chest ImaGenome: the simulated scene graphs, and the reader on them and on broken ones."""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.imagenome_graphs import SmallFrame, film_box, read_graph, regions_of
from intervalchange.errors import SourceError
from intervalchange.findings import FINDINGS
from intervalchange.grammar import render
from intervalchange.records import Change, Region, Study
from intervalchange.simulation.cohort import simulate, simulate_patient
from intervalchange.simulation.layouts import imagenome as layout
from intervalchange.simulation.layouts.imagenome_words import BOX_REGIONS
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy
from intervalchange.simulation.reports import direction

PATIENTS, PIXELS, SEED = 5, 64, 42
UNLABELLED = {"gastric distention"}
"""Findings of the simulation that Chest ImaGenome has no label for."""
NAMES = {"cardiomegaly": "enlargement of the cardiac silhouette"}
KEYS = (
    *("image_id", "viewpoint", "patient_id", "study_id", "gender", "age_decile", "reason_for_exam", "StudyOrder"),
    *("StudyDateTime", "objects", "attributes", "relationships"),
)
EDGES = ("x1", "y1", "x2", "y2")
LEVELS = {"minimal": "mild", "small": "mild"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("imagenome") / "cohort"
    return simulate(out, patients=PATIENTS, seed=SEED, pixels=PIXELS, workers=1, progress=False, splits="3:1:1")


@pytest.fixture(scope="module")
def patients() -> list[SimulatedPatient]:
    return [simulate_patient(SEED, index, PIXELS) for index in range(PATIENTS)]


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(root, tmp_path / "copy"))


def graphs_of(root: Path) -> Path:
    return root / "chest-imagenome" / "silver_dataset" / "scene_graph"


def findings_of(study: SimulatedStudy, prior: SimulatedStudy | None) -> dict[str, float]:
    """What the sentences of a report say: denied or resolved is absent, unless it is but one kind of the finding."""
    gone = set(prior.account.attributes) - set(study.account.attributes) if prior is not None else set()
    absent = ({*study.account.denied, *gone}) - {"fracture"}
    said = dict.fromkeys(absent, 0.0) | dict.fromkeys(study.account.attributes, 1.0)
    return {NAMES.get(name, name): value for name, value in said.items() if name not in UNLABELLED}


def levels_of(study: SimulatedStudy) -> dict[str, str]:
    levels = {name: said.level for name, said in study.account.attributes.items() if said.level}
    return {NAMES.get(n, n): LEVELS.get(level, level) for n, level in levels.items() if n not in UNLABELLED}


def truths(patients: list[SimulatedPatient]) -> dict[str, tuple[SimulatedPatient, SimulatedStudy, Study]]:
    found = {}
    for patient in patients:
        for place, study in enumerate(patient.studies):
            prior = patient.studies[place - 1] if place else None
            told = Study(
                study.study.study_id, study.study.image, findings=findings_of(study, prior), levels=levels_of(study)
            )
            found[told.study_id] = (patient, study, told)
    return found


def test_findings_levels_and_devices_equal_the_truth(root: Path, patients: list[SimulatedPatient]) -> None:
    source = read_source("imagenome", root)
    films = {case.current.study_id: case for case in source.cases if case.prior is None}
    truth = truths(patients)
    missing = source.notes.get("films of the split lists without a scene graph", 0)
    assert len(films) == len(truth) - missing and films.keys() <= truth.keys()
    for name, case in films.items():
        patient, study, told = truth[name]
        assert case.patient_id == patient.patient_id
        assert case.current.findings == told.findings
        assert case.current.levels == told.levels
        seen = [finding for finding in FINDINGS if told.findings.get(finding) == 1]
        assert case.answer == (", ".join(seen) or ("no abnormality" if told.findings else ""))
        assert (case.current.image, case.current.view) == (told.image, study.study.view)
        assert case.current.sex == study.study.sex
        assert ("endotracheal tube" in case.current.devices) == ("endotracheal tube" in study.study.devices)
        assert ("cardiac pacer and wires" in case.current.devices) == ("pacemaker" in study.study.devices)
        assert case.current.report


def test_boxes_are_within_a_pixel_of_the_truth(root: Path, patients: list[SimulatedPatient]) -> None:
    source = read_source("imagenome", root)
    truth, seen, expected = truths(patients), 0, 0
    for case in source.cases:
        if case.prior is not None:
            continue
        boxes = {r.name: r.box for r in truth[case.current.study_id][1].study.regions if r.kind == "anatomy"}
        expected += len(boxes.keys() & BOX_REGIONS.keys())
        for region in case.current.regions:
            if region.kind == "located":
                continue
            assert region.kind == "anatomy"
            assert max(abs(a - b) for a, b in zip(region.box, boxes[region.name], strict=True)) <= 1
            seen += 1
    dropped = source.notes.get("region boxes that are empty or beside the film (dropped)", 0)
    assert seen + dropped == expected
    assert seen > 20 * len({case.current.study_id for case in source.cases}), "of the 26 that the simulation knows"
    assert source.notes["region boxes that reach beyond the film (cut)"] > 0


def test_findings_are_located_in_the_smallest_regions_that_are_said_to_have_them(root: Path) -> None:
    source, found = read_source("imagenome", root), 0
    for case in source.cases:
        if case.prior is not None:
            continue
        plain = json.loads(
            (graphs_of(root) / f"{Path(case.current.image).stem}_SceneGraph.json").read_text("utf-8-sig")
        )
        names = {region.box: region.name for region in case.current.regions if region.kind == "anatomy"}
        said = {
            (one["bbox_name"], sentence[0].split("|")[2])
            for one in plain["attributes"]
            for sentence in one["attributes"]
            if "|yes|" in sentence[0]
        }
        for region in case.current.regions:
            if region.kind != "located":
                continue
            assert case.current.findings[region.name] == 1
            if region.name == "lung opacity":
                assert (names[region.box], "lung opacity") in said
                side = names[region.box].split()[0]
                zones = [
                    name for name, label in said if label == region.name and name.startswith(side) and "zone" in name
                ]
                assert not zones or names[region.box] in zones, "a lung gives way to its zones"
            found += 1
    assert found > 10


def test_a_lung_gives_way_to_its_zone() -> None:
    lung, zone, heart = (
        Region("anatomy", name, box)
        for name, box in (
            ("left lung", (50.0, 0.0, 90.0, 100.0)),
            ("left lower lung zone", (48.0, 60.0, 90.0, 100.0)),
            ("cardiac silhouette", (30.0, 50.0, 80.0, 100.0)),
        )
    )
    objects = [
        {
            "bbox_name": region.name,
            **dict(zip(("original_x1", "original_y1", "original_x2", "original_y2"), region.box, strict=True)),
        }
        for region in (lung, zone, heart)
    ]
    effusion = "anatomicalfinding|yes|pleural effusion"
    entries = [entry([effusion], region=one["bbox_name"]) for one in objects]
    entries += [entry([effusion], region="left chest wall"), entry(["anatomicalfinding|no|pneumothorax"])]
    found = regions_of(read_graph(graph(objects=objects, attributes=entries)), 100, 100, Counter())
    assert found[:3] == (lung, zone, heart)
    assert found[3:] == tuple(Region("located", "pleural effusion", one.box) for one in (zone, heart))


def test_the_films_of_questions_get_the_regions_of_their_graphs(tree: Path) -> None:
    of_graphs = {case.current.study_id: case.current.regions for case in read_source("imagenome", tree).cases}
    shutil.rmtree(tree / "simulated-truth")
    source = read_source("mimic_diff_vqa", tree)
    asked = {
        study.study_id: study for case in source.cases for study in (case.prior, case.current) if study is not None
    }
    assert asked and all(study.regions == of_graphs.get(name, ()) for name, study in asked.items())
    assert {region.kind for study in asked.values() for region in study.regions} == {"anatomy", "located"}
    missing = sum(not study.regions for study in asked.values())
    assert source.notes.get("films without a scene graph", 0) == missing < len(asked)
    moved = tree / "chest-imagenome"
    moved.rename(tree.parent / "elsewhere")
    assert not any(case.current.regions for case in read_source("mimic_diff_vqa", tree).cases)
    again = read_source("mimic_diff_vqa", tree, graphs=tree.parent / "elsewhere")
    assert [case.current.regions for case in again.cases] == [case.current.regions for case in source.cases]
    with pytest.raises(SourceError, match="no scene graphs"):
        read_source("mimic_diff_vqa", tree, graphs=tree)


def word_of(finding: str, prior: SimulatedStudy, current: SimulatedStudy) -> str:
    then, now = finding in prior.account.attributes, finding in current.account.attributes
    turn = direction(finding, prior.account, current.account) if then and now else int(now) - int(then)
    return {1: "worsened", 0: "no change", -1: "improved"}[turn]


def test_neighbours_carry_their_difference_and_the_comparisons(root: Path, patients: list[SimulatedPatient]) -> None:
    source = read_source("imagenome", root)
    truth, compared, dropped = truths(patients), 0, 0
    pairs = [case for case in source.cases if case.prior is not None]
    assert pairs
    for case in pairs:
        assert case.prior is not None
        (_, then, prior), (_, now, current) = truth[case.prior.study_id], truth[case.current.study_id]
        known = {name: value for name, value in current.findings.items() if name in FINDINGS}
        assert case.answer == render(Change.between(prior, Study("", "", findings=known, levels=current.levels)))
        named = (set(then.account.attributes) | set(now.account.attributes)) - UNLABELLED
        wanted = {f"comparison:{NAMES.get(name, name)}={word_of(name, then, now)}" for name in named}
        found = {tag for tag in case.tags if tag.startswith("comparison:")}
        assert found <= wanted
        compared += len(found)
        dropped += len(wanted - found)
    assert compared > 5
    assert source.notes.get("comparisons of a finding that say more than one thing (dropped)", 0) == dropped


def test_gold_patients_are_kept_out_of_training(root: Path, tmp_path: Path) -> None:
    lists = root / "chest-imagenome" / "silver_dataset" / "splits"
    gold = pd.read_csv(lists / "images_to_avoid.csv", dtype=str)
    assert list(gold.columns) == ["subject_id", "study_id", "dicom_id", "path", "ViewPosition"]
    text = (lists / "train.csv").read_text().splitlines()
    assert text[0] == ",subject_id,study_id,dicom_id,path,ViewPosition"
    assert text[1].startswith("0,2") and f"/{text[1].split(',')[3]}.dcm," in text[1]
    source = read_source("imagenome", root)
    (patient,) = set(gold.subject_id)
    assert {case.split for case in source.cases if case.patient_id == patient} == {"test"}
    assert all(("gold" in case.tags) == (case.patient_id == patient) for case in source.cases)
    assert {case.split for case in source.cases} >= {"train", "val", "test"} - ({"train"} if PATIENTS < 3 else set())
    manifest = prepare("imagenome", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    assert manifest["doctor"]["studies_with_regions"] == manifest["doctor"]["studies"]


def test_lists_of_words_are_as_long_as_the_real_ones(root: Path) -> None:
    folder = root / "chest-imagenome" / "semantics"
    assert (folder / "comparison_relations_v1.txt").stat().st_size == 74
    assert (folder / "objects_detectable_by_bbox_pipeline_v1.txt").stat().st_size == 660
    assert len((folder / "objects_extracted_from_reports_v1.txt").read_text().split(",")) == 38


def test_graphs_have_the_keys_of_the_real_ones(root: Path) -> None:
    graphs = [json.loads(path.read_bytes()) for path in sorted(graphs_of(root).glob("*.json"))]
    assert tuple(graphs[0]) == KEYS
    frame = SmallFrame.of(PIXELS, PIXELS)
    films = {graph["image_id"] for graph in graphs}
    for graph in graphs:
        order = [one["bbox_name"] for one in graph["objects"]]
        assert order == [name for name in BOX_REGIONS if name in order]
        for one in graph["objects"]:
            back = frame.original(one["x1"], one["y1"]), frame.original(one["x2"], one["y2"])
            assert back == ((one["original_x1"], one["original_y1"]), (one["original_x2"], one["original_y2"]))
        for entry in graph["attributes"]:
            assert next(iter(entry)) == entry["bbox_name"]
            lengths = {len(entry[key]) for key in ("attributes", "attributes_ids", "phrases", "severity_cues")}
            assert len(lengths) == 1
        for one in graph["relationships"]:
            assert one["subject_id"].split("_")[0] == graph["image_id"]
            assert one["object_id"].split("_")[0] != graph["image_id"]
    assert any(one["object_id"].split("_")[0] in films for graph in graphs for one in graph["relationships"])


# --- frames --------------------------------------------------------------------------------------------------------


def test_the_small_square_of_the_example() -> None:
    """2539 wide, 2705 high: ratio 224/2705, left 7, top 0."""
    frame = SmallFrame.of(2705, 2539)
    assert (frame.ratio, frame.left, frame.top) == (224 / 2705, 7, 0)
    assert frame.original(120, 30) == (1364, 362)
    assert frame.original(190, 170) == (2209, 2052)
    assert layout.SmallFrame.of(2705, 2539).small(1364, 362) == (120, 30)


@pytest.mark.parametrize(("height", "width"), [(512, 512), (3056, 2544), (100, 160)])
def test_there_and_back_is_within_a_pixel_of_the_small_square(height: int, width: int) -> None:
    frame = SmallFrame.of(height, width)
    for share in (0.0, 0.123, 0.4321, 0.777, 1.0):
        x, y = frame.original(*layout.SmallFrame.of(height, width).small(share * width, share * height))
        assert abs(x - share * width) <= 0.5 / frame.ratio + 1
        assert abs(y - share * height) <= 0.5 / frame.ratio + 1


# --- what goes wrong -----------------------------------------------------------------------------------------------

Box = tuple[float, float, float, float]


@pytest.mark.parametrize(
    ("box", "kept", "note"),
    [
        ((-5, -1, 30, 40), (0, 0, 30, 40), "region boxes that reach beyond the film (cut)"),
        ((10, 10, 90, 70), (10, 10, 64, 48), "region boxes that reach beyond the film (cut)"),
        ((10, 10, 10, 20), None, "region boxes that are empty or beside the film (dropped)"),
        ((70, 10, 90, 20), None, "region boxes that are empty or beside the film (dropped)"),
        (None, None, "regions without coordinates (dropped)"),
    ],
)
def test_faulty_boxes(box: Box | None, kept: Box | None, note: str) -> None:
    notes: Counter[str] = Counter()
    assert film_box(("spine", box, None), 48, 64, notes) == kept
    assert notes == {note: 1}


def test_boxes_of_the_small_square_stand_in() -> None:
    assert film_box(("spine", None, (120, 30, 190, 170)), 2705, 2539, Counter()) == (1364, 362, 2209, 2052)


def graph(**changes: Any) -> bytes:
    plain = {
        "image_id": "0a1b2c3d",
        "viewpoint": "AP",
        "patient_id": 29990001,
        "study_id": 69990002,
        "gender": "F",
        "StudyDateTime": "2189-02-14 07:15:03 UTC",
        "objects": [],
        "attributes": [],
        "relationships": [],
    }
    return ("\ufeff" + json.dumps(plain | changes)).encode()


def entry(*sentences: list[str], region: str = "left lung", severity: tuple[list[str], ...] = ()) -> dict[str, Any]:
    return {region: True, "bbox_name": region, "attributes": list(sentences), "severity_cues": list(severity)}


def test_the_last_sentence_wins_and_silence_is_unknown() -> None:
    effusion, none = "anatomicalfinding|yes|pleural effusion", "anatomicalfinding|no|pleural effusion"
    assert read_graph(graph(attributes=[entry([none], [effusion])])).findings == {"pleural effusion": 1.0}
    assert read_graph(graph(attributes=[entry([effusion], [none])])).findings == {"pleural effusion": 0.0}
    one_side = [entry([none]), entry([effusion, "nlp|yes|abnormal"], region="right lung")]
    assert read_graph(graph(attributes=one_side)).findings == {"pleural effusion": 1.0}
    rib = [entry(["anatomicalfinding|no|rib fracture"], ["disease|yes|copd/emphysema", "texture|yes|lucency"])]
    assert read_graph(graph(attributes=rib)).findings == {"emphysema": 1.0}, "no rib fracture may be another fracture"
    odd = [entry(["anatomicalfinding|yes|mass/nodule (not otherwise specified)", "nonsense"])]
    assert read_graph(graph(attributes=odd)).findings == {"mass/nodule (not otherwise specified)": 1.0}


def test_a_grade_needs_one_finding_and_one_word() -> None:
    effusion, edema = "anatomicalfinding|yes|pleural effusion", "anatomicalfinding|yes|pulmonary edema/hazy opacity"
    mild, severe = ["severity|yes|mild"], ["severity|yes|severe"]
    told = read_graph(graph(attributes=[entry([effusion], severity=(mild,)), entry([effusion], severity=(severe,))]))
    assert told.levels == {"pleural effusion": "severe"}, "of two sides the worse"
    assert read_graph(graph(attributes=[entry([effusion, edema], severity=(mild,))])).levels == {}
    assert read_graph(graph(attributes=[entry([effusion], severity=(mild + severe,))])).levels == {}
    assert read_graph(graph(attributes=[entry([effusion], severity=(["severity|yes|hedge"],))])).levels == {}


def test_time_is_read_and_relations_with_two_words_are_ambiguous() -> None:
    relation = {
        "relationship_names": ["comparison|yes|improved", "comparison|yes|worsened"],
        "attributes": ["anatomicalfinding|yes|consolidation"],
        "object_id": "1b2c3d4e_left lung",
    }
    told = read_graph(graph(relationships=[relation]))
    assert (told.when, told.relations[0].word, told.relations[0].prior) == ("2189-02-14 07:15:03", "", "1b2c3d4e")


def test_bad_graphs_are_skipped_and_an_archive_will_do(tree: Path) -> None:
    paths = sorted(graphs_of(tree).glob("*.json"))
    whole = read_source("imagenome", tree)
    paths[0].write_text("{]")
    paths[1].write_text('{"image_id": "x"}')
    source = read_source("imagenome", tree)
    assert source.notes["scene graphs that cannot be read (skipped)"] == 2
    assert source.notes["films of the split lists without a scene graph"] >= 2
    films = len([case for case in source.cases if case.prior is None])
    assert films == len([case for case in whole.cases if case.prior is None]) - 2
    with zipfile.ZipFile(graphs_of(tree).with_suffix(".zip"), "w") as packed:
        for path in paths:
            packed.write(path, f"scene_graph/{path.name}")
    shutil.rmtree(graphs_of(tree))
    assert read_source("imagenome", tree).cases == source.cases


def test_time_and_size_without_the_metadata(tree: Path) -> None:
    whole = read_source("imagenome", tree)
    (tree / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    source = read_source("imagenome", tree)
    assert {c.case_id for c in source.cases} == {c.case_id for c in whole.cases}
    assert source.notes["films of unknown size (boxes are not cut at their edges)"] == len(
        [case for case in source.cases if case.prior is None]
    )
    assert not math.isnan(float(source.cases[0].current.acquired_at[:4]))


def test_missing_pieces_say_where_to_get_them(tree: Path) -> None:
    (tree / "chest-imagenome" / "silver_dataset" / "splits" / "images_to_avoid.csv").unlink()
    assert any("images_to_avoid" in note for note in read_source("imagenome", tree).notes)
    (tree / "chest-imagenome" / "silver_dataset" / "splits" / "valid.csv").unlink()
    with pytest.raises(SourceError, match=r"valid\.csv: no such file.*chest-imagenome/ \(credentialed\).*--graphs"):
        read_source("imagenome", tree)
    shutil.rmtree(graphs_of(tree))
    with pytest.raises(SourceError, match="no scene graphs"):
        read_source("imagenome", tree)
    graphs_of(tree).with_suffix(".zip").write_bytes(b"PK no")
    with pytest.raises(SourceError, match="archive is broken"):
        read_source("imagenome", tree)
    shutil.rmtree(tree / "mimic-cxr-jpg")
    with pytest.raises(SourceError, match="mimic-cxr-jpg"):
        read_source("imagenome", tree)
