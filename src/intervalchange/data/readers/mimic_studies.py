"""The frontal films of MIMIC-CXR-JPG as studies, and which two of a patient are neighbours in time."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from intervalchange.data.readers import mimic_files
from intervalchange.data.readers.cases import change_case, film_case, known_findings
from intervalchange.data.readers.files import plain_or_gzip, read_table
from intervalchange.data.readers.mimic_files import FilmIds, FilmMetadata, FilmPaths
from intervalchange.data.readers.mimic_sections import part_of
from intervalchange.data.readers.moments import Moment, later
from intervalchange.data.readers.source import Frame
from intervalchange.errors import SourceError
from intervalchange.records import Case, Study

Films = Mapping[str, FilmMetadata]
"""dicom_id -> film."""


def need_metadata(paths: FilmPaths, notes: Counter[str]) -> dict[str, FilmMetadata]:
    """The metadata of all films. Raises SourceError where the table is not there or names no study."""
    films = mimic_files.film_metadata(paths, notes)
    if not any(film.study and film.subject for film in films.values()):
        path = paths.images / f"{mimic_files.METADATA}.gz"
        raise SourceError("the table of the films is missing or empty.", where=path, remedy=mimic_files.WHERE["images"])
    return films


def named_films(paths: FilmPaths, ids: Mapping[str, tuple[str, str]], notes: Counter[str]) -> dict[str, FilmMetadata]:
    """The films of a table that names them itself. ids: dicom_id -> subject and study.

    What the metadata do not know of a film stays open; a film that they call lateral is left out and counted.
    """
    known = mimic_files.film_metadata(paths, notes)
    films = {}
    for dicom, (subject, study) in ids.items():
        film = known.get(dicom) or FilmMetadata(subject, study, "", Moment(), 0, 0)
        view = mimic_files.FRONTAL.get(film.view.strip().lower(), "")
        if film.view.strip() and not view:
            notes["lateral and other films that are not frontal (left out)"] += 1
            continue
        films[dicom] = replace(film, subject=subject, study=study, view=view)
    return films


def split_of_films(paths: FilmPaths, notes: Counter[str]) -> dict[str, str]:
    """dicom_id -> train, val or test of MIMIC-CXR-JPG; empty, with a note, where the table is not there."""
    name = "mimic-cxr-2.0.0-split.csv"
    path = plain_or_gzip(paths.images, name)
    if path is None:
        notes[f"{name}.gz is not there: the official split is unknown"] = 1
        return {}
    table = read_table(path, mimic_files.WHERE["images"]).reindex(columns=["dicom_id", "split"], fill_value="")
    return {
        dicom.strip(): mimic_files.OFFICIAL_SPLITS.get(split.strip().lower(), "")
        for dicom, split in zip(table["dicom_id"], table["split"], strict=True)
    }


def frontal(films: Films, notes: Counter[str]) -> dict[str, FilmMetadata]:
    """The PA and AP films, their view written so."""
    frontal = {}
    for dicom, film in films.items():
        view = mimic_files.FRONTAL.get(film.view.strip().lower(), "")
        if view and film.subject and film.study:
            frontal[dicom] = replace(film, view=view)
        elif not film.view.strip():
            notes["films without a view (left out)"] += 1
        elif not view:
            notes["lateral and other films that are not frontal (left out)"] += 1
        else:
            notes["films without a subject or a study (left out)"] += 1
    return frontal


def frames_of(films: Films, studies: Mapping[str, Study]) -> dict[str, Frame]:
    """Image -> size of the original film by the metadata, where they say it. studies: by dicom_id."""
    frames = {study.image: Frame.known(films[dicom].height, films[dicom].width) for dicom, study in studies.items()}
    return {image: frame for image, frame in frames.items() if frame is not None}


def as_studies(
    paths: FilmPaths, films: Films, notes: Counter[str], tables_only: bool, part: str = "body"
) -> dict[str, Study]:
    """dicom_id -> study with film, view and time, and the report unless tables_only. part: see `mimic_sections`."""
    ids = [(film.subject, film.study, dicom) for dicom, film in films.items()]
    pattern = mimic_files.film_pattern(paths, ids, tables_only)
    studies = {
        dicom: Study(
            film.study,
            pattern.format(top=film.subject[:2], subject=film.subject, study=film.study, dicom=dicom),
            film.view,
            film.taken.iso,
        )
        for dicom, film in films.items()
    }
    if tables_only:
        return studies
    by_id = {study.study_id: study for study in studies.values()}
    ids_of_study = {film.study: FilmIds(film.subject, dicom) for dicom, film in films.items()}
    by_id = mimic_files.with_reports(paths, ids_of_study, by_id, notes)
    reports = {name: part_of(study.report, name, part) if study.report else "" for name, study in by_id.items()}
    return {dicom: replace(study, report=reports[study.study_id]) for dicom, study in studies.items()}


def with_truth(
    paths: FilmPaths, films: Films, studies: Mapping[str, Study]
) -> tuple[dict[str, Study], mimic_files.Truth]:
    """The studies with what a simulated cohort knows besides, by dicom_id."""
    return mimic_files.with_truth(paths, {dicom: FilmIds(films[dicom].subject, dicom) for dicom in studies}, studies)


def neighbours(films: Films, notes: Counter[str]) -> Iterator[tuple[str, str]]:
    """(prior, current) dicom_id of neighbouring studies of each patient, in the order of date and time.

    A study with several frontal films is shown by its PA film, else the first by dicom_id. Studies without a date
    have no neighbour, and of two at the same time, or of which one has no time, neither is the prior of the other: both
    are counted.
    """
    shown: dict[tuple[str, str], str] = {}
    for dicom in sorted(films, key=lambda dicom: (films[dicom].view != "PA", dicom)):
        shown.setdefault((films[dicom].subject, films[dicom].study), dicom)
    dated = [dicom for dicom in shown.values() if films[dicom].taken]
    if len(dated) < len(shown):
        notes["studies without a date (no pair is made with them)"] += len(shown) - len(dated)
    dated.sort(key=lambda dicom: (films[dicom].subject, films[dicom].taken.order, films[dicom].study))
    for prior, current in itertools.pairwise(dated):
        if films[prior].subject != films[current].subject:
            continue
        if films[prior].taken == films[current].taken:
            notes["neighbouring studies at the same time (no pair is made)"] += 1
        elif later(films[prior].taken, films[current].taken) <= 0:
            notes["neighbouring studies whose order in time is unknown (no pair is made)"] += 1
        else:
            yield prior, current


def film_cases(
    films: Films,
    studies: Mapping[str, Study],
    splits: Mapping[str, str],
    tags: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[Case]:
    """One case per film. Of several films of one study, all but the first by dicom_id carry it in their case id.

    A study of which no label is known has no answer: its film is there for its report.
    """
    seen: set[str] = set()
    cases = []
    for dicom in sorted(studies, key=lambda dicom: (films[dicom].subject, studies[dicom].study_id, dicom)):
        study = studies[dicom]
        labelled = not all(math.isnan(value) for value in study.findings.values())
        case = film_case(study, films[dicom].subject, splits.get(dicom, ""), tags.get(dicom, ()), normal=labelled)
        if case.case_id in seen:
            case = replace(case, case_id=f"{study.study_id}-{dicom}-film")
        seen.add(case.case_id)
        cases.append(case)
    return cases


def neighbour_cases(
    films: Films, studies: Mapping[str, Study], splits: Mapping[str, str], notes: Counter[str]
) -> list[Case]:
    """One case per two neighbouring studies that have a finding known on both."""
    cases = []
    for prior, current in neighbours({dicom: films[dicom] for dicom in studies}, notes):
        if not known_findings(studies[prior]) & known_findings(studies[current]):
            notes["neighbouring studies without a finding known on both (no pair is made)"] += 1
            continue
        cases.append(change_case(studies[prior], studies[current], films[current].subject, splits.get(current, "")))
    return cases
