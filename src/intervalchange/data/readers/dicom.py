"""A hospital's own folder of DICOM files: any nesting, any names, with or without `.dcm`.

**Labels.** None. A film is asked for its view, which its header says; a pair of neighbouring studies is asked what has
changed, with an empty answer. So a prepared folder can be predicted on, not scored.
**Kept of a patient.** An id that is a hash, sex, age in years (90 stands for all above 89), days since the first study,
view, pixels. Names, dates, times, numbers and UIDs stay behind, and so do the names of files and folders, for many
archives name them after the patient; no text of a header is quoted. Films whose header says that text is burned into
the pixels are left out; what a header does not say is not looked for: see docs/data/dicom.md.
**Ids.** "P" and 12 hexadecimal digits of SHA-256(salt + PatientID); studies the same with "S" and their UID. The salt
is 32 random bytes that only the user has, for PatientIDs are few enough to be tried one by one. It is neither beside
ROOT, which is often read-only or shared, nor in OUT, which is handed on: without `salt` it is
`~/.config/intervalchange/salt` ($XDG_CONFIG_HOME), made when first needed and readable by its owner alone. With the
same salt a patient has the same id in every export, and an interrupted `prepare` goes on. Delete it and nobody can
tell who is who.
**A study** is one film: the first frontal, PA rather than AP, for display rather than for processing. The view is that
of ViewPosition, else ViewCodeSequence, PatientOrientation, else the descriptions of series, protocol and study.
**Left out and counted.** Laterals and views that may be one, other parts of the body, other modalities, several frames,
further films of a study, files twice, damaged files, DICOMDIR, what is not DICOM.
"""

from __future__ import annotations

import itertools
import math
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from intervalchange.data.dicom import silenced
from intervalchange.data.dicom_selection import Admitted
from intervalchange.data.readers.cases import change_case
from intervalchange.data.readers.dicom_headers import NO_DICOM, DicomFilm, read_header
from intervalchange.data.readers.files import marker, progress
from intervalchange.data.readers.pseudonyms import Pseudonyms
from intervalchange.data.readers.single_films import MANY
from intervalchange.data.readers.source import Source
from intervalchange.errors import SourceError
from intervalchange.grammar import QUESTIONS
from intervalchange.records import Case, Study

READERS_AT_ONCE = 8
"""Threads that read headers. Parsing takes turns (0.6 ms a file; two processes were no faster), waiting does not: of
files that take 5 ms to arrive, eight threads read 1,220 a second and one 150."""
SAME_DAY_STEP = 1e-3
"""Days by which a later study of the same day is told from an earlier one, in place of the time."""
LET_IN = "Named ones are let in by --option modalities=, body_parts= or views=, for instance --option modalities=RF."
WHERE = "ROOT is a folder of DICOM files, at any depth."


def read(
    root: Path,
    salt: Path | None = None,
    modalities: Sequence[str] = (),
    body_parts: Sequence[str] = (),
    views: Sequence[str] = (),
    tables_only: bool = False,
) -> Source:
    """Read the headers of every DICOM file below a folder.

    salt: the file of the secret, made where it is not there; see above. modalities, body_parts, views: words of
    headers that are let in as frontal chest films, besides what is known to be one ("RF", "RIBS", "LATERAL"; the view
    "either" is of films that name a frontal view and another). tables_only: headers are read all the same, for there
    are no tables; but no salt is made: where there is none yet, ids hold for this reading alone.
    Raises SourceError where there is no such folder, no film in it, or the salt cannot be kept.
    """
    if not root.is_dir():
        raise SourceError("no such folder.", where=root, remedy=WHERE)
    notes: Counter[str] = Counter()
    admitted = Admitted(tuple(modalities), tuple(body_parts), tuple(views))
    films = _usable_films(root, Pseudonyms.stored_in(salt, throwaway=tables_only), admitted, notes)
    cases: list[Case] = []
    files: dict[str, Path] = {}
    for patient, own in itertools.groupby(sorted(films, key=lambda film: film.patient), lambda film: film.patient):
        studies = _studies(patient, list(own), files, notes)
        cases += _cases(patient, studies, notes)
    if not cases:
        raise SourceError(
            "there is no frontal chest film.", where=root, remedy=f"{WHERE} Noted: {dict(notes)}. {LET_IN}"
        )
    return Source("dicom", "", root, cases, dict(+notes), {}, marker(root / "SIMULATED"), files, admitted=admitted)


