"""Where below ROOT a data set lies, and its films: as unzip, wget or a download manager leave them.

An archive unpacked into a folder of its own name, ROOT one folder too high or too low, names in another case, links,
and what a Mac leaves behind are all common, and none of them is a reason to refuse.
"""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from intervalchange.errors import SourceError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
DEEPEST = 5
"""Folders below ROOT: wget leaves `physionet.org/files/NAME/VERSION`, and archives a folder in it."""
WIDEST = 100
"""A folder of more folders than this holds films or patients, not a data set."""
FAMILY = (
    *("mimic-cxr-jpg", "mimic-cxr", "medical-diff-vqa", "chest-imagenome", "ms-cxr", "ms-cxr-t"),
    *("chextemporal", "mmxu", "mi-cxr"),
)
"""Folders of which ROOT holds several."""
VERSION = re.compile(r"\d+(\.\d+)+")
MASKS = ("mask", "masks")
"""Folders whose pictures are not films, though they are called as they are."""


def is_clutter(name: str) -> bool:
    """Hidden, or left behind by a Mac: no part of a data set."""
    return name.startswith(".") or name == "__MACOSX"


def family_root(root: Path, notes: Counter[str]) -> Path:
    """The folder that holds those of the MIMIC family: ROOT, one below it, or that above one of them or a version."""
    own = root.parent if VERSION.fullmatch(root.name) else root
    if own.name.lower() in FAMILY and own.is_dir() and _rank(root, FAMILY) is None:
        return own.parent
    return nearest_folder(root, FAMILY, notes) or root


def data_folder(root: Path, names: Sequence[str], notes: Counter[str], remedy: str) -> Path:
    """`nearest_folder`, or ROOT where there is none. Raises SourceError where only an archive is there."""
    start = root.parent if root.is_file() else root
    found = nearest_folder(start, names, notes)
    if found is None and start.is_dir():
        _refuse_archives(start, remedy)
    return found or start


def nearest_folder(root: Path, names: Sequence[str], notes: Counter[str]) -> Path | None:
    """The folder that holds one of the names (a table, also gzipped, or a folder; in any case of letters), or None.

    ROOT itself, else the nearest below it, else up to two folders above it; of several equally near the one with the
    earliest of the names, of versions the newest. Raises SourceError where there are several.
    """
    if not root.is_dir() or _rank(root, names) is not None:
        return root if root.is_dir() else None
    for level in _levels(root):
        ranks = {folder: rank for folder in level if (rank := _rank(folder, names)) is not None}
        nearest = [folder for folder, rank in ranks.items() if rank == min(ranks.values())]
        if all(VERSION.fullmatch(folder.name) for folder in nearest):
            nearest = nearest[-1:]
        if len(nearest) > 1:
            several = ", ".join(folder.relative_to(root).as_posix() for folder in nearest[:4])
            what = f"several folders hold {names[min(ranks.values())]}: {several}."
            raise SourceError(what, where=root, remedy="Give one as ROOT.")
        if nearest:
            if not VERSION.fullmatch(nearest[0].name):
                inner = nearest[0].relative_to(root).as_posix()
                notes[f"the data set lies in {inner} below ROOT, and is read there"] = 1
            return nearest[0]
    for above in root.resolve().parents[:2]:
        if _rank(above, names) is not None:
            notes[f"the tables lie above ROOT, in {above.name}, and are read there"] = 1
            return above
    return None


def _rank(folder: Path, names: Sequence[str]) -> int | None:
    """Index of the first of the names that the folder holds; None where it holds none, or cannot be listed."""
    present = {name.lower().removesuffix(".gz") for name in _names(folder)}
    return next((index for index, name in enumerate(names) if name.lower() in present), None)


def _names(folder: Path) -> list[str]:
    """The names in a folder in alphabetical order; none where it cannot be listed."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _levels(root: Path) -> Iterator[list[Path]]:
    """The folders below ROOT, level by level; not those in a folder of very many."""
    level = [root]
    for _ in range(DEEPEST):
        below = [_folders(folder) for folder in level]
        level = [folder for folders in below if len(folders) <= WIDEST for folder in folders]
        yield level


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if not is_clutter(entry.name) and entry.is_dir())
    except OSError:
        return []


def _refuse_archives(folder: Path, remedy: str) -> None:
    archives = [name for name in _names(folder) if name.lower().endswith(ARCHIVES) and not is_clutter(name)]
    if archives:
        what = f"the tables are not here, and the archive {archives[0]} is not unpacked."
        raise SourceError(what, where=folder, remedy=f"Unpack it (unzip, tar xf). {remedy}")


def named(folder: Path, name: str) -> Path:
    """The file or folder of this name, in any case of letters; as it should be called where there is none."""
    exact = folder / name
    if exact.exists():
        return exact
    return next((folder / other for other in _names(folder) if other.lower() == name.lower()), exact)


def films_below(folder: Path, endings: Sequence[str], notes: Counter[str]) -> dict[str, str]:
    """Name without ending -> path under the folder, of every film at any depth; links are followed.

    endings: in lower case, with the dot. Of several films of one name that with the earliest ending is taken, then the
    first by its path; the others are counted.
    """
    films = films_by_name(folder, endings)
    notes["films that are there twice (the first is taken)"] += sum(len(paths) - 1 for paths in films.values())
    return {stem: paths[0] for stem, paths in films.items()}


def films_by_name(folder: Path, endings: Sequence[str]) -> dict[str, list[str]]:
    """Name without ending -> paths under the folder, in the order of `films_below`. Folders of masks are left out."""
    films: dict[str, list[tuple[int, str]]] = {}
    for path in walk(folder, MASKS):
        stem, ending = os.path.splitext(path.rpartition("/")[2])
        if ending.lower() in endings:
            films.setdefault(stem, []).append((endings.index(ending.lower()), path))
    return {stem: [path for _, path in sorted(found)] for stem, found in films.items()}


def walk(folder: Path, avoid: Collection[str] = ()) -> Iterator[str]:
    """Paths under the folder, `/` between their parts, of all files at any depth.

    Links are followed, each folder once. avoid: names of folders that are not entered, in lower case.
    """
    waiting, entered = deque([""]), set()
    while waiting:
        inner = waiting.popleft()
        try:
            facts = os.stat(folder / inner)
            with os.scandir(folder / inner) as entries:
                listed = sorted((entry.name, entry.is_dir()) for entry in entries if not is_clutter(entry.name))
        except OSError:
            continue
        if (facts.st_dev, facts.st_ino) in entered:
            continue
        entered.add((facts.st_dev, facts.st_ino))
        prefix = f"{inner}/" if inner else ""
        waiting.extend(prefix + name for name, is_folder in listed if is_folder and name.lower() not in avoid)
        yield from (prefix + name for name, is_folder in listed if not is_folder)
