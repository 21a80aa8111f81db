"""A report -> the sentences about the film: clinical history, technique and the like are left out."""

from __future__ import annotations

import re

_ASIDE = (
    "indication|indications|history|clinical history|clinical information|clinical indication|patient history|reason"
    "|reason for exam|reason for examination|reason for study|technique|comparison|comparisons|comparison exam"
    "|examination|exam|type of examination|study|procedure|recommendation|recommendations|recommendation[(]s[)]"
    "|notification|date|signs and symptoms|final report|attending"
)
"""Headings of the parts that are not about the film."""
_HEADING = re.compile(
    rf"(?:^|(?<=\n)|(?<=[.] ))[ \t]*(?:(?P<aside>(?i:{_ASIDE}))|[A-Z][A-Z ,/()&-]+|[A-Z][a-z]+)[ \t]*:"
)
_PART = re.compile(r"findings|impression|conclusion|report|opinion")
_BULLET = re.compile(r"(?:^|(?<=\s))(?:\(?\d{1,2}[.)]|[-*•])[ \t]+(?=[A-Za-z_])")
_PARAGRAPH = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:\(?\d{1,2}[.)]|[-*•])[ \t])")
_END = re.compile(
    r"(?<=[.;!?])(?<![Dd]r\.)(?<!\bvs\.)(?<!i\.e\.)(?<!e\.g\.)[\"')]*\s+(?=\S)|(?<=[a-z])[.](?=[A-Z][a-z])"
)
_LEAST_LETTERS = 2


def observations(report: str) -> str:
    """The report without the parts under headings such as HISTORY or TECHNIQUE; all of it where it has no heading."""
    parts, start, aside = [], 0, False
    for heading in _HEADING.finditer(report):
        if not aside:
            parts.append(report[start : heading.start()])
        start, aside = heading.end(), heading["aside"] is not None
        if not aside and not (heading[0].strip().isupper() or _PART.match(heading[0].strip().lower())):
            start = heading.start()  # "Heart: enlarged" is an observation
    if not aside:
        parts.append(report[start:])
    return "\n\n".join(part.strip("\n") for part in parts)


def sentences(report: str) -> list[str]:
    """The sentences of the observations, white space joined, numbers of lists removed."""
    kept = []
    for paragraph in _PARAGRAPH.split(observations(report)):
        text = " ".join(_BULLET.sub("", paragraph).split())
        for piece in _END.split(text):
            sentence = piece.strip(" .;:!?-")
            if sum(letter.isalpha() for letter in sentence) >= _LEAST_LETTERS:
                kept.append(sentence)
    return kept
