"""What every form of answer is turned into: headed pieces of text, each read by `clauses`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """A line, a cell, a value or a paragraph, and the heading that it stands under."""

    text: str
    heading: str = ""
