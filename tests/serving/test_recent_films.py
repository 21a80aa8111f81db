"""How long and how much a server remembers."""

from __future__ import annotations

import numpy as np
import pytest

from intervalchange.data.films import FilmSquare, Geometry
from intervalchange.serving import recent_films
from intervalchange.serving.limits import Limits
from intervalchange.serving.recent_films import ReadFilm, RecentFilms, film_key


def film(value: int) -> ReadFilm:
    return ReadFilm(FilmSquare(np.full((10, 10), value, np.uint8), Geometry(10, 10, 1.0, 0, 0)), None)


def test_the_oldest_make_room() -> None:
    recent = RecentFilms(Limits(recent_bytes=200))
    for name in (b"a", b"b"):
        recent.put(name, film(ord(name)))
    assert recent.get(b"a") is not None, "used again"
    recent.put(b"c", film(1))
    assert [recent.get(name) is not None for name in (b"a", b"b", b"c")] == [True, False, True]
    recent.put(b"c", film(2))
    found = recent.get(b"c")
    assert found is not None and found.square.pixels[0, 0] == 2
    assert recent.get(b"a") is not None, "the same film counts once"


def test_what_is_old_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(recent_films.time, "monotonic", lambda: now)
    recent = RecentFilms(Limits(recent_seconds=60))
    recent.put(b"a", film(1))
    now = 161.0
    recent.forget()
    now = 100.0
    assert recent.get(b"a") is None


def test_a_film_is_found_by_all_of_its_bytes_and_how_it_was_read() -> None:
    keys = {film_key(data, force) for data in (b"", b"a", b"b") for force in (False, True)}
    assert len(keys) == 6
