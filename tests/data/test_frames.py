"""Boxes and masks on copies of films: of another size they are scaled, of another shape refused, never passed on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from intervalchange.data import run_length
from intervalchange.data.film_files import read_film
from intervalchange.data.frames import OTHER_SHAPE, SCALED, TOO_SMALL, lies_beside, same_shape, scaled, too_many
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.data.readers.source import Frame
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Region
from intervalchange.simulation.cohort import simulate

PIXELS, SEED_OF = 72, {"siim": 87}
LAYOUT_OF = {"imagenome": "mimic_diff_vqa", "mimic_cxr": "mimic_diff_vqa"}
"""Source -> layout, where they differ in name."""

Change = Callable[[Image.Image], Image.Image]


def half(film: Image.Image) -> Image.Image:
    return film.resize((film.width // 2, film.height // 2), Image.Resampling.BOX)


def odd(film: Image.Image) -> Image.Image:
    return film.resize((41, 41), Image.Resampling.BOX)


def twice(film: Image.Image) -> Image.Image:
    return film.resize((film.width * 2, film.height * 2))


def stretched(film: Image.Image) -> Image.Image:
    return film.resize((48, 60))


def cut(film: Image.Image) -> Image.Image:
    return film.crop((12, 0, film.width - 12, film.height))


def padded(film: Image.Image) -> Image.Image:
    square = Image.new("L", (film.width + 40, film.height))
    square.paste(film, (20, 0))
    return square


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Layout -> a small cohort in it, written once. The truth of the simulation is taken away."""
    base, made = tmp_path_factory.mktemp("cohorts"), dict[str, Path]()

    def cohort(layout: str) -> Path:
        if layout not in made:
            made[layout] = simulate(
                base / layout, 6, SEED_OF.get(layout, 7), layout, pixels=PIXELS, workers=1, progress=False
            )
            shutil.rmtree(made[layout] / "simulated-truth", ignore_errors=True)
        return made[layout]

    return cohort


def with_films(root: Path, copy: Path, change: Change, ending: str = "", every: int = 1) -> Path:
    """A copy of a data set with every n-th film changed, and written with this ending, if one is given."""
    shutil.copytree(root, copy)
    films = [path for path in sorted(copy.rglob("*")) if path.suffix in (".dcm", ".dicom", ".png", ".jpg")]
    for path in films[::every]:
        film = change(Image.fromarray(np.rint(read_film(path).pixels * 255).astype(np.uint8)))
        path.unlink()
        film.save(path.with_suffix(ending or path.suffix), quality=95)
    return copy


def places(prepared: Path) -> dict[tuple[str, str], np.ndarray]:
    """(study, name) -> (r, 4) boxes as shares of the film, in order."""
    folder = Prepared(prepared)
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for row, regions in folder.regions_of.items():
        geometry = folder.geometry(row)
        sides = (geometry.width, geometry.height) * 2
        for region in regions:
            key = (str(folder.studies.iloc[row]["study_id"]), region.name)
            found.setdefault(key, []).append(tuple(edge / side for edge, side in zip(region.box, sides, strict=True)))
    return {key: np.array(boxes) for key, boxes in found.items()}


def prepared(source: str, root: Path, out: Path) -> tuple[dict[tuple[str, str], np.ndarray], dict[str, int]]:
    """The boxes of a prepared data set, and the doctor's notes."""
    manifest = prepare(source, root, out, pixels=64, workers=1, progress=False)
    return places(out), manifest["doctor"]["notes"]


WITH_BOXES = ("imagenome", "mimic_diff_vqa", "ms_cxr", "rsna", "siim", "nih")


SLOW = pytest.mark.slow
"""Two readers are tried fast in one way, and all of them in all ways in `make slow`."""


@pytest.mark.parametrize(
    ("source", "change"),
    [
        pytest.param(source, change, marks=[] if change is half and source in ("imagenome", "rsna") else [SLOW])
        for source in WITH_BOXES
        for change in (half, odd, twice)
    ],
)
def test_boxes_of_a_scaled_copy_are_where_they_were(
    source: str, change: Change, cohorts: Callable[[str], Path], tmp_path: Path
) -> None:
    root = cohorts(LAYOUT_OF.get(source, source))
    ending = "" if source in ("imagenome", "mimic_diff_vqa", "ms_cxr") else ".png" if change is half else ".jpg"
    whole, _ = prepared(source, root, tmp_path / "whole")
    copy, notes = prepared(source, with_films(root, tmp_path / "copy", change, ending), tmp_path / "out")
    assert whole and whole.keys() == copy.keys()
    for key, boxes in whole.items():
        assert copy[key] == pytest.approx(boxes, abs=1e-6), key
    assert notes[SCALED] > 0


