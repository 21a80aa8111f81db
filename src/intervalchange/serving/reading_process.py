"""Run as a script by `decoding.FilmReader`: reads the films of one request after another, until stdin ends.

Uploads are hostile until they are read, so this process has limits of memory and of open files, opens no network and
is killed when it takes too long. What goes through its pipes is JSON and plain bytes, so that a process that was taken
over can answer wrongly, but not make the server run anything. A film never touches the disk: it lies in a file that
has no name and only memory behind it.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from intervalchange.data.film_files import read_film
from intervalchange.data.film_headers import FilmHeader
from intervalchange.data.films import film_square
from intervalchange.errors import ImageError

LENGTH = struct.Struct("<Q")
OPEN_FILES = 64


def read_frame(pipe: BinaryIO) -> bytes:
    """One length-prefixed piece; empty at the end of the pipe."""
    head = pipe.read(LENGTH.size)
    return pipe.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


def write_frame(pipe: BinaryIO, piece: bytes) -> None:
    """The inverse of `read_frame`."""
    pipe.write(LENGTH.pack(len(piece)) + piece)


@contextmanager
def _unnamed(data: bytes) -> Iterator[Path]:
    """A file in memory that holds `data`."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("film")
        try:
            with os.fdopen(os.dup(number), "wb") as file:
                file.write(data)
            yield Path(f"/proc/self/fd/{number}")
        finally:
            os.close(number)
        return
    with tempfile.NamedTemporaryFile() as named:  # Neither Linux nor FreeBSD: gone when it is closed.
        named.write(data)
        named.flush()
        yield Path(named.name)


def read_films(request: dict[str, Any], uploads: dict[str, bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """The reply to a request {"size", "longest", "force", "key"}: facts of each side; its square and, where `longest`
    is not 0, the film for the eye behind it, in the same order. Each film is decoded once."""
    facts: dict[str, Any] = {"films": {}, "refused": []}
    pieces = []
    for side, upload in uploads.items():
        try:
            with _unnamed(upload) as path:
                film = read_film(path, request["force"])
                header = FilmHeader.of(path)
        except ImageError as problem:
            facts["refused"].append({"side": side, "what": problem.what, "remedy": problem.remedy})
            continue
        square = film_square(film, request["size"])
        geometry = square.geometry
        fact: dict[str, Any] = {
            "geometry": [geometry.height, geometry.width, geometry.scale, geometry.offset_x, geometry.offset_y],
            "warnings": list(square.warnings),
            "header": None if header is None else header.hidden(bytes.fromhex(request["key"])).as_json(),
        }
        piece = square.pixels.tobytes()
        if request["longest"]:
            shown = _for_the_eye(film.pixels, request["longest"])
            fact["rows"], fact["columns"] = shown.shape
            piece += shown.tobytes()
        facts["films"][side] = fact
        pieces.append(piece)
    return facts, pieces


def _for_the_eye(pixels: np.ndarray, longest: int) -> np.ndarray:
    """(h, w) in [0, 1] -> 16-bit numbers, little-endian, no side longer."""
    height, width = pixels.shape
    scale = min(1.0, longest / max(height, width))
    if scale < 1:
        sides = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(Image.fromarray(pixels).resize(sides, Image.Resampling.BOX))
    numbers: np.ndarray = np.rint(np.clip(pixels, 0, 1) * 65535).astype("<u2")
    return numbers


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:
        return  # Windows has no such limits; the time limit of the server holds.
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_NOFILE, OPEN_FILES), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))


def main() -> None:
    """argv: the most memory in bytes."""
    _limit(int(sys.argv[1]))
    pipe, replies = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # What a library prints must not stand between two replies.
    write_frame(replies, b"ready")
    replies.flush()
    while head := read_frame(pipe):
        request = json.loads(head)
        uploads = {side: read_frame(pipe) for side in request["sides"]}
        try:
            facts, pieces = read_films(request, uploads)
        except MemoryError:
            facts, pieces = {"films": {}, "refused": [{"side": "", "what": "the films need too much memory."}]}, []
        write_frame(replies, json.dumps(facts).encode())
        for piece in pieces:
            write_frame(replies, piece)
        replies.flush()


if __name__ == "__main__":
    main()
