"""Data sets as unzip, wget, a Mac or a link leave them: the same cases, or a sentence that says what to do."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from intervalchange.data.readers import read_source
from intervalchange.data.readers.folders import data_folder, family_root, named, walk
from intervalchange.errors import SourceError
from intervalchange.simulation.cohort import simulate

FILMS = (".dcm", ".dicom", ".png", ".jpg")
SINGLE = ("rsna", "siim", "vindr", "nih", "object_cxr", "covidx", "chexpert", "openi", "temmed_bench")
FAMILY = {"imagenome": "mimic_diff_vqa", "mimic_diff_vqa": "mimic_diff_vqa", "ms_cxr": "ms_cxr", "ms_cxr_t": "ms_cxr_t"}
FAMILY |= {name: name for name in ("chextemporal", "mmxu", "mi_cxr")}
"""Source -> layout of those of which ROOT holds several folders."""

PATIENTS = {"mi_cxr": 8}
"""Layout -> patients, where three are too few: of MI-CXR one must have five studies."""

Cohort = Callable[[str], Path]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Layout -> a small cohort in it, written once."""
    base, made = tmp_path_factory.mktemp("cohorts"), dict[str, Path]()

    def write(layout: str) -> Path:
        if layout not in made:
            made[layout] = simulate(
                base / layout, PATIENTS.get(layout, 3), 87, layout, pixels=64, workers=1, progress=False
            )
        return made[layout]

    return write


def facts(source: str, root: Path) -> dict[str, tuple[object, ...]]:
    """Case -> what is read of it, but for where its film is, which must be there."""
    read = read_source(source, root)
    assert all((read.image_root / case.current.image).is_file() for case in read.cases)
    return {
        case.case_id: (case.patient_id, case.split, case.answer, repr(case.current.regions), str(case.current.findings))
        for case in read.cases
    }


# --- what becomes of a folder -----------------------------------------------------------------------------------------


def wrapped(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "downloads" / "inner")
    return base / "downloads"


def same_name_twice(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "data" / "data")
    return base / "data"


def fetched_by_wget(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "physionet.org" / "files" / "name" / "1.0.0")
    (base / "physionet.org" / "robots.txt").write_text("")
    return base


def a_folder_of_films(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "copy")
    film = next(path for path in sorted((base / "copy").rglob("*")) if path.suffix in FILMS)
    return base / "copy" / film.relative_to(base / "copy").parts[0]


def a_table(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "copy")
    return next(path for path in sorted((base / "copy").rglob("*")) if path.suffix in (".csv", ".txt", ".xml"))


def endings_in_capitals(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "copy")
    for path in sorted((base / "copy").rglob("*")):
        if path.suffix in FILMS:
            path.rename(path.with_suffix(path.suffix.upper()))
    return base / "copy"


