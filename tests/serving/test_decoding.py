"""The processes that read films: what kills one, and what comes after it."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from film_files import chest, encoded

from intervalchange.data.films import film_from_file
from intervalchange.errors import ImageError, RunError
from intervalchange.serving import decoding
from intervalchange.serving.decoding import FilmReader
from intervalchange.serving.limits import Limits
from intervalchange.serving.reading_process import read_pair

FILMS = {"prior": encoded(chest(seed=1), "PNG"), "current": encoded(chest(seed=2), "JPEG")}


@pytest.fixture(scope="module")
def reader() -> Iterator[FilmReader]:
    reader = FilmReader(96, Limits(readers=1))
    yield reader
    reader.close()


def test_squares_are_those_of_the_files(reader: FilmReader, tmp_path: Path) -> None:
    pair = reader.read(FILMS)
    for side, film in (("prior", pair.prior), ("current", pair.current)):
        (tmp_path / side).write_bytes(FILMS[side])
        wanted = film_from_file(tmp_path / side, 96)
        assert film is not None
        assert np.array_equal(film.pixels, wanted.pixels)
        assert film.geometry == wanted.geometry
        assert film.warnings == wanted.warnings


def test_one_film_is_enough(reader: FilmReader) -> None:
    assert reader.read({"current": FILMS["current"]}).prior is None


def test_a_process_that_was_killed_is_replaced(reader: FilmReader) -> None:
    process = reader._all[0]._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert reader.read(FILMS).prior is not None


def test_a_process_that_takes_too_long_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stuck = tmp_path / "python"
    stuck.write_text("#!/bin/sh\nprintf '\\5\\0\\0\\0\\0\\0\\0\\0ready'\nexec sleep 60\n")
    stuck.chmod(stuck.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(decoding.sys, "executable", str(stuck))
    reader = FilmReader(96, Limits(readers=1, decode_seconds=0.3))
    process = reader._all[0]._process
    with pytest.raises(ImageError, match=r"longer than 0.3 seconds"):
        reader.read(FILMS)
    assert process is not None and process.poll() == -signal.SIGKILL
    reader.close()


def test_a_process_that_does_not_start_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding.sys, "executable", "/bin/false")
    reader = FilmReader(96, Limits(readers=1))
    with pytest.raises(RunError, match="does not start"):
        reader.wait()
    reader.close()


def test_a_reply_that_is_none_is_not_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As of a process that a film has taken over: a length beyond all bounds."""
    lying = tmp_path / "python"
    lying.write_text(
        "#!/bin/sh\nprintf '\\5\\0\\0\\0\\0\\0\\0\\0ready\\0\\0\\0\\0\\0\\0\\0\\1'\nexec cat > /dev/null\n"
    )
    lying.chmod(lying.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(decoding.sys, "executable", str(lying))
    reader = FilmReader(96, Limits(readers=1, decode_seconds=20))
    with pytest.raises(ImageError, match="broke off"):
        reader.read(FILMS)
    reader.close()


def test_a_film_has_no_name_on_disk_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(
        "intervalchange.serving.reading_process.film_from_file",
        lambda path, size, force: seen.append(path) or film_from_file(path, size, force),
    )
    facts, squares = read_pair({"size": 32, "force": False}, FILMS)
    assert [len(square) for square in squares] == [32 * 32] * 2
    assert facts["refused"] == []
    assert all(str(path).startswith("/proc/self/fd/") for path in seen)
    assert not any(path.exists() for path in seen)
