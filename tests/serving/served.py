"""A run of no weights for the tests of the server: what it answers is a fact of the films that it was shown."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from intervalchange.inference import Answered, AskedFilms, Shown
from intervalchange.records import Change, Prediction


class Echo:
    """Answers with a number of both films. `gate`: answers wait until it is set. `batches`: how many were asked at
    once, each time."""

    stored_pixels = 64
    abstain_at = None
    identity = "echo 0000abcd"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[int] = []

    def answer_films(self, asked: Sequence[AskedFilms]) -> list[Answered]:
        """As `Predictor.answer_films`."""
        self.gate.wait(20)
        self.batches.append(len(asked))
        if any(each.question == "is there a fracture?" for each in asked):
            raise ZeroDivisionError("a fault of the model")
        return [_answered(each) for each in asked]


def _answered(asked: AskedFilms) -> Answered:
    prediction = Prediction(
        case_id="",
        patient_id="",
        kind="difference",
        question=asked.question,
        answer=words_of(None if asked.prior is None else asked.prior.pixels, asked.current.pixels),
        change=Change.of(["edema"], [], [("pleural effusion", "small", "massive")]),
        confidence={"answer": 0.75, "added:edema": 0.9},
        evidence={"edema": np.full((2, 2), 0.5)},
        warnings=(*asked.current.warnings, *asked.warnings),
    )
    prior = None if asked.prior is None else Shown(asked.prior.pixels, asked.prior.geometry)
    return Answered(prediction, prior, Shown(asked.current.pixels, asked.current.geometry))


def words_of(prior: np.ndarray | None, current: np.ndarray) -> str:
    """What `Echo` answers to two squares."""
    return " ".join(str(int(film.astype(np.int64).sum())) for film in (prior, current) if film is not None)
