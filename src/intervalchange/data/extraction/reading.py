"""Report -> what it says of each finding, and by which sentence and rule.

In the manner of NegEx and ConText: names are found first, then the words that deny, doubt, or place a finding in
another time, each with its reach. What a report does not name is not mentioned; that is not a denial.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal

from intervalchange.data.extraction import lexicon
from intervalchange.data.extraction.account import Attributes
from intervalchange.data.extraction.places import attributes_of
from intervalchange.data.extraction.sentences import sentences
from intervalchange.findings import ALIASES, FINDINGS

Label = Literal["present", "absent", "uncertain"]
_STRENGTH = {"absent": 0, "uncertain": 1, "present": 2}


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that a report says of one finding."""

    finding: str
    label: Label
    attributes: Attributes
    sentence: str
    rule: str
    """Which rule decided, in words: "named", "denied: no", "in doubt: may represent", ..."""


def extract(report: str) -> dict[str, Statement]:
    """Finding -> the statement that decides, in library order; a finding that is not in it is not mentioned.

    Present outweighs uncertain, which outweighs absent; what several sentences say of place, type and grade is put
    together.
    """
    return decide(statements(report))


def statements(report: str) -> list[Statement]:
    """Everything that a report says, sentence by sentence; also of `lexicon.OTHER`, which is no finding."""
    return [statement for sentence in sentences(report) for statement in in_sentence(sentence)]


def says_normal(report: str) -> bool:
    """Whether a report says, without naming a finding, that nothing is wrong."""
    return any(_normal_film().search(_plain(sentence)) for sentence in sentences(report))


@lru_cache(maxsize=20_000)
def in_sentence(sentence: str) -> tuple[Statement, ...]:
    """What one sentence says; each finding at most once for each place where it is named."""
    plain = _plain(sentence)
    found = []
    named, hidden = _named(plain)
    for start, end, finding in named:
        others = [(begin, stop) for begin, stop, _ in named if (begin, stop) != (start, end)]
        label, rule = _judge(plain, start, end)
        if label is not None:
            said = attributes_of(plain, start, end, others) if label != "absent" else Attributes()
            found.append(Statement(finding, label, said, sentence, rule))
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
    """(start, end, finding) of each name in order, and every span taken. Of two that overlap the longer wins."""
    spans = [(m.start(), m.end(), finding) for finding, pattern in _names() for m in pattern.finditer(plain)]
    kept: list[tuple[int, int, str]] = []
    for start, end, finding in sorted(spans, key=lambda span: (span[0] - span[1], span[2] != "")):
        hides = ("", lexicon.OTHER, finding, *(special for general, special in lexicon.RIVALS if general == finding))
        if not any(begin < end and start < stop and other in hides for begin, stop, other in kept):
            kept.append((start, end, finding))
    return sorted(span for span in kept if span[2]), [(start, end) for start, end, _ in kept]


@cache
def _normal_film() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{lexicon.NORMAL_FILM})\b")


@cache
def _normal() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    return tuple((re.compile(rf"\b(?:{phrase})\b"), findings) for phrase, findings in lexicon.NORMAL.items())


# --- the words around a name ----------------------------------------------------------------------------------------


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(phrases, key=len, reverse=True))})(?![\w-])")


@cache
def _cues() -> dict[str, re.Pattern[str]]:
    return {
        "stays": _any_of(lexicon.STAYS),
        "denies next": _any_of(lexicon.DENIES_WHAT_FOLLOWS),
        "denies last": _any_of(lexicon.DENIES_WHAT_PRECEDES),
        "doubts next": _any_of(lexicon.DOUBTS_WHAT_FOLLOWS),
        "doubts last": _any_of(lexicon.DOUBTS_WHAT_PRECEDES),
        "aside": _any_of(lexicon.OUT_OF_PLACE),
        "ends": re.compile(rf"(?<!\w)(?:{'|'.join(lexicon.SCOPE_ENDS)})(?!\w)|;"),
        "was": _any_of(lexicon.WAS),
    }


def _judge(plain: str, start: int, end: int) -> tuple[Label | None, str]:
    """present, absent or uncertain, and the rule; None where it is not said of this film."""
    cues = _cues()
    stays = [m for m in cues["stays"].finditer(plain) if m.end() <= start or end <= m.start()]
    masked = plain
    for match in stays:
        masked = masked[: match.start()] + "_" * len(match.group()) + masked[match.end() :]
    if aside := _reaching(cues["aside"], masked, start, ends=True):
        return None, f"not of this film: {aside}"
    if denied := _reaching(cues["denies next"], masked, start, ends=True):
        return "absent", f"denied: {denied}"
    after = _after(masked, end)
    if (denial := cues["denies last"].search(after)) and not _restarts(after[: denial.start()]):
        return "absent", f"gone: {denial.group()}"
    if doubted := _reaching(cues["doubts next"], masked, start, ends=False):
        return "uncertain", f"in doubt: {doubted}"
    if (doubt := cues["doubts last"].search(after)) and not _restarts(after[: doubt.start()]):
        return "uncertain", f"in doubt: {doubt.group()}"
    if re.match(lexicon.EITHER, after):
        return "uncertain", "in doubt: versus"
    if stays:
        return "present", f"stays: {stays[0].group()}"
    return "present", "seen earlier" if cues["was"].search(plain[:start]) else "named"


def _reaching(cue: re.Pattern[str], text: str, start: int, ends: bool) -> str:
    """The last cue before a name whose reach is not ended on the way; empty where there is none."""
    found = None
    for match in cue.finditer(text[:start]):
        between = text[match.end() : start]
        if not (_cues()["ends"].search(between) if ends else _parted(between)):
            found = match
    return found.group() if found else ""


def _parted(between: str) -> bool:
    """Whether a doubt does not reach over these words."""
    return bool(re.search(r"\b(?:but|however|although|there (?:is|are)|, and)\b|;", between))


def _after(text: str, end: int) -> str:
    """The rest of the clause."""
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
    """Finding -> the statement that decides, in library order; see `extract`."""
    said: dict[str, list[Statement]] = {}
    for statement in statements:
        said.setdefault(statement.finding, []).append(statement)
    return {finding: _decide(said[finding]) for finding in FINDINGS if finding in said}


def _decide(said: Sequence[Statement]) -> Statement:
    strongest = max(_STRENGTH[statement.label] for statement in said)
    kept = [statement for statement in said if _STRENGTH[statement.label] == strongest]
    best = max(kept, key=lambda one: _filled(one.attributes))
    return replace(best, attributes=_together(best.attributes, [one.attributes for one in kept]))


def _filled(said: Attributes) -> int:
    return bool(said.locations or said.post_location) + bool(said.types) + bool(said.level)


def _side(said: Attributes) -> str:
    words = (*said.locations, *said.post_location.split())
    sides = {word for word in ("left", "right") if word in words}
    return sides.pop() if len(sides) == 1 else "bilateral" if sides or "bilateral" in words else ""


def _together(best: Attributes, others: Sequence[Attributes]) -> Attributes:
    """The best account, its gaps filled; left here and right there is bilateral."""
    sides = {side for side in map(_side, others) if side}
    locations, post = best.locations, best.post_location
    if {"left", "right"} <= sides:
        locations, post = ("bilateral",), ""
    elif not (locations or post):
        locations, post = next(
            ((o.locations, o.post_location) for o in others if o.locations or o.post_location), ((), "")
        )
    types = best.types or next((other.types for other in others if other.types), ())
    level = best.level or next((other.level for other in others if other.level), "")
    return Attributes(locations, post, types, level)
