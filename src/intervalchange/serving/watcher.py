"""Answers each new study of an archive once, whatever is killed.

The ledger says what was seen and what became of it; the UIDs of an answer follow from its films and the run, so that an
answer that was filed in the moment of a kill is found in the archive, or stored over itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol

from intervalchange.archive.interface import ArchiveError
from intervalchange.archive.pairs import NoFrontalFilmError
from intervalchange.errors import ImageError, InputError, IntervalChangeError
from intervalchange.serving.ledger import Ledger, State
from intervalchange.serving.study_filer import Filed, StudyFiler, shown_study

COMPARE = "@ohif/hpCompare"
"""OHIF's hanging protocol that shows two studies side by side."""


@dataclass(frozen=True)
class WatchOptions:
    """When a watcher looks, and how long it waits."""

    every: float = 5.0
    """Seconds between two looks at the archive."""
    settle: float = 10.0
    """Seconds from a study being seen until it is answered: its films arrive one by one."""
    days: int = 3
    """Studies of these last days are looked at; 0 for all of them."""
    backlog: bool = False
    """Answer also what is in the archive before the watcher first looks."""
    tries: int = 5
    """For a study without a frontal film, or with one that cannot be read. An archive is asked for ever."""
    workers: int = 2
    """Studies that are answered at once."""
    viewer: str = ""
    """URL of OHIF, for links that open both studies."""


@dataclass(frozen=True)
class Outcome:
    """Of one try at a study."""

    study: str = field(repr=False)
    state: State
    why: str
    seconds: float
    prior: str = field(default="", repr=False)
    link: str = field(default="", repr=False)

    @property
    def line(self) -> str:
        """For a log: no value of a header is in it."""
        word = "put off" if self.state == "waiting" else self.state
        return f"study {shown_study(self.study)} {word} after {self.seconds:.1f} s: {self.why}"


class Arrivals(Protocol):
    """Studies that were sent here."""

    def studies(self) -> Iterable[str]:
        """Their UIDs."""

    def drop(self, study: str) -> None:
        """It needs no more to be kept."""


class Watcher:
    """Looks at an archive, and files answers."""

    def __init__(
        self,
        filer: StudyFiler,
        ledger: Ledger,
        options: WatchOptions | None = None,
        arrivals: Arrivals | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.filer, self.ledger, self.options = filer, ledger, options or WatchOptions()
        self.arrivals, self._clock = arrivals, clock
        self._pool = ThreadPoolExecutor(self.options.workers, thread_name_prefix="study")

    def step(self) -> Iterator[Outcome]:
        """Look once; then answer all that is due. Raises ArchiveError where the archive cannot be looked at."""
        for study in self.arrivals.studies() if self.arrivals else ():
            self.ledger.add([study], self._clock() + self.options.settle)
        seen = self.filer.finder.archive.recent_studies(self._since())
        if self.ledger.is_new:
            self.ledger.begin([] if self.options.backlog else seen)
        self.ledger.add(seen, self._clock() + self.options.settle)
        return self.answer_due()

    def answer_due(self) -> Iterator[Outcome]:
        """Answer what is due, several at once; what came of each, in their order."""
        return self._pool.map(self._try, self.ledger.due(self._clock()))

    def close(self) -> None:
        """Finish what is begun."""
        self._pool.shutdown()
        self.filer.close()
        self.ledger.close()

    def _since(self) -> date | None:
        return date.today() - timedelta(self.options.days) if self.options.days else None

    def _try(self, study: str) -> Outcome:
        begun = time.monotonic()
        try:
            filed = self.filer.file(study)
        except IntervalChangeError as problem:
            state, why = self._failed(study, problem), problem.what
            return Outcome(study, state, why, time.monotonic() - begun)
        except Exception as problem:  # one study must not end the watch
            state, why = (
                self._again(study, f"a fault ({type(problem).__name__})."),
                f"a fault: {type(problem).__name__}",
            )
            return Outcome(study, state, why, time.monotonic() - begun)
        self._done(study, lambda: self.ledger.filed(study))
        why = f"the answer was there already; {filed.why}" if filed.was_there else filed.why
        return Outcome(study, "filed", why, time.monotonic() - begun, filed.prior_study, self._link(filed))

    def _failed(self, study: str, problem: IntervalChangeError) -> State:
        if isinstance(problem, (NoFrontalFilmError, ImageError)):
            return self._again(study, problem.what)
        if isinstance(problem, InputError):
            self._done(study, lambda: self.ledger.refused(study, problem.what))
            return "refused"
        self.ledger.put_off(study, problem.what, self._clock())
        return "waiting"

    def _again(self, study: str, why: str) -> State:
        if self.ledger.put_off(study, why, self._clock(), failed=True) < self.options.tries:
            return "waiting"
        self._done(study, lambda: self.ledger.refused(study, why))
        return "refused"

    def _done(self, study: str, note: Callable[[], None]) -> None:
        note()
        if self.arrivals:
            self.arrivals.drop(study)

    def _link(self, filed: Filed) -> str:
        return compare_link(self.options.viewer, filed.study, filed.prior_study) if self.options.viewer else ""


def file_once(filer: StudyFiler, studies: Iterable[str]) -> list[Outcome]:
    """Answer each of these. Raises ArchiveError: who calls this calls it again."""
    outcomes = []
    for study in studies:
        begun = time.monotonic()
        try:
            filed = filer.file(study)
        except InputError as problem:
            outcomes.append(Outcome(study, "refused", problem.what, time.monotonic() - begun))
        else:
            outcomes.append(Outcome(study, "filed", filed.why, time.monotonic() - begun, filed.prior_study))
    return outcomes


def compare_link(viewer: str, current_study: str, prior_study: str) -> str:
    """The page of an OHIF viewer that shows two studies beside each other, the current one first."""
    studies = f"StudyInstanceUIDs={current_study},{prior_study}"
    return f"{viewer.rstrip('/')}/viewer?{studies}&hangingprotocolId={COMPARE}"


def watch(watcher: Watcher, say: Callable[[str], None], report: Callable[[Outcome], None]) -> None:
    """Until interrupted. say: what a log gets. report: every try."""
    problem = ""
    while True:
        begun = time.monotonic()
        try:
            outcomes = watcher.step()
            problem = ""
        except ArchiveError as error:
            if error.what != problem:  # Said once, not every five seconds of a night.
                say(str(error))
            problem, outcomes = error.what, iter(())
        for outcome in outcomes:
            say(outcome.line)
            report(outcome)
        time.sleep(max(0.0, watcher.options.every - (time.monotonic() - begun)))
