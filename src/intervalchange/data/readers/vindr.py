"""VinDr-CXR 1.0.0 of PhysioNet, and the table of its Kaggle copy (VinBigData).

**Size.** 18,000 PA films of two hospitals in Hanoi: 15,000 to train with, each read by 3 of 17 radiologists, and 3,000
to test with, read by 5 in consensus. Kaggle has the 15,000 with 14 findings, and 3,000 whose labels are hidden.
**Labels.** 22 findings with boxes and 6 diagnoses without (`No finding` is one), each 0 or 1 by every reader.
**Access.** PhysioNet, credentialed: https://physionet.org/content/vindr-cxr/, doi 10.13026/3akn-b287. Kaggle: under the
rules of the competition vinbigdata-chest-xray-abnormalities-detection.
**Cite.** Nguyen et al., Sci Data 2022;9:429.
**Defects handled.** Three readers per film (a label is present where `votes` of them see it); boxes that leave the film
or have no area; films called `.dicom`; `Other diseases` to train with and `Other disease` to test with; sex and age
blank or `000Y`. Polarity (MONOCHROME1 and 2) and bit depth are seen to when the film is decoded.
**Not handled.** Readers R8, R9 and R10 drew most of the boxes, others mostly say `No finding`. Nothing says which films
are of one person, and there are no dates: no pairs can be made.

ROOT holds `annotations/`, `train/` and `test/`, or for Kaggle `train.csv` and `train/`. Boxes are in pixels of the
original film; of a copy as PNG or JPEG its size is read from `train_meta.csv` (image_id, dim0, dim1), or from columns
`height` and `width`, and boxes are scaled. A tenth of the training films is taken to validate on. A label is named as
in the tables, in lower case; `fracture` is present where one of the clavicle or of a rib is. Where neither a finding we
know by name nor `No finding` has its votes, the answer is empty.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from intervalchange.data.readers.cases import film_case
from intervalchange.data.readers.files import (
    marker,
    need_columns,
    number,
    plain_or_gzip,
    read_table,
    version_of,
)
from intervalchange.data.readers.folders import data_folder
from intervalchange.data.readers.single_films import FilmHeader, film_paths, frontal, read_headers, within_film
from intervalchange.data.readers.source import Frame, Source, frames_of_copies
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Box, Case, Region, Study

WHERE = "Fetch it from https://physionet.org/content/vindr-cxr/ (credentialed) or from Kaggle's VinBigData competition."
KAGGLE = "train.csv"
READERS_PER_FILM = 3
VALIDATION_SHARE = 0.1
"""Of the training films, for PhysioNet names none to validate on."""
NO_FINDING = "no finding"
OTHER_NAMES = {"other diseases": "other disease"}
FRACTURES = ("clavicle fracture", "rib fracture")
KAGGLE_LABELS = (
    *("aortic enlargement", "atelectasis", "calcification", "cardiomegaly", "consolidation", "ild", "infiltration"),
    *("lung opacity", "nodule/mass", "other lesion", "pleural effusion", "pleural thickening", "pneumothorax"),
    *("pulmonary fibrosis", NO_FINDING),
)
"""In the order of their class_id."""
CORNERS = ("x_min", "y_min", "x_max", "y_max")
ENDINGS = (".dicom", ".dcm", ".png", ".jpg", ".jpeg")
SIZE_TABLES = ("train_meta.csv", "test_meta.csv", KAGGLE)
SIZE_COLUMNS = (("dim0", "dim1"), ("height", "width"), ("img_height", "img_width"), ("rows", "columns"))
"""Height and width of the original film, as copies of another size name them."""
CONSENSUS = ""
"""The reader of a table without `rad_id`."""


@dataclass
class _Film:
    """The labels and boxes that the readers gave one film."""

    folder: str
    """train or test, where it lies."""
    split: str
    opinions: dict[str, dict[str, bool]] = field(default_factory=dict)
    """Reader -> label -> whether it is seen."""
    boxes: list[tuple[str, Box]] = field(default_factory=list)
    """Label and x1, y1, x2, y2, of every reader."""


def read(
    root: Path, images: Path | None = None, votes: int = 2, copies: str = "scaled", tables_only: bool = False
) -> Source:
    """Read the tables, and the headers of the films unless tables_only.

    images: folder that holds `train/` and `test/`, if not ROOT. votes: how many of the three readers must see a label
    for it to be present; the consensus of the test films counts as it is. copies: how PNG or JPEG of another size were
    made: scaled (with their shape kept), or stretched (as Kaggle's squares of 256, 512 and 1024 pixels mostly are).
    """
    if not 1 <= votes <= READERS_PER_FILM:
        raise ConfigError(f"{votes} votes of {READERS_PER_FILM} readers.", remedy="Give votes of 1, 2 or 3.")
    notes: Counter[str] = Counter()
    root = data_folder(root, ("annotations", KAGGLE), notes, WHERE)
    films, release = _tables(root, notes)
    folder = images or root
    stems = {image: f"{film.folder}/{image}" for image, film in films.items()}
    paths = film_paths(folder, stems, ENDINGS, tables_only, WHERE)
    headers = {} if tables_only else read_headers(folder, paths, notes)
    cases = [
        _case(image, paths[image], films[image], votes, header, notes)
        for image, header in frontal(films, headers, notes)
    ]
    if not cases:
        raise SourceError("no film could be used.", where=root, remedy=f"Noted: {dict(notes)}.")
    simulated = marker(root / "SIMULATED")
    frames = {paths[image]: frame for image, frame in _frames(root, folder, headers).items() if image in paths}
    frames = frames_of_copies(frames, copies)
    return Source(
        "vindr", release, folder, cases, dict(+notes), {}, simulated, {}, frames, validation_share=VALIDATION_SHARE
    )


def _tables(root: Path, notes: Counter[str]) -> tuple[dict[str, _Film], str]:
    """Image id -> film, and the release, from whichever of the two publications is there."""
    folder = root / "annotations"
    if not folder.is_dir():
        path = plain_or_gzip(root, KAGGLE)
        if path is None:
            raise SourceError(f"neither annotations/ nor {KAGGLE} is here.", where=root, remedy=WHERE)
        return _kaggle(path, notes), "Kaggle"
    films: dict[str, _Film] = {}
    for split in ("train", "test"):
        labels, boxes = (plain_or_gzip(folder, f"{name}_{split}.csv") for name in ("image_labels", "annotations"))
        if labels is None and split == "train":
            where = folder / "image_labels_train.csv"
            raise SourceError("the labels of the films are missing.", where=where, remedy=WHERE)
        if labels is None:
            notes["image_labels_test.csv is not there: no test films"] = 1
            continue
        _add_labels(films, labels, split, notes)
        if boxes is None:
            notes[f"annotations_{split}.csv is not there: no boxes"] = 1
            continue
        table = read_table(boxes, WHERE)
        need_columns(table, ("image_id", "class_name", *CORNERS), boxes, WHERE)
        for image, _, label, box in _annotations(table):
            if image in films and label != NO_FINDING:
                films[image].boxes.append((label, box))
            elif image not in films:
                notes["boxes of films without labels (left out)"] += 1
    return films, version_of(root) or "1.0.0"


def _frames(root: Path, folder: Path, headers: Mapping[str, FilmHeader]) -> dict[str, Frame]:
    """Image id -> size of the film its boxes were drawn on: of its DICOM, else as a table of a scaled copy says.

    Copies as PNG or JPEG come with `train_meta.csv` (dim0 rows, dim1 columns), or with width and height in train.csv.
    """
    frames: dict[str, Frame] = {}
    tables = [plain_or_gzip(place, name) for place in dict.fromkeys((root, folder)) for name in SIZE_TABLES]
    for path in dict.fromkeys(path for path in tables if path is not None):
        table = read_table(path, WHERE)
        columns = next((both for both in SIZE_COLUMNS if {"image_id", *both} <= set(table.columns)), None)
        if columns is not None:
            for image, *sides in zip(table["image_id"], *(table[name] for name in columns), strict=True):
                frame = Frame.known(*(number(side) for side in sides))
                if frame is not None:
                    frames.setdefault(image.strip(), frame)
    own = {image: Frame.known(header.height, header.width) for image, header in headers.items()}
    return frames | {image: frame for image, frame in own.items() if frame is not None}


def _name(label: str) -> str:
    plain = " ".join(label.lower().split())
    return OTHER_NAMES.get(plain, plain)


def _add_labels(films: dict[str, _Film], path: Path, split: str, notes: Counter[str]) -> None:
    """One row per film and reader; without `rad_id`, of the consensus."""
    table = read_table(path, WHERE)
    need_columns(table, ("image_id", "No finding"), path, WHERE)
    labels = [name for name in table.columns if name not in ("image_id", "rad_id")]
    readers = table["rad_id"] if "rad_id" in table.columns else [CONSENSUS] * len(table)
    for image, reader, *cells in zip(table["image_id"], readers, *(table[name] for name in labels), strict=True):
        image, reader = image.strip(), reader.strip()
        values = [number(cell) for cell in cells]
        if not image or not any(value in (0, 1) for value in values):
            notes["label rows without an id or labels of 0 and 1 (skipped)"] += 1
            continue
        film = films.setdefault(image, _Film(split, split))
        if film.split != split:
            notes["films in both splits (kept in train)"] += 1
        elif reader in film.opinions:
            notes["rows of the same film and reader (the first is kept)"] += 1
        else:
            film.opinions[reader] = {
                _name(label): value == 1 for label, value in zip(labels, values, strict=True) if value in (0, 1)
            }


def _annotations(table: pd.DataFrame) -> Iterator[tuple[str, str, str, Box]]:
    """Film, reader, label and box of each row; NaN where a corner is empty."""
    readers = table["rad_id"] if "rad_id" in table.columns else [CONSENSUS] * len(table)
    corners = (table[name] for name in CORNERS)
    for image, reader, label, *cells in zip(table["image_id"], readers, table["class_name"], *corners, strict=True):
        x1, y1, x2, y2 = (number(cell) for cell in cells)
        yield image.strip(), reader.strip(), _name(label), (x1, y1, x2, y2)


def _kaggle(path: Path, notes: Counter[str]) -> dict[str, _Film]:
    """One row per film, reader and box. What a reader of a film does not name, that reader does not see."""
    table = read_table(path, WHERE)
    need_columns(table, ("image_id", "class_name", "rad_id", *CORNERS), path, WHERE)
    films: dict[str, _Film] = {}
    for image, reader, label, box in _annotations(table):
        if not image or not reader or label not in KAGGLE_LABELS:
            notes["rows without an id, a reader or a known label (skipped)"] += 1
            continue
        film = films.setdefault(image, _Film("train", ""))
        film.opinions.setdefault(reader, dict.fromkeys(KAGGLE_LABELS, False))[label] = True
        if label != NO_FINDING:
            film.boxes.append((label, box))
    return films


def _findings(film: _Film, votes: int, notes: Counter[str]) -> dict[str, float]:
    """Finding -> 1 where enough readers see it, else 0. Where fewer than `votes` looked, all of them must."""
    findings = {}
    for label in dict.fromkeys(label for opinion in film.opinions.values() for label in opinion):
        votes_of = [opinion[label] for opinion in film.opinions.values() if label in opinion]
        present = sum(votes_of) >= min(votes, len(votes_of))
        findings[label] = float(present)
        if any(votes_of) and not present and label != NO_FINDING:
            notes["labels that too few readers see (taken as absent)"] += 1
    if any(value == 1 for label, value in findings.items() if label != NO_FINDING):
        findings[NO_FINDING] = 0.0
    if any(findings.get(name) == 1 for name in FRACTURES):
        findings["fracture"] = 1.0
    return findings


def _case(image: str, path: str, film: _Film, votes: int, header: FilmHeader, notes: Counter[str]) -> Case:
    if film.split != "test" and len(film.opinions) != READERS_PER_FILM:
        notes[f"films of more or fewer than {READERS_PER_FILM} readers"] += 1
    findings = _findings(film, votes, notes)
    study = Study(
        study_id=image,
        image=path,
        view=header.view or "PA",
        findings=findings,
        regions=tuple(_regions(film, findings, header, notes)),
        age=header.age,
        sex=header.sex,
    )
    case = film_case(study, image, film.split, normal=findings.get(NO_FINDING) == 1)
    if not case.answer:
        notes["films with other findings than we know by name, or none agreed on (their answer is left empty)"] += 1
    return case


def _regions(film: _Film, findings: Mapping[str, float], header: FilmHeader, notes: Counter[str]) -> Iterator[Region]:
    """The boxes of every reader, of the labels that are present."""
    for label, corners in film.boxes:
        if findings.get(label, math.nan) != 1:
            notes["boxes of labels that too few readers see (left out)"] += 1
            continue
        box = within_film(corners, header.height, header.width, notes)
        if box is not None:
            yield Region("finding", label, box)
