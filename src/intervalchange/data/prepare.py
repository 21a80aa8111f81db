"""Source tree -> prepared folder. Each film is decoded once, here; afterwards nothing is decoded again.

The folder is complete when `manifest.json` is there, which is written last. Until then `plan.json` and `progress/`
say what has been done: the same command after an interruption goes on from there and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from intervalchange.data import doctor, engines, tables
from intervalchange.data.contact_sheet import contact_sheet
from intervalchange.data.images import Geometry, film_from_file, fit, read_image
from intervalchange.data.prepared import Prepared
from intervalchange.data.readers import read_source
from intervalchange.data.readers.source import Source
from intervalchange.data.splits import assign, split_hash
from intervalchange.data.store import rows_per_shard, write_atomically
from intervalchange.errors import ConfigError, ImageError, SourceError
from intervalchange.records import Case, Study

FORMAT = 1
MAP_PIXELS = 32
"""Side of the stored opacity maps."""
SHEET = "contact_sheet.jpg"
"""The first pairs, for a person to look at."""


@dataclass(frozen=True)
class _Work:
    """Who decodes."""

    engine: engines.Engine
    workers: int | None


@dataclass(frozen=True)
class FilmRecord:
    """What is kept of one film besides its pixels. `error` is empty where it could be read."""

    image: str
    geometry: Geometry | None = None
    digest: str = ""
    view: str = ""
    date: str = ""
    warnings: tuple[str, ...] = ()
    error: str = ""


def prepare(
    source_name: str,
    root: str | Path,
    out: str | Path,
    pixels: int = 512,
    split: str = "official",
    dry_run: bool = False,
    workers: int | None = None,
    engine: engines.Engine = "local",
    progress: bool = True,
    **reader_options: object,
) -> dict[str, Any]:
    """Write a prepared folder and return its manifest.

    pixels: side of the stored squares. split: official | patient | path of a split file. dry_run: read the tables
    only and return the manifest without films. workers: decoding threads (engine "ray": processes of a cluster made
    here), by default one a core. engine: see `data/engines.py`.
    reader_options: `images`, `reports`, `questions`, `graphs`, `tag_columns`, as the reader of the source knows them.
    """
    if pixels < 32:
        raise ConfigError(f"--pixels {pixels} is too small.", remedy="Store at least 32; 512 is the default.")
    out = Path(out)
    if progress:
        print(f"reading the tables of {root}", file=sys.stderr)
    source = read_source(source_name, root, tables_only=dry_run, **reader_options)
    splits, split_how, notes = assign(source.cases, split)
    kept = [(case, name) for case, name in zip(source.cases, splits, strict=True) if name]
    if not kept:
        raise SourceError("no case has a split.", where=root, remedy="Use --split patient.")
    source = replace(source, cases=[case for case, _ in kept], notes={**source.notes, **notes})
    splits = [name for _, name in kept]
    if dry_run:
        return _shown(_finish(None, source, splits, split_how, pixels, {}), progress)
    plan = {
        "format": FORMAT,
        "source": source.name,
        "pixels": pixels,
        "split": split_how,
        "digest": _digest(source, splits),
    }
    if _begin(out, plan):
        _close(out)
        return dict(json.loads((out / "manifest.json").read_text(encoding="utf-8")))
    films = list(dict.fromkeys(study.image for _, study in tables.distinct_studies(source.cases)))
    # Tasks on other machines carry what reads a film; the cases stay here.
    read_film = partial(_film, replace(source, cases=[]), pixels)
    how = _Work(engine, workers)
    records = _records(out, "pixels", films, pixels, partial(_noted, read_film), how, progress)
    mapped = [image for image in films if image in source.maps]
    if mapped:
        read_map = partial(_noted, partial(_map, source.maps))
        maps = _records(out, "opacity", mapped, MAP_PIXELS, read_map, how, progress)
        broken = [record for record in maps if record.error]
        if broken:
            raise SourceError(broken[0].error, where=source.maps[broken[0].image], remedy="Write the source again.")
    return _shown(
        _finish(out, source, splits, split_how, pixels, {record.image: record for record in records}), progress, out
    )


def _shown(manifest: dict[str, Any], shown: bool, out: Path | None = None) -> dict[str, Any]:
    """The manifest, its doctor's page printed to stderr."""
    if shown:
        print(doctor.doctor_page(manifest["doctor"]), file=sys.stderr, end="")
        if out is not None:
            print(f"\nlook at  {out / SHEET}", file=sys.stderr)
    return manifest


