"""What the DICOM headers of two films say of each other: which is the earlier one, and whether they name one patient.

Dates, PatientIDs, sexes and dates of birth are compared in here. Only the outcome leaves, or a header whose names are
hidden (`FilmHeader.hidden`); none of them is printed or stored.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from intervalchange.cells import present
from intervalchange.data.dicom import silenced
from intervalchange.data.png_jpeg import JPEG, PNG
from intervalchange.data.readers.moments import Moment, at_time, later, moment

TIMES = ("Study", "Series", "Acquisition", "Content")
"""What has a date and a time, in the order in which they are asked."""
READ = (
    *(f"{what}{part}" for what in TIMES for part in ("Date", "Time")),
    *("TimezoneOffsetFromUTC", "PatientID", "PatientBirthDate", "PatientSex"),
)
FIRST_YEAR = 1902
"""Earlier dates stand for a date that was taken out: 19000101, 19010101, 00010101."""


@dataclass(frozen=True)
class HeaderPair:
    """What two headers say of a pair; nothing where one film has none."""

    order: int = 0
    """1 where current is certainly later, -1 where it is certainly earlier, 0 where nobody can tell."""
    patients_differ: bool = False
    """Two PatientIDs."""
    people_differ: bool = False
    """Two sexes or dates of birth."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """For the reader of an answer."""
        found = []
        if self.order < 0:
            found.append(
                "the dates in the two DICOM headers say that the prior is the later film: if they are right, prior and "
                "current are exchanged and the answer is reversed"
            )
        what = "PatientIDs" if self.patients_differ else "sexes or dates of birth" if self.people_differ else ""
        if what:
            found.append(f"the two DICOM headers give different {what}: check that both films are of one patient")
        return tuple(found)


@dataclass(frozen=True)
class FilmHeader:
    """What the header of one film says of its time and its patient."""

    times: Mapping[str, Moment] = field(repr=False)
    """Each of TIMES -> when, where it is known."""
    patient: str = field(repr=False)
    born: str = field(repr=False)
    sex: str = field(repr=False)

    @classmethod
    def of(cls, path: str | Path) -> FilmHeader | None:
        """Of a film that could be read; None for a PNG or JPEG, which has none."""
        return _header(Path(path))

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> FilmHeader:
        """The inverse of `as_json`."""
        times = {what: Moment(**moment) for what, moment in plain["times"].items()}
        return cls(times, str(plain["patient"]), str(plain["born"]), str(plain["sex"]))

    def as_json(self) -> dict[str, Any]:
        """For another process."""
        return asdict(self)

    def hidden(self, key: bytes) -> FilmHeader:
        """The same with patient, date of birth and sex replaced by keyed hashes: equal where they are equal, and no
        more. Times stay."""

        def hash_of(text: str) -> str:
            return hmac.digest(key, text.encode(), "sha256").hex()[:32] if text else ""

        return replace(self, patient=hash_of(self.patient), born=hash_of(self.born), sex=hash_of(self.sex))

    @property
    def taken(self) -> Moment:
        """By the first of TIMES that has a day."""
        return next(iter(self.times.values()), Moment())


def compare_headers(prior: str | Path, current: str | Path) -> HeaderPair:
    """Compare the headers of two films that could be read. A PNG or JPEG has none."""
    pair = (Path(prior), Path(current))
    return compare_pairs([pair])[pair]


def compare_pairs(pairs: Iterable[tuple[Path, Path]]) -> dict[tuple[Path, Path], HeaderPair]:
    """(prior, current) -> what their headers say of each other; each header is read once."""
    headers: dict[Path, FilmHeader | None] = {}
    compared = {}
    for pair in pairs:
        for path in pair:
            if path not in headers:
                headers[path] = _header(path)
        prior, current = (headers[path] for path in pair)
        compared[pair] = compared_headers(prior, current)
    return compared


def compared_headers(prior: FilmHeader | None, current: FilmHeader | None) -> HeaderPair:
    """What two headers say of each other; nothing where one film has none."""
    return HeaderPair() if prior is None or current is None else _compared(prior, current)


def compare_data_sets(prior: Any, current: Any) -> HeaderPair:
    """Compare two headers that are read (pydicom data sets)."""
    with silenced():
        return _compared(_elements(prior), _elements(current))


def taken(data: Any) -> Moment:
    """When the film of a header (a pydicom data set) was taken, as far as it says so."""
    with silenced():
        return _elements(data).taken


def _compared(prior: FilmHeader, current: FilmHeader) -> HeaderPair:
    shared = (what for what in TIMES if what in prior.times and what in current.times)
    orders = (later(prior.times[what], current.times[what]) for what in shared)
    order = next((order for order in orders if order), 0) or later(prior.taken, current.taken)
    return HeaderPair(
        order,
        patients_differ=_differ(prior.patient, current.patient),
        people_differ=_differ(prior.sex, current.sex) or _differ(prior.born, current.born),
    )


def _differ(first: str, second: str) -> bool:
    return bool(first and second and first != second)


def _header(path: Path) -> FilmHeader | None:
    """The elements of READ; None for a film without a header, or one that a parser stumbles over."""
    import pydicom

    try:
        with path.open("rb") as file:
            if file.read(8).startswith((PNG, JPEG)):
                return None
        with silenced():
            return _elements(pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(READ)))
    except Exception:  # a foreign parser fails in every way there is; whether the film is read is decided elsewhere
        return None


def _elements(data: Any) -> FilmHeader:
    texts = {name: _text(data, name) for name in READ}
    sex = texts["PatientSex"].upper()
    return FilmHeader(
        _times(texts), texts["PatientID"].upper(), texts["PatientBirthDate"], sex if sex in ("F", "M") else ""
    )


def _times(texts: Mapping[str, str]) -> dict[str, Moment]:
    zone = texts["TimezoneOffsetFromUTC"] if re.fullmatch(r"[+-]\d{4}", texts["TimezoneOffsetFromUTC"]) else ""
    times = {}
    for what in TIMES:
        day, time = moment(texts[f"{what}Date"]), texts[f"{what}Time"]
        if day.iso[:4] >= str(FIRST_YEAR):
            times[what] = at_time(day, f"{time}{zone}" if time else "")
    return times


def _text(data: Any, name: str) -> str:
    """An element as it is written; pydicom would complain of a date that is none."""
    item = data.get_item(name)
    value = "" if item is None or item.value is None else item.value
    return present((value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip("\0 "))
