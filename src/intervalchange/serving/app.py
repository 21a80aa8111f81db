"""The routes: two films and a question in, an answer out."""

from __future__ import annotations

import asyncio
import csv
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser

import intervalchange
from intervalchange.archive.interface import ArchiveError
from intervalchange.archive.pairs import PairFinder
from intervalchange.errors import InputError, IntervalChangeError
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.inference import Answered, AskedFilms, Predictor
from intervalchange.policy import RESEARCH_USE
from intervalchange.question_reader import check_question, kind_of
from intervalchange.serving.archive_routes import StudyRequest, add_archive
from intervalchange.serving.chat import ChatReply, ChatRequest, ModelList, decoded, question_of
from intervalchange.serving.decoding import FilmReader
from intervalchange.serving.desk import BusyError, Desk, LateError
from intervalchange.serving.guard import Guard
from intervalchange.serving.limits import Limits
from intervalchange.serving.registration import register
from intervalchange.serving.replies import (
    AnswerReply,
    BatchReply,
    ErrorReply,
    RegistrationReply,
    registration_reply,
    reply_of,
)

PAGE = Path(__file__).parent / "page"
"""page.js is built by `make page` from `frontend/`."""
SAMPLES = Path(intervalchange.__file__).parent / "samples"
SOURCES = {"hannover": "Hannover", "nih": "NIH"}
LONGEST_QUESTION = 1000
FORGET_SECONDS = 60
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReply, "description": text}
    for status, text in {
        400: "the request is not of the form",
        401: "the token is missing or wrong",
        403: "a page of another site",
        408: "the request came too slowly",
        413: "the request is too large",
        421: "another name than localhost",
        422: "a film or a question that cannot be used; it says what to do",
        429: "as many questions are waiting as can be answered; see Retry-After",
        503: "the answer was not there in time",
    }.items()
}


class CaseRequest(BaseModel):
    """A pair of a batch."""

    model_config = ConfigDict(extra="forbid")

    current: str = Field(description="the later film in base64: PNG, JPEG or DICOM")
    prior: str | None = Field(None, description="the earlier film")
    question: str = Field(DIFFERENCE_QUESTION, max_length=LONGEST_QUESTION)
    force: bool = False
    maps: bool = False
    backwards: bool = False


class BatchRequest(BaseModel):
    """Several pairs."""

    model_config = ConfigDict(extra="forbid")

    cases: list[CaseRequest] = Field(min_length=1)


@dataclass(frozen=True)
class _Numbers:
    """What /metrics shows: counts and times, nothing of any film."""

    registry: CollectorRegistry
    answers: Counter
    seconds: Histogram

    @classmethod
    def new(cls, desk: Desk) -> _Numbers:
        registry = CollectorRegistry()
        waiting = Gauge("intervalchange_waiting", "Questions that wait or are being answered", registry=registry)
        waiting.set_function(lambda: desk.open)
        return cls(
            registry,
            Counter("intervalchange_answers", "Questions by outcome", ["outcome"], registry=registry),
            Histogram("intervalchange_answer_seconds", "From the request being there to the answer", registry=registry),
        )


@dataclass(frozen=True)
class Wanted:
    """What a client wants beside the answer."""

    maps: bool = False
    films: bool = False
    backwards: bool = False


