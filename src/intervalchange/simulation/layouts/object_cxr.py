"""The simulated cohort as Object-CXR: `train.csv`, `dev.csv`, `train/*.jpg`, `dev/*.jpg`.

Every visit becomes a film of its own, for the real set knows no patients. Every other film is exposed again with one to
four things left on the patient. Buttons and coins are annotated as ellipses (1), clips and pins as rectangles (0),
necklaces as polygons (2): the hull of their shadow. Objects that lie outside the film are not annotated; support
devices never are. Val and test patients both go to `dev`, whose films the real set made public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import ConvexHull

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.foreign_objects import KINDS
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.files import films_with_split, jpeg_bytes, move_films
from intervalchange.simulation.records import SimulatedPatient, patient_generator
from intervalchange.simulation.rendering import render
from intervalchange.simulation.scene import ForeignObject

SHAPE = {"button": 1, "coin": 1, "clip": 0, "pin": 0, "necklace": 2}
MOST = 4
PENDING = "films"
"""Films wait here until the splits are known."""


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """The films of a patient, half of them with objects, and their annotations."""
    films = []
    for number, study in enumerate(patient.studies):
        objects = objects_of(patient.seed, patient.index, number)
        film = study.film
        masks: tuple[np.ndarray, ...] = ()
        if objects and film is not None:
            state = replace(study.visit.state, objects=objects)
            film = render(patient.anatomy, state, study.visit.acquisition, len(film.pixels), truth=True)
            masks = film.object_masks
        name = f"{patient.index:06d}{number}.jpg"
        if film is not None:
            write_atomically(out / PENDING / name, work, jpeg_bytes(film.pixels))
        annotations = [annotation(item.kind, mask) for item, mask in zip(objects, masks, strict=True) if mask.any()]
        films.append({"name": name, "annotation": ";".join(annotations)})
    return {"films": films}


def objects_of(seed: int, index: int, visit: int) -> tuple[ForeignObject, ...]:
    """What is left on the patient at one visit: nothing at every other visit on average."""
    rng = patient_generator(seed, index, 1100, visit)
    count = int(rng.integers(1, MOST + 1)) if rng.random() < 0.5 else 0
    kinds = rng.choice(len(KINDS), size=count)
    seeds = rng.integers(2**31, size=count)
    return tuple(ForeignObject(KINDS[kind], int(one)) for kind, one in zip(kinds, seeds, strict=True))


def annotation(kind: str, mask: np.ndarray) -> str:
    """`type v v v ...` of one object, whole pixels: x1 y1 x2 y2, or the corners of a polygon."""
    rows, columns = np.nonzero(mask)
    if SHAPE[kind] < 2 or len(np.unique(rows)) < 2 or len(np.unique(columns)) < 2:
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return f"{min(SHAPE[kind], 1)} " + " ".join(str(int(edge)) for edge in box)
    points = np.stack([columns, rows], axis=1)
    corners = points[ConvexHull(points).vertices]
    return "2 " + " ".join(str(int(value)) for value in corners.ravel())


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """`train.csv` and `dev.csv`, and the films to the folder of their split."""
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "dev": []}
    moves = {}
    for film, split in films_with_split(fragments, splits):
        part = "train" if split == "train" else "dev"
        rows[part].append((film["name"], film["annotation"]))
        moves[f"{PENDING}/{film['name']}"] = f"{part}/{film['name']}"
    move_films(out, moves)
    for part, of_part in rows.items():
        table = pd.DataFrame(of_part, columns=["image_name", "annotation"])
        write_atomically(out / f"{part}.csv", work, table.to_csv(index=False, lineterminator="\n").encode())
