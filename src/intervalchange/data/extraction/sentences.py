"""A report -> the sentences about the film: clinical history, technique and the like are left out."""

from __future__ import annotations

import re

from intervalchange.data.extraction import values
from intervalchange.data.extraction.fields import field_of, subject_of
from intervalchange.data.extraction.layout import labelled_line, typography, units
from intervalchange.data.extraction.names import named, plain

_TOLD = (
    "indications?|history|(?:clinical|patient|medical|relevant) (?:history|information|indications?|details|data|questions?"
    "|context|notes?|presentation)|reasons?|reason for (?:the )?(?:exam|examination|study|request|referral)"
    "|signs and symptoms|symptoms|(?:chief )?complaint|referral|request|anamnesis"
)
"""Headings of what was known before the film was taken."""
_MADE = (
    "techniques?|comparisons?|comparison (?:exam|study|studies|film)|examination|exam|type of examination|study|procedure"
    "|views?|recommendations?|recommendation[(]s[)]|notification|date|final report|attending"
    "|(?:prior|previous) (?:study|studies|exams?|examinations?|films?|imaging)"
)
"""Headings of how the film was taken, of other films, and of what to do next."""
_BODY = "findings?|impressions?|conclusions?|reports?|opinions?|interpretation|results?|findings (?:and|/) impression"
_LOUD = "FINDINGS?|IMPRESSION|CONCLUSION|INDICATION|HISTORY|TECHNIQUE|COMPARISON|Findings?|Impression|Conclusion"
"""Headings that are one inside a line, too."""
_BARE = re.compile(r"(?:technique|comparison|recommendation)s?$", re.IGNORECASE)
"""Headings of `_MADE` that are one without a colon, alone on a line."""
_HEADING = re.compile(
    r"(?:(?P<line>^|(?<=\n))[ \t]*(?:[#*_>]+[ \t]*)?|(?<=[.] )[ \t]*"
    rf"|(?<= )(?=(?:{_LOUD}):))"
    rf"(?:(?P<told>(?i:{_TOLD}))|(?P<made>(?i:{_MADE}))|(?P<body>(?i:{_BODY}))"
    r"|(?P<capitals>[A-Z][A-Z ,/()&-]+)|(?P<words>[A-Z][a-z]+(?:[ /,&-]+[a-zA-Z][a-z]*){0,4}))"
    r"[ \t]*[*_]*(?P<mark>:[*_]*|-+(?=[ \t])|=|(?=\n|$))"
)
_LATER = re.compile(r"(?:^|(?<=\s))(?:(?P<findings>findings?|reports?|results?)|impressions?|conclusions?)[ \t*_]*(?::|\n|- )", re.I)
_END = re.compile(
    r"(?<=[.;!?])(?<![Dd]r\.)(?<!\bvs\.)(?<!i\.e\.)(?<!e\.g\.)[\"')]*\s+(?=\S)|(?<=[a-z])[.](?=[A-Z][a-z])"
)
_LEAST_LETTERS = 2
_WORDS_MORE = 5
"""The longest sentence, in words, that only goes on with the value before it: "Effusion: left. Small."."""


def observations(report: str) -> str:
    """The report without the parts under headings such as HISTORY or TECHNIQUE; all of it where it has no heading."""
    text = typography(report)
    parts, start, aside = [], 0, ""
    for heading in _HEADING.finditer(text):
        kind = _kind(heading)
        if not kind or (kind == "label" and not aside):
            continue
        between = text[start : heading.start()]
        if kind == "label" and not _leaves(aside, between, heading, text):
            continue
        parts.append(_lines_of_the_film(aside, between, text[heading.start() :]) if aside else between)
        start, aside = heading.end(), kind if kind in ("told", "made") else ""
        if kind == "label":
            start = heading.start()  # "Heart: enlarged" is an observation
    parts.append(_lines_of_the_film(aside, text[start:], "") if aside else text[start:])
    return "\n\n".join(part.strip("\n") for part in parts)


def _kind(heading: re.Match[str]) -> str:
    """told, made or body, label of an observation, other; empty where it is not a heading."""
    known = next((kind for kind in ("told", "made", "body") if heading[kind]), "")
    if not heading["mark"].startswith(":"):
        bare = heading["line"] is not None and (not heading["made"] or _BARE.match(heading["made"]))
        return known if bare else ""
    if known:
        return known
    text = heading["capitals"] or heading["words"]
    if subject_of(text) or (heading["capitals"] and named(plain(text))[0]):
        return "label"
    return "other" if heading["capitals"] else "" if " " in text else "label"


def _leaves(aside: str, between: str, heading: re.Match[str], text: str) -> bool:
    """Whether the label of an observation ends an aside: "HISTORY: edema: yes" is history throughout."""
    if aside == "made" or not subject_of(heading["capitals"] or heading["words"]):
        return True
    apart = bool(re.search(r"\n[ \t]*\n[ \t]*$", between))
    if not apart and (not between.strip() or ":" in between):
        return False
    later = [match["findings"] is not None for match in _LATER.finditer(text, heading.end())]
    return not any(later) and (heading["line"] is not None or not later)


def _lines_of_the_film(aside: str, between: str, rest: str) -> str:
    """The lines of an aside from the first "Effusion - small" or row of a table on; empty where there is none."""
    lines = between.split("\n")
    for index, line in enumerate(lines[1:], start=1):
        if labelled_line(line) and (aside == "made" or not _told_on(lines[:index], rest)):
            return "\n".join(lines[index:])
    return ""


def _told_on(before: list[str], rest: str) -> bool:
    """Whether a history goes on after these lines."""
    return any(match["findings"] for match in _LATER.finditer(rest)) or not (before[-1].strip() == "" and "".join(before).strip())


def sentences(report: str) -> list[str]:
    """The sentences of the observations, white space joined, numbers of lists removed."""
    kept: list[str] = []
    for unit in units(observations(report)):
        open_field = False
        for piece in _END.split(unit):
            sentence = _trimmed(piece)
            if open_field and _goes_on(sentence):
                kept[-1] += f"; {sentence}"
            elif sum(letter.isalpha() for letter in sentence) >= _LEAST_LETTERS:
                kept.append(sentence)
                open_field = ":" in sentence and _is_finding_field(sentence)
    return kept


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
    return len(sentence.split()) <= _WORDS_MORE and ":" not in sentence and not named(plain(sentence))[1] and values.read(sentence) is not None
