"""An answer as a picture that any viewer shows: the films side by side, where the change was seen, and the words.

No name, date or number of the patient is drawn; the viewer shows those of the header.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import highdicom
import numpy as np
from highdicom.sc import SCImage
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from intervalchange import __version__
from intervalchange.archive.filing import CHARACTERS, DEVICE, Filing, derived_uid
from intervalchange.archive.structured_report import LONGEST_LABEL, Item, change_items, region
from intervalchange.data.dicom import silenced
from intervalchange.evaluation.metrics.calibration import ABSTAINED
from intervalchange.inference import shown_answer
from intervalchange.policy import RESEARCH_USE
from intervalchange.report.answer import overlay

if TYPE_CHECKING:
    from intervalchange.inference import Answered
    from intervalchange.records import Prediction

SERIES_NUMBER = 9102
WIDTH, MARGIN, GAP = 1536, 24, 12
BACKGROUND, INK, FAINT, WARM = (12, 12, 14), (235, 235, 235), (165, 165, 170), (255, 176, 90)
MOST_WARNINGS, MOST_ITEMS = 6, 12


@dataclass(frozen=True)
class Line:
    """A line of text below the films."""

    text: str
    size: int = 22
    ink: tuple[int, int, int] = INK


def secondary_capture(picture: Image.Image, filing: Filing) -> Dataset:
    """The picture as a Secondary Capture in the current study."""
    film = filing.current
    with silenced():
        capture = SCImage(
            pixel_array=np.asarray(picture.convert("RGB")),
            photometric_interpretation=highdicom.PhotometricInterpretationValues.RGB,
            bits_allocated=8,
            coordinate_system=highdicom.CoordinateSystemNames.PATIENT,
            study_instance_uid=film.StudyInstanceUID,
            series_instance_uid=derived_uid(filing.uids.capture, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=filing.uids.capture,
            instance_number=1,
            manufacturer=DEVICE,
            manufacturer_model_name=filing.model[:LONGEST_LABEL],
            software_versions=__version__,
            patient_orientation=("L", "F"),
            series_description=f"{DEVICE}: {RESEARCH_USE}",
            specific_character_set=CHARACTERS,
        )
        capture.copy_patient_and_study_information(film)
    # Films with words around them: no direction holds for all of it.
    for name in ("PatientOrientation", "Laterality"):
        setattr(capture, name, None)
    capture.BurnedInAnnotation = "YES"
    capture.DerivationDescription = RESEARCH_USE
    capture.SourceImageSequence = [_reference(source) for source in filing.films]
    return capture


def _reference(film: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
    return item


def drawn(answered: Answered, filing: Filing) -> Image.Image:
    """The picture, RGB, `WIDTH` pixels wide and as high as its text needs."""
    panels, side = _panels(answered)
    lines = [line for part in _lines(answered.prediction, filing) for line in _wrapped(part)]
    top = MARGIN + 36
    height = top + side + GAP + sum(line.size + 10 for line in lines) + MARGIN
    picture = Image.new("RGB", (WIDTH, height), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for index, (caption, film) in enumerate(panels):
        left = MARGIN + index * (side + GAP)
        draw.text((left, MARGIN), caption, FAINT, ImageFont.load_default(20))
        picture.paste(film, (left, top))
    y = top + side + GAP
    for line in lines:
        draw.text((MARGIN, y), line.text, line.ink, ImageFont.load_default(line.size))
        y += line.size + 10
    return picture


def _panels(answered: Answered) -> tuple[list[tuple[str, Image.Image]], int]:
    """Captions and films, and the pixels of a side: prior, current, and current with where the change was seen."""
    located = bool(change_items(answered.prediction) and answered.prediction.evidence)
    side = (WIDTH - 2 * MARGIN - (1 + located) * GAP) // (2 + located)
    panels = [] if answered.prior is None else [("Prior film", overlay(answered.prior.pixels, side=side))]
    panels.append(("Current film", overlay(answered.current.pixels, side=side)))
    if located:
        panels.append(("Where the change was seen, on the current film", _located(answered, side)))
    return panels, side


def _located(answered: Answered, side: int) -> Image.Image:
    """The current film with the map of the change, and the region of each finding with its number in the list."""
    film, geometry = answered.current.pixels, answered.current.geometry
    evidence = answered.prediction.evidence or {}
    picture = overlay(film, evidence.get("change"), side)
    draw = ImageDraw.Draw(picture)
    for number, item in enumerate(change_items(answered.prediction)[:MOST_ITEMS], 1):
        box = region(evidence[item[1]], geometry) if item[1] in evidence else None
        if box is not None:
            x1, y1, x2, y2 = (edge * side / film.shape[0] for edge in geometry.to_square(box))
            draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=WARM, width=2)
            font = ImageFont.load_default(20)
            draw.text((x1 + 5, y1 + 3), str(number), INK, font, stroke_width=2, stroke_fill="black")
    return picture


def _lines(prediction: Prediction, filing: Filing) -> list[Line]:
    answer = (prediction.confidence or {}).get("answer")
    unsure = ABSTAINED in prediction.warnings
    items = change_items(prediction)
    lines = [Line(RESEARCH_USE, 26, WARM), Line(prediction.question, 20, FAINT)]
    lines.append(Line(shown_answer(prediction) or "(no answer)", 28))
    if answer is not None and not unsure:
        lines.append(Line(f"Probability of the whole answer: {answer:.2f}", 20, FAINT))
    lines += [_item_line(number, item, prediction) for number, item in enumerate(items[:MOST_ITEMS], 1)]
    left_out = len(items) - MOST_ITEMS
    lines += [Line(f"and {left_out} more, in the structured report")] if left_out > 0 else []
    warnings = [text for text in prediction.warnings if text != ABSTAINED]
    lines += [Line(f"Warning: {text}", 20, WARM) for text in warnings[:MOST_WARNINGS]]
    lines += [Line(f"Prior film: {filing.why}", 20, FAINT)] if filing.why else []
    return [*lines, Line(f"{DEVICE} {__version__}, model {filing.model}. Films as the model read them.", 18, FAINT)]


def _item_line(number: int, item: Item, prediction: Prediction) -> Line:
    way, finding, *levels = item
    change = {"added": "new", "missing": "no longer seen"}.get(way) or " to ".join(levels)
    probability = (prediction.confidence or {}).get(f"{way}:{finding}")
    known = "" if probability is None else f"   (probability {probability:.2f})"
    return Line(f"{number}   {finding}: {change}{known}")


def _wrapped(line: Line) -> list[Line]:
    """A line in as many as fit the width."""
    alphabet = ImageFont.load_default(line.size).getlength("abcdefghijklmnopqrstuvwxyz") / 26
    letters = int(0.95 * (WIDTH - 2 * MARGIN) / alphabet)
    return [Line(text, line.size, line.ink) for text in textwrap.wrap(line.text, letters) or [""]]
