"""Where the tables and the films of CheXpert lie, in every form in which Stanford hands them out.

v1.0, v1.0-small   train.csv, valid.csv, train/, valid/
AIMI               `CheXpert-v1.0 batch 1 (validate & csv)/` with the tables and valid/, and the training patients in
                   `... batch 2 (train 1)/` to `... batch 4 (train 3)/`, without a folder train/
CheXlocalize       `CheXpert/` with val_labels.csv, test_labels.csv, val/ and test/; no training films
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from intervalchange.data.readers.files import plain_or_gzip
from intervalchange.data.readers.folders import data_folder, is_clutter, nearest_folder
from intervalchange.errors import SourceError

WHERE = "Fetch it from https://stanfordmlgroup.github.io/competitions/chexpert/ (registration)."
COPIES = ("CheXpert-v1.0", "CheXpert-v1.0-small")
"""Names of the folder, the better one first."""
TRAIN, VALID = "train.csv", "valid.csv"
TABLES = (TRAIN, VALID, "val_labels.csv", "test_labels.csv", "test.csv", "groundtruth.csv")
BATCH = re.compile(r"batch[\s_-]*\d+\b", re.IGNORECASE)
PATIENT = re.compile(r"patient\d+")
WORDS_OF = {"train": ("train",), "val": ("valid", "val"), "test": ("test",)}
"""Split -> words that the folder of its patients may have in its name."""
NO_TRAINING = (
    "Of AIMI's batches give the folder that holds `batch 1` to `batch 4` as ROOT; "
    f"or move {TRAIN} away, to prepare the other films alone."
)
DEEPEST = 3


@dataclass(frozen=True)
class Layout:
    """Where the tables and the films are."""

    tables: tuple[Path, ...]
    """Folders that may hold tables, the first that has one counts."""
    top: Path
    """The folder below which all films are, but for --images."""

    def table(self, name: str) -> Path | None:
        """The path of a table, None where it is nowhere."""
        return next((path for folder in self.tables if (path := plain_or_gzip(folder, name)) is not None), None)


def layout(root: Path, notes: Counter[str]) -> Layout:
    """The layout of ROOT, which may be a folder too high or too low."""
    folders = (root, *(root / copy for copy in COPIES))
    complete = [folder for folder in folders if any(plain_or_gzip(folder, name) for name in (TRAIN, VALID))]
    if len(complete) > 1:
        notes[f"two copies are here, which hold the same films: {complete[0].name} is read (give ROOT/{COPIES[1]})"] = 1
    if complete:
        folder = complete[0]
    else:
        own = next((batch for batch in batches(root) if plain_or_gzip(batch, TRAIN)), None)
        tables = TABLES if any(plain_or_gzip(root, name) for name in TABLES) else (TRAIN, VALID)
        folder = own or nearest_folder(root, tables, notes) or data_folder(root, TABLES, notes, WHERE)
    if not any(plain_or_gzip(folder, name) for name in TABLES):
        what = f"neither {TRAIN} nor {VALID} is here, nor in {' or '.join(COPIES)}."
        raise SourceError(what, where=root, remedy=WHERE)
    top = folder
    for inner in (folder.resolve(), *folder.resolve().parents):
        if not BATCH.search(inner.name):
            break
        top = inner.parent
    beside = sorted(path for path in top.iterdir() if path.is_dir()) if top != folder else []
    return Layout((folder, *(path for path in (top, *beside) if path != folder)), top)


def batches(root: Path) -> list[Path]:
    """The folders of AIMI's batches."""
    return sorted(path for path in root.iterdir() if BATCH.search(path.name) and path.is_dir()) if root.is_dir() else []


@dataclass(frozen=True)
class Patients:
    """The folders of the patients on disk."""

    top: Path

    @cached_property
    def _holders(self) -> dict[str, list[str]]:
        """Patient -> the folders, relative to the top, that hold a folder of this name; the nearest first."""
        holders: dict[str, list[str]] = {}
        level = [""]
        for _ in range(DEEPEST + 1):
            below: list[str] = []
            for inner in level:
                for name in _folders(self.top / inner):
                    if PATIENT.fullmatch(name):
                        holders.setdefault(name, []).append(inner)
                    else:
                        below.append(f"{inner}/{name}" if inner else name)
            level = below
        return holders

    @cached_property
    def _known(self) -> dict[tuple[str, str], str]:
        return {}

    def folder(self, split: str, patient: str) -> str:
        """The folder of a patient, relative to the top; that of the published form where it is not on disk."""
        if (split, patient) not in self._known:
            self._known[split, patient] = self._folder(split, patient)
        return self._known[split, patient]

    def _folder(self, split: str, patient: str) -> str:
        for word in WORDS_OF[split]:
            if (self.top / word / patient).is_dir():
                return f"{word}/{patient}"
        holders = self._holders.get(patient, [])
        words = {
            holder: {name for name, known in WORDS_OF.items() if any(w in holder.lower() for w in known)}
            for holder in holders
        }
        named = [holder for holder in holders if split in words[holder]]
        neutral = [holder for holder in holders if not words[holder]]
        holder = next(iter(named or neutral), WORDS_OF[split][0])
        return f"{holder}/{patient}" if holder else patient

    def frontal_views(self, split: str, patient: str, study: int) -> list[str]:
        """Names of the frontal films of a study; the usual one where none is on disk."""
        folder = self.top / self.folder(split, patient) / f"study{study}"
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        return [name for name in names if "_frontal." in name and not is_clutter(name)] or ["view1_frontal.jpg"]


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not is_clutter(entry.name) and entry.is_dir())
    except OSError:
        return []


def need_films(folder: Path, images: Sequence[str], named_in: str, remedy: str) -> None:
    """Raise SourceError where none of the films that a table names is on disk. images: paths under the folder."""
    if images and not any((folder / image).is_file() for image in _probed_first(images)):
        raise SourceError(f"none of the films that {named_in} names is here.", where=folder, remedy=remedy)


def _probed_first(images: Sequence[str]) -> list[str]:
    """All of them, two hundred that are spread over the list first."""
    return [*images[:: max(1, len(images) // 200)], *images]
