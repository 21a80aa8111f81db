"""Moments are as exact as their cells, and compared only where they can be."""

from __future__ import annotations

import math

import pytest

from intervalchange.data.readers.moments import Moment, at_time, day_first, digits_of, later, moment


@pytest.mark.parametrize(
    "cell",
    [
        *("2019-02-13", "20190213", "20190213.0", "2019/02/13", "2019.02.13", "2019-2-13", " 2019-02-13 "),
        *("13.02.2019", "13/02/2019", "02/13/2019", "13-02-2019", "2019-W07-3"),
    ],
)
def test_days_agree(cell: str) -> None:
    assert moment(cell) == moment("2019-02-13")
    assert moment(cell).iso == "2019-02-13"
    assert later(moment("2019-02-12"), moment(cell)) == 1


@pytest.mark.parametrize(
    ("cell", "iso"),
    [
        ("2019-03-01T08:15", "2019-03-01T08:15:00"),
        ("2019-03-01 8:15", "2019-03-01T08:15:00"),
        ("2019-03-01T08:15:30.4", "2019-03-01T08:15:30"),
        ("2019-03-01 08:15:30+02:00", "2019-03-01T08:15:30"),
        ("20190301T081530Z", "2019-03-01T08:15:30"),
        ("20190301081530", "2019-03-01T08:15:30"),
        ("01.03.2019 08:15", "2019-03-01T08:15:00"),
        ("3/13/2019 8:15:30 PM", "2019-03-13T20:15:30"),
        ("2019-03-01 12:05 am", "2019-03-01T00:05:00"),
        ("2019-03-01 12:05 p.m.", "2019-03-01T12:05:00"),
        ("2019-03-01 13:05 PM", "2019-03-01"),
        ("2019-03-01T00:00:00", "2019-03-01T00:00:00"),
        ("2019-03-01 25:00", "2019-03-01"),
        ("2019-03-01 quarter past", "2019-03-01"),
        ("9999-12-31T23:59:59.9", "9999-12-31T23:59:59"),
    ],
)
def test_times_of_a_day(cell: str, iso: str) -> None:
    assert moment(cell).iso == iso
    assert bool(moment(cell).unread) == (len(iso) == 10)


@pytest.mark.parametrize("cell", ["", "nan", "NaT", "None", "<NA>", "-", " ", None, float("nan")])
def test_missing_is_not_unread(cell: object) -> None:
    assert moment(cell) == Moment()


@pytest.mark.parametrize("cell", ["soon", "2019-13-40", "inf", "-inf", "1e99", "30.02.2019", "01/03/19", "2019-00"])
def test_unread(cell: str) -> None:
    assert not moment(cell)
    assert moment(cell).unread


@pytest.mark.parametrize(
    ("prior", "current", "order"),
    [
        ("2019-03-01", "2019-03-02", 1),
        ("2019-03-02", "2019-03-01", -1),
        ("2019-03-01", "2019-03-01", 0),
        # A missing time is not midnight, a missing day not the first.
        ("2020-03-01T14:30", "2020-03-01", 0),
        ("2020-03-01", "2020-03-01T00:00:00", 0),
        ("2020-03-01T23:59:59", "2020-03-02", 1),
        ("2020-03-01", "2020-03-02T00:00:00", 1),
        ("2020-03-01T08:15", "2020-03-01T08:15:30", 0),
        ("2020-03-01T08:15", "2020-03-01T08:16", 1),
        ("2019-05", "2019-05-20", 0),
        ("2019-04", "2019-05-20", 1),
        ("2019-06", "2019-05-20", -1),
        # Numbers are no dates.
        ("2020-02-01", "43891", 0),
        ("43891", "2020-02-01", 0),
        ("2019-06-05", "2020", 0),
        ("43891", "43890", -1),
        ("43891", "43891.5", 0),
        ("43891.25", "43891.5", 1),
        ("2018", "2019", 1),
        ("12", "-3", -1),
        # 03/04/2019 may be either.
        ("01/02/2019", "02/01/2019", 0),
        ("01/02/2019", "03/04/2019", 1),
        ("03/04/2019", "2019-03-20", 0),
        ("03/04/2018", "2019-03-20", 1),
        ("03/04/2019 10:00", "2019-03-04", 0),
        # Clocks of several zones.
        ("2020-02-01T23:30:00-05:00", "2020-02-02T03:00:00+00:00", -1),
        ("2020-02-01T10:00:00+02:00", "2020-02-01T10:00:00+01:00", 1),
        ("2020-02-01T10:00:00Z", "2020-02-01T11:00:00+01:00", 0),
        ("2020-02-01T10:00:00Z", "2020-02-01T11:00:00", 0),
        ("2020-02-01T10:00:00Z", "2020-02-01", 0),
        ("2020-02-01T23:00:00Z", "2020-02-02T01:00:00", 0),
        ("2020-02-01T10:00:00Z", "2020-02-03T11:00:00", 1),
        ("2020-02-01T23:00:00-05:00", "2020-02-02", 1),
        ("", "2020-02-02", 0),
        ("soon", "2020-02-02", 0),
    ],
)
def test_order(prior: str, current: str, order: int) -> None:
    assert later(moment(prior), moment(current)) == order
    assert later(moment(current), moment(prior)) == -order


