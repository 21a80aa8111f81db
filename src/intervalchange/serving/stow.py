"""Films that are sent here by STOW-RS, into the same inbox as those of C-STORE."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException

from intervalchange.archive.films import ArchivedFilm
from intervalchange.data.dicom_selection import header_text
from intervalchange.errors import ConfigError
from intervalchange.serving.guard import Guard
from intervalchange.serving.inbox import Inbox
from intervalchange.serving.limits import Limits

ROOT = "/dicom-web"
STORED, FAILED, CLASS, INSTANCE, REASON = "00081199", "00081198", "00081150", "00081155", "00081197"
"""Tags of the reply (PS3.18 10.5)."""
CANNOT_UNDERSTAND = 0xC000
SECONDS = 10
"""Until it listens."""


def stow_app(inbox: Inbox, limits: Limits, token: str = "", loopback: bool = True) -> Guard:
    """The ASGI app: POST /dicom-web/studies, with or without the UID of a study. See `Guard` for token and loopback."""
    app = FastAPI(title="intervalchange", openapi_url=None, docs_url=None, redoc_url=None)

    async def stored(request: Request) -> JSONResponse:
        files = _parts(request.headers.get("content-type", ""), await request.body())
        taken = await asyncio.to_thread(lambda: [inbox.take(file) for file in files])
        films = [film for film in taken if film is not None]
        reply: dict[str, Any] = {}
        if films:
            reply[STORED] = _sequence([_reference(film) for film in films])
        failed = len(taken) - len(films)
        if failed:
            reply[FAILED] = _sequence([{REASON: {"vr": "US", "Value": [CANNOT_UNDERSTAND]}}] * failed)
        status = 409 if not films else 202 if failed else 200
        return JSONResponse(reply, status, media_type="application/dicom+json")

    app.add_api_route(f"{ROOT}/studies", stored, methods=["POST"], response_model=None)
    app.add_api_route(f"{ROOT}/studies/{{study}}", stored, methods=["POST"], response_model=None)
    return Guard(app, limits, token, loopback)


def _parts(content_type: str, body: bytes) -> list[bytes]:
    """The bodies of a multipart/related request. Raises HTTPException for another."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/related" or not options.get(b"boundary"):
        raise HTTPException(415, "send multipart/related; type=application/dicom.")
    parts: list[bytearray] = []
    callbacks: Any = {
        "on_part_begin": lambda: parts.append(bytearray()),
        "on_part_data": lambda data, start, end: parts[-1].extend(data[start:end]),
    }
    try:
        parser = MultipartParser(options[b"boundary"], callbacks)
        parser.write(body)
        parser.finalize()
    except (MultipartParseError, ValueError):
        raise HTTPException(400, "the parts of the request cannot be told from each other.") from None
    return [bytes(part) for part in parts]


def _sequence(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": items}


def _reference(film: ArchivedFilm) -> dict[str, Any]:
    values = {CLASS: header_text(film.header, "SOPClassUID"), INSTANCE: film.instance}
    return {tag: {"vr": "UI", "Value": [value]} for tag, value in values.items()}


def listen_web(app: Guard, host: str, port: int) -> uvicorn.Server:
    """Serve it in a thread; `should_exit = True` ends that. Raises ConfigError for an address that cannot be had."""
    config = uvicorn.Config(app, host=host, port=port, log_level="critical", access_log=False, server_header=False)
    server = uvicorn.Server(config)
    ready = threading.Event()

    def serve() -> None:
        try:
            server.run()
        except SystemExit:  # What uvicorn does where it cannot have the address.
            pass
        finally:
            ready.set()

    thread = threading.Thread(target=serve, name="stow", daemon=True)
    thread.start()
    for _ in range(SECONDS * 20):
        if server.started or ready.wait(0.05):
            break
    if not server.started:
        raise ConfigError(f"{host}:{port} cannot be had.", remedy="Choose another port.")
    return server
