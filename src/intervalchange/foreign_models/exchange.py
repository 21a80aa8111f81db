"""One HTTP exchange with a deadline, and what its failure means. The standard library alone.

No redirect is followed and no proxy is used: films go to the address that was given and nowhere else.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import os
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from intervalchange.errors import ConfigError, RunError
from intervalchange.foreign_models.addresses import Address

KEY_VARIABLE = "INTERVALCHANGE_API_KEY"
MOST_BYTES = 1 << 22
"""A longer reply is refused."""
RETRIED = {408, 425, 429}
"""Besides every 5xx."""


UNREACHABLE = (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError)
"""What a wrong URL looks like, and a server that is not there yet, or not any more."""


class TransientError(Exception):
    """What another try may mend. wait: seconds that the server asks for."""

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


class StoppedError(Exception):
    """The exchange was given up because the command ends."""


@dataclass
class Exchange:
    """POST and GET of JSON at one address; `stop` ends those that are open, from another thread."""

    address: Address
    timeout: float
    own_server: bool = False
    key: str = field(default_factory=lambda: os.environ.get(KEY_VARIABLE, "").strip(), repr=False)
    _open: set[http.client.HTTPConnection] = field(default_factory=set, repr=False)
    stopped: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        if not self.key.isascii() or not self.key.isprintable():
            raise ConfigError(f"{KEY_VARIABLE} holds characters that no key has.", remedy="Set it to the key alone.")
        plain = self.address.scheme == "http" and not self.address.is_loopback
        if self.key and plain and not self.own_server:
            raise ConfigError(
                f"the key in {KEY_VARIABLE} would be sent unencrypted.",
                where=str(self.address),
                remedy="Use https://, unset the variable, or add --own-server.",
            )

    def send(self, method: str, path: str, body: bytes | None = None) -> Any:
        """The JSON of the reply. Raises TransientError, StoppedError, UNREACHABLE; RunError for what stays wrong."""
        status, retry_after, content = self._reply(method, path, body)
        if status == 429 or status in RETRIED or status >= 500:
            raise TransientError(f"status {status}{self._message(content)}", _seconds(retry_after))
        if status != 200:
            raise self._refused(status, content)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise TransientError("a reply that is not JSON, or was cut off") from None

    def renewed(self) -> Exchange:
        """The same address and key, not stopped."""
        return replace(self, _open=set(), stopped=threading.Event())

    def stop(self) -> None:
        """End open exchanges, and let no other begin."""
        self.stopped.set()
        for connection in list(self._open):
            _shut(connection)

    def _reply(self, method: str, path: str, body: bytes | None) -> tuple[int, str, bytes]:
        """(status, Retry-After, content)."""
        late = threading.Event()
        secure = self.address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self.address.host, self.address.port, timeout=self.timeout)

        def end() -> None:
            late.set()
            _shut(connection)

        timer = threading.Timer(self.timeout, end)  # A socket's own timeout is for each packet, not for the whole.
        timer.daemon = True
        timer.start()
        self._open.add(connection)
        try:
            if self.stopped.is_set():
                raise StoppedError
            headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
            if self.key:
                headers["Authorization"] = f"Bearer {self.key}"
            connection.request(method, self.address.path + path, body, headers)
            reply = connection.getresponse()
            content = reply.read(MOST_BYTES + 1)
            length = reply.headers.get("Content-Length", "")
            if len(content) > MOST_BYTES:
                raise TransientError(f"a reply of more than {MOST_BYTES} bytes")
            if late.is_set() or (length.isdigit() and len(content) < int(length)):
                raise http.client.IncompleteRead(content)
            return reply.status, reply.headers.get("Retry-After", ""), content
        except (OSError, http.client.HTTPException) as problem:
            if self.stopped.is_set():
                raise StoppedError from None
            if late.is_set() or isinstance(problem, TimeoutError):
                raise TransientError(f"no reply within {self.timeout:g} seconds") from None
            if isinstance(problem, UNREACHABLE):
                raise
            raise TransientError(f"the connection broke ({type(problem).__name__})") from None
        finally:
            timer.cancel()
            self._open.discard(connection)
            connection.close()

    def _message(self, content: bytes) -> str:
        """What the server says, on one line, without the key."""
        text = content[:4096].decode("utf-8", "replace")
        with suppress(ValueError, RecursionError):
            plain = json.loads(content)
            error = plain.get("error", plain) if isinstance(plain, dict) else plain
            text = str(error.get("message") or error if isinstance(error, dict) else error)
        if self.key:
            text = text.replace(self.key, "***")
        text = re.sub(r"\bsk-[\w*-]{4,}", "***", "".join(c if c.isprintable() else " " for c in text))
        short = " ".join(text.split())[:300].rstrip(" .")
        return f": {short}" if short else ""

    def _refused(self, status: int, content: bytes) -> RunError:
        """A status that another try will not change, with what to do about it."""
        remedies = {
            401: f"Set {KEY_VARIABLE} to a key of this server"
            + (": it refuses the one that is set." if self.key else "; it is not set."),
            404: self._models(),
            413: "Prepare the films with fewer --pixels.",
        }
        remedies[403] = remedies[401]
        message = self._message(content)
        remedy = "Is it a model that takes two images, and is --max-tokens within its length?"
        if "logprob" in message.lower():
            remedy = "It gives no probabilities of tokens: add --parameter logprobs=null."
        if 300 <= status < 400:
            remedy = "Give the URL that it redirects to: redirects are not followed."
        return RunError(
            f"the server refuses the request with status {status}{message}.",
            where=str(self.address),
            remedy=remedies.get(status, remedy) + " What was answered is kept: rerun the command to resume.",
        )

    def _models(self) -> str:
        """What to do about an unknown model."""
        try:
            status, _, content = self._reply("GET", "/models", None)
            names = [str(one["id"]) for one in json.loads(content)["data"]] if status == 200 else []
        except Exception:
            names = []
        if names:
            return f"It has {', '.join(names[:8])}: name one after the #."
        return "Is the URL right (it mostly ends in /v1), and the model after the #?"


def _seconds(retry_after: str) -> float:
    """Retry-After, in seconds or as a date; 0 where there is none."""
    text = retry_after.strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return 0.0


def _shut(connection: http.client.HTTPConnection) -> None:
    """End what a thread reads from a connection."""
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)