def test_a_column_decides_where_the_day_stands() -> None:
    assert day_first(["", "03/04/2019", "13/02/2019 10:00"]) is True
    assert day_first(["03/04/2019", "02/13/2019"]) is False
    assert day_first(["03/04/2019", "2019-02-13"]) is None
    assert day_first(["13/02/2019", "02/13/2019"]) is None, "both"
    assert moment("03/04/2019", True).iso == "2019-04-03"
    assert moment("03/04/2019", False).iso == "2019-03-04"
    assert moment("03/04/2019").iso == ""
    assert moment("01.13.2019").iso == "2019-01-13"


@pytest.mark.parametrize(
    ("time", "clock"),
    [
        *(("93000.0", "09:30:00"), ("213014.531", "21:30:15"), ("930", "00:09:30"), ("0.0", "00:00:00")),
        *(("08:15:30", "08:15:30"), ("8:15", "08:15:00"), ("08:15:30.25", "08:15:30"), ("1530", "00:15:30")),
        *(("", ""), ("nan", ""), ("inf", ""), ("-93000", ""), ("25:00", ""), ("246060", ""), ("soon", "")),
    ],
)
def test_times_whose_zeros_are_lost(time: str, clock: str) -> None:
    """StudyTime of MIMIC-CXR."""
    taken = at_time(moment("2019-03-01"), time, "number")
    assert taken.iso == ("2019-03-01T" + clock if clock else "2019-03-01")
    assert bool(taken.unread) == (not clock and time not in ("", "nan"))


@pytest.mark.parametrize(
    ("time", "clock"),
    [
        *(("0930", "09:30:00"), ("1530", "15:30:00"), ("093000", "09:30:00"), ("09", "09:00:00")),
        *(("93000.0", "09:30:00"), ("930", "00:09:30"), ("930.0", "00:09:30"), ("1530.0", "00:15:30")),
    ],
)
def test_times_of_a_column_of_both(time: str, clock: str) -> None:
    assert digits_of([time, "0930"]) == "mixed"
    assert at_time(moment("2019-03-01"), time, "mixed").iso == "2019-03-01T" + clock


def test_what_a_column_of_times_is() -> None:
    assert digits_of(["93000.0", "0.0", "213014.5", ""]) == "number"
    assert digits_of(["093000", "213014"]) == "mixed"


@pytest.mark.parametrize(("time", "clock"), [("081530.123456", "08:15:30"), ("0815", "08:15:00"), ("815", "")])
def test_times_of_dicom(time: str, clock: str) -> None:
    assert at_time(moment("20190301"), time).iso == ("2019-03-01T" + clock if clock else "2019-03-01")


def test_what_is_kept_of_a_cell() -> None:
    for cell in ("2019-03-01", "2020-02-01T23:30:00-05:00", "20190301", "2019", "2019-05"):
        assert moment(cell).written(cell) == cell
    assert moment("01.03.2019").written("01.03.2019") == "2019-03-01"
    assert moment("soon").written("soon") == ""
    assert math.isnan(moment("soon").order)
