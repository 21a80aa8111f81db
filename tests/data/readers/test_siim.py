"""SIIM-ACR pneumothorax: read from a simulated tree of both stages and from broken ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from film_files import chest, save
from simulated_tree import write_with_truth

from intervalchange.data import run_length
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.data.readers import read_source
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Case
from intervalchange.simulation.dicom_files import dicom_bytes, uid
from intervalchange.simulation.layouts import siim
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

PIXELS, SEED = 64, 87
JOINED = "films with several masks (joined)"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SimulatedPatient]]:
    return write_with_truth(tmp_path_factory.mktemp("siim") / "cohort", "siim", "2:1:1", seed=SEED, pixels=PIXELS)


@pytest.fixture(scope="module")
def root(written: tuple[Path, list[SimulatedPatient]]) -> Path:
    return written[0]


@pytest.fixture(scope="module")
def truth(written: tuple[Path, list[SimulatedPatient]]) -> dict[str, tuple[SimulatedPatient, SimulatedStudy]]:
    return {siim.uid_of_film(SEED, p.index, place): (p, s) for p in written[1] for place, s in enumerate(p.studies)}


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def in_folder(root: Path, name: str) -> set[str]:
    return {path.stem for path in (root / name).rglob("*.dcm")}


def test_films_equal_the_truth(root: Path, truth: dict[str, tuple[SimulatedPatient, SimulatedStudy]]) -> None:
    source = read_source("siim", root)
    assert source.release == "stage 2"
    hidden = in_folder(root, "stage_2_images")
    assert hidden
    assert {case.current.study_id for case in source.cases} == truth.keys() - hidden
    assert source.notes["films without a row in the table, such as test films (left out)"] == len(hidden)
    assert source.simulated["seed"] == SEED
    seen = 0
    for case in source.cases:
        _, study = truth[case.current.study_id]
        present = study.study.findings["pneumothorax"]
        seen += int(present)
        assert case.current.findings == {"pneumothorax": present}
        assert case.answer == ("pneumothorax" if present else "")
        assert (case.case_id, case.patient_id) == (f"{case.current.study_id}-film", case.current.study_id)
        assert (case.current.view, case.current.sex, case.current.age) == (
            study.study.view,
            study.study.sex,
            study.study.age,
        )
        wanted = [region for region in study.study.regions if region.name == "pneumothorax"]
        assert len(case.current.regions) == len(wanted)
        for found, true in zip(case.current.regions, wanted, strict=True):
            assert found.box == pytest.approx(true.box, abs=1)
            masks = [run_length.decode(one.rle or "", PIXELS, PIXELS) for one in (found, true)]
            assert dice(*masks) > 0.99
    assert seen, "some film shows a pneumothorax"


def test_the_two_stages_on_disk(root: Path, tmp_path: Path) -> None:
    head, *rows = (root / "train-rle.csv").read_text().splitlines()
    assert head == "ImageId, EncodedPixels"
    assert {row.split(",")[0] for row in rows} == in_folder(root, "dicom-images-train")
    assert all(row.split(",")[1].startswith(" ") for row in rows)
    head, *later = (root / "stage_2_train.csv").read_text().splitlines()
    assert head == "ImageId,EncodedPixels"
    assert {row.split(",")[0] for row in later} == in_folder(root, "dicom-images-train") | in_folder(
        root, "dicom-images-test"
    )
    assert not any(path.is_dir() and not any(path.iterdir()) for path in root.rglob("*"))
    copy = tmp_path / "stage_1"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("stage_2*"))
    first = read_source("siim", copy)
    both = {case.current.study_id: case for case in read_source("siim", root).cases}
    assert first.release == "stage 1"
    assert {case.current.study_id for case in first.cases} == in_folder(root, "dicom-images-train")
    assert all(case == both[case.current.study_id] for case in first.cases)


def test_preparation_by_film_never_by_row(root: Path, tmp_path: Path) -> None:
    manifest = prepare("siim", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    films = len(read_source("siim", root).cases)
    assert (manifest["doctor"]["cases"], manifest["doctor"]["films"]["read"]) == (films, films)
    assert manifest["doctor"]["films"]["warnings"] == {}
    dry = prepare("siim", root, tmp_path / "dry", dry_run=True, progress=False)
    assert dry["doctor"]["studies_with_regions"] == manifest["doctor"]["studies_with_regions"] > 0


def test_parts_of_a_mask_are_rows_of_their_own(truth: dict[str, tuple[SimulatedPatient, SimulatedStudy]]) -> None:
    mask = np.zeros((PIXELS, PIXELS), bool)
    mask[3:9, 2:6] = mask[20:22, 40:50] = True
    shown = next(study for _, study in truth.values() if study.study.findings["pneumothorax"] == 1)
    assert shown.film is not None
    shown.film.finding_masks["pneumothorax"], kept = mask, shown.film.finding_masks["pneumothorax"]
    texts = siim.masks_of(shown)
    shown.film.finding_masks["pneumothorax"] = kept
    assert len(texts) == 2
    halves = [run_length.decode_gaps(text, PIXELS, PIXELS) for text in texts]
    assert np.array_equal(halves[0] | halves[1], mask)
    assert not (halves[0] & halves[1]).any()


# --- a small tree with everything that goes wrong ------------------------------------------------------------------

SIDE = 64
FIRST, SECOND = np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)
FIRST[10:20, 5:9], SECOND[12:40, 50:55] = True, True


def absolute(text: str) -> str:
    """Gaps as places on the film."""
    numbers = np.array(text.split(), int)
    ends = np.cumsum(numbers[0::2] + numbers[1::2])
    return " ".join(map(str, np.stack((ends - numbers[1::2], numbers[1::2]), 1).ravel()))


def write_tree(root: Path, rows: list[str], name: str = "train-rle.csv", head: str = "ImageId, EncodedPixels") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes("\r\n".join([head, *rows, ""]).encode("utf-8-sig"))
    for film, view in (("a.1", "PA"), ("a.2", "AP"), ("a.3", "PA"), ("a.4", "LL"), ("a.5", "PA"), ("a.9", "PA")):
        path = root / "dicom-images-train" / f"s.{film}" / f"e.{film}" / f"{film}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        ids = {"patient_id": film, "study_uid": uid(film, "s"), "instance_uid": uid(film)}
        path.write_bytes(dicom_bytes(chest(SIDE, SIDE), **ids, view=view, jpeg=True))
    return root


def films_of(cases: list[Case]) -> dict[str, Case]:
    return {case.current.study_id: case for case in cases}


def mask_of(case: Case) -> np.ndarray:
    (region,) = case.current.regions
    return run_length.decode(region.rle or "", SIDE, SIDE)


def test_every_defect_is_counted_and_loses_nothing_else(tmp_path: Path) -> None:
    one, two = run_length.encode_gaps(FIRST), run_length.encode_gaps(SECOND)
    rows = [f"a.1, {one}", "a.2,  -1", f"a.1, {two}", f"a.1, {two}", "a.4, -1", "a.5, 1 2 3", "a.6, -1", "a.2,-1"]
    rows += [f"a.3, {one}", "a.3, -1", f"a.3, 0 1 {SIDE * SIDE} 4", "a.3,", ", -1"]
    root = write_tree(tmp_path / "root", rows)
    extra = root / "more" / "a.2.dcm"
    extra.parent.mkdir()
    shutil.copy(root / "dicom-images-train" / "s.a.2" / "e.a.2" / "a.2.dcm", extra)
    source = read_source("siim", root)
    films = films_of(source.cases)
    assert list(films) == ["a.1", "a.2", "a.5", "a.3"], "a.4 is a lateral film, a.6 is not on disk"
    assert np.array_equal(mask_of(films["a.1"]), FIRST | SECOND), "the union of the rows, not the last of them"
    assert films["a.1"].current.regions[0].box == (5, 10, 55, 40)
    assert np.array_equal(mask_of(films["a.3"]), FIRST)
    assert {name: case.answer for name, case in films.items()} == {
        "a.1": "pneumothorax",
        "a.2": "",
        "a.5": "pneumothorax",
        "a.3": "pneumothorax",
    }
    assert films["a.5"].current.regions == ()
    assert films["a.2"].current.image == "dicom-images-train/s.a.2/e.a.2/a.2.dcm"
    notes = dict(source.notes)
    assert notes.pop("masks that cannot be read or leave the film (left out; the label is kept)") == 2
    assert notes.pop("rows without an id or a mask (skipped)") == 2
    assert notes.pop(JOINED) == 2
    assert set(notes.values()) == {1}
    assert set(notes) == {
        "films with a mask and a row without (taken as with)",
        "masks that stand twice (kept once)",
        "films that are there twice (the first is taken)",
        "films that are not frontal (left out)",
        "films of the table that are not on disk (left out)",
        "films without a row in the table, such as test films (left out)",
        "films without pneumothorax (nothing else is known of them: their answer is left empty)",
    }


def test_both_meanings_of_a_start(tmp_path: Path) -> None:
    one, two = (absolute(run_length.encode_gaps(mask)) for mask in (FIRST, SECOND))
    root = write_tree(
        tmp_path / "a", [f"a.1,{one}", f"a.3,{two}", "a.2,-1"], "stage_2_train.csv", "ImageId,EncodedPixels"
    )
    for starts in ("detect", "absolute"):
        source = read_source("siim", root, starts=starts)
        films = films_of(source.cases)
        assert np.array_equal(mask_of(films["a.1"]), FIRST)
        assert np.array_equal(mask_of(films["a.3"]), SECOND)
        assert source.notes["masks whose runs start at their place on the film, not after the run before"] == 2
    source = read_source("siim", root, starts="relative")
    note = "masks that cannot be read or leave the film (left out; the label is kept)"
    assert source.notes[note] == 1, "the mask of the first columns is readable both ways, so the table decides"
    mixed = write_tree(tmp_path / "b", [f"a.1,{run_length.encode_gaps(FIRST)}", f"a.3,{two}"])
    source = read_source("siim", mixed)
    assert np.array_equal(mask_of(films_of(source.cases)["a.1"]), FIRST), "one mask that is gaps and no places decides"
    assert source.notes["masks that cannot be read or leave the film (left out; the label is kept)"] == 1
    with pytest.raises(ConfigError, match="detect, relative, absolute"):
        read_source("siim", root, starts="guess")


def test_missing_pieces_say_where_to_get_them(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match=r"neither stage_2_train.csv nor train-rle.csv.*kaggle.com"):
        read_source("siim", empty)
    root = write_tree(tmp_path / "root", ["a.1, -1"])
    shutil.move(root / "dicom-images-train", tmp_path / "films")
    assert read_source("siim", root, images=tmp_path / "films").image_root == tmp_path / "films"
    with pytest.raises(SourceError, match=r"none of the films.*kaggle.com"):
        read_source("siim", root)
    assert read_source("siim", root, tables_only=True).cases[0].current.image == "a.1.dcm"
    (root / "train-rle.csv").write_text("ImageId\na.1\n")
    with pytest.raises(SourceError, match="columns EncodedPixels are missing"):
        read_source("siim", root)
    (root / "train-rle.csv").write_text("ImageId, EncodedPixels\n")
    with pytest.raises(SourceError, match="no film could be used"):
        read_source("siim", root)


def test_png_copies_beside_a_folder_of_masks(tmp_path: Path) -> None:
    """As Kaggle's copies of 1024 and 512 pixels lie: films and masks under the same names; the film is taken."""
    root = tmp_path / "root"
    square = np.zeros((1024, 1024), bool)
    square[256:512, 128:384] = True
    save(chest(64, 64, 1), root / "train" / "a.1.png")
    save(chest(64, 64, 2), root / "train" / "a.2.png")
    for name in ("a.1", "a.2"):
        save(np.zeros((64, 64)), root / "masks" / f"{name}.png")
    (root / "train-rle.csv").write_text(f"ImageId, EncodedPixels\na.1, {run_length.encode_gaps(square)}\na.2, -1\n")
    assert [case.current.image for case in read_source("siim", root).cases] == ["train/a.1.png", "train/a.2.png"]
    prepare("siim", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    folder = Prepared(tmp_path / "out")
    ((region,),) = folder.regions_of.values()
    assert region.box == (8, 16, 24, 32)
    mask = run_length.decode(region.rle or "", 64, 64)
    assert mask[16:32, 8:24].all() and mask.sum() == 256


def test_dicom_of_a_smaller_copy_is_known_by_its_masks(tmp_path: Path) -> None:
    square = np.zeros((1024, 1024), bool)
    square[256:512, 640:896] = True
    root = write_tree(tmp_path / "root", [f"a.1, {run_length.encode_gaps(square)}", "a.2, -1"])
    prepare("siim", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    ((region,),) = Prepared(tmp_path / "out").regions_of.values()
    assert region.box == tuple(edge * SIDE / 1024 for edge in (640, 256, 896, 512))
