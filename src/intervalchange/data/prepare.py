"""Source tree -> prepared folder. Each film is decoded once, here; afterwards nothing is decoded again.

    source     the reader's tables: cases, and where their films lie; only cases that have a split are kept
    plan       what will be written, with a hash of the tables; it marks the folder as ours (`plan.json`)
    shards     each film once, and the opacity maps where they are known; records of finished shards in `progress/`
    tables     cases, studies and regions, without the cases that lost a film
    manifest   counts and the hash of every file, written last: a folder with a manifest is complete

Rerun the same command to resume after an interruption; it ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from intervalchange.atomic_files import UNFINISHED, write_durably
from intervalchange.data import doctor, frames, tables
from intervalchange.data.film_files import read_film
from intervalchange.data.film_records import FilmRecord, ReadFilm
from intervalchange.data.films import film_from_file, fit
from intervalchange.data.missing_films import remedy_of
from intervalchange.data.pair_checks import checked_pairs
from intervalchange.data.prepared import Prepared
from intervalchange.data.protocol import published_facts, row_splits
from intervalchange.data.readers import read_source
from intervalchange.data.readers.source import OURS, PUBLISHED, Source, check_protocol
from intervalchange.data.shards import PROGRESS, Engine, Read, Workers, make_shards, shards_of
from intervalchange.data.splits import assign, split_hash
from intervalchange.errors import ConfigError, ImageError, SourceError
from intervalchange.records import Case, Study

FORMAT = 1
MAP_PIXELS = 32
"""Side of the stored opacity maps."""
PLAN = "plan.json"
MANIFEST = "manifest.json"
SHEET = "contact_sheet.jpg"
"""The first pairs, for a person to look at."""


@dataclass(frozen=True)
class Selection:
    """The cases that go into the folder, if their films can be read."""

    source: Source
    """With the cases that have a split, and only these."""
    splits: list[str]
    """train, val or test for each case."""
    split_how: str
    """How the split was made, for the manifest."""


@dataclass(frozen=True)
class Contents:
    """What the tables hold: the cases whose films could all be read, and their studies."""

    cases: list[Case]
    splits: list[str]
    studies: list[tuple[str, Study]]
    """(patient_id, study), in the order of the studies table."""
    notes: Mapping[str, int]
    """What the sizes and headers of the films changed, or say against the tables, and how often."""


def prepare(
    source_name: str,
    root: str | Path,
    out: str | Path,
    pixels: int = 512,
    split: str = "official",
    dry_run: bool = False,
    workers: int | None = None,
    engine: Engine = "local",
    progress: bool = True,
    protocol: str = OURS,
    **reader_options: object,
) -> dict[str, Any]:
    """Write a prepared folder and return its manifest.

    pixels: side of the stored squares. split: official | patient | path of a split file; rows, with the published
    protocol. dry_run: read the tables only and return the manifest without films. workers: decoding threads (engine
    "ray": processes of a cluster made here), by default one per core. engine: see `data/shards.py`. protocol: ours |
    published (`data/protocol.py`).
    reader_options: `images`, `reports`, `questions`, `graphs`, `tag_columns`, as the reader of the source knows them.
    """
    if pixels < 32:
        raise ConfigError(f"--pixels {pixels} is too small.", remedy="Store at least 32; 512 is the default.")
    check_protocol(protocol)
    reader_options["protocol"] = None if protocol == OURS else protocol
    out = Path(out)
    if progress:
        print(f"reading the tables of {root}", file=sys.stderr)
    selection = _select(read_source(source_name, root, tables_only=dry_run, **reader_options), split, root)
    if dry_run:
        manifest = _describe(selection, _contents(selection, {}), {}, pixels)
    else:
        frames.look_before(selection.source)
        plan = _plan(selection, pixels)
        if _begin(out, plan):
            _close(out)
            return dict(json.loads((out / MANIFEST).read_text(encoding="utf-8")))
        films = _store_films(out, selection.source, pixels, Workers(engine, workers), progress)
        manifest = _finish(out, selection, films, plan)
        _close(out)
    if progress:
        print(doctor.doctor_page(manifest["doctor"]), file=sys.stderr, end="")
        if not dry_run:
            print(f"\nlook at  {out / SHEET}", file=sys.stderr)
    return manifest


# --- source and plan ------------------------------------------------------------------------------------------------


def _select(source: Source, split: str, root: str | Path) -> Selection:
    """The cases of a source that have a split."""
    if source.released is not None:
        rows, split_how = row_splits(source.released, split)
        source = replace(source, released=replace(source.released, splits=rows))
        return Selection(source, [rows[int(case.case_id)] for case in source.cases], split_how)
    splits, split_how, notes = assign(source.cases, split, source.validation_share)
    cases = [case for case, name in zip(source.cases, splits, strict=True) if name]
    if not cases:
        raise SourceError("no case has a split.", where=root, remedy="Use --split patient.")
    source = replace(source, cases=cases, notes={**source.notes, **notes})
    return Selection(source, [name for name in splits if name], split_how)


def _plan(selection: Selection, pixels: int) -> dict[str, Any]:
    """What identifies a preparation. `digest` covers everything that the tables say."""
    source, digest = selection.source, hashlib.sha256()
    for case, split in zip(source.cases, selection.splits, strict=True):
        digest.update(repr((case.case_id, case.patient_id, case.kind, case.question, case.answer, split)).encode())
        digest.update(repr((case.tags, case.prior and case.prior.image, case.current.image)).encode())
    for patient, study in tables.distinct_studies(source.cases):
        digest.update(repr((patient, study)).encode())
    digest.update(repr(sorted(source.maps)).encode())
    return {
        "format": FORMAT,
        "source": source.name,
        "pixels": pixels,
        "split": selection.split_how,
        "digest": digest.hexdigest(),
        **({} if source.released is None else {"protocol": PUBLISHED}),
    }


def _begin(out: Path, plan: Mapping[str, Any]) -> bool:
    """Make the folder, or resume it. True where it is already complete."""
    remedy = "Remove the folder or choose another OUT."
    manifest = out / MANIFEST
    if manifest.is_file():
        try:
            plan_before = json.loads(manifest.read_text(encoding="utf-8"))["plan"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError("this manifest cannot be read.", where=manifest, remedy=remedy) from error
        if plan_before != plan:
            raise ConfigError("the folder holds another preparation.", where=out, remedy=remedy)
        return True
    if out.exists() and not out.is_dir():
        raise ConfigError("OUT is a file.", where=out, remedy="Give a folder.")
    if (out / PLAN).is_file():
        if json.loads((out / PLAN).read_text(encoding="utf-8")) != plan:
            raise ConfigError("the folder holds an unfinished preparation of something else.", where=out, remedy=remedy)
    elif out.is_dir() and any(path.name != PLAN + UNFINISHED for path in out.iterdir()):
        raise ConfigError("the folder is not empty and not a prepared folder.", where=out, remedy=remedy)
    out.mkdir(parents=True, exist_ok=True)
    # The plan first: a folder that holds anything else without it would be taken for somebody else's.
    write_durably(out / PLAN, _json(plan))
    (out / PROGRESS).mkdir(exist_ok=True)
    return False


# --- shards ---------------------------------------------------------------------------------------------------------


def _store_films(out: Path, source: Source, pixels: int, workers: Workers, progress: bool) -> dict[str, FilmRecord]:
    """Make the shards that are not there yet; name of each film -> its record, in the order of the pixel rows."""

    def make(name: str, images: Sequence[str], side: int, read: Read, called: str) -> list[FilmRecord]:
        with _bar(progress, called, len(images)) as advance:
            return make_shards(shards_of(out, name, images, side), read, workers, advance)

    studies = [study for _, study in tables.distinct_studies(source.cases)]
    films = list(dict.fromkeys(study.image for study in studies))
    drawn_on = frozenset(study.image for study in studies if study.regions) | source.maps.keys()
    # Tasks on other machines carry what reads a film; the cases stay here.
    read = partial(_read_film, replace(source, cases=[], frames={}), pixels, drawn_on)
    records = make("pixels", films, pixels, read, "films")
    mapped = [image for image in films if image in source.maps]
    if mapped:
        for record in make("opacity", mapped, MAP_PIXELS, partial(_read_map, source.maps), "opacity maps"):
            if record.error:
                raise SourceError(record.error, where=source.maps[record.image], remedy="Write the source again.")
    return {record.image: record for record in records}


def _read_film(source: Source, pixels: int, drawn_on: frozenset[str], image: str) -> ReadFilm:
    """One film of a source. A date in the header is left out where its file must not be named.

    drawn_on: films with regions or maps, which are in the frame of the stored pixels: these are not turned.
    """
    path = source.files.get(image, source.image_root / image)
    try:
        film = film_from_file(path, pixels, admitted=source.admitted, as_stored=image in drawn_on)
    except ImageError as error:
        return ReadFilm(FilmRecord(image, error=error.what))
    digest = hashlib.sha256(film.pixels.tobytes()).hexdigest()[:16]
    date = "" if image in source.files else film.header.get("date", "")
    view, dicom = film.header.get("view", ""), "modality" in film.header
    return ReadFilm(FilmRecord(image, film.geometry, digest, view, date, dicom, film.warnings), film.pixels)


def _read_map(maps: Mapping[str, Path], image: str) -> ReadFilm:
    """The opacity map of a film, in its frame."""
    try:
        square, geometry = fit(read_film(maps[image]).pixels, MAP_PIXELS)
    except ImageError as error:
        return ReadFilm(FilmRecord(image, error=error.what))
    return ReadFilm(FilmRecord(image, geometry), np.rint(square * 255).astype(np.uint8))


# --- tables and manifest --------------------------------------------------------------------------------------------


def _finish(
    out: Path, selection: Selection, films: Mapping[str, FilmRecord], plan: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the tables, the doctor's page and, last, the manifest."""
    contents = _contents(selection, films)
    manifest = _describe(selection, contents, films, plan["pixels"])
    for name, table in (
        ("studies", tables.study_table(contents.studies, films, selection.source.maps)),
        ("cases", tables.case_table(contents.cases, contents.splits, contents.studies)),
        ("regions", tables.region_table(contents.studies)),
    ):
        write_durably(out / f"{name}.parquet", tables.parquet_bytes(table))
    write_durably(out / "doctor.txt", doctor.doctor_page(manifest["doctor"]).encode())
    write_durably(
        out / "bad_films.json", _json({image: record.error for image, record in films.items() if record.error})
    )
    written = sorted(path.name for path in out.iterdir() if path.suffix in (".npy", ".parquet", ".txt", ".json"))
    files = {name: _sha256(out / name) for name in written if name not in (PLAN, MANIFEST)}
    manifest |= {"plan": dict(plan), "files": files, "hash": hashlib.sha256(_json(files)).hexdigest()}
    write_durably(out / MANIFEST, _json(manifest))
    return manifest


