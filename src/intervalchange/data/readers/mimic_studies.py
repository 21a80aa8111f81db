"""The frontal films of MIMIC-CXR-JPG as studies, and which two of a patient are neighbours in time."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from intervalchange.data.readers import mimic_files as files
from intervalchange.data.readers.cases import change_case, film_case
from intervalchange.data.readers.mimic_files import FilmMetadata, FilmPlaces
from intervalchange.data.readers.mimic_sections import part_of
from intervalchange.data.readers.source import read_table
from intervalchange.errors import SourceError
from intervalchange.findings import FINDINGS
from intervalchange.records import Case, Study

Films = Mapping[str, FilmMetadata]
"""dicom_id -> film."""
Key = tuple[str, str]
"""subject, dicom_id: what names the files of a film."""


def need_metadata(places: FilmPlaces, notes: Counter[str]) -> dict[str, FilmMetadata]:
    """The metadata of all films. Raises SourceError where the table is not there or names no study."""
    films = files.metadata(places, notes)
    if not any(film.study and film.subject for film in films.values()):
        path = places.images / f"{files.METADATA}.gz"
        raise SourceError("the table of the films is missing or empty.", where=path, remedy=files.WHERE["images"])
    return films


def named_films(places: FilmPlaces, ids: Mapping[str, tuple[str, str]], notes: Counter[str]) -> dict[str, FilmMetadata]:
    """The films of a table that names them itself. ids: dicom_id -> subject and study.

    What the metadata do not know of a film stays open; a film that they call lateral is left out and counted.
    """
    known = files.metadata(places, notes)
    films = {}
    for dicom, (subject, study) in ids.items():
        film = known.get(dicom) or FilmMetadata(subject, study, "", math.nan, "", 0, 0)
        view = files.FRONTAL.get(film.view.strip().lower(), "")
        if film.view.strip() and not view:
            notes["lateral and other films that are not frontal (left out)"] += 1
            continue
        films[dicom] = replace(film, subject=subject, study=study, view=view)
    return films


def split_of_films(places: FilmPlaces, notes: Counter[str]) -> dict[str, str]:
    """dicom_id -> train, val or test of MIMIC-CXR-JPG; empty, with a note, where the table is not there."""
    name = "mimic-cxr-2.0.0-split.csv"
    path = files.plain_or_gzip(places.images, name)
    if path is None:
        notes[f"{name}.gz is not there: the official split is unknown"] = 1
        return {}
    table = read_table(path, files.WHERE["images"]).reindex(columns=["dicom_id", "split"], fill_value="")
    return {
        dicom.strip(): files.SPLITS.get(split.strip().lower(), "")
        for dicom, split in zip(table["dicom_id"], table["split"], strict=True)
    }


def frontal(films: Films, notes: Counter[str]) -> dict[str, FilmMetadata]:
    """The PA and AP films, their view written so."""
    kept = {}
    for dicom, film in films.items():
        view = files.FRONTAL.get(film.view.strip().lower(), "")
        if view and film.subject and film.study:
            kept[dicom] = replace(film, view=view)
        elif not film.view.strip():
            notes["films without a view (left out)"] += 1
        elif not view:
            notes["lateral and other films that are not frontal (left out)"] += 1
        else:
            notes["films without a subject or a study (left out)"] += 1
    return kept


def as_studies(
    places: FilmPlaces, films: Films, notes: Counter[str], tables_only: bool, part: str = "body"
) -> dict[str, Study]:
    """dicom_id -> study with film, view and time, and the report unless tables_only. part: see `mimic_sections`."""
    ids = [(film.subject, film.study, dicom) for dicom, film in films.items()]
    pattern = files.film_pattern(places, ids, tables_only)
    studies = {
        dicom: Study(
            film.study,
            pattern.format(top=film.subject[:2], subject=film.subject, study=film.study, dicom=dicom),
            film.view,
            film.acquired_at,
        )
        for dicom, film in films.items()
    }
    if tables_only:
        return studies
    one_each = {study.study_id: study for study in studies.values()}
    named = {film.study: _Named(film.subject, dicom) for dicom, film in films.items()}
    told = files.with_reports(places, named, one_each, notes)
    reports = {name: part_of(study.report, name, part) if study.report else "" for name, study in told.items()}
    return {dicom: replace(study, report=reports[study.study_id]) for dicom, study in studies.items()}


class _Named:
    """What `with_reports` and `with_truth` ask of a film."""

    def __init__(self, subject: str, dicom: str) -> None:
        self.subject, self.dicom = subject, dicom


def with_truth(places: FilmPlaces, films: Films, studies: Mapping[str, Study]) -> tuple[dict[str, Study], files.Truth]:
    """The studies with what a simulated cohort knows besides, by dicom_id."""
    return files.with_truth(places, {dicom: _Named(films[dicom].subject, dicom) for dicom in studies}, studies)


def neighbours(films: Films, notes: Counter[str]) -> Iterator[tuple[str, str]]:
    """(prior, current) dicom_id of neighbouring studies of each patient, in the order of date and time.

    A study with several frontal films is shown by its PA film, else the first by dicom_id. Studies without a date
    have no neighbour, and of two at the same time neither is the prior of the other: both are counted.
    """
    chosen: dict[tuple[str, str], str] = {}
    for dicom in sorted(films, key=lambda one: (films[one].view != "PA", one)):
        chosen.setdefault((films[dicom].subject, films[dicom].study), dicom)
    dated = [dicom for dicom in chosen.values() if not math.isnan(films[dicom].days)]
    if len(dated) < len(chosen):
        notes["studies without a date (no pair is made with them)"] += len(chosen) - len(dated)
    dated.sort(key=lambda one: (films[one].subject, films[one].days, films[one].study))
    for prior, current in itertools.pairwise(dated):
        if films[prior].subject != films[current].subject:
            continue
        if films[prior].days == films[current].days:
            notes["neighbouring studies at the same time (no pair is made)"] += 1
            continue
        yield prior, current


def film_cases(
    films: Films,
    studies: Mapping[str, Study],
    splits: Mapping[str, str],
    tags: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[Case]:
    """One case a film. Of several films of one study, all but the first by dicom_id carry the dicom_id in the case id.

    A study of which no label is known has no answer: its film is there for its report.
    """
    seen: set[str] = set()
    cases = []
    for dicom in sorted(studies, key=lambda one: (films[one].subject, studies[one].study_id, one)):
        case = film_case(studies[dicom], films[dicom].subject, splits.get(dicom, ""), tags.get(dicom, ()))
        if case.case_id in seen:
            case = replace(case, case_id=f"{case.current.study_id}-{dicom}-film")
        seen.add(case.case_id)
        unlabelled = all(math.isnan(value) for value in case.current.findings.values())
        cases.append(replace(case, answer="") if unlabelled else case)
    return cases


def change_cases(
    films: Films, studies: Mapping[str, Study], splits: Mapping[str, str], notes: Counter[str]
) -> list[Case]:
    """One case for each pair of neighbouring studies that have a finding known on both."""
    cases = []
    for prior, current in neighbours({dicom: films[dicom] for dicom in studies}, notes):
        if not known(studies[prior]) & known(studies[current]):
            notes["neighbouring studies without a finding known on both (no pair is made)"] += 1
            continue
        cases.append(change_case(studies[prior], studies[current], films[current].subject, splits.get(current, "")))
    return cases


def known(study: Study) -> set[str]:
    """The findings of the library that are present or absent, not unknown."""
    return {name for name, value in study.findings.items() if name in FINDINGS and not math.isnan(value)}
