"""Films in, answers out."""

from __future__ import annotations

from pathlib import Path

import pytest
from memory_archive import MemoryArchive, film_file

from intervalchange.errors import SourceError
from intervalchange.serving.folder import FolderArchive
from intervalchange.simulation.dicom_files import uid

CURRENT = film_file("second", "20300301")


def folder(tmp_path: Path, *films: bytes) -> Path:
    inside = tmp_path / "in"
    (inside / "deep").mkdir(parents=True)
    (inside / "task.json").write_text("{}")
    for number, film in enumerate(films):
        (inside / "deep" / f"1.2#{number}.dcm").write_bytes(film)
    return inside


def test_the_last_study_of_each_patient_is_the_new_one(tmp_path: Path) -> None:
    films = (film_file("first", "20300101"), CURRENT, film_file("other", "20250101", person="B2"))
    archive = FolderArchive(folder(tmp_path, *films), tmp_path / "out")
    assert archive.newest_studies() == sorted([uid("second"), uid("other")])
    assert archive.studies_of("A1") == [uid("second"), uid("first")]
    (film,) = archive.films_of(uid("second"))
    assert archive.fetch(film) == CURRENT


def test_priors_may_come_from_an_archive(tmp_path: Path) -> None:
    prior = film_file("first", "20300101")
    archive = FolderArchive(folder(tmp_path, CURRENT), tmp_path / "out", MemoryArchive(prior, CURRENT))
    assert archive.studies_of("A1") == [uid("second"), uid("first")]
    (film,) = archive.films_of(uid("first"))
    assert archive.fetch(film) == prior


def test_a_folder_without_radiographs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no radiograph"):
        FolderArchive(folder(tmp_path, b"\0" * 128 + b"DICM" + b"\xff" * 40), tmp_path / "out")
    with pytest.raises(SourceError, match="no such folder"):
        FolderArchive(tmp_path / "nowhere", tmp_path / "out")
