"""What a client is told: the shape of every reply, which OpenAPI shows too."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from intervalchange.data.films import FilmSquare
from intervalchange.evaluation.metrics.calibration import ABSTAINED
from intervalchange.inference import Answered, Shown, shown_answer
from intervalchange.policy import RESEARCH_USE
from intervalchange.serving.registration import Registration, film_matrix

DIGITS = 4


class LevelReply(BaseModel):
    """A change of level."""

    finding: str
    prior: str
    current: str


class ChangeReply(BaseModel):
    """The change as data."""

    added: list[str]
    missing: list[str]
    levels: list[LevelReply]


class FilmReply(BaseModel):
    """A film as the model read it: padded to a square, 8 bits."""

    png: str = Field(description="data URI")
    height: int = Field(description="of the film that was sent, in pixels")
    width: int
    scale: float = Field(description="square = film * scale + offset")
    offset_x: int
    offset_y: int


class AnswerReply(BaseModel):
    """An answer."""

    question: str
    answer: str = Field(description="what a reader is shown; 'I am not sure.' where unsure is true")
    unsure: bool = Field(description="the confidence is below the threshold that the run was given")
    kind: str = Field(description="type of the question")
    change: ChangeReply | None = Field(description="null for a question that is not about change, or where unsure")
    leaning: str | None = Field(description="where unsure: the words that were not said")
    confidence: dict[str, float] = Field(description="answer; added:FINDING, missing:FINDING, level:FINDING")
    warnings: list[str]
    evidence: dict[str, list[list[float]]] | None = Field(
        description="FINDING or change -> map in [0, 1] over the square of the current film; null where not asked for"
    )
    films: dict[str, FilmReply] | None = Field(description="prior, current; null where not asked for")
    backwards: AnswerReply | None = Field(
        None, description="the answer to the films exchanged; null where not asked for"
    )
    model: str
    seconds: float = Field(description="from the request being there to the answer")
    notice: str = RESEARCH_USE


class RegistrationReply(BaseModel):
    """How the prior is laid over the current film."""

    used: bool = Field(description="whether that is clearly closer than the films as taken")
    words: str = Field(description="the same for a reader")
    matrix: list[list[float]] | None = Field(
        description="2 x 3: pixels (x, y, 1) of the prior that was sent -> pixels of the current film; null if not used"
    )
    turned: float = Field(description="degrees, clockwise")
    scale: float
    shifted: float = Field(description="share of the longer side of the current film")
    as_taken: float = Field(description="correlation of the local contrast of the films as they are, -1 to 1")
    registered: float = Field(description="the same of the prior laid over the current film")
    notice: str = RESEARCH_USE


class ErrorReply(BaseModel):
    """Why there is no answer, and what to do."""

    error: str
    notice: str = RESEARCH_USE


class BatchReply(BaseModel):
    """One answer or error for each case, in their order."""

    results: list[AnswerReply | ErrorReply]
    notice: str = RESEARCH_USE


def reply_of(answered: Answered, model: str, seconds: float, maps: bool, films: bool) -> AnswerReply:
    """An answer for a client; maps, films: whether it asked for them."""
    prediction = answered.prediction
    unsure = ABSTAINED in prediction.warnings
    change = None if unsure or prediction.change is None else ChangeReply(**prediction.change.as_json())
    shown = {"prior": answered.prior, "current": answered.current}
    return AnswerReply(
        question=prediction.question,
        answer=shown_answer(prediction),
        unsure=unsure,
        kind=prediction.kind,
        change=change,
        leaning=prediction.answer if unsure else None,
        confidence={name: round(value, DIGITS) for name, value in (prediction.confidence or {}).items()},
        warnings=[text for text in prediction.warnings if text != ABSTAINED],
        evidence=_maps(answered) if maps else None,
        films={side: _film(film) for side, film in shown.items() if film is not None} if films else None,
        backwards=None,
        model=model,
        seconds=round(seconds, DIGITS),
    )


def registration_reply(found: Registration, prior: FilmSquare, current: FilmSquare) -> RegistrationReply:
    """What a client is told of a registration."""
    similarity, side = found.similarity, len(current.pixels)
    shifted = math.hypot(similarity.shift_x, similarity.shift_y)
    words = "not registered: nothing was found that is clearly closer than the films as taken"
    if found.helps:
        words = (
            f"registered: the prior is shifted {100 * shifted:.0f}% of the film, turned {abs(similarity.turned):.0f}°, "
            f"scaled to {100 * similarity.scale:.0f}%"
        )
    matrix = film_matrix(similarity, prior.geometry, current.geometry, side).tolist() if found.helps else None
    return RegistrationReply(
        used=found.helps,
        words=words,
        matrix=matrix,
        turned=round(similarity.turned, DIGITS),
        scale=round(similarity.scale, DIGITS),
        shifted=round(shifted, DIGITS),
        as_taken=round(found.as_taken, DIGITS),
        registered=round(found.registered, DIGITS),
    )


def _maps(answered: Answered) -> dict[str, list[list[float]]]:
    evidence = answered.prediction.evidence or {}
    return {name: np.round(np.asarray(values, float), DIGITS).tolist() for name, values in evidence.items()}


def _film(film: Shown) -> FilmReply:
    buffer = io.BytesIO()
    Image.fromarray(film.pixels).save(buffer, format="PNG", compress_level=1)
    geometry = film.geometry
    return FilmReply(
        png="data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"),
        height=geometry.height,
        width=geometry.width,
        scale=geometry.scale,
        offset_x=geometry.offset_x,
        offset_y=geometry.offset_y,
    )
