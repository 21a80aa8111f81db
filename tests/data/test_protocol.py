"""`prepare --protocol published`: the released table, row for row, with its quirks; ours stays what it was."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from mimic_tree import ABNORMALITY, AREA, GAINED, LOST, MISSING, write_tree
from torch import nn

from intervalchange.cells import plain_id
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.data.readers import read_source
from intervalchange.errors import ConfigError, RunError, SourceError
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.inference import Predictor

COLUMNS = ("study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split")
SAME = "nothing has changed."
ROWS = [
    ("68000002.0", "29000001", "69000001.0", "difference", DIFFERENCE_QUESTION, f"{GAINED} ", "train"),
    # the main film is the earlier one; then the same pair the other way round, and the first row again
    ("67000003", "29000001", "68000002", "difference", DIFFERENCE_QUESTION, LOST, "train"),
    ("68000002", "29000001", "67000003", "difference", DIFFERENCE_QUESTION, GAINED, "train"),
    ("s68000002", "p29000001", "69000001", "Difference", DIFFERENCE_QUESTION, GAINED, "train"),
    # a lateral film, of a patient who trains
    ("66000004", "29000001", "69000001", "difference", DIFFERENCE_QUESTION, SAME, "test"),
    # a film whose date cannot be read; a film against itself
    ("6.4000006E+07", "29000002", "65000005.0", "difference", DIFFERENCE_QUESTION, GAINED, "val"),
    ("64000006", "29000002", "64000006", "difference", AREA, SAME, "val"),
    # one question about one film twice, beside two other films
    ("69000001", "29000001", "68000002", "abnormality", ABNORMALITY, "edema", "train"),
    ("69000001", "29000001", "67000003", "abnormality", ABNORMALITY, "edema", "val"),
    ("63000007", "29000003", "61000009", "view", "which view is this image taken?", "PA view", "test"),
    ("61000009", "29000003", "63000007", "difference", AREA, GAINED, "test"),
]  # fmt: skip
LOST_ROWS = [
    (MISSING, "29000003", "63000007", "difference", DIFFERENCE_QUESTION, GAINED, "test"),  # its film is not there
    ("60000000", "29000001", "69000001", "difference", DIFFERENCE_QUESTION, SAME, "train"),  # in no table
    ("64000006", "29000002", "65000005", "opinion", "well?", "well.", "train"),
]


def released(root: Path, rows: list[tuple[str, ...]], columns: int = 7) -> Path:
    """The tree with these rows in its table."""
    write_tree(root)
    with (root / "medical-diff-vqa" / "mimic_pair_questions.csv").open("w", newline="") as file:
        csv.writer(file).writerows(row[:columns] for row in (COLUMNS, *rows))
    return root


def prepared(root: Path, out: Path, **options: Any) -> Prepared:
    prepare("mimic_diff_vqa", root, out, pixels=32, workers=1, progress=False, **options)
    return Prepared(out)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released(tmp_path_factory.mktemp("released") / "root", ROWS)


@pytest.fixture(scope="module")
def published(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(tree, tmp_path_factory.mktemp("published") / "out", protocol="published")


def rows_of(folder: Prepared) -> list[tuple[str, ...]]:
    """The cases of a folder as rows of the released table, in their order."""
    return [
        (
            *(case.current.study_id, case.patient_id, case.prior.study_id if case.prior else ""),
            *(case.kind, case.question, case.answer, case.split),
        )
        for case in folder.case_records("all")
    ]


def as_read(row: tuple[str, ...]) -> tuple[str, ...]:
    """A released row without what a spreadsheet and a careless hand do to it."""
    study, subject, reference, kind, *texts = row
    ids = (plain_id(plain_id(name).lstrip("sp")) for name in (study, subject, reference))
    return (*ids, kind.lower(), *(text.strip() for text in texts))


def test_every_row_stands_as_released(published: Prepared) -> None:
    assert rows_of(published) == [as_read(row) for row in ROWS]
    assert list(published.cases["case_id"]) == [str(number) for number in range(len(ROWS))], "as in the COCO files"
    tests = [as_read(row) for row in ROWS if row[-1] == "test"]
    assert [row for row in rows_of(published) if row[-1] == "test"] == tests
    assert len(published.case_rows("test")) == 3
    tags = {row: tuple(found) for row, found in enumerate(published.cases["tags"]) if len(found)}
    assert tags == {1: ("main_earlier",), 6: ("order_unknown",)}


def test_the_doctor_says_what_is_wrong_with_them(published: Prepared) -> None:
    manifest = published.manifest
    assert (manifest["protocol"], manifest["plan"]["protocol"]) == ("published", "published")
    assert manifest["doctor"]["protocol"] == {
        "name": "published",
        "split": "published, column split",
        "rows": {"train": 5, "val": 3, "test": 3},
        "cases": {"train": 5, "val": 3, "test": 3},
        "patients_in_several_splits": 1,
        "cases_of_training_patients": {"val": 1, "test": 1},
        "main_earlier": 1,
        "order_unknown": 1,
        "repeated": 2,
        "both_ways": 1,
    }
    page = (published.folder / "doctor.txt").read_text()
    assert page.startswith("protocol    published: 11 rows as released; none turned, merged or left out")
    assert "1 patients stand in more than one split; of patients who train: 1 of 3 val cases, 1 of 3 test cases" in page
    assert "1 difference rows whose main film is the earlier one by date, 1 whose order is unknown" in page
    assert "2 rows repeat another; 1 pairs stand both ways round" in page


def test_ours_is_as_it_was(tree: Path, tmp_path: Path) -> None:
    folder = prepared(tree, tmp_path / "ours")
    assert not {"protocol"} & (
        folder.manifest.keys() | folder.manifest["plan"].keys() | folder.manifest["doctor"].keys()
    )
    assert "protocol" not in (folder.folder / "doctor.txt").read_text()
    assert prepared(tree, tmp_path / "named", protocol="ours").manifest == folder.manifest
    assert folder.protocol("test") == "ours"
    assert (folder.cases.groupby("patient_id")["split"].nunique() == 1).all()


@pytest.mark.parametrize(("columns", "options"), [(6, {}), (7, {"split": "rows"})])
def test_rows_are_cut_as_ekaid_and_c2f_cut_them(columns: int, options: dict[str, str], tmp_path: Path) -> None:
    """By the number of the row alone: ceil(.8 x 11) = 9 train, up to ceil(.9 x 11) = 10 validates."""
    root = released(tmp_path / "root", ROWS, columns)
    folder = prepared(root, tmp_path / "out", protocol="published", **options)
    assert list(folder.cases["split"]) == ["train"] * 9 + ["val", "test"]
    assert folder.manifest["split"] == "published, rows 8:1:1"
    assert [row[:6] for row in rows_of(folder)] == [as_read(row)[:6] for row in ROWS]
    assert folder.prepare_command(512).endswith("--pixels 512 --protocol published --split rows")


def test_a_row_that_cannot_be_a_case_is_counted_beside_every_number(tmp_path: Path) -> None:
    root = released(tmp_path / "root", [*ROWS, *LOST_ROWS])
    folder = prepared(root, tmp_path / "out", protocol="published")
    assert rows_of(folder) == [as_read(row) for row in ROWS]
    assert folder.protocol("test") == "published, 3 of 4 rows"
    assert folder.protocol("val") == "published"
    assert folder.protocol("all") == "published, 11 of 14 rows"
    assert "14 rows as released, 3 of them lost" in (folder.folder / "doctor.txt").read_text()
    assert folder.manifest["doctor"]["notes"]["rows whose image is unknown (cannot be a case)"] == 1


def test_what_does_not_fit_is_refused(tree: Path, tmp_path: Path) -> None:
    for split in ("patient", "lists", "mine.csv"):
        with pytest.raises(ConfigError, match="another split than the published one"):
            prepared(tree, tmp_path / "a", protocol="published", split=split)
    with pytest.raises(ConfigError, match="Add --protocol published"):
        prepared(tree, tmp_path / "b", split="rows")
    with pytest.raises(ConfigError, match="unknown protocol 'theirs'"):
        prepared(tree, tmp_path / "c", protocol="theirs")
    (tmp_path / "p.csv").write_text("patient,prior,current\n7,a.png,b.png\n")
    for source in ("pairs", "nih", "chexpert"):
        with pytest.raises(ConfigError, match=f"no meaning for source '{source}'.*Leave it out"):
            read_source(source, tmp_path / "p.csv", protocol="published")
    root = released(tmp_path / "root", [*ROWS, (*ROWS[0][:6], "")])
    with pytest.raises(SourceError, match=r"1 rows have no split.*--split rows"):
        prepared(root, tmp_path / "d", protocol="published")


def test_a_run_answers_patients_whom_the_published_split_has_twice(published: Prepared, tmp_path: Path) -> None:
    """And no others that it was trained on."""
    run = Predictor(nn.Identity(), {"training_patients": ["29000001"]})
    run.refuse_training_patients(published, ["29000001", "29000003"], "test")
    with pytest.raises(RunError, match="1 patients of this split"):
        Predictor(nn.Identity(), {"training_patients": ["29000003"]}).refuse_training_patients(
            published, ["29000001", "29000003"], "test"
        )
