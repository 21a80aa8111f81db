"""Anything that answers a question about two films, behind one call: our models, a function, an HTTP endpoint.

Models of others (`foreign_models`) answer as they are.

HTTP: POST of JSON `{"prior": <base64 PNG>, "current": <base64 PNG>, "question": "..."}`, 8-bit grey, white is dense;
the reply is JSON `{"answer": "..."}`, other fields are ignored.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import numpy as np

from intervalchange.data.region_store import weight_hash
from intervalchange.errors import InputError, RunError
from intervalchange.foreign_models.film_png import png_base64
from intervalchange.foreign_models.opening import OpenedModel
from intervalchange.foreign_models.records import FilmQuestion, Key, Reply
from intervalchange.inference import Predictor

Answerer = Callable[[np.ndarray, np.ndarray, str], str]
"""(prior, current, question) -> words; films are (s, s) uint8, white is dense."""
PairQuestion = tuple[np.ndarray, np.ndarray, str]
TOGETHER = 32
"""Questions asked at once, of what answers several at once."""

MOST_BYTES = 1 << 20
"""A longer reply is refused."""


@dataclass(frozen=True)
class LocalModel:
    """A loaded model of ours."""

    predictor: Predictor

    def __call__(self, prior: np.ndarray, current: np.ndarray, question: str) -> str:
        """One answer in words."""
        return self.answer_many([(prior, current, question)])[0]

    def answer_many(self, questions: Sequence[PairQuestion]) -> list[str]:
        """The answers to several questions at once, in order."""
        return [prediction.answer for prediction in self.predictor.model.answer(self.predictor.batch_of(questions))]


@dataclass(frozen=True)
class RemoteModel:
    """A model behind an HTTP endpoint of the form above."""

    url: str
    timeout: float = 120.0
    """Seconds for one answer."""

    def __post_init__(self) -> None:
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise InputError(
                "an endpoint begins with http:// or https://.", where=self.url, remedy="Give its full URL."
            )

    def __call__(self, prior: np.ndarray, current: np.ndarray, question: str) -> str:
        """One answer in words. Raises RunError where the endpoint does not give one."""
        body = {"prior": png_base64(prior).decode(), "current": png_base64(current).decode(), "question": question}
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), {"Content-Type": "application/json", "Accept": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                text = reply.read(MOST_BYTES + 1)
        except urllib.error.HTTPError as problem:
            with problem:
                raise self._failed(f"it replied with status {problem.code}") from problem
        except OSError as problem:
            raise self._failed(f"it did not reply ({problem})") from problem
        return self._answer(text)

    def _answer(self, text: bytes) -> str:
        if len(text) > MOST_BYTES:
            raise self._failed(f"the reply is longer than {MOST_BYTES} bytes")
        try:
            reply = json.loads(text)
        except ValueError as problem:
            raise self._failed("the reply is not JSON") from problem
        answer = reply.get("answer") if isinstance(reply, dict) else None
        if not isinstance(answer, str):
            raise self._failed("the reply has no text under `answer`")
        return answer

    def _failed(self, what: str) -> RunError:
        return RunError(
            f"the endpoint gave no answer: {what}.",
            where=self.url,
            remedy='It takes POST {"prior", "current": base64 PNG, "question"} and returns {"answer": "..."}.',
        )


def answer_many(answerer: Answerer, questions: Sequence[PairQuestion]) -> list[str]:
    """All at once where the answerer can (`answer_many`), else one by one. Raises RunError for what is not text."""
    together = getattr(answerer, "answer_many", None)
    answers = list(together(questions)) if together is not None else [answerer(*question) for question in questions]
    if len(answers) != len(questions) or not all(isinstance(answer, str) for answer in answers):
        raise RunError("the model did not return one text for each question.", remedy="Return a string for each.")
    return answers


@dataclass(frozen=True)
class AskedModel:
    """An answerer as a model of two films (`foreign_models.records.FilmModel`)."""

    answerer: Answerer | OpenedModel

    def replies(self, questions: Iterable[tuple[Key, FilmQuestion]]) -> Iterator[tuple[Key, Reply]]:
        """A reply to each question, under its key: together where the answerer can, else one by one."""
        if isinstance(self.answerer, OpenedModel):
            yield from self.answerer.replies(questions)
            return
        source, together = iter(questions), TOGETHER if hasattr(self.answerer, "answer_many") else 1
        while part := list(islice(source, together)):
            answers = answer_many(self.answerer, [_pair_question(question) for _, question in part])
            yield from ((key, Reply(answer)) for (key, _), answer in zip(part, answers, strict=True))


def _pair_question(question: FilmQuestion) -> PairQuestion:
    return cast(np.ndarray, question.prior), question.current, question.words


def identity(answerer: Answerer | OpenedModel, name: str) -> str:
    """What kept answers know a model by: its name, with the hash of its weights where it is ours."""
    if isinstance(answerer, OpenedModel):
        return answerer.identity
    weights = weight_hash(answerer.predictor.model.state_dict()) if isinstance(answerer, LocalModel) else ""
    return f"{name} {weights}"