def _digest(source: Source, splits: Sequence[str]) -> str:
    """Hash of everything the tables say: a folder is only continued from the same tables."""
    state = hashlib.sha256()
    for case, split in zip(source.cases, splits, strict=True):
        state.update(repr((case.case_id, case.patient_id, case.kind, case.question, case.answer, split)).encode())
        state.update(repr((case.tags, case.prior and case.prior.image, case.current.image)).encode())
    for patient, study in tables.distinct_studies(source.cases):
        state.update(repr((patient, study)).encode())
    state.update(repr(sorted(source.maps)).encode())
    return state.hexdigest()


def _begin(out: Path, plan: Mapping[str, Any]) -> bool:
    """Make the folder, or go on with it. True where it is already complete."""
    remedy = "Remove the folder or choose another OUT."
    manifest = out / "manifest.json"
    if manifest.is_file():
        try:
            done = json.loads(manifest.read_text(encoding="utf-8"))["plan"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError("this manifest cannot be read.", where=manifest, remedy=remedy) from error
        if done != plan:
            raise ConfigError("the folder holds another preparation.", where=out, remedy=remedy)
        return True
    if out.exists() and not out.is_dir():
        raise ConfigError("OUT is a file.", where=out, remedy="Give a folder.")
    started = out / "plan.json"
    if started.is_file():
        if json.loads(started.read_text(encoding="utf-8")) != plan:
            raise ConfigError("the folder holds an unfinished preparation of something else.", where=out, remedy=remedy)
    elif out.is_dir() and any(path.name != "plan.json.partial" for path in out.iterdir()):
        raise ConfigError("the folder is not empty and not a prepared folder.", where=out, remedy=remedy)
    out.mkdir(parents=True, exist_ok=True)
    # The plan first: a folder that holds anything else without it would be taken for somebody else's.
    write_atomically(started, _json(plan))
    (out / "progress").mkdir(exist_ok=True)
    return False


def _records(
    out: Path, name: str, images: Sequence[str], side: int, read: engines.Read, how: _Work, shown: bool
) -> list[FilmRecord]:
    """Make the shards that are not there yet; the record of every picture, in order."""
    step = rows_per_shard(side)
    shards = [
        engines.Shard(out, name, index, tuple(images[start : start + step]), side)
        for index, start in enumerate(range(0, len(images), step))
    ]
    with _bar(shown, "films" if name == "pixels" else "opacity maps", len(images)) as advance:
        engines.make(shards, read, how.engine, how.workers, advance)
    return [_record(note) for shard in shards for note in json.loads(shard.notes.read_text(encoding="utf-8"))]


def _record(note: dict[str, Any]) -> FilmRecord:
    """What was noted of a film, from JSON."""
    geometry = note["geometry"] and Geometry(**note["geometry"])
    return FilmRecord(**{**note, "geometry": geometry, "warnings": tuple(note["warnings"])})


def _noted(
    read: Callable[[str], tuple[np.ndarray | None, FilmRecord]], image: str
) -> tuple[np.ndarray | None, dict[str, Any]]:
    """What `read` gives of an image, its record as plain JSON."""
    picture, record = read(image)
    return picture, asdict(record)


def _film(source: Source, pixels: int, image: str) -> tuple[np.ndarray | None, FilmRecord]:
    """One film for the shards; a film that cannot be used becomes a blank row with its reason."""
    try:
        film = film_from_file(source.files.get(image, source.image_root / image), pixels)
    except ImageError as error:
        return None, FilmRecord(image, error=error.what)
    digest = hashlib.sha256(film.pixels.tobytes()).hexdigest()[:16]
    view, date = film.header.get("view", ""), "" if image in source.files else film.header.get("date", "")
    return film.pixels, FilmRecord(image, film.geometry, digest, view, date, film.warnings)


def _map(maps: Mapping[str, Path], image: str) -> tuple[np.ndarray | None, FilmRecord]:
    """One opacity map, in the frame of its film."""
    try:
        square, geometry = fit(read_image(maps[image]).pixels, MAP_PIXELS)
    except ImageError as error:
        return None, FilmRecord(image, error=error.what)
    return np.rint(square * 255).astype(np.uint8), FilmRecord(image, geometry)


def _finish(
    out: Path | None, source: Source, splits: list[str], how: str, pixels: int, films: Mapping[str, FilmRecord]
) -> dict[str, Any]:
    """Tables, doctor's page and manifest from the records of all films. out None: nothing is written."""
    bad = {image: record.error for image, record in films.items() if record.error}
    if films and len(bad) == len(films):
        first = next(iter(bad.items()))
        raise SourceError(
            f"none of {len(films)} films could be read; {first[0]}: {first[1]}",
            where=source.image_root,
            remedy="Check where the films are (--images).",
        )
    usable = [
        (case, split)
        for case, split in zip(source.cases, splits, strict=True)
        if case.current.image not in bad and (case.prior is None or case.prior.image not in bad)
    ]
    cases, splits = [case for case, _ in usable], [split for _, split in usable]
    if not cases:
        raise SourceError("no case has all of its films.", where=source.image_root, remedy="Check --images.")
    studies = [(patient, _with_header(study, films)) for patient, study in tables.distinct_studies(cases)]
    counts = doctor.examine(source, cases, splits, studies, films)
    case_ids = [case.case_id for case in cases]
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "source": source.name,
        "release": source.release,
        "simulated": dict(source.simulated),
        "pixels": pixels,
        "split": how,
        "split_hash": split_hash(case_ids, splits),
        "doctor": counts,
    }
    if out is None:
        return manifest
    plan = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    _write_tables(out, source, cases, splits, studies, films)
    write_atomically(out / "doctor.txt", doctor.doctor_page(counts).encode())
    write_atomically(out / "bad_films.json", _json(bad))
    written = sorted(path.name for path in out.iterdir() if path.suffix in (".npy", ".parquet", ".txt", ".json"))
    kept = [name for name in written if name not in ("plan.json", "manifest.json")]
    files = {name: _sha256(out / name) for name in kept}
    manifest |= {"plan": plan, "files": files, "hash": hashlib.sha256(_json(files)).hexdigest()}
    write_atomically(out / "manifest.json", _json(manifest))
    _close(out)
    return manifest


