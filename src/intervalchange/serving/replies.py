"""What a client is told: the shape of every reply, which OpenAPI shows too."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from intervalchange.evaluation.metrics.calibration import ABSTAINED
from intervalchange.inference import Answered, Shown, shown_answer
from intervalchange.policy import RESEARCH_USE

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