@pytest.mark.parametrize("change", [stretched, cut, padded])
@pytest.mark.parametrize("source", WITH_BOXES)
def test_copies_of_another_shape_are_refused_before_they_are_decoded(
    source: str, change: Change, cohorts: Callable[[str], Path], tmp_path: Path
) -> None:
    root = with_films(cohorts(LAYOUT_OF.get(source, source)), tmp_path / "copy", change, ".jpg")
    with pytest.raises(SourceError, match=r"shape of the films that the boxes were drawn on.*neither padded, cut nor"):
        prepare(source, root, tmp_path / "out", pixels=64, workers=1, progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["imagenome", "nih"])
def test_a_few_films_of_another_shape_lose_their_boxes(
    source: str, cohorts: Callable[[str], Path], tmp_path: Path
) -> None:
    root = cohorts(LAYOUT_OF.get(source, source))
    whole, _ = prepared(source, root, tmp_path / "whole")
    copy, notes = prepared(source, with_films(root, tmp_path / "copy", cut, every=3), tmp_path / "out")
    assert notes[OTHER_SHAPE] > 0
    assert 0 < len(copy) < len(whole)
    for key, boxes in copy.items():
        assert boxes == pytest.approx(whole[key], abs=1e-6)


def test_masks_are_scaled_with_their_boxes(cohorts: Callable[[str], Path], tmp_path: Path) -> None:
    root = cohorts("siim")
    for name, copy in (("whole", root), ("half", with_films(root, tmp_path / "copy", half, ".png"))):
        prepare("siim", copy, tmp_path / name, pixels=64, workers=1, progress=False)
    whole, small = Prepared(tmp_path / "whole"), Prepared(tmp_path / "half")
    compared = 0
    for row, regions in whole.regions_of.items():
        for region, scaled_region in zip(regions, small.regions_of[row], strict=True):
            big = run_length.decode(region.rle or "", PIXELS, PIXELS)
            little = run_length.decode(scaled_region.rle or "", PIXELS // 2, PIXELS // 2)
            again = np.kron(little, np.ones((2, 2), bool))
            assert (big & again).sum() / (big | again).sum() > 0.75
            compared += 1
    assert compared


@pytest.mark.parametrize(
    "source", ["vindr", *(pytest.param(name, marks=SLOW) for name in ("imagenome", "mimic_diff_vqa", "ms_cxr"))]
)
def test_films_said_to_be_stretched_are_scaled_side_by_side(
    source: str, cohorts: Callable[[str], Path], tmp_path: Path
) -> None:
    root = cohorts(LAYOUT_OF.get(source, source))
    whole, _ = prepared(source, root, tmp_path / "whole")
    copy = with_films(root, tmp_path / "copy", stretched, ".jpg")
    if source == "vindr":
        sizes_table(copy, ("dim0", "dim1")).to_csv(copy / "train_meta.csv", index=False)
        with pytest.raises(SourceError, match="copies=stretched"):
            prepare(source, copy, tmp_path / "no", pixels=64, workers=1, progress=False)
    out = tmp_path / "out"
    prepare(source, copy, out, pixels=64, workers=1, progress=False, copies="stretched")
    for key, boxes in places(out).items():
        assert boxes == pytest.approx(whole[key], abs=1e-6)
    with pytest.raises(ConfigError, match=r"unknown copies 'square'.*scaled, stretched"):
        prepare(source, copy, tmp_path / "other", workers=1, progress=False, copies="square")


# --- where nobody, or a table beside, says the size of the original ---------------------------------------------------


def sizes_table(root: Path, columns: tuple[str, str]) -> pd.DataFrame:
    names = [path.stem for part in ("train", "test") for path in sorted((root / part).iterdir())]
    return pd.DataFrame({"image_id": names, columns[0]: PIXELS, columns[1]: PIXELS})


@pytest.mark.parametrize("columns", [("dim0", "dim1"), ("height", "width")])
def test_vindr_as_png_with_a_table_of_sizes(
    columns: tuple[str, str], cohorts: Callable[[str], Path], tmp_path: Path
) -> None:
    root = cohorts("vindr")
    whole, _ = prepared("vindr", root, tmp_path / "whole")
    copy = with_films(root, tmp_path / "copy", half, ".png")
    sizes_table(copy, columns).to_csv(copy / "train_meta.csv", index=False)
    shutil.rmtree(copy / "test")
    (copy / "annotations" / "image_labels_test.csv").unlink()
    boxes, notes = prepared("vindr", copy, tmp_path / "out")
    assert boxes and notes[SCALED] > 0
    for key, found in boxes.items():
        assert found == pytest.approx(whole[key], abs=1e-6)


@pytest.mark.parametrize(("source", "ending"), [("vindr", ".png"), ("vindr", ".jpg"), ("object_cxr", "")])
def test_copies_whose_original_size_nobody_says_are_refused(
    source: str, ending: str, cohorts: Callable[[str], Path], tmp_path: Path
) -> None:
    copy = with_films(cohorts(source), tmp_path / "copy", half, ending)
    with pytest.raises(SourceError, match=r"films with \w+ .*too small for them"):
        prepare(source, copy, tmp_path / "out", pixels=64, workers=1, progress=False)


@pytest.mark.parametrize("source", ["imagenome", "ms_cxr"])
def test_mimic_without_metadata(source: str, cohorts: Callable[[str], Path], tmp_path: Path) -> None:
    """The size of the original is nowhere but, for MS-CXR, in its own table."""
    root = cohorts(LAYOUT_OF.get(source, source))
    copy = with_films(root, tmp_path / "copy", half)
    for path in copy.rglob("mimic-cxr-2.0.0-metadata.csv.gz"):
        path.unlink()
    if source == "ms_cxr":
        whole, _ = prepared(source, root, tmp_path / "whole")
        boxes, _ = prepared(source, copy, tmp_path / "out")
        assert boxes.keys() == whole.keys()
        return
    with pytest.raises(SourceError, match="are too small for them"):
        prepare(source, copy, tmp_path / "out", pixels=64, workers=1, progress=False)


@pytest.mark.parametrize("source", ["vindr", "object_cxr"])
def test_films_as_published_without_a_stated_size_are_taken(
    source: str, cohorts: Callable[[str], Path], tmp_path: Path
) -> None:
    root = cohorts(source)
    whole, _ = prepared(source, root, tmp_path / "whole")
    copy, notes = prepared(source, with_films(root, tmp_path / "copy", lambda film: film, ".png"), tmp_path / "out")
    assert copy.keys() == whole.keys()
    assert not {SCALED, OTHER_SHAPE, TOO_SMALL} & notes.keys()


# --- the rules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "size", "same"),
    [
        ((3056, 2544), (512, 426), True),
        ((3056, 2544), (512, 427), True),
        ((3056, 2544), (256, 213), True),
        ((2544, 3056), (426, 512), True),
        ((3056, 2544), (3056, 2544), True),
        ((3056, 2544), (6112, 5088), True),
        ((3056, 2544), (615, 512), True),
        ((3056, 2544), (512, 512), False),
        ((3056, 2544), (2544, 2544), False),
        ((3056, 2544), (426, 512), False),
        ((3056, 2544), (512, 400), False),
        ((1024, 1024), (224, 224), True),
        ((1024, 1024), (1024, 1000), False),
        ((2022, 1736), (512, 440), True),
        ((2022, 1736), (512, 439), True),
        ((2022, 1736), (512, 448), False),
    ],
)
def test_same_shape_but_for_rounding(frame: tuple[int, int], size: tuple[int, int], same: bool) -> None:
    assert same_shape(Frame(*frame), *size) == same


