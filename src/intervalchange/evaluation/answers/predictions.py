"""Predictions files: one JSON object per line, joined by (case_id, condition) and never by position.

The first line may say where the answers come from: `{"provenance": {...}}`. Files from elsewhere may leave it out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from intervalchange.errors import SourceError
from intervalchange.evaluation.answers.json_lines import drop_torn_line, json_line, lines
from intervalchange.records import CONDITIONS, Prediction

Key = tuple[str, str]
"""(case_id, condition)."""

NEEDED = ("case_id", "patient_id", "kind", "question", "answer")
REPEATED = ("patient_id", "kind", "condition", "question", "answer", "reference")
"""Texts that many lines share: each is kept once."""
RESUMED = ("run", "data", "split", "split_hash")
"""Of the provenance: what must be the same for a file to be continued."""
ASKED = ("profile", "prompt_sha256", "parameters", "samples", "weights")
"""Of `Provenance.more`: how a model of others was asked."""
OPENINGS = (b'{"provenance": ', b'{"case_id": ')
"""What a line of ours begins with."""


@dataclass(frozen=True)
class Provenance:
    """Where the answers of a file come from."""

    run: str = ""
    """The run folder or hub name that answered."""
    data: str = ""
    """Hash of the manifest of the prepared folder."""
    source: str = ""
    """Name of the data set."""
    split: str = ""
    split_hash: str = ""
    simulated: bool = False
    """The films are simulated: metrics are not a ranking on patients."""
    training_answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Question -> answer -> how often it is the answer among the training cases."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth keeping: seed, version, ..."""
    protocol: str = ""
    """Whose rows these are: `ours`, or `published` (of the field), with what is missing of them; empty: not known."""

    def as_json(self) -> dict[str, Any]:
        """The first line of a predictions file."""
        return {
            "provenance": {
                "run": self.run,
                "data": self.data,
                "source": self.source,
                "split": self.split,
                "split_hash": self.split_hash,
                "simulated": self.simulated,
                **({"protocol": self.protocol} if self.protocol else {}),
                "training_answers": {question: dict(counts) for question, counts in self.training_answers.items()},
                **({"more": dict(self.more)} if self.more else {}),
            }
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Provenance:
        """The inverse of `as_json`; fields with other names go to `more`. Raises TypeError on another shape."""
        fields = dict(plain.get("provenance", plain))
        answers = fields.pop("training_answers", None) or {}
        for counts in answers.values():
            if not isinstance(counts, dict) or not all(isinstance(count, int) for count in counts.values()):
                raise TypeError("training_answers must be question -> answer -> count")
        names = ("run", "data", "source", "split", "split_hash", "protocol")
        texts = {name: str(fields.pop(name, None) or "") for name in names}
        simulated = bool(fields.pop("simulated", False))
        more = {**(fields.pop("more", None) or {}), **fields}
        return cls(**texts, simulated=simulated, training_answers=answers, more=more)


def prediction_of(plain: Mapping[str, Any], where: str) -> Prediction:
    absent = [name for name in NEEDED if plain.get(name) is None]
    if absent:
        raise SourceError(
            f"the field{'s' * (len(absent) > 1)} {', '.join(absent)} must be given.",
            where=where,
            remedy=f"Every line needs {', '.join(NEEDED)}.",
        )
    for name in ("kind", "question", "answer", "reference"):
        if not isinstance(plain.get(name, ""), str | None):
            raise SourceError(f"{name} must be text.", where=where, remedy="Put it in quotation marks.")
    if plain.get("condition", "given") not in CONDITIONS:
        raise SourceError(
            f"unknown condition {plain['condition']!r}.", where=where, remedy=f"It is one of {', '.join(CONDITIONS)}."
        )
    confidence = plain.get("confidence")
    if confidence is not None:
        values = confidence.values() if isinstance(confidence, dict) else [None]
        if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in values):
            raise SourceError(
                "confidence must be an object of probabilities.", where=where, remedy='As in {"answer": 0.8}.'
            )
    try:
        return Prediction.from_json(plain)
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"a field has another shape than expected ({error!r}).",
            where=where,
            remedy='change is {"added": [], "missing": [], "levels": [{"finding", "prior", "current"}]} or left out.',
        ) from None


def provenance_of(plain: Mapping[str, Any], where: str) -> Provenance:
    """The provenance of a first line. Raises SourceError on another shape."""
    try:
        return Provenance.from_json(plain)
    except (TypeError, AttributeError, ValueError) as error:
        raise SourceError(f"the provenance line cannot be read ({error}).", where=where) from None


