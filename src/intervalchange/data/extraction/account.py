"""The findings of one study, with location, type and level: simulated, or read from a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from intervalchange.records import Study


@dataclass(frozen=True, slots=True)
class Attributes:
    """Location, type and level of one finding, in the vocabulary of Medical-Diff-VQA."""

    locations: tuple[str, ...] = ()
    """Words before the name, of `findings.PRE_LOCATIONS`."""
    post_location: str = ""
    """Phrase after the name, such as "the left lower lung"."""
    types: tuple[str, ...] = ()
    level: str = ""


@dataclass(frozen=True)
class Account:
    """A study with the attributes of each visible finding."""

    study: Study
    attributes: Mapping[str, Attributes]
    """Finding -> its attributes; exactly the findings that are present."""
    denied: tuple[str, ...] = ()
    """Absent findings that the report denies in words."""
    unknown: tuple[str, ...] = ()
    """Findings that may be present or absent; no question is about them."""
    doubtful: bool = False
    """Whether something else may be wrong, so that "no abnormality" cannot be said."""
