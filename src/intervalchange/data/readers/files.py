"""What every reader uses: finding the files of a data set, reading its tables, and what stands in a cell."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os.path import isfile
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from intervalchange.cells import MISSING
from intervalchange.errors import SourceError

Item = TypeVar("Item")
PROBED = 200
"""How many films are looked for on disk, to learn how they are named."""
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validate": "val", "validation": "val"}
SPLITS |= {"dev": "val", "test": "test", "testing": "test", "": ""}
"""A split as anyone may spell it -> ours."""
OLDEST = 120
"""Years; a header that claims more holds a typing error."""
PER_YEAR = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
"""Unit of a DICOM age -> how many make a year."""


# --- files ----------------------------------------------------------------------------------------------------------


def version_of(folder: Path) -> str:
    """The release, where a folder of the path is named after it; else empty."""
    return next((part for part in reversed(folder.resolve().parts) if re.fullmatch(r"\d+\.\d+\.\d+", part)), "")


def folder_with(folder: Path, *expected: str) -> Path:
    """The folder itself, or the newest version folder in it, whichever holds what is expected."""
    versions = sorted((path for path in folder.glob("[0-9]*.[0-9]*") if path.is_dir()), reverse=True)
    for candidate in (folder, *versions):
        if any((candidate / name).exists() or (candidate / f"{name}.gz").exists() for name in expected):
            return candidate
    return folder


def plain_or_gzip(folder: Path, name: str) -> Path | None:
    """The table as it is named, or gzipped, in any case of letters; or None."""
    wanted = (name.lower(), f"{name.lower()}.gz")
    exact = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if exact is not None or not (folder.is_dir() and os.access(folder, os.R_OK)):
        return exact
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() in wanted and path.is_file()), None)


def marker(path: Path) -> dict[str, Any]:
    """What SIMULATED says; a marker that is not JSON still marks."""
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        facts = None
    return facts if isinstance(facts, dict) and facts else {"simulated": True}


def newest_table(folder: Path, name: str, endings: Sequence[str], remedy: str) -> Path:
    """The last release of a table `NAME<release><ending>`: in the folder, a version folder of it, or beside it.

    Earlier endings come first. Raises SourceError where there is none.
    """
    for candidate in (folder, *sorted(folder.glob("[0-9]*.[0-9]*"), reverse=True), folder.parent):
        for ending in endings:
            tables = sorted(candidate.glob(f"{name}*{ending}"))
            if tables:
                return tables[-1]
    raise SourceError(f"there is no {name}*{' or '.join(endings)}.", where=folder, remedy=remedy)


def film_path(folder: Path, cell: str) -> str:
    """The path of a film below a folder. Backslashes are those of Windows where the film is there with slashes."""
    slashed = cell.replace("\\", "/").removeprefix("./")
    return slashed if "\\" in cell and not isfile(folder / cell) and isfile(folder / slashed) else cell


def progress(items: Iterable[Item], label: str, total: int, least: int = 5000) -> Iterable[Item]:
    """The items, with a bar on standard error where there are at least so many."""
    from rich.console import Console
    from rich.progress import track

    return track(items, label, total, console=Console(stderr=True), disable=total < least)


# --- tables ---------------------------------------------------------------------------------------------------------


def read_table(path: Path, remedy: str) -> pd.DataFrame:
    """A table of text, gzipped or not, all cells as strings, "" where one is missing (`cells.MISSING`); column names
    stripped, unnamed columns dropped.

    Commas, semicolons or tabs part the cells, as the first line has them; UTF-8, or UTF-16 as Excel writes "Unicode
    text". Of columns with the same name the first is kept. remedy: what to do where it cannot be read.
    """
    if not path.is_file():
        raise SourceError("no such file.", where=path, remedy=remedy)
    try:
        encoding, separator = _form(path)
        with warnings.catch_warnings():
            # Left to itself pandas takes the first cell of rows that are too long for their name, and all others shift.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                na_values=_MISSING_CELLS,
                encoding=encoding,
                sep=separator,
                skipinitialspace=True,
                index_col=False,
            ).fillna("")
    except pd.errors.ParserWarning as error:
        what = "its rows have more cells than its first line has names (a comma at the end of a row begins a cell)."
        raise SourceError(what, where=path, remedy=remedy) from error
    except pd.errors.EmptyDataError as error:
        raise SourceError("the table is empty.", where=path, remedy=remedy) from error
    except (pd.errors.ParserError, UnicodeError, OSError, EOFError, zlib.error) as error:
        raise SourceError(_why_unread(error), where=path, remedy=remedy) from error
    table.columns = [str(name).strip() for name in table.columns]
    table = table.loc[:, ~table.columns.duplicated()]
    return table[[name for name in table.columns if name and not name.startswith("Unnamed:")]]


_MISSING_CELLS = sorted({form for word in MISSING for form in (word, word.upper(), word.capitalize())} | {"NaN", "NaT"})
_MISSING_CELLS.remove("")  # An empty cell too many at the end of a row would pass for none.
"""As they stand in files; one with blanks around it is left to `cells.present`."""
_WORKBOOKS = {
    b"PK\x03\x04": "an Excel workbook (.xlsx) or a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
}
_WORKBOOKS |= {b"PAR1": "a Parquet file", b"<htm": "a web page", b"<!DO": "a web page"}
"""First bytes -> what was given for a table."""


def _form(path: Path) -> tuple[str, str]:
    """The encoding of a table, and what parts its cells. Raises SourceError where it is no text."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        opening = file.read(65_536)
    for magic, name in _WORKBOOKS.items():
        if opening.startswith(magic):
            raise SourceError(f"this is {name}.", where=path, remedy="Save the table as CSV (UTF-8) and give that.")
    encoding = "utf-16" if opening[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    first = (opening.decode(encoding, "ignore").splitlines() or [""])[0]
    first = re.sub(r'"[^"]*"', "", first)
    separators = {mark: first.count(mark) for mark in (",", ";", "\t")}
    return encoding, max(separators, key=separators.__getitem__)


def _why_unread(error: Exception) -> str:
    """What is wrong with a table that cannot be read."""
    ragged = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
    if ragged:
        names, line, cells = ragged.groups()
        return (
            f"line {line} has {cells} cells, and its first line {names} names: text that holds the mark between cells "
            "stands in quotation marks."
        )
    if isinstance(error, UnicodeError):
        return "this is not a CSV in UTF-8 (save it as such: other encodings lose letters)."
    return "this is not a CSV in UTF-8."


def need_columns(table: pd.DataFrame, columns: Iterable[str], path: Path, remedy: str) -> None:
    """Raise SourceError where a table lacks columns."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise SourceError(f"columns {', '.join(missing)} are missing.", where=path, remedy=remedy)


def named_columns(
    table: pd.DataFrame, spellings: Mapping[str, Sequence[str]], needed: Iterable[str], path: Path, remedy: str
) -> dict[str, str]:
    """Meaning -> the column that carries it: the first of its spellings that is there.

    Upper and lower case, spaces, dashes and underscores are all the same. Raises SourceError where a needed one lacks,
    or two columns of one name disagree.
    """
    plain: dict[str, str] = {}
    for name in table.columns:
        # pandas calls the second of two equal names `name.1`.
        repeated = re.sub(r"\.\d+$", "", name)
        spelling = re.sub(r"[\s\-]+", "_", (repeated if repeated in table.columns else name).lower())
        known = plain.setdefault(spelling, name)
        used = any(spelling in names for names in spellings.values())
        if used and not table[known].equals(table[name]):
            raise SourceError(f"two columns are called {known}.", where=path, remedy="Rename or remove one of them.")
    columns = {
        meaning: plain[name] for meaning, names in spellings.items() for name in reversed(names) if name in plain
    }
    missing = [name for name in needed if name not in columns]
    if missing:
        what = f"no column for {', '.join(missing)} among: {', '.join(table.columns)}."
        raise SourceError(what, where=path, remedy=remedy)
    return columns


# --- cells ----------------------------------------------------------------------------------------------------------


def number(text: str) -> float:
    """A cell as a number, NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def years(text: str, notes: Counter[str]) -> float:
    """`051Y`, `018M` or plain `51` -> years; NaN for nothing, nought years, and ages that nobody reaches."""
    match = re.fullmatch(r"(\d{1,3})([YMWD]?)", text)
    if match is None:
        return math.nan
    years = float(math.floor(int(match[1]) / PER_YEAR[match[2]]))
    if years > OLDEST:
        notes[f"ages over {OLDEST} years (unknown)"] += 1
        return math.nan
    return math.nan if int(match[1]) == 0 else years
