"""Where the shards of a prepared folder are made: by threads of this machine, or by the processes of a Ray cluster.

Both write the same bytes. On a cluster the source and OUT must lie on a disk that every node sees under the same path,
and every node needs the same version of intervalchange. A shard is one task: what was finished stays finished.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from intervalchange.data.store import shard_name, write_atomically, write_shard
from intervalchange.errors import ConfigError

Engine = Literal["local", "ray"]
ENGINES: tuple[Engine, ...] = ("local", "ray")
Read = Callable[[str], tuple[np.ndarray | None, dict[str, Any]]]
"""Name of a picture -> (side, side) uint8, or None where it cannot be used, and what is noted of it, as plain JSON."""


class Advance(Protocol):
    """Told how many pictures have been done."""

    def __call__(self, steps: int, /) -> None: ...


@dataclass(frozen=True)
class Shard:
    """One shard to make."""

    out: Path
    name: str
    index: int
    images: tuple[str, ...]
    side: int

    @property
    def notes(self) -> Path:
        """What was noted of its pictures; written last, so a shard with notes is complete."""
        return self.out / "progress" / f"{self.name}-{self.index:05d}.json"


def make(shards: Sequence[Shard], read: Read, engine: Engine, workers: int | None, advance: Advance) -> None:
    """Make the shards that are not there yet."""
    missing = [shard for shard in shards if not shard.notes.is_file()]
    for shard in shards:
        if shard not in missing:
            advance(len(shard.images))
    if engine == "ray" and missing:
        _on_ray(missing, read, workers, advance)
        return
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for shard in missing:
            write(shard, pool.map(read, shard.images), advance)


def write(shard: Shard, pictures: Any, advance: Advance = lambda steps: None) -> int:
    """Write a shard and its notes from what `read` gives of its pictures, in order; returns how many there are."""
    square = np.zeros((len(shard.images), shard.side, shard.side), np.uint8)
    notes = []
    for place, (picture, note) in enumerate(pictures):
        if picture is not None:
            square[place] = picture
        notes.append(note)
        advance(1)
    write_shard(shard.out / shard_name(shard.name, shard.index), square)
    write_atomically(shard.notes, json.dumps(notes, sort_keys=True, ensure_ascii=False).encode())
    return len(notes)


def _alone(shard: Shard, read: Read) -> int:
    """A whole shard in the process that runs this."""
    return write(shard, map(read, shard.images))


def _on_ray(shards: Sequence[Shard], read: Read, workers: int | None, advance: Advance) -> None:
    """One task a shard, on the cluster this process is connected to, the one of RAY_ADDRESS, or one made here."""
    try:
        import ray
    except ImportError as missing:
        raise ConfigError(
            "`--engine ray` needs the package ray.", remedy="Run: pip install 'intervalchange[ray]'"
        ) from missing
    started = not ray.is_initialized()
    if started:
        cores = None if os.environ.get("RAY_ADDRESS") else workers or os.cpu_count() or 1
        ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    try:
        task, shared = ray.remote(num_cpus=1)(_alone), ray.put(read)
        running = [task.remote(shard, shared) for shard in shards]
        while running:
            done, running = ray.wait(running)
            advance(ray.get(done[0]))
    finally:
        if started:
            ray.shutdown()
