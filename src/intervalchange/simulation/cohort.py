"""The simulated cohort: patients with films, truth, reports and questions, written as a true data set on disk.

All randomness of a patient comes from SeedSequence([seed, index]), with children for anatomy, course, exposure and
words. Patients of different seeds therefore share no vessel and no pixel.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal, get_args

import numpy as np

import intervalchange
from intervalchange.atomic_files import write_atomically
from intervalchange.data import run_length
from intervalchange.data.extraction.account import Account, Attributes
from intervalchange.errors import ConfigError, SourceError
from intervalchange.findings import FINDINGS, SIMULATED
from intervalchange.policy import EVALUATION_SEED, RESEARCH_USE
from intervalchange.records import Region, Study
from intervalchange.simulation import reports
from intervalchange.simulation.anatomy import Anatomy, sample_anatomy
from intervalchange.simulation.course import Prevalence, Visit, describe, sample_course, sample_reason
from intervalchange.simulation.identifiers import dicom_id, study_id, subject_id
from intervalchange.simulation.layouts import LAYOUTS, RELEASES, WITH_QUESTIONS
from intervalchange.simulation.layouts import layout as layout_of
from intervalchange.simulation.layouts.mimic_cxr import film_path
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy
from intervalchange.simulation.rendering import render
from intervalchange.simulation.scene import Acquisition, Lesion, RenderedFilm, State
from intervalchange.simulation.visibility import CNR_THRESHOLD, visible

Style = Literal["a", "b"]

# --- one patient -----------------------------------------------------------------------------------------------


def simulate_patient(
    seed: int,
    index: int,
    pixels: int = 512,
    style: Style = "a",
    films: bool = True,
    prevalence: Prevalence = "teaching",
) -> SimulatedPatient:
    """Patient `index` of cohort `seed`. films=False leaves out films and regions, for the rest is much faster."""
    streams = np.random.SeedSequence([seed, index]).spawn(4)
    anatomy_rng, course_rng, acquisition_rng, words_rng = (np.random.default_rng(stream) for stream in streams)
    anatomy = sample_anatomy(anatomy_rng)
    reason = sample_reason(course_rng)
    course = sample_course(course_rng, anatomy, acquisition_rng, reason, style=style, prevalence=prevalence)
    first = datetime(2110, 1, 1) + timedelta(days=int(words_rng.integers(32_000)))
    studies: list[SimulatedStudy] = []
    contrast: dict[str, float] = {}
    for number, visit in enumerate(course):
        if not visit.same_state_as_previous:
            contrast = visible(anatomy, State(visit.state.lesions))
        acquired = first + timedelta(days=visit.days, seconds=round(float(words_rng.uniform(21_600, 79_000)), 2))
        prior = studies[-1].account if studies else None
        studies.append(
            _study((seed, index, number), anatomy, visit, acquired, contrast, prior, reason, words_rng, pixels, films)
        )
    return SimulatedPatient(subject_id(seed, index), seed, index, reason, anatomy, tuple(studies))


def _study(
    key: tuple[int, int, int],
    anatomy: Anatomy,
    visit: Visit,
    acquired: datetime,
    contrast: dict[str, float],
    prior: Account | None,
    reason: str,
    rng: np.random.Generator,
    pixels: int,
    films: bool,
) -> SimulatedStudy:
    """Label, render and report one visit. Labels come from anatomy and lesions alone."""
    labelled: dict[str, Attributes] = {}
    for lesion in sorted(visit.state.lesions, key=lambda lesion: lesion.severity):
        if contrast.get(lesion.finding, 0.0) >= CNR_THRESHOLD:
            labelled[lesion.finding] = describe(lesion)
    labelled = {finding: labelled[finding] for finding in SIMULATED if finding in labelled}
    film = render(anatomy, visit.state, visit.acquisition, pixels, truth=True) if films else None
    identity = dicom_id(*key)
    study = Study(
        study_id=study_id(*key),
        image=film_path(subject_id(*key[:2]), study_id(*key), identity),
        view=visit.acquisition.view,
        acquired_at=acquired.isoformat(timespec="milliseconds"),
        findings={finding: float(finding in labelled) for finding in FINDINGS},
        levels={finding: attributes.level for finding, attributes in labelled.items() if attributes.level},
        regions=tuple(_regions(film, labelled)) if film is not None else (),
        age=float(int(anatomy.age)),
        sex="F" if anatomy.female else "M",
        devices=visit.state.devices,
    )
    account = Account(study, labelled, reports.denials(rng, labelled))
    report = reports.write(rng, account, prior, reason)
    severity = {lesion.finding: visit.state.severity(lesion.finding) for lesion in visit.state.lesions}
    account = replace(account, study=replace(study, report=report))
    return SimulatedStudy(account, identity, visit, acquired, severity, dict(contrast), film)


def _regions(film: RenderedFilm, labelled: dict[str, Attributes]) -> Iterator[Region]:
    """Anatomy boxes, the lung field, and the extent of every finding that counts as visible."""
    for name, box in film.region_boxes.items():
        yield Region("anatomy", name, tuple(round(float(edge), 1) for edge in box))  # type: ignore[arg-type]
    masks = [("anatomy", "lungs", film.lung)]
    masks += [("finding", name, film.finding_masks[name]) for name in labelled if name in film.finding_masks]
    for kind, name, mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size:
            box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
            yield Region(kind, name, box, run_length.encode(mask))  # type: ignore[arg-type]


# --- the cohort ------------------------------------------------------------------------------------------------

_WORK = ".simulating"


@dataclass(frozen=True)
class CohortConfig:
    """What fixes every byte of a cohort; written into its SIMULATED file."""

    patients: int = 500
    seed: int = 0
    layout: str = "mimic_diff_vqa"
    pixels: int = 512
    splits: str = "8:1:1"
    """Shares of train, val and test, by patient."""
    style: Style = "a"
    release: str = "1.0.1"
    """Of Medical-Diff-VQA: 1.0.1 has its difference rows in time order, 1.0.0 has 48% of them the other way round;
    `generator` as the published code makes them."""
    quirks: bool = True
    """Irregularities of the real files, in a few rows."""
    prevalence: Prevalence = "teaching"
    """How often findings are there, and together; see `course.Prevalence`."""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ConfigError(f"unknown layout {self.layout!r}.", remedy=f"Choose one of: {', '.join(LAYOUTS)}.")
        if self.patients < 1 or self.seed < 0:
            raise ConfigError("patients must be at least 1 and seed at least 0.")
        if self.pixels < 64:
            raise ConfigError(f"films of {self.pixels} pixels are too small.", remedy="Use at least 64.")
        if self.style not in ("a", "b"):
            raise ConfigError(f"unknown style {self.style!r}.", remedy="Choose a or b.")
        if self.prevalence not in get_args(Prevalence):
            known = " or ".join(get_args(Prevalence))
            raise ConfigError(f"unknown prevalence {self.prevalence!r}.", remedy=f"Choose {known}.")
        if self.release not in RELEASES:
            raise ConfigError(f"unknown release {self.release!r}.", remedy=f"Choose: {', '.join(RELEASES)}.")
        if self.release != RELEASES[0] and self.layout not in WITH_QUESTIONS:
            raise ConfigError(
                f"layout {self.layout} has no questions, and so no release {self.release} of them.",
                remedy=f"Leave --release out, or choose one of: {', '.join(WITH_QUESTIONS)}.",
            )
        split_counts(self.splits, self.patients)


def split_counts(splits: str, patients: int) -> tuple[int, int, int]:
    """Patients in train, val and test: largest remainders, at least one for each share that is not zero."""
    try:
        shares = np.array([float(share) for share in splits.split(":")])
    except ValueError:
        shares = np.array([])
    if shares.shape != (3,) or (shares < 0).any() or not shares.sum() > 0:
        raise ConfigError(f"splits {splits!r} are not three shares.", remedy="Write train:val:test, such as 8:1:1.")
    ideal = shares / shares.sum() * patients
    counts = np.floor(ideal).astype(int)
    counts[np.argsort(counts - ideal, kind="stable")[: patients - counts.sum()]] += 1
    for index in np.flatnonzero((counts == 0) & (shares > 0)):
        if counts.max() > 1:
            counts[counts.argmax()] -= 1
            counts[index] += 1
    return int(counts[0]), int(counts[1]), int(counts[2])


def split_of_patients(config: CohortConfig) -> list[str]:
    """Patient index -> train, val or test."""
    counts = split_counts(config.splits, config.patients)
    names = [name for name, count in zip(("train", "val", "test"), counts, strict=True) for _ in range(count)]
    # Two words of entropy belong to patients, three to the cohort.
    order = np.random.default_rng(np.random.SeedSequence([config.seed, 0, 1])).permutation(config.patients)
    return [names[index] for index in order]


def simulate(
    out: str | Path,
    patients: int = 500,
    seed: int = 0,
    layout: str = "mimic_diff_vqa",
    pixels: int = 512,
    splits: str = "8:1:1",
    style: Style = "a",
    workers: int | None = None,
    progress: bool = True,
    release: str = "1.0.1",
    quirks: bool = True,
    prevalence: Prevalence = "teaching",
) -> Path:
    """Write a simulated cohort in the true layout of a data set, and the file SIMULATED last of all.

    workers: processes; None for one per core, 1 for none beside this one. After an interruption, call it again:
    finished patients are kept, and the cohort ends with the same bytes.
    """
    config = CohortConfig(patients, seed, layout, pixels, splits, style, release, quirks, prevalence)
    out = Path(out)
    work = out / _WORK
    if _already_there(out, config):
        shutil.rmtree(work, ignore_errors=True)
        return out
    _claim(out, work, config)
    todo = [index for index in range(patients) if not (work / f"{index}.json").exists()]
    job = partial(_simulate_one, config, out, work)
    with _progress(progress, patients, patients - len(todo)) as advance:
        for _ in _run(job, todo, workers):
            advance()
    fragments = [json.loads((work / f"{index}.json").read_text("utf-8")) for index in range(patients)]
    layout_of(config.layout).write_tables(fragments, out, work, split_of_patients(config), config.seed, config.quirks)
    write_atomically(out / "SIMULATED", work, _marker(config).encode())
    shutil.rmtree(work)
    return out


def _simulate_one(config: CohortConfig, out: Path, work: Path, index: int) -> int:
    """Simulate and write one patient; the fragment is written last and says that the patient is complete."""
    patient = simulate_patient(config.seed, index, config.pixels, config.style, prevalence=config.prevalence)
    fragment = layout_of(config.layout).write_patient(patient, out, work, config.release, config.quirks)
    write_atomically(work / f"{index}.json", work, json.dumps(fragment).encode())
    return index


def _run(job: Callable[[int], int], todo: list[int], workers: int | None) -> Iterator[int]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(workers or cores, len(todo))
    if workers <= 1:
        yield from map(job, todo)
        return
    _compile()
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)
    try:
        for future in as_completed([pool.submit(job, index) for index in todo]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _compile() -> None:
    """Compile every kernel once, into numba's cache, before all processes ask for them."""
    lesions = tuple(Lesion(finding, 0.5) for finding in SIMULATED)
    state = State(lesions, ("leads", "endotracheal tube", "central line", "pacemaker"))
    render(sample_anatomy(np.random.default_rng(0)), state, Acquisition(), 64)


