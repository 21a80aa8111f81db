"""Ten thousand damaged files and strings: something sound comes out, or an error that says what to do; nothing else.

They are read in two processes, so that one that dies or hangs is seen as such. Every file is made from (SEED, kind,
number) alone: what fails is named in the message, and lies in the folder of its process.
"""

from __future__ import annotations

import faulthandler
import itertools
import multiprocessing
import os
import resource
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import mutations
import numpy as np
import pytest

from intervalchange.data import run_length
from intervalchange.data.film_files import read_film
from intervalchange.data.readers.dicom_headers import DicomFilm, read_header
from intervalchange.data.readers.files import read_table
from intervalchange.data.readers.pseudonyms import Pseudonyms
from intervalchange.errors import ImageError, IntervalChangeError, SourceError

SEED = 20_241_107
COUNTS = {"png": 1900, "jpeg": 1900, "dicom": 2800, "dicom elsewhere": 200, "table": 1400, "coco": 900, "gaps": 900}
CHUNK = 50
SECONDS = 5.0
"""Of computing, for one file: the clock of a busy machine runs on while others compute."""
PATIENCE = 60.0
"""Seconds by the clock, after which a process that does not compute either is killed."""
MEMORY = 1_500_000
"""Kilobytes that a process may have held at most; three hundred thousand are libraries."""

Outcome = tuple[str, float]
"""How it ended, and seconds of computing."""


# --- what is done with one damaged file or string ------------------------------------------------------------------


def _refused(error: IntervalChangeError, path: Path) -> str:
    """The beginning of a refusal, which names the file and says what to do."""
    assert error.remedy and error.where == path
    assert "SECRET" not in str(error), "a header is quoted"
    return f"refused: {error.what[:24]}"


def _film(data: bytes, folder: Path) -> str:
    """`read`, or the refusal of a film; whatever else is wrong is raised."""
    path = folder / "mutant"
    path.write_bytes(data)
    try:
        image = read_film(path)
    except ImageError as error:
        return _refused(error, path)
    assert image.pixels.dtype == np.float32 and image.pixels.ndim == 2
    assert np.isfinite(image.pixels).all()
    assert image.pixels.min() >= 0 and image.pixels.max() <= 1
    assert "SECRET" not in repr((image.header, image.warnings)), "a header is quoted"
    return "read"


def _dicom(data: bytes, folder: Path) -> str:
    """The same, and what the source `dicom` makes of the header."""
    (folder / "hospital").write_bytes(data)
    seen = read_header(folder / "hospital", pseudonyms=Pseudonyms(b"salt" * 8))
    assert isinstance(seen, (DicomFilm, str))
    assert "SECRET" not in (seen if isinstance(seen, str) else repr(seen.doubts)), "a header is quoted"
    return _film(data, folder)


def _table(rng: mutations.Rng, folder: Path) -> str:
    name, data = mutations.mutated_table(rng)
    (folder / name).write_bytes(data)
    try:
        table = read_table(folder / name, "Fetch it again.")
    except SourceError as error:
        return _refused(error, folder / name)
    assert table.columns.is_unique
    assert all(isinstance(cell, str) for column in table.columns for cell in table[column])
    return "read"


def _coco(rng: mutations.Rng, folder: Path) -> str:
    text, height, width = mutations.mutated_coco(rng)
    (folder / "coco.txt").write_text(text, encoding="utf-8")
    try:
        mask = run_length.decode(text, height, width)
    except SourceError:
        return "refused"
    assert mask.shape == (height, width) and mask.dtype == bool
    assert np.array_equal(run_length.decode(run_length.encode(mask), height, width), mask)
    return "read"


def _gaps(rng: mutations.Rng, folder: Path) -> str:
    text, height, width = mutations.mutated_gaps(rng)
    (folder / "gaps.txt").write_text(text, encoding="utf-8")
    try:
        mask = run_length.decode_gaps(text, height, width, absolute=bool(rng.random() < 0.5))
    except SourceError:
        return "refused"
    assert mask.shape == (height, width) and mask.dtype == bool
    assert np.array_equal(run_length.decode_gaps(run_length.encode_gaps(mask), height, width), mask)
    return "read"