class Server:
    """A run, the processes that read films for it, and its queue."""

    def __init__(self, predictor: Predictor, name: str, limits: Limits) -> None:
        self.predictor, self.name, self.limits = predictor, name, limits
        self.reader = FilmReader(predictor.stored_pixels, limits)
        self.desk = Desk(predictor, limits)
        self.registering = asyncio.Semaphore(1)
        self.numbers = _Numbers.new(self.desk)

    async def read(self, uploads: Mapping[str, bytes], question: str, force: bool = False) -> AskedFilms:
        """The films of a question. Raises InputError for films or a question that cannot be used."""
        check_question(question)
        if kind_of(question) == "difference" and "prior" not in uploads:
            raise InputError("a question about change needs the prior film.", remedy="Send it as `prior`.")
        pair = await asyncio.to_thread(self.reader.read, uploads, force)
        return AskedFilms(pair.prior, pair.current, question, pair.warnings)

    async def ask(self, asked: AskedFilms) -> Answered:
        """Wait for the model. Raises BusyError, LateError."""
        waiting = asyncio.wrap_future(self.desk.ask(asked))
        try:
            return await asyncio.wait_for(waiting, self.limits.deadline)
        except TimeoutError:
            text = f"there was no answer after {self.limits.deadline:g} seconds."
            raise LateError(text, remedy="Try again later.") from None

    async def reply(self, uploads: Mapping[str, bytes], question: str, force: bool, wanted: Wanted) -> AnswerReply:
        """The answer with what the client wants beside it, counted."""
        begun = time.monotonic()
        try:
            asked = await self.read(uploads, question, force)
            both = [asked]
            if wanted.backwards and asked.prior is not None and kind_of(question) == "difference":
                both.append(AskedFilms(asked.current, asked.prior, question))
            answered = await asyncio.gather(*map(self.ask, both))
        except IntervalChangeError as problem:
            self.numbers.answers.labels(type(problem).__name__).inc()
            raise
        seconds = time.monotonic() - begun
        reply = reply_of(answered[0], self.name, seconds, wanted.maps, wanted.films)
        if len(answered) > 1:
            reply.backwards = reply_of(answered[1], self.name, seconds, maps=False, films=False)
        self.numbers.answers.labels("unsure" if reply.unsure else "answered").inc()
        self.numbers.seconds.observe(seconds)
        return reply

    async def register(self, prior: bytes, current: bytes, force: bool) -> RegistrationReply:
        """How the prior is laid over the current film. Raises ImageError, LateError."""
        pair = await asyncio.to_thread(self.reader.read, {"prior": prior, "current": current}, force)
        assert pair.prior is not None
        try:
            async with asyncio.timeout(self.limits.deadline), self.registering:
                found = await asyncio.to_thread(register, pair.prior, pair.current)
        except TimeoutError:
            raise LateError("the films were not registered in time.", remedy="Try again later.") from None
        return registration_reply(found, pair.prior, pair.current)

    async def forget(self) -> None:
        """Drop films that nobody sent again, until cancelled."""
        while True:
            await asyncio.sleep(FORGET_SECONDS)
            self.reader.recent.forget()

    def close(self) -> None:
        """End the processes and the thread."""
        self.desk.close()
        self.reader.close()


def create_app(
    predictor: Predictor,
    name: str,
    limits: Limits | None = None,
    *,
    token: str = "",
    loopback: bool = True,
    finder: PairFinder | None = None,
) -> Guard:
    """The ASGI app. name: of the run, as replies call it. token: empty for none. finder: of pairs in an archive."""
    limits = limits or Limits()
    # Uploads stay in memory; beyond this size they would be written to disk.
    MultiPartParser.spool_max_size = limits.upload_bytes
    server = Server(predictor, name, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(server.reader.wait)
        forgetting = asyncio.create_task(server.forget())
        yield
        forgetting.cancel()
        await asyncio.to_thread(server.close)

    app = FastAPI(
        title="intervalchange",
        version=intervalchange.__version__,
        description=f"What has changed between two chest radiographs. {RESEARCH_USE}",
        docs_url=None,  # These pages load scripts from elsewhere.
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_answers(app, server)
    _add_chat(app, server)
    if finder is not None:
        _add_studies(app, server, finder)
    _add_operation(app, server)
    _add_errors(app)
    app.mount("/static", StaticFiles(directory=PAGE), name="static")
    app.mount("/samples", StaticFiles(directory=SAMPLES), name="samples")
    return Guard(app, limits, token, loopback)


def _add_answers(app: FastAPI, server: Server) -> None:
    @app.post("/v1/answer", responses=ERRORS)
    async def answer(
        current: Annotated[UploadFile, File(description="the later film: PNG, JPEG or DICOM")],
        prior: Annotated[UploadFile | None, File(description="the earlier film")] = None,
        question: Annotated[str, Form(max_length=LONGEST_QUESTION)] = DIFFERENCE_QUESTION,
        force: Annotated[bool, Form(description="read a lateral view, another body part or a colour picture")] = False,
        maps: Annotated[bool, Form(description="attribution maps as well")] = False,
        films: Annotated[bool, Form(description="the films as the model read them as well")] = False,
        backwards: Annotated[bool, Form(description="the answer to the films exchanged as well")] = False,
    ) -> AnswerReply:
        """Answer a question about two films, or about one where it needs no prior."""
        uploads = {"current": await current.read()}
        if prior is not None:
            uploads["prior"] = await prior.read()
        return await server.reply(uploads, question, force, Wanted(maps, films, backwards))

    @app.post("/v1/film", responses=ERRORS, response_class=Response)
    async def film(
        film: Annotated[UploadFile, File(description="PNG, JPEG or DICOM")],
        force: Annotated[bool, Form()] = False,
    ) -> Response:
        """A film for the eye: 16-bit numbers, row by row, little-endian, white dense; its sides, when it was taken, and
        a mark that the films of a patient share, in the headers."""
        shown = await asyncio.to_thread(server.reader.display, await film.read(), force)
        geometry = shown.film.square.geometry
        sides = {"Rows": shown.rows, "Columns": shown.columns, "Height": geometry.height, "Width": geometry.width}
        facts = {"Taken": shown.taken, "Patient": shown.patient, "Warnings": json.dumps(shown.film.square.warnings)}
        headers = {f"X-{name}": str(value) for name, value in (sides | facts).items()}
        return Response(shown.pixels, media_type="application/octet-stream", headers=headers)

    @app.post("/v1/registration", responses=ERRORS)
    async def registration(
        prior: Annotated[UploadFile, File(description="the earlier film: PNG, JPEG or DICOM")],
        current: Annotated[UploadFile, File(description="the later film")],
        force: Annotated[bool, Form()] = False,
    ) -> RegistrationReply:
        """How the prior is turned, scaled and shifted to lie over the current film."""
        return await server.register(await prior.read(), await current.read(), force)

    @app.post("/v1/answers", responses=ERRORS)
    async def answers(batch: BatchRequest) -> BatchReply:
        """Answer several questions; one that fails does not disturb the others."""
        if len(batch.cases) > server.limits.cases:
            raise HTTPException(413, f"a batch has at most {server.limits.cases} cases.")
        return BatchReply(results=await asyncio.gather(*(one(case) for case in batch.cases)))

    async def one(case: CaseRequest) -> AnswerReply | ErrorReply:
        try:
            films = {"current": case.current, "prior": case.prior}
            uploads = {side: decoded(data) for side, data in films.items() if data is not None}
            return await server.reply(uploads, case.question, case.force, Wanted(case.maps, backwards=case.backwards))
        except IntervalChangeError as problem:
            return ErrorReply(error=str(problem))


def _add_studies(app: FastAPI, server: Server, finder: PairFinder) -> None:
    async def answer(uploads: Mapping[str, bytes], asked: StudyRequest) -> AnswerReply:
        return await server.reply(uploads, asked.question, False, Wanted(asked.maps, asked.films, asked.backwards))

    add_archive(app, finder, answer, ERRORS)


def _add_chat(app: FastAPI, server: Server) -> None:
    @app.get("/v1/models", responses=ERRORS)
    async def models() -> ModelList:
        """The run, as a model of OpenAI's protocol."""
        return ModelList(data=[{"id": server.name, "object": "model", "created": 0, "owned_by": "intervalchange"}])

    @app.post("/v1/chat/completions", responses=ERRORS)
    async def chat(request: ChatRequest) -> ChatReply:
        """OpenAI's chat protocol: one or two images as data URIs, the prior first, and a question."""
        asked = question_of(request)
        reply = await server.reply(asked.uploads, asked.question, False, Wanted())
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply.answer}}
        return ChatReply(
            id=f"chatcmpl-{uuid.uuid4().hex}",
            created=int(time.time()),
            model=server.name,
            choices=[choice],
            usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        )


