"""An answer in (roughly) the sentence forms of `grammar.py` -> `Change`.

A clause is read with the words around it: denials ("no new edema", "has not resolved") are not items; with the
reference image as the subject, added and missing are exchanged; in "new X and resolved Y" each finding has its own
word. What cannot be told is unread, and never an item: a silent wrong reading is worse than none.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal, cast

from intervalchange.findings import ALIASES, FINDINGS, LEVELS, PRE_LOCATIONS, TYPES
from intervalchange.records import Change, LevelChange


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
    denied: tuple[str, ...] = ()
    """Findings of which the text says that they did not come, or did not go."""


_FILM = r"(?:image|film|study|radiograph)"
_CURRENT = rf"(?:the )?(?:main|current) {_FILM}"
_PRIOR = rf"(?:the )?(?:reference|prior|previous|earlier) (?:{_FILM}|exam|examination)"
_ADDED = rf"(?:{_CURRENT} (?:has|shows) )?(?:an |the )?(?:additional|new) findings? of"
_MISSING = rf"(?:{_CURRENT} )?(?:is )?missing (?:the |a )?findings? of"
_LEVEL = r"(?:the )?level of"
_CURRENT_FILM = re.compile(rf"\b{_CURRENT}\b")
_PRIOR_FILM = re.compile(rf"\b{_PRIOR}\b")
_LEAD = re.compile(rf"\b(?:(?P<added>{_ADDED})|(?P<missing>{_MISSING})|(?P<level>{_LEVEL}))\b")
_ABSENT = r"(?:that|which) (?:is|are|was|were) (?:absent|not seen|not present) (?:on|in)"
_THAN_PRIOR = re.compile(
    rf"\b(?:compared (?:to|with)|since|from|relative to|{_ABSENT}) {_PRIOR}\b"
    rf"|\bthan (?:\w+ ){{0,2}}(?:reference|prior|previous|earlier)\b(?: (?:{_FILM}|exam|examination)\b)?"
)
"""What the change is compared with; "than" also in answers that were cut off or lost a word."""
_THAN_CURRENT = re.compile(rf"\b(?:than|compared (?:to|with)|relative to) {_CURRENT}\b")
_NOTHING = re.compile(
    r"(?:nothing (?:has |is )?(?:changed|new|different)|(?:there (?:is|are|has been) )?no (?:significant |relevant "
    r"|interval |acute )*(?:changes?|difference)(?: (?:is|are) seen)?|unchanged|no longer different)"
)
_CHANGED = r"(?:has |have |is |are )?(?:changed|increased|decreased|worsened|improved|progressed|regressed)"
_FILLER = frozenset(
    {
        "a",
        "an",
        "the",
        "and",
        "or",
        "of",
        "is",
        "are",
        "with",
        "also",
        "both",
        "there",
        "finding",
        "findings",
        "but",
        "nor",
    }
)
_COORDINATOR = re.compile(r"[,;&]|\b(?:and|or|nor|but|while|whereas)\b")

_PIECES = 1 << 14
"""Pieces between findings remembered: ", and " stands in nearly every answer."""

Status = Literal["added", "missing", "denied", "unread"]
"""What a clause says of a finding. `denied`: that it did not come, or did not go; such a clause is not an item."""

_SWAPPED: dict[Status, Status] = {"added": "missing", "missing": "added"}
"""The same with the films exchanged."""

_STATUS_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("missing", re.compile(r"\bno longer\b|\b(?:resolved|cleared|disappeared|gone)\b|\b(?:resolution|clearing) of\b")),
    ("missing", re.compile(r"\bmissing\b")),
    ("added", re.compile(r"\b(?:new|newly|additional|developed|appeared)\b|\b(?:development|appearance) of\b")),
    ("denied", re.compile(r"\b(?:no|not|nor|neither|never|none|without|absent|cannot|lacks?)\b|n't\b")),
    ("denied", re.compile(r"\babsence of\b|\bnegative for\b|\bfree of\b")),
    (
        "unread",
        re.compile(
            r"\b(?:unchanged|stable|persist\w*|improv\w*|worse\w*|increas\w*|decreas\w*|progress\w*|regress\w*|remain\w*"
            r"|larger|smaller|similar|possibl[ey]|probabl[ey]|likely|unlikely|may|might|could|would|should|suspect\w*"
            r"|questionable|if|whether|unclear|uncertain|instead|rather|except|reference|prior|previous|earlier)\b"
        ),
    ),
)
"""Words that say what a clause does to its findings, in the order in which they are looked for and taken out."""
_AUXILIARY = frozenset(
    {
        "has",
        "have",
        "been",
        "was",
        "were",
        "does",
        "do",
        "did",
        "now",
        "completely",
        "fully",
        "seen",
        "present",
        "visible",
    }
    | {
        "shows",
        "show",
        "image",
        "film",
        "study",
        "main",
        "current",
        "in",
        "on",
        "this",
        "interval",
        "nor",
        "but",
        "either",
    }
)
"""Words that may stand in a plain sentence beside its findings and its status words."""


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
    text = re.sub(r"(?<=\w):(?=\s|$)", " : ", text)
    text = re.sub(r"(?<=\w)[.;!?]+(?=\s|$)", " . ", text)
    return re.sub(r"\s+", " ", text).strip()


@lru_cache(maxsize=_PIECES)
def _residue(text: str, understood: frozenset[str] = _FILLER) -> str:
    """What is left of a text when separators and understood words are taken away at both ends."""
    words = re.findall(r"[^\s,.;:&]+", text)
    left = [index for index, word in enumerate(words) if word not in understood]
    return " ".join(words[left[0] : left[-1] + 1]) if left else ""


@lru_cache(maxsize=_PIECES)
def _status(text: str) -> tuple[Status | None, str]:
    """What a clause says of its findings, and the clause without the words that say so.

    A denial of a change ("no new", "has not resolved") is a denial. Two denials, or words that say something else
    (worse, possible, the reference image ...), cannot be read.
    """
    counts: Counter[str] = Counter()
    for status, pattern in _STATUS_WORDS:
        text, count = pattern.subn(" ", text)
        counts[status] += count
    if counts["unread"] or counts["denied"] > 1:
        return "unread", text
    for status in ("denied", "missing", "added"):
        if counts[status]:
            return cast(Status, status), text
    return None, text


def _agreed(before: Status | None, after: Status | None) -> Status | None:
    """The status of a finding from the words before it and after it."""
    if before is None or after is None or before == after:
        return "unread" if before == after == "denied" else before or after
    return "denied" if "denied" in (before, after) and "unread" not in (before, after) else "unread"


@dataclass(frozen=True, slots=True)
class _Clause:
    """A finding of a list, with the words around it that belong to it."""

    finding: str
    before: str
    after: str


def _clauses(text: str) -> tuple[list[_Clause], str]:
    """The findings of a list with their words, and what stands after the last coordinator behind the last of them."""
    pattern, known = _names()
    matches = list(pattern.finditer(text))
    clauses, start = [], 0
    for index, match in enumerate(matches):
        before = text[start : match.start()]
        until = matches[index + 1].start() if index + 1 < len(matches) else len(text)
        between = text[match.end() : until]
        coordinator = _COORDINATOR.search(between)
        # Without a coordinator, words between two findings belong to the second: "edema without effusion".
        end = match.end() + coordinator.start() if coordinator else (match.end() if until < len(text) else until)
        clauses.append(_Clause(known[match.group()], before, text[match.end() : end]))
        start = end
    return clauses, text[start:]


class _Parser:
    def __init__(self) -> None:
        self.added: set[str] = set()
        self.missing: set[str] = set()
        self.levels: set[LevelChange] = set()
        self.unread: list[str] = []
        self.denied: list[str] = []
        self.modifiers: list[str] = []
        self.ambiguous = False
        self.nothing = False

    def items(self, text: str, default: Status | None, understood: frozenset[str] = _FILLER) -> None:
        """A list of findings whose lead says `default`; a clause in it may say otherwise ("and resolved edema").

        What is not understood is unread; words of place and grade are modifiers.
        """
        clauses, rest = _clauses(text)
        statuses = self._statuses(clauses, default)
        for clause, status in zip(clauses, statuses, strict=True):
            around = [words for words in (clause.before, clause.after) if words.strip(" ,")]
            left = " ".join(self._without_modifiers(_status(words)[1]) for words in around)
            self._put(clause, status, _residue(left, _FILLER | _AUXILIARY if status == "denied" else understood))
        if residue := _residue(self._without_modifiers(rest), understood):
            self.unread.append(residue)
        if not clauses and not self.unread:
            self.unread.append(_residue(text) or "a list without a finding")

    def _statuses(self, clauses: list[_Clause], default: Status | None) -> list[Status | None]:
        """Words before a finding hold for those after it too; words after it for those before it as well."""
        own = [(_status(clause.before)[0], _status(clause.after)[0]) for clause in clauses]
        statuses: list[Status | None] = []
        current, unmarked, marked = default, 0, False
        for index, (before, after) in enumerate(own):
            if before is not None:
                current, unmarked, marked = before, index + 1, True
            statuses.append(_agreed(before, after) or current)
            if after is not None:
                # "new edema, effusion and hernia have resolved": nobody knows which the effusion belongs to.
                statuses[unmarked:index] = ["unread" if marked else after] * max(0, index - unmarked)
                unmarked, marked = index + 1, False
        return statuses

    def _put(self, clause: _Clause, status: Status | None, residue: str) -> None:
        if status == "added":
            self.added.add(clause.finding)
        elif status == "missing":
            self.missing.add(clause.finding)
        elif status == "denied":
            self.denied.append(clause.finding)
        else:
            residue = f"{clause.before} {clause.finding} {clause.after}"
        if residue:
            self.unread.append(_residue(residue))

    def _without_modifiers(self, text: str) -> str:
        if not text.strip(" ,"):
            return ""
        self.modifiers += _modifier_pattern().findall(text)
        return _modifier_pattern().sub(" ", text)

    def level(self, text: str) -> str:
        """Reads "X has changed from A to B" at the start of text; returns what follows it."""
        pattern, known = _names()
        body = text.removeprefix("the ")
        name = pattern.match(body)
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
        """A sentence outside the template forms: read as a whole, or not at all."""
        sentence = sentence.strip(" ,")
        if not _residue(sentence):
            return
        if _NOTHING.fullmatch(sentence):
            self.nothing = True
        elif re.fullmatch(rf"(?:the )?.+? {_CHANGED} from .+", sentence):
            trailing = self.level(sentence)
            if _residue(trailing):
                self.unread.append(_residue(trailing))
        elif self._understood(sentence):
            self.items(sentence, None, _FILLER | _AUXILIARY)
        else:
            self.unread.append(_residue(sentence))

    def _understood(self, sentence: str) -> bool:
        """Whether a plain sentence is made of findings, status words, modifiers and auxiliaries alone."""
        clauses, rest = _clauses(sentence)
        statuses = self._statuses(clauses, None)
        if not clauses or None in statuses or "unread" in statuses:
            return False
        words = " ".join(_status(part)[1] for clause in clauses for part in (clause.before, clause.after)) + " " + rest
        return not _residue(_modifier_pattern().sub(" ", words), _FILLER | _AUXILIARY)

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


def _before_lead(text: str) -> tuple[str, str]:
    """Text up to a lead -> what belongs to what came before, and the beginning of the lead's own clause."""
    done, stop, clause = text.rpartition(" . ")
    if stop:
        return done, clause
    clauses, rest = _clauses(text)
    coordinator = _COORDINATOR.search(rest) if clauses else None
    if coordinator is None:
        return (text, "") if clauses else ("", text)
    return text[: len(text) - len(rest) + coordinator.start()], rest[coordinator.end() :]


