"""What may be known of one DICOM file of a hospital: its header, judged, and nothing in it that names a person."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from intervalchange.data.decoded_film import MAX_FILE_BYTES
from intervalchange.data.dicom import code
from intervalchange.data.dicom_selection import (
    NOTHING_MORE,
    UNSAID,
    Admitted,
    kind_of,
    modality_of,
    part_of_body,
    says_a_view,
    view_of,
)
from intervalchange.data.dicom_stream import PLUGINS, is_dicom, lacks_preamble, transfer_syntax, with_preamble
from intervalchange.data.readers.files import years
from intervalchange.data.readers.pseudonyms import Pseudonyms

HEAD_BYTES = 65_536
"""Read of a file at first; nearly every header is shorter."""
LAST_TAG = 0x0054_0220
"""View Code Sequence: nothing of a higher tag is asked for."""
TAGS = (
    *(
        "SpecificCharacterSet",
        "ImageType",
        "SOPClassUID",
        "AnatomicRegionSequence",
        "SOPInstanceUID",
        "StudyDate",
        "SeriesDate",
        "AcquisitionDate",
        "ContentDate",
        "StudyTime",
    ),
    *("SeriesTime", "AcquisitionTime", "ContentTime", "Modality", "PresentationIntentType", "StudyDescription"),
    *("SeriesDescription", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "BodyPartExamined"),
    *("ProtocolName", "ViewPosition", "StudyInstanceUID", "SeriesNumber", "InstanceNumber", "PatientOrientation"),
    *("NumberOfFrames", "Rows", "Columns", "BurnedInAnnotation", "ViewCodeSequence"),
)
OLDEST_KEPT = 90
"""Years that stand for all ages above 89, which may point at a person."""

NO_DICOM = "files that are not DICOM (left out)"
WITHOUT_PREAMBLE = "DICOM without its preamble (read)"


@dataclass(frozen=True, slots=True)
class DicomFilm:
    """A frontal chest film. The ids are pseudonyms."""

    path: Path
    patient: str
    study: str
    instance: str
    view: str
    """PA, AP, or empty."""
    age: float
    """Years, at most OLDEST_KEPT."""
    sex: str
    day: int | None
    """Of the proleptic calendar, for differences only."""
    clock: str
    """Time of the day, to sort by; empty where unknown."""
    born: str
    """A pseudonym of the date of birth, to see whether two people share a PatientID."""
    choice: tuple[int, ...]
    """The film of a study with the smallest one is taken."""
    doubts: tuple[str, ...] = ()
    """To be counted."""


def read_header(path: Path, pseudonyms: Pseudonyms, admitted: Admitted = NOTHING_MORE) -> DicomFilm | str:
    """What one file is, or in words why it is left out. Raises nothing: one bad file must not lose the rest.

    admitted: what is let in although its header names something else.

    Called inside `silenced()`: pydicom's complaints quote the header.
    """
    try:
        header = _header(path)
        if isinstance(header, str):
            return header
        return _why_left_out(header, admitted) or _film(path, header, pseudonyms, admitted)
    except OSError:
        return "files that cannot be opened (left out)"
    except Exception:  # a foreign parser fails in every way there is
        return "damaged DICOM files (left out)"


def _header(path: Path) -> Any:
    """The elements of TAGS, or why they are not read. Lengths in the file cannot make the parser allocate more."""
    with path.open("rb") as file:
        head = file.read(132)
        if not is_dicom(head):
            return NO_DICOM
        bare = lacks_preamble(head)
        head = with_preamble(head + file.read(HEAD_BYTES - len(head)))
        if transfer_syntax(head) not in PLUGINS:
            return "DICOM files in a transfer syntax that is not read here, or without one (left out)"
        header, complete = _parsed(head)
        if not complete:
            header, _ = _parsed(head + file.read(MAX_FILE_BYTES))
    header.is_bare = bare
    return header


def _parsed(data: bytes) -> tuple[Any, bool]:
    """The data set, and whether it was there up to the last tag that is asked for."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.filereader import read_partial

    passed = []

    def beyond(tag: int, vr: str | None, length: int) -> bool:
        if tag > LAST_TAG:
            passed.append(tag)
        return tag > LAST_TAG

    tags: list[Any] = [tag_for_keyword(name) for name in TAGS]
    return read_partial(io.BytesIO(data), beyond, specific_tags=tags), bool(passed)


def _why_left_out(header: Any, admitted: Admitted) -> str:
    """Empty for a film that can be used, as `data.dicom` will judge it; but a film that may be lateral is left out."""
    if kind_of(header, admitted) == "other":
        return "DICOM files of another modality than a radiograph (left out)"
    if int(header.get("NumberOfFrames") or 1) != 1:
        return "films of several frames (left out)"
    if not (header.get("Rows") and header.get("Columns")):
        return "DICOM files without a picture, or cut short (left out)"
    if part_of_body(header, admitted) == "other":
        return "films of another part of the body (left out)"
    view = view_of(header, admitted)
    if view == "lateral":
        return "films that are not frontal (left out)"
    if view == "either":
        return "films that may be frontal or lateral by their descriptions (left out)"
    if code(header, "BurnedInAnnotation") == "YES":
        return "films with text burned into the pixels, which may name the patient (left out)"
    if not _raw(header, "StudyInstanceUID") or not _raw(header, "SOPInstanceUID"):
        return "films without the UID of their study or their own (left out)"
    return ""


