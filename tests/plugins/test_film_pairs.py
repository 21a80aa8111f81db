"""The folder of films and questions that other packages read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from exam import EDEMA, REFERENCES, Exam
from PIL import Image

from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, SourceError
from intervalchange.foreign_models.prompts import common_prompt
from intervalchange.plugins.film_pairs import read_film_pairs, write_film_pairs


def test_films_are_those_of_the_prepared_folder(exam: Exam) -> None:
    prepared = Prepared(exam.prepared)
    cases = {row.case_id: row for row in prepared.cases.itertuples(index=False)}
    assert sorted(pair.reference for pair in exam.pairs) == sorted(REFERENCES)
    for pair in exam.pairs:
        for side in ("prior", "current"):
            row = prepared.studies["row"].to_numpy()[[getattr(cases[pair.case_id], side)]]
            assert np.array_equal(np.asarray(Image.open(getattr(pair, side))), prepared.pixels.read(row)[0])
        assert pair.prompt.index("earlier") < pair.prompt.index("later") and pair.question in pair.prompt
        assert pair.prompt == common_prompt("prose").text(pair.question), "as `predict` asks"


def test_what_is_written_is_read(exam: Exam) -> None:
    assert read_film_pairs(exam.folder) == exam.pairs
    about = json.loads((exam.folder / "about.json").read_text(encoding="utf-8"))
    assert about["source"] == "pairs" and about["simulated"] is False and about["split"] == "test"


def test_a_limit_and_a_second_call(exam: Exam, tmp_path: Path) -> None:
    assert write_film_pairs(exam.prepared, tmp_path, limit=2) == [
        pair for pair in read_film_pairs(tmp_path) if pair.case_id in [one.case_id for one in exam.pairs[:2]]
    ]
    films = {path: path.stat().st_mtime_ns for path in (tmp_path / "films").iterdir()}
    assert len(films) == 4
    write_film_pairs(exam.prepared, tmp_path, limit=2)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "films").iterdir()} == films


def test_films_of_other_data_are_not_taken_for_these(exam: Exam, tmp_path: Path) -> None:
    """Films are named by their row: another prepared folder has other films under the same names."""
    write_film_pairs(exam.prepared, tmp_path / "out")
    other = tmp_path / "other"
    shutil.copytree(exam.prepared, other)
    manifest = json.loads((other / "manifest.json").read_text(encoding="utf-8"))
    (other / "manifest.json").write_text(json.dumps({**manifest, "hash": "0" * 64}), encoding="utf-8")
    written = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="films of other data"):
        write_film_pairs(other, tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == written


def test_what_it_refuses(exam: Exam, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no pair of films"):
        write_film_pairs(exam.prepared, tmp_path, split="val")
    with pytest.raises(SourceError, match="no folder of film pairs"):
        read_film_pairs(tmp_path / "none")
    (tmp_path / "cases.jsonl").write_text(json.dumps({"case_id": "1", "answer": EDEMA}) + "\n", encoding="utf-8")
    with pytest.raises(SourceError, match="other fields"):
        read_film_pairs(tmp_path)


def test_restricted_films_go_to_no_third_party(exam: Exam, tmp_path: Path) -> None:
    """Films of MIMIC, real ones, only to a server of one's own; simulated ones in its layout to anybody."""
    folder = tmp_path / "mimic"
    shutil.copytree(exam.prepared, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**manifest, "source": "mimic_diff_vqa"}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"terms of mimic_diff_vqa.*own_server=True"):
        write_film_pairs(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert write_film_pairs(folder, tmp_path / "out", own_server=True)
    simulated = {**manifest, "source": "mimic_diff_vqa", "simulated": {"seed": 0}}
    (folder / "manifest.json").write_text(json.dumps(simulated), encoding="utf-8")
    assert write_film_pairs(folder, tmp_path / "out")
