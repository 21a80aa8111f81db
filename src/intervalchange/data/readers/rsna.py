"""RSNA Pneumonia Detection Challenge (Kaggle 2018), stage 2.

**Size.** 26,684 labelled films (14,511 PA, 12,173 AP), 3,000 more whose labels are hidden; 1024 x 1024 pixels, 8 bit.
**Labels.** An opacity that suggests pneumonia, with 1 to 4 boxes: 9,555 boxes on 6,012 films. The other films are
`Normal` (8,851) or `No Lung Opacity / Not Normal` (11,821).
**Access.** https://www.kaggle.com/c/rsna-pneumonia-detection-challenge, under the rules of the competition; the films
are of NIH ChestX-ray14.
**Cite.** Shih et al., Radiology: Artificial Intelligence 2019, doi 10.1148/ryai.2019180041.
**Defects handled.** One row per box in both tables, so that a join multiplies rows; boxes as x, y, width, height; ages
as plain digits up to 155 years; a film with both targets or two classes.
**Not handled.** `patientId` names a film: one person has many of them, so a split by it leaks. A table that matches
them to the files of NIH makes patients of them: RSNA's own `pneumonia-challenge-dataset-mappings_2018.json`, or a CSV
(`match`, or `nih_match.csv` in ROOT). There is no order in time. A reader of NIH's own films must not train on one and
test on the other.

ROOT holds `stage_2_train_labels.csv`, `stage_2_detailed_class_info.csv` and `stage_2_train_images/`. Boxes are in
pixels of the published square of 1024; they are scaled to a copy of another size. A film that is neither normal nor
with pneumonia has an empty answer: its other findings are not named.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from intervalchange.data.readers.cases import film_case
from intervalchange.data.readers.files import marker, need_columns, number, plain_or_gzip, read_table
from intervalchange.data.readers.folders import data_folder, named
from intervalchange.data.readers.single_films import (
    FilmHeader,
    drawn_on,
    film_paths,
    frontal,
    read_headers,
    within_film,
)
from intervalchange.data.readers.source import Frame, Source
from intervalchange.errors import SourceError
from intervalchange.records import Box, Case, Region, Study

WHERE = "Fetch it from https://www.kaggle.com/c/rsna-pneumonia-detection-challenge (its rules apply)."
LABELS, CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
FILMS, HIDDEN, MATCH = "stage_2_train_images", "stage_2_sample_submission.csv", "nih_match.csv"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
"""RSNA's own table of which film of NIH each one is."""
NIH_FILE = re.compile(r"(\d{8})_\d{3}(\.(png|jpe?g))?", re.IGNORECASE)
ENDINGS = (".dcm", ".dicom", ".png", ".jpg", ".jpeg")
SIDE = 1024
"""Pixels of every film of the real set."""
NORMAL = "Normal"
KNOWN_CLASSES = (NORMAL, "No Lung Opacity / Not Normal", "Lung Opacity")
SAME_FILM = 10.0
"""Mean squared difference of grey levels up to which two films are one: of true matches about 2, of others over 30."""


@dataclass
class _Film:
    """What the rows of one film hold."""

    targets: set[int] = field(default_factory=set)
    boxes: list[Box] = field(default_factory=list)


def read(root: Path, images: Path | None = None, match: Path | None = None, tables_only: bool = False) -> Source:
    """Read the tables, and the headers of the films unless tables_only.

    images: the folder of the films, if not in ROOT. match: CSV of patientId, cxr_match (a file of NIH) and, where
    known, mse; or the mapping that RSNA published as JSON.
    """
    notes: Counter[str] = Counter()
    root = data_folder(root, (LABELS,), notes, WHERE)
    films = _labels(root, notes)
    classes = _classes(root, films, notes)
    people = _people(root, match, films, notes)
    folder = images or named(root, FILMS)
    if images is None and not folder.is_dir():
        folder = root
    paths = film_paths(folder, {image: image for image in films}, ENDINGS, tables_only, WHERE)
    simulated = marker(root / "SIMULATED")
    side = int(simulated.get("pixels") or SIDE)
    headers = {} if tables_only else read_headers(folder, paths, notes)
    frames = drawn_on({image: film.boxes for image, film in films.items()}, headers, side)
    cases = [
        _case(image, paths[image], films[image], classes.get(image, ""), people, header, frames[image], notes)
        for image, header in frontal(films, headers, notes)
    ]
    if not cases:
        raise SourceError("no film could be used.", where=root / LABELS, remedy=f"Noted: {dict(notes)}.")
    hidden = plain_or_gzip(root, HIDDEN)
    if hidden is not None:
        notes["test films, whose labels are hidden (left out)"] = len(read_table(hidden, WHERE))
    frames = {paths[image]: frame for image, frame in frames.items()}
    return Source("rsna", "stage 2", folder, cases, dict(+notes), {}, simulated, frames=frames)


