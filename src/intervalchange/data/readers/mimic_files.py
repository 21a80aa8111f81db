"""Where the files of the MIMIC family are, and what stands in those that are not about questions."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from intervalchange.data.readers.source import moment, read_table
from intervalchange.errors import SourceError
from intervalchange.records import Region, Study

WHERE = {
    "questions": "Fetch it from https://physionet.org/content/medical-diff-vqa/ (credentialed), or pass --questions.",
    "images": "Fetch them from https://physionet.org/content/mimic-cxr-jpg/ (credentialed), or pass --images.",
    "reports": "Fetch them from https://physionet.org/content/mimic-cxr/ (mimic-cxr-reports.zip), or pass --reports.",
}
FRONTAL = {"postero-anterior": "PA", "antero-posterior": "AP", "pa": "PA", "ap": "AP"}
"""A view in any of its spellings, in lower case -> PA or AP. What is not here is not frontal."""
SPLITS = {"train": "train", "val": "val", "valid": "val", "validate": "val", "test": "test", "": ""}
"""A split in any of its spellings -> ours."""
EDGES = ("x1", "y1", "x2", "y2")
SIMULATE = "Write the simulated cohort again: `intervalchange simulate`."
METADATA = "mimic-cxr-2.0.0-metadata.csv"
PATTERNS = ("files/p{top}/p{subject}/s{study}/{dicom}", "p{top}/p{subject}/s{study}/{dicom}", "{dicom}")
ENDINGS = (".jpg", ".png", ".dcm", ".jpeg")
PROBED = 200
"""How many films are looked for to learn how the image folder is laid out."""


@dataclass(frozen=True)
class FilmPlaces:
    """Where the films are, and what lies beside them."""

    images: Path
    reports: Path | None
    truth: Path | None
    simulated: Mapping[str, Any]


@dataclass(frozen=True)
class Places(FilmPlaces):
    """The files of Medical-Diff-VQA too."""

    questions: Path
    pair_questions: Path
    all_studies: Path
    all_diseases: Path | None
    release: str


class HasIds(Protocol):
    """What is needed of a film to name its files."""

    @property
    def subject(self) -> str: ...
    @property
    def dicom(self) -> str: ...


def locate(root: Path, images: Path | None, reports: Path | None, questions: Path | None) -> Places:
    """Find everything, or say at once all that is missing and where to get it."""
    asked = folder_with(questions or root / "medical-diff-vqa", "mimic_pair_questions.csv")
    missing = []
    for name in ("mimic_pair_questions.csv", "mimic_all.csv"):
        if plain_or_gzip(asked, name) is None:
            missing.append(f"{asked / name} ({WHERE['questions']})")
    films = locate_films(root, images, reports, missing, "medical-diff-vqa and mimic-cxr-jpg")
    return Places(
        images=films.images,
        reports=films.reports,
        truth=films.truth,
        simulated=films.simulated,
        questions=asked,
        pair_questions=plain_or_gzip(asked, "mimic_pair_questions.csv") or asked,
        all_studies=plain_or_gzip(asked, "mimic_all.csv") or asked,
        all_diseases=asked / "all_diseases.json" if (asked / "all_diseases.json").is_file() else None,
        release=version_of(asked),
    )


def locate_films(
    root: Path,
    images: Path | None,
    reports: Path | None,
    missing: Sequence[str] = (),
    expected: str = "mimic-cxr-jpg",
) -> FilmPlaces:
    """Find the films and what lies beside them, or say all that is missing.

    missing: what the caller lacks already. expected: the folders that ROOT should hold, in words.
    """
    films = folder_with(images or root / "mimic-cxr-jpg", "files", METADATA)
    if not films.is_dir():
        missing = [*missing, f"{films}/ ({WHERE['images']})"]
    if missing:
        raise SourceError("missing: " + "; ".join(missing), where=root, remedy=f"ROOT holds {expected}.")
    texts = folder_with(reports or root / "mimic-cxr", "files", "mimic-cxr-reports")
    if (texts / "mimic-cxr-reports").is_dir():
        texts = texts / "mimic-cxr-reports"
    if reports is not None and not texts.is_dir():
        raise SourceError("there is no such folder of reports.", where=reports, remedy=WHERE["reports"])
    truth = root / "simulated-truth"
    return FilmPlaces(
        images=films,
        reports=texts if texts.is_dir() else None,
        truth=truth if truth.is_dir() else None,
        simulated=marker(root / "SIMULATED"),
    )


def version_of(folder: Path) -> str:
    """The release, where a folder of the path is named after it; else empty."""
    return next((part for part in reversed(folder.resolve().parts) if re.fullmatch(r"\d+\.\d+\.\d+", part)), "")


def folder_with(given: Path, *expected: str) -> Path:
    """The folder itself, or the newest version folder in it, whichever holds what is expected."""
    versions = sorted((p for p in given.glob("[0-9]*.[0-9]*") if p.is_dir()), reverse=True) if given.is_dir() else []
    for folder in (given, *versions):
        if any((folder / name).exists() or (folder / f"{name}.gz").exists() for name in expected):
            return folder
    return given


def plain_or_gzip(folder: Path, name: str) -> Path | None:
    """The table as it is named, or gzipped, or None."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def marker(path: Path) -> dict[str, Any]:
    """What SIMULATED says; a marker that is not JSON still marks."""
    if not path.is_file():
        return {}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        said = None
    return said if isinstance(said, dict) and said else {"simulated": True}


