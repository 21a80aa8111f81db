"""A data set of VLMEvalKit: film pairs of a prepared folder, scored as `score` does.

    INTERVALCHANGE_TSV=OUT/IntervalChange.tsv python run.py --data IntervalChange --model MODEL

VLMEvalKit finds data sets in a list of its own, `vlmeval.dataset.DATASET_CLASSES`; `register()` adds this one. Needs
the package `vlmeval`, which is installed from its repository.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

import pandas as pd
from vlmeval import dataset as known
from vlmeval.dataset.image_base import ImageBaseDataset
from vlmeval.smp import load

from intervalchange.errors import ConfigError
from intervalchange.plugins.scoring import answered, headline

NAME = "IntervalChange"
VARIABLE = "INTERVALCHANGE_TSV"


class IntervalChangeDataset(ImageBaseDataset):  # type: ignore[misc]
    """Two films and a question; the prompt and the films' paths are in the table."""

    TYPE = "VQA"
    DATASET_URL: ClassVar[dict[str, str]] = {NAME: ""}
    DATASET_MD5: ClassVar[dict[str, str | None]] = {NAME: None}

    def load_data(self, dataset: str) -> Any:
        """The table that `task_files` wrote. Raises ConfigError where the variable does not name it."""
        path = os.environ.get(VARIABLE, "")
        if not os.path.isfile(path):
            raise ConfigError(
                f"{VARIABLE} names no file ({path or 'it is not set'}).",
                remedy="Write one: python -m intervalchange.plugins.task_files PREPARED OUT.",
            )
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)

    def evaluate(self, eval_file: str, **judge_kwargs: Any) -> dict[str, float]:
        """The metrics of `scoring.HEADLINE`. eval_file: the table with a column `prediction`. No judge is asked."""
        table = load(eval_file)
        return headline(
            answered("" if pd.isna(row.prediction) else str(row.prediction), row.answer, row.asked, str(row.case_id))
            for row in table.itertuples(index=False)
        )


def register() -> None:
    """Add the data set to VLMEvalKit's list."""
    if IntervalChangeDataset not in known.DATASET_CLASSES:
        known.DATASET_CLASSES.append(IntervalChangeDataset)
        known.SUPPORTED_DATASETS.append(NAME)
