"""The page of one or more answers: both films, the words, the change as a table, the attribution maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from intervalchange import grammar
from intervalchange.evaluation.metrics.calibration import ABSTAINED
from intervalchange.inference import Answered, shown_answer
from intervalchange.records import Prediction
from intervalchange.report.page import Picture, jpeg_uri, render_page

SIDE = 448
"""Pixels of a film on the page."""
SMALL, MOST_MAPS = 224, 9
"""Pixels of the film under the map of a part of the answer, and how many of them are drawn."""
MOST_CONSIDERED = 4
"""Changes in the table that were considered and not named."""
QUALITY = 88
"""Of the films as JPEG."""


@dataclass(frozen=True)
class Entry:
    """One answer on the page."""

    title: str
    answered: Answered
    reference: str = ""
    """The reference answer, where it is known."""
    note: str = ""
    """Where the films are from."""


@dataclass(frozen=True)
class ChangeRow:
    """A change that the model named, or considered."""

    finding: str
    way: str
    """added, missing or level."""
    change: str
    """The way in words."""
    probability: float
    named: bool


@dataclass(frozen=True)
class ShownEntry:
    """An answer as the template prints it."""

    title: str
    note: str
    question: str
    answer: str
    unsure: bool
    """The answer was abstained from."""
    reference: str
    right: bool
    """The answer means the same as the reference."""
    films: Sequence[Picture]
    without_map: bool
    """The method gives maps, and gave none for the change."""
    parts: Sequence[Picture]
    parts_left_out: int
    rows: Sequence[ChangeRow]
    probability: float | None
    warnings: Sequence[str]


def answer_page(entries: Sequence[Entry], title: str = "Interval change") -> str:
    """A complete HTML document without external parts."""
    return render_page("answer.html", title, entries=[_shown(entry) for entry in entries])


def _shown(entry: Entry) -> ShownEntry:
    answered = entry.answered
    prediction, unsure = answered.prediction, ABSTAINED in answered.prediction.warnings
    maps = {} if unsure else dict(prediction.evidence or {})
    change_map = maps.pop("change", None)
    parts = list(maps.items())
    current = answered.current.pixels
    films = [] if answered.prior is None else [_picture(answered.prior.pixels, "Prior (the reference image)")]
    films.append(_picture(current, "Current (the main image)"))
    if change_map is not None:
        films.append(_picture(current, "Where the change was seen, on the current film", change_map))
    return ShownEntry(
        title=entry.title,
        note=entry.note,
        question=prediction.question,
        answer=shown_answer(prediction),
        unsure=unsure,
        reference=entry.reference,
        right=not unsure and grammar.parse(entry.reference).change == grammar.parse(prediction.answer).change,
        films=films,
        without_map=change_map is None and prediction.evidence is not None and not unsure,
        parts=[_picture(current, name, attribution, SMALL) for name, attribution in parts[:MOST_MAPS]],
        parts_left_out=max(len(parts) - MOST_MAPS, 0),
        rows=_change_rows(prediction, unsure),
        probability=(prediction.confidence or {}).get("answer"),
        warnings=[text for text in prediction.warnings if text != ABSTAINED],
    )


def _change_rows(prediction: Prediction, unsure: bool) -> list[ChangeRow]:
    """Every change the model named, then the most probable of those it considered; where it is unsure, only these."""
    change, confidence = prediction.change, prediction.confidence or {}
    if change is None:
        return []
    levels = {f"level:{level.finding}": f"level {level.prior} → {level.current}" for level in change.levels}
    named = {f"added:{name}" for name in change.added} | {f"missing:{name}" for name in change.missing} | set(levels)
    rows = []
    for key in sorted((key for key in confidence if ":" in key), key=lambda key: -confidence[key]):
        way, finding = key.split(":", 1)
        rows.append(ChangeRow(finding, way, levels.get(key, way), confidence[key], key in named and not unsure))
    considered = [row for row in rows if not row.named]
    return [row for row in rows if row.named] + considered[:MOST_CONSIDERED]


def _picture(film: np.ndarray, caption: str, attribution: np.ndarray | None = None, side: int = SIDE) -> Picture:
    return Picture(jpeg_uri(overlay(film, attribution, side), QUALITY), caption)


def overlay(film: np.ndarray, attribution: np.ndarray | None = None, side: int = SIDE) -> Image.Image:
    """(s, s) uint8 film with a (g, g) attribution map in [0, 1] laid over it in orange. RGB, `side` pixels square."""
    grey = np.asarray(Image.fromarray(film).resize((side, side), Image.Resampling.LANCZOS), dtype=np.float32) / 255
    shown = np.repeat(grey[..., None], 3, axis=2)
    if attribution is not None:
        cells = Image.fromarray(np.asarray(attribution, np.float32))
        strength = np.clip(np.asarray(cells.resize((side, side), Image.Resampling.BICUBIC)), 0, 1)
        # Relative to the map's own peak, so that a faint map still shows where; the table gives the probability.
        strength = np.clip(strength / max(float(strength.max()), 1e-6), 0, 1)[..., None] ** 1.5
        colour = np.array([1.0, 0.45, 0.05], dtype=np.float32)
        shown = shown * (1 - 0.55 * strength) + colour * 0.55 * strength
    return Image.fromarray((255 * np.clip(shown, 0, 1)).astype(np.uint8))