def _add_operation(app: FastAPI, server: Server) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """The server runs."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        """The model is loaded and its queue is not full."""
        if server.desk.open >= server.limits.waiting:
            raise HTTPException(503, "as many questions are waiting as can be answered.")
        return {"status": "ready", "model": server.name}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(server.numbers.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/examples", include_in_schema=False)
    async def examples() -> list[dict[str, str]]:
        with (SAMPLES / "pairs.csv").open(encoding="utf-8", newline="") as table:
            rows = list(csv.DictReader(table))
        titles = (f"{SOURCES[row['source']]}: {row['seen_by_eye'] or 'a pair'}" for row in rows)
        return [
            {"prior": row["prior"], "current": row["current"], "title": title}
            for row, title in zip(rows, titles, strict=True)
        ]

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")


def _add_errors(app: FastAPI) -> None:
    def refused(status: int, error: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse(ErrorReply(error=error).model_dump(), status, dict(headers or {}))

    @app.exception_handler(IntervalChangeError)
    async def ours(_: Request, problem: IntervalChangeError) -> JSONResponse:
        if isinstance(problem, BusyError):
            return refused(429, str(problem), {"Retry-After": str(problem.seconds)})
        status = 422 if isinstance(problem, InputError) else 502 if isinstance(problem, ArchiveError) else 503
        return refused(status, str(problem))

    @app.exception_handler(HTTPException)
    async def http(_: Request, problem: HTTPException) -> JSONResponse:
        return refused(problem.status_code, str(problem.detail), problem.headers)

    @app.exception_handler(RequestValidationError)
    async def form(_: Request, problem: RequestValidationError) -> JSONResponse:
        # What was sent is not repeated: it may be a film.
        where = ["/".join(map(str, error["loc"])) + ": " + error["msg"] for error in problem.errors()[:5]]
        return refused(400, "; ".join(where))

    @app.exception_handler(Exception)
    async def fault(_: Request, problem: Exception) -> JSONResponse:
        return refused(500, f"a fault of the server ({type(problem).__name__}); nothing was answered.")
