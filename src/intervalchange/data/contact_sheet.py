"""The first films of a prepared folder on one sheet: what a look at the data would have shown."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from intervalchange.data.prepared import Prepared

SIDE = 224
"""Pixels of a film on the sheet."""
_TEXT = 64
"""Height of the words under a case."""
_ACROSS = 2
"""Cases side by side."""
_BOX = (240, 120, 60)


def contact_sheet(prepared: Prepared, most: int = 8) -> bytes:
    """JPEG of the first cases, at most one a patient: prior and current side by side, findings boxed, the answer below.

    Cases without a prior (where there are no pairs) show one film. Patients are taken in the order of the table.
    """
    rows = list(_first_of_each_patient(prepared, most))
    pictures = [_case(prepared, row) for row in rows]
    height, width = SIDE + _TEXT, 2 * SIDE + 16
    down = -(-len(pictures) // _ACROSS)
    sheet = Image.new("RGB", (_ACROSS * width, down * height + 24), "white")
    for place, picture in enumerate(pictures):
        sheet.paste(picture, (place % _ACROSS * width, place // _ACROSS * height))
    words = "Prior left, current right; boxes: findings. Research use only."
    ImageDraw.Draw(sheet).text((4, down * height + 4), words, "black", ImageFont.load_default(12))
    jpeg = io.BytesIO()
    sheet.save(jpeg, "JPEG", quality=88)
    return jpeg.getvalue()


def _first_of_each_patient(prepared: Prepared, most: int) -> Iterator[int]:
    """Row numbers of the cases table: difference questions where there are any."""
    kinds = ("difference",) if (prepared.cases["kind"] == "difference").any() else None
    seen: set[str] = set()
    for row in prepared.case_rows("all", kinds):
        patient = prepared.cases["patient_id"].iloc[row]
        if patient not in seen:
            seen.add(patient)
            yield int(row)
        if len(seen) == most:
            return


def _case(prepared: Prepared, row: int) -> Image.Image:
    case = prepared.cases.iloc[row]
    picture = Image.new("RGB", (2 * SIDE + 16, SIDE + _TEXT), "white")
    studies = [int(case["prior"]), int(case["current"])]
    for place, study in enumerate(studies):
        if study >= 0:
            picture.paste(_film(prepared, study), (place * (SIDE + 4) + 4, 4))
    views = [prepared.studies["view"].iloc[study] or "view unknown" for study in studies if study >= 0]
    said = f"{' to '.join(views)}, {case['split']}: {case['answer'] or '(no answer)'}"
    lines: Sequence[str] = textwrap.wrap(said, 70)[:3]
    ImageDraw.Draw(picture).text((6, SIDE + 8), "\n".join(lines), "black", ImageFont.load_default(12))
    return picture


def _film(prepared: Prepared, study: int) -> Image.Image:
    """A stored film with its findings outlined."""
    square = prepared.pixels.read(np.array([prepared.studies["row"].iloc[study]]))[0]
    film = Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BILINEAR).convert("RGB")
    names, boxes = prepared.boxes_of.get(study, ([], np.zeros((0, 4))))
    draw = ImageDraw.Draw(film)
    for (kind, _), box in zip(names, boxes * SIDE, strict=True):
        x1, y1, x2, y2 = box.tolist()
        if kind == "finding" and x2 > x1 and y2 > y1:
            draw.rectangle((x1, y1, x2, y2), outline=_BOX)
    return film
