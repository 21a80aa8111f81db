"""One reader per source: its tables -> `Source`. A reader opens no image."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

from intervalchange.data.readers.source import Source
from intervalchange.errors import ConfigError, SourceError

READERS = {
    "mimic_diff_vqa": "intervalchange.data.readers.mimic_diff_vqa",
    "pairs": "intervalchange.data.readers.pairs",
    "mimic_cxr": "intervalchange.data.readers.mimic_cxr",
    "imagenome": "intervalchange.data.readers.imagenome",
    "nih": "intervalchange.data.readers.nih",
    "chexpert": "intervalchange.data.readers.chexpert",
    "rsna": "intervalchange.data.readers.rsna",
    "siim": "intervalchange.data.readers.siim",
    "object_cxr": "intervalchange.data.readers.object_cxr",
    "covidx": "intervalchange.data.readers.covidx",
    "ms_cxr": "intervalchange.data.readers.ms_cxr",
    "ms_cxr_t": "intervalchange.data.readers.ms_cxr_t",
    "vindr": "intervalchange.data.readers.vindr",
    "openi": "intervalchange.data.readers.openi",
    "cxr_longitudinal": "intervalchange.data.readers.cxr_longitudinal",
    "dicom": "intervalchange.data.readers.dicom",
    "reports": "intervalchange.data.readers.reports",
}
"""Name of a source -> the module whose `read` knows it."""

PLACES = ("images", "reports", "questions", "graphs", "salt")
"""Options of readers that `prepare` has flags for; the others are given as `--option NAME=VALUE`."""


def reader_options(name: str) -> dict[str, Any]:
    """Option of a source's reader -> its type."""
    read = import_module(READERS[name]).read
    hints = get_type_hints(read)
    return {option: hints[option] for option in signature(read).parameters if option not in ("root", "tables_only")}


def read_source(name: str, root: str | Path, **options: object) -> Source:
    """Read the tables of a source. options: those of its reader; one that is None is left to the reader.

    A text is turned into what the reader wants: a number, a path, or, split at commas, several texts.
    """
    if name not in READERS:
        raise SourceError(f"there is no source '{name}'.", remedy=f"Known sources: {', '.join(sorted(READERS))}.")
    known = {**reader_options(name), "tables_only": bool}
    given = {key: value for key, value in options.items() if value is not None}
    unknown = sorted(set(given) - set(known))
    if unknown:
        own = ", ".join(_flag(option) for option in known if option != "tables_only") or "none"
        flags = ", ".join(map(_flag, unknown))
        raise ConfigError(f"source '{name}' has no use for {flags}.", remedy=f"Leave it out. It knows: {own}.")
    read = import_module(READERS[name]).read
    return cast(Source, read(Path(root), **{key: _typed(key, value, known[key]) for key, value in given.items()}))


def _flag(option: str) -> str:
    """An option as it is written on the command line."""
    return f"--{option}" if option in PLACES else f"--option {option}"


def _typed(option: str, value: object, hint: Any) -> object:
    """The value in the type of its option."""
    if not isinstance(value, str):
        return value
    kinds = [kind for kind in get_args(hint) if kind is not type(None)] if isinstance(hint, UnionType) else [hint]
    kind = kinds[0]
    if get_origin(kind) in (Sequence, tuple, list):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if kind in (int, float, Path):
        try:
            return kind(value)
        except ValueError as error:
            raise ConfigError(f"option {option} is {value!r}.", remedy=f"It takes {kind.__name__}.") from error
    return value
