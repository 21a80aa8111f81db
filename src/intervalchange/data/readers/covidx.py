"""COVIDx: the text lists of COVID-Net, over chest films put together from eight public sources.

**Size.** 9A: 30,130 lines to train with (8,085 normal, 5,555 pneumonia, 16,490 COVID-19) and 400 to test with
(100, 100, 200). The other lists have 13,569 to 30,482 and 200 to 400 lines.
**Labels.** One class per film: normal, pneumonia, COVID-19; in the binary lists positive or negative for COVID-19.
**Access.** The lists are in https://github.com/lindawangg/COVID-Net, the films at their eight sources, each with its
own licence; Kaggle's `andyczhao/covidx-cxr2` has binary lists with their films.
**Cite.** Wang, Lin, Wong, Scientific Reports 2020.
**Defects handled.** Lines of 3, 4 and 5 fields: no source, or a patient id with a blank in it; the source `rnsa`, which
is rsna; films that a list repeats, that two lists share, or that have two classes; sources that were not fetched.
**Not handled.** The source nearly tells the class: in the test lists 8 and 9 all films of COVID-19 are of ricord and
all others of rsna. It is counted, and a tag of each case, `source=rsna`. The patient id of rsna names a film: one
person has several. There is no order in time.

Without a list of films to validate on (only CXR-4 has one), a fifth of the training patients is taken. ROOT holds
`train_COVIDx9A.txt`, `test_COVIDx9A.txt`, `train/` and `test/`. Beside the class nothing is known of a film: pneumonia
means another than that of COVID-19, so whether a film of COVID-19 shows one is unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intervalchange.data.readers.cases import film_case
from intervalchange.data.readers.files import marker
from intervalchange.data.readers.folders import MASKS, data_folder, named, walk
from intervalchange.data.readers.source import Source
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Case, Study

WHERE = "Fetch the lists from https://github.com/lindawangg/COVID-Net, whose docs say how to put the films together."
NUMBERED = ("9A", "9B", "8A", "8B", "7A", "7B", "6", "5", "4", "3", "2")
LISTS = (
    {version: f"_COVIDx{version}" for version in NUMBERED}
    | {"1": "_COVIDx", "CXR-3A": "_COVIDx_CXR-3A", "CXR-3B": "_COVIDx_CXR-3B"}
    | dict.fromkeys(("CXR-2", "CXR-3", "CXR-4"), "")
)
"""Version -> what follows the split in the name of its lists. The first that is there is the default."""
LIST_FOLDERS = ("", "labels")
"""Folders of ROOT that may hold the lists: those of the repository are in `labels/`."""
PARTS = ("train", "val", "test")
"""Splits, by the names of lists and folders. A film of several is of the last."""
VALIDATION_SHARE = 0.2
"""Of the training patients, where there is no list of films to validate on: the 80/20 of published work."""
ENDINGS = (".png", ".jpg", ".jpeg")
COVID = "covid-19"
FINDINGS_OF: Mapping[str, Mapping[str, float]] = {
    "normal": {"no finding": 1.0, "pneumonia": 0.0, COVID: 0.0},
    "pneumonia": {"no finding": 0.0, "pneumonia": 1.0, COVID: 0.0},
    "covid-19": {"no finding": 0.0, COVID: 1.0},
    "positive": {COVID: 1.0},
    "negative": {COVID: 0.0},
}
"""Class, in lower case -> findings."""
SLIPS = {"rnsa": "rsna"}
BIMCV_VIEW = re.compile(r"_vp-(pa|ap)_")
"""The view in a file name of bimcv; no other source has a fixed position for it."""


@dataclass(frozen=True, slots=True)
class CovidxRow:
    """One line of a list."""

    patient: str
    name: str
    word: str
    """The class, in lower case."""
    source: str
    """Empty where the line does not say."""
    split: str


def read(root: Path, images: Path | None = None, version: str | None = None, tables_only: bool = False) -> Source:
    """Read the lists of one version, and the names of the films on disk unless tables_only.

    images: the folder that holds `train/` and `test/`, or all films, if it is not ROOT. version: one of `LISTS`; 9A
    where it is there.
    """
    notes: Counter[str] = Counter()
    root = data_folder(root, _list_names(version), notes, WHERE)
    release, lists = _lists(root, version)
    films = _films(lists, notes)
    folder = images or root
    paths = _paths(folder, list(films.values()), tables_only, notes)
    cases = [_case(film, paths[name]) for name, film in films.items() if name in paths]
    if not cases:
        raise SourceError("no film could be used.", where=root, remedy=f"Noted: {dict(notes)}.")
    _note_sources([films[name] for name in paths], notes)
    simulated = marker(root / "SIMULATED")
    return Source("covidx", release, folder, cases, dict(+notes), {}, simulated, validation_share=VALIDATION_SHARE)


# --- the lists -----------------------------------------------------------------------------------------------------


def _list_names(version: str | None) -> tuple[str, ...]:
    """The names of the lists of a version, or of any, the default first; and the folder that may hold them."""
    endings = [LISTS[version]] if version in LISTS else list(dict.fromkeys(LISTS.values()))
    return *(f"{part}{ending}.txt" for ending in endings for part in PARTS), "labels"


def _lists(root: Path, version: str | None) -> tuple[str, dict[str, Path]]:
    """The version, and its lists: split -> path. Raises ConfigError on an unknown version, SourceError on none."""
    if version is not None and version not in LISTS:
        raise ConfigError(
            f"there is no version '{version}' of COVIDx here.", remedy=f"Choose one of: {', '.join(LISTS)}."
        )
    for name in LISTS if version is None else (version,):
        for folder in LIST_FOLDERS:
            paths = {part: named(root / folder, f"{part}{LISTS[name]}.txt") for part in PARTS}
            lists = {part: path for part, path in paths.items() if path.is_file()}
            if lists:
                # The lists of Kaggle all have the same names, which do not tell which of the three they are.
                return ("CXR" if version is None and not LISTS[name] else name), lists
    wanted = LISTS[version or NUMBERED[0]]
    raise SourceError(f"neither train{wanted}.txt nor test{wanted}.txt is here.", where=root, remedy=WHERE)


def _films(lists: Mapping[str, Path], notes: Counter[str]) -> dict[str, CovidxRow]:
    """File name -> its line. A file has one line, and one class."""
    films: dict[str, CovidxRow] = {}
    of_two_classes = set()
    for part in PARTS:
        if part not in lists:
            if part != "val":
                notes[f"there is no list of {part} films"] = 1
            continue
        for line in _lines(lists[part]):
            film = parse(line, part)
            if film is None:
                notes["lines that are not patient, file, class and source (skipped)"] += 1
                continue
            known = films.get(film.name, film)
            if known is not film:
                notes["lines that repeat a film (kept once; in the test list where it is in both)"] += 1
            if known.word != film.word:
                of_two_classes.add(film.name)
            films[film.name] = film if known.split != film.split else known
            notes["lines of source rnsa (taken as rsna)"] += line.split()[-1].lower() in SLIPS
    notes["films of two classes (left out)"] = len(of_two_classes)
    return {name: film for name, film in films.items() if name not in of_two_classes}


def _lines(path: Path) -> list[str]:
    """The lines of a list that say anything."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise SourceError("this is not a text in UTF-8.", where=path, remedy=WHERE) from error
    return [line for line in text.splitlines() if line.strip()]


