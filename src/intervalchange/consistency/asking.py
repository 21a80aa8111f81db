"""Asks a model the questions of the suite, each once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from intervalchange.consistency.answerers import Answerer, PairQuestion, answer_many
from intervalchange.consistency.kept_answers import KeptAnswers, identity, key_of
from intervalchange.consistency.pairs import BLANK, Question, ShownFilm
from intervalchange.data.prepared import Prepared

TOGETHER = 32
"""Questions asked at once, of what answers several at once."""


class Asker:
    """The answers of a model, kept in memory and, with `keep`, on disk."""

    def __init__(self, answerer: Answerer, prepared: Prepared, name: str, keep: KeptAnswers | None) -> None:
        self.answerer, self.pixels, self.keep = answerer, prepared.pixels, keep
        self.model = identity(answerer, name) if keep is not None else name
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
        together = TOGETHER if hasattr(self.answerer, "answer_many") else 1
        steps = range(0, len(todo), together)
        for start in track(steps, "asking", console=Console(stderr=True), disable=not sys.stderr.isatty()):
            part = todo[start : start + together]
            shown = [(self.film(one.prior), self.film(one.current), one.words) for one in part]
            answers = answer_many(self.answerer, shown) if self.keep is None else self._kept(self.keep, shown)
            self.known |= dict(zip(part, answers, strict=True))

    def _kept(self, keep: KeptAnswers, shown: Sequence[PairQuestion]) -> list[str]:
        """The answers, of which only those not on disk are asked for."""
        keys = [key_of(self.model, question) for question in shown]
        todo = {key: question for key, question in zip(keys, shown, strict=True) if key not in keep.known}
        if todo:
            keep.add(list(todo), answer_many(self.answerer, list(todo.values())))
        return [keep.known[key] for key in keys]

    def answers(self, questions: Sequence[Question]) -> list[str]:
        """One answer per question, in order."""
        self.ask(questions)
        return [self.known[question] for question in questions]
