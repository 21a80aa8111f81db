"""Routes to the films of an archive: a study by its UID in place of two uploads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Annotated, Any, Literal, Protocol

from fastapi import FastAPI, Path
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from intervalchange.archive.pairs import FoundPair, PairFinder
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.serving.replies import AnswerReply

Errors = dict[int | str, dict[str, Any]]
StudyUid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64, description="Study Instance UID")]


class PairReply(BaseModel):
    """The pair of a study."""

    model_config = ConfigDict(extra="forbid")

    current: str = Field(description="SOP Instance UID of the new film")
    prior: str
    prior_study: str
    days: int = Field(description="between the two films")
    why: str = Field(description="this prior, and what was passed over")

    @classmethod
    def of(cls, pair: FoundPair) -> PairReply:
        """As JSON."""
        film = pair.prior.film
        return cls(
            current=pair.current.instance,
            prior=film.instance,
            prior_study=film.study,
            days=pair.prior.days,
            why=pair.prior.reason,
        )


class StudyRequest(BaseModel):
    """What is asked of the pair of a study."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(DIFFERENCE_QUESTION, max_length=1000)
    maps: bool = False
    films: bool = False
    backwards: bool = False


class StudyReply(AnswerReply):
    """An answer, with the pair that it is about."""

    pair: PairReply


class Answering(Protocol):
    """What answers two uploads."""

    def __call__(self, uploads: Mapping[str, bytes], asked: StudyRequest) -> Awaitable[AnswerReply]:
        """The reply."""


def add_archive(
    app: FastAPI, finder: PairFinder, answer: Answering, errors: dict[int | str, dict[str, object]]
) -> None:
    """The routes of an archive. errors: of the OpenAPI document."""
    errors = {**errors, 502: {**errors[503], "description": "the archive cannot be asked"}}

    @app.get("/v1/studies/{study}/pair", responses=errors)
    async def pair(study: StudyUid) -> PairReply:
        """The frontal film of a study in the archive, and its prior."""
        return PairReply.of(await asyncio.to_thread(finder.find, study))

    @app.get("/v1/studies/{study}/films/{side}", responses=errors, response_class=Response)
    async def film(study: StudyUid, side: Literal["prior", "current"]) -> Response:
        """The DICOM file of one of them."""

        def fetched() -> bytes:
            return finder.fetch(finder.find(study)).uploads[side]

        return Response(await asyncio.to_thread(fetched), media_type="application/dicom")

    @app.post("/v1/studies/{study}/answer", responses=errors)
    async def answer_study(study: StudyUid, asked: StudyRequest) -> StudyReply:
        """Answer a question about the pair of a study."""

        def fetched() -> tuple[FoundPair, Mapping[str, bytes]]:
            found = finder.find(study)
            return found, finder.fetch(found).uploads

        found, uploads = await asyncio.to_thread(fetched)
        reply = await answer(uploads, asked)
        return StudyReply(**reply.model_dump(), pair=PairReply.of(found))
