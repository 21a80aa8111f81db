"""One reader per source: its tables -> `Source`. A reader opens no image."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import cast

from intervalchange.data.readers.source import Source
from intervalchange.errors import ConfigError, SourceError

READERS = {
    "mimic_diff_vqa": "intervalchange.data.readers.mimic_diff_vqa",
    "pairs": "intervalchange.data.readers.pairs",
    "mimic_cxr": "intervalchange.data.readers.mimic_cxr",
    "imagenome": "intervalchange.data.readers.imagenome",
    "nih": "intervalchange.data.readers.nih",
    "chexpert": "intervalchange.data.readers.chexpert",
    "rsna": "intervalchange.data.readers.rsna",
    "siim": "intervalchange.data.readers.siim",
    "object_cxr": "intervalchange.data.readers.object_cxr",
    "covidx": "intervalchange.data.readers.covidx",
    "ms_cxr": "intervalchange.data.readers.ms_cxr",
    "ms_cxr_t": "intervalchange.data.readers.ms_cxr_t",
    "vindr": "intervalchange.data.readers.vindr",
    "openi": "intervalchange.data.readers.openi",
    "cxr_longitudinal": "intervalchange.data.readers.cxr_longitudinal",
    "dicom": "intervalchange.data.readers.dicom",
    "reports": "intervalchange.data.readers.reports",
}
"""Name of a source -> the module whose `read` knows it."""


def read_source(name: str, root: str | Path, **options: object) -> Source:
    """Read the tables of a source. options: those of its reader; one that is None is left to the reader."""
    if name not in READERS:
        raise SourceError(f"there is no source '{name}'.", remedy=f"Known sources: {', '.join(sorted(READERS))}.")
    read = import_module(READERS[name]).read
    given = {key: value for key, value in options.items() if value is not None}
    unknown = sorted(set(given) - set(signature(read).parameters))
    if unknown:
        flags = ", ".join(f"--{key}" for key in unknown)
        raise ConfigError(f"source '{name}' has no use for {flags}.", remedy="Leave it out.")
    return cast(Source, read(Path(root), **given))
