"""A server of our own that speaks OpenAI's chat completions, with the faults that servers have.

`faults` is consumed one a request, in the order of arrival; a request without a fault is answered by the oracle.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

MODEL = "tiny-vlm"
Oracle = Callable[[list[np.ndarray], str], str]
"""(films, text) -> words."""


class ChatServer:
    """On a free port of this machine; `with ChatServer(oracle) as server:`."""

    def __init__(self, oracle: Oracle, key: str = "", seconds: float = 0.0) -> None:
        """key: what a request must bring, if anything. seconds: how long an answer takes."""
        self.oracle, self.key, self.seconds = oracle, key, seconds
        self.faults: deque[str] = deque()
        self.asked: Counter[str] = Counter()
        """Hash of a request's body -> how often it came."""
        self.answered: Counter[str] = Counter()
        """The same, of those that got an answer."""
        self.open = self.most_open = 0
        self.arrivals: list[float] = []
        self.bodies: list[dict] = []
        self.shown: list[list[np.ndarray | str]] = []
        """Films and texts of each request that was answered, in order; the system's text first, as `[...]`."""
        self.log_probabilities: list[float] | None = None
        """Of the tokens of every answer, given where a request wants them; None: it cannot."""
        self.hold_after: int | None = None
        """Answers after which every further request is left waiting until `released` is set."""
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.http.daemon_threads = True
        self.http.chat = self  # type: ignore[attr-defined]
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    @property
    def name(self) -> str:
        """As `predict` takes it."""
        return f"openai:{self.url}#{MODEL}"

    def __enter__(self) -> ChatServer:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def _is_text(part: np.ndarray | str) -> bool:
    return isinstance(part, str)


def _part(part: dict) -> np.ndarray | str:
    """A film or a text of a message."""
    if part["type"] == "text":
        return part["text"]
    head, _, data = part["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._json(200, {"data": [{"id": MODEL}, {"id": "other"}]})
        else:
            self._json(404, {"error": {"message": "no such page"}})

    def do_POST(self) -> None:
        chat: ChatServer = self.server.chat  # type: ignore[attr-defined]
        content = self.rfile.read(int(self.headers["Content-Length"]))
        digest = hashlib.sha256(content).hexdigest()
        with chat.lock:
            chat.asked[digest] += 1
            chat.arrivals.append(time.monotonic())
            chat.open += 1
            chat.most_open = max(chat.most_open, chat.open)
            fault = chat.faults.popleft() if chat.faults else ""
            held = chat.hold_after is not None and sum(chat.asked.values()) > chat.hold_after
        try:
            if held:
                chat.released.wait()
            elif fault:
                self._fail(fault, chat)
            else:
                self._answer(chat, content, digest)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with chat.lock:
                chat.open -= 1

    def _answer(self, chat: ChatServer, content: bytes, digest: str) -> None:
        plain = json.loads(content)
        if self.path != "/v1/chat/completions" or plain["model"] != MODEL:
            self._json(404, {"error": {"message": f"The model `{plain['model']}` does not exist."}})
            return
        if chat.key and self.headers.get("Authorization") != f"Bearer {chat.key}":
            self._json(401, {"error": {"message": f"Incorrect key: {self.headers.get('Authorization')}"}})
            return
        *system, message = plain["messages"]
        shown = [_part(part) for part in message["content"]]
        films, text = [part for part in shown if not isinstance(part, str)], "".join(filter(_is_text, shown))
        time.sleep(chat.seconds)
        with chat.lock:
            chat.answered[digest] += 1
            chat.bodies.append({**plain, "messages": text})
            chat.shown.append([*(f"[{one['content']}]" for one in system), *shown])
            said = chat.oracle(films, text)
        choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        if plain.get("logprobs") and chat.log_probabilities is not None:
            tokens = [{"token": "t", "logprob": value} for value in chat.log_probabilities]
            choice["logprobs"] = {"content": tokens}
        self._json(200, {"model": MODEL, "choices": [choice]})

    def _fail(self, fault: str, chat: ChatServer) -> None:
        whole = json.dumps({"choices": [{"message": {"content": "There is a new"}}]}).encode()
        if fault == "slow":
            chat.released.wait(1.0)
        elif fault == "cut":  # Half of what Content-Length says.
            self._send(200, whole[: len(whole) // 2], {"Content-Length": str(len(whole))})
        elif fault == "chunked cut":
            self._send(200, b"fff\r\n" + whole, {"Transfer-Encoding": "chunked"})
        elif fault == "hang up":
            pass
        elif fault == "not JSON":
            self._send(200, b"<html>Bad Gateway</html>", {"Content-Length": "24"})
        elif fault == "other JSON":
            self._json(200, {"answer": "nothing"})
        elif fault == "no text":
            self._json(200, {"choices": [{"message": {"role": "assistant", "content": None}}]})
        elif fault.startswith("429"):
            self._json(429, {"error": "slow down"}, {"Retry-After": fault.removeprefix("429 ")})
        elif fault == "redirect":
            self._json(307, {}, {"Location": "http://example.org/v1/chat/completions"})
        else:
            message = f"{fault[4:] or 'a fault'} {self.headers.get('Authorization', '')}"
            self._json(int(fault[:3]), {"error": {"message": message}})
        self.close_connection = True

    def _json(self, status: int, plain: object, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(plain).encode()
        self._send(status, content, {"Content-Length": str(len(content)), **(headers or {})})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Silent."""


def kill_after(server: ChatServer, answered: int, command: list[str], kept: Path) -> None:
    """Run a command that asks the server, and kill -9 it at so many kept answers; what else it asks is held."""
    server.hold_after = answered
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (kept.exists() and kept.read_bytes().count(b"\n") == answered):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
