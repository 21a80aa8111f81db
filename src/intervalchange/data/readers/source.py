"""What every reader hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from intervalchange.data.dicom_selection import NOTHING_MORE, Admitted
from intervalchange.errors import ConfigError
from intervalchange.records import Case

COPIES = ("scaled", "stretched")
"""How films of another size were made: with their shape kept, or each side by itself, as to fill a square."""
OURS, PUBLISHED = "ours", "published"
PROTOCOLS = (OURS, PUBLISHED)
"""Which rows of a data set are used and who tests: as this package would have it, or as the papers of the field do."""


def check_protocol(protocol: str) -> None:
    """Raise ConfigError for a protocol that there is not."""
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol '{protocol}'.", remedy=f"Choose one of: {', '.join(PROTOCOLS)}.")


@dataclass(frozen=True)
class Released:
    """The table whose rows are the cases, as they are: a case has the number of its row, from 0, for an id."""

    path: Path
    splits: Sequence[str]
    """Of every row, those without a case too: train, val, test, or "" where the table does not say."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The size, in pixels, of the film that boxes and masks were drawn on."""

    height: int
    width: int
    stretched: bool = False
    """Whether the film on disk is a copy whose sides were scaled each by itself; else it keeps the shape."""

    @classmethod
    def known(cls, height: float, width: float) -> Frame | None:
        """None where a side is unknown: 0 or NaN."""
        return cls(int(height), int(width)) if height >= 1 and width >= 1 else None


def frames_of_copies(frames: Mapping[str, Frame], copies: str) -> dict[str, Frame]:
    """The frames, where the user says how the films on disk were made of the originals: scaled or stretched."""
    if copies not in COPIES:
        raise ConfigError(f"unknown copies '{copies}'.", remedy=f"Choose one of: {', '.join(COPIES)}.")
    return {image: replace(frame, stretched=copies == "stretched") for image, frame in frames.items()}


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
    frames: Mapping[str, Frame] = field(default_factory=dict)
    """Study.image -> what its regions were drawn on, where known; `prepare` scales them to the film on disk."""
    validation_share: float = 0.0
    """Of the training patients, where the official lists have no validation part and one is to be cut from these."""
    order_open: frozenset[str] = frozenset()
    """Cases of two films of which the tables do not say which is the earlier one: headers may."""
    admitted: Admitted = NOTHING_MORE
    """What the headers of its DICOM films may say besides, for the user named it."""
    released: Released | None = None
    """With `--protocol published`: the table of which `cases` are the rows."""
