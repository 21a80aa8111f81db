"""The run folder: what it records, and what survives `kill -9`.

    run.json       what was trained, on what, by whom; `finished` becomes true at the very end
    log.jsonl      one line a log: step, epoch, loss, terms, validation scores
    checkpoints/   checkpoint-STEP/, with `complete.json` written last; one without it does not count
    config.json, model.safetensors, tokenizer.json: the chosen weights

Every file that says something is finished is written beside its place, flushed to the disk, and moved there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from intervalchange.atomic_files import flush, write_durably
from intervalchange.errors import RunError

MARKER = "complete.json"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose marker is there."""

    path: Path
    step: int
    spent: float
    """Seconds of the budget used up to it."""


class RunFolder:
    """Paths and records of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        self.checkpoints = self.path / "checkpoints"
        self.record = self.path / "run.json"
        self.log = self.path / "log.jsonl"

    def open(
        self,
        facts: Mapping[str, Any],
        renamed: Mapping[str, str] = MappingProxyType({}),
        defaults: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> bool:
        """Begin a run or take it up again; True where it has finished.

        `facts["fingerprint"]` tells whether it is the same run. renamed: former name of a model option -> its name
        today. defaults: of the options by section; what a run of an earlier version does not record is that. Raises
        RunError where the folder holds something else.
        """
        if not self.record.is_file():
            if self.path.is_dir() and any(self.path.iterdir()):
                raise RunError(
                    "the folder is not empty and holds no run.", where=self.path, remedy="Choose another --out."
                )
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.record, {**facts, "finished": False})
            return False
        there = read_json(self.record)
        model = (there.get("fingerprint") or {}).get("model") or {}
        for former in renamed.keys() & model.keys():
            model[renamed[former]] = model.pop(former)
        for section, options in defaults.items():
            recorded = (there.get("fingerprint") or {}).get(section, {})
            recorded |= {name: value for name, value in options.items() if name not in recorded}
        if there.get("fingerprint") != facts["fingerprint"]:
            raise RunError(
                f"the folder holds another run: {_difference(there, facts)}.",
                where=self.path,
                remedy="Choose another --out, or delete the folder.",
            )
        return bool(there.get("finished"))

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Mark the run as finished, with what is only known at the end."""
        write_json(self.record, {**read_json(self.record), **facts, "finished": True})

    def complete_checkpoints(self) -> list[Checkpoint]:
        """Checkpoints that count, oldest first."""
        found = []
        for path in self.checkpoints.glob("checkpoint-*"):
            step = re.fullmatch(r"checkpoint-(\d+)", path.name)
            if step and (path / MARKER).is_file():
                found.append(Checkpoint(path, int(step[1]), float(read_json(path / MARKER).get("spent", 0.0))))
        return sorted(found, key=lambda checkpoint: checkpoint.step)

    def clear(self) -> Checkpoint | None:
        """Remove what an interruption left half-written; return the checkpoint to continue from."""
        complete = self.complete_checkpoints()
        keep = {checkpoint.path for checkpoint in complete}
        for path in self.checkpoints.glob("*"):
            if path not in keep:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._cut_log(complete[-1].step if complete else 0)
        return complete[-1] if complete else None

    def seal(self, step: int, spent: float) -> None:
        """Flush a checkpoint to the disk and mark it as complete."""
        path = self.checkpoints / f"checkpoint-{step}"
        for file in path.rglob("*"):
            if file.is_file():
                flush(file)
        write_json(path / MARKER, {"step": step, "spent": spent})
        flush(self.checkpoints)

    def prune(self, best: int | None) -> None:
        """Keep the two newest complete checkpoints and the best one."""
        complete = self.complete_checkpoints()
        for checkpoint in complete[:-2]:
            if checkpoint.step != best:
                # Without its marker first, so that a half-removed checkpoint never counts.
                (checkpoint.path / MARKER).unlink()
                shutil.rmtree(checkpoint.path)

    def append_log(self, line: Mapping[str, Any]) -> None:
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def _cut_log(self, step: int) -> None:
        """Drop lines that were logged after a step: they will be logged again."""
        if not self.log.is_file():
            return
        kept = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError):
                continue
        write_durably(self.log, "".join(kept).encode())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of the run folder."""
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError("the file is damaged.", where=path, remedy="Delete the run folder and train again.") from error
    return facts


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """A JSON object, whole or not at all."""
    write_durably(path, (json.dumps(value, indent=1, sort_keys=False) + "\n").encode())


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first fact of two runs' fingerprints that differs, in words."""
    left, right = _flat(there.get("fingerprint") or {}), _flat(here["fingerprint"])
    for key in sorted(left.keys() | right.keys()):
        if left.get(key) != right.get(key):
            return f"{key} was {left.get(key)!r}, now {right.get(key)!r}"
    return "it has no fingerprint"


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {f"{prefix}{key}": item}
    return flat
