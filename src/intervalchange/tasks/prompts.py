"""Prompts as data: phrases for each finding, read from YAML (`prompts.yaml` here, or a file of the user's)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from intervalchange.errors import ConfigError

Over = Literal["mean", "max"]


@dataclass(frozen=True)
class Prompts:
    """The prompts of some classes, flat. m prompts."""

    classes: tuple[str, ...]
    texts: tuple[str, ...]
    """(m)."""
    owner: tuple[int, ...]
    """(m) number of the class that a prompt is about."""
    over: Over
    """How the scores of a class's prompts become one."""


@dataclass(frozen=True)
class PromptFile:
    """A file of prompts, opened."""

    where: str
    over: Over
    most: int
    findings: dict[str, tuple[tuple[str, ...], ...]]
    """Finding -> its lists of phrases."""

    def of(self, classes: Sequence[str]) -> Prompts:
        """The prompts of these classes, in this order. Raises ConfigError for one that the file does not know."""
        strange = [name for name in classes if name not in self.findings]
        if strange:
            raise ConfigError(
                f"there are no prompts for {strange[0]!r}.",
                where=self.where,
                remedy=f"Add it to a file of your own. Known: {', '.join(sorted(self.findings))}.",
            )
        texts = [combinations(self.findings[name], self.most) for name in classes]
        owner = [number for number, own in enumerate(texts) for _ in own]
        return Prompts(tuple(classes), tuple(text for own in texts for text in own), tuple(owner), self.over)


def combinations(lists: Sequence[Sequence[str]], most: int = 0) -> tuple[str, ...]:
    """One phrase of each list, joined by blanks: every combination once, or `most` of them, spread evenly."""
    texts = list(dict.fromkeys(" ".join(" ".join(phrases).split()) for phrases in product(*lists)))
    if most and most < len(texts):
        texts = [texts[index] for index in np.linspace(0, len(texts) - 1, most).round().astype(int)]
    return tuple(texts)


def open_prompts(path: Path | None = None) -> PromptFile:
    """The prompts of a YAML file; None for those of the package. Raises ConfigError where it has another form."""
    where = str(path) if path else "prompts.yaml of the package"
    try:
        text = path.read_text(encoding="utf-8") if path else _own()
        facts = yaml.safe_load(text)
        findings = {str(name): _lists(lists) for name, lists in facts["findings"].items()}
        over, most = facts.get("over", "mean"), int(facts.get("most", 0))
    except OSError as error:
        raise ConfigError("the prompts cannot be read.", where=where, remedy="Give a YAML file.") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(
            "this is not a file of prompts.", where=where, remedy="See docs/methods/tasks.md for its form."
        ) from error
    if over not in ("mean", "max") or most < 0:
        raise ConfigError("over is mean or max, most is 0 or more.", where=where, remedy="Change them in the file.")
    return PromptFile(where, over, most, findings)


def _own() -> str:
    return resources.files("intervalchange.tasks").joinpath("prompts.yaml").read_text(encoding="utf-8")


def _lists(value: Any) -> tuple[tuple[str, ...], ...]:
    """Lists of phrases; one list of whole sentences will do. Raises TypeError for anything else."""
    if not isinstance(value, list) or not value:
        raise TypeError("not a list")
    lists = value if isinstance(value[0], list) else [value]
    if not all(isinstance(own, list) and own and all(isinstance(phrase, str) for phrase in own) for own in lists):
        raise TypeError("not lists of phrases")
    return tuple(tuple(own) for own in lists)