def what_a_mac_leaves(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "copy")
    for path in [path for path in sorted((base / "copy").rglob("*")) if path.is_file()]:
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
        shadow = base / "copy" / "__MACOSX" / path.relative_to(base / "copy")
        shadow.parent.mkdir(parents=True, exist_ok=True)
        (shadow.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
    return base / "copy"


def films_behind_links(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "copy")
    for folder in [path for path in sorted((base / "copy").iterdir()) if path.is_dir()]:
        folder.rename(base / f"elsewhere {folder.name}")
        folder.symlink_to(base / f"elsewhere {folder.name}", target_is_directory=True)
    return base / "copy"


def each_film_a_link(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "copy")
    for number, path in enumerate([path for path in sorted((base / "copy").rglob("*")) if path.suffix in FILMS]):
        path.rename(base / f"{number}")
        path.symlink_to(base / f"{number}")
    return base / "copy"


def a_link_to_the_folder(root: Path, base: Path) -> Path:
    (base / "link").symlink_to(root, target_is_directory=True)
    return base / "link"


def a_link_to_itself_inside(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "copy")
    (base / "copy" / "again").symlink_to(base / "copy", target_is_directory=True)
    return base / "copy"


def tables_in_capitals(root: Path, base: Path) -> Path:
    shutil.copytree(root, base / "copy")
    for path in [path for path in sorted((base / "copy").iterdir()) if path.suffix in (".csv", ".txt")]:
        path.rename(path.with_name(path.name.upper()))
    return base / "copy"


EVERYWHERE = (
    *(wrapped, same_name_twice, fetched_by_wget, what_a_mac_leaves, films_behind_links, each_film_a_link),
    *(a_link_to_the_folder, a_link_to_itself_inside),
)


@pytest.mark.parametrize(
    ("source", "change"),
    [
        # Fast: each data set in one way and each way with one data set; all of them in `make slow`.
        pytest.param(source, change, marks=[] if row % len(EVERYWHERE) == column else [pytest.mark.slow])
        for row, source in enumerate(SINGLE)
        for column, change in enumerate(EVERYWHERE)
    ],
)
def test_the_same_cases_however_it_lies(
    source: str, change: Callable[[Path, Path], Path], cohort: Cohort, tmp_path: Path
) -> None:
    root = cohort(source)
    assert facts(source, change(root, tmp_path)) == facts(source, root)


@pytest.mark.parametrize("change", [a_folder_of_films, endings_in_capitals, tables_in_capitals])
@pytest.mark.parametrize("source", ["rsna", "siim", "vindr", "nih", "object_cxr", "covidx"])
def test_root_too_low_and_names_in_capitals(
    source: str, change: Callable[[Path, Path], Path], cohort: Cohort, tmp_path: Path
) -> None:
    root = cohort(source)
    assert facts(source, change(root, tmp_path)) == facts(source, root)


@pytest.mark.parametrize("source", ["rsna", "siim", "nih", "object_cxr", "covidx"])
def test_a_table_as_root(source: str, cohort: Cohort, tmp_path: Path) -> None:
    root = cohort(source)
    assert facts(source, a_table(root, tmp_path)) == facts(source, root)


@pytest.mark.parametrize("change", [wrapped, same_name_twice, films_behind_links, a_link_to_the_folder])
@pytest.mark.parametrize("source", FAMILY)
def test_the_mimic_family_however_it_lies(
    source: str, change: Callable[[Path, Path], Path], cohort: Cohort, tmp_path: Path
) -> None:
    root = cohort(FAMILY[source])
    assert facts(source, change(root, tmp_path)) == facts(source, root)


@pytest.mark.parametrize("source", FAMILY)
@pytest.mark.parametrize(
    "inner", ["", "physionet.org", "physionet.org/files", "physionet.org/files/mimic-cxr-jpg/2.0.0"]
)
def test_the_mimic_family_fetched_by_wget(source: str, inner: str, cohort: Cohort, tmp_path: Path) -> None:
    root = cohort(FAMILY[source])
    files = tmp_path / "physionet.org" / "files"
    versions = {"mimic-cxr-jpg": "2.0.0", "mimic-cxr": "2.0.0", "chest-imagenome": "1.0.0", "medical-diff-vqa": "1.0.0"}
    for path in sorted(root.iterdir()):
        if path.is_dir():
            shutil.copytree(path, files / path.name / versions.get(path.name, ""))
    shutil.copy(root / "SIMULATED", files)
    assert facts(source, tmp_path / inner) == facts(source, root)


@pytest.mark.parametrize("source", SINGLE)
def test_an_archive_that_is_not_unpacked_is_named(source: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all-of-it.zip", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(SourceError, match=r"all-of-it\.zip is not unpacked.*Unpack it"):
        read_source(source, tmp_path)


@pytest.mark.parametrize("source", SINGLE)
def test_an_empty_folder_and_none_are_refused(source: str, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(SourceError):
            read_source(source, root)


@pytest.mark.parametrize("double", ["stage_2_train_images/stage_2_train_images", "pictures", "."])
def test_the_films_of_rsna_in_another_folder(double: str, cohort: Cohort, tmp_path: Path) -> None:
    root = shutil.copytree(cohort("rsna"), tmp_path / "copy")
    (root / "stage_2_train_images").rename(tmp_path / "films")
    for path in sorted((tmp_path / "films").iterdir()):
        (root / double).mkdir(parents=True, exist_ok=True)
        path.rename(root / double / path.name)
    assert facts("rsna", root) == facts("rsna", cohort("rsna"))


def test_a_film_of_one_part_is_never_taken_for_that_of_another(cohort: Cohort, tmp_path: Path) -> None:
    """Object-CXR may use one name in train and in dev."""
    root = shutil.copytree(cohort("object_cxr"), tmp_path / "copy")
    film = sorted((root / "train").iterdir())[0]
    (root / "dev" / film.name).write_bytes(film.read_bytes())
    film.unlink()
    case = next(case for case in read_source("object_cxr", root).cases if film.stem in case.current.study_id)
    assert case.current.image == f"train/{film.name}", "left out by prepare as missing"


# --- the graphs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", ["scene_graph/scene_graph", "scene_graph/silver_dataset/scene_graph"])
def test_graphs_unzipped_into_a_folder_of_their_name(inner: str, cohort: Cohort, tmp_path: Path) -> None:
    root = shutil.copytree(cohort("mimic_diff_vqa"), tmp_path / "copy")
    silver = root / "chest-imagenome" / "silver_dataset"
    graphs = silver / "scene_graph"
    if not graphs.is_dir():
        with zipfile.ZipFile(silver / "scene_graph.zip") as archive:
            archive.extractall(silver)
        (silver / "scene_graph.zip").unlink()
    graphs.rename(tmp_path / "graphs")
    (silver / inner).parent.mkdir(parents=True)
    (tmp_path / "graphs").rename(silver / inner)
    for source in ("imagenome", "mimic_diff_vqa"):
        assert facts(source, root) == facts(source, cohort("mimic_diff_vqa"))


def test_graphs_in_an_archive_made_on_a_mac(cohort: Cohort, tmp_path: Path) -> None:
    root = shutil.copytree(cohort("mimic_diff_vqa"), tmp_path / "copy")
    silver = root / "chest-imagenome" / "silver_dataset"
    graphs = {}
    if (silver / "scene_graph").is_dir():
        graphs = {path.name: path.read_bytes() for path in (silver / "scene_graph").iterdir()}
        shutil.rmtree(silver / "scene_graph")
    else:
        with zipfile.ZipFile(silver / "scene_graph.zip") as archive:
            graphs = {Path(name).name: archive.read(name) for name in archive.namelist() if name.endswith(".json")}
    with zipfile.ZipFile(silver / "scene_graph.zip", "w") as archive:
        for name, data in graphs.items():
            archive.writestr(f"scene_graph/scene_graph/{name}", data)
            archive.writestr(f"__MACOSX/scene_graph/._{name}", b"\0\5\x16\7")
    source = read_source("imagenome", root)
    assert "scene graphs that cannot be read (skipped)" not in source.notes
    assert facts("imagenome", root) == facts("imagenome", cohort("mimic_diff_vqa"))


# --- the rules --------------------------------------------------------------------------------------------------------


def test_several_data_sets_below_root_are_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.csv").write_text("")
    with pytest.raises(SourceError, match=r"several folders hold train.csv: one, two.*Give one as ROOT"):
        data_folder(tmp_path, ("train.csv",), Counter(), "")
    (tmp_path / "two" / "first.csv").write_text("")
    assert data_folder(tmp_path, ("first.csv", "train.csv"), Counter(), "") == tmp_path / "two"


def test_the_newest_version_is_taken(tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "TRAIN.csv.gz").write_text("")
    notes: Counter[str] = Counter()
    assert data_folder(tmp_path, ("train.csv",), notes, "") == tmp_path / "1.1.0"
    assert not notes


@pytest.mark.parametrize("inner", ["mimic-cxr-jpg", "mimic-cxr-jpg/2.1.0", "MIMIC-CXR-JPG", "chest-imagenome/1.0.0"])
def test_root_of_the_family_above_one_of_it(inner: str, tmp_path: Path) -> None:
    (tmp_path / inner).mkdir(parents=True)
    assert family_root(tmp_path / inner, Counter()) == tmp_path


def test_other_folders_stay_root(tmp_path: Path) -> None:
    assert family_root(tmp_path, Counter()) == tmp_path
    assert named(tmp_path, "images") == tmp_path / "images"
    (tmp_path / "Images").mkdir()
    assert named(tmp_path, "images") == tmp_path / "Images"


def test_a_walk_enters_each_folder_once_and_no_clutter(tmp_path: Path) -> None:
    for name in ("a/b/film.png", "masks/film.png", ".hidden/film.png", "__MACOSX/film.png", "a/._film.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    os.symlink(tmp_path / "a", tmp_path / "a" / "b" / "round")
    assert sorted(walk(tmp_path, ("masks",))) == ["a/b/film.png"]
