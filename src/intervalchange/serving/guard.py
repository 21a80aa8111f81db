"""What a request must be before anybody reads it, and what every response carries.

A page of another site may send a request to a server on the same machine, and a name of that site may be made to point
here. So a loopback server answers only under the names of this machine, and none answers a page that it did not serve.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intervalchange.policy import RESEARCH_USE
from intervalchange.serving.limits import Limits

LOOPBACK = ("localhost", "127.0.0.1", "::1")
OPEN = ("/", "/health", "/ready", "/examples")
OPEN_FOLDERS = ("/static/", "/samples/")
"""Paths that need no token: the page itself, which asks for it, and what a router looks at."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request is not read."""

    status: int
    error: str


class Guard:
    """The outermost layer of the app. token: empty for none, which only a loopback server may have."""

    def __init__(self, app: ASGIApp, limits: Limits, token: str, loopback: bool) -> None:
        self.app, self.limits, self.token, self.loopback = app, limits, token, loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in known)]
            await send(message)

        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope["path"], headers)
        if refusal is None:
            await self.app(scope, self._limited(receive), send_guarded)
        else:
            await _refuse(send_guarded, refusal)

    def _refusal(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        host = _name(headers.get("host", ""))
        if self.loopback and host not in LOOPBACK:
            return Refusal(421, "this server answers under localhost only.")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return Refusal(403, "the request comes from a page of another site.")
        if self.token and path not in OPEN and not path.startswith(OPEN_FOLDERS):
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(given.encode(), self.token.encode()):
                return Refusal(401, "the token is missing or wrong: send Authorization: Bearer TOKEN.")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.limits.upload_bytes:
            return self._too_large()
        return None

    def _too_large(self) -> Refusal:
        return Refusal(413, f"a request has at most {self.limits.upload_bytes:,} bytes.")

    def _limited(self, receive: Receive) -> Receive:
        """`receive` that counts bytes and seconds until the request is there; HTTPException where it is too much."""
        loop = asyncio.get_running_loop()
        until, count, complete = loop.time() + self.limits.upload_seconds, 0, False

        async def limited() -> Message:
            nonlocal count, complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - loop.time()))
            except TimeoutError:
                raise HTTPException(
                    408, f"the request was not complete after {self.limits.upload_seconds:g} seconds."
                ) from None
            count += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if count > self.limits.upload_bytes:
                raise HTTPException(413, self._too_large().error)
            return message

        return limited


def _name(host: str) -> str:
    """Host header -> the name without its port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def _refuse(send: Send, refusal: Refusal) -> None:
    body = json.dumps({"error": refusal.error, "notice": RESEARCH_USE}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