def parse(line: str, split: str = "") -> CovidxRow | None:
    """`patient file class [source]`, from the right, for a patient id may hold blanks; None where it is not that."""
    fields = line.split()
    source = "" if not fields or fields[-1].lower() in FINDINGS_OF else fields.pop().lower()
    if len(fields) < 3:
        return None
    *patient, name, word = fields
    if word.lower() not in FINDINGS_OF or not name.lower().endswith(ENDINGS) or "/" in name or "\\" in name:
        return None
    return CovidxRow(" ".join(patient), name, word.lower(), SLIPS.get(source, source), split)


# --- the films -----------------------------------------------------------------------------------------------------


def _paths(folder: Path, films: Sequence[CovidxRow], tables_only: bool, notes: Counter[str]) -> dict[str, str]:
    """File name -> path under the folder, of the films that are on disk: in the folder of a split, or flat.

    Raises SourceError where none is there, unless tables_only.
    """
    if tables_only:
        return {film.name: f"{film.split}/{film.name}" for film in films}
    on_disk = {
        part: {path.name for path in (folder / part).iterdir()} if (folder / part).is_dir() else set()
        for part in ("", *PARTS)
    }
    paths = {}
    for film in films:
        part = next((part for part in (film.split, "", *PARTS) if film.name in on_disk[part]), None)
        if part is not None:
            paths[film.name] = f"{part}/{film.name}" if part else film.name
    if len(paths) < len(films):
        paths = _elsewhere(folder, films) | paths
    for film in films:
        if film.name not in paths:
            notes[f"films of {film.source or 'no named source'} that are not on disk (left out)"] += 1
    if films and not paths:
        raise SourceError("none of the films that the lists name is here.", where=folder, remedy=WHERE)
    return paths


def _elsewhere(folder: Path, films: Sequence[CovidxRow]) -> dict[str, str]:
    """The same for films in other folders, or whose name is in other letters; rather of its own split."""
    below: dict[str, list[str]] = {}
    for path in sorted(walk(folder, MASKS)):
        below.setdefault(path.rpartition("/")[2].lower(), []).append(path)
    paths = {}
    for film in films:
        found = below.get(film.name.lower(), [])
        own = [path for path in found if film.split in path.lower().split("/")]
        if found:
            paths[film.name] = (own or found)[0]
    return paths


def _case(film: CovidxRow, path: str) -> Case:
    """The case of one film, with its source as a tag."""
    view = BIMCV_VIEW.search(film.name) if film.source == "bimcv" else None
    study = Study(film.name, path, view[1].upper() if view else "", findings=dict(FINDINGS_OF[film.word]))
    tags = [f"source={film.source}"] if film.source else []
    return film_case(study, film.patient, film.split, tags, normal=film.word == "normal")


def _note_sources(films: list[CovidxRow], notes: Counter[str]) -> None:
    """Count what each source has of each class, and how far a source tells the class."""
    classes: dict[tuple[str, str], set[float]] = {}
    for film in films:
        classes.setdefault((film.split, film.source), set()).add(FINDINGS_OF[film.word][COVID])
        notes[f"films of {film.source or 'no named source'}: {film.word}"] += 1
        notes["films of rsna, whose patient id names the film (one person may have several)"] += film.source == "rsna"
    for film in films:
        if film.source and len(classes[film.split, film.source]) == 1:
            notes[
                f"{film.split} films whose source tells whether they are COVID-19 (a model may learn the source)"
            ] += 1
