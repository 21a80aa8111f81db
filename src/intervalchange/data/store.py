"""Pictures of one size in fixed-size shards: `<name>-00000.npy`, uint8 (rows, h, w), memory-mapped.

An .npy file is a short header and the raw rows, so that a shard can also be read by byte range. Never pickle.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from intervalchange.errors import SourceError

SHARD_BYTES = 64 * 2**20


def rows_per_shard(side: int) -> int:
    """How many (side, side) pictures go into one shard."""
    return max(1, SHARD_BYTES // (side * side))


def shard_name(name: str, index: int) -> str:
    """File name of a shard."""
    return f"{name}-{index:05d}.npy"


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or none of it, also when the machine stops half-way."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_shard(path: Path, pictures: np.ndarray) -> None:
    """(rows, h, w) uint8 -> one .npy file, atomically."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.save(file, pictures, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


class PixelStore:
    """The shards of one folder as one long array of pictures."""

    def __init__(self, folder: str | Path, name: str = "pixels") -> None:
        self.folder, self.name = Path(folder), name
        paths = sorted(self.folder.glob(f"{name}-[0-9]*.npy"))
        if not paths or [path.name for path in paths] != [shard_name(name, index) for index in range(len(paths))]:
            raise SourceError(
                f"the {name} shards are missing or not complete.", where=folder, remedy="Run `prepare` again."
            )
        self._paths = paths
        self._shards: list[np.ndarray | None] = [None] * len(paths)
        first = self._shard(0)
        self.shape: tuple[int, int] = first.shape[1:]
        self._step = len(first)
        self._length = self._step * (len(paths) - 1) + len(self._shard(len(paths) - 1))

    def __len__(self) -> int:
        return self._length

    def read(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """rows (n) -> (n, h, w) uint8."""
        out = np.empty((len(rows), *self.shape), np.uint8)
        for place, row in enumerate(rows):
            if not 0 <= row < self._length:
                raise IndexError(f"row {row} of {self._length} in {self.folder}/{self.name}-*.npy")
            shard, inside = divmod(int(row), self._step)
            out[place] = self._shard(shard)[inside]
        return out

    def _shard(self, index: int) -> np.ndarray:
        mapped = self._shards[index]
        if mapped is None:
            try:
                mapped = np.load(self._paths[index], mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise SourceError("the shard is damaged.", where=self._paths[index], remedy="Prepare again.") from error
            if mapped.ndim != 3 or mapped.dtype != np.uint8:
                raise SourceError(
                    "the shard holds no 8-bit pictures.", where=self._paths[index], remedy="Prepare again."
                )
            self._shards[index] = mapped
        return mapped

    def __getstate__(self) -> dict[str, object]:
        """Worker processes map the shards themselves."""
        return {**self.__dict__, "_shards": [None] * len(self._paths)}
