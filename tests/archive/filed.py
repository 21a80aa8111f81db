"""Films and answers to file, without a model."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from intervalchange import grammar
from intervalchange.archive.filing import Filing, cited
from intervalchange.data.films import fit
from intervalchange.inference import Answered, Shown
from intervalchange.records import Change, Prediction
from intervalchange.simulation.dicom_files import dicom_bytes

ROWS, COLUMNS, SIDE = 96, 64, 32
CHANGE = Change.of(added=["pleural effusion"], missing=["edema"], levels=[("pneumothorax", "small", "severe")])
CONFIDENCE = {
    "answer": 0.5,
    "added:pleural effusion": 0.75,
    "missing:edema": 0.9,
    "level:pneumothorax": 0.625,
    "added:atelectasis": 0.4,
}


def film(name: str = "current", **more: Any) -> bytes:
    """A DICOM file of a film; `name` tells its UIDs."""
    uids = {"instance_uid": f"1.2.3.{sum(name.encode())}.1", "study_uid": f"1.2.3.{sum(name.encode())}.2"}
    pixels = more.pop("pixels", np.zeros((ROWS, COLUMNS)))
    elements = {"StudyID": "7", "AccessionNumber": "A1", "ReferringPhysicianName": "Ward^A"} | more.pop("elements", {})
    facts = {"patient_id": "P1", "study_date": "20200102", "study_time": "030405", "sex": "F", "age": 50.0, **uids}
    return dicom_bytes(pixels, **(facts | more), elements=elements)


def header(name: str = "current", **more: Any) -> Dataset:
    """The header of a film, as it is read from its file."""
    return pydicom.dcmread(io.BytesIO(film(name, **more)), stop_before_pixels=True)


def answered(
    change: Change | None = CHANGE,
    *,
    confidence: Mapping[str, float] | None = CONFIDENCE,
    evidence: Mapping[str, np.ndarray] | None = None,
    warnings: tuple[str, ...] = (),
    answer: str | None = None,
    with_prior: bool = True,
) -> Answered:
    """An answer about two grey films of ROWS x COLUMNS."""
    square, geometry = fit(np.full((ROWS, COLUMNS), 0.4, np.float32), SIDE)
    shown = Shown((255 * square).astype(np.uint8), geometry)
    words = answer if answer is not None else grammar.render(change or Change())
    prediction = Prediction(
        "case", "patient", "difference", grammar.DIFFERENCE_QUESTION, words,
        change=change, confidence=confidence, evidence=evidence, warnings=warnings,
    )  # fmt: skip
    return Answered(prediction, shown if with_prior else None, shown)


def filing(current: Dataset | None = None, prior: Dataset | None = None, **more: Any) -> Filing:
    """How an answer about `header()` and a prior one is filed."""
    current = header() if current is None else current
    prior = header("prior") if prior is None else prior
    facts = {"model": "run", "question": grammar.DIFFERENCE_QUESTION, "why": "the latest one", "abstain_at": 0.2}
    return Filing(current, cited(current, "current"), cited(prior, "prior"), **(facts | more))


def saved(data: Dataset, path: Path) -> Path:
    """Written as a DICOM file."""
    data.save_as(path, enforce_file_format=True)
    return path


def complaints(path: Path) -> list[str]:
    """The errors that dciodvfy finds."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace")
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if line.startswith(("Error", "Fatal")) or "rror -" in line]