def _doubts(header: Any, view: str, admitted: Admitted) -> Counter[str]:
    """What is not known of a film that is taken, to be counted."""
    doubts: Counter[str] = Counter()
    if header.is_bare:
        doubts[WITHOUT_PREAMBLE] += 1
    if kind_of(header, admitted) == "unknown" and modality_of(header) not in UNSAID:
        doubts["films whose modality is not known here (taken as radiographs)"] += 1
    if part_of_body(header, admitted) == "unknown":
        doubts["films of a part of the body that is not known here (taken as the chest)"] += 1
    if not view and says_a_view(header):
        doubts["films whose view is not known here (taken as frontal)"] += 1
    elif view not in ("PA", "AP"):
        doubts["films whose view is not said (taken as frontal)"] += 1
    return doubts


def _film(path: Path, header: Any, pseudonyms: Pseudonyms, admitted: Admitted) -> DicomFilm:
    view = view_of(header, admitted)
    doubts = _doubts(header, view, admitted)
    view = view if view in ("PA", "AP") else ""
    person, study = _raw(header, "PatientID"), _raw(header, "StudyInstanceUID")
    if not person:
        doubts["films without a PatientID (each study counts as a patient)"] += 1
    day, clock = _moment(header, doubts)
    born, sex = _text(header, "PatientBirthDate"), _text(header, "PatientSex")
    return DicomFilm(
        path=path,
        patient=pseudonyms.of("P", person or b"study " + study),
        # With the patient, for two people must not share a study, and apart from the ids of patients.
        study=pseudonyms.of("S", person + b"\0" + study),
        instance=pseudonyms.of("I", _raw(header, "SOPInstanceUID")),
        view=view,
        age=_age(_text(header, "PatientAge"), born, day, doubts),
        sex=sex if sex in ("F", "M") else "",
        day=day,
        clock=clock,
        born=pseudonyms.of("B", born.encode()) if born else "",
        choice=choice(header, view),
        doubts=tuple(doubts),
    )


def choice(header: Any, view: str) -> tuple[int, ...]:
    """The film of a study with the smallest one is taken.

    PA before AP before unknown, for display before for processing, original before derived, then by number.
    """
    numbers = (_text(header, name) for name in ("SeriesNumber", "InstanceNumber"))
    return (
        ("PA", "AP", "").index(view),
        int(code(header, "PresentationIntentType") == "FOR PROCESSING"),
        int("DERIVED" in _text(header, "ImageType").upper()),
        *(int(number) if re.fullmatch(r"\d{1,9}", number) else 10**9 for number in numbers),
    )


def _moment(header: Any, doubts: Counter[str]) -> tuple[int | None, str]:
    """Day and time of the first of study, series, acquisition and content that has a day."""
    unread = False
    for what in ("Study", "Series", "Acquisition", "Content"):
        day = _day(_text(header, f"{what}Date"))
        unread = unread or (day is None and bool(_text(header, f"{what}Date")))
        if day is not None:
            time = re.match(r"(\d\d):?(\d\d)(?::?(\d\d(?:\.\d+)?))?", _text(header, f"{what}Time"))
            return day, "".join(part or "00" for part in time.groups()) if time else ""
    if unread:
        doubts["dates that cannot be read"] += 1
    return None, ""


def _day(text: str) -> int | None:
    """YYYYMMDD, or YYYY.MM.DD of before 1993."""
    match = re.fullmatch(r"(\d{4})[.-]?(\d\d)[.-]?(\d\d)", text)
    try:
        return date(*map(int, match.groups())).toordinal() if match else None
    except ValueError:
        return None


def _age(text: str, born: str, day: int | None, doubts: Counter[str]) -> float:
    """Years, as written or from the date of birth; NaN where unknown."""
    age = years(text.upper(), doubts)
    birth = _day(born)
    if math.isnan(age) and birth is not None and day is not None and day >= birth:
        age = years(f"{int((day - birth) / 365.25)}", doubts)
    return min(age, float(OLDEST_KEPT)) if not math.isnan(age) else age


def _raw(header: Any, name: str) -> bytes:
    """An element as it is written, without padding: whatever its character set, the same text is the same bytes."""
    item = header.get_item(name)
    value = None if item is None else item.value
    return (value if isinstance(value, bytes) else b"" if value is None else str(value).encode()).strip(b"\0 ")


def _text(header: Any, name: str) -> str:
    return _raw(header, name).decode("latin-1")
