"""A prepared folder of a few pairs, the task files over it, and answers to them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from intervalchange.data.prepare import prepare
from intervalchange.evaluation.scoring.file_scores import MetricValue
from intervalchange.evaluation.scoring.score_file import score_predictions
from intervalchange.grammar import NOTHING
from intervalchange.plugins.film_pairs import FilmPair
from intervalchange.plugins.task_files import write_task_files
from intervalchange.records import Prediction

EDEMA = "the main image has an additional finding of edema than the reference image."
GONE = "the main image is missing the finding of pneumothorax than the reference image."
REFERENCES = (EDEMA, GONE, NOTHING, EDEMA, "Atelectasis has decreased. Cardiomegaly is stable.", GONE)
ANSWERS = (
    "New edema.",
    "There is a new pneumothorax.",
    "Stable cardiomegaly, otherwise no change.",
    "Possible new edema.",
    "**Worse:** atelectasis",
    "I cannot compare these images.",
)
"""Right, inverted, right, hedged, inverted, refused."""


@dataclass(frozen=True)
class Exam:
    """What a package of others evaluates."""

    prepared: Path
    folder: Path
    pairs: list[FilmPair]

    @property
    def answers(self) -> dict[str, str]:
        """case_id -> answer."""
        return {pair.case_id: ANSWERS[int(pair.patient_id.removeprefix("P"))] for pair in self.pairs}

    def scores(self) -> dict[str, MetricValue]:
        """What `score` says of the answers."""
        cases = [
            Prediction(
                pair.case_id, pair.patient_id, "difference", pair.question, self.answers[pair.case_id],
                reference=pair.reference,
            )
            for pair in self.pairs
        ]  # fmt: skip
        return dict(score_predictions(cases, replicates=10).metrics)


def write_exam(folder: Path) -> Exam:
    """Six patients with one pair each; the films are noise."""
    uniforms = np.random.default_rng(0)
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["patient", "prior", "current", "answer", "split"])
        for number, reference in enumerate(REFERENCES):
            names = [f"{number}{side}.png" for side in "ab"]
            for name in names:
                Image.fromarray(uniforms.integers(40, 200, (64, 64)).astype(np.uint8)).save(folder / name)
            table.writerow([f"P{number}", *names, reference, "test"])
    prepare("pairs", folder / "pairs.csv", folder / "prepared", pixels=64, progress=False)
    pairs = write_task_files(folder / "prepared", folder / "tasks")
    return Exam(folder / "prepared", folder / "tasks", pairs)
