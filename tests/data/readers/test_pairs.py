"""Pairs as people's tables have them: order in time, words for missing, ids, findings, paths, forms of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from film_files import chest, save

from intervalchange.data.readers import read_source
from intervalchange.data.readers.files import read_table
from intervalchange.data.readers.pairs import named_findings
from intervalchange.errors import SourceError
from intervalchange.grammar import parse
from intervalchange.records import Case

GAINED = "the main image has an additional finding of edema than the reference image."
UNKNOWN = "pairs whose order in time is unknown (it is as the table says)"
UNDATED = "pairs without dates (their order is as the table says)"
NAMES = "patient,prior,current,answer"


def table(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def dated(tmp_path: Path, *rows: str, columns: str = "prior_date,current_date") -> Any:
    lines = [f"7,a.png,b.png,{GAINED},{row}" for row in rows]
    return read_source("pairs", table(tmp_path, f"{NAMES},{columns}", *lines))


def images(case: Case) -> tuple[str, str]:
    assert case.prior is not None
    return case.prior.image, case.current.image


@pytest.mark.parametrize(
    "dates",
    [
        *("2020-03-01T14:30,2020-03-01", "2020-03-01,2020-03-01T00:00:00", "2020-03-01,2020-03-01"),
        *("2020-02-01,43891", "43891,2020-02-01", "2019-06-05,2020", "2020,2019-06-05", "2019-05-20,2019-05"),
        *("01/02/2019,02/01/2019", "2020-02-01T10:00Z,2020-02-01T09:00", "2020-02-01T25:00,2020-02-01T09:00"),
    ],
)
def test_dates_that_do_not_tell_keep_the_row(dates: str, tmp_path: Path) -> None:
    source = dated(tmp_path, dates)
    (case,) = source.cases
    assert images(case) == ("a.png", "b.png")
    assert case.answer == GAINED
    assert case.tags == ("order_unknown",)
    assert source.notes[UNKNOWN] == 1
    assert source.order_open == {case.case_id}


@pytest.mark.parametrize(
    ("dates", "turned"),
    [
        *(("2020-03-01,2020-03-02T00:00", False), ("2020-03-02T23:00,2020-03-02T22:59", True)),
        *(("43891,43890", True), ("2019,2018", True), ("2018,2019", False), ("2019-06,2019-05-20", True)),
        *(("2020-02-01T23:30:00-05:00,2020-02-02T03:00:00+00:00", True), ("13.02.2019,05.01.2019", True)),
        *(("02/13/2019,01/05/2019", True), ("13/02/2019,05/01/2019", True), ("20190301.0,2019-02-01", True)),
    ],
)
def test_dates_that_tell(dates: str, turned: bool, tmp_path: Path) -> None:
    source = dated(tmp_path, dates)
    (case,) = source.cases
    assert images(case) == (("b.png", "a.png") if turned else ("a.png", "b.png"))
    assert bool(parse(case.answer).change.missing) == turned
    assert case.tags == (("swapped_row",) if turned else ())
    assert not source.order_open


def test_days_between_decides_where_dates_do_not(tmp_path: Path) -> None:
    rows = ("2019,2019-05-01,-3", "2019-01-01,2019-02-01,-3", ",,nan", ",,inf", ",,0", ",,4")
    source = dated(tmp_path, *rows, columns="prior_date,current_date,days_between")
    assert [case.tags for case in source.cases] == [("swapped_row",), (), (), (), ("order_unknown",), ()]
    assert source.notes["rows whose dates and days_between disagree (the dates count)"] == 1
    assert (source.notes[UNKNOWN], source.notes[UNDATED]) == (1, 2)
    assert source.order_open == {"pairs:4", "pairs:5", "pairs:6"}


def test_a_column_decides_where_the_day_stands(tmp_path: Path) -> None:
    source = dated(tmp_path, "01/02/2019,02/01/2019", "13/02/2019,05/03/2019")
    assert [case.tags for case in source.cases] == [("swapped_row",), ()]
    assert source.cases[0].current.acquired_at == "2019-02-01"


@pytest.mark.parametrize(
    "word", ["nan", "NaN", "None", "NA", "N/A", "n/a", "NULL", "null", "<NA>", "NaT", "-", '""', "  "]
)
def test_words_for_missing(word: str, tmp_path: Path) -> None:
    columns = (
        f"{NAMES},question,kind,split,case_id,prior_date,current_date,prior_findings,prior_note,prior_view,licence"
    )
    path = table(
        tmp_path,
        columns,
        f"7,a.png,b.png,{','.join([word] * 11)}",
        f"{word},a.png,b.png,{GAINED}{',' * 10}",
        f"7,{word},b.png,{GAINED}{',' * 10}",
        f"7,a.png,{word},{GAINED}{',' * 10}",
    )
    source = read_source("pairs", path)
    (case,) = source.cases
    empty = read_source("pairs", table(tmp_path, columns, f"7,a.png,b.png{',' * 11}")).cases
    assert [case] == empty
    assert source.notes["rows without patient, prior or current (skipped)"] == 3
    assert "dates that cannot be read" not in source.notes


def test_words_that_are_not_missing(tmp_path: Path) -> None:
    path = table(tmp_path, NAMES, "NA01,none.png,nan.png,no", "Nan,a.png,b.png,x")
    (case,) = read_source("pairs", path).cases
    assert (case.patient_id, images(case), case.answer) == ("NA01", ("none.png", "nan.png"), "no")


def test_ids_that_passed_through_floats(tmp_path: Path) -> None:
    rows = ("7,a,b,", "7.0,b,c,", "7.00,a,c,", "0007,a,b,", "1.0000003E+07,a,b,", "10000003,b,c,", "7a,a,b,")
    source = read_source("pairs", table(tmp_path, NAMES, *rows))
    assert [case.patient_id for case in source.cases] == ["7", "7", "7", "0007", "10000003", "10000003", "7a"]
    path = table(tmp_path, f"{NAMES},case_id,prior_study,current_study", "7,a,b,,1.0,5001.0,5002", "7,a,b,,1,5001,5002")
    source = read_source("pairs", path)
    assert source.notes["rows with a case_id already seen (skipped)"] == 1
    assert source.cases[0].prior.study_id == "5001"  # type: ignore[union-attr]


TWO = {"edema": 1.0, "hernia": 1.0}


@pytest.mark.parametrize(
    "cell",
    [
        *("edema, hernia", "edema;hernia", "Edema | Hernia", "edema/hernia", "edema\nhernia", "edema and hernia"),
        *(
            "['edema', 'hernia']",
            '["edema", "hernia"]',
            "[edema, hernia]",
            "{'edema', 'hernia'}",
            "('edema', 'hernia')",
        ),
        *(
            "['edema' 'hernia']",
            "pulmonary_edema, hiatal hernia.",
            "edema,,hernia,",
            "edema; nan; hernia",
            "edema & hernia",
        ),
    ],
)
def test_findings_however_they_are_joined(cell: str) -> None:
    notes: dict[str, int] = {}
    assert named_findings(cell, notes) == TWO  # type: ignore[arg-type]
    assert not notes


@pytest.mark.parametrize("cell", ["", "nan", "none", "No finding", "normal", "[]", "None", "-", "no abnormalities"])
def test_no_findings(cell: str) -> None:
    notes: dict[str, int] = {}
    assert named_findings(cell, notes) == {}  # type: ignore[arg-type]
    assert not notes


def test_findings_that_are_not_known_are_counted(tmp_path: Path) -> None:
    cells = ("no edema", "mass", "edema, mass, nodule!", '{""edema"": 1}', "Blunting of the costophrenic angle")
    rows = (f'7,a{number},b,,"{cell}"' for number, cell in enumerate(cells))
    source = read_source("pairs", table(tmp_path, f"{NAMES},prior_findings", *rows))
    assert source.notes["cells of findings that name nothing known"] == 3
    assert source.notes["names of findings that are not known (left out)"] == 2
    assert source.cases[4].prior.findings == {"blunting of the costophrenic angle": 1.0}  # type: ignore[union-attr]


def test_backslashes_are_slashes_where_the_film_is_there(tmp_path: Path) -> None:
    save(chest(40, 40), tmp_path / "films" / "a.png")
    save(chest(40, 40), tmp_path / "b.png")
    save(chest(40, 40), tmp_path / "odd\\name.png")
    path = table(tmp_path, NAMES, "1,films\\a.png,.\\b.png,", "2,odd\\name.png,films\\none.png,", "3,b.png,b.png,")
    source = read_source("pairs", path)
    found = [images(case) for case in source.cases]
    assert found == [("films/a.png", "b.png"), ("odd\\name.png", "films\\none.png"), ("b.png", "b.png")]
    assert source.notes["rows that name one film as prior and current (kept)"] == 1


# --- forms of a table ------------------------------------------------------------------------------------------------

PLAIN = "patient,prior,current,answer\n7,a.png,b.png,é\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.replace("\n", "\r\n").encode(),
    ],
)
def test_tables_in_any_dress(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert read_table(path, "").to_dict("records") == [
        {"patient": "7", "prior": "a.png", "current": "b.png", "answer": "é"}
    ]


def test_a_list_of_one_column_and_marks_within_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("dicom_id\na;b\nc\n")
    assert read_table(path, "")["dicom_id"].tolist() == ["a;b", "c"]
    path.write_text('a,"b;c;d"\n"1;2",3\n')
    assert read_table(path, "").to_dict("list") == {"a": ["1;2"], "b;c;d": ["3"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04rest", "an Excel workbook.*Save the table as CSV"),
        (b"\xd0\xcf\x11\xe0rest", "an old Excel workbook"),
        (PLAIN.encode("latin-1"), "not a CSV in UTF-8"),
        (b"", "the table is empty"),
        (b"patient,prior,current\n7,a,b\n8,a,b,c\n", "line 3 has 4 cells, and its first line 3 names"),
        (b"patient,prior,current,answer,answer\n7,a,b,x,y\n", "two columns are called answer"),
        (b"patient,prior,current,answer,Answer\n7,a,b,x,y\n", "two columns are called answer"),
    ],
)
def test_tables_that_are_none(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"(?s)pairs\.csv.*{said}"):
        read_source("pairs", path)


def test_columns_that_are_there_twice_and_agree(tmp_path: Path) -> None:
    path = table(tmp_path, "patient,prior,current,answer,answer,note,note", "7,a,b,x,x,1,2")
    assert read_source("pairs", path).cases[0].answer == "x"


def test_short_rows_have_empty_cells(tmp_path: Path) -> None:
    source = read_source("pairs", table(tmp_path, NAMES, "7,a,b", "8,a"))
    assert [case.answer for case in source.cases] == [""]
    assert source.notes["rows without patient, prior or current (skipped)"] == 1
