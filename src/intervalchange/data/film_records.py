"""What is kept of one film besides its pixels, and where the films of a source lie."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from intervalchange.data.films import Geometry


@dataclass(frozen=True)
class FilmRecord:
    """What is kept of one film (or opacity map) besides its pixels. `error` is empty where it could be read."""

    image: str
    """Its name in the source, `Study.image`."""
    geometry: Geometry | None = None
    digest: str = ""
    """First digits of the SHA-256 of the stored pixels: the same film under two names has the same."""
    view: str = ""
    date: str = ""
    dicom: bool = False
    """Whether it has a header that can be compared with another's."""
    warnings: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class ReadFilm:
    """A film for the shards. One that cannot be used has no pixels, and its record says why."""

    record: FilmRecord
    pixels: np.ndarray | None = None
    """(side, side) uint8."""


def records_as_json(records: Sequence[FilmRecord]) -> str:
    """The records of a shard as one line of JSON."""
    return json.dumps([asdict(record) for record in records], sort_keys=True, ensure_ascii=False)


def records_from_json(text: str) -> list[FilmRecord]:
    """What `records_as_json` wrote."""
    return [
        FilmRecord(
            **{
                **fields,
                "geometry": Geometry(**fields["geometry"]) if fields["geometry"] else None,
                "warnings": tuple(fields["warnings"]),
            }
        )
        for fields in json.loads(text)
    ]
