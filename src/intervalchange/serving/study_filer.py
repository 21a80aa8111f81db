"""One study: its pair is found, both films are read, the question is asked, and the answer is filed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import TimeoutError as LateFuture
from dataclasses import dataclass

from intervalchange.archive.pairs import PairFinder
from intervalchange.archive.results import result_uids, results_of
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.inference import Answered, AskedFilms, Predictor
from intervalchange.serving.decoding import FilmReader
from intervalchange.serving.desk import Desk, LateError
from intervalchange.serving.limits import Limits


@dataclass(frozen=True)
class Filed:
    """What was filed."""

    study: str
    prior_study: str
    why: str
    """This prior."""
    was_there: bool = False
    """The archive held the answer already."""


class StudyFiler:
    """A run, the processes that read films for it, and where pairs are found and answers filed."""

    def __init__(
        self, predictor: Predictor, finder: PairFinder, *, pdf: bool = False, limits: Limits | None = None
    ) -> None:
        """pdf: file an encapsulated PDF as well."""
        self.model, self.finder, self.pdf = predictor.identity, finder, pdf
        self.limits = limits or Limits()
        self.abstain_at = predictor.abstain_at
        self.reader = FilmReader(predictor.stored_pixels, self.limits)
        self.desk = Desk(predictor, self.limits)

    def file(self, study: str) -> Filed:
        """Answer a study. Again, it changes nothing: the UIDs of an answer are made of those of its films and the run.

        Raises ArchiveError, BusyError and LateError where another try may do; NoFrontalFilmError and ImageError where a
        film may still come, or the process that read it was killed; InputError where there is no prior.
        """
        archive, pair = self.finder.archive, self.finder.find(study)
        prior = pair.prior.film
        uids = result_uids(pair.current.instance, prior.instance, self.model)
        wanted = (uids.report, uids.capture, *((uids.pdf,) if self.pdf else ()))
        if all(archive.holds(study, instance) for instance in wanted):
            return Filed(study, prior.study, pair.prior.reason, was_there=True)
        files = self.finder.fetch(pair)
        archive.store(
            results_of(
                self._answer(files.uploads),
                files.current_header,
                files.prior_header,
                model=self.model,
                why=pair.prior.reason,
                pdf=self.pdf,
                abstain_at=self.abstain_at,
            )
        )
        return Filed(study, prior.study, pair.prior.reason)

    def close(self) -> None:
        """End the processes and the thread."""
        self.desk.close()
        self.reader.close()

    def _answer(self, uploads: Mapping[str, bytes]) -> Answered:
        pair = self.reader.read(uploads)
        asked = self.desk.ask(AskedFilms(pair.prior, pair.current, DIFFERENCE_QUESTION, pair.warnings))
        try:
            return asked.result(timeout=self.limits.deadline)
        except LateFuture:
            raise LateError(f"there was no answer after {self.limits.deadline:g} seconds.") from None


def shown_study(study: str) -> str:
    """What a log calls a study: no part of a header."""
    return hashlib.sha256(study.encode()).hexdigest()[:8]
