"""A model behind an endpoint that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, ollama, and services.

Several requests are open at the same time. What fails for a while (429, 5xx, no reply, a reply cut off or not JSON) is
tried again, each time after about twice as long; what fails for good ends the command, and the replies of the requests
that were open are still handed on.
"""

from __future__ import annotations

import base64
import io
import json
import random
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from intervalchange.errors import RunError
from intervalchange.foreign_models.addresses import Address
from intervalchange.foreign_models.exchange import UNREACHABLE, Exchange, StoppedError, TransientError
from intervalchange.foreign_models.prompts import Prompt
from intervalchange.foreign_models.records import FilmQuestion, ForeignOptions, Key, Reply

CONCURRENCY, TIMEOUT, PATIENCE = 8, 120.0, 600.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds after the first failure, and at most, before jitter and what the server asks for."""


@dataclass
class ChatModel:
    """Answers by chat completions."""

    address: Address
    prompt: Prompt
    options: ForeignOptions
    first_wait: float = FIRST_WAIT
    exchange: Exchange = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.patience = self.options.patience or PATIENCE
        self.concurrency = self.options.concurrency or CONCURRENCY
        self.exchange = Exchange(self.address, self.options.timeout or TIMEOUT, self.options.own_server)
        self._slots = threading.Semaphore(self.concurrency)
        self._not_before = 0.0
        self._reached = False

    @property
    def parameters(self) -> dict[str, Any]:
        """Of every request, beside the model and the messages."""
        plain = {"temperature": 0, "max_tokens": self.options.max_tokens, **self.options.parameters}
        return {name: value for name, value in plain.items() if value is not None}

    def replies(self, questions: Iterable[tuple[Key, FilmQuestion]]) -> Iterator[tuple[Key, Reply]]:
        """A reply to each question, under its key, as they come. Raises RunError where there is none to be had."""
        source, pending, exchange = iter(questions), dict[Future[Reply], Key](), self.exchange.renewed()
        most = 2 * self.concurrency  # The next requests are ready when those that are open end, often all at once.
        pool = ThreadPoolExecutor(most)
        problem: BaseException | None = None
        try:
            while True:
                if problem is None:
                    for key, question in islice(source, most - len(pending)):
                        pending[pool.submit(self._reply, exchange, question)] = key
                if not pending:
                    break
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    key, error = pending.pop(future), future.exception()
                    if error is None:
                        yield key, future.result()
                    elif problem is None or isinstance(problem, StoppedError):
                        problem = error
                        exchange.stopped.set()  # Requests that are open may end; no other begins.
        finally:
            exchange.stop()
            pool.shutdown(wait=False, cancel_futures=True)
        if problem is not None:
            raise problem

    def _reply(self, exchange: Exchange, question: FilmQuestion) -> Reply:
        """One answer, after as many tries as it takes within the patience."""
        body = self._body(question)
        deadline, pause = time.monotonic() + self.patience, self.first_wait
        tries = 0
        while True:
            _pause(exchange, self._not_before - time.monotonic())
            try:
                with self._slots:
                    return self._answer(exchange, body)
            except UNREACHABLE as caught:
                if not self._reached:
                    what = f"it cannot be reached ({caught.strerror or caught})"
                    raise self._gone(what, "Start the server, or correct the URL.") from None
                problem = TransientError("the server does not take connections")
            except TransientError as caught:
                problem = caught
            tries += 1
            seconds = max(problem.wait, pause * random.uniform(0.5, 1.0))
            if time.monotonic() + seconds > deadline:
                asked = f"; it asks to wait for {problem.wait:.0f} seconds" if problem.wait else ""
                raise self._gone(f"given up after {tries} tries: {problem}{asked}", "") from None
            if problem.wait:  # What one request is told holds for all.
                self._not_before = max(self._not_before, time.monotonic() + problem.wait)
            pause = min(2 * pause, LONGEST_WAIT)
            _pause(exchange, seconds)

    def _answer(self, exchange: Exchange, body: bytes) -> Reply:
        """One try."""
        try:
            reply = _reply_of(exchange.send("POST", "/chat/completions", body))
        except RunError:
            exchange.stopped.set()  # Here, where the slot is still taken: no other request begins.
            raise
        self._reached = True
        return reply

    def _gone(self, what: str, remedy: str) -> RunError:
        kept = "What was answered is kept: rerun the command to resume."
        return RunError(f"{what}.", where=str(self.address), remedy=f"{remedy} {kept}".strip())

    def _body(self, question: FilmQuestion) -> bytes:
        prior, current, words = question
        films = [film for film in (prior, current) if film is not None]
        content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": png_uri(film)}} for film in films]
        content.append({"type": "text", "text": self.prompt.text(words, len(films))})
        messages = [{"role": "user", "content": content}]
        return json.dumps({"model": self.address.model, "messages": messages, **self.parameters}).encode()


def _pause(exchange: Exchange, seconds: float) -> None:
    if exchange.stopped.wait(max(0.0, seconds)):
        raise StoppedError


def _reply_of(plain: Any) -> Reply:
    """The text of a chat completion. Raises TransientError for another shape."""
    try:
        choice = plain["choices"][0]
        message = choice["message"]
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part["text"] for part in content if part.get("type") == "text")
        text = content if content is not None else message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise TransientError("a reply that is not a chat completion") from None
    cut = choice.get("finish_reason") == "length"
    if text is None and cut:  # All of its tokens went into reasoning.
        text = ""
    if not isinstance(text, str):
        raise TransientError("a chat completion without text")
    return Reply(text.encode("utf-8", "replace").decode(), cut)


def png_base64(film: np.ndarray) -> str:
    """(h, w) uint8 -> PNG in base64. Of films, entropy coding alone saves most, in a fifth of the time."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(film).save(buffer, format="PNG", compress_level=1, compress_type=zlib.Z_HUFFMAN_ONLY)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def png_uri(film: np.ndarray) -> str:
    """(h, w) uint8 -> data URI of its PNG."""
    return f"data:image/png;base64,{png_base64(film)}"
