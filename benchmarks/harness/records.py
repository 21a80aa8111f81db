"""Records of a comparison: a Row is trained in Stages, a Trial is one row with one seed, a Result what it reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Options = dict[str, Any]
"""Overrides of a run, by dotted name: `model.width`, `train.minutes`."""


@dataclass(frozen=True)
class Stage:
    """One METHOD/STAGE of a row."""

    name: str
    share: float = 1.0
    """Of the row's minutes or steps."""
    options: Options = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The stage without its method."""
        return self.name.split("/")[1]


@dataclass(frozen=True)
class Row:
    """One line of a comparison."""

    name: str
    stages: tuple[Stage, ...] = ()
    start: str = ""
    """How the first stage gets its encoder, in the words of the comparison."""
    options: Options = field(default_factory=dict)
    """Of every stage."""


@dataclass(frozen=True)
class Trial:
    """One row with one seed: what a process works on."""

    row: Row
    seed: int
    start: str = ""
    """Which of several starts, where the row is trained from more than one."""

    @property
    def name(self) -> str:
        """For files and folders."""
        return ".".join(str(part) for part in (file_name(self.row.name), self.seed, self.start) if part != "")


@dataclass(frozen=True)
class Result:
    """What a trial reached, as it stands in a results file."""

    identity: dict[str, Any]
    """Which trial it is of: {"row": "real", "seed": 0}."""
    values: dict[str, Any]


@dataclass(frozen=True)
class Interval:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, metrics: Mapping[str, float], name: str) -> Interval:
        """From `name`, `name.low` and `name.high`."""
        return cls(metrics[name], metrics[f"{name}.low"], metrics[f"{name}.high"])

    @classmethod
    def mean(cls, intervals: Iterable[Interval]) -> Interval:
        """Mean of the values and of the ends. Seeds answer the same patients, so this is never too narrow."""
        return cls(*np.mean([(one.value, one.low, one.high) for one in intervals], axis=0).tolist())

    def text(self, form: str = ".3f", to: str = " to ") -> str:
        """value (low to high)."""
        return f"{self.value:{form}} ({self.low:{form}}{to}{self.high:{form}})"


def file_name(row: str) -> str:
    """The name of a row, fit for a file."""
    return row.replace(", ", "_").replace(" ", "_").replace("+", "and")