def _labels(root: Path, notes: Counter[str]) -> dict[str, _Film]:
    """Image id -> targets and boxes, in the order of the table."""
    path = plain_or_gzip(root, LABELS)
    if path is None:
        raise SourceError("the labels are missing.", where=root / LABELS, remedy=WHERE)
    table = read_table(path, WHERE)
    columns = ("patientId", "Target", "x", "y", "width", "height")
    need_columns(table, columns, path, WHERE)
    films: dict[str, _Film] = {}
    for image, target, *cells in zip(*(table[name] for name in columns), strict=True):
        value = number(target)
        if not image.strip() or value not in (0, 1):
            notes["label rows without an id or a target of 0 or 1 (skipped)"] += 1
            continue
        film = films.setdefault(image.strip(), _Film())
        film.targets.add(int(value))
        if value == 1:
            x, y, width, height = (number(cell) for cell in cells)
            film.boxes.append((x, y, x + width, y + height))
        elif any(cell.strip() for cell in cells):
            notes["boxes in rows without pneumonia (left out)"] += 1
    notes["films with and without pneumonia in different rows (taken as with)"] = sum(
        len(film.targets) > 1 for film in films.values()
    )
    return films


def _classes(root: Path, films: Mapping[str, _Film], notes: Counter[str]) -> dict[str, str]:
    """Image id -> class, each once; the table repeats it for every box."""
    path = plain_or_gzip(root, CLASSES)
    if path is None:
        notes[f"{CLASSES} is not there: which films are normal is unknown"] = 1
        return {}
    table = read_table(path, WHERE)
    need_columns(table, ("patientId", "class"), path, WHERE)
    classes_of: dict[str, set[str]] = {}
    for image, name in zip(table["patientId"], table["class"], strict=True):
        if name.strip() in KNOWN_CLASSES:
            classes_of.setdefault(image.strip(), set()).add(name.strip())
        else:
            notes["class rows of an unknown class (skipped)"] += 1
    notes["films of two classes (taken as of none)"] = sum(len(names) > 1 for names in classes_of.values())
    notes["films without a class"] = sum(image not in classes_of for image in films)
    classes = {image: next(iter(names)) for image, names in classes_of.items() if len(names) == 1}
    notes["films whose class and target disagree (the target is kept)"] = sum(
        image in classes and (classes[image] == KNOWN_CLASSES[2]) != (1 in film.targets)
        for image, film in films.items()
    )
    return classes


def _people(root: Path, match: Path | None, films: Mapping[str, _Film], notes: Counter[str]) -> dict[str, str]:
    """Image id -> patient of NIH ChestX-ray14, as its tables write it."""
    path = match or plain_or_gzip(root, MATCH) or plain_or_gzip(root, MAPPING)
    if path is None:
        notes["films whose person is unknown (one person has several ids: a split by film leaks)"] = len(films)
        return {}
    pairs = _official_pairs(path) if path.suffix.lower() == ".json" else _matched_pairs(path)
    people = {image: str(int(name[1])) for image, file in pairs if (name := NIH_FILE.fullmatch(file))}
    notes["films without a match at NIH (their person is unknown)"] = sum(image not in people for image in films)
    return people


def _matched_pairs(path: Path) -> list[tuple[str, str]]:
    """Image id and file of NIH, of the rows of a match table whose films are the same."""
    remedy = "A match table is a CSV of patientId and cxr_match, such as 00000013_005.png."
    table = read_table(path, remedy)
    need_columns(table, ("patientId", "cxr_match"), path, remedy)
    differences = table["mse"] if "mse" in table.columns else [""] * len(table)
    rows = zip(table["patientId"], table["cxr_match"], differences, strict=True)
    return [(image.strip(), file.strip()) for image, file, mse in rows if not number(mse) > SAME_FILM]


def _official_pairs(path: Path) -> list[tuple[str, str]]:
    """The same of RSNA's own mapping: a list of objects with `subset_img_id` and `img_id`."""
    remedy = f"Fetch {MAPPING} again: a list of objects with subset_img_id and img_id."
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(rows, list):
            raise TypeError("not a list")
        pairs = [(str(row["subset_img_id"]).strip(), str(row["img_id"]).strip()) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(
            "this is not RSNA's mapping of its films to those of NIH.", where=path, remedy=remedy
        ) from error
    return pairs


def _case(
    image: str,
    path: str,
    film: _Film,
    kind: str,
    people: Mapping[str, str],
    header: FilmHeader,
    frame: Frame,
    notes: Counter[str],
) -> Case:
    """The case of one film. kind: its class, empty where unknown. frame: what its boxes were drawn on."""
    present = 1 in film.targets
    boxes = [within_film(box, frame.height, frame.width, notes) for box in film.boxes]
    findings = {"pneumonia": float(present), "no finding": math.nan}
    if present or kind:
        findings["no finding"] = float(kind == NORMAL and not present)
    normal = findings["no finding"] == 1
    if not present and not normal:
        notes["films without pneumonia that are not said to be normal (their answer is left empty)"] += 1
    study = Study(
        study_id=image,
        image=path,
        view=header.view,
        findings=findings,
        regions=tuple(Region("finding", "pneumonia", box) for box in boxes if box is not None),
        age=header.age,
        sex=header.sex,
    )
    return film_case(study, people.get(image, image), normal=normal)