def _contents(selection: Selection, films: Mapping[str, FilmRecord]) -> Contents:
    """Leave out the cases that lost a film. films empty: none was read, all are taken to be there."""
    source = selection.source
    bad = {image: record.error for image, record in films.items() if record.error}
    if films and len(bad) == len(films):
        image, error = next(iter(bad.items()))
        raise SourceError(
            f"none of {len(films)} films could be read; {image}: {error}",
            where=source.image_root,
            remedy=remedy_of(source, image),
        )
    usable = [
        (case, split)
        for case, split in zip(source.cases, selection.splits, strict=True)
        if case.current.image not in bad and (case.prior is None or case.prior.image not in bad)
    ]
    if not usable:
        image = next(image for case in source.cases for image in _images(case) if image in bad)
        raise SourceError(
            f"no case has all of its films; {image}: {bad[image]}",
            where=source.image_root,
            remedy=remedy_of(source, image),
        )
    checked, notes = checked_pairs(usable, source, films)
    cases = [case for case, _ in checked]
    if not cases:
        raise SourceError("no case is left.", where=source.image_root, remedy=f"Noted: {dict(notes)}.")
    studies = [(patient, _with_header(study, films)) for patient, study in tables.distinct_studies(cases)]
    studies, scaled = frames.on_films(studies, source, films)
    return Contents(cases, [split for _, split in checked], studies, {**notes, **scaled})


