"""What a watcher has seen, and what became of it: kept on disk, so that a kill changes nothing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["passed", "waiting", "filed", "refused"]
"""passed: there before the watcher was."""
LONGEST_WAIT = 300.0
"""Seconds between two tries."""
TABLE = """
CREATE TABLE IF NOT EXISTS studies (
  study TEXT PRIMARY KEY, state TEXT NOT NULL, due REAL NOT NULL, waits INTEGER NOT NULL, failures INTEGER NOT NULL,
  detail TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class Entry:
    """A study of the ledger."""

    study: str
    state: State
    failures: int
    """Of the study itself, not of the archive."""
    detail: str
    """Why it was refused or put off; empty otherwise."""


class Ledger:
    """One row a study. Every change is on the disk when its method returns.

    UIDs and reasons are all that is kept; the file is readable by its owner alone.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._data = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._data.execute("PRAGMA journal_mode=WAL")
        self._data.execute("PRAGMA synchronous=FULL")
        self._data.execute(TABLE)

    @property
    def is_new(self) -> bool:
        """Whether nobody has called `begin` yet."""
        return self._rows("PRAGMA user_version") == [(0,)]

    def begin(self, present: Iterable[str]) -> None:
        """From now on studies are answered; those that are `present` are not, unless they were added before."""
        self._add(present, "passed", 0.0)
        self._write("PRAGMA user_version = 1")

    def add(self, studies: Iterable[str], due: float) -> None:
        """Studies to be answered at `due` (seconds of the epoch) or later; those that are known stay as they are."""
        self._add(studies, "waiting", due)

    def due(self, now: float) -> list[str]:
        """Studies to be answered now, in the order in which they were seen."""
        rows = self._rows("SELECT study FROM studies WHERE state = 'waiting' AND due <= ? ORDER BY rowid", now)
        return [study for (study,) in rows]

    def filed(self, study: str) -> None:
        """Its answer is in the archive."""
        self._set(study, "filed", "")

    def refused(self, study: str, why: str) -> None:
        """It will not be answered."""
        self._set(study, "refused", why)

    def put_off(self, study: str, why: str, now: float, *, failed: bool = False, first: float = 2.0) -> int:
        """Try again later, each time twice as late. failed: it was the study's own fault, not one of the archive or of
        too much to do. Returns how often it was."""
        ((waits, failures),) = self._rows("SELECT waits, failures FROM studies WHERE study = ?", study)
        due, failures = now + min(LONGEST_WAIT, first * 2.0 ** min(waits, 20)), failures + failed
        put_off = "UPDATE studies SET waits = waits + 1, failures = ?, due = ?, detail = ? WHERE study = ?"
        self._write(put_off, failures, due, why, study)
        return int(failures)

    def entries(self) -> list[Entry]:
        """All of it, in the order in which studies were seen."""
        return [Entry(*row) for row in self._rows("SELECT study, state, failures, detail FROM studies ORDER BY rowid")]

    def close(self) -> None:
        """Close the file."""
        self._data.close()

    def _add(self, studies: Iterable[str], state: State, due: float) -> None:
        with self._lock:
            rows = [(study, state, due, 0, 0, "") for study in studies]
            self._data.execute("BEGIN IMMEDIATE")
            self._data.executemany("INSERT OR IGNORE INTO studies VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._data.execute("COMMIT")

    def _set(self, study: str, state: State, detail: str) -> None:
        self._write("UPDATE studies SET state = ?, detail = ? WHERE study = ?", state, detail, study)

    def _write(self, command: str, *values: object) -> None:
        with self._lock:
            self._data.execute(command, values)

    def _rows(self, command: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, closing(self._data.execute(command, values)) as found:
            return found.fetchall()
