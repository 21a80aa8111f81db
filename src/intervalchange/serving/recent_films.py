"""Films that were read lately, in memory: a page shows a film, registers it and asks about it, and it is decoded once.

A film is found again by the hash of all its bytes, so only by who sends the whole file again. What is kept is the small
square that the model is shown; nothing is written anywhere.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from intervalchange.data.film_headers import FilmHeader
from intervalchange.data.films import FilmSquare
from intervalchange.serving.limits import Limits


@dataclass(frozen=True)
class ReadFilm:
    """A film as the model is shown it."""

    square: FilmSquare
    header: FilmHeader | None
    """Its names hidden under a key of this server."""


def film_key(upload: bytes, force: bool) -> bytes:
    """Of a file and of how it is read."""
    return hashlib.sha256(upload).digest() + bytes([force])


@dataclass(frozen=True)
class _Kept:
    film: ReadFilm
    since: float


class RecentFilms:
    """At most `limits.recent_bytes` of squares, none for longer than `limits.recent_seconds` after it was last used."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> ReadFilm | None:
        """The film of that key, or None."""
        with self._lock:
            self._forget()
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept[key] = _Kept(kept.film, time.monotonic())
            self._kept.move_to_end(key)
            return kept.film

    def put(self, key: bytes, film: ReadFilm) -> None:
        """Keep a film; the oldest make room."""
        with self._lock:
            self._drop(key)
            self._kept[key] = _Kept(film, time.monotonic())
            self._bytes += film.square.pixels.nbytes
            self._forget()

    def forget(self) -> None:
        """Drop what has been here too long."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        oldest = time.monotonic() - self.limits.recent_seconds
        while self._kept:
            key, kept = next(iter(self._kept.items()))
            if self._bytes <= self.limits.recent_bytes and kept.since >= oldest:
                return
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        self._bytes -= 0 if kept is None else kept.film.square.pixels.nbytes
