"""NIH ChestX-ray14.

**Size.** 112,120 frontal films (67,310 PA, 44,810 AP) of 30,805 patients, 1024 x 1024 pixels of 8 bits; 13,302 patients
have more than one film, up to 184. 984 boxes on 880 films.
**Labels.** Fourteen, mined from the reports: each film names those that are present, or `No Finding` (60,361). What is
not named is taken as absent; there is no uncertain state.
**Access.** Open: https://nihcc.app.box.com/v/ChestXray-NIHCC. Use is unrestricted, with a link to that site, an
acknowledgement of the NIH Clinical Center, and the citation.
**Cite.** Wang et al., CVPR 2017, pp. 3462-3471.
**Defects handled.** In `Data_Entry_2017.csv` `Follow-up #` is the number of the file, which is not the order in time
for 3,154 patients; `Data_Entry_2017_v2020.csv` has it right, and is read where both are there. Time is `Follow-up #`,
never the number of the file, and no pair is made of a patient whose age falls along it. Headers with commas in
brackets, a comma at the end of each line, `Patient Gender` or `Patient Sex`, ages such as `058Y`, rows in no order,
`Infiltrate` in the list of boxes, whose header has three fields more than its rows; copies of films as JPEG or of
another size, to which boxes are scaled; no list of films to validate on: an eighth of the training patients is taken.
**Not handled.** Noise of the labels, drains beside pneumothoraces, a few films that are lateral, rotated or inverted.
The same films are in RSNA and COVIDx under other names.

ROOT holds one of the two tables and, where they are there, BBox_List_2017.csv, train_val_list.txt and test_list.txt;
the films, PNG or JPEG, are anywhere below, as in `images/` or in `images_001/images/` to `images_012/images/`.

Asked for: questions of presence, view and location (`nih_questions.py`), and answers about changes that name only
findings whose labels last (`nih_changes.py`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from intervalchange.data.readers.cases import change_cases, film_case
from intervalchange.data.readers.files import OLDEST, PER_YEAR, marker, need_columns, number, plain_or_gzip, read_table
from intervalchange.data.readers.folders import data_folder, films_below, named
from intervalchange.data.readers.nih_changes import LASTING, only_lasting
from intervalchange.data.readers.nih_questions import film_questions
from intervalchange.data.readers.single_films import within_film
from intervalchange.data.readers.source import Frame, Source
from intervalchange.errors import ConfigError, SourceError
from intervalchange.findings import FINDINGS
from intervalchange.records import Box, Case, Region, Study

WHERE = "Fetch it from https://nihcc.app.box.com/v/ChestXray-NIHCC (open)."
TABLES = MappingProxyType({"Data_Entry_2017_v2020.csv": "v2020", "Data_Entry_2017.csv": "2017"})
"""Table -> release; the better one first."""
BOXES, TRAIN, TEST = "BBox_List_2017.csv", "train_val_list.txt", "test_list.txt"
FINDING_OF_LABEL = MappingProxyType(
    {
        "Atelectasis": "atelectasis",
        "Cardiomegaly": "cardiomegaly",
        "Consolidation": "consolidation",
        "Edema": "edema",
        "Effusion": "pleural effusion",
        "Emphysema": "emphysema",
        "Fibrosis": "fibrosis",
        "Hernia": "hernia",
        "Infiltration": "infiltration",
        "Mass": "mass",
        "Nodule": "nodule",
        "Pleural_Thickening": "pleural thickening",
        "Pneumonia": "pneumonia",
        "Pneumothorax": "pneumothorax",
    }
)
"""The fourteen labels."""
NO_FINDING = "no finding"
FRAME = 1024
"""Side, in pixels, of the films that the boxes were drawn on."""
VALIDATION_SHARE = 1 / 8
"""Of the patients of train_val_list.txt: Wang et al. took 70 % of all to train, 10 % to validate, 20 % to test."""
ENDINGS = (".png", ".jpg", ".jpeg")
_BY_NAME = {label.lower().replace("_", " "): name for label, name in FINDING_OF_LABEL.items()}
_BY_NAME |= {"infiltrate": "infiltration", "no finding": NO_FINDING}


def read(
    root: Path, images: Path | None = None, tables_only: bool = False, asked: str = "few", changes: str = "all"
) -> Source:
    """Read the tables, and the names of the films on disk unless tables_only. Boxes are in the frame of 1024 pixels.

    images: folder that holds the films, or `images/` or `images_0NN/`, if not ROOT. asked: `few` (abnormality and
    difference) or `all` (also presence, view, location). changes: `all` findings that the labels call changed, or only
    those whose labels are `lasting`.
    """
    _check_choice("asked", asked, ("few", "all"))
    _check_choice("changes", changes, ("all", "lasting"))
    notes: Counter[str] = Counter()
    root = data_folder(root, tuple(TABLES), notes, WHERE)
    path, release = _table(root, notes)
    series = _films(path, notes)
    folder = images or root
    paths = _paths(folder, tables_only, notes)
    boxes = _boxes(root, notes)
    split_of_film = _lists(root, notes)
    cases: list[Case] = []
    for patient, films in series.items():
        films.sort(key=lambda film: (film.order, film.study_id))
        films = [_with_film(film, paths, boxes, notes) for film in films]
        split = _split(films, split_of_film, notes)
        own = _patient_cases(patient, films, split, notes)
        cases += own if changes == "all" else _lasting(own, notes)
        if asked == "all":
            cases += [case for film in films for case in film_questions(film, patient, split, FRAME)]
    if not cases:
        raise SourceError("no film could be used.", where=path, remedy=f"Noted: {dict(notes)}.")
    frames = {case.current.image: Frame(FRAME, FRAME) for case in cases if case.current.regions}
    simulated = marker(root / "SIMULATED")
    return Source("nih", release, folder, cases, dict(+notes), {}, simulated, {}, frames, VALIDATION_SHARE)


def _check_choice(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"option {option} is {value!r}.", remedy=f"Choose one of: {', '.join(known)}.")


def _lasting(cases: list[Case], notes: Counter[str]) -> list[Case]:
    """The cases, answers about changes cut to the findings whose labels last; the doctor's page names the others."""
    left_out = [name for name in FINDING_OF_LABEL.values() if name in FINDINGS and name not in LASTING]
    kept = [only_lasting(case, LASTING) for case in cases]
    changed = sum(before.answer != after.answer for before, after in zip(cases, kept, strict=True))
    notes[f"answers about changes that leave out findings whose labels do not last: {', '.join(left_out)}"] += changed
    return kept


