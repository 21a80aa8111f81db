"""One reader per source: its tables -> `Source`. A reader opens no image.

Another installed package adds a source through an entry point in the group `intervalchange.sources`: its name is
SOURCE, its value a module with a function `read(root, ..., tables_only) -> Source`, as every reader here has.
In its `pyproject.toml`:

    [project.entry-points."intervalchange.sources"]
    my_hospital = "my_package.my_hospital"

Importing this module imports no reader, and neither numpy nor pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module, metadata
from inspect import signature
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin, get_type_hints

from intervalchange.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from intervalchange.data.readers.source import Source

ENTRY_POINTS = "intervalchange.sources"
READERS = {
    name: f"{__name__}.{name}"
    for name in (
        *("mimic_diff_vqa", "pairs", "mimic_cxr", "imagenome", "nih", "chexpert", "rsna", "siim", "object_cxr"),
        *("covidx", "ms_cxr", "ms_cxr_t", "chextemporal", "mmxu", "mi_cxr", "temmed_bench", "vindr", "openi"),
        *("cxr_longitudinal", "dicom", "reports"),
    )
}
"""Name of a source of this package -> the module whose `read` knows it."""

PATH_OPTIONS = ("images", "reports", "questions", "graphs", "salt", "protocol")
"""Options of readers that `prepare` has flags for; the others are written `--option NAME=VALUE`."""


@cache
def sources() -> dict[str, str]:
    """SOURCE -> the module of its reader: READERS, then those of installed packages.

    Raises ConfigError where two packages bring a source of the same name.
    """
    modules = dict(READERS)
    for point in metadata.entry_points(group=ENTRY_POINTS):
        if modules.setdefault(point.name, point.value) != point.value:
            raise ConfigError(
                f"two packages bring a source {point.name!r}: {modules[point.name]} and {point.value}.",
                remedy="Uninstall one of them.",
            )
    return modules


def reader_options(name: str) -> dict[str, Any]:
    """Option of a source's reader -> its type."""
    read = import_module(sources()[name]).read
    hints = get_type_hints(read)
    return {option: hints[option] for option in signature(read).parameters if option not in ("root", "tables_only")}


def read_source(name: str, root: str | Path, **options: object) -> Source:
    """Read the tables of a source. options: those of its reader; one that is None is left to the reader.

    A text is converted to the type of its option: a number, a path, or, split at commas, several texts.
    Raises SourceError for an unknown source, ConfigError for an option that its reader does not have.
    """
    if name not in sources():
        raise SourceError(f"there is no source '{name}'.", remedy=f"Known sources: {', '.join(sorted(sources()))}.")
    types = {**reader_options(name), "tables_only": bool}
    values = {option: value for option, value in options.items() if value is not None}
    unknown = sorted(values.keys() - types.keys())
    if "protocol" in unknown:
        raise ConfigError(
            f"--protocol {values['protocol']} has no meaning for source '{name}'.",
            remedy="Leave it out: mimic_diff_vqa has it. What other sources have as published (labels, boxes, the rows "
            "that validate) are options of their readers: docs/data.",
        )
    if unknown:
        own = ", ".join(_flag(option) for option in types if option != "tables_only") or "none"
        flags = ", ".join(map(_flag, unknown))
        raise ConfigError(f"source '{name}' has no use for {flags}.", remedy=f"Leave it out. It knows: {own}.")
    read = import_module(sources()[name]).read
    return cast(
        "Source", read(Path(root), **{option: _typed(option, value, types[option]) for option, value in values.items()})
    )


def _flag(option: str) -> str:
    """An option as it is written on the command line."""
    return f"--{option}" if option in PATH_OPTIONS else f"--option {option}"


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
