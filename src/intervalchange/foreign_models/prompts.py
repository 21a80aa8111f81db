"""What a model of others is asked: the one place of its wording.

The order of the films is said in words: many chat templates put all images first, and labels between them move.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from intervalchange.errors import ConfigError

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
ONE_FILM = "This is a frontal chest radiograph.\n\n{question}\n\nAnswer in a few words."
"""For questions about the current film alone."""


@dataclass(frozen=True)
class Prompt:
    """The texts around a question; the films stand in front of them, the prior first."""

    two_films: str
    one_film: str = ONE_FILM

    def text(self, question: str, films: int) -> str:
        """What is written under one or two films."""
        return (self.two_films if films == 2 else self.one_film).replace("{question}", question)

    @property
    def sha256(self) -> str:
        """Of both texts."""
        return hashlib.sha256(json.dumps([self.two_films, self.one_film]).encode()).hexdigest()


def prompt_of(answer_as: str, path: Path | None) -> Prompt:
    """The prompt for a form of answer, or that of a file. Raises ConfigError for what is neither."""
    if path is None:
        if answer_as not in FORMS:
            raise ConfigError(f"there is no form of answer {answer_as!r}.", remedy=f"Choose from {', '.join(FORMS)}.")
        return Prompt(f"{ORDER}\n\n{{question}}\n\n{FORMS[answer_as]}")
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"the prompt cannot be read ({problem}).", where=path, remedy="Give a text file.") from None
    if "{question}" not in text:
        raise ConfigError("the prompt has no {question}.", where=path, remedy="Write {question} where it belongs.")
    return Prompt(text)
