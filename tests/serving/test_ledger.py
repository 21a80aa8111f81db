"""What was seen stays seen."""

from __future__ import annotations

import stat
from pathlib import Path

from intervalchange.serving.ledger import LONGEST_WAIT, Entry, Ledger


def test_a_study_is_due_once_it_has_settled_and_never_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state" / "ledger.sqlite")
    ledger.add(["1.1", "1.2"], due=10.0)
    ledger.add(["1.1"], due=99.0)  # Seen again.
    assert ledger.due(9.0) == []
    assert ledger.due(10.0) == ["1.1", "1.2"]
    ledger.filed("1.1")
    ledger.refused("1.2", "there is no prior.")
    assert ledger.due(1e9) == []
    ledger.add(["1.1", "1.2"], due=0.0)
    assert ledger.due(1e9) == []


def test_what_is_put_off_comes_later_and_later(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.add(["1.1"], due=0.0)
    assert [ledger.put_off("1.1", "down", now=100.0) for _ in range(3)] == [0, 0, 0]
    assert ledger.due(107.9) == [] and ledger.due(108.0) == ["1.1"]
    for _ in range(50):
        ledger.put_off("1.1", "down", now=0.0)
    assert ledger.due(LONGEST_WAIT) == ["1.1"]
    assert [ledger.put_off("1.1", "damaged", now=0.0, failed=True) for _ in range(2)] == [1, 2]
    assert ledger.entries() == [Entry("1.1", "waiting", 2, "damaged")]


def test_it_is_on_the_disk_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.sqlite"
    first = Ledger(path)
    assert first.is_new
    first.add(["1.9"], due=0.0)
    first.begin(["1.1", "1.9"])
    second = Ledger(path)  # As after a kill: the first was never closed.
    assert not second.is_new
    assert [(entry.study, entry.state) for entry in second.entries()] == [("1.9", "waiting"), ("1.1", "passed")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
