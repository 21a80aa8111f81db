"""Which earlier film a new one is compared with.

Of the studies of the same patient, by the same issuer of the PatientID, the frontal chest radiograph of an earlier date
that is nearest; one of the same view (PA, AP) goes before a nearer one of another. Nothing is guessed: a film without a
date, of the same day, or of a patient who may be another one is passed over, and the reason goes with the choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from intervalchange.archive.films import ArchivedFilm, in_study, listed, why_not_frontal
from intervalchange.data.dicom_selection import header_text
from intervalchange.data.film_headers import compare_data_sets, taken
from intervalchange.errors import InputError

LATER = "that are later"


@dataclass(frozen=True)
class ChosenPrior:
    """The prior, and why it is this one."""

    film: ArchivedFilm
    days: int
    """Before the current film."""
    reason: str
    """A sentence without a value of any header but the view."""


@dataclass(frozen=True)
class _Candidate:
    film: ArchivedFilm
    days: int
    same_view: bool

    @property
    def rank(self) -> tuple[object, ...]:
        return (not self.same_view, self.days, *in_study(self.film))


def choose_prior(
    current: ArchivedFilm,
    studies: Iterable[Sequence[ArchivedFilm]],
    *,
    take_unsaid: bool = False,
    same_day: bool = False,
) -> ChosenPrior:
    """Choose among the studies of a patient.

    studies: the films of each, the latest study first; no more are asked for than are needed. take_unsaid: see
    `why_not_frontal`. same_day: an earlier time of the same date is enough.
    Raises InputError, with the reasons, where there is no prior.
    """
    if not current.patient:
        raise InputError("the film has no PatientID, so that its priors are not known.")
    if not taken(current.header).iso:
        raise InputError("the film has no date, so that it is not known what is earlier.")
    passed_over: Counter[str] = Counter()
    best: _Candidate | None = None
    for films in studies:
        for film in films:
            if film.study == current.study:
                continue
            why = why_not_frontal(film, take_unsaid) or _why_not_this_patient(film, current)
            why = why or _why_not_earlier(film, current, same_day)
            if why:
                passed_over[why] += 1
                continue
            found = _candidate(film, current)
            best = found if best is None or found.rank < best.rank else best
        if best is not None and best.same_view:
            break
    if best is None:
        none = "there is no prior" if passed_over else "there is no other study of the patient"
        raise InputError(f"{none}{listed(passed_over)}.")
    del passed_over[LATER]  # Nobody would expect a prior among them.
    return ChosenPrior(best.film, best.days, _reason(best, current, passed_over))


def _candidate(film: ArchivedFilm, current: ArchivedFilm) -> _Candidate:
    days = int(taken(current.header).earliest) - int(taken(film.header).earliest)
    return _Candidate(film, days, film.view == current.view and film.view in ("PA", "AP"))


def _why_not_this_patient(film: ArchivedFilm, current: ArchivedFilm) -> str:
    if film.patient != current.patient:
        return "of another PatientID"
    if film.issuer and current.issuer and film.issuer != current.issuer:
        return "whose PatientID has another issuer"
    if compare_data_sets(film.header, current.header).people_differ:
        return "of another sex or date of birth"
    if film.issuer != current.issuer and not _born_alike(film, current):
        return "whose PatientID may have another issuer"
    return ""


def _born_alike(film: ArchivedFilm, current: ArchivedFilm) -> bool:
    """Whether both give a date of birth. That they are not different ones is known here."""
    return all(header_text(each.header, "PatientBirthDate") for each in (film, current))


def _why_not_earlier(film: ArchivedFilm, current: ArchivedFilm, same_day: bool) -> str:
    then, now = taken(film.header), taken(current.header)
    if not then.iso:
        return "without a date"
    order = compare_data_sets(film.header, current.header).order
    if order < 0:
        return LATER
    if then.iso[:10] == now.iso[:10] and not (same_day and order > 0):
        return "of the same day"
    return "" if order > 0 else "of which it is not known whether they are earlier"


def _reason(best: _Candidate, current: ArchivedFilm, passed_over: Counter[str]) -> str:
    view = f"{best.film.view} film" if best.film.view in ("PA", "AP") else "frontal film"
    which = f"the nearest earlier {view}"
    if not best.same_view and current.view in ("PA", "AP"):
        which += f" (there is no earlier {current.view} film)"
    when = "of the same day" if best.days == 0 else "1 day before" if best.days == 1 else f"{best.days} days before"
    return f"{which}, {when}{listed(passed_over, '; passed over: films ')}."