def _begin() -> None:
    """Each process keeps to one core, and does not outlive a parent that was killed."""
    import numba

    numba.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _marker(config: CohortConfig) -> str:
    facts = {
        "note": f"Simulated radiographs and reports. No real patient. {RESEARCH_USE}",
        **asdict(config),
        "evaluation_only": config.seed >= EVALUATION_SEED,
        "version": intervalchange.__version__,
    }
    return json.dumps(facts, indent=2) + "\n"


def _already_there(out: Path, config: CohortConfig) -> bool:
    """Whether this very cohort is complete. Raises where another one is in the way."""
    marker = out / "SIMULATED"
    if not marker.exists():
        return False
    facts = json.loads(marker.read_text("utf-8"))
    differing = sorted(name for name, value in asdict(config).items() if facts.get(name) != value)
    if differing:
        other = ", ".join(f"{name}={facts.get(name)}" for name in differing)
        raise SourceError(
            f"holds another cohort ({other}).", where=out, remedy="Choose a new folder, or delete this one."
        )
    return True


def _claim(out: Path, work: Path, config: CohortConfig) -> None:
    """Make the hidden work folder, or take up the one of an interrupted call with the same settings."""
    plan = work / "plan.json"
    wanted = json.loads(json.dumps(asdict(config)))
    if plan.exists():
        if json.loads(plan.read_text("utf-8")) != wanted:
            raise SourceError(
                "holds an unfinished cohort with other settings.",
                where=out,
                remedy="Give the same settings to finish it, choose a new folder, or delete this one.",
            )
        return
    if out.exists() and any(path.name != _WORK for path in out.iterdir()):
        raise SourceError("is not empty.", where=out, remedy="Choose a new folder.")
    work.mkdir(parents=True, exist_ok=True)
    write_atomically(plan, work, json.dumps(wanted).encode())


@contextmanager
def _progress(shown: bool, total: int, done: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error, or nothing; yields what moves it by one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("patients"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task("patients", total=total, completed=done)
        yield lambda: bar.advance(task)