def _table(root: Path, notes: Counter[str]) -> tuple[Path, str]:
    """The table of the films and its release."""
    for name, release in TABLES.items():
        path = plain_or_gzip(root, name)
        if path is not None:
            if release == "2017":
                notes[
                    "Data_Entry_2017_v2020.csv is not there: Follow-up # is the number of the file, "
                    "which is not the order in time for thousands of patients"
                ] = 1
            return path, release
    raise SourceError(f"none of {', '.join(TABLES)} is here.", where=root, remedy=WHERE)


def _films(path: Path, notes: Counter[str]) -> dict[str, list[Study]]:
    """Patient -> frontal films, in the order of the table; the image is the bare name of the file."""
    table = read_table(path, WHERE)
    gender_column = "Patient Sex" if "Patient Sex" in table.columns else "Patient Gender"
    columns = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "View Position"]
    need_columns(table, columns, path, WHERE)
    optional = table.reindex(columns=["Patient Age", gender_column], fill_value="")
    series: dict[str, list[Study]] = {}
    seen: set[str] = set()
    labels = LabelCells(notes)
    for image, cell, follow_up, patient, view, age, gender in zip(
        *(table[name] for name in columns), *(optional[name] for name in optional), strict=True
    ):
        image, patient, view = image.strip(), patient.strip().removesuffix(".0").lstrip("0"), view.strip().upper()
        order, findings = number(follow_up), labels.findings(cell)
        if not image or not patient or math.isnan(order) or not findings:
            notes["rows without a film, patient, Follow-up # or known label (skipped)"] += 1
        elif image in seen:
            notes["films given twice (the first is kept)"] += 1
        elif view not in ("PA", "AP"):
            notes["films that are not frontal (left out)"] += 1
        else:
            seen.add(image)
            gender = gender.strip().upper()[:1]
            stem = _stem(image)
            sex = gender if gender in ("F", "M") else ""
            study = Study(stem, image, view, order=order, findings=findings, age=_years(age, notes), sex=sex)
            series.setdefault(patient, []).append(study)
    return series


def _stem(image: str) -> str:
    """The name of a film without its ending, which differs between copies."""
    name, dot, ending = image.strip().rpartition(".")
    return name if dot and f".{ending.lower()}" in ENDINGS else image.strip()


class LabelCells:
    """Reads cells such as `Cardiomegaly|Effusion`; films with equal cells share one mapping."""

    def __init__(self, notes: Counter[str]) -> None:
        self._notes, self._known = notes, dict[str, Mapping[str, float]]()

    def findings(self, cell: str) -> Mapping[str, float]:
        """1 for what is named, 0 for the other labels; empty where the cell names nothing known."""
        if cell not in self._known:
            self._known[cell] = self._read(cell)
        return self._known[cell]

    def _read(self, cell: str) -> Mapping[str, float]:
        names = [label_name(label) for label in cell.split("|") if label.strip()]
        if "" in names:
            self._notes["label cells with a word that is none of the labels (left out)"] += 1
        named = {name for name in names if name}
        if not named:
            return {}
        if NO_FINDING in named and len(named) > 1:
            self._notes["label cells that name a finding and No Finding (the finding is kept)"] += 1
            named.remove(NO_FINDING)
        return {name: float(name in named) for name in (*FINDING_OF_LABEL.values(), NO_FINDING)}


