"""Two DICOM headers: which film is the earlier one, whether they name one patient, and that no more gets out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from film_files import chest, dicom, save

from intervalchange.data.film_headers import HeaderPair, compare_headers, compare_pairs
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.grammar import parse

GAINED = "the main image has an additional finding of edema than the reference image."


def film(path: Path, seed: int = 0, **header: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return dicom(path, np.rint(chest(40, 40, seed) * 4095), 12, **header)


@pytest.mark.parametrize(
    ("prior", "current", "order"),
    [
        ({"StudyDate": "20190101"}, {"StudyDate": "20200101"}, 1),
        ({"StudyDate": "20200101"}, {"StudyDate": "20190101"}, -1),
        ({"StudyTime": "080000"}, {"StudyTime": "0900"}, 1),
        ({"StudyTime": "080000"}, {"StudyTime": None}, 0),
        ({"StudyTime": None}, {"StudyTime": None}, 0),
        ({"StudyTime": None, "AcquisitionDate": "20200102", "AcquisitionTime": "09"},
         {"StudyTime": None, "AcquisitionDate": "20200102", "AcquisitionTime": "0800"}, -1),
        ({"StudyDate": None, "AcquisitionDate": "20200101"}, {"StudyDate": None, "AcquisitionDate": "20190101"}, -1),
        ({"StudyDate": None, "ContentDate": "20200101"}, {"StudyDate": "20190101"}, -1),
        ({"StudyDate": None}, {"StudyDate": "20190101"}, 0),
        ({"StudyDate": "19000101"}, {"StudyDate": "20190101"}, 0),
        ({"TimezoneOffsetFromUTC": "-0500", "StudyTime": "233000"},
         {"TimezoneOffsetFromUTC": "+0000", "StudyDate": "20200103", "StudyTime": "030000"}, -1),
        ({"TimezoneOffsetFromUTC": "-0500"}, {"StudyTime": "090000"}, 0),
    ],
)  # fmt: skip
def test_order(prior: dict[str, Any], current: dict[str, Any], order: int, tmp_path: Path) -> None:
    paths = film(tmp_path / "a.dcm", **prior), film(tmp_path / "b.dcm", **current)
    assert compare_headers(*paths) == HeaderPair(order)
    assert compare_headers(*reversed(paths)) == HeaderPair(-order)


@pytest.mark.parametrize(
    ("header", "patients", "people"),
    [
        ({"PatientID": "OTHER"}, True, False),
        ({"PatientID": " secret123 "}, False, False),
        ({"PatientID": None}, False, False),
        ({"PatientID": "nan"}, False, False),
        ({"PatientSex": "M"}, False, True),
        ({"PatientSex": "O"}, False, False),
        ({"PatientBirthDate": "19990101"}, False, True),
        ({"PatientBirthDate": None, "PatientID": None}, False, False),
        ({"PatientID": "OTHER", "PatientSex": "M"}, True, True),
    ],
)
def test_people(header: dict[str, Any], patients: bool, people: bool, tmp_path: Path) -> None:
    prior = film(tmp_path / "a.dcm", PatientSex="F")
    found = compare_headers(prior, film(tmp_path / "b.dcm", **{"PatientSex": "F", **header}))
    assert (found.patients_differ, found.people_differ) == (patients, people)
    said = " ".join(found.warnings) + repr(found)
    for secret in ("SECRET", "OTHER", "1901", "1999", "2020"):
        assert secret not in said


def test_films_without_a_header(tmp_path: Path) -> None:
    png, header = save(chest(40, 40), tmp_path / "a.png"), film(tmp_path / "b.dcm")
    (tmp_path / "c.dcm").write_bytes(b"\0" * 300)
    for pair in ((png, header), (header, png), (header, tmp_path / "c.dcm"), (header, tmp_path / "none.dcm")):
        assert compare_headers(*pair) == HeaderPair()
    assert compare_pairs([]) == {}


def prepared(folder: Path, lines: str, columns: str = "") -> tuple[Prepared, dict[str, int]]:
    (folder / "pairs.csv").write_text(f"patient,prior,current,answer{columns}\n{lines}", encoding="utf-8")
    manifest = prepare("pairs", folder, folder / "out", pixels=64, split="patient", progress=False, workers=1)
    return Prepared(folder / "out"), manifest["doctor"]["notes"] | manifest["doctor"]["films"]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    film(tmp_path / "2019.dcm", 1, StudyDate="20190110")
    film(tmp_path / "2020.dcm", 2, StudyDate="20200110")
    film(tmp_path / "other.dcm", 3, StudyDate="20210110", PatientID="OTHER")
    save(chest(40, 40, 4), tmp_path / "a.png")
    return tmp_path


TURNED = "cases turned round by the dates in their DICOM headers, with their answer"


def test_pairs_without_an_order_are_turned_by_their_headers(films: Path) -> None:
    data, notes = prepared(films, f"1,2020.dcm,2019.dcm,{GAINED}\n1,2019.dcm,2020.dcm,{GAINED}\n")
    turned, right = data.case_records("all")
    assert (turned.prior.image, turned.current.image) == ("2019.dcm", "2020.dcm")  # type: ignore[union-attr]
    assert parse(turned.answer).change.missing == {"edema"}
    assert (turned.tags, right.tags) == (("swapped_row",), ())
    assert right.answer == GAINED
    assert (notes[TURNED], notes["dates_against_order"]) == (1, 0)


def test_the_order_of_a_table_is_kept_and_the_pair_tagged(films: Path) -> None:
    rows = (f"1,2020.dcm,2019.dcm,{GAINED},2018-01-01,2018-02-01", f"1,2020.dcm,2019.dcm,{GAINED},2018,2018-02-01",
            f"1,2019.dcm,2020.dcm,{GAINED},2018,2018-02-01")  # fmt: skip
    data, notes = prepared(films, "\n".join(rows) + "\n", ",prior_date,current_date")
    kept, turned, settled = data.case_records("all")
    assert kept.tags == ("dates_against_order",)
    assert kept.prior.image == "2020.dcm"  # type: ignore[union-attr]
    assert (turned.tags, settled.tags) == (("swapped_row",), ()), "the headers settle what the table leaves open"
    assert (notes[TURNED], notes["dates_against_order"]) == (1, 1)


def test_a_pair_whose_answer_cannot_be_turned_is_left_out(films: Path) -> None:
    data, notes = prepared(films, f"1,2020.dcm,2019.dcm,who knows\n1,2019.dcm,2020.dcm,{GAINED}\n")
    assert len(data.cases) == 1
    assert sum(count for note, count in notes.items() if "cannot be reversed" in note) == 1


def test_two_patients_are_tagged_and_counted(films: Path) -> None:
    data, notes = prepared(films, f"1,2019.dcm,other.dcm,{GAINED}\n1,a.png,2019.dcm,{GAINED}\n")
    assert [case.tags for case in data.case_records("all")] == [("different_patients",), ()]
    assert notes["cases whose DICOM headers give different PatientIDs (tag different_patients)"] == 1
    for path in (films / "out").iterdir():
        assert b"SECRET" not in path.read_bytes()
        assert b"OTHER" not in path.read_bytes()