def _images(case: Case) -> list[str]:
    return [study.image for study in (case.prior, case.current) if study is not None]


def _with_header(study: Study, films: Mapping[str, FilmRecord]) -> Study:
    """Fill view and date from the header of the film where the table leaves them open."""
    record = films.get(study.image)
    if record is None:
        return study
    return replace(study, view=study.view or record.view, acquired_at=study.acquired_at or record.date)


def _describe(selection: Selection, contents: Contents, films: Mapping[str, FilmRecord], pixels: int) -> dict[str, Any]:
    """The manifest, but for what only a written folder has: its plan and the hashes of its files."""
    source = replace(selection.source, notes={**selection.source.notes, **contents.notes})
    counts = doctor.examine(source, contents.cases, contents.splits, contents.studies, films)
    facts: dict[str, Any] = {"doctor": counts}
    if source.released is not None:
        counts["protocol"] = published_facts(
            source.released.splits, selection.split_how, contents.cases, contents.splits
        )
        facts["protocol"] = PUBLISHED
    return {
        "format": FORMAT,
        "source": source.name,
        "release": source.release,
        "simulated": dict(source.simulated),
        "pixels": pixels,
        "split": selection.split_how,
        "split_hash": split_hash([case.case_id for case in contents.cases], contents.splits),
        **facts,
    }


def _close(out: Path) -> None:
    """Add the contact sheet to a complete folder and remove the traces of work in progress."""
    if not (out / SHEET).is_file():
        from intervalchange.data.contact_sheet import contact_sheet

        write_durably(out / SHEET, contact_sheet(Prepared(out)))
    shutil.rmtree(out / PROGRESS, ignore_errors=True)
    (out / PLAN).unlink(missing_ok=True)
    for unfinished in out.glob(f"*{UNFINISHED}"):
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
