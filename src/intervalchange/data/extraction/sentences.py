"""A report -> the sentences about the film: clinical history, technique and the like are left out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from intervalchange.data.extraction import values
from intervalchange.data.extraction.fields import field_of, group_label, subject_of
from intervalchange.data.extraction.layout import labelled_line, typography, units
from intervalchange.data.extraction.names import named, plain

_TOLD = (
    "indications?|history|(?:clinical|patient|medical|relevant) (?:history|information|indications?|details|data"
    "|questions?|context|notes?|presentation)|reasons?|reason for (?:the )?(?:exam|examination|study|request|referral)"
    "|signs and symptoms|symptoms|(?:chief )?complaint|referral|request|anamnesis"
)
"""Headings of what was known before the film was taken."""
_MADE = (
    "techniques?|comparisons?|comparison (?:exam|study|studies|film)|examination|exam|type of examination|study"
    "|procedure|views?|recommendations?|recommendation[(]s[)]|notification|date|final report|attending"
    "|(?:prior|previous)(?: (?:study|studies|exams?|examinations?|films?|imaging))?"
)
"""Headings of how the film was taken, of other films, and of what to do next."""
_BODY = "findings?|impressions?|conclusions?|reports?|opinions?|interpretation|results?|findings (?:and|/) impression"
_KNOWN = rf"(?:(?P<told>{_TOLD})|(?P<made>{_MADE})|(?P<body>{_BODY}))"
_MARKUP = r"[ \t]*(?:[#*_>]+[ \t]*)?"
_WITH_COLON = re.compile(
    rf"{_MARKUP}(?:(?i:{_KNOWN})|(?P<capitals>[A-Z][A-Z ,/()&-]+)"
    r"|(?P<words>[A-Z][a-z]+(?:[ /,&-]+[a-zA-Z][a-z]*){0,4}))[ \t]*[*_]*:[*_]*"
)
_ALONE = re.compile(
    rf"{_MARKUP}(?:(?P<told>{_TOLD})|(?P<made>(?:technique|comparison|recommendation)s?)|(?P<body>{_BODY}))"
    r"[ \t]*[*_]*[ \t]*(?:$|-+(?=[ \t])|=)",
    re.IGNORECASE | re.MULTILINE,
)
"""A heading on a line of its own, or before a dash."""
_LOUD = re.compile(
    r"(?<= )(?:(?P<body>FINDINGS?|IMPRESSION|CONCLUSION|Findings?|Impression|Conclusion)|(?P<told>INDICATION|HISTORY)"
    r"|(?P<made>TECHNIQUE|COMPARISON)):"
)
"""A heading inside a line."""
_LATER = re.compile(
    r"(?:^|(?<=\s))(?:(?P<findings>findings?|reports?|results?)|impressions?|conclusions?)[ \t*_]*(?::|\n|- )", re.I
)
_END = re.compile(
    r"(?<=[.;!?])(?<![Dd]r\.)(?<!\bvs\.)(?<!i\.e\.)(?<!e\.g\.)[\"')]*\s+(?=\S)|(?<=[a-z])[.](?=[A-Z][a-z])"
)
_TWO_LETTERS = re.compile(r"[^\W\d_].*?[^\W\d_]")
_STOP = re.compile(r"(?<!\d):|:(?!\d)|\n|$")
_LONGEST = 2_000
"""Characters of a sentence."""
_WORDS_MORE = 5
"""The longest sentence, in words, that only goes on with the value before it: "Effusion: left. Small."."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Where a part of a report begins."""

    start: int
    end: int
    kind: str
    """told, made or body; label: of an observation; other."""
    label: str
    begins_line: bool


def observations(report: str) -> str:
    """The report without the parts under headings such as HISTORY or TECHNIQUE; all of it where it has no heading."""
    text = typography(report)
    parts, start, aside = [], 0, ""
    for heading in _headings(text):
        if heading.kind == "label" and not (aside and _leaves(aside, text[start : heading.start], heading, text)):
            continue
        between = text[start : heading.start]
        parts.append(_lines_of_the_film(aside, between, text[heading.start :]) if aside else between)
        # "Heart: enlarged" is an observation
        start = heading.start if heading.kind == "label" else heading.end
        aside = heading.kind if heading.kind in ("told", "made") else ""
    parts.append(_lines_of_the_film(aside, text[start:], "") if aside else text[start:])
    return "\n\n".join(part.strip("\n") for part in parts)