def _attack_of(kind: str, folder: Path) -> Callable[[mutations.Rng], str]:
    """What damages one of a kind and reads it."""
    if kind in ("table", "coco", "gaps"):
        return lambda rng: {"table": _table, "coco": _coco, "gaps": _gaps}[kind](rng, folder)
    if kind == "png":
        pngs = mutations.pngs()
        ways = (mutations.mutated, mutations.png_of_mutated_chunks, mutations.png_of_mutated_chunks)
        return lambda rng: _film(ways[rng.integers(3)](pngs[rng.integers(len(pngs))], rng), folder)
    if kind == "jpeg":
        jpegs = mutations.jpegs()
        return lambda rng: _film(mutations.mutated(jpegs[rng.integers(len(jpegs))], rng), folder)
    made = mutations.dicoms(folder) if kind == "dicom" else mutations.dicoms_decoded_elsewhere(folder)
    return lambda rng: _dicom(mutations.mutated(made[rng.integers(len(made))], rng), folder)


# --- in a process of its own ---------------------------------------------------------------------------------------


def attack(kind: str, numbers: range, base: Path) -> tuple[list[Outcome], int]:
    """Damage and read some files of one kind -> their outcomes, and the most memory held, in kilobytes."""
    folder = base / f"process {os.getpid()}"
    folder.mkdir(exist_ok=True)
    one = _attack_of(kind, folder)
    outcomes = []
    for number in numbers:
        rng = np.random.default_rng([SEED, list(COUNTS).index(kind), number])
        faulthandler.dump_traceback_later(PATIENCE, exit=True, file=sys.__stderr__)
        start = _computed()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ending = one(rng)
        except IntervalChangeError as error:
            ending = f"FAILED {kind} {number}: {type(error).__name__} from the wrong part: {error}"
        except Exception as error:  # that there is any is what is tested
            ending = f"FAILED {kind} {number}: {type(error).__name__}: {error}"
        outcomes.append((ending, _computed() - start))
        faulthandler.cancel_dump_traceback_later()
    return outcomes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _computed() -> float:
    """Seconds that this process and its children have computed."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.mark.slow
def test_nothing_damaged_gets_through(tmp_path: Path) -> None:
    assert sum(COUNTS.values()) == 10_000
    jobs = [
        (kind, range(start, min(start + CHUNK, count)))
        for kind, count in COUNTS.items()
        for start in range(0, count, CHUNK)
    ]
    kinds, numbers = zip(*jobs, strict=True)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        # A process that dies, or is killed for hanging, is a BrokenProcessPool here.
        done = list(pool.map(attack, kinds, numbers, itertools.repeat(tmp_path)))
    endings: dict[str, Counter[str]] = {kind: Counter() for kind in COUNTS}
    slowest = ("", 0.0)
    for (kind, span), (outcomes, memory) in zip(jobs, done, strict=True):
        assert memory < MEMORY, f"{memory} kilobytes by {kind} {span}"
        for number, (ending, seconds) in zip(span, outcomes, strict=True):
            endings[kind][ending] += 1
            slowest = max(slowest, (f"{kind} {number}", seconds), key=lambda one: one[1])
    failed = [ending for counts in endings.values() for ending in counts if ending.startswith("FAILED")]
    assert not failed, f"{len(failed)}\n" + "\n".join(failed[:30])
    assert slowest[1] < SECONDS, slowest
    print(f"slowest: {slowest}")
    for kind, counts in endings.items():
        print(kind, dict(counts.most_common(12)))
        read = counts["read"] / counts.total()
        assert 0.02 < read < 0.95, f"{kind}: {read:.0%} read: the damage is too great, or none"
