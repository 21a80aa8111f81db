"""Difference visual question answering on longitudinal chest X-rays. Research use only; not a medical device.

import intervalchange as ic
model = ic.load("demo")
result = model.answer(prior="2019.png", current="2020.dcm")
result.answer, result.change, result.confidence, result.evidence
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from intervalchange.records import Case, Change, LevelChange, Prediction, Region, Study

if TYPE_CHECKING:
    from intervalchange.inference import Predictor

__version__ = "0.1.0"
__all__ = ["Case", "Change", "LevelChange", "Prediction", "Region", "Study", "load"]


def load(run: str | Path) -> Predictor:
    """Load a run folder, `demo`, or a hub name: see `intervalchange.inference.load`."""
    from intervalchange.inference import load as load_run

    return load_run(run)
