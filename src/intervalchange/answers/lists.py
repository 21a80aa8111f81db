"""Headings and lists of Markdown, YAML and telegrams -> headed pieces of text."""

from __future__ import annotations

import re

from intervalchange.answers.tokens import tokens_of
from intervalchange.answers.units import Unit
from intervalchange.lazy_patterns import lazily

_BULLET = lazily(
    r"^\s*(?:>\s*)?(?:[-*+\u2022\u2023\u25aa\u25cf\u2013\u2014]\s+|\(?(?:\d{1,2}|[a-h]|[ivx]{1,4})[.)]\s+)+"
)
_MARKUP = lazily(r"\*\*|__|`|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)|^\s*>+\s?|^\s*#{1,6}\s*", re.MULTILINE)
_EMOJI = {
    "\U0001f195": " new: ", "\U0001f4c8": " increased: ", "\U0001f4c9": " decreased: ", "\u2b06\ufe0f": " increased ",
    "\u2b07\ufe0f": " decreased ", "\u2191": " increased ", "\u2193": " decreased ", "\u27a1\ufe0f": " unchanged ",
    "\u2194": " unchanged ",
}  # fmt: skip
_OTHER_EMOJI = lazily("[\u2600-\u27bf\ufe0f\u2b00-\u2bff\U0001f300-\U0001faff]")
_RECORD = lazily(
    r"^[ \t]*-[ \t]*(?:finding|name|observation|abnormality)[ \t]*:(?P<name>.+)\n(?P<more>(?:[ \t]+\w+[ \t]*:.*\n?)+)",
    re.MULTILINE | re.IGNORECASE,
)
_SAID = lazily(r"(?:change|status|trend|course|type|comparison|interval_change|location|side)$", re.IGNORECASE)
_SIGN = lazily(r"^\s*\([+\u2013\u2212-]\)\s*")
_HEADS = frozenset("NGWBSHDEPCZM0mkpoj")


def units_of(text: str) -> list[Unit]:
    """The lines of a text, each with the heading above it; lines that are wrapped prose are joined."""
    found: list[Unit] = []
    heading = ""
    text = _RECORD.sub(_of_record, text)
    for line, is_item, loud in _lines(text):
        head = _heading(line, is_item, loud)
        if head is not None:
            heading = head
            continue
        if not is_item and not found_label(line) and not _continues(line):
            heading = heading if _is_film(heading) and ":" in line else "" if len(line.split()) > 6 else heading
        found.append(Unit(line, heading))
    return found


def _of_record(match: re.Match[str]) -> str:
    """ "- finding: edema", "  change: new" under it -> "- edema: new"."""
    pairs = [line.partition(":") for line in match["more"].strip().splitlines()]
    values = [
        value.strip() if _SAID.match(key.strip()) else f"{key.strip()} {value.strip()}" for key, _, value in pairs
    ]
    return f"- {match['name'].strip()}: {', '.join(values)}\n"


def _lines(text: str) -> list[tuple[str, bool, bool]]:
    """(line without marks, whether it is an item of a list, whether it is typeset as a heading)."""
    lines = []
    for raw in text.splitlines():
        if not raw.strip() or set(raw.strip()) <= set("-=*_"):
            continue
        loud = bool(re.match(r"^\s*(?:#{1,6}\s|\*\*[^*]+\*\*:?\s*$|__[^_]+__:?\s*$)", raw))
        item = bool(_BULLET.match(raw))
        line = _MARKUP.sub("", _BULLET.sub("", raw))
        for mark, word in _EMOJI.items():
            line = line.replace(mark, word)
        line = _SIGN.sub("", _OTHER_EMOJI.sub(" ", line)).strip()
        if line:
            lines.append((line, item, loud))
    return lines


def _heading(line: str, is_item: bool, loud: bool) -> str | None:
    """The heading that a line is; None where it says something by itself."""
    if not (line.endswith(":") or loud):
        return None
    tags = "".join(token.tag for token in tokens_of(line))
    if "F" in tags or (not line.endswith(":") and re.search(r"D.*[MT]|[.!]$", tags + line[-1:])):
        return None
    return line.rstrip(":")


def found_label(line: str) -> bool:
    return ":" in line


def _continues(line: str) -> bool:
    return len(line.split()) <= 6


def _is_film(heading: str) -> bool:
    tags = {token.tag for token in tokens_of(heading)}
    return bool(tags & {"P", "C"}) and not tags & set("NGWBS")
