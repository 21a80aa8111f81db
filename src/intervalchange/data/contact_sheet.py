"""The first films of a prepared folder on one sheet, for a person to look at."""

from __future__ import annotations

import io
import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from intervalchange.data.prepared import Prepared
from intervalchange.policy import RESEARCH_USE

SIDE = 224
"""Pixels of a film on the sheet."""
_TEXT = 64
"""Height of the words under a case."""
_COLUMNS = 2
"""Cases side by side."""
_BOX = (240, 120, 60)


def contact_sheet(prepared: Prepared, most: int = 8) -> bytes:
    """JPEG of the first cases, at most one per patient: prior and current side by side, findings boxed, answer below.

    Cases without a prior (where there are no pairs) show one film. Patients are taken in the order of the table.
    """
    cases = [_case(prepared, row) for row in _first_of_each_patient(prepared, most)]
    height, width = SIDE + _TEXT, 2 * SIDE + 16
    down = -(-len(cases) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * width, down * height + 24), "white")
    for index, case in enumerate(cases):
        sheet.paste(case, (index % _COLUMNS * width, index // _COLUMNS * height))
    words = f"Prior left, current right; boxes: findings. {RESEARCH_USE}"
    ImageDraw.Draw(sheet).text((4, down * height + 4), words, "black", ImageFont.load_default(12))
    jpeg = io.BytesIO()
    sheet.save(jpeg, "JPEG", quality=88)
    return jpeg.getvalue()


def _first_of_each_patient(prepared: Prepared, most: int) -> list[int]:
    """Row numbers of the cases table: difference questions where there are any."""
    kinds = ("difference",) if (prepared.cases["kind"] == "difference").any() else None
    rows = prepared.case_rows("all", kinds)
    first = ~prepared.cases["patient_id"].iloc[rows].duplicated().to_numpy()
    return [int(row) for row in rows[first][:most]]


def _case(prepared: Prepared, row: int) -> Image.Image:
    """The films of a case with its words below."""
    case = prepared.cases.iloc[row]
    image = Image.new("RGB", (2 * SIDE + 16, SIDE + _TEXT), "white")
    studies = [int(case["prior"]), int(case["current"])]
    for index, study in enumerate(studies):
        if study >= 0:
            image.paste(_film(prepared, study), (index * (SIDE + 4) + 4, 4))
    views = [prepared.studies["view"].iloc[study] or "view unknown" for study in studies if study >= 0]
    lines = textwrap.wrap(f"{' to '.join(views)}, {case['split']}: {case['answer'] or '(no answer)'}", 70)[:3]
    ImageDraw.Draw(image).text((6, SIDE + 8), "\n".join(lines), "black", ImageFont.load_default(12))
    return image


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
