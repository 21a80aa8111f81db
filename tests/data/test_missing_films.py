"""A film that is not there: what its name suggests, and a remedy that its source knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from film_files import chest, save

from intervalchange.data.missing_films import remedy_of, suggestion
from intervalchange.data.prepare import prepare
from intervalchange.data.readers.source import Source
from intervalchange.errors import SourceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(chest(40, 40), tmp_path / "Films" / "b.png")
    save(chest(40, 40), tmp_path / "caf\u00e9.png")
    return tmp_path


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("Films/B.PNG", "There is Films/b.png."),
        ("films/b.png", "There is Films/b.png."),
        ("Films/b", "There is Films/b.png."),
        ("Films/b.dcm", "There is Films/b.png."),
        ("films\\B.png", "There is Films/b.png."),
        ("cafe\u0301.png", "There is caf\u00e9.png."),
        ("films\\none.png", "Write the path with / in place of \\."),
        ("https://example.org/b.png", "Films are not fetched from the network: download them, and give their paths."),
        ("file:///films/b.png", "Write the path without file://."),
        ("~/b.png", "Write the home folder out: ~ is not replaced."),
        ("C:\\films\\b.png", "This is a path of a Windows computer: give one below the folder of the table."),
        ("Films/c.png", ""),
        ("/nowhere/at/all.png", ""),
        ("Films/b.png", ""),
    ],
)
def test_suggestions(image: str, said: str, folder: Path) -> None:
    assert suggestion(folder, image) == said


def test_the_remedy_is_one_that_the_source_knows(folder: Path) -> None:
    assert "--images" in remedy_of(Source("reports", "", folder, []), "c.png")
    assert "--images" in remedy_of(Source("nih", "", folder, []), "c.png")
    for source in ("pairs", "cxr_longitudinal", "of another package"):
        remedy = remedy_of(Source(source, "", folder, []), "films/b.png")
        assert remedy == f"There is Films/b.png. Paths are relative to {folder}; capitals count."


def test_the_first_missing_film_is_named(folder: Path) -> None:
    path = folder / "pairs.csv"
    path.write_text("patient,prior,current\n1,Films/b.png,Films/B.PNG\n2,Films/b.png,Films/c.png\n")
    with pytest.raises(
        SourceError, match=r"no case has all of its films; Films/B.PNG: no such file. There is Films/b.png"
    ):
        prepare("pairs", path, folder / "out", pixels=64, progress=False)
    path.write_text("patient,prior,current\n1,x.png,Films/B.PNG\n")
    with pytest.raises(SourceError, match=r"none of 2 films could be read; .*capitals count"):
        prepare("pairs", path, folder / "out2", pixels=64, progress=False)
    path.write_text("patient,prior,current\n1,Films/b.png,Films/b.png\n2,Films/b.png,Films/B.PNG\n")
    manifest = prepare("pairs", path, folder / "out3", pixels=64, progress=False)
    assert manifest["doctor"]["films"]["bad_examples"] == ["Films/B.PNG: no such file. There is Films/b.png."]
