"""The simulated cohort as COVIDx 9A: `train_COVIDx9A.txt`, `test_COVIDx9A.txt`, `train/`, `test/`.

A patient is normal, has pneumonia (one focal consolidation) or COVID-19 (ground-glass along the pleura on both sides),
at up to two visits, exposed with the acquisitions of the cohort. Nothing else is wrong with them: the list knows only
the class. As in the real lists a source is nearly a class: COVID-19 comes from ricord or sirm, the rest from rsna,
whose patient id is that of the film.
Quirks: a patient id with a blank in it (sirm), and `rnsa`. Val patients are in the list of the test films.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.files import digest, films_with_split, move_films, png_bytes, write_lines
from intervalchange.simulation.pathology import PERIPHERAL
from intervalchange.simulation.records import SimulatedPatient, patient_generator
from intervalchange.simulation.rendering import render
from intervalchange.simulation.scene import Lesion, State

SHARES = {"normal": 0.35, "pneumonia": 0.3, "COVID-19": 0.35}
VISITS = 2
PENDING = "films"
"""Films wait here until the splits are known."""


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """The films of one patient and the fields of their lines."""
    word, state = illness(patient.seed, patient.index)
    films = []
    for number, study in enumerate(patient.studies[:VISITS]):
        name_of_patient, name, source = names_of_film(patient, number, word, quirks)
        if study.film is not None:
            film = render(patient.anatomy, state, study.visit.acquisition, len(study.film.pixels), truth=False)
            write_atomically(out / PENDING / name, work, png_bytes(film.pixels))
        films.append({"line": f"{name_of_patient} {name} {word} {source}", "name": name})
    return {"films": films}


def illness(seed: int, index: int) -> tuple[str, State]:
    """Class of a patient, and what is wrong with the lungs."""
    rng = patient_generator(seed, index, 1200)
    word = list(SHARES)[int(rng.choice(len(SHARES), p=list(SHARES.values())))]
    severity, lesion_seed = float(rng.uniform(0.4, 0.9)), int(rng.integers(2**31))
    side, zone = ("left", "right")[int(rng.integers(2))], ("upper", "middle", "lower")[int(rng.integers(3))]
    if word == "normal":
        return word, State()
    if word == "pneumonia":
        return word, State((Lesion("consolidation", severity, side, zone, "focal", lesion_seed),))  # type: ignore[arg-type]
    return word, State((Lesion("lung opacity", severity, "both", "", PERIPHERAL, lesion_seed),))


def names_of_film(patient: SimulatedPatient, visit: int, word: str, quirks: bool) -> tuple[str, str, str]:
    """Patient id, file name and source of one film."""
    rng = patient.generator(1201, visit)
    code = digest(patient.seed, patient.index, visit, "covidx")
    number = int(digest(patient.seed, patient.index, 0, "covidx patient")[:6], 16)
    if word != "COVID-19":
        # A UUID of version 8 that begins with noughts; real ones are of version 4. It names the film, not its owner.
        uuid = f"00000000-{code[:4]}-8{code[4:7]}-8{code[7:10]}-{code[10:22]}"
        return uuid, f"{uuid}.png", "rnsa" if quirks and rng.random() < 0.05 else "rsna"
    if quirks and patient.index % 4 == 0:
        return f"COVID {number}", f"COVID({number}.{visit}).png", "sirm"
    person = f"SITE9-{number:08d}"
    return person, f"MIDRC-RICORD-1C-{person}-{int(code[:4], 16):05d}-{visit}.png", "ricord"


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Both lists, without a header, and the films to the folder of their split."""
    lines: dict[str, list[str]] = {"train": [], "test": []}
    moves = {}
    for film, split in films_with_split(fragments, splits):
        part = "train" if split == "train" else "test"
        lines[part].append(film["line"])
        moves[f"{PENDING}/{film['name']}"] = f"{part}/{film['name']}"
    move_films(out, moves)
    for part, of_part in lines.items():
        write_lines(out / f"{part}_COVIDx9A.txt", work, of_part)