def label_name(label: str) -> str:
    """The name of a label in records, empty where it is none of NIH's."""
    return _BY_NAME.get(" ".join(label.lower().replace("_", " ").split()), "")


def _years(text: str, notes: Counter[str]) -> float:
    """`58` or `058Y` -> years, also `006M`; NaN where it is neither, or beyond any age."""
    match = re.fullmatch(r"(\d+)(?:\.0)?([YMWD]?)", text.strip().upper())
    years = float(math.floor(int(match[1]) / PER_YEAR[match[2]])) if match else math.nan
    if years > OLDEST:
        notes[f"ages over {OLDEST} years (unknown)"] += 1
        return math.nan
    return years


def _paths(folder: Path, tables_only: bool, notes: Counter[str]) -> dict[str, str]:
    """Name of a film without ending -> its path under the folder, wherever below it the film is.

    Raises SourceError where there is none.
    """
    paths = {} if tables_only else films_below(folder, ENDINGS, notes)
    if not paths and not tables_only:
        raise SourceError("no film is here, neither in images/ nor in images_0NN/images/.", where=folder, remedy=WHERE)
    return paths


def _boxes(root: Path, notes: Counter[str]) -> dict[str, list[tuple[str, Box]]]:
    """Name of a film without ending -> (finding, x1, y1, x2, y2 in the frame of 1024 pixels)."""
    path = plain_or_gzip(root, BOXES)
    if path is None:
        notes[f"{BOXES} is not there: no boxes"] = 1
        return {}
    table = read_table(path, WHERE)
    columns = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")
    need_columns(table, columns, path, WHERE)
    boxes: dict[str, list[tuple[str, Box]]] = {}
    for image, label, *cells in zip(*(table[name] for name in columns), strict=True):
        x, y, width, height = (number(cell) for cell in cells)
        box = within_film((x, y, x + width, y + height), FRAME, FRAME, notes)
        name = label_name(label)
        if not name or name == NO_FINDING:
            notes["boxes of an unknown label (left out)"] += 1
        elif box is not None:
            boxes.setdefault(_stem(image), []).append((name, box))
    return boxes


def _with_film(
    film: Study, paths: Mapping[str, str], boxes: Mapping[str, Iterable[tuple[str, Box]]], notes: Counter[str]
) -> Study:
    """The film with its path, and its boxes in the frame of 1024 pixels."""
    image = paths.get(film.study_id, f"images/{film.image}")
    regions = []
    for name, box in boxes.get(film.study_id, ()):
        regions.append(Region("finding", name, box))
        if film.findings[name] != 1:
            notes["boxes of findings that the labels of the film do not name (kept)"] += 1
    return replace(film, image=image, regions=tuple(regions))


def _lists(root: Path, notes: Counter[str]) -> dict[str, str]:
    """Film without ending -> train or test of the official lists; empty, with a note, where one is not there."""
    split = {}
    for name, word in ((TRAIN, "train"), (TEST, "test")):
        path = named(root, name)
        if not path.is_file():
            notes[f"{name} is not there: the official split is unknown"] = 1
            return {}
        lines = path.read_text(encoding="utf-8-sig", errors="replace").split()
        split.update(dict.fromkeys(map(_stem, lines), word))
    return split


def _split(films: Iterable[Study], split_of_film: Mapping[str, str], notes: Counter[str]) -> str:
    """The split of a patient: test where any film is in the list of test films."""
    if not split_of_film:
        return ""
    lists = {split_of_film.get(film.study_id, "") for film in films}
    if {"train", "test"} <= lists:
        notes["patients in both official lists (taken as test)"] += 1
    if lists == {""}:
        notes["patients in neither official list (no split)"] += 1
    return "test" if "test" in lists else "train" if "train" in lists else ""


def _patient_cases(patient: str, films: list[Study], split: str, notes: Counter[str]) -> list[Case]:
    cases = [film_case(film, patient, normal=film.findings[NO_FINDING] == 1, split=split) for film in films]
    unnamed = sum(not case.answer for case in cases)
    notes["films that show only what the answers have no word for, such as a mass (their answer is empty)"] += unnamed
    return cases + list(change_cases(films, patient, split, notes))
