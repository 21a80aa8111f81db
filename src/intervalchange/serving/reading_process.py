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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from intervalchange.data.film_files import read_film
from intervalchange.data.film_headers import compare_headers
from intervalchange.data.films import film_from_file
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


def read_pair(request: dict[str, Any], uploads: dict[str, bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """The reply to a request {"size", "force"}: facts of each side, and their squares in the same order."""
    facts: dict[str, Any] = {"films": {}, "refused": [], "warnings": []}
    squares = []
    with _all_of(uploads) as paths:
        for side, path in paths.items():
            try:
                film = film_from_file(path, request["size"], request["force"])
            except ImageError as problem:
                facts["refused"].append({"side": side, "what": problem.what, "remedy": problem.remedy})
                continue
            geometry = film.geometry
            facts["films"][side] = {
                "geometry": [geometry.height, geometry.width, geometry.scale, geometry.offset_x, geometry.offset_y],
                "warnings": list(film.warnings),
            }
            squares.append(film.pixels.tobytes())
        if {"prior", "current"} <= facts["films"].keys():
            facts["warnings"] = list(compare_headers(paths["prior"], paths["current"]).warnings)
    return facts, squares


def read_display(request: dict[str, Any], upload: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The reply to a request {"longest", "force"}: a film for the eye, as 16-bit numbers, no side longer."""
    facts: dict[str, Any] = {"films": {}, "refused": [], "warnings": []}
    with _unnamed(upload) as path:
        try:
            film = read_film(path, request["force"])
        except ImageError as problem:
            facts["refused"].append({"side": "", "what": problem.what, "remedy": problem.remedy})
            return facts, []
    pixels = film.pixels
    height, width = pixels.shape
    scale = min(1.0, request["longest"] / max(height, width))
    if scale < 1:
        sides = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(Image.fromarray(pixels).resize(sides, Image.Resampling.BOX))
    facts["films"]["film"] = {"height": height, "width": width, "rows": pixels.shape[0], "columns": pixels.shape[1]}
    facts["warnings"] = list(film.warnings)
    return facts, [np.rint(np.clip(pixels, 0, 1) * 65535).astype("<u2").tobytes()]


@contextmanager
def _all_of(uploads: dict[str, bytes]) -> Iterator[dict[str, Path]]:
    with ExitStack() as stack:
        yield {side: stack.enter_context(_unnamed(data)) for side, data in uploads.items()}


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
            if "longest" in request:
                facts, pieces = read_display(request, uploads["film"])
            else:
                facts, pieces = read_pair(request, uploads)
        except MemoryError:
            facts, pieces = {"films": {}, "refused": [{"side": "", "what": "the films need too much memory."}]}, []
        write_frame(replies, json.dumps(facts).encode())
        for piece in pieces:
            write_frame(replies, piece)
        replies.flush()


if __name__ == "__main__":
    main()
