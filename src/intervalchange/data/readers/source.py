"""What every reader hands over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from intervalchange.data.dicom_selection import NOTHING_MORE, Admitted
from intervalchange.records import Case


@dataclass(frozen=True)
class Source:
    """A data set as read from its tables: cases, where its films lie, and what was noticed on the way."""

    name: str
    release: str
    image_root: Path
    cases: list[Case]
    notes: Mapping[str, int] = field(default_factory=dict)
    """What was skipped, repaired or doubtful -> how often, in words for the doctor's page."""
    maps: Mapping[str, Path] = field(default_factory=dict)
    """Study.image -> 8-bit image of the opacity map in the frame of the film, where the truth is known."""
    simulated: Mapping[str, object] = field(default_factory=dict)
    """What the file SIMULATED says, where the films are rendered and not taken of people."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Study.image -> the file itself, where its name must not be kept; nor is then the date in its header."""
    admitted: Admitted = NOTHING_MORE
    """What the headers of its DICOM films may say besides, for the user named it."""
