"""Does laying the prior over the current film help, and is it right? (`serving/registration.py`)

    python benchmarks/registration.py --patients 12 --pairs 80 --real ../shared/data/cxr_longitudinal

- simulated: a film turned, scaled and shifted by a known amount, registered to itself and to the same patient, taken
  in the same way, in another state; error in shares of the side
- real: neighbouring films of a patient, and films of two patients: how often it is used; where both have human lung
  masks, their overlap (Dice) as taken and registered
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness.command import Command, write_result
from PIL import Image
from scipy import ndimage

from intervalchange.data.decoded_film import DecodedFilm
from intervalchange.data.films import FilmSquare, film_from_file, film_square, fit
from intervalchange.serving.registration import Registration, Similarity, register
from intervalchange.simulation.cohort import simulate_patient
from intervalchange.simulation.rendering import render

SEED = 900_400
SIDE = 256
CORNERS = np.array([[0.25, 0.25, 1], [0.75, 0.25, 1], [0.25, 0.75, 1], [0.75, 0.75, 1]]).T
"""Of the thorax, in shares of the side."""


@dataclass(frozen=True)
class Real:
    """A pair of real films."""

    prior: Path
    current: Path


def moved(pixels: np.ndarray, by: Similarity) -> np.ndarray:
    """(s, s) -> the same, turned, scaled and shifted."""
    side = len(pixels)
    back = np.linalg.inv(np.vstack([by.matrix, [0, 0, 1]]))[:2]
    linear = back[::-1, 1::-1]
    offset = back[::-1, 2] * side + linear @ np.full(2, 0.5) - 0.5
    return np.asarray(ndimage.affine_transform(pixels.astype(np.float32), linear, offset, order=1))


def square(pixels: np.ndarray) -> FilmSquare:
    return film_square(DecodedFilm(pixels.astype(np.float32)), SIDE)


def known(patients: int) -> Iterator[tuple[str, float, Registration]]:
    """Which pair, mean distance of the corners from where they belong in shares of the side, what was found."""
    rng = np.random.default_rng(SEED)
    for index in range(patients):
        patient = simulate_patient(SEED, index, pixels=SIDE)
        if len(patient.studies) < 2 or patient.studies[1].film is None:
            continue
        first, second = patient.studies[:2]
        current = second.film.pixels
        other = render(patient.anatomy, first.visit.state, second.visit.acquisition, SIDE, truth=False).pixels
        by = Similarity(
            rng.uniform(-10, 10), np.exp(rng.uniform(-0.2, 0.2)), rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15)
        )
        for name, film in (("same_film", current), ("other_state", other)):
            found = register(square(moved(film, by)), square(current))
            there = found.similarity.matrix @ np.vstack([by.matrix @ CORNERS, np.ones(4)])
            yield name, float(np.hypot(*(there - CORNERS[:2])).mean()), found


def dice(folder: Path, pair: Real, found: Similarity) -> float | None:
    """Overlap of the human lung masks where both films have one."""
    paths = [folder / "lung_masks" / f"{film.stem}.png" for film in (pair.prior, pair.current)]
    if not all(path.is_file() for path in paths):
        return None
    prior, current = (fit(np.asarray(Image.open(path).convert("L"), np.float32) / 255, SIDE)[0] for path in paths)
    laid, fixed = moved(prior, found) > 0.5, current > 0.5
    return float(2 * (laid & fixed).sum() / (laid.sum() + fixed.sum()))


def real_pairs(folder: Path, most: int) -> list[Real]:
    """Neighbouring films, evenly over the table, one pair a patient."""
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["consecutive"] == "1"]
    firsts = list({row["patient_id"]: row for row in rows}.values())
    chosen = firsts[:: max(1, len(firsts) // most)][:most]
    return [Real(folder / row["ref_file"], folder / row["main_file"]) for row in chosen]


def used(found: list[Registration]) -> dict[str, object]:
    """How often, and what the correlations are."""
    return {
        "pairs": len(found),
        "used": float(np.mean([one.helps for one in found])),
        "as_taken": np.percentile([one.as_taken for one in found], (10, 50, 90)).round(3).tolist(),
        "registered": np.percentile([one.registered for one in found], (10, 50, 90)).round(3).tolist(),
    }


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--patients", type=int, default=30)
    options.add_argument("--real", type=Path, required=True, help="the open longitudinal set")
    options.add_argument("--pairs", type=int, default=60)
    options.result("--out", "registration.json")
    chosen = options.parse_args()
    simulated = list(known(chosen.patients))
    result: dict[str, object] = {}
    for name in ("same_film", "other_state"):
        errors = [error for which, error, _ in simulated if which == name]
        found = [one for which, _, one in simulated if which == name]
        result[name] = {**used(found), "error": np.percentile(errors, (50, 90, 100)).round(4).tolist()}
    pairs = real_pairs(chosen.real, chosen.pairs)
    films = {path: film_from_file(path, SIDE) for pair in pairs for path in (pair.prior, pair.current)}
    own = [register(films[pair.prior], films[pair.current]) for pair in pairs]
    overlaps = [
        (dice(chosen.real, pair, Similarity()), dice(chosen.real, pair, one.similarity))
        for pair, one in zip(pairs, own, strict=True)
        if one.helps
    ]
    masked = [(taken, laid) for taken, laid in overlaps if taken is not None and laid is not None]
    strangers = [register(films[one.prior], films[other.current]) for one, other in itertools.pairwise(pairs)]
    result |= {
        "own": used(own),
        "strangers": used(strangers),
        "lungs": {
            "pairs": len(masked),
            "dice_as_taken": float(np.mean([taken for taken, _ in masked])),
            "dice_registered": float(np.mean([laid for _, laid in masked])),
            "worse": int(sum(laid < taken - 0.02 for taken, laid in masked)),
        },
    }
    write_result(chosen.out, result)


if __name__ == "__main__":
    main()
