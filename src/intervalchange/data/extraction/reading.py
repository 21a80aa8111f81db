"""Report -> statements about findings, each with its sentence and the rule that labelled it.

In the manner of NegEx and ConText: names first, then the words that deny a finding, doubt it, or move it to another
time, each with its reach. A finding that a report does not name is not mentioned; that is not a denial.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal

from intervalchange.data.extraction import lexicon
from intervalchange.data.extraction.account import Attributes
from intervalchange.data.extraction.attributes import attributes_of
from intervalchange.data.extraction.sentences import sentences
from intervalchange.findings import ALIASES, FINDINGS

Label = Literal["present", "absent", "uncertain"]
_STRENGTH = {"absent": 0, "uncertain": 1, "present": 2}


@dataclass(frozen=True, slots=True)
class Statement:
    """One mention of one finding in a report."""

    finding: str
    label: Label
    attributes: Attributes
    sentence: str
    rule: str
    """Which rule decided, in words: "named", "denied: no", "in doubt: may represent", ..."""


def extract(report: str) -> dict[str, Statement]:
    """Finding -> its decisive statement, in library order, without the findings that are not mentioned.

    Present outweighs uncertain, which outweighs absent; locations, types and levels of several sentences are merged.
    """
    return decide(statements(report))


def statements(report: str) -> list[Statement]:
    """Every statement of a report, sentence by sentence; also of `lexicon.OTHER`, which is not a finding."""
    return [statement for sentence in sentences(report) for statement in in_sentence(sentence)]


def says_normal(report: str) -> bool:
    """Whether a report calls the film normal without naming a finding."""
    return any(_normal_film().search(_plain(sentence)) for sentence in sentences(report))


@lru_cache(maxsize=20_000)
def in_sentence(sentence: str) -> tuple[Statement, ...]:
    """The statements of one sentence, one per name of a finding in it."""
    plain = _plain(sentence)
    found = []
    named, hidden = _named(plain)
    for start, end, finding in named:
        others = [(begin, stop) for begin, stop, _ in named if (begin, stop) != (start, end)]
        label, rule = _label(plain, start, end)
        if label is not None:
            attributes = Attributes() if label == "absent" else attributes_of(plain, start, end, others)
            found.append(Statement(finding, label, attributes, sentence, rule))
    for pattern, findings in _normal():
        for match in pattern.finditer(plain):
            if not any(begin < match.end() and match.start() < stop for begin, stop in hidden):
                found += [Statement(f, "absent", Attributes(), sentence, f"health: {match.group()}") for f in findings]
    return tuple(found)


def _plain(sentence: str) -> str:
    text = re.sub(r"[()\[\]]", " ; ", sentence.lower().replace("\u2019", "'"))
    return re.sub(r"\s+", " ", re.sub(r"[\":]", " ", text).replace("-to-", " to ")).strip(" ;")


# --- names ----------------------------------------------------------------------------------------------------------


@cache
def _names() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """(finding, everything it is called). A phrase that means something else has no finding."""
    found = []
    for finding in FINDINGS:
        names = [re.escape(name) for name in (finding, *ALIASES[finding])]
        names = sorted((*lexicon.TERMS.get(finding, ()), *names), key=len, reverse=True)
        found.append((finding, re.compile(rf"\b(?:{'|'.join(names)})\b")))
    found.append((lexicon.OTHER, re.compile(rf"\b(?:{'|'.join(lexicon.OTHER_TERMS)})\b")))
    found.append(("", re.compile(rf"\b(?:{'|'.join(lexicon.NOT_MEANT)})\b")))
    return tuple(found)


def _named(plain: str) -> tuple[list[tuple[int, int, str]], list[tuple[int, int]]]:
    """(start, end, finding) of each name in order, and all spans of names. Of two that overlap the longer wins."""
    spans = [(m.start(), m.end(), finding) for finding, pattern in _names() for m in pattern.finditer(plain)]
    longest: list[tuple[int, int, str]] = []
    for start, end, finding in sorted(spans, key=lambda span: (span[0] - span[1], span[2] != "")):
        hides = ("", lexicon.OTHER, finding, *(special for general, special in lexicon.RIVALS if general == finding))
        if not any(begin < end and start < stop and other in hides for begin, stop, other in longest):
            longest.append((start, end, finding))
    return sorted(span for span in longest if span[2]), [(start, end) for start, end, _ in longest]


@cache
def _normal_film() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{lexicon.NORMAL_FILM})\b")


@cache
def _normal() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    return tuple((re.compile(rf"\b(?:{phrase})\b"), findings) for phrase, findings in lexicon.NORMAL.items())


# --- the words around a name ----------------------------------------------------------------------------------------


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(phrases, key=len, reverse=True))})(?![\w-])")


@dataclass(frozen=True, slots=True)
class Cues:
    """The words around a name, compiled; see `lexicon`."""

    stays: re.Pattern[str]
    denies_next: re.Pattern[str]
    denies_last: re.Pattern[str]
    doubts_next: re.Pattern[str]
    doubts_last: re.Pattern[str]
    elsewhere: re.Pattern[str]
    was: re.Pattern[str]
    scope_ends: re.Pattern[str]


@cache
def _cues() -> Cues:
    return Cues(
        stays=_any_of(lexicon.STAYS),
        denies_next=_any_of(lexicon.DENIES_WHAT_FOLLOWS),
        denies_last=_any_of(lexicon.DENIES_WHAT_PRECEDES),
        doubts_next=_any_of(lexicon.DOUBTS_WHAT_FOLLOWS),
        doubts_last=_any_of(lexicon.DOUBTS_WHAT_PRECEDES),
        elsewhere=_any_of(lexicon.NOT_THIS_FILM),
        was=_any_of(lexicon.WAS),
        scope_ends=re.compile(rf"(?<!\w)(?:{'|'.join(lexicon.SCOPE_ENDS)})(?!\w)|;"),
    )


def _label(plain: str, start: int, end: int) -> tuple[Label | None, str]:
    """The label of the finding named at [start, end), and the rule; None where the words are not about this film."""
    cues = _cues()
    stays = [match for match in cues.stays.finditer(plain) if match.end() <= start or end <= match.start()]
    masked = plain
    for match in stays:
        masked = masked[: match.start()] + "_" * len(match.group()) + masked[match.end() :]
    if elsewhere := _reaching(cues.elsewhere, masked, start, _scope_ends):
        return None, f"not of this film: {elsewhere}"
    if denied := _reaching(cues.denies_next, masked, start, _scope_ends):
        return "absent", f"denied: {denied}"
    after = _rest_of_clause(masked, end)
    if (denial := cues.denies_last.search(after)) and not _restarts(after[: denial.start()]):
        return "absent", f"gone: {denial.group()}"
    if doubted := _reaching(cues.doubts_next, masked, start, _doubt_ends):
        return "uncertain", f"in doubt: {doubted}"
    if (doubt := cues.doubts_last.search(after)) and not _restarts(after[: doubt.start()]):
        return "uncertain", f"in doubt: {doubt.group()}"
    if re.match(lexicon.EITHER, after):
        return "uncertain", "in doubt: versus"
    if stays:
        return "present", f"stays: {stays[0].group()}"
    return "present", "seen earlier" if cues.was.search(plain[:start]) else "named"


def _reaching(cue: re.Pattern[str], text: str, start: int, ends: Callable[[str], bool]) -> str:
    """The last cue before a name at `start` with nothing in between that ends its reach; empty where there is none."""
    matches = [match for match in cue.finditer(text[:start]) if not ends(text[match.end() : start])]
    return matches[-1].group() if matches else ""


def _scope_ends(between: str) -> bool:
    """Whether a denial does not reach over these words."""
    return bool(_cues().scope_ends.search(between))


def _doubt_ends(between: str) -> bool:
    """Whether a doubt does not reach over these words."""
    return bool(re.search(r"\b(?:but|however|although|there (?:is|are)|, and)\b|;", between))


def _rest_of_clause(text: str, end: int) -> str:
    rest = text[end:]
    stop = re.search(
        r"\b(?:but|however|although|while|whereas)\b|;|, (?:and |which )?(?:there|the|no|without|heart)\b", rest
    )
    return rest[: stop.start()] if stop else rest


def _restarts(between: str) -> bool:
    """Whether another statement begins between a name and a word that stands after it."""
    again = r"\b(?:with|and|there|no|without)\b.*\b(?:is|are|has|have|no|not)\b"
    return bool(re.search(rf"{again}|\b(?:is|are|has|have|persists?)\b.*\b(?:and|while|with)\b", between))


# --- several statements of one finding ------------------------------------------------------------------------------


def decide(statements: Iterable[Statement]) -> dict[str, Statement]:
    """Finding -> its decisive statement, in library order; see `extract`."""
    by_finding: dict[str, list[Statement]] = {}
    for statement in statements:
        by_finding.setdefault(statement.finding, []).append(statement)
    return {finding: _decide(by_finding[finding]) for finding in FINDINGS if finding in by_finding}


def _decide(statements: Sequence[Statement]) -> Statement:
    """The strongest statement of one finding, its attributes completed from those of the same label."""
    strongest = max(_STRENGTH[statement.label] for statement in statements)
    strong = [statement for statement in statements if _STRENGTH[statement.label] == strongest]
    best = max(strong, key=lambda statement: _filled(statement.attributes))
    return replace(best, attributes=_merged(best.attributes, [statement.attributes for statement in strong]))


def _filled(attributes: Attributes) -> int:
    """How many of location, type and level are known."""
    return bool(attributes.locations or attributes.post_location) + bool(attributes.types) + bool(attributes.level)


def _side(attributes: Attributes) -> str:
    words = (*attributes.locations, *attributes.post_location.split())
    sides = {word for word in ("left", "right") if word in words}
    return sides.pop() if len(sides) == 1 else "bilateral" if sides or "bilateral" in words else ""


def _merged(best: Attributes, others: Sequence[Attributes]) -> Attributes:
    """The best attributes, their gaps filled; left in one sentence and right in another is bilateral."""
    locations, post = best.locations, best.post_location
    if {"left", "right"} <= set(map(_side, others)):
        locations, post = ("bilateral",), ""
    elif not (locations or post):
        placed = (other for other in others if other.locations or other.post_location)
        source = next(placed, best)
        locations, post = source.locations, source.post_location
    types = best.types or next((other.types for other in others if other.types), ())
    level = best.level or next((other.level for other in others if other.level), "")
    return Attributes(locations, post, types, level)
