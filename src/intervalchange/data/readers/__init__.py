"""One reader per source: its tables -> `Source`. A reader opens no image."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import cast

from intervalchange.data.readers.source import Source
from intervalchange.errors import ConfigError, SourceError

READERS = {
    "mimic_diff_vqa": "intervalchange.data.readers.mimic_diff_vqa",
    "pairs": "intervalchange.data.readers.pairs",
}
"""Name of a source -> the module whose `read` knows it."""


def read_source(name: str, root: str | Path, **options: object) -> Source:
    """Read the tables of a source. options: those of its reader; one that is None is left to the reader."""
    if name not in READERS:
        raise SourceError(f"there is no source '{name}'.", remedy=f"Known sources: {', '.join(sorted(READERS))}.")
    read = import_module(READERS[name]).read
    given = {key: value for key, value in options.items() if value is not None}
    unknown = sorted(set(given) - set(signature(read).parameters))
    if unknown:
        flags = ", ".join(f"--{key}" for key in unknown)
        raise ConfigError(f"source '{name}' has no use for {flags}.", remedy="Leave it out.")
    return cast(Source, read(Path(root), **given))
