"""When a film was taken, no more exactly than its table says.

A moment is the span from the earliest to the latest that a cell can mean: a date without a time is all of its day, a
month all of its month, 05/03/2019 the third of May or the fifth of March. Which of two moments is the earlier one is
known only where their spans do not overlap; a time that is missing is not midnight.

Two scales are never compared: dates of the calendar, and plain numbers of fewer than eight digits (days since anything,
the serial numbers of Excel, a bare year).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal

from intervalchange.cells import present

SECONDS = 86_400
"""Of a day."""
EAST, WEST = 14 / 24, 12 / 24
"""Days by which a clock can be ahead of, and behind, UTC."""
_LAST = datetime.max.replace(microsecond=0) - datetime.min
DATE_WORDS = "dates that cannot be read"
TIME_WORDS = "times of day that cannot be read (only the day counts)"

Digits = Literal["dicom", "number", "mixed"]
"""How a time in digits is written: HHMMSS.FFF, HHMM or HH; the same as a number, its leading zeros lost, as in
MIMIC-CXR, where 930.0 is half past nine minutes after midnight; or a column of both."""

_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})|(\d{4})(\d\d)(\d\d)(?:\.0+)?", re.ASCII)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})", re.ASCII)
_MONTH = re.compile(r"(\d{4})[-/](\d{1,2})", re.ASCII)
_NUMBER = re.compile(r"[-+]?\d{1,7}(?:\.\d*)?", re.ASCII)
_COLONS = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d(?:[.,]\d+)?))?(?:\s*([ap])\.?m\.?)?", re.ASCII | re.IGNORECASE)
_DIGITS = re.compile(r"(\d+)(\.\d*)?", re.ASCII)
_ZONE = re.compile(r"(.*?)\s*(?:(Z|UTC|GMT)|([+-])(\d\d):?(\d\d)?)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Moment:
    """A span of time by the clock on the wall, in days. Unknown where it has no scale."""

    scale: str = ""
    """calendar, number, or empty."""
    earliest: float = math.nan
    """Days of the proleptic calendar, or the number itself."""
    latest: float = math.nan
    """The end, which is not part of the span; equal to `earliest` where the moment is exact."""
    ahead: float = math.nan
    """Days by which the clock is ahead of UTC, NaN where no zone is given."""
    unread: str = ""
    """What of the cell could not be read, as a note; empty where all was."""

    def __bool__(self) -> bool:
        return bool(self.scale)

    @property
    def order(self) -> float:
        """A number to sort moments of one scale by, NaN where unknown. Two that it sorts need not be comparable."""
        return self.earliest if math.isnan(self.ahead) else self.earliest - self.ahead

    @property
    def iso(self) -> str:
        """ISO date, or date-time to the second, by the clock on the wall; empty where the day is not known."""
        if self.scale != "calendar" or self.latest - self.earliest > 1:
            return ""
        if self.latest - self.earliest == 1:
            return date.fromordinal(int(self.earliest)).isoformat()
        since = timedelta(seconds=round((self.earliest - 1) * SECONDS))
        return (datetime.min + min(since, _LAST)).isoformat()

    def written(self, cell: str) -> str:
        """The cell as it is kept of a study: as it stands where that is ISO, or not a day of the calendar."""
        try:
            datetime.fromisoformat(cell)
        except ValueError:
            return self.iso or cell if self else ""
        return cell if self else ""


def later(prior: Moment, current: Moment) -> int:
    """1 where `current` is certainly later, -1 where it is certainly earlier, 0 where nobody can tell."""
    if not prior or prior.scale != current.scale:
        return 0
    first, second = _on_one_clock(prior, current)
    return 1 if _ends_before(first, second) else -1 if _ends_before(second, first) else 0


def _ends_before(first: Moment, second: Moment) -> bool:
    exact = first.earliest == first.latest
    return first.latest < second.earliest or (first.latest == second.earliest and not exact)


def _on_one_clock(first: Moment, second: Moment) -> tuple[Moment, Moment]:
    """Both by the clock of UTC where a zone is given. A time without a zone can be of any; a date is that of the place,
    as is the date of a time with a zone."""
    if math.isnan(first.ahead) and math.isnan(second.ahead):
        return first, second
    if any(math.isnan(moment.ahead) and moment.latest - moment.earliest >= 1 for moment in (first, second)):
        return first, second
    return _in_utc(first), _in_utc(second)


def _in_utc(moment: Moment) -> Moment:
    east, west = (EAST, WEST) if math.isnan(moment.ahead) else (moment.ahead, -moment.ahead)
    # To the millisecond: 10:00 and 11:00+01:00 are one.
    return replace(moment, earliest=round(moment.earliest - east, 8), latest=round(moment.latest + west, 8))


# --- reading ---------------------------------------------------------------------------------------------------------


def day_first(cells: Iterable[str]) -> bool | None:
    """Whether a column writes 13/02/2019 or 02/13/2019 for the thirteenth of February; None where it does not show."""
    shown = set()
    for cell in cells:
        match = _YEAR_LAST.match(cell.strip())
        if match and (int(match[1]) > 12) != (int(match[3]) > 12):
            shown.add(int(match[1]) > 12)
    return shown.pop() if len(shown) == 1 else None


def moment(cell: object, days_first: bool | None = None) -> Moment:
    """A cell with a date, a date with its time, or a number of days.

    Read are YYYY-MM-DD (with -, / or .), YYYYMMDD (also as a number: 20190213.0), YYYY-MM, DD.MM.YYYY, dates such as
    13/02/2019, whose order of day and month the column decides (days_first), every ISO date-time with or without a
    zone, and plain numbers of fewer than eight digits.
    """
    return _moment(present(str(cell)), days_first)


@lru_cache(maxsize=1 << 16)
def _moment(text: str, days_first: bool | None) -> Moment:
    if not text:
        return Moment()
    if _NUMBER.fullmatch(text):
        number = float(text)
        return Moment("number", number, number + 1 if number == int(number) else number)
    day, time = _split(text)
    span = _days(day, days_first)
    if span is None:
        return _other_iso(text)
    taken = Moment("calendar", *span)
    return at_time(taken, time) if time else taken


def _split(text: str) -> tuple[str, str]:
    """The date and the time of a cell."""
    match = re.match(r"([\d./-]{8,10})[T ]\s*(?=\S)|(\d{8})(?=\d{4})", text, re.ASCII)
    return (match[1] or match[2], text[match.end() :]) if match else (text, "")


def _days(text: str, days_first: bool | None) -> tuple[float, float] | None:
    """The first day that is meant and the day after the last; None for another text, or a day that does not exist."""
    decided = False
    if match := _YEAR_FIRST.fullmatch(text):
        year, month, day = (match[1], match[3], match[4]) if match[1] else match.groups()[4:]
        readings = [(int(year), int(month), int(day))]
    elif match := _YEAR_LAST.fullmatch(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        readings = [(year, second, first), (year, first, second)]
        if days_first is False:
            readings.reverse()
        decided = days_first is not None or match[2] == "."
    elif match := _MONTH.fullmatch(text):
        year, month = int(match[1]), int(match[2])
        return _month(year, month) if 1 <= month <= 12 and year else None
    else:
        return None
    days = [day for day in map(_ordinal, readings) if day is not None][: 1 if decided else 2]
    return (min(days), max(days) + 1) if days else None


def _month(year: int, month: int) -> tuple[float, float] | None:
    first = _ordinal((year, month, 1))
    after = _ordinal((year + month // 12, month % 12 + 1, 1))
    return None if first is None or after is None else (first, after)


def _ordinal(day: tuple[int, int, int]) -> float | None:
    try:
        return float(date(*day).toordinal())
    except ValueError:
        return None


def _other_iso(text: str) -> Moment:
    """Weeks, and what else Python takes for an ISO date."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return Moment(unread=DATE_WORDS)
    first = float(when.toordinal())
    return Moment("calendar", first, first + 1)


