"""A toy cohort for tests of training: bright marks at fixed places stand for findings; a difference can be learnt.

Films are 64 x 64 noise. Nothing here looks like a chest; the simulated cohort does.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from intervalchange.data import locations as data_locations
from intervalchange.data.batch import Batch, collate
from intervalchange.data.prepare import prepare
from intervalchange.findings import FINDINGS
from intervalchange.grammar import DIFFERENCE_QUESTION, render
from intervalchange.records import Change, Region

SIDE = 64
GRID = 8
PLACES = {
    "pleural effusion": (slice(44, 60), slice(6, 22)),
    "pneumothorax": (slice(4, 16), slice(40, 56)),
    "cardiomegaly": (slice(36, 52), slice(28, 48)),
}


def film(findings: set[str], rng: np.random.Generator) -> np.ndarray:
    """(64, 64) float32 in [0, 1]."""
    picture = 0.3 + 0.05 * rng.standard_normal((SIDE, SIDE))
    for finding in findings:
        picture[PLACES[finding]] += 0.5
    return np.clip(picture, 0, 1).astype(np.float32)


def draw_findings(rng: np.random.Generator) -> set[str]:
    return {finding for finding in PLACES if rng.random() < 0.5}


def labels(findings: set[str]) -> np.ndarray:
    """(f,) float32 in the order of FINDINGS: known for the toy's findings, NaN elsewhere."""
    values = np.full(len(FINDINGS), np.nan, np.float32)
    for finding in PLACES:
        values[FINDINGS.index(finding)] = float(finding in findings)
    return values


def opacity(findings: set[str]) -> np.ndarray:
    """(1, 8, 8) float32: the marks on the grid."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    for finding in findings:
        picture[PLACES[finding]] = 1
    return picture.reshape(1, GRID, SIDE // GRID, GRID, SIDE // GRID).mean(axis=(2, 4))


def locations(findings: set[str]) -> np.ndarray:
    """(f, 32, 32) float32: 1 on the marks, 0 elsewhere; NaN for what is not there."""
    step = SIDE // data_locations.GRID
    values = np.full((len(FINDINGS), data_locations.GRID, data_locations.GRID), np.nan, np.float32)
    for finding in findings:
        picture = np.zeros((SIDE, SIDE), np.float32)
        picture[PLACES[finding]] = 1
        values[FINDINGS.index(finding)] = picture[::step, ::step]
    return values


def item(rng: np.random.Generator, number: int, kind: str = "difference") -> dict[str, Any]:
    """One case with the fields of `Batch`, as `PairDataset` gives it."""
    prior, current = draw_findings(rng), draw_findings(rng)
    then, now = film(prior, rng), film(current, rng)
    single = kind != "difference"
    levels = np.where(labels(current) == 1, 2.0, np.nan).astype(np.float32)
    unknown = np.full(len(FINDINGS), np.nan, np.float32)
    return {
        "current": standardised(now),
        "prior": np.zeros_like(standardised(then)) if single else standardised(then),
        "has_prior": not single,
        "question": "is there edema?" if single else DIFFERENCE_QUESTION,
        "answer": "no" if single else render(Change.of(current - prior, prior - current)),
        "report_current": report(current),
        "report_prior": "" if single else report(prior),
        "kind": kind,
        "case_id": f"case-{number}",
        "patient_id": f"patient-{number}",
        "findings_current": labels(current),
        "findings_prior": unknown if single else labels(prior),
        "levels_current": levels,
        "levels_prior": unknown,
        "opacity_current": opacity(current),
        "opacity_prior": np.full((1, GRID, GRID), np.nan, np.float32) if single else opacity(prior),
        "locations_current": locations(current),
        "locations_prior": locations(set() if single else prior),
        "tags": (),
        "regions": {"current": (), "prior": ()},
    }


def report(shown: set[str]) -> str:
    """A report with two sections that names the findings."""
    seen = " ".join(f"There is {'a' if name in shown else 'no'} {name}." for name in PLACES)
    return (
        f" FINAL REPORT\n FINDINGS: \n \n {seen}\n \n IMPRESSION: \n \n {', '.join(sorted(shown)) or 'no finding'}.\n"
    )


def film_item(rng: np.random.Generator, number: int, names: Sequence[str] = ()) -> dict[str, Any]:
    """One film with the fields of `Batch`, as `FilmDataset` gives it; `names`: the labels it is asked for."""
    shown = draw_findings(rng)
    anatomy = [
        Region("anatomy", f"{side} lung", (x, 4.0, x + 26, 60.0)) for side, x in (("right", 4.0), ("left", 34.0))
    ]
    marks = [Region("finding", name, box_of(name)) for name in sorted(shown)]
    return {
        "current": standardised(film(shown, rng)),
        "has_prior": False,
        "report_current": " ".join(f"There is {'a' if name in shown else 'no'} {name}." for name in PLACES),
        "kind": "film",
        "case_id": f"film-{number}",
        "patient_id": f"patient-{number}",
        "findings_current": labels(shown),
        "levels_current": np.where(labels(shown) == 1, 2.0, np.nan).astype(np.float32),
        "opacity_current": opacity(shown),
        "locations_current": locations(shown),
        "regions": {"current": (*anatomy, *marks), "prior": ()},
    } | (labelled(shown, names) if names else {})


def labelled(shown: set[str], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Labels and masks of a film on which these findings are shown, for the names it is asked for."""
    masks = np.zeros((len(names), SIDE, SIDE), np.float32)
    for mask, name in zip(masks, names, strict=True):
        if name in shown:
            mask[PLACES[name]] = 1
    return {"labels_current": np.array([float(name in shown) for name in names], np.float32), "masks_current": masks}