def test_a_box_lies_beside_a_film_where_its_middle_does() -> None:
    assert not lies_beside((0, 0, 100, 80), 80, 100)
    assert not lies_beside((60, 0, 130, 80), 80, 100)
    assert lies_beside((90, 0, 130, 80), 80, 100)
    assert lies_beside((0, 70, 10, 100), 80, 100)


@pytest.mark.parametrize(
    ("beside", "films", "refused"),
    [
        *((0, 0, False), (0, 9, False), (1, 1, True), (1, 4, False), (2, 4, True), (4, 100, False), (5, 100, True)),
        *((100, 5000, False), (101, 5000, True)),
    ],
)
def test_how_many_boxes_beside_their_films_are_no_typing_errors(beside: int, films: int, refused: bool) -> None:
    assert too_many(beside, films) == refused


def test_a_mask_too_small_to_be_seen_leaves_its_box() -> None:
    mask = np.zeros((40, 40), bool)
    mask[3, 3] = True
    region = scaled(Region("finding", "pneumothorax", (3, 3, 4, 4), run_length.encode(mask)), Frame(40, 40), 10, 10)
    assert region == Region("finding", "pneumothorax", (0.75, 0.75, 1, 1), None)


@pytest.mark.parametrize(("height", "width", "frame"), [(3, 4, Frame(3, 4)), (0, 4, None), (float("nan"), 4, None)])
def test_a_frame_is_known_where_both_sides_are(height: float, width: float, frame: Frame | None) -> None:
    assert Frame.known(height, width) == frame