def _default_status(lead: str, clause: str, default: Status, subject: str) -> tuple[Status, str, str]:
    """What a lead says of its list, the subject of its sentence (prior or current), and what of its clause is unread.

    lead: its words. clause: what stands before it in its sentence ("the reference image has", "there is no").
    subject: of the clause before it in the same sentence, "" where there is none.
    """
    named = "current" if _CURRENT_FILM.search(f"{clause} {lead}") else ""
    if not clause.strip(" ,"):
        return default if subject != "prior" or named else _SWAPPED[default], named or subject, ""
    clause, of_prior = _PRIOR_FILM.subn(" ", _CURRENT_FILM.sub(" ", clause))
    if of_prior and named:
        return "unread", "", clause
    subject = "prior" if of_prior else named or subject
    status, left = _status(clause)
    if status == "denied":
        default = "denied"
    elif status is not None:
        default = "unread"
    elif subject == "prior":
        default = _SWAPPED[default]
    return default, subject, "" if default == "unread" else _residue(left, _FILLER | _AUXILIARY)


def parse(text: str) -> Reading:
    """Read an answer. An empty or unreadable text gives an empty Change with `unread`, never `nothing`.

    Denials ("no new edema") are not items, and not unread beside something that is read. Where the reference image is
    the subject, added and missing are exchanged. A list whose sense cannot be told is unread, and none of it an item.
    """
    parser = _Parser()
    plain = _THAN_CURRENT.sub(" than-current . ", _THAN_PRIOR.sub(" than-prior . ", _normalise(text)))
    leads = list(_LEAD.finditer(plain))
    start, subject = 0, ""
    pending: tuple[str, Status, str] | None = None
    for lead in leads:
        done, clause = _before_lead(plain[start : lead.start()])
        subject = "" if " . " in plain[start : lead.start()] else subject
        _finish(parser, pending, done)
        kind = cast(str, lead.lastgroup)
        default: Status = "missing" if kind == "missing" else "added"
        status, subject, unread = _default_status(lead.group(), clause, default, subject)
        if unread:
            parser.unread.append(unread)
        pending, start = (kind, status, subject), lead.end()
    _finish(parser, pending, plain[start:])
    change = Change(frozenset(parser.added), frozenset(parser.missing), frozenset(parser.levels))
    if not change and not parser.nothing and not parser.unread:
        parser.unread.append(text.strip() or "an empty answer")
    nothing = parser.nothing and not change
    return Reading(
        change, tuple(parser.unread), tuple(parser.modifiers), parser.ambiguous, nothing, tuple(parser.denied)
    )