def _write_tables(
    out: Path,
    source: Source,
    cases: Sequence[Case],
    splits: Sequence[str],
    studies: Sequence[tuple[str, Study]],
    films: Mapping[str, FilmRecord],
) -> None:
    rows = {image: row for row, image in enumerate(films)}
    opacity_rows = {image: row for row, image in enumerate(image for image in films if image in source.maps)}
    geometries = {image: record.geometry for image, record in films.items() if record.geometry is not None}
    places = {(patient, study.study_id, study.image): place for place, (patient, study) in enumerate(studies)}
    for name, table in (
        ("studies", tables.study_table(studies, rows, opacity_rows, geometries)),
        ("cases", tables.case_table(cases, splits, places)),
        ("regions", tables.region_table(studies)),
    ):
        write_atomically(out / f"{name}.parquet", tables.parquet_bytes(table))


def _with_header(study: Study, films: Mapping[str, FilmRecord]) -> Study:
    """Fill view and date from the header of the film where the table leaves them open."""
    record = films.get(study.image)
    if record is None:
        return study
    return replace(study, view=study.view or record.view, acquired_at=study.acquired_at or record.date)


def _close(out: Path) -> None:
    """Add the contact sheet to a complete folder and remove the traces of work in progress."""
    if not (out / SHEET).is_file():
        write_atomically(out / SHEET, contact_sheet(Prepared(out)))
    shutil.rmtree(out / "progress", ignore_errors=True)
    (out / "plan.json").unlink(missing_ok=True)
    for unfinished in out.glob("*.partial"):
        unfinished.unlink()


def _json(plain: object) -> bytes:
    return (json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _bar(shown: bool, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task(what, total=total)
        yield lambda steps: progress.advance(task, steps)
