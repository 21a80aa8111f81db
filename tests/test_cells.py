"""Words for a missing value, and ids that passed through floats."""

import pytest

from intervalchange.cells import plain_id, present


@pytest.mark.parametrize(
    "cell",
    [
        "",
        " ",
        "nan",
        "NaN",
        " nan ",
        "None",
        "NONE",
        "NA",
        "N/A",
        "n/a",
        "NULL",
        "<NA>",
        "NaT",
        "-",
        "--",
        "#N/A",
        "n.a.",
    ],
)
def test_missing(cell: str) -> None:
    assert present(cell) == ""
    assert plain_id(cell) == ""


@pytest.mark.parametrize(
    "cell", ["NA01", "Nan Goldin", "nano", "none seen", "0", "no", "nothing", "-1", "unknown", "null 7"]
)
def test_present(cell: str) -> None:
    assert present(f" {cell} ") == cell


@pytest.mark.parametrize(
    ("cell", "plain"),
    [
        *(("7", "7"), ("7.0", "7"), (" 7.00 ", "7"), ("10000003.0", "10000003"), ("0.0", "0")),
        *(("1.0000003E+07", "10000003"), ("1e7", "10000000"), ("1.5e+01", "15")),
        # Another id each.
        *(("0007", "0007"), ("0007.0", "0007"), ("7.5", "7.5"), ("P7.0", "P7.0"), ("7.0.0", "7.0.0"), ("-7.0", "-7.0")),
        *(("5e10a", "5e10a"), ("1.23e1", "1.23e1"), ("1e99", "1e99"), ("12e3", "12e3"), ("1e-3", "1e-3")),
    ],
)
def test_plain_id(cell: str, plain: str) -> None:
    assert plain_id(cell) == plain
    assert plain_id(plain) == plain