def _headings(text: str) -> Iterator[Heading]:
    line, start = 0, 0  # where the line and the sentence begin
    for stop in _STOP.finditer(text):
        colon = stop.group() == ":"
        if colon:
            start = max(
                start, text.rfind(". ", start, stop.start()) + 2 if ". " in text[start : stop.start()] else start
            )
            match = _WITH_COLON.match(text, start, stop.end() + 2) or _LOUD.search(text, start, stop.end())
        else:
            match = _ALONE.match(text, line, stop.start()) if start == line and stop.start() > line else None
        if match and (not colon or match.end() >= stop.end()):
            kind, label = _kind(match)
            if kind:
                yield Heading(match.start(), match.end(), kind, label, match.start() == line)
        start = stop.end()
        line = line if colon else start


def _kind(match: re.Match[str]) -> tuple[str, str]:
    """told, made, body, label or other, and the text of a label; empty where it is not a heading."""
    groups = match.groupdict()
    for known in ("told", "made", "body"):
        if groups[known]:
            return known, ""
    text = groups["capitals"] or groups["words"]
    if subject_of(text) or group_label(text) or (groups["capitals"] and named(plain(text))[0]):
        return "label", text
    return ("other", "") if groups["capitals"] else ("", "") if " " in text else ("label", text)


def _leaves(aside: str, between: str, heading: Heading, text: str) -> bool:
    """Whether the label of an observation ends an aside: "HISTORY: edema: yes" is history throughout."""
    if aside == "made" or not subject_of(heading.label):
        return True
    apart = bool(re.search(r"\n[ \t]*\n[ \t]*$", between))
    if not apart and (not between.strip() or ":" in between):
        return False
    later = [match["findings"] is not None for match in _LATER.finditer(text, heading.end)]
    return not any(later) and (heading.begins_line or not later)


def _lines_of_the_film(aside: str, between: str, rest: str) -> str:
    """The lines of an aside from the first "Effusion - small" or row of a table on; empty where there is none."""
    lines = between.split("\n")
    for index, line in enumerate(lines[1:], start=1):
        if line.strip() and labelled_line(line) and (aside == "made" or not _told_on(lines[:index], rest)):
            return "\n".join(lines[index:])
    return ""


def _told_on(before: list[str], rest: str) -> bool:
    """Whether a history goes on after these lines."""
    return any(match["findings"] for match in _LATER.finditer(rest)) or not (
        before[-1].strip() == "" and "".join(before).strip()
    )


def sentences(report: str) -> list[str]:
    """The sentences of the observations, white space joined, numbers of lists removed."""
    kept: list[str] = []
    for unit in units(observations(report)):
        open_field = False
        for piece in chain.from_iterable(map(_in_reach, _END.split(unit))):
            sentence = _trimmed(piece)
            if open_field and _goes_on(sentence):
                kept[-1] += f"; {sentence}"
            elif _TWO_LETTERS.search(sentence):
                kept.append(sentence)
                open_field = ":" in sentence and _is_finding_field(sentence)
    return kept


def _in_reach(sentence: str) -> list[str]:
    """The sentence; one longer than anybody writes in pieces, for the time to read it grows with the square."""
    return [sentence] if len(sentence) <= _LONGEST else textwrap.wrap(sentence, _LONGEST)


def _trimmed(piece: str) -> str:
    """A sentence without its stop. A question keeps its mark, and a label without a value its colon."""
    sentence = piece.strip(" .;:!?-")
    if "?" in piece:
        left, right = piece.lstrip(" .;:!-"), piece.rstrip(" .;:!-")
        return ("?" if left.startswith("?") else "") + sentence + ("?" if right.endswith("?") else "")
    if ":" in piece and ":" not in sentence and subject_of(sentence):
        return f"{sentence}:"
    return sentence


def _is_finding_field(sentence: str) -> bool:
    field = field_of(sentence)
    subject = subject_of(field[0]) if field else None
    return bool(subject and subject.names)


def _goes_on(sentence: str) -> bool:
    """Whether a sentence is only more of the value before it."""
    return (
        len(sentence.split()) <= _WORDS_MORE
        and ":" not in sentence
        and not named(plain(sentence))[1]
        and values.read(sentence) is not None
    )
