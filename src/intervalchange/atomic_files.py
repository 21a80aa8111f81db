"""Files that exist whole or not at all: written under another name beside their place, then moved there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".partial"
"""Ending of a file that is being written."""


@contextmanager
def durable_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write, flushed to the disk and moved to `path` at the end of the block.

    After a power failure `path` has its old content or all of the new. Where the block raises, `path` is untouched.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    with unfinished.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    flush(path.parent)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file by way of `durable_file`."""
    with durable_file(path) as file:
        file.write(content)


def write_atomically(path: Path, work: Path, content: bytes) -> None:
    """Write one of many small files, which a rerun makes again after a power failure: moved, but not flushed.

    Folders above `path` are made. work: folder on the same disk for the unfinished file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = work / f"{path.name}.{os.getpid()}.part"
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def flush(path: Path) -> None:
    """fsync a file or a folder (nothing for a folder on Windows, which cannot open one)."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
