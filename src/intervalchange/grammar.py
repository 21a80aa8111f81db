"""Answers <-> `Change`: render, parse, reverse; and the question templates.

The sentence forms are those of Medical-Diff-VQA (Hu et al., KDD 2023):

    the level of X has changed from A to B.
    the main image has an additional finding of X than the reference image.
    the main image has additional findings of X, Y, and Z than the reference image.
    the main image is missing the finding(s) of X(, Y, and Z) than the reference image.
    nothing has changed.

`parse` also reads them lower-cased, unpunctuated, re-ordered, with aliases, and in a few plain wordings ("new X",
"X has resolved", "X has increased from A to B"). What it cannot read it returns, and never takes for "no change".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from intervalchange.findings import ALIASES, FINDINGS, LEVELS, PRE_LOCATIONS, TYPES
from intervalchange.records import Change, LevelChange

DIFFERENCE_QUESTION = "what has changed compared to the reference image?"
NOTHING = "nothing has changed."

QUESTIONS: dict[str, tuple[str, ...]] = {
    "abnormality": (
        "what abnormalities are seen in this image?",
        "what abnormalities are seen in {location}?",
        "is there evidence of any abnormalities in this image?",
    ),
    "presence": (
        "is there evidence of {finding} in this image?",
        "is there {finding}?",
        "is there {finding} in the {location} area?",
        "is there {finding} in {location}?",
        "is the {finding} bilateral?",
    ),
    "view": ("which view is this image taken?", "is this PA view?", "is this AP view?"),
    "location": (
        "where in the image is the {finding} located?",
        "where is the {finding}?",
        "is the {finding} located on the left side or right side?",
    ),
    "level": ("what level is the {finding}?",),
    "type": ("what type is the {finding}?",),
    "difference": (DIFFERENCE_QUESTION, "what has changed in the {location} area?"),
}
"""Question type -> its templates, in the wording of Medical-Diff-VQA."""

_RANK = {finding: rank for rank, finding in enumerate(FINDINGS)}


@dataclass(frozen=True, slots=True)
class Reading:
    """What `parse` made of a text."""

    change: Change
    unread: tuple[str, ...] = ()
    """Pieces that could not be read. Never empty for a text that says nothing known."""
    modifiers: tuple[str, ...] = ()
    """Words of place, type or grade that were understood but have no place in a Change."""
    ambiguous: bool = False
    """A level sentence had more than one reading ("from mild to moderate to severe")."""
    nothing: bool = False
    """The text says in words that nothing has changed."""


def _in_order(findings: Iterable[str]) -> list[str]:
    return sorted(findings, key=lambda finding: (_RANK.get(finding, len(_RANK)), finding))


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f", and {items[-1]}"


def render(change: Change, added_order: Iterable[str] | None = None) -> str:
    """The Medical-Diff-VQA sentences for a change; findings in library order unless `added_order` is given."""
    sentences = [
        f"the level of {level.finding} has changed from {level.prior} to {level.current}."
        for level in sorted(change.levels, key=lambda level: (_RANK.get(level.finding, len(_RANK)), level))
    ]
    if change.added:
        added = list(added_order) if added_order is not None else _in_order(change.added)
        lead = "an additional finding of" if len(added) == 1 else "additional findings of"
        sentences.append(f"the main image has {lead} {_listed(added)} than the reference image.")
    if change.missing:
        missing = _in_order(change.missing)
        noun = "finding" if len(missing) == 1 else "findings"
        sentences.append(f"the main image is missing the {noun} of {_listed(missing)} than the reference image.")
    return " ".join(sentences) or NOTHING


def reverse(answer: str) -> str:
    """The answer for the two films exchanged. Raises ValueError where part of it cannot be read."""
    reading = parse(answer)
    if reading.unread:
        raise ValueError(f"cannot reverse what cannot be read: {reading.unread}")
    return render(reading.change.reverse())


# --- parsing ---------------------------------------------------------------------------------------------------

_IMAGE = r"(?:the )?(?:main|current) (?:image|film|study|radiograph)"
_ADDED = rf"(?:{_IMAGE} (?:has|shows) )?(?:an |the )?(?:additional|new) findings? of"
_MISSING = rf"(?:{_IMAGE} )?(?:is )?missing (?:the |a )?findings? of"
_LEVEL = r"(?:the )?level of"
_LEAD = re.compile(rf"\b(?:(?P<added>{_ADDED})|(?P<missing>{_MISSING})|(?P<level>{_LEVEL}))\b")
_THAN = re.compile(
    r"\b(?:than|compared (?:to|with)|since|from|relative to) (?:the )?(?:reference|prior|previous|earlier) "
    r"(?:image|film|study|radiograph|exam|examination)\b"
)
_NOTHING = re.compile(
    r"(?:nothing (?:has |is )?(?:changed|new|different)|(?:there (?:is|are|has been) )?no (?:significant |relevant "
    r"|interval |acute )*(?:changes?|difference)(?: (?:is|are) seen)?|unchanged|no longer different)"
)
_GONE = (
    r"(?:has|have|is|are) (?:now |completely |fully )?"
    r"(?:resolved|cleared|disappeared|no longer (?:seen|present|visible))"
)
_CHANGED = r"(?:has |have |is |are )?(?:changed|increased|decreased|worsened|improved|progressed|regressed)"
_FILLER = frozenset(
    {"a", "an", "the", "and", "or", "of", "is", "are", "with", "also", "both", "there", "finding", "findings"}
)


@cache
def _names() -> tuple[re.Pattern[str], dict[str, str]]:
    """Pattern over every name and alias, longest first, and name -> finding."""
    known = {alias: finding for finding, aliases in ALIASES.items() for alias in aliases}
    known |= {finding: finding for finding in FINDINGS}
    longest = sorted(known, key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, longest)) + r")\b"), known


@cache
def _modifier_pattern() -> re.Pattern[str]:
    words = sorted({*LEVELS, *TYPES, *PRE_LOCATIONS}, key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b")


def _normalise(text: str) -> str:
    text = text.lower().replace("\u2019", "'")
    text = re.sub(r"(?<=\w)[.;:!?]+(?=\s|$)", " . ", text)
    return re.sub(r"\s+", " ", text).strip()


def _residue(text: str) -> str:
    """What is left of a text when separators and filler are taken away."""
    words = re.findall(r"[^\s,.;:&]+", text)
    said = [place for place, word in enumerate(words) if word not in _FILLER]
    return " ".join(words[said[0] : said[-1] + 1]) if said else ""


class _Parser:
    def __init__(self) -> None:
        self.added: set[str] = set()
        self.missing: set[str] = set()
        self.levels: set[LevelChange] = set()
        self.unread: list[str] = []
        self.modifiers: list[str] = []
        self.ambiguous = False
        self.nothing = False

    def items(self, text: str, into: set[str]) -> None:
        """A list of findings; the rest is unread, words of place and grade are modifiers."""
        pattern, known = _names()
        found = [known[match.group()] for match in pattern.finditer(text)]
        into.update(found)
        for piece in pattern.split(text):
            self.modifiers += [match.group() for match in _modifier_pattern().finditer(piece)]
            rest = _residue(_modifier_pattern().sub(" ", piece))
            if rest:
                self.unread.append(rest)
        if not found and not self.unread:
            self.unread.append(_residue(text) or "a list without a finding")

    def level(self, text: str) -> str:
        """Reads "X has changed from A to B" at the start of text; returns what follows it."""
        pattern, known = _names()
        name = pattern.match(text.removeprefix("the "))
        body = text.removeprefix("the ")
        verb = re.match(rf" {_CHANGED} from ", body[name.end() :]) if name else None
        if not name or not verb:
            self.unread.append(_residue(text) or "a level without a finding")
            return ""
        rest = body[name.end() + verb.end() :]
        span = re.match(_level_span(), rest)
        splits = _level_splits(span.group().strip()) if span else []
        if not splits:
            self.unread.append(_residue(text))
            return ""
        self.ambiguous |= len(splits) > 1
        self.levels.add(LevelChange(known[name.group()], *splits[0]))
        return rest[span.end() :] if span else ""

    def plain(self, sentence: str) -> None:
        """A sentence outside the template forms."""
        sentence = sentence.strip(" ,")
        if not _residue(sentence):
            return
        if _NOTHING.fullmatch(sentence):
            self.nothing = True
        elif match := re.fullmatch(rf"(?:the )?(.+?) {_GONE}", sentence):
            self.items(match.group(1), self.missing)
        elif re.fullmatch(rf"(?:the )?.+? {_CHANGED} from .+", sentence):
            trailing = self.level(sentence)
            if _residue(trailing):
                self.unread.append(_residue(trailing))
        elif (
            match := re.fullmatch(
                r"(?:there (?:is|are) )?(?:an? |the )?(?:new|additional) (.+?)(?: (?:is|are) seen)?", sentence
            )
        ) or (match := re.fullmatch(r"(?:the )?(.+?) (?:is|are) new", sentence)):
            self.items(match.group(1), self.added)
        else:
            self.unread.append(_residue(sentence))

    def sentences(self, text: str) -> None:
        for sentence in text.split(" . ") if " . " in text else [text]:
            self.plain(sentence.strip(" ."))


@cache
def _level_span() -> str:
    """Words of levels and "to". Word by word: of "mild to moderate to large" the first level is "mild" alone."""
    words = "|".join(map(re.escape, sorted({word for level in LEVELS for word in level.split()} | {"to"})))
    return rf"(?:(?:{words})\b ?)+"


@cache
def _level_sequence() -> re.Pattern[str]:
    words = "|".join(map(re.escape, sorted(LEVELS, key=len, reverse=True)))
    return re.compile(rf"(?:{words})(?: (?:{words}))*")


def _level_splits(span: str) -> list[tuple[str, str]]:
    """Every way to read "A to B" as two different levels, shortest prior first."""
    words = span.split(" ")
    halves = [(" ".join(words[:i]), " ".join(words[i + 1 :])) for i, word in enumerate(words) if word == "to"]
    whole = _level_sequence().fullmatch
    return [(prior, current) for prior, current in halves if whole(prior) and whole(current) and prior != current]


def parse(text: str) -> Reading:
    """Read an answer. An empty or unreadable text gives an empty Change with `unread`, never `nothing`."""
    parser = _Parser()
    plain = _THAN.sub(" . ", _normalise(text))
    leads = list(_LEAD.finditer(plain))
    parser.sentences(plain[: leads[0].start()] if leads else plain)
    ends = [lead.start() for lead in leads[1:]] + [len(plain)]
    for lead, end in zip(leads, ends, strict=False):
        body = plain[lead.end() : end].strip()
        if lead.lastgroup == "level":
            parser.sentences(parser.level(body))
            continue
        # A list ends at its full stop ("than the reference image" has become one); more may follow it.
        listed, _, after = f"{body} ".partition(" . ")
        parser.items(listed, parser.added if lead.lastgroup == "added" else parser.missing)
        parser.sentences(after)
    change = Change(frozenset(parser.added), frozenset(parser.missing), frozenset(parser.levels))
    if not change and not parser.nothing and not parser.unread:
        parser.unread.append(text.strip() or "an empty answer")
    return Reading(
        change, tuple(parser.unread), tuple(parser.modifiers), parser.ambiguous, parser.nothing and not change
    )
