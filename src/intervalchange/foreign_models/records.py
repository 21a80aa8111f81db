"""What passes between a question and the model of somebody else. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

PREFIXES = ("openai:", "hf:")
"""What the name of a model of others begins with."""

MOST_TOKENS = 512
"""Of an answer, where neither the user nor a profile says."""

Key = TypeVar("Key")


def is_foreign(name: object) -> bool:
    """Whether a name is that of a model of others."""
    return isinstance(name, str) and name.startswith(PREFIXES)


@dataclass(frozen=True, slots=True, eq=False)
class FilmQuestion:
    """Two films and what is asked about them."""

    prior: np.ndarray | None
    """(s, s) uint8, white is dense; None for a question about one film."""
    current: np.ndarray
    words: str
    sample: int = 0
    """0 is the answer; others are drawn at a temperature, each another one."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said."""

    text: str
    cut: bool = False
    """It stopped at the limit of tokens, not at the end of what it had to say."""
    log_probability: float | None = None
    """Mean over its tokens, where the model gives it."""


class FilmModel(Protocol):
    """A model of two films."""

    def replies(self, questions: Iterable[tuple[Key, FilmQuestion]]) -> Iterator[tuple[Key, Reply]]:
        """A reply to each question, under its key, in the order in which they come. Questions are taken as needed."""


@dataclass(frozen=True)
class ForeignOptions:
    """How a model of others is asked."""

    answer_as: str = "prose"
    """The form of answer that the prompt wants (`prompts.FORMS`)."""
    prompt: Path | None = None
    """A file with a prompt of one's own for questions about two films; `{question}` stands for the question."""
    profile: str | None = None
    """How a kind of model wants to be asked (`profiles`), or `none`; by the model's name where it is not given."""
    max_tokens: int | None = None
    """Of an answer; where it is not given, what the profile says, else 512."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the request (`openai:`) or of `generate` (`hf:`); None takes a field out."""
    samples: int = 0
    """Further answers to each question, from which confidence is taken in place of the probability of tokens."""
    batch_size: int | None = None
    """Questions that `hf:` answers together; 4 where it is not given."""
    concurrency: int | None = None
    """Requests to `openai:` that are open at the same time; 8 where it is not given."""
    timeout: float | None = None
    """Seconds for one request to `openai:`; 120 where it is not given."""
    patience: float | None = None
    """Seconds after which `openai:` gives up on one question, retries and all; 600 where it is not given."""
    allow_remote: bool = False
    """Films may be sent to another machine."""
    own_server: bool = False
    """That machine is the user's own, so that films of restricted data sets may be sent to it too."""

    @property
    def sample_temperature(self) -> float:
        """Of samples: that of `parameters` where it is above 0, else 1."""
        given = self.parameters.get("temperature")
        return float(given) if isinstance(given, int | float) and given > 0 else 1.0