def plain_id(text: object) -> str:
    """69990002, "69990002", "69990002.0" and "s69990002" are one id."""
    plain = str(text).strip().removesuffix(".0")
    return plain[1:] if plain[:1] in ("s", "p") and plain[1:].isdigit() else plain


def ids_of_path(path: str) -> tuple[str, str, str] | None:
    """`[files/]p29/p29990001/s69990002/<dicom>[.jpg]` -> subject, study, dicom_id; None where it is no such path."""
    found = re.search(r"p(\d+)/s(\d+)/([^/\\]+?)(?:\.(?:jpe?g|dcm|png))?$", path.strip())
    return (found[1], found[2], found[3]) if found else None


def short_hash(text: str) -> str:
    """Eight hexadecimal digits of a question, for a case id that does not depend on the number of a row."""
    return hashlib.sha256(text.lower().encode()).hexdigest()[:8]


def iso(days: float) -> str:
    """The inverse of `moment`, to the second."""
    when = datetime.min + timedelta(seconds=round((days - 1) * 86400))
    return when.date().isoformat() if days == int(days) else when.isoformat()


# --- metadata of the films --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FilmMetadata:
    """One row of the MIMIC-CXR-JPG metadata."""

    subject: str
    study: str
    view: str
    days: float
    """Time as a number of days, NaN where unknown."""
    acquired_at: str
    height: int
    """Pixels of the film; 0 where unknown."""
    width: int


def metadata(places: FilmPlaces, notes: Counter[str]) -> dict[str, FilmMetadata]:
    """dicom_id -> metadata; empty, with a note, where the table is not there."""
    path = plain_or_gzip(places.images, METADATA)
    if path is None:
        notes[f"{METADATA}.gz is not there: time comes from study_date and study_order"] = 1
        return {}
    table = read_table(path, WHERE["images"])
    wanted = ["dicom_id", "ViewPosition", "ViewCodeSequence_CodeMeaning", "StudyDate", "StudyTime"]
    wanted += ["subject_id", "study_id", "Rows", "Columns"]
    table = table.reindex(columns=wanted, fill_value="")
    found = {}
    for dicom, position, meaning, date, time, *ids, rows, columns in zip(*(table[n] for n in wanted), strict=True):
        view = position.strip() if position.strip() in ("PA", "AP") else meaning.strip() or position.strip()
        days = moment(date)
        clock = _clock(time)
        if math.isnan(days):
            notes["metadata dates that cannot be read"] += 1
        elif clock is not None:
            days += clock / 86400
        subject, study = (plain_id(one) for one in ids)
        acquired_at = "" if math.isnan(days) else iso(days)
        found[dicom.strip()] = FilmMetadata(subject, study, view, days, acquired_at, _pixels(rows), _pixels(columns))
    return found


def _pixels(text: str) -> int:
    plain = text.strip().removesuffix(".0")
    return int(plain) if plain.isdigit() else 0


def _clock(text: str) -> float | None:
    """StudyTime, HHMMSS.fff with its leading zeros lost -> seconds."""
    try:
        padded = f"{float(text):010.3f}"
    except ValueError:
        return None
    hours, minutes, seconds = int(padded[:2]), int(padded[2:4]), float(padded[4:])
    return hours * 3600 + minutes * 60 + seconds if hours < 24 and minutes < 60 and seconds < 61 else None