def box_of(finding: str) -> tuple[float, float, float, float]:
    """(x1, y1, x2, y2) of a mark in pixels."""
    rows, columns = PLACES[finding]
    return float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)


def standardised(picture: np.ndarray) -> np.ndarray:
    """(1, h, w) with mean 0 and deviation 1."""
    return ((picture - picture.mean()) / picture.std())[None].astype(np.float32)


def batch(size: int = 4, seed: int = 0, kind: str = "difference") -> Batch:
    rng = np.random.default_rng(seed)
    return collate([item(rng, number, kind) for number in range(size)])


def film_batch(size: int = 4, seed: int = 0, names: Sequence[str] = ()) -> Batch:
    rng = np.random.default_rng(seed)
    return collate([film_item(rng, number, names) for number in range(size)])


def cohort(folder: Path, train: int = 48, val: int = 16, test: int = 8, seed: int = 0) -> Path:
    """Write films and `pairs.csv` under `folder/source`, prepare them, and return the prepared folder."""
    rng = np.random.default_rng(seed)
    source = folder / "source"
    source.mkdir(parents=True)
    with (source / "pairs.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(
            ["patient", "prior", "current", "prior_findings", "current_findings", "answer", "split", "case_id"]
        )
        number = 0
        for split, count in (("train", train), ("val", val), ("test", test)):
            for _ in range(count):
                prior, current = draw_findings(rng), draw_findings(rng)
                paths = []
                for side, findings in (("prior", prior), ("current", current)):
                    paths.append(f"{number:04d}-{side}.png")
                    Image.fromarray((film(findings, rng) * 255).round().astype(np.uint8)).save(source / paths[-1])
                answer = render(Change.of(current - prior, prior - current))
                named = ["|".join(sorted(findings)) for findings in (prior, current)]
                table.writerow([f"patient-{number:04d}", *paths, *named, answer, split, f"case-{number:04d}"])
                number += 1
    prepare("pairs", source, folder / "prepared", pixels=SIDE, progress=False)
    return folder / "prepared"
