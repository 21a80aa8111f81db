"""The processes that read films: what kills one, and what comes after it."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from film_files import chest, dicom, encoded

from intervalchange.data.film_files import read_film
from intervalchange.data.films import film_from_file
from intervalchange.errors import ImageError, RunError
from intervalchange.serving import decoding
from intervalchange.serving.decoding import FilmReader
from intervalchange.serving.limits import Limits
from intervalchange.serving.reading_process import read_films

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


def test_a_film_that_was_shown_is_not_decoded_again(reader: FilmReader, monkeypatch: pytest.MonkeyPatch) -> None:
    films = {side: encoded(chest(seed=seed), "PNG") for side, seed in (("prior", 11), ("current", 12))}
    shown = [reader.display(film) for film in films.values()]
    with monkeypatch.context() as patch:
        patch.setattr(reader, "_exchanged", lambda *_: pytest.fail("decoded again"))
        pair = reader.read(films)
    assert pair.prior is not None
    assert np.array_equal(pair.prior.pixels, shown[0].film.square.pixels)
    assert np.array_equal(pair.current.pixels, shown[1].film.square.pixels)
    fresh = FilmReader(96, Limits(readers=1))
    assert np.array_equal(fresh.read(films).current.pixels, pair.current.pixels)
    fresh.close()


def test_headers_are_compared_also_where_both_films_were_shown(reader: FilmReader, tmp_path: Path) -> None:
    def film(year: int, patient: str) -> bytes:
        stored = np.rint(chest(seed=year) * 4095)
        return dicom(tmp_path / "a.dcm", stored, StudyDate=f"{year}0102", PatientID=patient).read_bytes()

    films = {"prior": film(2020, "SECRET1"), "current": film(2019, "SECRET2")}
    shown = [reader.display(films[side]) for side in ("prior", "current")]
    assert [each.taken for each in shown] == ["2020-01-02T08:09:10", "2019-01-02T08:09:10"]
    assert shown[0].patient != shown[1].patient and "SECRET" not in shown[0].patient
    assert reader.display(film(2021, "SECRET1")).patient == shown[0].patient
    warnings = " ".join(reader.read(films).warnings)
    assert "the prior is the later film" in warnings and "different PatientIDs" in warnings
    assert "SECRET" not in repr(shown)


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
        "intervalchange.serving.reading_process.read_film",
        lambda path, force: seen.append(path) or read_film(path, force),
    )
    facts, squares = read_films({"size": 32, "longest": 0, "force": False, "key": "00"}, FILMS)
    assert [len(square) for square in squares] == [32 * 32] * 2
    assert facts["refused"] == []
    assert all(str(path).startswith("/proc/self/fd/") for path in seen)
    assert not any(path.exists() for path in seen)
