"""Writing a file of a simulated data set so that it is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, work: Path, content: bytes) -> None:
    """Write a file that exists whole or not at all. work: folder for the unfinished file, on the same disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = work / f"{path.name}.{os.getpid()}.part"
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
