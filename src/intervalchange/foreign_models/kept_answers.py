"""The answers of a model on disk as they come, so that an interrupted command resumes with the questions left."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from intervalchange.errors import SourceError
from intervalchange.evaluation.answers.json_lines import drop_torn_line, json_line, lines
from intervalchange.foreign_models.records import FilmQuestion, Reply

OPENING = b'{"key": "'
"""What every line begins with."""
ENDING = ".answers.jsonl"
"""Of the file beside the one that a command writes."""


class KeptAnswers:
    """Lines of `{"key", "answer", ...}`, appended and flushed with each `add`; in memory alone where there is no path.

    A key is the SHA-256 of the model (its name, its weights or how it is asked), both films, the question and which
    sample it is: other films, words or weights make another question. A last line without its end is dropped. Raises
    SourceError where the file is something else. Answers of an endpoint are kept whatever model stands behind it now:
    remove the file to ask again.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.known = self._read(self.path) if self.path is not None and self.path.exists() else {}

    @classmethod
    def beside(cls, out: Path) -> KeptAnswers:
        """Those of the command that writes `out`."""
        return cls(out.with_suffix(ENDING))

    def _read(self, path: Path) -> dict[str, Reply]:
        """The answers of the file. A torn last line is cut off once the rest is known to be ours."""
        answers = {}
        for number, line in lines(path):
            if not line.endswith(b"\n"):
                break
            plain = json_line(line, f"{path}, line {number}")
            if not (isinstance(plain.get("key"), str) and isinstance(plain.get("answer"), str)):
                raise SourceError(
                    "not an answer that this command has kept.",
                    where=f"{path}, line {number}",
                    remedy="Give another --out, or remove the file.",
                )
            answers[plain["key"]] = Reply(plain["answer"], bool(plain.get("cut")), plain.get("log_probability"))
        drop_torn_line(path, (OPENING,))
        return answers

    def add(self, key: str, reply: Reply) -> None:
        """Note an answer and hand it to the disk."""
        self.known[key] = reply
        if self.path is None:
            return
        plain: dict[str, Any] = {"key": key, "answer": reply.text, **({"cut": True} if reply.cut else {})}
        if reply.log_probability is not None:
            plain["log_probability"] = reply.log_probability
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(plain, ensure_ascii=False) + "\n")

    def remove(self) -> None:
        """Remove the file, of which the answers now stand elsewhere."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def key_of(model: str, question: FilmQuestion) -> str:
    """SHA-256 of a model's identity, the films and the question; each sample has its own."""
    shape = None if question.prior is None else question.prior.shape
    asked = [model, question.words, shape, question.current.shape, *([question.sample] if question.sample else [])]
    state = hashlib.sha256(json.dumps(asked).encode())
    for film in (question.prior, question.current):
        if film is not None:
            state.update(film.tobytes())
    return state.hexdigest()
