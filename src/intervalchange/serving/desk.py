"""Questions wait here for the model: as many as it can answer in time, several at once."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from intervalchange.errors import IntervalChangeError
from intervalchange.inference import Answered, AskedFilms, Predictor
from intervalchange.serving.limits import Limits


class BusyError(IntervalChangeError):
    """As many questions are waiting as can be answered in time."""

    def __init__(self, seconds: int) -> None:
        super().__init__("as many questions are waiting as can be answered.", remedy=f"Try again in {seconds} s.")
        self.seconds = seconds


class LateError(IntervalChangeError):
    """The answer was not there in time."""


@dataclass
class _Waiting:
    asked: AskedFilms
    until: float
    answered: Future[Answered] = field(default_factory=Future)


class Desk:
    """One thread that asks the model. Each question gets the answer to its own films, whatever it is answered with."""

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._open = 0
        self._lock = threading.Lock()
        self._seconds = 1.0
        """What an answer took lately."""
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
        self._thread.start()

    @property
    def open(self) -> int:
        """Questions that wait or are being answered."""
        return self._open

    def ask(self, asked: AskedFilms) -> Future[Answered]:
        """Queue a question. Raises BusyError where too many wait already."""
        with self._lock:
            if self._open >= self.limits.waiting:
                raise BusyError(max(1, round(self._open * self._seconds)))
            self._open += 1
        waiting = _Waiting(asked, time.monotonic() + self.limits.deadline)
        waiting.answered.add_done_callback(self._done)
        self._waiting.put(waiting)
        return waiting.answered

    def close(self) -> None:
        """Answer what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _done(self, _: Future[Answered]) -> None:
        with self._lock:
            self._open -= 1

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, last = [first], False
            while len(batch) < self.limits.batch and not last:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                last = more is None
                batch += [more] if more is not None else []
            self._answer([waiting for waiting in batch if self._begins(waiting)])
            if last:
                return

    def _begins(self, waiting: _Waiting) -> bool:
        """Whether somebody still waits for the answer, and may get it in time."""
        if not waiting.answered.set_running_or_notify_cancel():
            return False
        if time.monotonic() > waiting.until:
            seconds = f"{self.limits.deadline:g}"
            problem = LateError(f"the question waited longer than {seconds} seconds.", remedy="Try again later.")
            waiting.answered.set_exception(problem)
            return False
        return True

    def _answer(self, batch: list[_Waiting]) -> None:
        """Answer a batch; where that fails, one question at a time, so that each gets its own error."""
        if not batch:
            return
        begun = time.monotonic()
        try:
            found = self.predictor.answer_films([waiting.asked for waiting in batch])
        except Exception as problem:
            if len(batch) > 1:
                for waiting in batch:
                    self._answer([waiting])
            else:
                batch[0].answered.set_exception(problem)
            return
        self._seconds = (time.monotonic() - begun) / len(batch)
        for waiting, answered in zip(batch, found, strict=True):
            waiting.answered.set_result(answered)
