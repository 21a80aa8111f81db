"""Films -> the shards of a prepared folder, by threads of this machine or by the processes of a Ray cluster.

Both write the same bytes. On a cluster the source and OUT must lie on a disk that every node sees under the same path,
and every node needs the same version of intervalchange. A shard is one task: a finished shard stays finished.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from intervalchange.atomic_files import write_durably
from intervalchange.data.film_records import FilmRecord, ReadFilm, records_as_json, records_from_json
from intervalchange.data.store import rows_per_shard, shard_name, write_shard
from intervalchange.errors import ConfigError

Engine = Literal["local", "ray"]
PROGRESS = "progress"
"""Folder of the records of finished shards, inside the prepared folder until it is complete."""

Read = Callable[[str], ReadFilm]
"""Name of a film in its source -> its pixels, if it can be used, and its record."""
Advance = Callable[[int], None]
"""Called with the number of films that were just stored."""


@dataclass(frozen=True)
class Workers:
    """Who reads the films."""

    engine: Engine = "local"
    count: int | None = None
    """Threads, or with "ray" processes of a cluster made here; None for one per core."""

    @property
    def cores(self) -> int:
        return self.count or os.cpu_count() or 1


@dataclass(frozen=True)
class Shard:
    """One shard to make."""

    out: Path
    name: str
    index: int
    images: tuple[str, ...]
    """Names of its films in their source."""
    side: int

    @property
    def records(self) -> Path:
        """Records of its films; written last, so a shard with records is complete."""
        return self.out / PROGRESS / f"{self.name}-{self.index:05d}.json"


def shards_of(out: Path, name: str, images: Sequence[str], side: int) -> list[Shard]:
    """The shards that hold these films, in their order."""
    step = rows_per_shard(side)
    starts = range(0, len(images), step)
    return [Shard(out, name, index, tuple(images[at : at + step]), side) for index, at in enumerate(starts)]


def make_shards(shards: Sequence[Shard], read: Read, workers: Workers, advance: Advance) -> list[FilmRecord]:
    """Make the shards that are not there yet; the record of every film of all shards, in order."""
    missing = [shard for shard in shards if not shard.records.is_file()]
    advance(sum(len(shard.images) for shard in shards if shard not in missing))
    if workers.engine == "ray" and missing:
        _make_on_ray(missing, read, workers, advance)
    else:
        with ThreadPoolExecutor(workers.cores) as pool:
            for shard in missing:
                _write(shard, pool.map(read, shard.images), advance)
    return [record for shard in shards for record in records_from_json(shard.records.read_text(encoding="utf-8"))]


def _write(shard: Shard, films: Iterable[ReadFilm], advance: Advance) -> None:
    """Write a shard and its records. Films without pixels become blank rows."""
    rows = np.zeros((len(shard.images), shard.side, shard.side), np.uint8)
    records = []
    for row, film in zip(rows, films, strict=True):
        if film.pixels is not None:
            row[:] = film.pixels
        records.append(film.record)
        advance(1)
    write_shard(shard.out / shard_name(shard.name, shard.index), rows)
    write_durably(shard.records, records_as_json(records).encode())


def _make_alone(shard: Shard, read: Read) -> int:
    """Make a shard in the process that runs this; returns the number of its films."""
    _write(shard, map(read, shard.images), lambda films: None)
    return len(shard.images)


def _make_on_ray(shards: Sequence[Shard], read: Read, workers: Workers, advance: Advance) -> None:
    """One task per shard, on the cluster this process is connected to, that of RAY_ADDRESS, or one made here."""
    try:
        import ray
    except ImportError as missing:
        raise ConfigError(
            "`--engine ray` needs the package ray.", remedy="Run: pip install 'intervalchange[ray]'"
        ) from missing
    started = not ray.is_initialized()
    if started:
        cores = None if os.environ.get("RAY_ADDRESS") else workers.cores
        ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    try:
        task, shared = ray.remote(num_cpus=1)(_make_alone), ray.put(read)
        running = [task.remote(shard, shared) for shard in shards]
        while running:
            done, running = ray.wait(running)
            advance(ray.get(done[0]))
    finally:
        if started:
            ray.shutdown()
