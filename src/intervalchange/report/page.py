"""One base template, one stylesheet and shared macros for every HTML page; a page is one file that needs no other.

Every value is escaped. Stylesheet and images are inlined; nothing is loaded from elsewhere. No torch here: `evaluation`
imports this module too (decision 008).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from intervalchange.policy import RESEARCH_USE

if TYPE_CHECKING:
    from PIL.Image import Image

COLOURS = 6
"""Colours of the stylesheet: series i is drawn in colour i modulo this (classes `s0` .. of lines, `f0` .. of areas)."""


@dataclass(frozen=True, slots=True)
class Chart:
    """An `<svg>` element, whose texts are escaped already, with its caption."""

    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A value with what is printed smaller beside it: an interval, a count."""

    value: str
    small: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a grid. kind: "sub" is indented, "factor" is a heading over the rows that follow."""

    label: str
    cells: Sequence[Cell] = ()
    kind: str = ""
    small: str = ""
    """Beside the label."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of the page: `columns` are over the cells, not over the labels."""

    columns: Sequence[str]
    rows: Sequence[Row]
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as a data URI."""

    uri: str
    caption: str


@cache
def environment() -> Environment:
    """The templates of this package. A name that a template needs and was not given is an error."""
    loader = PackageLoader("intervalchange.report")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def render_page(template: str, title: str, **values: object) -> str:
    """A complete HTML document from a template that extends `base.html`."""
    return environment().get_template(template).render(title=title, notice=RESEARCH_USE, colours=COLOURS, **values)


def jpeg_uri(image: Image, quality: int) -> str:
    """An image as JPEG in a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def film_uri(film: np.ndarray, side: int, quality: int = 80) -> str:
    """(s, s) uint8 film -> data URI, `side` pixels square. Needs pillow, which tables and plain scores do without."""
    from PIL import Image

    return jpeg_uri(Image.fromarray(film).resize((side, side), Image.Resampling.LANCZOS), quality)