class AnsweredKeys:
    """The keys of a file and the lines they were in; a second answer to one is refused."""

    def __init__(self) -> None:
        self._lines: dict[Key, int | str] = {}

    def add(self, case_id: str, condition: str, line: int | str, where: str) -> None:
        """Note an answer. line: its number, or words. Raises SourceError naming both lines."""
        earlier = self._lines.setdefault((case_id, condition), line)
        if earlier != line:
            raise SourceError(
                f"case {case_id} under condition {condition} was already answered in "
                f"{f'line {earlier}' if isinstance(earlier, int) else earlier}.",
                where=where,
                remedy="Keep one answer per case and condition.",
            )


def read_predictions(path: str | Path) -> tuple[Provenance | None, list[Prediction]]:
    """All answers of a file, with the provenance line where it has one. Raises SourceError naming file and line."""
    return _answers_of(lines(Path(path)), Path(path))


def _answers_of(numbered: Iterable[tuple[int, bytes]], path: Path) -> tuple[Provenance | None, list[Prediction]]:
    """`read_predictions` for some of a file's lines."""
    provenance: Provenance | None = None
    predictions: list[Prediction] = []
    answered = AnsweredKeys()
    shared: dict[str, str] = {}
    first = True
    for number, line in numbered:
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        plain = json_line(line, where)
        opening, first = first, False
        if opening and ("provenance" in plain or ("case_id" not in plain and "answer" not in plain)):
            provenance = provenance_of(plain, where)
            continue
        for name in REPEATED:
            value = plain.get(name)
            if isinstance(value, str):
                plain[name] = shared.setdefault(value, value)
        prediction = prediction_of(plain, where)
        answered.add(prediction.case_id, prediction.condition, number, where)
        predictions.append(prediction)
    return provenance, predictions


class PredictionWriter:
    """Appends answers to a predictions file; an interrupted run resumes.

    `done` holds the keys that are already in the file. A last line without its end is dropped. A file written by
    another run, or on other data, is refused.

        with PredictionWriter(path, provenance) as writer:
            writer.write(prediction)
    """

    def __init__(self, path: str | Path, provenance: Provenance | None = None) -> None:
        self.path = Path(path)
        self.provenance = provenance
        self.done: set[Key] = set()

    def __enter__(self) -> PredictionWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self.path.exists() or not self._resume()
        self._file = self.path.open("a", encoding="utf-8", newline="\n")
        if fresh and self.provenance is not None:
            self._line(self.provenance.as_json())
            self._file.flush()
        return self

    def _resume(self) -> bool:
        """Learn the keys, then, all of it being ours, cut off a torn last line; False where nothing is left."""
        complete = [(number, line) for number, line in lines(self.path) if line.endswith(b"\n")]
        provenance, predictions = _answers_of(complete, self.path)
        if not predictions and len(complete) == 1 and complete[0][1].startswith(OPENINGS[0]):
            self.path.write_bytes(b"")  # Nothing was answered: whoever began it, it is begun anew.
            return False
        if self.provenance is not None and complete:
            mine, theirs = self.provenance, provenance or Provenance()
            pairs = {name: (getattr(theirs, name), getattr(mine, name)) for name in RESUMED}
            pairs |= {name: (theirs.more.get(name), mine.more.get(name)) for name in ASKED}
            for name, (old, new) in pairs.items():
                if old != new:
                    raise SourceError(
                        f"holds answers of another {name.replace('_', ' ')} ({old!r}, now {new!r}).",
                        where=self.path,
                        remedy="Give another --out, or remove the file.",
                    )
        drop_torn_line(self.path, OPENINGS)
        self.done = {(prediction.case_id, prediction.condition) for prediction in predictions}
        return bool(complete)

    def _line(self, plain: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")

    def write(self, *predictions: Prediction) -> None:
        """Append answers and hand them to the disk. Keys that are already in the file are refused."""
        for prediction in predictions:
            key = (prediction.case_id, prediction.condition)
            if key in self.done:
                raise SourceError(
                    f"case {key[0]} under condition {key[1]} is already answered.",
                    where=self.path,
                    remedy="Skip the keys in `done`.",
                )
            self._line(prediction.as_json())
            self.done.add(key)
        self._file.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def write_predictions(
    path: str | Path, predictions: Iterable[Prediction], provenance: Provenance | None = None
) -> None:
    """Write a whole file at once; an existing one is replaced."""
    path = Path(path)
    path.unlink(missing_ok=True)
    with PredictionWriter(path, provenance) as writer:
        writer.write(*predictions)
