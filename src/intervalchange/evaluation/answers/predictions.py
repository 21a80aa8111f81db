"""Predictions files: one JSON object a line, joined by (case_id, condition) and never by position.

The first line may say where the answers come from: `{"provenance": {...}}`. Files from elsewhere may leave it out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from intervalchange.errors import SourceError
from intervalchange.records import CONDITIONS, Prediction

Key = tuple[str, str]
"""(case_id, condition)."""

LONGEST_LINE = 1 << 24
"""Bytes of a line; a longer one is no answer, and is refused before it fills the memory."""

NEEDED = ("case_id", "patient_id", "kind", "question", "answer")
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
    """The films are simulated: metrics are no ranking on patients."""
    training_answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Question -> answer -> how often it is the answer among the training cases."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth keeping: seed, version, ..."""

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
        texts = {name: str(fields.pop(name, None) or "") for name in ("run", "data", "source", "split", "split_hash")}
        simulated = bool(fields.pop("simulated", False))
        more = {**(fields.pop("more", None) or {}), **fields}
        return cls(**texts, simulated=simulated, training_answers=answers, more=more)


def decoded(content: bytes, where: str | Path) -> str:
    """UTF-8 bytes, with or without a byte order mark, as text. Raises SourceError saying where it is something else."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        place = f"byte {content[error.start]:#04x}" + (f" in line {line}" if content.count(b"\n") > 1 else "")
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise SourceError(
            f"is not UTF-8 ({'it looks like UTF-16' if wide else place}).",
            where=where,
            remedy=f"Convert it: iconv -f {'UTF-16' if wide else 'LATIN1'} -t UTF-8 OLD > NEW.",
        ) from None


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, bytes with their end) of each line of a file, one at a time. Raises SourceError on one that is longer
    than LONGEST_LINE or where the file cannot be read."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise SourceError(
                        f"the line is longer than {LONGEST_LINE:,} bytes.",
                        where=f"{path}, line {number}",
                        remedy="Write one answer a line; a file that is one JSON list is read with --format coco.",
                    )
                yield number, line
    except OSError as error:
        raise SourceError(
            f"cannot be read ({error.strerror}).", where=path, remedy="Give the file that `predict --out` wrote."
        ) from None


def drop_torn_line(path: Path, openings: tuple[bytes, ...]) -> None:
    """Cut off a last line without its end, which a write that was stopped has left. Raises SourceError where no line of
    ours begins so: the file is somebody else's, and is left as it is."""
    content = path.read_bytes()
    number, whole = content.count(b"\n") + 1, content.rfind(b"\n") + 1
    torn = content[whole:]
    if not any(opening.startswith(torn[: len(opening)]) for opening in openings):
        raise SourceError(
            "the last line was not written by this command.",
            where=f"{path}, line {number}",
            remedy="Give another --out, or remove the file.",
        )
    if torn:
        with path.open("rb+") as file:
            file.truncate(whole)


def _refused(constant: str) -> NoReturn:
    raise ValueError(f'{constant} is no JSON; an empty answer is written as ""')


def json_value(text: str, where: str | Path, remedy: str = "") -> Any:
    """A JSON document, NaN and Infinity refused. Raises SourceError."""
    try:
        return json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"not valid JSON ({error}).", where=where, remedy=remedy) from None


def json_line(line: bytes, where: str) -> dict[str, Any]:
    """The object of one line. Raises SourceError."""
    torn = not line.endswith(b"\n")
    remedy = "The last line is cut off: run `predict` again, it goes on from there." if torn else ""
    plain = json_value(decoded(line, where), where, remedy)
    if not isinstance(plain, dict):
        raise SourceError("a line must be a JSON object.", where=where, remedy="Write one object per answer.")
    return plain


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


class Answered:
    """The keys of a file and the lines they were in; a second answer to one is refused."""

    def __init__(self) -> None:
        self._places: dict[Key, int | str] = {}

    def add(self, case_id: str, condition: str, place: int | str, where: str) -> None:
        """Note an answer. place: the number of its line, or words. Raises SourceError naming both places."""
        earlier = self._places.setdefault((case_id, condition), place)
        if earlier != place:
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
    answered = Answered()
    shared: dict[str, str] = {}  # Answers and questions repeat: each text is kept once.
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
        plain = {
            name: shared.setdefault(value, value) if isinstance(value, str) else value for name, value in plain.items()
        }
        prediction = prediction_of(plain, where)
        answered.add(prediction.case_id, prediction.condition, number, where)
        predictions.append(prediction)
    return provenance, predictions


class PredictionWriter:
    """Appends answers to a predictions file; a run that was interrupted goes on where it stopped.

    `done` holds the keys that are already there. A last line without its end is dropped. A file written by another
    run, or on other data, is refused.

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
        whole = [(number, line) for number, line in lines(self.path) if line.endswith(b"\n")]
        found, predictions = _answers_of(whole, self.path)
        if self.provenance is not None and whole:
            mine, theirs = self.provenance, found or Provenance()
            for name in ("run", "data", "split", "split_hash"):
                if getattr(mine, name) != getattr(theirs, name):
                    raise SourceError(
                        f"holds answers of another {name.replace('_', ' ')} "
                        f"({getattr(theirs, name)!r}, now {getattr(mine, name)!r}).",
                        where=self.path,
                        remedy="Give another --out, or remove the file.",
                    )
        drop_torn_line(self.path, OPENINGS)
        self.done = {(prediction.case_id, prediction.condition) for prediction in predictions}
        return bool(whole)

    def _line(self, plain: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")

    def write(self, *predictions: Prediction) -> None:
        """Append answers and hand them to the disk. Keys that are already there are refused."""
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
