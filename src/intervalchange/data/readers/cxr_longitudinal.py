"""The two folders of open films with several time points, `cxr_longitudinal` and `cxr_longitudinal_nih`.

Which of the two it is given is seen from `images.csv`: the one of NIH has a column `followup_index`.

**cxr_longitudinal.** 358 frontal films of 157 patients from published cases and the Hannover repository, 943 ordered
pairs, 229 of them neighbours. 150 films have a note of their own; 56 pairs a `change_label` read from the notes by a
non-radiologist; 70 films severity scores by radiologists; 253 films boxes of both lungs, 158 a mask of the lungs drawn
by people. A pair has no reference answer; labels and scores are tags.
**cxr_longitudinal_nih.** 850 films of 229 patients of NIH ChestX-ray14, most of them 64 pixels high, with 621 pairs of
neighbouring films that are there. The answer to a pair is the difference of its labels, which were mined from reports.
**Access.** Open. Licence and attribution are given film by film and kept as tags `licence=` and `source=`; treat the
first folder as a whole as CC BY-NC-SA, research only. NIH: unrestricted, with attribution.
**Cite.** The README of each folder names all sources; NIH: Wang et al., CVPR 2017, pp. 3462-3471.
**Defects handled.** Days since onset are rough and often missing, so the order is `study_index`; three pairs are of one
day. The diagnosis is mostly of the patient, not of the film: what is not named is unknown. Notes of the whole case can
tell the future and are left out; a film's own note is its report.
**Not handled.** Some `PA` are AP by their own note; arrows, letters and black borders; a few bits of text on the films.

ROOT is the folder.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from intervalchange.data import run_length
from intervalchange.data.film_files import read_film
from intervalchange.data.readers import pairs
from intervalchange.data.readers.cases import film_case, tagged_change_case
from intervalchange.data.readers.files import need_columns, number, read_table
from intervalchange.data.readers.nih import NO_FINDING, LabelCells
from intervalchange.data.readers.single_films import within_film
from intervalchange.data.readers.source import Frame, Source
from intervalchange.errors import ImageError, SourceError
from intervalchange.records import Case, Region, Study

WHERE = "ROOT is the folder cxr_longitudinal or cxr_longitudinal_nih; see its README.md."
FILM_COLUMNS = ("image_id", "patient_id", "study_index", "view", "findings", "sex", "file")
PAIR_COLUMNS = ("pair_id", "patient_id", "ref_image_id", "main_image_id")
PAIR_TAGS = (
    *pairs.TAG_COLUMNS,
    "order_basis",
    "change_label_basis",
    "change_words",
    "brixia_senior_ref",
    "brixia_senior_main",
    "geographic_extent_ref",
    "geographic_extent_main",
)
NIH_PAIR_TAGS = ("same_view_group", "same_size", "followup_gap")
FILM_TAGS = ("licence", "source")
SCORES = ("brixia_senior_global", "brixia_junior_global", "geographic_extent_mean", "opacity_mean")
"""Columns of severity.csv that become tags of a film."""

Row = Mapping[str, str]


def read(root: Path, tables_only: bool = False) -> Source:
    """Read the tables of either folder, and the masks of the lungs unless tables_only."""
    path = root / "images.csv"
    table = read_table(path, WHERE)
    need_columns(table, FILM_COLUMNS, path, WHERE)
    notes: Counter[str] = Counter()
    films = {row["image_id"].strip(): row for row in _rows(table)}
    if len(films) < len(table):
        notes["films given twice (the last is kept)"] = len(table) - len(films)
    if "followup_index" in table.columns:
        release, cases = "nih", _nih_cases(root, films, notes)
    else:
        release, cases = "cases", _published_cases(root, films, notes, tables_only)
    if not cases:
        raise SourceError("no film could be used.", where=path, remedy=f"Noted: {dict(notes)}.")
    sizes = {row["file"]: Frame.known(*reversed(_size(row))) for row in films.values()}
    frames = {file: frame for file, frame in sizes.items() if frame is not None}
    return Source("cxr_longitudinal", release, root, cases, dict(+notes), frames=frames)


def _rows(table: pd.DataFrame) -> Iterator[Row]:
    for row in table.to_dict("records"):
        yield {str(name): str(cell).strip() for name, cell in row.items()}


def _study(row: Row, order: str, age: str, findings: Mapping[str, float], notes: Counter[str]) -> Study | None:
    """One film, or None, counted, where it is not frontal or has no file."""
    view = next((known for known in ("PA", "AP") if row["view"].upper().startswith(known)), "")
    if not (view and row["file"] and row["patient_id"]):
        notes["films that are not frontal, or without a file or a patient (left out)"] += 1
        return None
    if math.isnan(number(row[order])):
        notes["films without a number in time"] += 1
    return Study(
        study_id=row["image_id"],
        image=row["file"],
        view=view,
        order=number(row[order]),
        report=row.get("image_note", ""),
        findings=findings,
        age=number(row[age]) if row.get(age) else math.nan,
        sex=row["sex"] if row["sex"] in ("F", "M") else "",
    )


def _tags(row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}={row[name]}" for name in columns if row.get(name))


# --- NIH -------------------------------------------------------------------------------------------------------------


def _nih_cases(root: Path, films: Mapping[str, Row], notes: Counter[str]) -> list[Case]:
    """A case per film, and one per pair that the table names."""
    labels = LabelCells(notes)
    studies: dict[str, Study] = {}
    for name, row in films.items():
        findings = labels.findings(row["findings"])
        study = _study(row, "followup_index", "age_years", findings, notes) if findings else None
        notes["films without a known label (left out)"] += not findings
        if study is not None:
            studies[name] = study
    cases = []
    for name, study in studies.items():
        tags = _tags(films[name], FILM_TAGS)
        patient = nih_patient(films[name]["patient_id"])
        cases.append(film_case(study, patient, tags=tags, normal=study.findings[NO_FINDING] == 1))
    for row in _pair_rows(root):
        prior, current = studies.get(row["ref_image_id"]), studies.get(row["main_image_id"])
        if prior is None or current is None:
            notes["pairs of which a film is unknown or left out (skipped)"] += 1
        elif current.order <= prior.order or current.age < prior.age:
            notes["pairs against the order of Follow-up # or of age (skipped)"] += 1
        else:
            if _label_change(row) != (_named(current) - _named(prior), _named(prior) - _named(current)):
                notes["pairs whose table of changes disagrees with the labels of the films (the labels are kept)"] += 1
            patient = nih_patient(row["patient_id"])
            case = tagged_change_case(prior, current, patient, "", notes, _tags(row, NIH_PAIR_TAGS))
            cases.append(replace(case, tags=(*case.tags, *_tags(films[current.study_id], FILM_TAGS))))
    return cases


def nih_patient(text: str) -> str:
    """`nih-00000013` -> `13`, as the tables of NIH call the patient: one person is in one split in every source."""
    return text.removeprefix("nih-").lstrip("0")


def _named(study: Study) -> set[str]:
    return {name for name, value in study.findings.items() if value == 1 and name != NO_FINDING}


def _label_change(row: Row) -> tuple[set[str], set[str]]:
    """The new and the resolved findings of a pair, as the table says."""
    cells = LabelCells(Counter())
    new, resolved = (cells.findings(row.get(name, "")) for name in ("new_findings", "resolved_findings"))
    return {name for name, value in new.items() if value == 1}, {n for n, value in resolved.items() if value == 1}


def _pair_rows(root: Path) -> Iterator[Row]:
    path = root / "pairs.csv"
    table = read_table(path, WHERE)
    need_columns(table, PAIR_COLUMNS, path, WHERE)
    yield from _rows(table)


# --- published cases and Hannover ------------------------------------------------------------------------------------


def _published_cases(root: Path, films: Mapping[str, Row], notes: Counter[str], tables_only: bool) -> list[Case]:
    """A case per film, and the pairs as the reader of pairs has them, with what is known of each film."""
    boxes, scores = _lung_boxes(root, films, notes), _scores(root, notes)
    studies: dict[str, Study] = {}
    for name, row in films.items():
        study = _study(row, "study_index", "age", published_findings(row["findings"]), notes)
        if study is not None:
            masks = [] if tables_only else _lung_mask(root, row, notes)
            studies[name] = replace(study, regions=(*boxes.get(name, ()), *masks))
    cases = []
    for name, study in studies.items():
        tags = _tags(films[name], FILM_TAGS) + _tags(scores.get(name, {}), SCORES)
        normal = study.findings.get(NO_FINDING) == 1
        cases.append(film_case(study, films[name]["patient_id"], tags=tags, normal=normal))
    listed = pairs.read(root, PAIR_TAGS)
    notes.update(listed.notes)
    for case in listed.cases:
        prior = studies.get(case.prior.study_id) if case.prior is not None else None
        current = studies.get(case.current.study_id)
        if prior is None or current is None:
            notes["pairs of which a film is unknown or left out (skipped)"] += 1
            continue
        cases.append(replace(case, prior=prior, current=current))
    return cases


def published_findings(text: str) -> dict[str, float]:
    """`COVID-19|ARDS` -> what is named, as present; all else is unknown, for a diagnosis is not a list of findings."""
    names = [name.strip().lower() for name in text.split("|") if name.strip()]
    return dict.fromkeys(names, 1.0) | pairs.named_findings(text)


def _lung_boxes(root: Path, films: Mapping[str, Row], notes: Counter[str]) -> dict[str, list[Region]]:
    """Film -> boxes of its right and left lung (of the patient)."""
    path = root / "lung_boxes.csv"
    if not path.is_file():
        notes["lung_boxes.csv is not there: no boxes of the lungs"] = 1
        return {}
    table = read_table(path, WHERE)
    corners = ("x0", "y0", "x1", "y1")
    need_columns(table, ("image_id", "lung", *corners), path, WHERE)
    lungs: dict[str, list[Region]] = {}
    for row in _rows(table):
        film = films.get(row["image_id"])
        if film is None or row["lung"] not in ("right", "left"):
            notes["boxes of an unknown film or lung (left out)"] += 1
            continue
        width, height = _size(film)
        x1, y1, x2, y2 = (number(row[name]) for name in corners)
        box = within_film((x1, y1, x2, y2), height, width, notes)
        if box is not None:
            lungs.setdefault(row["image_id"], []).append(Region("anatomy", f"{row['lung']} lung", box))
    return lungs


def _size(film: Row) -> tuple[int, int]:
    """Width and height in pixels; 0 where unknown."""
    width, height = (number(film.get(name, "")) for name in ("width", "height"))
    return (0 if math.isnan(width) else int(width)), (0 if math.isnan(height) else int(height))


def _lung_mask(root: Path, film: Row, notes: Counter[str]) -> list[Region]:
    """Both lungs as one mask; empty where none was drawn, or, counted, where it does not fit the film."""
    if not film.get("lung_mask"):
        return []
    try:
        mask = read_film(root / film["lung_mask"]).pixels > 0.5
    except ImageError:
        mask = np.zeros((0, 0), bool)
    if mask.shape[::-1] != _size(film) or not mask.any():
        notes["masks of the lungs that cannot be read or do not fit their film (left out)"] += 1
        return []
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    return [Region("anatomy", "lungs", box, run_length.encode(mask))]


def _scores(root: Path, notes: Counter[str]) -> dict[str, Row]:
    """Film -> its row of severity scores."""
    path = root / "severity.csv"
    if not path.is_file():
        notes["severity.csv is not there: no scores"] = 1
        return {}
    table = read_table(path, WHERE)
    need_columns(table, ("image_id",), path, WHERE)
    return {row["image_id"]: row for row in _rows(table)}
