"""CheXTemporal: five classes of progression of findings between two films of CheXpert, MIMIC-CXR or ReXGradient.

**Size.** Gold 1,787 labels of pair and finding of 197 patients, by experts, for testing; silver 282,214 of 34,296
patients, by a language model (MedGemma) from the reports.
**Labels.** Stable, New, Worse, Improved, Resolved.
**Access.** https://huggingface.co/datasets/anonaccount107240/CheXTemporal (gated); CC BY-NC 4.0; annotations only.
The films are those of the three sets, each under its own agreement.
**Cite.** Prakash et al., arXiv:2605.11304.
**Defects handled.** Findings that the answers have no word for; two labels of one finding on one pair; several labels
of a pair (one case); gold patients among the silver ones (left out of training); films of a set that is not here;
paths with or without the folder of their set, and `patient10000000/study50000000` for `p10/p10000000/s50000000`.
**Not handled.** The boxes: two public programs that read them put them in frames of different size (the long side or
the short side of the film at 1024), and the card names none.

Verified, from the data card and two public programs that read the files: names of files and columns, words of
progression (gold in lower case, silver with a capital), and that gold paths of CheXpert begin at the patient.

ROOT holds `chextemporal/` with `gold_progression_pairs.parquet` and `silver_findings.parquet`, and `mimic-cxr-jpg/`,
`CheXpert-v1.0/` or `-small/`, and `rexgradient/`, or those of them that you have.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from intervalchange.data.readers import mimic_files, mimic_studies
from intervalchange.data.readers.chexpert_folders import COPIES, Patients
from intervalchange.data.readers.courses import by_pair, course_case
from intervalchange.data.readers.files import folder_with, marker, need_columns
from intervalchange.data.readers.folders import family_root
from intervalchange.data.readers.mimic_files import FilmPaths
from intervalchange.data.readers.source import Source
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Study

WHERE = "Fetch it from https://huggingface.co/datasets/anonaccount107240/CheXTemporal into ROOT/chextemporal."
PARTS = {"gold": "gold_progression_pairs.parquet", "silver": "silver_findings.parquet"}
FINDING = {"gold": "disease_name", "silver": "finding"}
PRIOR, CURRENT = (
    {"gold": "img_path_prev", "silver": "parent_image_prev"},
    {"gold": "img_path_curr", "silver": "parent_image_curr"},
)
COURSE_OF = {"new": "added", "resolved": "missing", "worse": "worse", "improved": "better", "stable": "stable"}
"""Progression in lower case -> course."""
HELD_BACK = 0.1
"""Of the silver patients, for validation."""
_MIMIC = re.compile(r"p(?:atient)?(\d+)/s(?:tudy)?(\d+)/([^/\\]+?)(?:\.(?:jpe?g|png|dcm))?$")
_CHEXPERT = re.compile(r"(?:(train|valid|val|test)/)?(patient\d+)/study(\d+)/(view\d+_(frontal|lateral)\.\w+)$")

Pair = tuple[str, str, str, str]
"""Set, patient, path of the prior film, path of the current film."""


def read(
    root: Path,
    images: Path | None = None,
    chexpert: Path | None = None,
    rexgradient: Path | None = None,
    part: str = "gold",
    tables_only: bool = False,
) -> Source:
    """Read the pairs of a part: gold (test) or silver (train).

    images, chexpert, rexgradient: the folders of MIMIC-CXR-JPG, CheXpert (with `train/`) and ReXGradient (with
    `deid_png/`), if not in ROOT.
    """
    if part not in PARTS:
        raise ConfigError(f"unknown part '{part}'.", remedy=f"Choose one of: {', '.join(PARTS)}.")
    notes: Counter[str] = Counter()
    root = family_root(root, notes)
    folders = {
        "mimic": folder_with(images or root / "mimic-cxr-jpg", "files", mimic_files.METADATA),
        "chexpert": chexpert or next((path for name in COPIES if (path := root / name).is_dir()), root / COPIES[0]),
        "rexgradient": rexgradient or root / "rexgradient",
    }
    for option, given in (("--images", images), ("chexpert", chexpert), ("rexgradient", rexgradient)):
        if given is not None and not given.is_dir():
            raise SourceError("there is no such folder of films.", where=given, remedy=f"Correct {option}.")
    table = _table(root / "chextemporal", part)
    rows = [(pair, name, word) for pair, name, word in _rows(table, part, notes) if _is_here(pair, folders, notes)]
    if part == "silver":
        rows = _without_gold(rows, root / "chextemporal", notes)
    courses = by_pair(rows, notes)
    films = {
        name: _READERS[name](root, folders[name], [pair for pair in courses if pair[0] == name], notes, tables_only)
        for name in folders
    }
    cases = []
    for pair, own in courses.items():
        of_set = films[pair[0]]
        prior, current = of_set.get(pair[2]), of_set.get(pair[3])
        if prior is None or current is None:
            notes["pairs with a film that is not frontal, or whose path names none (skipped)"] += 1
            continue
        split = "test" if part == "gold" else "train"
        cases.append(course_case(prior, current, f"{pair[0]}-{pair[1]}", split, own, (f"dataset={pair[0]}",)))
    if not cases:
        path = root / "chextemporal" / PARTS[part]
        sets = ", ".join(map(str, folders.values()))
        raise SourceError(f"no pair could be used; films are looked for in {sets}.", where=path, remedy=_noted(notes))
    simulated = marker(root / "SIMULATED")
    share = HELD_BACK if part == "silver" else 0.0
    return Source("chextemporal", part, root, cases, dict(+notes), {}, simulated, validation_share=share)


def _noted(notes: Counter[str]) -> str:
    return f"Noted: {dict(+notes)}. Put the films of one of the three sets there, or name their folder (docs/data)."


# --- the tables ------------------------------------------------------------------------------------------------------


def _table(folder: Path, part: str) -> pd.DataFrame:
    """The table of a part, as text. Raises SourceError where it is not there, damaged, or has other columns."""
    path = folder / PARTS[part]
    if not path.is_file():
        raise SourceError(f"there is no {PARTS[part]}.", where=folder, remedy=WHERE)
    columns = ["dataset", "patient_id", FINDING[part], "progression", PRIOR[part], CURRENT[part]]
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # Of a damaged file pyarrow raises what its decoders do.
        raise SourceError(f"the table is damaged ({type(error).__name__}).", where=path, remedy=WHERE) from error
    need_columns(table, columns, path, WHERE)
    return table[columns].astype(str)


def _rows(table: pd.DataFrame, part: str, notes: Counter[str]) -> Iterator[tuple[Pair, str, str]]:
    """Pair, finding, course."""
    columns = ("dataset", "patient_id", PRIOR[part], CURRENT[part], FINDING[part], "progression")
    for name, patient, prior, current, finding, word in zip(*(table[column] for column in columns), strict=True):
        course = COURSE_OF.get(word.strip().lower())
        if course is None:
            notes["rows with an unknown progression (skipped)"] += 1
        elif name.strip().lower() not in _READERS or prior == current:
            notes["rows of an unknown set, or whose films are one (skipped)"] += 1
        else:
            yield (name.strip().lower(), _digits(patient), prior.strip(), current.strip()), finding, course


def _digits(patient: str) -> str:
    """patient00001, p10000001, 10000001.0 -> their number; another name as it is."""
    plain = mimic_files.plain_id(patient.strip().removeprefix("patient"))
    return plain or patient.strip()


def _is_here(pair: Pair, folders: Mapping[str, Path], notes: Counter[str]) -> bool:
    """Whether the films of its set are here at all."""
    here = folders[pair[0]].is_dir()
    notes[f"labels of {pair[0]}, whose films are not here (left out)"] += not here
    return here


def _without_gold(rows: list[tuple[Pair, str, str]], folder: Path, notes: Counter[str]) -> list[tuple[Pair, str, str]]:
    """The rows of patients who are not among those of the gold part."""
    if not (folder / PARTS["gold"]).is_file():
        notes["the gold part is not here: its patients may be among these"] = 1
        return rows
    gold = {(pair[0], pair[1]) for pair, _, _ in _rows(_table(folder, "gold"), "gold", Counter())}
    kept = [row for row in rows if row[0][:2] not in gold]
    notes["labels of patients of the gold part (left out of training)"] += len(rows) - len(kept)
    return kept


# --- films -----------------------------------------------------------------------------------------------------------


def _below(root: Path, folder: Path) -> str:
    """The folder as seen from ROOT, below which all films are named."""
    return Path(os.path.relpath(folder, root)).as_posix()


def _mimic(
    root: Path, folder: Path, pairs: list[Pair], notes: Counter[str], tables_only: bool
) -> dict[str, Study | None]:
    found = {text: _MIMIC.search(text) for pair in pairs for text in pair[2:]}
    named = {text: (match[1], match[2], match[3]) for text, match in found.items() if match is not None}
    if not named:
        return {}
    paths = FilmPaths(folder, None, None, {})
    films = mimic_studies.named_films(paths, {film[2]: film[:2] for film in named.values()}, notes)
    studies = mimic_studies.as_studies(paths, films, Counter(), tables_only)
    prefix = _below(root, folder)
    return {
        text: replace(study, image=f"{prefix}/{study.image}") if (study := studies.get(film[2])) else None
        for text, film in named.items()
    }


def _chexpert(
    root: Path, folder: Path, pairs: list[Pair], notes: Counter[str], tables_only: bool
) -> dict[str, Study | None]:
    patients, prefix = Patients(folder), _below(root, folder)
    films: dict[str, Study | None] = {}
    for text in dict.fromkeys(text for pair in pairs for text in pair[2:]):
        match = _CHEXPERT.search(text.replace("\\", "/"))
        if match is None or match[5] != "frontal":
            films[text] = None
            continue
        split = {"valid": "val"}.get(match[1] or "", match[1] or "train")
        image = f"{prefix}/{patients.folder(split, match[2])}/study{match[3]}/{match[4]}"
        films[text] = Study(f"{match[2]}-study{match[3]}", image, order=float(match[3]))
    return films


def _rexgradient(
    root: Path, folder: Path, pairs: list[Pair], notes: Counter[str], tables_only: bool
) -> dict[str, Study | None]:
    prefix = _below(root, folder)
    films: dict[str, Study | None] = {}
    for text in dict.fromkeys(text for pair in pairs for text in pair[2:]):
        inner = text.replace("\\", "/").removeprefix("../").removeprefix("rexgradient/")
        films[text] = Study(inner, f"{prefix}/{inner}")
    return films


_READERS = {"mimic": _mimic, "chexpert": _chexpert, "rexgradient": _rexgradient}
