"""A film that is not where its table says: what may have been meant, and what to do about it."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from intervalchange.data.readers import reader_options, sources
from intervalchange.data.readers.source import Source


def remedy_of(source: Source, image: str) -> str:
    """What to do about a film that is not there: what its name suggests, and what this source can be told."""
    has_folder = source.name in sources() and "images" in reader_options(source.name)
    general = (
        "Check where the films are (--images)."
        if has_folder
        else f"Paths are relative to {source.image_root}; capitals count."
    )
    return f"{suggestion(source.image_root, image)} {general}".strip()


def suggestion(folder: Path, image: str) -> str:
    """What is wrong with the path of a film below a folder, as a sentence; empty where its name does not show it."""
    if (folder / image).exists():
        return ""
    if image.startswith("file:"):
        return "Write the path without file://."
    if re.match(r"\w+://", image):
        return "Films are not fetched from the network: download them, and give their paths."
    if image.startswith("~"):
        return "Write the home folder out: ~ is not replaced."
    if re.match(r"[A-Za-z]:[\\/]|\\\\", image):
        return "This is a path of a Windows computer: give one below the folder of the table."
    if "\\" in image:
        slashed = image.replace("\\", "/")
        return suggestion(folder, slashed) or "Write the path with / in place of \\."
    similar = _similar(folder, image)
    return f"There is {similar}." if similar else ""


def _similar(folder: Path, image: str) -> str:
    """The file that differs from a path only in capitals, in how accents are encoded, or in its ending."""
    found = folder
    parts = Path(image).parts
    for depth, part in enumerate(parts):
        if (found / part).exists():
            found = found / part
            continue
        try:
            names = sorted(path.name for path in found.iterdir())
        except OSError:
            return ""
        equal = [name for name in names if _plain(name) == _plain(part)]
        if not equal and depth == len(parts) - 1:
            equal = [name for name in names if _plain(Path(name).stem) in (_plain(part), _plain(Path(part).stem))]
        if not equal:
            return ""
        found = found / equal[0]
    return str(found.relative_to(folder)) if found.is_relative_to(folder) else str(found)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().strip()
