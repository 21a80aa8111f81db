"""From the UID of a study to two films: the one that is new, and its prior."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pydicom

from intervalchange.archive.films import ArchivedFilm, frontal_film, why_not_frontal
from intervalchange.archive.interface import Archive
from intervalchange.archive.priors import ChosenPrior, choose_prior
from intervalchange.data.decoded_film import MAX_FILE_BYTES
from intervalchange.data.dicom import silenced
from intervalchange.errors import ImageError, InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class NoFrontalFilmError(InputError):
    """A study without a frontal film of the chest, so far."""


class Films(Protocol):
    """Where the films of a new study come from, when not from the archive."""

    def films_of(self, study: str) -> list[ArchivedFilm]:
        """By their headers; empty for a study that is not here."""

    def fetch(self, film: ArchivedFilm) -> bytes:
        """The DICOM file."""


@dataclass(frozen=True)
class PairRules:
    """Which films are taken for a pair."""

    take_unsaid: bool = False
    """Films that do not say that they are frontal and of the chest are taken for that."""
    same_day: bool = False
    """An earlier time of the same date is enough for a prior."""


@dataclass(frozen=True)
class FoundPair:
    """Two films of a patient, by their headers in the archive."""

    current: ArchivedFilm
    prior: ChosenPrior
    source: Films = field(repr=False)
    """Where the current film is."""


@dataclass(frozen=True)
class PairFiles:
    """Their DICOM files."""

    prior: bytes = field(repr=False)
    current: bytes = field(repr=False)
    prior_header: Dataset = field(repr=False)
    """Without pixels."""
    current_header: Dataset = field(repr=False)

    @property
    def uploads(self) -> Mapping[str, bytes]:
        """By side."""
        return {"prior": self.prior, "current": self.current}


class PairFinder:
    """Finds the pair of a study in an archive."""

    def __init__(self, archive: Archive, rules: PairRules | None = None, inbox: Films | None = None) -> None:
        """inbox: films that were sent here; a study that is there is not looked for in the archive."""
        self.archive, self.rules, self.inbox = archive, rules or PairRules(), inbox

    def find(self, study: str) -> FoundPair:
        """The frontal film of a study, and its prior.

        Raises ArchiveError; NoFrontalFilmError where a film may still come; InputError where there is no prior.
        """
        sent = self.inbox.films_of(study) if self.inbox else []
        try:
            current = frontal_film(sent or self.archive.films_of(study), self.rules.take_unsaid)
        except InputError as problem:
            raise NoFrontalFilmError(problem.what) from None
        prior = self._prior_of(current, map(self.archive.films_of, self.archive.studies_of(current.patient)))
        return FoundPair(current, prior, self.inbox if sent and self.inbox else self.archive)

    def fetch(self, pair: FoundPair) -> PairFiles:
        """The files of a pair, which must be what the archive said of them.

        Raises ArchiveError; ImageError for a header that cannot be read; InputError for another film, or one too large.
        """
        prior, current = _file(pair.prior.film, self.archive), _file(pair.current, pair.source)
        files = PairFiles(prior, current, _header(prior), _header(current))
        for header, asked in ((files.prior_header, pair.prior.film), (files.current_header, pair.current)):
            film = ArchivedFilm(header)
            if (film.study, film.instance) != (asked.study, asked.instance):
                raise InputError("the archive sent another film than the one that was asked for.")
            why = why_not_frontal(film, self.rules.take_unsaid)
            if why:
                raise InputError(f"the archive did not say so, but the film is one of those {why}.")
        self._prior_of(ArchivedFilm(files.current_header), [[ArchivedFilm(files.prior_header)]])
        return files

    def _prior_of(self, current: ArchivedFilm, studies: Iterable[Sequence[ArchivedFilm]]) -> ChosenPrior:
        rules = self.rules
        return choose_prior(current, studies, take_unsaid=rules.take_unsaid, same_day=rules.same_day)


def _file(film: ArchivedFilm, source: Films) -> bytes:
    too_large = InputError(f"a film has more than {MAX_FILE_BYTES >> 20} MiB.")
    if film.megabytes * 1e6 > MAX_FILE_BYTES:
        raise too_large
    file = source.fetch(film)
    if len(file) > MAX_FILE_BYTES:
        raise too_large
    return file


def _header(file: bytes) -> Dataset:
    try:
        with silenced():
            return pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True, force=True)
    except Exception as problem:  # a foreign parser fails in every way there is
        raise ImageError(f"the header of a film cannot be read ({type(problem).__name__}).") from None
