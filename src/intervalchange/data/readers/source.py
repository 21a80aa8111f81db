"""What every reader hands over."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from intervalchange.errors import SourceError
from intervalchange.records import Case


@dataclass(frozen=True)
class Source:
    """A data set as read from its tables: cases, where its films lie, and what was noticed on the way."""

    name: str
    release: str
    image_root: Path
    cases: list[Case]
    notes: Mapping[str, int] = field(default_factory=dict)
    """What was skipped, repaired or doubtful -> how often, in words for the doctor's page."""
    maps: Mapping[str, Path] = field(default_factory=dict)
    """Study.image -> 8-bit picture of the opacity map in the frame of the film, where the truth is known."""
    simulated: Mapping[str, object] = field(default_factory=dict)
    """What the file SIMULATED says, where the films are rendered and not taken of people."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Study.image -> the file itself, where its name must not be kept; nor is then the date in its header."""


def read_table(path: Path, hint: str) -> pd.DataFrame:
    """A CSV, gzipped or not, all cells as strings, "" where empty; column names stripped, unnamed columns dropped.

    Of columns with the same name the first is kept. hint: what to do where it cannot be read.
    """
    if not path.is_file():
        raise SourceError("no such file.", where=path, remedy=hint)
    try:
        with warnings.catch_warnings():
            # Left to itself pandas takes the first cell of rows that are too long for their name, and all others shift.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True, index_col=False
            )
    except pd.errors.ParserWarning as error:
        what = "its rows have more cells than its first line has names (a comma at the end of a row begins a cell)."
        raise SourceError(what, where=path, remedy=hint) from error
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
        OSError,
        EOFError,
        zlib.error,
    ) as error:
        raise SourceError("this is not a CSV in UTF-8.", where=path, remedy=hint) from error
    table.columns = [str(name).strip() for name in table.columns]
    table = table.loc[:, ~table.columns.duplicated()]
    return table[[name for name in table.columns if name and not name.startswith("Unnamed:")]]


def moment(text: object) -> float:
    """A date, or date with time, as a sortable number of days; NaN where it is empty or cannot be read.

    Takes YYYY-MM-DD, YYYYMMDD (also as a number: 20190213.0), YYYY/MM/DD, ISO date-times, and plain numbers of days
    of fewer than eight digits.
    """
    plain = str(text).strip()
    if plain.endswith(".0"):
        plain = plain[:-2]
    if not plain or plain.lower() in ("nan", "nat", "none"):
        return math.nan
    try:
        if len(plain) < 8:
            return float(plain)
        when = datetime.fromisoformat(plain.replace("/", "-")).replace(tzinfo=None)
    except ValueError:
        return math.nan
    return when.toordinal() + (when.hour * 3600 + when.minute * 60 + when.second + when.microsecond / 1e6) / 86400
