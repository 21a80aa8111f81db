"""Asks a model the questions of the suite, each once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from intervalchange.consistency.answerers import Answerer, AskedModel, identity
from intervalchange.consistency.pairs import BLANK, Question, ShownFilm
from intervalchange.data.prepared import Prepared
from intervalchange.foreign_models.kept_answers import KeptAnswers
from intervalchange.foreign_models.opening import OpenedModel
from intervalchange.foreign_models.records import FilmQuestion
from intervalchange.foreign_models.replies import replies_once


class Asker:
    """The answers of a model, kept in memory and, with `keep`, on disk."""

    def __init__(
        self, answerer: Answerer | OpenedModel, prepared: Prepared, name: str, keep: KeptAnswers | None
    ) -> None:
        self.model, self.pixels = AskedModel(answerer), prepared.pixels
        self.keep = KeptAnswers() if keep is None else keep
        self.identity = name if keep is None else identity(answerer, name)
        self.known: dict[Question, str] = {}

    def film(self, film: ShownFilm) -> NDArray[np.uint8]:
        """(s, s) uint8."""
        if film == BLANK:
            return np.zeros(self.pixels.shape, np.uint8)
        pixels: NDArray[np.uint8] = self.pixels.read([film.row])[0]
        if film.motion is None:
            return pixels
        moved: NDArray[np.uint8] = film.motion.warp(pixels.astype(np.float32)).round().clip(0, 255).astype(np.uint8)
        return moved

    def ask(self, questions: Sequence[Question]) -> None:
        """Ask what is not known yet."""
        todo = [question for question in dict.fromkeys(questions) if question not in self.known]
        shown = ((one, FilmQuestion(self.film(one.prior), self.film(one.current), one.words)) for one in todo)
        replies = replies_once(self.model, self.identity, shown, self.keep)
        console = Console(stderr=True)
        for question, reply in track(replies, "asking", len(todo), console=console, disable=not sys.stderr.isatty()):
            self.known[question] = reply.text

    def answers(self, questions: Sequence[Question]) -> list[str]:
        """One answer per question, in order."""
        self.ask(questions)
        return [self.known[question] for question in questions]
