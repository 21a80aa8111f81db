"""The answers of a model on disk, so that an interrupted suite resumes with the questions that are left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from intervalchange.consistency.answerers import Answerer, LocalModel, PairQuestion
from intervalchange.data.region_store import weight_hash
from intervalchange.errors import SourceError
from intervalchange.evaluation.answers.json_lines import drop_torn_line, json_line, lines

OPENING = b'{"key": "'
"""What every line begins with."""


class KeptAnswers:
    """Lines of `{"key", "answer"}`, appended and flushed with each `add`.

    A key is the SHA-256 of the model (its name, and the weights of a run of ours), both films and the question: other
    films, words or weights make another question. A last line without its end is dropped. Raises SourceError where the
    file is something else. Answers of an endpoint are kept whatever model stands behind it now: remove the file to
    ask again.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.known = self._read() if self.path.exists() else {}

    def _read(self) -> dict[str, str]:
        """The answers of the file. A torn last line is cut off once the rest is known to be ours."""
        answers = {}
        for number, line in lines(self.path):
            if not line.endswith(b"\n"):
                break
            plain = json_line(line, f"{self.path}, line {number}")
            if not (isinstance(plain.get("key"), str) and isinstance(plain.get("answer"), str)):
                raise SourceError(
                    "not an answer that the consistency suite has kept.",
                    where=f"{self.path}, line {number}",
                    remedy="Give another --out, or remove the file.",
                )
            answers[plain["key"]] = plain["answer"]
        drop_torn_line(self.path, (OPENING,))
        return answers

    def add(self, keys: Sequence[str], answers: Sequence[str]) -> None:
        """Note answers and hand them to the disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            for key, answer in zip(keys, answers, strict=True):
                file.write(json.dumps({"key": key, "answer": answer}, ensure_ascii=False) + "\n")
        self.known |= dict(zip(keys, answers, strict=True))


def identity(answerer: Answerer, name: str) -> str:
    """The name of a model, with the hash of its weights where it is ours."""
    weights = weight_hash(answerer.predictor.model.state_dict()) if isinstance(answerer, LocalModel) else ""
    return f"{name} {weights}"


def key_of(model: str, question: PairQuestion) -> str:
    """SHA-256 of a model's identity, both films and the question."""
    prior, current, words = question
    state = hashlib.sha256(json.dumps([model, words, prior.shape, current.shape]).encode())
    state.update(prior.tobytes())
    state.update(current.tobytes())
    return state.hexdigest()