def at_time(day: Moment, cell: str, digits: Digits = "dicom") -> Moment:
    """The moment of a day with the time of a cell, and its zone.

    Read are HH:MM, HH:MM:SS, both with AM or PM, and digits. A time that is missing or cannot be read leaves the day.
    """
    text = present(cell)
    if not text or day.latest - day.earliest != 1:
        return day  # An ambiguous day is not made clearer by its time.
    ahead = math.nan
    if not text.replace(".", "", 1).isdigit() and (match := _ZONE.fullmatch(text)):
        text, ahead = match[1], 0.0 if match[2] else _zone(match[3], match[4], match[5])
    clock = _clock(text, digits)
    if clock is None or ahead < -WEST or ahead > EAST:
        return replace(day, unread=TIME_WORDS)
    start, step = clock
    earliest = day.earliest + start / SECONDS
    return Moment(day.scale, earliest, earliest + step / SECONDS, ahead)


def _zone(sign: str, hours: str, minutes: str | None) -> float:
    """Days ahead of UTC."""
    ahead = (int(hours) + int(minutes or 0) / 60) / 24
    return -ahead if sign == "-" else ahead


def digits_of(cells: Iterable[str]) -> Digits:
    """How a column of times is written: as numbers where no cell begins with the zero of an hour before ten."""
    zero = re.compile(r"0\d(\d\d){0,2}(\.\d*)?", re.ASCII)
    return "mixed" if any(zero.fullmatch(cell.strip()) for cell in cells) else "number"


def _clock(text: str, digits: Digits) -> tuple[float, float] | None:
    """Seconds since midnight, and how many the text leaves open."""
    half = ""
    if match := _COLONS.fullmatch(text):
        *parts, half = match.groups(default="")
    elif (match := _DIGITS.fullmatch(text)) and len(match[1]) <= 6:
        whole, rest = match[1], match[2] or ""
        incomplete = len(whole) % 2 == 1 or (len(whole) < 6 and rest)
        if digits == "number" or (digits == "mixed" and incomplete):
            whole = whole.zfill(6)
        elif incomplete:
            return None
        parts = [whole[:2], whole[2:4], whole[4:] + rest]
    else:
        return None
    hours, minutes, seconds = int(parts[0] or 0), int(parts[1] or 0), float((parts[2] or "0").replace(",", "."))
    if half:  # Of the clock of twelve hours: 12 is its nought.
        hours = hours % 12 + 12 * (half in "pP") if 1 <= hours <= 12 else 24
    if hours > 23 or minutes > 59 or seconds >= 61:
        return None
    step = 0 if parts[2] else 60 if parts[1] else 3600
    return hours * 3600 + minutes * 60 + seconds, step


def counted(moment: Moment, notes: Counter[str]) -> Moment:
    """The moment; what of it could not be read is counted."""
    if moment.unread:
        notes[moment.unread] += 1
    return moment
