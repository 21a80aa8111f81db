"""One long array in shards of a fixed number of rows: `<name>-00000.npy`, memory-mapped.

An .npy file is a short header and the raw rows, so that a shard can also be read by byte range. Never pickle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from intervalchange.atomic_files import durable_file
from intervalchange.errors import SourceError

SHARD_BYTES = 64 * 2**20


def rows_per_shard(side: int) -> int:
    """How many (side, side) films go into one shard."""
    return max(1, SHARD_BYTES // (side * side))


def shard_name(name: str, index: int) -> str:
    """File name of a shard."""
    return f"{name}-{index:05d}.npy"


def write_shard(path: Path, films: np.ndarray) -> None:
    """(rows, ...) -> one .npy file, whole or not at all."""
    with durable_file(path) as file:
        np.save(file, films, allow_pickle=False)


class Shards:
    """The shards of one array, each mapped into memory when it is first read; worker processes map their own."""

    def __init__(self, paths: Sequence[Path], remedy: str) -> None:
        """remedy: what to do about a shard that cannot be read."""
        self.paths, self.remedy = tuple(paths), remedy
        self._mapped: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        """(rows, ...) of one shard. Raises SourceError where it is damaged."""
        if index not in self._mapped:
            try:
                self._mapped[index] = np.load(self.paths[index], mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise SourceError("the shard is damaged.", where=self.paths[index], remedy=self.remedy) from error
        return self._mapped[index]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_mapped": {}}


class PixelStore:
    """The films of a folder, all of one size, as one long array: uint8 (rows, h, w)."""

    def __init__(self, folder: str | Path, name: str = "pixels") -> None:
        self.folder, self.name = Path(folder), name
        paths = sorted(self.folder.glob(f"{name}-[0-9]*.npy"))
        if not paths or [path.name for path in paths] != [shard_name(name, index) for index in range(len(paths))]:
            raise SourceError(
                f"the {name} shards are missing or not complete.", where=folder, remedy="Run `prepare` again."
            )
        self._shards = Shards(paths, "Prepare again.")
        first, last = self._shard(0), self._shard(len(paths) - 1)
        self.shape: tuple[int, int] = (first.shape[1], first.shape[2])
        self._rows_per_shard = len(first)
        self._length = len(first) * (len(paths) - 1) + len(last)

    def __len__(self) -> int:
        return self._length

    def read(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """rows (n) -> (n, h, w) uint8."""
        films = np.empty((len(rows), *self.shape), np.uint8)
        for position, row in enumerate(rows):
            if not 0 <= row < self._length:
                raise IndexError(f"row {row} of {self._length} in {self.folder}/{self.name}-*.npy")
            shard, inside = divmod(int(row), self._rows_per_shard)
            films[position] = self._shard(shard)[inside]
        return films

    def _shard(self, index: int) -> np.ndarray:
        shard = self._shards[index]
        if shard.ndim != 3 or shard.dtype != np.uint8:
            raise SourceError(
                "the shard holds no 8-bit pictures.", where=self._shards.paths[index], remedy="Prepare again."
            )
        return shard