def film_pattern(places: FilmPlaces, ids: Sequence[tuple[str, str, str]], tables_only: bool) -> str:
    """How films are named under the image folder: MIMIC-CXR-JPG's tree, one without `files/`, or a flat folder.

    ids: (subject, study, dicom) in use; the first that are found decide.
    """
    step = max(1, len(ids) // PROBED)
    for pattern in (path + ending for path in PATTERNS for ending in ENDINGS):
        for subject, study, dicom in ids[::step]:
            if (places.images / pattern.format(top=subject[:2], subject=subject, study=study, dicom=dicom)).is_file():
                return pattern
    if ids and not tables_only:
        raise SourceError(
            "none of the films that the tables name is here.", where=places.images, remedy=WHERE["images"]
        )
    return PATTERNS[0] + ENDINGS[0]


# --- reports and truth --------------------------------------------------------------------------------------------


def with_reports(
    places: FilmPlaces, films: Mapping[str, HasIds], studies: Mapping[str, Study], notes: Counter[str]
) -> dict[str, Study]:
    """The studies with the text of their reports."""
    if places.reports is None:
        notes["the reports of MIMIC-CXR are not there"] = 1
        return dict(studies)
    from rich.console import Console
    from rich.progress import track

    told = {}
    shown = track(studies.items(), "reports", len(studies), console=Console(stderr=True), disable=len(studies) < 5000)
    for name, study in shown:
        subject = films[name].subject
        path = places.reports / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{name}.txt"
        try:
            told[name] = replace(study, report=path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            notes["studies without a report"] += 1
            told[name] = study
    return told


@dataclass(frozen=True)
class Truth:
    """What only a simulated cohort knows."""

    maps: Mapping[str, Path] = field(default_factory=dict)
    """Study -> opacity map."""
    same_state: frozenset[frozenset[str]] = frozenset()
    """Pairs of studies of one state under two exposures."""


def with_truth(
    places: FilmPlaces, films: Mapping[str, HasIds], studies: Mapping[str, Study]
) -> tuple[dict[str, Study], Truth]:
    """The studies with the regions, age, sex and devices of `simulated-truth/`, where it is there."""
    folder = places.truth
    if folder is None:
        return dict(studies), Truth()
    told = dict(studies)
    of_dicom = {films[name].dicom: name for name in studies}
    regions = _regions(_truth_table(folder / "regions.parquet", ("dicom_id", "kind", "name", "rle", *EDGES)))
    for dicom, found in regions.items():
        if dicom in of_dicom:
            told[of_dicom[dicom]] = replace(told[of_dicom[dicom]], regions=tuple(found))
    for row in _truth_table(folder / "studies.parquet", ("dicom_id", "devices", "age", "sex")).to_dict("records"):
        name = of_dicom.get(str(row["dicom_id"]))
        if name is not None:
            devices = tuple(part for part in str(row["devices"] or "").split(";") if part)
            told[name] = replace(told[name], age=float(row["age"]), sex=str(row["sex"]), devices=devices)
    maps = {name: folder / "opacity" / f"{dicom}.png" for dicom, name in of_dicom.items()}
    return told, Truth(
        {name: path for name, path in maps.items() if path.is_file()}, _same_state(folder / "same_state.csv")
    )


def _truth_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table of `simulated-truth/`; empty where it is not there. Raises SourceError where it is damaged."""
    if not path.is_file():
        return pd.DataFrame(columns=list(columns))
    try:
        table = pd.read_parquet(path)[list(columns)]
        return table.astype({name: float for name in columns if name in ("age", *EDGES)})
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise SourceError("this table of the simulation is damaged.", where=path, remedy=SIMULATE) from error


def _regions(table: pd.DataFrame) -> dict[str, list[Region]]:
    found: dict[str, list[Region]] = {}
    for row in table.itertuples(index=False):
        rle = row.rle if isinstance(row.rle, str) and row.rle else None
        box = (row.x1, row.y1, row.x2, row.y2)
        found.setdefault(row.dicom_id, []).append(Region(row.kind, row.name, box, rle))
    return found


def _same_state(path: Path) -> frozenset[frozenset[str]]:
    if not path.is_file():
        return frozenset()
    table = read_table(path, SIMULATE)
    if not {"study_id", "ref_id"} <= set(table.columns):
        raise SourceError("columns study_id and ref_id are missing.", where=path, remedy=SIMULATE)
    return frozenset(frozenset(pair) for pair in zip(table["study_id"], table["ref_id"], strict=True))
