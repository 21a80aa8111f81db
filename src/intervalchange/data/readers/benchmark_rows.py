"""Rows of benchmarks that come as JSON: read whole or by line, their fields under any of several names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from intervalchange.data.readers import mimic_files
from intervalchange.data.readers.mimic_files import FilmMetadata
from intervalchange.data.readers.moments import later
from intervalchange.errors import SourceError

Row = Mapping[str, Any]
Film = tuple[str, str, str]
"""Subject, study, dicom_id of a film of MIMIC-CXR-JPG."""


def read_rows(path: Path, remedy: str) -> list[Row]:
    """The objects of a JSON list, or of JSON lines. Raises SourceError for what is neither."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot be read ({error}).", where=path, remedy=remedy) from error
    try:
        plain = json.loads(text) if text.lstrip()[:1] == "[" else _lines(text)
    except ValueError as error:
        raise SourceError(f"not JSON ({error}).", where=path, remedy=remedy) from error
    if not isinstance(plain, list) or not all(isinstance(row, dict) for row in plain):
        raise SourceError("its rows are not JSON objects.", where=path, remedy=remedy)
    if not plain:
        raise SourceError("holds no rows.", where=path, remedy=remedy)
    return plain


def _lines(text: str) -> list[Any]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return rows


def need_fields(rows: list[Row], fields: tuple[str, ...], path: Path, remedy: str) -> None:
    """Raise SourceError where no row has these fields: the names are others."""
    missing = [name for name in fields if not any(name in row for row in rows)]
    if missing:
        found = ", ".join(sorted({name for row in rows[:20] for name in row})) or "none"
        what = f"no row has the field {' or '.join(missing)}; the fields are: {found}."
        raise SourceError(what, where=path, remedy=remedy)


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a value of JSON, at any depth, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def mimic_films(value: Any) -> list[Film]:
    """The films of MIMIC-CXR-JPG whose paths stand in a value of JSON, each once, in order."""
    found = (mimic_files.ids_of_path(text) for text in texts_in(value))
    return list(dict.fromkeys(film for film in found if film is not None))


def in_time(films: Mapping[str, FilmMetadata], first: Film, second: Film, notes: Counter[str]) -> int:
    """+1 where the metadata say that the second film is the later one, -1 the earlier one, 0 where they do not say."""
    known = [films[film[2]].taken for film in (first, second)]
    order = later(*known)
    if not order:
        notes["pairs whose order in time the metadata do not tell (it is as the row has it)"] += 1
    return order