def _finish(parser: _Parser, lead: tuple[str, Status, str] | None, body: str) -> None:
    """Read what follows a lead: its list or level up to the full stop, then plain sentences."""
    if lead is None:
        parser.sentences(_without_comparison(body))
        return
    kind, status, subject = lead
    if kind == "level":
        listed = f"{body} ".partition(" . ")[0]
        if status in ("denied", "unread") or subject == "prior" or "than-current" in body:
            parser.unread.append(_residue(_without_comparison(listed)) or "a level")
            parser.sentences(_without_comparison(f"{body} ".partition(" . ")[2]))
        else:
            parser.sentences(parser.level(_without_comparison(body).strip()))
        return
    # A list ends at its full stop ("than the reference image" has become one); more may follow it.
    listed, _, after = f"{body} ".partition(" . ")
    if "than-current" in listed and status in ("added", "missing"):
        # Compared with the current film, the prior is the subject; with itself, nothing is.
        if subject == "current":
            status = "unread"
        elif not subject:
            status = _SWAPPED[status]
    elif "than-prior" in listed and subject == "prior":
        status = "unread"
    parser.items(_without_comparison(listed), status)
    parser.sentences(_without_comparison(after))


def _without_comparison(text: str) -> str:
    return text.replace("than-prior", " ").replace("than-current", " ")
