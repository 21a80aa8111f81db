"""A model behind an endpoint that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, ollama, and services.

Several requests are open at the same time. What fails for a while (429, 5xx, no reply, a reply cut off or not JSON) is
tried again, each time after about twice as long; what fails for good ends the command, and the replies of the requests
that were open are still handed on.
"""

from __future__ import annotations

import json
import math
import random
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from intervalchange.errors import RunError
from intervalchange.foreign_models.addresses import Address
from intervalchange.foreign_models.exchange import UNREACHABLE, Exchange, StoppedError, TransientError
from intervalchange.foreign_models.film_png import png_base64
from intervalchange.foreign_models.prompts import Prompt
from intervalchange.foreign_models.records import MOST_TOKENS, FilmQuestion, ForeignOptions, Key, Reply

CONCURRENCY, TIMEOUT, PATIENCE = 8, 120.0, 600.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds after the first failure, and at most, before jitter and what the server asks for."""
SETTLING = 0.01
"""Seconds: replies come in bursts, and whoever encodes films meanwhile delays the requests that follow on them."""
LEAST = -1e6
"""Of a mean log-probability: what is kept is JSON, which has no infinity."""
_MARK = uuid.uuid4().hex
"""Stands for a film while a request is written as JSON, which would look at each of its characters."""


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
        self._not_before = 0.0
        self._reached = False

    @property
    def parameters(self) -> dict[str, Any]:
        """Of every request, beside the model and the messages."""
        plain: dict[str, Any] = {"temperature": 0, "max_tokens": self.options.max_tokens or MOST_TOKENS}
        if not self.options.samples:
            plain["logprobs"] = True
        plain |= self.options.parameters
        return {name: value for name, value in plain.items() if value is not None}

    def replies(self, questions: Iterable[tuple[Key, FilmQuestion]]) -> Iterator[tuple[Key, Reply]]:
        """A reply to each question, under its key, as they come. Raises RunError where there is none to be had."""
        source, pending, exchange = iter(questions), dict[Future[Reply], Key](), self.exchange.renewed()
        most = 2 * self.concurrency  # The next requests are ready when those that are open end, often all at once.
        pool, encoder = ThreadPoolExecutor(self.concurrency), ThreadPoolExecutor(2)
        problem: BaseException | None = None
        try:
            while True:
                if problem is None:
                    for key, question in islice(source, most - len(pending)):
                        body = encoder.submit(self._body, question)
                        pending[pool.submit(self._reply, exchange, body)] = key
                if not pending:
                    break
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    key, error = pending.pop(future), future.exception()
                    if error is None:
                        yield key, future.result()
                    elif problem is None or isinstance(problem, StoppedError):
                        problem = error
                        exchange.stopped.set()  # Requests that are open may end; no other begins.
                exchange.stopped.wait(SETTLING)  # Requests that are ready go out before more are made.
        finally:
            exchange.stop()
            for threads in (encoder, pool):
                threads.shutdown(wait=False, cancel_futures=True)
        if problem is not None:
            raise problem

    def _reply(self, exchange: Exchange, encoded: Future[bytes]) -> Reply:
        """One answer, after as many tries as it takes within the patience."""
        body = encoded.result()
        deadline, pause = time.monotonic() + self.patience, self.first_wait
        tries = 0
        while True:
            _pause(exchange, self._not_before - time.monotonic())
            try:
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
        films: list[bytes] = []
        content: list[dict[str, Any]] = []
        for part in self.prompt.parts(question):
            if isinstance(part, str):
                content.append({"type": "text", "text": part})
            else:
                content.append({"type": "image_url", "image_url": {"url": f"{_MARK}{len(films)}"}})
                films.append(b"data:image/png;base64," + png_base64(part))
        system = [{"role": "system", "content": self.prompt.system}] if self.prompt.system else []
        messages = [*system, {"role": "user", "content": content}]
        plain = {"model": self.address.model, "messages": messages, **self.parameters, **self._sampling(question)}
        body = json.dumps(plain).encode()
        for number, film in enumerate(films):
            body = body.replace(f"{_MARK}{number}".encode(), film)
        return body

    def _sampling(self, question: FilmQuestion) -> dict[str, Any]:
        """What makes a sample of a question."""
        if not question.sample:
            return {}
        temperature = {"temperature": self.options.sample_temperature} if "temperature" in self.parameters else {}
        return {**temperature, "seed": question.sample}


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
    return Reply(text.encode("utf-8", "replace").decode(), cut, _log_probability(choice))


def _log_probability(choice: dict[str, Any]) -> float | None:
    """Mean over the tokens of a reply, those of its reasoning included; None where the server does not give it."""
    try:
        values = [float(token["logprob"]) for token in choice["logprobs"]["content"]]
    except (KeyError, TypeError, ValueError):
        return None
    mean = math.fsum(values) / len(values) if values else math.nan
    return None if math.isnan(mean) else min(0.0, max(mean, LEAST))
