"""An answer in (roughly) the sentence forms of `grammar.py` -> `Change`.

A clause is read with the words around it: denials ("no new edema", "has not resolved") are not items; with the
reference image as the subject, added and missing are exchanged; in "new X and resolved Y" each finding has its own
word. What cannot be told is unread, and never an item: a silent wrong reading is worse than none.
"""

from __future__ import annotations

import re
from functools import cache
from typing import cast

from intervalchange.answer_clauses import (
    AUXILIARY,
    COORDINATOR,
    FILLER,
    SWAPPED,
    Clause,
    Status,
    agreed_status,
    clauses_of,
    residue_of,
    status_of,
)
from intervalchange.answer_template import Reading, finding_names, read_template
from intervalchange.findings import LEVELS, PRE_LOCATIONS, TYPES
from intervalchange.lazy_patterns import lazily
from intervalchange.records import Change, LevelChange

_FILM = r"(?:image|film|study|radiograph)"
_CURRENT = rf"(?:the )?(?:main|current) {_FILM}"
_PRIOR = rf"(?:the )?(?:reference|prior|previous|earlier) (?:{_FILM}|exam|examination)"
_ADDED = rf"(?:{_CURRENT} (?:has|shows) )?(?:an |the )?(?:additional|new) findings? of"
_MISSING = rf"(?:{_CURRENT} )?(?:is )?missing (?:the |a )?findings? of"
_LEVEL = r"(?:the )?level of"
_CURRENT_FILM = lazily(rf"\b{_CURRENT}\b")
_PRIOR_FILM = lazily(rf"\b{_PRIOR}\b")
_LEAD = lazily(rf"\b(?:(?P<added>{_ADDED})|(?P<missing>{_MISSING})|(?P<level>{_LEVEL}))\b")
_ABSENT = r"(?:that|which) (?:is|are|was|were) (?:absent|not seen|not present) (?:on|in)"
_THAN_PRIOR = lazily(
    rf"\b(?:compared (?:to|with)|since|from|relative to|{_ABSENT}) {_PRIOR}\b"
    rf"|\bthan (?:\w+ ){{0,2}}(?:reference|prior|previous|earlier)\b(?: (?:{_FILM}|exam|examination)\b)?"
)
"""What the change is compared with; "than" also in answers that were cut off or lost a word."""
_THAN_CURRENT = lazily(rf"\b(?:than|compared (?:to|with)|relative to) {_CURRENT}\b")
_NOTHING = lazily(
    r"(?:nothing (?:has |is )?(?:changed|new|different)|(?:there (?:is|are|has been) )?no (?:significant |relevant "
    r"|interval |acute )*(?:changes?|difference)(?: (?:is|are) seen)?|unchanged|no longer different)"
)
_CHANGED = r"(?:has |have |is |are )?(?:changed|increased|decreased|worsened|improved|progressed|regressed)"


