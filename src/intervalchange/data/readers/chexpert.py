"""CheXpert v1.0 and v1.0-small.

**Size.** 224,316 films of 65,240 patients of Stanford Hospital. train.csv 223,414 rows, 64,540 patients, 187,641
studies (191,027 of the rows frontal); valid.csv 234 rows, 200 patients; test 500 studies. 30,976 patients have several
studies, up to 91.
**Labels.** Fourteen, by study, made from the reports: 1.0 present, 0.0 absent, -1.0 uncertain, empty not mentioned.
Those of valid and test are a majority of radiologists.
**Access.** Stanford's research use agreement, after registration; non-commercial.
**Cite.** Irvin et al., AAAI 2019, arXiv:1901.07031.
**Defects handled.** The `Path` that begins with the name of the root folder; the same rows in the small and the large
copy (one of them is read); the order of the labels, which is not that of MIMIC-CXR (columns are taken by name), and
`Airspace Opacity`; lateral films, and frontal rows that are called LL or RL; age 0; the only order in time, which is
the number of the study. Patients of the 5x200 test set, which are patients of train, are kept out of it.
**Not handled.** An age of 90 stands for 90 and more. There are no dates and no reports here, so intervals are unknown.

ROOT holds train.csv and train/, or a folder `CheXpert-v1.0` or `CheXpert-v1.0-small` that does; or AIMI's folders
`batch 1 (validate & csv)` to `batch 4 (train 3)`; or CheXlocalize's `CheXpert/` (val_labels.csv, test_labels.csv, val/,
test/). The test set is read where `test_labels.csv`, `test.csv` or, by study, `groundtruth.csv` is beside the others,
and `chexpert_5x200.csv` too, there or in ROOT.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from intervalchange.data.readers.cases import change_cases, film_case
from intervalchange.data.readers.chexpert_folders import (
    NO_TRAINING,
    TABLES,
    TRAIN,
    VALID,
    WHERE,
    Layout,
    Patients,
    layout,
    need_films,
)
from intervalchange.data.readers.chexpert_protocol import LABELS as LABEL_RULES
from intervalchange.data.readers.chexpert_protocol import (
    OTHERS,
    ROW_RULES,
    TASKS,
    UNCERTAIN_OF,
    check_choice,
    published_splits,
)
from intervalchange.data.readers.files import SPLITS, marker, need_columns, number, plain_or_gzip, read_table
from intervalchange.data.readers.label_states import OTHER_WORDS, findings_of, uncertain_value
from intervalchange.data.readers.source import Source
from intervalchange.errors import SourceError
from intervalchange.findings import CHEXPERT
from intervalchange.records import Case, Study

FIVE_BY_200 = "chexpert_5x200.csv"
FIVE_BY_200_TAG = "chexpert_5x200"
LABELS = (*CHEXPERT, "Airspace Opacity")
VIEWS = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
NO_FINDING = "no finding"


@dataclass(frozen=True, slots=True)
class FilmName:
    """What the path of a film tells."""

    root: str
    """The folder that it begins with; empty where it has none."""
    image: str
    """From train/, valid/ or test/ on, whatever the root was called, and wherever the film is on disk."""
    split: str
    patient: str
    study: int
    frontal: bool


@dataclass(frozen=True, slots=True)
class _Film:
    name: FilmName
    study: Study


def read(
    root: Path,
    images: Path | None = None,
    uncertain: str = "unknown",
    labels: str = "known",
    rows: str = "ours",
    tables_only: bool = False,
) -> Source:
    """Read the tables.

    images: folder that holds `train/` and `valid/`, if not that of the tables. uncertain: what an uncertain label
    becomes: unknown, present or absent. labels: `known`, or `published` (a blank is absent, and what an uncertain label
    of the five tasks becomes is laid down by label). rows: `ours`, or `published` splits, or the films of `5x200`
    alone (`chexpert_protocol.py`). tables_only: do not look whether the films are there.
    """
    check_choice("labels", labels, LABEL_RULES)
    check_choice("rows", rows, ROW_RULES)
    rule = _Rule(uncertain_value(uncertain), labels == "published")
    notes: Counter[str] = Counter()
    found = layout(root, notes)
    folder = images or found.top
    patients = Patients(folder)
    splits = None if rows == "ours" else _published_splits(found, root, rows, notes)
    held_out = _patients_of(_listed(found, root, notes)) if splits is None else frozenset[str]()
    series: dict[str, list[_Film]] = {}
    seen: set[str] = set()
    for table in TABLES:
        films = list(_films(found, table, patients, rule, notes))
        if splits is not None:
            films = [film for film in films if splits.of(film.name)]
        if not tables_only and table == TRAIN:
            need_films(folder, [film.study.image for film in films], table, f"{NO_TRAINING} {WHERE}")
        for film in films:
            if film.name.image in seen:
                notes["films given twice (the first is kept)"] += 1
                continue
            seen.add(film.name.image)
            series.setdefault(film.name.patient, []).append(film)
    cases = [case for patient, several in series.items() for case in _cases(patient, several, held_out, splits, notes)]
    if not cases:
        raise SourceError("no frontal film could be used.", where=folder, remedy=f"Noted: {dict(notes)}.")
    if not tables_only:
        need_films(folder, [case.current.image for case in cases], "any table", WHERE)
    everyone = (film for several in series.values() for film in several)
    release = next((film.name.root for film in everyone if film.name.root), found.tables[0].name)
    tables = found.tables[0]
    simulated = marker(root / "SIMULATED") or marker(tables / "SIMULATED") or marker(tables.parent / "SIMULATED")
    return Source("chexpert", release.removeprefix("CheXpert-"), folder, cases, dict(+notes), {}, simulated)


# --- films -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    """How cells become findings."""

    uncertain: float
    published: bool

    def findings(self, cells: Mapping[str, str], notes: Counter[str]) -> dict[str, float]:
        """Label -> cell of one row, as finding -> 1, 0, NaN."""
        if not self.published:
            return findings_of(cells, self.uncertain, notes)
        absent = {OTHER_WORDS.get(label.lower(), label.lower()): 0.0 for label in cells}
        return absent | findings_of(cells, self.uncertain, notes, UNCERTAIN_OF)


def _films(found: Layout, name: str, patients: Patients, rule: _Rule, notes: Counter[str]) -> Iterator[_Film]:
    """The frontal films of one table; none, with a note, where it is not there."""
    path = found.table(name)
    if path is None:
        if name in (TRAIN, VALID):
            notes[f"{name} is not there"] = 1
        return
    table = read_table(path, WHERE)
    by_study = "Study" in table.columns and "Path" not in table.columns
    need_columns(table, ("Study" if by_study else "Path", "Cardiomegaly"), path, WHERE)
    labels = [label for label in LABELS if label in table.columns]
    optional = table.reindex(columns=VIEWS, fill_value="")
    names = table["Study"] if by_study else table["Path"]
    columns = (names, *(optional[column] for column in VIEWS), *(table[label] for label in labels))
    for text, sex, age, plane, view, *cells in zip(*columns, strict=True):
        films = films_of_study(text, patients) if by_study else [film_name(text)]
        for named in films:
            if named is None:
                notes["rows whose path names no film (skipped)"] += 1
            elif (plane.strip().lower() or ("frontal" if named.frontal else "lateral")) != "frontal":
                notes["lateral films (left out)"] += 1
            elif view.strip() not in ("", "AP", "PA"):
                notes["frontal films that are called LL or RL (left out)"] += 1
            else:
                findings = rule.findings(dict(zip(labels, cells, strict=True)), notes)
                yield _Film(named, _study(named, patients, sex, age, view.strip(), findings, notes))


def films_of_study(study: str, patients: Patients) -> list[FilmName | None]:
    """The frontal films of a study that is named without them, as `CheXpert-v1.0/test/patient64741/study1`."""
    match = re.search(r"(train|valid|val|test)/(patient\d+)/study(\d+)$", study.strip().rstrip("/").replace("\\", "/"))
    if match is None:
        return [None]
    views = patients.frontal_views(SPLITS[match[1]], match[2], int(match[3]))
    return [film_name(f"{study.strip().rstrip('/')}/{view}") for view in views]


def _study(
    name: FilmName,
    patients: Patients,
    sex: str,
    age: str,
    view: str,
    findings: Mapping[str, float],
    notes: Counter[str],
) -> Study:
    years = number(age)
    if years == 0:
        notes["ages of 0 (unknown)"] += 1
        years = math.nan
    return Study(
        study_id=f"{name.patient}-study{name.study}",
        image=f"{patients.folder(name.split, name.patient)}/{name.image.split('/', 2)[2]}",
        view=view,
        order=float(name.study),
        findings=findings,
        age=years,
        sex=sex.strip()[:1] if sex.strip() in ("Female", "Male", "F", "M") else "",
    )


def film_name(path: str) -> FilmName | None:
    """`CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg`, with any root or none."""
    match = re.search(
        r"^(?:.*?([^/]*)/)?((train|valid|val|test)/(patient\d+)/study(\d+)/view\d+_(frontal|lateral)\.(?:jpe?g|png))$",
        path.strip().replace("\\", "/"),
    )
    if match is None:
        return None
    root, image, split, patient, study, plane = match.groups()
    image = f"{'valid' if split == 'val' else split}/{image.partition('/')[2]}"
    return FilmName(root or "", image, SPLITS[split], patient, int(study), plane == "frontal")


def _listed(found: Layout, root: Path, notes: Counter[str]) -> list[FilmName] | None:
    """The films of the 5x200 test set, which are in train.csv too; None where its table is not there."""
    path = found.table(FIVE_BY_200) or plain_or_gzip(root, FIVE_BY_200)
    if path is None:
        return None
    table = read_table(path, "It has a column Path, as train.csv.")
    need_columns(table, ("Path",), path, "It has a column Path, as train.csv.")
    named = [film_name(text) for text in table["Path"]]
    notes[f"rows of {FIVE_BY_200} whose path names no film"] = named.count(None)
    return [film for film in named if film is not None]


def _patients_of(films: Sequence[FilmName] | None) -> frozenset[str]:
    return frozenset(film.patient for film in films or ())


@dataclass(frozen=True)
class _Splits:
    """The published splits, by film."""

    rows: str
    """Which of them: `published` or `5x200`."""
    validating: frozenset[str]
    five_by_200: frozenset[str]

    def of(self, film: FilmName) -> str:
        """train, val or test; empty for a film that is not read."""
        apart = film.image in self.five_by_200
        if self.rows == "5x200":
            return "test" if apart else ""
        if film.split == "train":
            return "" if apart else "val" if film.image in self.validating else "train"
        return "test" if film.split == "val" else ""


def _published_splits(found: Layout, root: Path, rows: str, notes: Counter[str]) -> _Splits:
    """Raises SourceError where train.csv is not there."""
    path = found.table(TRAIN)
    if path is None:
        raise SourceError(
            f"{TRAIN} is not here, of whose rows some validate with rows=published.", where=root, remedy=WHERE
        )
    table = read_table(path, WHERE)
    need_columns(table, ("Path", "Frontal/Lateral", *TASKS, *OTHERS), path, WHERE)
    images = {text: named.image for text in table["Path"] if (named := film_name(text)) is not None}
    listed = _listed(found, root, notes)
    of_list = None
    if listed is not None:
        wanted = {film.image for film in listed}
        of_list = frozenset(text for text, image in images.items() if image in wanted)
    drawn = published_splits(table, of_list, notes)
    if rows == "published":
        notes["films of 5x200 (rows=published: left out; rows=5x200 reads them)"] = len(drawn.five_by_200)
    validating, apart = (
        frozenset(images[text] for text in texts if text in images) for texts in (drawn.validating, drawn.five_by_200)
    )
    return _Splits(rows, validating, apart)


# --- cases -----------------------------------------------------------------------------------------------------------


def _cases(
    patient: str, films: list[_Film], held_out: frozenset[str], published: _Splits | None, notes: Counter[str]
) -> list[Case]:
    """A case per film, and one per two neighbouring studies, shown by their PA film or else their first.

    published: splits by film; what is then left of a patient in several is decided where films are prepared.
    """
    films = sorted(films, key=lambda film: (film.name.study, film.study.view != "PA", film.name.image))
    splits = {film.name.split if published is None else published.of(film.name) for film in films}
    split = next(name for name in ("test", "val", "train") if name in splits)
    tags: tuple[str, ...] = (FIVE_BY_200_TAG,) if published is not None and published.rows == "5x200" else ()
    if len(splits) > 1 and published is None:
        notes["patients in several splits (the rarest is taken for all of their films)"] += 1
    if patient in held_out:
        notes["patients of 5x200 (kept out of train: tag chexpert_5x200, split test)"] += 1
        split, tags = "test", (FIVE_BY_200_TAG,)
    shown: dict[int, Study] = {}
    cases = []
    for film in films:
        normal = film.study.findings.get(NO_FINDING) == 1
        own = split if published is None else published.of(film.name)
        case = film_case(film.study, patient, own, tags, normal=normal)
        if film.name.study in shown:
            case = replace(case, case_id=f"{film.study.study_id}-{Path(film.name.image).stem}-film")
        shown.setdefault(film.name.study, film.study)
        notes["films without a named finding that are not said to be normal (their answer is empty)"] += not case.answer
        cases.append(case)
    return cases + list(change_cases(list(shown.values()), patient, split, notes, tags))
