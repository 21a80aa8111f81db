"""One module per layout: how a simulated cohort is written to disk as a real data set would be.

A layout has two functions. `write_patient` writes the films and texts of one patient and returns what the tables need
of it, in plain JSON. `write_tables` writes every table once, from the fragments of all patients and the split (train,
val, test) of each. A layout restates the format of its data set and imports nothing from the reader, so that a wrong
column name cannot pass its own test. Importing this module imports no layout, and neither numpy nor pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from intervalchange.simulation.records import SimulatedPatient

Fragment = dict[str, Any]
"""The rows that one patient adds to each table."""

LAYOUTS = {
    name: f"{__name__}.{name}"
    for name in (
        *("mimic_diff_vqa", "nih", "chexpert", "rsna", "siim", "object_cxr", "covidx", "vindr", "ms_cxr", "ms_cxr_t"),
        *("chextemporal", "mmxu", "mi_cxr", "temmed_bench", "openi", "dicom", "pairs"),
    )
}
"""Name of a layout -> its module."""
WITH_QUESTIONS = ("mimic_diff_vqa", "ms_cxr", "ms_cxr_t", "chextemporal", "mmxu", "mi_cxr")
"""Layouts that hold Medical-Diff-VQA."""
GENERATOR = "generator"
RELEASES = ("1.0.1", "1.0.0", GENERATOR)
"""Whose rows of Medical-Diff-VQA: of a release, or of its published code (`layouts/mimic_diff_vqa.py`)."""


class Layout(Protocol):
    """What a module of `LAYOUTS` offers."""

    def write_patient(
        self, patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool
    ) -> Fragment: ...

    def write_tables(
        self, fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
    ) -> None: ...


def layout(name: str) -> Layout:
    """The module of a layout, by name."""
    return cast(Layout, import_module(LAYOUTS[name]))
