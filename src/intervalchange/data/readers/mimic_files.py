"""Where the files of the MIMIC family are, and what stands in those that are not about questions."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from intervalchange import cells
from intervalchange.data.readers.files import (
    PROBED,
    folder_with,
    marker,
    need_columns,
    plain_or_gzip,
    progress,
    read_table,
    version_of,
)
from intervalchange.data.readers.moments import Moment, at_time, digits_of, moment
from intervalchange.errors import SourceError
from intervalchange.records import Region, Study

WHERE = {
    "questions": "Fetch it from https://physionet.org/content/medical-diff-vqa/ (credentialed), or pass --questions.",
    "images": "Fetch them from https://physionet.org/content/mimic-cxr-jpg/ (credentialed), or pass --images.",
    "reports": "Fetch them from https://physionet.org/content/mimic-cxr/ (mimic-cxr-reports.zip), or pass --reports.",
}
FRONTAL = {"postero-anterior": "PA", "antero-posterior": "AP", "pa": "PA", "ap": "AP"}
"""A view in any of its spellings, in lower case -> PA or AP. What is not here is not frontal."""
OFFICIAL_SPLITS = {"train": "train", "val": "val", "valid": "val", "validate": "val", "test": "test", "": ""}
"""A split as the tables spell it -> ours."""
EDGES = ("x1", "y1", "x2", "y2")
SIMULATE = "Write the simulated cohort again: `intervalchange simulate`."
METADATA = "mimic-cxr-2.0.0-metadata.csv"
PATTERNS = ("files/p{top}/p{subject}/s{study}/{dicom}", "p{top}/p{subject}/s{study}/{dicom}", "{dicom}")
ENDINGS = (".jpg", ".png", ".dcm", ".jpeg")


@dataclass(frozen=True)
class FilmPaths:
    """Where the films are, and what lies beside them."""

    images: Path
    reports: Path | None
    truth: Path | None
    simulated: Mapping[str, Any]


@dataclass(frozen=True)
class DiffVqaPaths(FilmPaths):
    """The files of Medical-Diff-VQA too."""

    questions: Path
    pair_questions: Path
    all_studies: Path
    all_diseases: Path | None
    release: str


class FilmIds(NamedTuple):
    """What names the files of a film."""

    subject: str
    dicom: str


def locate(root: Path, images: Path | None, reports: Path | None, questions: Path | None) -> DiffVqaPaths:
    """Find everything, or say at once all that is missing and where to get it."""
    folder = folder_with(questions or root / "medical-diff-vqa", "mimic_pair_questions.csv")
    missing = []
    for name in ("mimic_pair_questions.csv", "mimic_all.csv"):
        if plain_or_gzip(folder, name) is None:
            missing.append(f"{folder / name} ({WHERE['questions']})")
    films = locate_films(root, images, reports, missing, "medical-diff-vqa and mimic-cxr-jpg")
    return DiffVqaPaths(
        images=films.images,
        reports=films.reports,
        truth=films.truth,
        simulated=films.simulated,
        questions=folder,
        pair_questions=plain_or_gzip(folder, "mimic_pair_questions.csv") or folder,
        all_studies=plain_or_gzip(folder, "mimic_all.csv") or folder,
        all_diseases=folder / "all_diseases.json" if (folder / "all_diseases.json").is_file() else None,
        release=version_of(folder),
    )


def locate_films(
    root: Path,
    images: Path | None,
    reports: Path | None,
    missing: Sequence[str] = (),
    expected: str = "mimic-cxr-jpg",
) -> FilmPaths:
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
    return FilmPaths(
        images=films,
        reports=texts if texts.is_dir() else None,
        truth=truth if truth.is_dir() else None,
        simulated=marker(root / "SIMULATED"),
    )


def plain_id(text: object) -> str:
    """69990002, "69990002", "69990002.0" and "s69990002" are one id."""
    plain = cells.plain_id(str(text))
    return plain[1:] if plain[:1] in ("s", "p") and plain[1:].isdigit() else plain


def ids_of_path(path: str) -> tuple[str, str, str] | None:
    """`[files/]p29/p29990001/s69990002/<dicom>[.jpg]` -> subject, study, dicom_id; None for another path."""
    match = re.search(r"p(\d+)/s(\d+)/([^/\\]+?)(?:\.(?:jpe?g|dcm|png))?$", path.strip())
    return (match[1], match[2], match[3]) if match else None


def short_hash(text: str) -> str:
    """Eight hexadecimal digits of a question, for a case id that does not depend on the number of a row."""
    return hashlib.sha256(text.lower().encode()).hexdigest()[:8]


# --- metadata of the films --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FilmMetadata:
    """One row of the MIMIC-CXR-JPG metadata."""

    subject: str
    study: str
    view: str
    taken: Moment
    height: int
    """Pixels of the film; 0 where unknown."""
    width: int


def film_metadata(paths: FilmPaths, notes: Counter[str]) -> dict[str, FilmMetadata]:
    """dicom_id -> metadata; empty, with a note, where the table is not there."""
    path = plain_or_gzip(paths.images, METADATA)
    if path is None:
        notes[f"{METADATA}.gz is not there: time comes from study_date and study_order"] = 1
        return {}
    table = read_table(path, WHERE["images"])
    wanted = ["dicom_id", "ViewPosition", "ViewCodeSequence_CodeMeaning", "StudyDate", "StudyTime"]
    wanted += ["subject_id", "study_id", "Rows", "Columns"]
    table = table.reindex(columns=wanted, fill_value="")
    films = {}
    digits = digits_of(table["StudyTime"])
    for dicom, position, meaning, date, time, *ids, rows, columns in zip(*(table[n] for n in wanted), strict=True):
        view = position.strip() if position.strip() in ("PA", "AP") else meaning.strip() or position.strip()
        day = moment(date)
        taken = at_time(day, time, digits)
        if not day.iso:
            day = taken = Moment()
            notes["metadata dates that cannot be read"] += 1
        elif taken == day:
            notes["films without a StudyTime (only their day is known)"] += 1
        elif taken.unread:
            notes["StudyTimes that cannot be read (only the day is known)"] += 1
        subject, study = (plain_id(cell) for cell in ids)
        films[dicom.strip()] = FilmMetadata(subject, study, view, taken, _pixels(rows), _pixels(columns))
    return films


def _pixels(text: str) -> int:
    plain = text.strip().removesuffix(".0")
    return int(plain) if plain.isdigit() else 0


def film_pattern(paths: FilmPaths, ids: Sequence[tuple[str, str, str]], tables_only: bool) -> str:
    """How films are named under the image folder: MIMIC-CXR-JPG's tree, one without `files/`, or a flat folder.

    ids: (subject, study, dicom) in use; the first that are found decide.
    """
    step = max(1, len(ids) // PROBED)
    for pattern in (path + ending for path in PATTERNS for ending in ENDINGS):
        for subject, study, dicom in ids[::step]:
            if (paths.images / pattern.format(top=subject[:2], subject=subject, study=study, dicom=dicom)).is_file():
                return pattern
    if ids and not tables_only:
        raise SourceError("none of the films that the tables name is here.", where=paths.images, remedy=WHERE["images"])
    return PATTERNS[0] + ENDINGS[0]


# --- reports and truth --------------------------------------------------------------------------------------------


def with_reports(
    paths: FilmPaths, films: Mapping[str, FilmIds], studies: Mapping[str, Study], notes: Counter[str]
) -> dict[str, Study]:
    """The studies with the text of their reports."""
    if paths.reports is None:
        notes["the reports of MIMIC-CXR are not there"] = 1
        return dict(studies)
    reported = {}
    for name, study in progress(studies.items(), "reports", len(studies)):
        subject = films[name].subject
        path = paths.reports / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{name}.txt"
        try:
            reported[name] = replace(study, report=path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            notes["studies without a report"] += 1
            reported[name] = study
    return reported


@dataclass(frozen=True)
class Truth:
    """What only a simulated cohort knows."""

    maps: Mapping[str, Path] = field(default_factory=dict)
    """Study -> opacity map."""
    same_state: frozenset[frozenset[str]] = frozenset()
    """Pairs of studies of one state under two exposures."""


def with_truth(
    paths: FilmPaths, films: Mapping[str, FilmIds], studies: Mapping[str, Study]
) -> tuple[dict[str, Study], Truth]:
    """The studies with the regions, age, sex and devices of `simulated-truth/`, where it is there."""
    folder = paths.truth
    if folder is None:
        return dict(studies), Truth()
    completed = dict(studies)
    of_dicom = {films[name].dicom: name for name in studies}
    regions = _regions(_truth_table(folder / "regions.parquet", ("dicom_id", "kind", "name", "rle", *EDGES)))
    for dicom, of_film in regions.items():
        if dicom in of_dicom:
            completed[of_dicom[dicom]] = replace(completed[of_dicom[dicom]], regions=tuple(of_film))
    for row in _truth_table(folder / "studies.parquet", ("dicom_id", "devices", "age", "sex")).to_dict("records"):
        name = of_dicom.get(str(row["dicom_id"]))
        if name is not None:
            devices = tuple(part for part in str(row["devices"] or "").split(";") if part)
            completed[name] = replace(completed[name], age=float(row["age"]), sex=str(row["sex"]), devices=devices)
    maps = {name: folder / "opacity" / f"{dicom}.png" for dicom, name in of_dicom.items()}
    return completed, Truth(
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
    regions: dict[str, list[Region]] = {}
    for row in table.itertuples(index=False):
        rle = row.rle if isinstance(row.rle, str) and row.rle else None
        box = (row.x1, row.y1, row.x2, row.y2)
        regions.setdefault(row.dicom_id, []).append(Region(row.kind, row.name, box, rle))
    return regions


def _same_state(path: Path) -> frozenset[frozenset[str]]:
    if not path.is_file():
        return frozenset()
    table = read_table(path, SIMULATE)
    need_columns(table, ("study_id", "ref_id"), path, SIMULATE)
    return frozenset(frozenset(pair) for pair in zip(table["study_id"], table["ref_id"], strict=True))
