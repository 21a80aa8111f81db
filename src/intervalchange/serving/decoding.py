"""Films of a request, read by a process that may die of them."""

from __future__ import annotations

import json
import os
import queue
import secrets
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intervalchange.data.film_headers import FilmHeader, compared_headers
from intervalchange.data.films import FilmSquare, Geometry
from intervalchange.errors import ImageError, RunError
from intervalchange.serving.limits import Limits
from intervalchange.serving.reading_process import LENGTH
from intervalchange.serving.recent_films import ReadFilm, RecentFilms, film_key

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

    film: ReadFilm
    rows: int
    columns: int
    pixels: bytes
    """rows x columns of 16 bits, little-endian: 0 black, 65535 white."""

    @property
    def taken(self) -> str:
        """ISO date or date-time, by its header; empty where that does not say."""
        return "" if self.film.header is None else self.film.header.taken.iso

    @property
    def patient(self) -> str:
        """The same for all films of a PatientID while this server runs; empty where the header has none."""
        return "" if self.film.header is None else self.film.header.patient


class FilmReader:
    """Reads films in `limits.readers` processes; one that dies or takes too long is replaced by a new one."""

    def __init__(self, size: int, limits: Limits) -> None:
        self.size, self.limits = size, limits
        self.recent = RecentFilms(limits)
        self._key = secrets.token_bytes(16)
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
        keys = {side: film_key(upload, force) for side, upload in uploads.items()}
        films = {side: film for side, key in keys.items() if (film := self.recent.get(key)) is not None}
        unread = {side: upload for side, upload in uploads.items() if side not in films}
        for side, (fact, piece) in (self._exchanged(unread, force, 0) if unread else {}).items():
            films[side] = self._film(fact, piece)
            self.recent.put(keys[side], films[side])
        prior, current = films.get("prior"), films["current"]
        if prior is None:
            return ReadPair(None, current.square, ())
        return ReadPair(prior.square, current.square, compared_headers(prior.header, current.header).warnings)

    def display(self, upload: bytes, force: bool = False) -> DisplayFilm:
        """A film for the eye. Raises ImageError."""
        fact, piece = self._exchanged({"": upload}, force, self.limits.display_pixels)[""]
        film = self._film(fact, piece[: self.size**2])
        self.recent.put(film_key(upload, force), film)
        return DisplayFilm(film, fact["rows"], fact["columns"], piece[self.size**2 :])

    def _film(self, fact: Mapping[str, Any], square: bytes) -> ReadFilm:
        pixels = np.frombuffer(square, np.uint8).reshape(self.size, self.size)
        header = None if fact["header"] is None else FilmHeader.from_json(fact["header"])
        return ReadFilm(FilmSquare(pixels, Geometry(*fact["geometry"]), tuple(fact["warnings"])), header)

    def _exchanged(
        self, uploads: Mapping[str, bytes], force: bool, longest: int
    ) -> dict[str, tuple[dict[str, Any], bytes]]:
        """Side -> facts and pixels: the square, and behind it the film for the eye where `longest` is not 0."""
        request = {"size": self.size, "longest": longest, "force": force, "key": self._key.hex()}
        process = self._free.get()
        try:
            facts, pieces = process.exchange(
                {**request, "sides": list(uploads)},
                list(uploads.values()),
                self.size**2 + 2 * longest**2,
                self.limits.decode_seconds,
            )
        finally:
            self._free.put(process)
        if facts["refused"]:
            raise ImageError(" ".join(map(_sentence, facts["refused"])))
        return {side: (fact, piece) for (side, fact), piece in zip(facts["films"].items(), pieces, strict=True)}

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
