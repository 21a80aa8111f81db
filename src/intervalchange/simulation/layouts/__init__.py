"""One module a layout: how a simulated cohort is laid on the disk as a real data set would be.

A layout has two functions. `write_patient` writes the films and texts of one patient and returns what the tables need
of it, in plain JSON. `write_tables` writes every table once, from the fragments of all patients and the split (train,
val, test) of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from intervalchange.simulation.cohort import SimulatedPatient

Fragment = dict[str, Any]
"""The rows that one patient adds to each table."""

LAYOUTS = {
    "mimic_diff_vqa": "intervalchange.simulation.layouts.mimic_diff_vqa",
    "nih": "intervalchange.simulation.layouts.nih",
    "chexpert": "intervalchange.simulation.layouts.chexpert",
    "rsna": "intervalchange.simulation.layouts.rsna",
    "siim": "intervalchange.simulation.layouts.siim",
    "object_cxr": "intervalchange.simulation.layouts.object_cxr",
    "covidx": "intervalchange.simulation.layouts.covidx",
    "vindr": "intervalchange.simulation.layouts.vindr",
    "ms_cxr": "intervalchange.simulation.layouts.ms_cxr",
    "ms_cxr_t": "intervalchange.simulation.layouts.ms_cxr_t",
    "openi": "intervalchange.simulation.layouts.openi",
    "dicom": "intervalchange.simulation.layouts.dicom",
    "pairs": "intervalchange.simulation.layouts.pairs",
}
"""Name of a layout -> its module."""


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
