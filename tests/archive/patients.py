"""Simulated patients of an archive, headers only: each with the prior that is right, and decoys around it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from pydicom.dataset import Dataset

from intervalchange.archive.films import ArchivedFilm

NOW = date(2031, 5, 20)
Decoy = Callable[[Dataset, random.Random], None]


def _lateral(film: Dataset, draw: random.Random) -> None:
    film.ViewPosition = draw.choice(["LL", "RL", "LATERAL"])


def _other_part(film: Dataset, draw: random.Random) -> None:
    film.BodyPartExamined = draw.choice(["HAND", "ABDOMEN", "KNEE", "LSPINE"])


def _same_day(film: Dataset, draw: random.Random) -> None:
    film.StudyDate, film.StudyTime = f"{NOW:%Y%m%d}", draw.choice(["", "080000", "235900"])


def _undated(film: Dataset, draw: random.Random) -> None:
    film.StudyDate = draw.choice(["", "19000101"])


def _other_issuer(film: Dataset, draw: random.Random) -> None:
    film.IssuerOfPatientID = "OTHER HOSPITAL"


def _future(film: Dataset, draw: random.Random) -> None:
    film.StudyDate = f"{NOW + timedelta(draw.randint(1, 900)):%Y%m%d}"


def _other_person(film: Dataset, draw: random.Random) -> None:
    film.PatientSex = "M" if film.PatientSex == "F" else "F"


def _other_modality(film: Dataset, draw: random.Random) -> None:
    film.Modality, film.SOPClassUID = "CT", "1.2.840.10008.5.1.4.1.1.2"


def _capture(film: Dataset, draw: random.Random) -> None:
    film.Modality, film.SOPClassUID = "OT", "1.2.840.10008.5.1.4.1.1.7"


def _frames(film: Dataset, draw: random.Random) -> None:
    film.NumberOfFrames = 2


def _unsaid(film: Dataset, draw: random.Random) -> None:
    film.BodyPartExamined = film.ViewPosition = film.StudyDescription = ""


DECOYS: tuple[Decoy, ...] = (
    *(_lateral, _other_part, _same_day, _undated, _other_issuer, _future, _other_person, _other_modality, _capture),
    *(_frames, _unsaid),
)


@dataclass(frozen=True)
class SimulatedCase:
    """A new film, the studies of the archive, and the film that is its prior."""

    current: ArchivedFilm
    studies: list[list[ArchivedFilm]]
    right: ArchivedFilm | None


def simulated_case(number: int) -> SimulatedCase:
    """The same for the same number."""
    draw = random.Random(number)
    view = draw.choice(["PA", "AP"])
    current = _film(number, 0, NOW, view)
    priors = [
        _film(number, 1 + index, NOW - timedelta(days), draw.choice(["PA", "AP"]))
        for index, days in enumerate(draw.sample(range(1, 4000), draw.randint(0, 3)))
    ]
    alike = [film for film in priors if film.ViewPosition == view] or priors
    right = max(alike, key=lambda film: film.StudyDate, default=None)
    studies = [[film] for film in priors] + [[current]]
    for index in range(draw.randint(0, 5)):
        decoy = _film(number, 10 + index, NOW - timedelta(draw.randint(1, 60)), view)
        draw.choice(DECOYS)(decoy, draw)
        if decoy.StudyDate != f"{NOW:%Y%m%d}" and draw.random() < 0.3 and priors:
            decoy.StudyInstanceUID = priors[0].StudyInstanceUID
            studies[0].append(decoy)
        else:
            studies.append([decoy])
    draw.shuffle(studies)
    studies.sort(key=lambda films: films[0].StudyDate, reverse=True)
    as_films = [[ArchivedFilm(film) for film in films] for films in studies]
    return SimulatedCase(ArchivedFilm(current), as_films, None if right is None else ArchivedFilm(right))


def _film(patient: int, study: int, taken: date, view: str) -> Dataset:
    film = Dataset()
    film.PatientID, film.IssuerOfPatientID = f"P{patient}", "HOSPITAL"
    film.PatientSex, film.PatientBirthDate = "F" if patient % 2 else "M", "19700101"
    film.StudyInstanceUID, film.SeriesInstanceUID = f"1.2.{patient}.{study}", f"1.2.{patient}.{study}.1"
    film.SOPInstanceUID, film.SOPClassUID = f"1.2.{patient}.{study}.1.1", "1.2.840.10008.5.1.4.1.1.1.1"
    film.StudyDate, film.StudyTime, film.StudyDescription = f"{taken:%Y%m%d}", "120000", "CHEST"
    film.Modality, film.BodyPartExamined, film.ViewPosition = "DX", "CHEST", view
    film.Rows = film.Columns = 2000
    film.BitsAllocated = 16
    return film