# --- files ---------------------------------------------------------------------------------------------------------


def _usable_films(root: Path, pseudonyms: Pseudonyms, admitted: Admitted, notes: Counter[str]) -> list[DicomFilm]:
    """The usable films; why the others are not is counted."""
    paths = list(_files(root, notes))
    films: dict[str, DicomFilm] = {}
    with silenced(), ThreadPoolExecutor(READERS_AT_ONCE) as pool:
        # Not recorded either: a hundred thousand files complain a hundred thousand times.
        warnings.simplefilter("ignore")
        headers = pool.map(partial(read_header, pseudonyms=pseudonyms, admitted=admitted), paths)
        for film in progress(headers, "headers", len(paths), MANY):
            if isinstance(film, str):
                notes[film] += 1
            elif film.instance in films:
                notes["files that are there twice (the first is taken)"] += 1
            else:
                films[film.instance] = film
    if not films and set(notes) <= {NO_DICOM}:
        raise SourceError("there is no DICOM file.", where=root, remedy=WHERE)
    for film in films.values():
        notes.update(film.doubts)
    return list(films.values())


def _files(root: Path, notes: Counter[str]) -> Iterator[Path]:
    """Every file below a folder, in a fixed order; links to folders are followed, each folder once. DICOMDIR and hidden
    files are passed over."""

    def unreadable(error: OSError) -> None:
        notes["folders that cannot be opened"] += 1

    seen: set[tuple[int, int]] = set()
    for folder, inner, names in os.walk(root, followlinks=True, onerror=unreadable):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            inner.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        inner.sort()
        for name in sorted(names):
            if not name.startswith(".") and name not in ("DICOMDIR", "SIMULATED"):
                yield Path(folder, name)


# --- patients ------------------------------------------------------------------------------------------------------


def _studies(patient: str, films: Sequence[DicomFilm], files: dict[str, Path], notes: Counter[str]) -> list[Study]:
    """The studies of one patient in time order, undated ones last; `files` gets the path of each film."""
    if len({film.born for film in films if film.born}) > 1 or len({film.sex for film in films if film.sex}) > 1:
        notes["patients whose films give two dates of birth or sexes (one PatientID for several people?)"] += 1
    by_study: dict[str, list[DicomFilm]] = {}
    for film in films:
        by_study.setdefault(film.study, []).append(film)
    chosen = [min(group, key=lambda film: (*film.choice, film.instance)) for group in by_study.values()]
    notes["further frontal films of a study (left out)"] += len(films) - len(chosen)
    orders = _orders(chosen)
    studies = []
    for film in chosen:
        image = f"{patient}/{film.study}.dcm"
        files[image] = film.path
        order = orders.get(film.study, math.nan)
        studies.append(Study(film.study, image, film.view, order=order, age=film.age, sex=film.sex))
    return sorted(studies, key=lambda study: (math.isnan(study.order), study.order, study.study_id))


def _orders(films: Sequence[DicomFilm]) -> dict[str, float]:
    """Study -> days since the first; of one day the n-th time is n thousandths later, unless a time is missing."""
    days = [film.day for film in films if film.day is not None]
    orders = {}
    for day in set(days):
        same = [film for film in films if film.day == day]
        clocks = sorted({film.clock for film in same})
        timed = "" not in clocks
        for film in same:
            orders[film.study] = day - min(days) + (clocks.index(film.clock) * SAME_DAY_STEP if timed else 0.0)
    return orders


def _cases(patient: str, studies: Sequence[Study], notes: Counter[str]) -> Iterator[Case]:
    """A question about the view of every film, and about the change of every two neighbours whose order is known."""
    for study in studies:
        answer = f"{study.view} view" if study.view else ""
        yield Case(f"{study.study_id}-view", patient, study, None, QUESTIONS["view"][0], answer, "view")
    notes["studies without a date (in no pair)"] += sum(math.isnan(study.order) for study in studies)
    for prior, current in itertools.pairwise([study for study in studies if not math.isnan(study.order)]):
        if prior.order == current.order:
            notes["neighbouring studies of one day whose order is unknown (no pair)"] += 1
            continue
        # Nothing is known of either film: "nothing has changed" would be an invention.
        yield replace(change_case(prior, current, patient), answer="")
