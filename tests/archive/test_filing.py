"""What is taken from hostile headers, and what is refused."""

from __future__ import annotations

import pytest
from filed import header

from intervalchange.archive.filing import cited, result_uids
from intervalchange.errors import InputError


@pytest.mark.parametrize(
    "elements",
    [
        {"StudyInstanceUID": None},
        {"SOPInstanceUID": None},
        {"SeriesInstanceUID": ""},
        {"StudyInstanceUID": "1.2.x"},
        {"StudyInstanceUID": "1." * 40 + "1"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"},
        {"PatientID": "P" * 65},
        {"PatientID": "P\\Q"},
        {"PatientID": "P\x1bQ"},
    ],
    ids=str,
)
def test_a_film_that_belongs_nowhere_is_refused(elements: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"the prior film has no valid {next(iter(elements))}"):
        cited(header(elements=elements), "prior")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AccessionNumber", "A" * 17),
        ("StudyID", "S" * 30),
        ("StudyDate", "2020-01-02"),
        ("StudyDate", "20201341"),
        ("StudyTime", "noon"),
        ("StudyTime", "246060"),
        ("PatientBirthDate", "unknown"),
        ("PatientSex", "female"),
        ("PatientName", "A" * 70),
        ("PatientName", "A^B^C^D^E^F"),
        ("ReferringPhysicianName", "A=B=C=D"),
    ],
)
def test_a_value_that_is_none_is_left_empty(name: str, value: str) -> None:
    assert cited(header(elements={name: value}), "current").get(name) == ""


def test_what_is_not_there_is_empty_or_absent() -> None:
    names = ("PatientName", "PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "PatientAge")
    film = cited(header(elements=dict.fromkeys(names)), "current")
    assert [film.get(name) for name in names] == ["", "", "", "", "", "", None]


def test_valid_values_are_copied() -> None:
    film = cited(header(elements={"IssuerOfPatientID": "CLINIC", "StudyTime": "0304"}), "current")
    assert (film.PatientID, film.IssuerOfPatientID, film.StudyDate, film.StudyTime) == (
        "P1",
        "CLINIC",
        "20200102",
        "0304",
    )
    assert (film.PatientSex, film.PatientAge, film.AccessionNumber) == ("F", "050Y", "A1")


@pytest.mark.parametrize(
    ("characters", "written", "meant"),
    [
        ("ISO_IR 100", "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
        ("ISO_IR 192", "Müller^Jörg".encode(), "Müller^Jörg"),
        ("ISO_IR 144", "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг"),
        ("\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
        (None, "Müller^Jörg".encode(), "Müller^Jörg"),
    ],
)
def test_a_name_keeps_its_letters(characters: str | None, written: bytes, meant: str) -> None:
    data = header(elements={"SpecificCharacterSet": characters, "PatientName": "X" * len(written)})
    raw = data.get_item("PatientName")
    data._dict[raw.tag] = raw._replace(value=written)
    film = cited(data, "current")
    assert str(film.PatientName) == meant
    assert film.SpecificCharacterSet == "ISO_IR 192"


def test_uids_depend_on_films_model_and_question_alone() -> None:
    first = result_uids("1.2", "1.3", "run")
    assert first == result_uids("1.2", "1.3", "run")
    others = [
        result_uids("1.3", "1.2", "run"),
        result_uids("1.2", "", "run"),
        result_uids("1.2", "1.3", "other"),
        result_uids("1.2", "1.3", "run", "is there edema?"),
    ]
    every = [uid for uids in (first, *others) for uid in (uids.report, uids.capture, uids.pdf)]
    assert len(set(every)) == 15
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in every)