@cache
def _modifier_pattern() -> re.Pattern[str]:
    words = sorted({*LEVELS, *TYPES, *PRE_LOCATIONS}, key=len, reverse=True)
    return lazily(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b")


def _normalise(text: str) -> str:
    text = text.lower().replace("\u2019", "'")
    text = re.sub(r"(?<=\w):(?=\s|$)", " : ", text)
    text = re.sub(r"(?<=\w)[.;!?]+(?=\s|$)", " . ", text)
    return re.sub(r"\s+", " ", text).strip()


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

    def items(self, text: str, default: Status | None, understood: frozenset[str] = FILLER) -> None:
        """A list of findings whose lead says `default`; a clause in it may say otherwise ("and resolved edema").

        What is not understood is unread; words of place and grade are modifiers.
        """
        clauses, rest = clauses_of(text)
        statuses = self._statuses(clauses, default)
        for clause, status in zip(clauses, statuses, strict=True):
            around = [words for words in (clause.before, clause.after) if words.strip(" ,")]
            left = " ".join(self._without_modifiers(status_of(words)[1]) for words in around)
            self._put(clause, status, residue_of(left, FILLER | AUXILIARY if status == "denied" else understood))
        if residue := residue_of(self._without_modifiers(rest), understood):
            self.unread.append(residue)
        if not clauses and not self.unread:
            self.unread.append(residue_of(text) or "a list without a finding")

    def _statuses(self, clauses: list[Clause], default: Status | None) -> list[Status | None]:
        """Words before a finding hold for those after it too; words after it for those before it as well."""
        own = [(status_of(clause.before)[0], status_of(clause.after)[0]) for clause in clauses]
        statuses: list[Status | None] = []
        current, unmarked, marked = default, 0, False
        for index, (before, after) in enumerate(own):
            if before is not None:
                current, unmarked, marked = before, index + 1, True
            statuses.append(agreed_status(before, after) or current)
            if after is not None:
                # "new edema, effusion and hernia have resolved": nobody knows which the effusion belongs to.
                statuses[unmarked:index] = ["unread" if marked else after] * max(0, index - unmarked)
                unmarked, marked = index + 1, False
        return statuses

    def _put(self, clause: Clause, status: Status | None, residue: str) -> None:
        if status == "added":
            self.added.add(clause.finding)
        elif status == "missing":
            self.missing.add(clause.finding)
        elif status == "denied":
            self.denied.append(clause.finding)
        else:
            residue = f"{clause.before} {clause.finding} {clause.after}"
        if residue:
            self.unread.append(residue_of(residue))

    def _without_modifiers(self, text: str) -> str:
        if not text.strip(" ,"):
            return ""
        self.modifiers += _modifier_pattern().findall(text)
        return _modifier_pattern().sub(" ", text)

    def level(self, text: str) -> str:
        """Reads "X has changed from A to B" at the start of text; returns what follows it."""
        pattern, known = finding_names()
        body = text.removeprefix("the ")
        name = pattern.match(body)
        verb = re.match(rf" {_CHANGED} from ", body[name.end() :]) if name else None
        if not name or not verb:
            self.unread.append(residue_of(text) or "a level without a finding")
            return ""
        rest = body[name.end() + verb.end() :]
        span = re.match(_level_span(), rest)
        splits = _level_splits(span.group().strip()) if span else []
        if not splits:
            self.unread.append(residue_of(text))
            return ""
        self.ambiguous |= len(splits) > 1
        self.levels.add(LevelChange(known[name.group()], *splits[0]))
        return rest[span.end() :] if span else ""

    def plain(self, sentence: str) -> None:
        """A sentence outside the template forms: read as a whole, or not at all."""
        sentence = sentence.strip(" ,")
        if not residue_of(sentence):
            return
        if _NOTHING.fullmatch(sentence):
            self.nothing = True
        elif re.fullmatch(rf"(?:the )?.+? {_CHANGED} from .+", sentence):
            trailing = self.level(sentence)
            if residue_of(trailing):
                self.unread.append(residue_of(trailing))
        elif self._understood(sentence):
            self.items(sentence, None, FILLER | AUXILIARY)
        else:
            self.unread.append(residue_of(sentence))

    def _understood(self, sentence: str) -> bool:
        """Whether a plain sentence is made of findings, status words, modifiers and auxiliaries alone."""
        clauses, rest = clauses_of(sentence)
        statuses = self._statuses(clauses, None)
        if not clauses or None in statuses or "unread" in statuses:
            return False
        parts = (part for clause in clauses for part in (clause.before, clause.after))
        words = _modifier_pattern().sub(" ", " ".join(status_of(part)[1] for part in parts) + " " + rest)
        return not residue_of(words, FILLER | AUXILIARY)

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
    return lazily(rf"(?:{words})(?: (?:{words}))*")


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
    clauses, rest = clauses_of(text)
    coordinator = COORDINATOR.search(rest) if clauses else None
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
        return default if subject != "prior" or named else SWAPPED[default], named or subject, ""
    clause, of_prior = _PRIOR_FILM.subn(" ", _CURRENT_FILM.sub(" ", clause))
    if of_prior and named:
        return "unread", "", clause
    subject = "prior" if of_prior else named or subject
    status, left = status_of(clause)
    if status == "denied":
        default = "denied"
    elif status is not None:
        default = "unread"
    elif subject == "prior":
        default = SWAPPED[default]
    return default, subject, "" if default == "unread" else residue_of(left, FILLER | AUXILIARY)


def parse(text: str) -> Reading:
    """Read an answer. An empty or unreadable text gives an empty Change with `unread`, never `nothing`.

    Denials ("no new edema") are not items, and not unread beside something that is read. Where the reference image is
    the subject, added and missing are exchanged. A list whose sense cannot be told is unread, and none of it an item.
    """
    if (template := read_template(text)) is not None:
        return template
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
            parser.unread.append(residue_of(_without_comparison(listed)) or "a level")
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
            status = SWAPPED[status]
    elif "than-prior" in listed and subject == "prior":
        status = "unread"
    parser.items(_without_comparison(listed), status)
    parser.sentences(_without_comparison(after))


def _without_comparison(text: str) -> str:
    return text.replace("than-prior", " ").replace("than-current", " ")
