"""What a filed result takes from the headers of its films, and the UIDs under which it is filed.

Headers are incomplete and wrong. What says where a result belongs (UIDs, PatientID) is copied exactly or the film is
refused; everything else is copied where it is valid and left empty where it is not. Text leaves as UTF-8.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

from intervalchange.data.dicom import silenced
from intervalchange.data.dicom_selection import header_text
from intervalchange.errors import InputError
from intervalchange.grammar import DIFFERENCE_QUESTION

DEVICE = "intervalchange"
CHARACTERS = "ISO_IR 192"
NAMESPACE = UUID("11c0ed77-0526-5554-ab53-94ccf5e5d81a")
UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
FILM_CLASSES = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("1", "1.1", "1.1.1", "7", "7.1", "7.2", "7.3", "7.4", "12.1", "12.2")
)
"""SOP classes in which a radiograph may be: CR, DX, secondary captures, and those that `--force` lets through."""
LONGEST = {"LO": 64, "SH": 16}
COPIED = {
    "PatientName": "PN",
    "PatientBirthDate": "DA",
    "PatientSex": "CS",
    "StudyDate": "DA",
    "StudyTime": "TM",
    "AccessionNumber": "SH",
    "StudyID": "SH",
    "ReferringPhysicianName": "PN",
}
"""Type 2: present, and empty where nothing valid is known."""
COPIED_WHERE_KNOWN = {"IssuerOfPatientID": "LO", "StudyDescription": "LO", "PatientAge": "AS"}
ESCAPE = "\x1b"
"""Switches character sets within a text (ISO 2022)."""
TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
REFUSED = "Its study cannot be told; file it by hand, or correct the header."


def derived_uid(*parts: str) -> str:
    """A UID that depends on nothing but `parts`."""
    return f"2.25.{uuid5(NAMESPACE, chr(0).join(parts)).int}"


@dataclass(frozen=True)
class ResultUids:
    """SOP Instance UIDs of what is filed for one answer."""

    report: str
    capture: str
    pdf: str


def result_uids(current_uid: str, prior_uid: str, model: str, question: str = DIFFERENCE_QUESTION) -> ResultUids:
    """Where the answer of a model about two films (by SOP Instance UID; no prior: empty) is, if it is filed.

    The same films, model and question give the same UIDs, so that an archive keeps an answer once.
    """
    kinds = ("SR", "SC", "PDF")
    return ResultUids(*(derived_uid(current_uid, prior_uid, model, question, kind) for kind in kinds))


@dataclass(frozen=True)
class Filing:
    """The films that an answer is about, and what is said of how it came about. No `repr` shows a header."""

    header: Dataset = field(repr=False)
    """Of the current film, as it came."""
    current: Dataset = field(repr=False)
    """`cited`."""
    prior: Dataset | None = field(repr=False)
    model: str
    question: str
    why: str = ""
    abstain_at: float | None = None

    @property
    def films(self) -> list[Dataset]:
        """The films that are cited, the current one first."""
        return [self.current] if self.prior is None else [self.current, self.prior]

    @property
    def uids(self) -> ResultUids:
        """Of what is filed."""
        prior = "" if self.prior is None else self.prior.SOPInstanceUID
        return result_uids(self.current.SOPInstanceUID, prior, self.model, self.question)


def cited(header: Dataset, side: str) -> Dataset:
    """The elements of a film's header that results carry on, all valid. side: current or prior, for the error.

    Raises InputError for a film without a valid UID of its own, of its series or study, or whose PatientID is none.
    """
    film = Dataset()
    with silenced():
        for name in UIDS:
            uid = UID(_text(header, name) or "")
            if not uid.is_valid or (name == "SOPClassUID" and uid not in FILM_CLASSES):
                raise InputError(f"the {side} film has no valid {name}: nothing can be filed for it.", remedy=REFUSED)
            setattr(film, name, uid)
        patient = _text(header, "PatientID")
        if patient is None or not _is_valid(patient, "LO"):
            raise InputError(f"the {side} film has no valid PatientID: nothing can be filed for it.", remedy=REFUSED)
        film.PatientID = patient
        for name, kind in (COPIED | COPIED_WHERE_KNOWN).items():
            value = _text(header, name) or ""
            valid = value if _is_valid(value, kind) else ""
            if valid or name in COPIED:
                setattr(film, name, valid)
    film.SpecificCharacterSet = CHARACTERS
    return film


def _text(header: Dataset, name: str) -> str | None:
    """An element as text; None for several values or one that no parser can read."""
    with suppress(Exception):  # a foreign parser fails in every way there is
        item = header.get_item(name)
        if item is None or item.value is None:
            return ""
        if isinstance(item.value, bytes):  # not parsed yet
            text = header_text(header, name)
            if ESCAPE not in text:
                return None if "\\" in text else text
        value: Any = header.get(name)
        return None if isinstance(value, MultiValue) else str(value).strip("\0 ")
    return None


def _is_valid(text: str, kind: str) -> bool:
    """Whether a text is a value of a DICOM value representation. Empty is."""
    if not text:
        return True
    if not text.isprintable() or "\\" in text:
        return False
    if kind in LONGEST:
        return len(text) <= LONGEST[kind]
    if kind == "PN":
        groups = text.split("=")
        return len(groups) <= 3 and all(len(group) <= 64 and group.count("^") <= 4 for group in groups)
    if kind == "TM":
        return TIME.fullmatch(text) is not None
    if kind == "AS":
        return re.fullmatch(r"\d{3}[DWMY]", text, re.ASCII) is not None
    if kind == "CS":
        return text in ("F", "M", "O")
    with suppress(ValueError):
        return bool(re.fullmatch(r"\d{8}", text, re.ASCII)) and datetime.strptime(text, "%Y%m%d").year > 0
    return False
