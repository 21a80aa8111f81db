"""Levels of a finding in the words around it, each with the film that it is of."""

from __future__ import annotations

from collections.abc import Sequence

from intervalchange.answers.names import SIZES
from intervalchange.answers.tokens import Token
from intervalchange.findings import RANKED_LEVELS
from intervalchange.lazy_patterns import lazily

_RANKS = {**RANKED_LEVELS, "large": RANKED_LEVELS["severe"], **{f"~{word}": rank for word, rank in SIZES.items()}}
_FROM_TO = lazily(
    r"f[dVC]?(?P<prior>L)[^L]{0,3}t[^L]{0,2}(?P<current>L)|(?P<prior2>L)[(,;]*t[^L]{0,2}(?P<current2>L)"
    r"|t?(?P<current3>L)[^L]{0,3}f(?P<prior3>L)"
)
_ONLY_PRIOR = lazily(r"[fh]L")
_PARTS = lazily(r"[,(&);]")


def rank_of(level: str) -> float | None:
    """The place of a level on the scale of severity; of a number its value; None for one without a place."""
    return float(level[1:]) if level.startswith("#") else _RANKS.get(level)


def comparable(one: str, other: str) -> bool:
    """Whether two levels stand on one scale: two measures, or two words."""
    return one.startswith("#") == other.startswith("#")


def in_words(level: str) -> bool:
    """Whether a level is one of the library, or "large"."""
    return level[:1] not in ("#", "~")


def levels_of(tokens: Sequence[Token], film: str) -> list[tuple[str, str]]:
    """(film, level) in words after a name. film: the one spoken of; "P", "C" or ""."""
    tags = "".join([token.tag for token in tokens])
    if "L" not in tags:
        return []
    if match := _FROM_TO.search(tags):
        at = {name.rstrip("23"): match.start(name) for name, value in match.groupdict().items() if value}
        return [("P", tokens[at["prior"]].value), ("C", tokens[at["current"]].value)]
    if (to := tags.find("tL")) >= 0 and "f" not in tags:
        return [("C", tokens[to + 1].value)]
    if match := _ONLY_PRIOR.search(tags):
        level = tokens[match.end() - 1].value
        first, together, second = level.partition(" to ")
        if together and "f" in match.group():
            return [("P", first), ("C", second)]
        before = [("C", token.value) for token in tokens[: match.start()] if token.tag == "L"]
        return [("P", level), *before[-1:]]
    found, position = [], 0
    for part in _PARTS.split(tags):
        if "L" in part:
            found.append((_film_of(part, film), tokens[position + part.index("L")].value))
        position += len(part) + 1
    return found


def _film_of(part: str, film: str) -> str:
    """The film that one part of a clause speaks of: by the word for it that is nearest the level, else by its tense."""
    at = part.index("L")
    for tag in (*part[at + 1 :], *reversed(part[:at])):
        if tag in "PoCj":
            return "P" if tag in "Po" else "C"
    return "P" if "U" in part else "C" if "V" in part and film != "P" else film


def film_before(tokens: Sequence[Token]) -> str:
    """The film of a level that stands before its name, from the words before it."""
    for token in reversed(tokens):
        if token.tag in "PCo":
            return "C" if token.tag == "C" else "P"
        if token.tag == "U":
            return "P"
    return ""


def film_after(tokens: Sequence[Token]) -> str:
    """The film that stands right after names: "mild edema before"."""
    for token in tokens:
        if token.tag in "PCo":
            return "C" if token.tag == "C" else "P"
        if token.tag not in "VURdYTfJ":
            return ""
    return ""
