"""One study: its prior is found, both films are read, the question is asked, and the answer is filed."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import TimeoutError as LateFuture
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pydicom

from intervalchange.archive.films import ArchivedFilm, frontal_film, why_not_frontal
from intervalchange.archive.interface import Archive
from intervalchange.archive.priors import ChosenPrior, choose_prior
from intervalchange.archive.results import result_uids, results_of
from intervalchange.data.dicom import silenced
from intervalchange.errors import ImageError, InputError
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.inference import Answered, AskedFilms, Predictor
from intervalchange.serving.decoding import FilmReader
from intervalchange.serving.desk import Desk, LateError
from intervalchange.serving.limits import MIB, Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class FilingOptions:
    """How a study is answered."""

    take_unsaid: bool = False
    """Films that do not say that they are frontal and of the chest are taken for that."""
    same_day: bool = False
    """An earlier time of the same date is enough for a prior."""
    pdf: bool = False
    """File an encapsulated PDF as well."""


@dataclass(frozen=True)
class Filed:
    """What was filed."""

    study: str
    prior_study: str
    why: str
    """This prior."""
    was_there: bool = False
    """The archive held the answer already."""


class NoFrontalFilmError(InputError):
    """A study without a frontal film of the chest, so far."""


class Films(Protocol):
    """Where the films of a new study come from, when not from the archive."""

    def films_of(self, study: str) -> list[ArchivedFilm]:
        """By their headers; empty for a study that is not here."""

    def fetch(self, film: ArchivedFilm) -> bytes:
        """The DICOM file."""


class Filing:
    """A run, the processes that read films for it, and an archive."""

    def __init__(
        self,
        predictor: Predictor,
        model: str,
        archive: Archive,
        options: FilingOptions | None = None,
        limits: Limits | None = None,
        inbox: Films | None = None,
    ) -> None:
        """model: the name of the run, as the report calls it. inbox: films that were sent here."""
        self.model, self.archive, self.inbox = model, archive, inbox
        self.options, self.limits = options or FilingOptions(), limits or Limits()
        self.reader = FilmReader(predictor.stored_pixels, self.limits)
        self.desk = Desk(predictor, self.limits)

    def file(self, study: str) -> Filed:
        """Answer a study. Filing it again changes nothing: the UIDs of an answer are those of its films and the run.

        Raises ArchiveError where another try may do; NoFrontalFilmError and ImageError where a film may still come, or
        the process that read it was killed; InputError where there is no prior.
        """
        sent = self.inbox.films_of(study) if self.inbox else []
        try:
            current = frontal_film(sent or self.archive.films_of(study), self.options.take_unsaid)
        except InputError as problem:
            raise NoFrontalFilmError(problem.what) from None
        chosen = self._prior_of(current, map(self.archive.films_of, self.archive.studies_of(current.patient)))
        film = chosen.film
        uids = result_uids(current.instance, film.instance, self.model)
        wanted = (uids.report, uids.capture, *((uids.pdf,) if self.options.pdf else ()))
        if all(self.archive.holds(study, instance) for instance in wanted):
            return Filed(study, film.study, chosen.reason, was_there=True)
        files = {
            "prior": self._fetched(film, self.archive),
            "current": self._fetched(current, self.inbox if sent and self.inbox else self.archive),
        }
        headers = {side: _header(file) for side, file in files.items()}
        chosen = self._checked(current, film, headers, chosen)
        results = results_of(
            self._answer(files), headers["current"], headers["prior"],
            model=self.model, why=chosen.reason, pdf=self.options.pdf,
        )  # fmt: skip
        self.archive.store(results)
        return Filed(study, film.study, chosen.reason)

    def close(self) -> None:
        """End the processes and the thread."""
        self.desk.close()
        self.reader.close()

    def _prior_of(self, current: ArchivedFilm, studies: object) -> ChosenPrior:
        return choose_prior(
            current,
            studies,
            take_unsaid=self.options.take_unsaid,
            same_day=self.options.same_day,  # type: ignore[arg-type]
        )

    def _checked(
        self, current: ArchivedFilm, prior: ArchivedFilm, headers: dict[str, Dataset], chosen: ChosenPrior
    ) -> ChosenPrior:
        """The files themselves must be what the archive said of them: the same checks, with all of the header."""
        read = {side: ArchivedFilm(header) for side, header in headers.items()}
        for film, asked in ((read["current"], current), (read["prior"], prior)):
            if (film.study, film.instance) != (asked.study, asked.instance):
                raise InputError("the archive sent another film than the one that was asked for.")
            why = why_not_frontal(film, self.options.take_unsaid)
            if why:
                raise InputError(f"the archive said nothing of it, but the film is one of those {why}.")
        self._prior_of(read["current"], [[read["prior"]]])
        return chosen

    def _fetched(self, film: ArchivedFilm, source: Films) -> bytes:
        most = self.limits.upload_bytes
        if film.megabytes * 1e6 > most:
            raise InputError(f"a film has more than {most // MIB} MiB.")
        file = source.fetch(film)
        if len(file) > most:
            raise InputError(f"a film has more than {most // MIB} MiB.")
        return file

    def _answer(self, files: dict[str, bytes]) -> Answered:
        pair = self.reader.read(files)
        asked = self.desk.ask(AskedFilms(pair.prior, pair.current, DIFFERENCE_QUESTION, pair.warnings))
        try:
            return asked.result(timeout=self.limits.deadline)
        except LateFuture:
            raise LateError(f"there was no answer after {self.limits.deadline:g} seconds.") from None


def _header(file: bytes) -> Dataset:
    try:
        with silenced():
            return pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True, force=True)
    except Exception as problem:  # a foreign parser fails in every way there is
        raise ImageError(f"the header of a film cannot be read ({type(problem).__name__}).") from None


def shown_study(study: str) -> str:
    """What a log calls a study: no part of a header."""
    return hashlib.sha256(study.encode()).hexdigest()[:8]
