"""Films of a request, read by a process that may die of them."""

from __future__ import annotations

import json
import os
import queue
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intervalchange.data.films import FilmSquare, Geometry
from intervalchange.errors import ImageError, RunError
from intervalchange.serving.limits import Limits
from intervalchange.serving.reading_process import LENGTH

START_SECONDS = 60.0
SMALLER = "Send one chest film of usual size, as PNG, JPEG or DICOM."


@dataclass(frozen=True)
class ReadPair:
    """The films of a request as the model is shown them."""

    prior: FilmSquare | None
    current: FilmSquare
    warnings: tuple[str, ...]
    """What their headers say of each other."""


@dataclass(frozen=True)
class DisplayFilm:
    """A film for the eye."""

    height: int
    """Of the film that was sent."""
    width: int
    rows: int
    columns: int
    pixels: bytes
    """rows x columns of 16 bits, little-endian: 0 black, 65535 white."""
    warnings: tuple[str, ...]


class FilmReader:
    """Reads films in `limits.readers` processes; one that dies or takes too long is replaced by a new one."""

    def __init__(self, size: int, limits: Limits) -> None:
        self.size, self.limits = size, limits
        self._free: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._all = [_Process(limits.decode_bytes) for _ in range(limits.readers)]
        for process in self._all:
            process.begin()
            self._free.put(process)

    def wait(self) -> None:
        """Until all processes are ready. Raises RunError where one does not start."""
        for process in self._all:
            process.running()

    def read(self, uploads: Mapping[str, bytes], force: bool = False) -> ReadPair:
        """`current` and, where there is one, `prior`. Raises ImageError naming each side that is not a film."""
        facts, squares = self._exchanged({"size": self.size, "force": force}, uploads, self.size**2)
        shape = (self.size, self.size)
        films = {
            side: FilmSquare(
                np.frombuffer(square, np.uint8).reshape(shape), Geometry(*fact["geometry"]), tuple(fact["warnings"])
            )
            for (side, fact), square in zip(facts["films"].items(), squares, strict=True)
        }
        return ReadPair(films.get("prior"), films["current"], tuple(facts["warnings"]))

    def display(self, upload: bytes, force: bool = False) -> DisplayFilm:
        """A film for the eye. Raises ImageError."""
        longest = self.limits.display_pixels
        facts, (pixels,) = self._exchanged({"longest": longest, "force": force}, {"film": upload}, 2 * longest**2)
        return DisplayFilm(**facts["films"]["film"], pixels=pixels, warnings=tuple(facts["warnings"]))

    def _exchanged(
        self, request: Mapping[str, Any], uploads: Mapping[str, bytes], most: int
    ) -> tuple[dict[str, Any], list[bytes]]:
        process = self._free.get()
        try:
            whole = {**request, "sides": list(uploads)}
            facts, pieces = process.exchange(whole, list(uploads.values()), most, self.limits.decode_seconds)
        finally:
            self._free.put(process)
        if facts["refused"]:
            raise ImageError(" ".join(map(_sentence, facts["refused"])))
        return facts, pieces

    def close(self) -> None:
        """End the processes."""
        for process in self._all:
            process.end()


def _sentence(refused: Mapping[str, str]) -> str:
    side = f"{refused['side']}: " if refused["side"] else ""
    return f"{side}{refused['what']} {refused.get('remedy') or ''}".strip()


class _Process:
    """One reading process, begun again where it has died."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False

    def exchange(
        self, request: Mapping[str, Any], uploads: list[bytes], most: int, seconds: float
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Hand over a request and its films; the facts and the pixels that come back, at most so many bytes a film."""
        process = self.running()
        deadline = time.monotonic() + seconds
        pieces = [json.dumps(request).encode(), *uploads]
        try:
            _send(process, b"".join(LENGTH.pack(len(piece)) + piece for piece in pieces), deadline)
            facts = json.loads(_receive(process, deadline, most=2**20))
            squares = [_receive(process, deadline, most=most) for _ in facts["films"]]
        except TimeoutError:
            self.end()
            raise ImageError(f"reading the films took longer than {seconds:g} seconds.", remedy=SMALLER) from None
        except (OSError, ValueError, KeyError, EOFError):
            self.end()
            raise ImageError("reading the films broke off.", remedy=SMALLER) from None
        return facts, squares

    def begin(self) -> subprocess.Popen[bytes]:
        """Start it; it says when it is ready."""
        command = [sys.executable, "-m", "intervalchange.serving.reading_process", str(self._memory)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdin is not None and process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        self._process, self._ready = process, False
        return process

    def running(self) -> subprocess.Popen[bytes]:
        """The process, begun and ready. Raises RunError where it does not start."""
        process = self._process
        if process is None or process.poll() is not None:
            self.end()
            process = self.begin()
        if not self._ready:
            try:
                _receive(process, time.monotonic() + START_SECONDS, most=16)
            except (TimeoutError, OSError, EOFError, ValueError):
                self.end()
                text = "the process that reads films does not start."
                raise RunError(text, remedy="See how much memory the server has.") from None
            self._ready = True
        return process

    def end(self) -> None:
        """Kill it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()


def _wait(pipe: Any, event: int, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, event)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError


def _send(process: subprocess.Popen[bytes], data: bytes, deadline: float) -> None:
    assert process.stdin is not None
    number, rest = process.stdin.fileno(), memoryview(data)
    while rest:
        _wait(number, selectors.EVENT_WRITE, deadline)
        rest = rest[os.write(number, rest[: 2**20]) :]


def _receive(process: subprocess.Popen[bytes], deadline: float, most: int) -> bytes:
    """One length-prefixed piece of at most so many bytes."""
    assert process.stdout is not None
    number = process.stdout.fileno()

    def exactly(count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            _wait(number, selectors.EVENT_READ, deadline)
            part = os.read(number, min(count - len(parts), 2**20))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    (count,) = LENGTH.unpack(exactly(LENGTH.size))
    if count > most:
        raise ValueError("a piece is longer than it can be")
    return exactly(count)
