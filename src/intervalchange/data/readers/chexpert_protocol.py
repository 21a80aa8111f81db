"""The splits and labels of CheXpert in the line of GLoRIA, MGCA and CM-CGNS, beside ours.

labels     a blank is absent; an uncertain label is present or absent, by label
splits     200 rows per class that show nothing but it are set apart (5x200); 5,000 other rows of train.csv validate,
           the rest trains, valid.csv tests. Both draws are by row, with seed 0, so that the rows are those of MGCA.

Differs: other films of a patient who validates are left out of training (`splits.assign`). Published: they are trained
    on, and so are most of the 5,000 rows, for positions are drawn and row labels dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from intervalchange.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("known", "published")
ROW_RULES = ("ours", "published", "5x200")
UNCERTAIN_OF: Mapping[str, float] = MappingProxyType(
    {"atelectasis": 1.0, "cardiomegaly": 0.0, "consolidation": 0.0, "edema": 1.0, "pleural effusion": 1.0}
)
"""The five tasks -> what an uncertain label is taken for."""
TASKS = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
OTHERS = (
    *("Enlarged Cardiomediastinum", "Lung Lesion", "Lung Opacity", "Pneumonia", "Pneumothorax", "Pleural Other"),
    *("Fracture", "Support Devices"),
)
"""Labels that a film of 5x200 does not have; `No Finding` is not asked."""
PER_CLASS = 200
VALIDATION_ROWS = 5000
LARGE = 10 * VALIDATION_ROWS
"""Rows from which VALIDATION_ROWS are drawn; of a smaller table, as a simulated one, a tenth of the frontal ones."""
SEED = 0


def check_choice(option: str, value: str, known: tuple[str, ...]) -> None:
    """Raise ConfigError for a value that an option does not have."""
    if value not in known:
        raise ConfigError(f"option {option} is {value!r}.", remedy=f"Choose one of: {', '.join(known)}.")


@dataclass(frozen=True)
class PublishedSplits:
    """Values of the column Path of train.csv; rows in neither train."""

    validating: frozenset[str]
    five_by_200: frozenset[str]


def published_splits(table: pd.DataFrame, listed: frozenset[str] | None, notes: Counter[str]) -> PublishedSplits:
    """The rows of train.csv that are set apart. listed: those of 5x200, None to draw them."""
    apart = _five_by_200(table, notes) if listed is None else listed
    remaining = table[~table["Path"].isin(apart)]
    large = len(remaining) >= LARGE
    rest = (remaining if large else _frontal(remaining))["Path"].to_numpy()
    if not len(rest):
        return PublishedSplits(frozenset(), apart)
    count = VALIDATION_ROWS if large else max(1, len(rest) // 10)
    chosen = np.random.RandomState(SEED).choice(len(rest), size=count, replace=False)
    notes["rows of train.csv that validate (rows=published)"] = count
    return PublishedSplits(frozenset(rest[chosen]), apart)


def _frontal(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["Frontal/Lateral"].str.strip().str.lower() == "frontal"]


def _five_by_200(table: pd.DataFrame, notes: Counter[str]) -> frozenset[str]:
    """The paths of frontal films that show one of the five and nothing else, PER_CLASS of each; a blank is absent."""
    import pandas as pd

    frontal = _frontal(table)
    labels = frontal[[*TASKS, *OTHERS]].apply(pd.to_numeric, errors="coerce").fillna(0).to_numpy()
    paths: set[str] = set()
    for column, task in enumerate(TASKS):
        wanted = np.zeros(labels.shape[1])
        wanted[column] = 1
        alone = frontal["Path"].to_numpy()[(labels == wanted).all(1)]
        count = min(PER_CLASS, len(alone))
        paths |= set(alone[np.random.RandomState(SEED).choice(len(alone), size=count, replace=False)] if count else [])
        notes[f"films of 5x200 that show {task.lower()} alone"] = count
    return frozenset(paths)
