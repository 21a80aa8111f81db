"""Object-CXR: read from a simulated tree, and from a small one with every shape and every defect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from film_files import chest, save
from simulated_tree import write_with_truth

from intervalchange.data import run_length
from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.object_cxr import parse
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Region
from intervalchange.simulation.layouts.object_cxr import SHAPE, objects_of
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy
from intervalchange.simulation.rendering import render

PIXELS, SEED = 64, 87
FINDING = "foreign object"
Truth = dict[str, tuple[SimulatedPatient, int, SimulatedStudy]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SimulatedPatient]]:
    return write_with_truth(tmp_path_factory.mktemp("object") / "cohort", "object_cxr", "2:1:1", seed=SEED)


@pytest.fixture(scope="module")
def root(written: tuple[Path, list[SimulatedPatient]]) -> Path:
    return written[0]


@pytest.fixture(scope="module")
def truth(written: tuple[Path, list[SimulatedPatient]]) -> Truth:
    return {f"{p.index:06d}{place}": (p, place, s) for p in written[1] for place, s in enumerate(p.studies)}


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def test_films_equal_the_truth(root: Path, truth: Truth) -> None:
    source = read_source("object_cxr", root)
    assert source.simulated["seed"] == SEED
    names = {case.current.study_id.split("-")[1] for case in source.cases}
    assert names == truth.keys()
    shapes, splits = set(), set()
    for case in source.cases:
        part, name = case.current.study_id.split("-")
        patient, place, study = truth[name]
        objects = objects_of(SEED, patient.index, place)
        state = replace(study.visit.state, objects=objects)
        masks = (
            render(patient.anatomy, state, study.visit.acquisition, PIXELS, truth=True).object_masks if objects else ()
        )
        shown = [(item.kind, mask) for item, mask in zip(objects, masks, strict=True) if mask.any()]
        assert case.current.findings == {FINDING: float(bool(shown))}
        assert len(case.current.regions) == len(shown)
        for (kind, mask), region in zip(shown, case.current.regions, strict=True):
            assert (region.kind, region.name) == ("finding", FINDING)
            assert np.allclose(region.box, box_of(mask), atol=1)
            drawn = run_length.decode(region.rle, PIXELS, PIXELS)
            assert np.allclose(box_of(drawn), region.box, atol=1)
            if SHAPE[kind] == 0:
                assert drawn.sum() == np.prod(np.subtract(region.box[2:], region.box[:2]))
            shapes.add(SHAPE[kind])
        assert (case.case_id, case.kind, case.prior) == (f"{case.current.study_id}-film", "abnormality", None)
        assert case.answer == "", "no answer has a word for it"
        assert (case.patient_id, case.split) == (case.current.study_id, {"train": "train", "dev": "val"}[part])
        assert (source.image_root / case.current.image).is_file()
        splits.add(case.split)
    assert shapes == {0, 1, 2}
    assert splits == {"train", "val"}
    assert {case.current.findings[FINDING] for case in source.cases} == {0, 1}


def test_preparation_without_and_with_films(root: Path, tmp_path: Path) -> None:
    manifest = prepare("object_cxr", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    films = len(read_source("object_cxr", root).cases)
    assert (manifest["doctor"]["films"]["read"], manifest["doctor"]["films"]["bad"]) == (films, 0)
    assert manifest["split"] == "official"
    dry = prepare("object_cxr", root, tmp_path / "dry", dry_run=True, progress=False)
    assert dry["doctor"]["studies_with_regions"] == manifest["doctor"]["studies_with_regions"] > 0


# --- a small tree with every shape and everything that goes wrong --------------------------------------------------

HEIGHT, WIDTH = 60, 80
TRAIN = """\ufeffimage_path,annotation,extra\r
00001.jpg,0 10 20 30 25,\r
00002.jpg,1 10 20 30 30,\r
00003.jpg,2 10 10 20 10 20 20 10 20,\r
00004.jpg, ,\r
00005.jpg,0 30 25 10 20;1 50 5 58 13;,\r
00006.jpg,2 -20 30 20 30 20 50 -20 50,\r
00007.jpg,0 1 2 3;3 1 2 3 4;2 1 2 3 4 5;0 a 2 3 4;1 0 0 1e9 1e9,\r
00008.jpg,0 90 10 95 20;0 5 5 5 9,\r
00009.jpg,2 -30 20 20 -30 -30 -30,\r
00010.jpg,0 1 1 4 4;0 1 1 4 4,\r
00010.jpg,0 1 1 4 4;0 5 5 9 9,\r
00011.jpg,1 1 1 5 5,\r
,0 1 1 4 4,\r
"""
DEV = "image_name,annotation\n00001.jpg,\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "train.csv").write_text(TRAIN)
    (root / "dev.csv").write_text(DEV)
    for number in range(1, 11):
        save(chest(HEIGHT, WIDTH, seed=number), root / "train" / f"{number:05d}.jpg")
    save(chest(HEIGHT, WIDTH, seed=99), root / "dev" / "00001.jpg")
    return root


def mask_of(region: Region) -> np.ndarray:
    assert region.rle is not None
    return run_length.decode(region.rle, HEIGHT, WIDTH)


def test_every_shape_has_the_mask_known_by_hand(tree: Path) -> None:
    films = {case.current.study_id: case.current for case in read_source("object_cxr", tree).cases}
    (rectangle,), (ellipse,), (square,) = (films[f"train-0000{n}"].regions for n in (1, 2, 3))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[20:25, 10:30] = True
    assert rectangle.box == (10, 20, 30, 25)
    assert np.array_equal(mask_of(rectangle), expected)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[10:20, 10:20] = True
    assert square.box == (10, 10, 20, 20)
    assert np.array_equal(mask_of(square), expected)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected = ((columns - 20) / 10) ** 2 + ((rows - 25) / 5) ** 2 <= 1
    drawn = mask_of(ellipse)
    assert ellipse.box == (10, 20, 30, 30) == box_of(drawn)
    assert 2 * (drawn & expected).sum() / (drawn.sum() + expected.sum()) > 0.97
    assert [region.box for region in films["train-00005"].regions] == [(10, 20, 30, 25), (50, 5, 58, 13)]
    assert films["train-00005"].regions[0].rle == rectangle.rle, "corners may come in any order"


def test_every_defect_is_counted_and_loses_nothing_else(tree: Path) -> None:
    source = read_source("object_cxr", tree)
    films = {case.current.study_id: case.current for case in source.cases}
    assert list(films) == [f"train-{n:05d}" for n in range(1, 12)] + ["dev-00001"]
    absent = {name for name, film in films.items() if film.findings[FINDING] == 0}
    assert absent == {"train-00004", "dev-00001"}
    (clipped,) = films["train-00006"].regions
    assert clipped.box == (0, 30, 20, 50)
    assert np.array_equal(np.argwhere(mask_of(clipped))[[0, -1]], [[30, 0], [49, 19]])
    assert mask_of(clipped).sum() == 400
    assert films["train-00007"].regions == films["train-00008"].regions == films["train-00009"].regions == ()
    assert films["train-00007"].findings == {FINDING: 1}
    assert [region.box for region in films["train-00010"].regions] == [(1, 1, 4, 4), (5, 5, 9, 9)]
    (unseen,) = films["train-00011"].regions
    assert (unseen.box, unseen.rle) == ((1, 1, 5, 5), None)
    assert source.notes == {
        "rows without the name of a film (skipped)": 1,
        "films in several rows (their objects are put together)": 1,
        "objects that stand twice (kept once)": 2,
        "objects that cannot be read (left out; the film still counts as with one)": 5,
        "boxes that leave the film (clipped)": 2,
        "boxes without an area on the film (left out)": 2,
        "outlines that lie beside the film, though their boxes touch it (left out)": 1,
        "films that are missing or whose size cannot be read (their objects have no masks)": 1,
        "films of which nobody knows the patient (each counts as one)": 12,
    }


def test_the_tables_alone_give_boxes_without_masks(tree: Path) -> None:
    source = read_source("object_cxr", tree, tables_only=True)
    regions = [region for case in source.cases for region in case.current.regions]
    assert regions and all(region.rle is None for region in regions)


def test_one_object_as_text() -> None:
    assert parse("0 1 2 3 4") == ("0", [(1, 2), (3, 4)])
    assert parse(" 2 1 2  3 4 5 6.5 ") == ("2", [(1, 2), (3, 4), (5, 6.5)])
    for text in ("0 1 2 3", "0 1 2 3 4 5 6", "2 1 2 3 4", "2 1 2 3 4 5 6 7", "4 1 2 3 4", "x", "1 nan 2 3 4"):
        assert parse(text) is None


def test_missing_pieces_say_where_to_get_them(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match=r"neither train.csv nor dev.csv.*archived copy"):
        read_source("object_cxr", empty)
    (tree / "dev.csv").unlink()
    source = read_source("object_cxr", tree)
    assert source.notes["dev.csv is not there: none of its films is read"] == 1
    flat = tmp_path / "flat"
    (tree / "train").rename(flat)
    assert read_source("object_cxr", tree, images=flat).cases[0].current.image == "00001.jpg"
    with pytest.raises(SourceError, match=r"none of the films of train.csv is here.*archived copy"):
        read_source("object_cxr", tree)
    (tree / "train.csv").write_text("image_name,note\n00001.jpg,\n")
    with pytest.raises(SourceError, match="columns image_name and annotation are missing"):
        read_source("object_cxr", tree)
    (tree / "train.csv").write_text("image_name,annotation\n")
    with pytest.raises(SourceError, match="no film could be used"):
        read_source("object_cxr", tree)


def test_published_boxes_of_outlines_are_larger(tree: Path) -> None:
    tight, published = (
        {case.current.study_id: case.current.regions for case in read_source("object_cxr", tree, boxes=boxes).cases}
        for boxes in ("tight", "published")
    )
    larger = 0
    for name, regions in tight.items():
        for ours, theirs in zip(regions, published[name], strict=True):
            assert theirs.rle == ours.rle
            assert theirs.box[0] <= ours.box[0] + 1e-6 and theirs.box[3] >= ours.box[3] - 1e-6
            larger += theirs.box != ours.box
    assert larger
    with pytest.raises(ConfigError, match="tight, published"):
        read_source("object_cxr", tree, boxes="loose")
