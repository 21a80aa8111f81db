"""What a model of others is shown and asked: the one place of its wording.

In a template {prior} and {current} stand where the films do, {question} where the question. The order of the films is
said in words as well: many chat templates put all images first, and labels between them move.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intervalchange.errors import ConfigError
from intervalchange.foreign_models.records import FilmQuestion

ORDER = (
    "These are two frontal chest radiographs of one patient. The first image is the prior film (the earlier one, "
    "called the reference image); the second is the current film (the later one, called the main image)."
)
FORMS: Mapping[str, str] = {
    "prose": "Answer in a few short sentences: say of each finding that is on either film whether it is new, resolved, "
    'worse, better or unchanged on the current film. If nothing has changed, answer "Nothing has changed."',
    "table": "Answer with a table and nothing else: the header `| finding | change |`, then one row for each finding "
    "that is on either film; change is one of new, resolved, worse, better, stable.",
    "json": "Answer with one JSON object and nothing else: "
    '{"new": [], "resolved": [], "worse": [], "better": [], "stable": []}, each a list of findings.',
}
"""Form of answer -> how it is asked for. All of them are read by `read_answer`."""
PRIOR_FIRST = "{prior}{current}"
ONE_FILM = "{current}This is a frontal chest radiograph.\n\n{question}\n\nAnswer in a few words."
"""For questions about the current film alone."""
_MARK = re.compile(r"\{(prior|current|question)\}")


@dataclass(frozen=True)
class Prompt:
    """The templates of what is shown and asked."""

    two_films: str
    one_film: str = ONE_FILM
    system: str = ""
    """What stands before the question as the system's, if anything."""

    def parts(self, question: FilmQuestion) -> list[np.ndarray | str]:
        """Films and texts, in the order in which they are shown."""
        shown = {"prior": question.prior, "current": question.current, "question": question.words}
        parts: list[np.ndarray | str] = []
        for number, piece in enumerate(_MARK.split(self.one_film if question.prior is None else self.two_films)):
            part = shown[piece] if number % 2 else piece
            if isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            elif part is not None and not (isinstance(part, str) and not part):
                parts.append(part)
        return parts

    def text(self, question: str) -> str:
        """What is written about two films, without them."""
        film = np.zeros((1, 1), np.uint8)
        return "".join(part for part in self.parts(FilmQuestion(film, film, question)) if isinstance(part, str))

    @property
    def order(self) -> str:
        """`prior, current` or `current, prior`."""
        return ", ".join(name for name in _MARK.findall(self.two_films) if name != "question")

    @property
    def asks(self) -> bool:
        """Whether it puts the question: a model of reports has one fixed prompt."""
        return "{question}" in self.two_films

    @property
    def sha256(self) -> str:
        """Of all templates."""
        return hashlib.sha256(json.dumps([self.two_films, self.one_film, self.system]).encode()).hexdigest()

    def __str__(self) -> str:
        return f"[{self.system}]\n{self.two_films}" if self.system else self.two_films


def common_prompt(answer_as: str) -> Prompt:
    """For a model that is asked in no way of its own. Raises ConfigError for an unknown form of answer."""
    if answer_as not in FORMS:
        raise ConfigError(f"there is no form of answer {answer_as!r}.", remedy=f"Choose from {', '.join(FORMS)}.")
    return Prompt(f"{PRIOR_FIRST}{ORDER}\n\n{{question}}\n\n{FORMS[answer_as]}")


def prompt_of_file(path: Path, order: str) -> Prompt:
    """A user's own. order: of the films, which stand first where the file does not place them. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"the prompt cannot be read ({problem}).", where=path, remedy="Give a text file.") from None
    if "{question}" not in text:
        raise ConfigError("the prompt has no {question}.", where=path, remedy="Write {question} where it belongs.")
    placed = sorted(name for name in _MARK.findall(text) if name != "question")
    if placed not in ([], ["current", "prior"]):
        raise ConfigError(
            "the prompt does not place both films once.",
            where=path,
            remedy="Write {prior} and {current} where they belong, or neither: they then stand first.",
        )
    return Prompt(text if placed else order + text)
