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

from intervalchange.data.extraction import fields, lexicon, values
from intervalchange.data.extraction.account import Attributes
from intervalchange.data.extraction.attributes import attributes_of
from intervalchange.data.extraction.fields import Subject, field_of, subject_of
from intervalchange.data.extraction.names import named, plain
from intervalchange.data.extraction.sentences import sentences
from intervalchange.findings import FINDINGS

Label = Literal["present", "absent", "uncertain"]
_STRENGTH = {"absent": 1, "uncertain": 2, "present": 3}
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|there|shows?|demonstrates?|seen|compared|evaluat\w+|rule)\b", re.IGNORECASE
)
"""A label with a verb is a statement by itself."""
_WORSE = re.compile(r"increas|worse|progress|larger|new ")
NO_VALUE = "no value"
_REGION = {"cardiac": "heart"}
"""A label that is no noun -> the noun."""
_NONE_NEXT = re.compile(r" (?P<absent>none|nil) $")
_HEALTH = re.compile("normal|unremarkable|clear|enlarged|free|sharp|preserved|maintained")
"""One of these words is in each phrase of `lexicon.NORMAL`."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One mention of one finding in a report."""

    finding: str
    label: Label
    attributes: Attributes
    sentence: str
    rule: str
    """Which rule decided, in words: "named", "denied: no", "in doubt: may represent", "value: none", ..."""
    stated: bool = True
    """False where the finding is only the label of a value that is missing or cannot be read."""


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
    return any(_normal_film().search(plain(sentence)) for sentence in sentences(report))


@lru_cache(maxsize=20_000)
def in_sentence(sentence: str) -> tuple[Statement, ...]:
    """The statements of one sentence, one per name of a finding in it."""
    if sentence.startswith((values.TICKED, values.EMPTY)):
        return _of_box(sentence)
    if ":" in sentence and (field := field_of(sentence)):
        subject = subject_of(field[0])
        if subject is not None and subject.names:
            return _of_finding(sentence, subject, field[1])
        if subject is not None:
            return _of_region(sentence, subject, field[1])
        if label := fields.group_label(field[0]):
            said = _of_prose(sentence, plain(field[1]))
            return tuple(
                replace(one, label=label, rule=f"under: {field[0]}") if one.label == "present" else one for one in said
            )
        if said := _of_statement(sentence, *field):
            return said
    return _of_prose(sentence, plain(sentence))


def _of_prose(sentence: str, text: str) -> tuple[Statement, ...]:
    """The statements of a text, which is `plain` words of a sentence."""
    found = []
    spans, hidden = named(text)
    after, text = _told_after(text, spans)
    for index, (start, end, finding) in enumerate(spans):
        others = [(begin, stop) for begin, stop, _ in spans if (begin, stop) != (start, end)]
        label, rule = after.get(index) or _label(text, start, end)
        if label is not None:
            attributes = Attributes() if label == "absent" else attributes_of(text, start, end, others)
            found.append(Statement(finding, label, attributes, sentence, rule))
    for pattern, findings in _normal() if _HEALTH.search(text) else ():
        for match in pattern.finditer(text):
            if not any(begin < match.end() and match.start() < stop for begin, stop in hidden):
                found += [Statement(f, "absent", Attributes(), sentence, f"health: {match.group()}") for f in findings]
    return tuple(found)


# --- "name: value" --------------------------------------------------------------------------------------------------


def _of_finding(sentence: str, subject: Subject, value: str) -> tuple[Statement, ...]:
    """The statements of "Effusion: small left". A value that names the finding again speaks for itself."""
    said = _of_prose(sentence, plain(values.ticked(value)))
    again = {statement.finding for statement in said}
    reading = values.read(value)
    if subject.scaled and re.fullmatch(r"[1-9](?: ?(?:/|of) ?\d)?", value):
        reading = values.Reading("present")
    if reading is None and said and subject.placed:  # "Right lower lobe opacity: likely atelectasis"
        return _of_prose(sentence, plain(sentence))
    found = []
    for start, end, finding in subject.names:
        if finding in again:
            continue
        label, rule = _verdict(reading, value, subject.denying)
        attributes = Attributes()
        if label == "present" or (label == "uncertain" and reading and reading.verdict == "uncertain"):
            attributes = _attributes_of_field(subject, start, end, reading.affirming if reading else ())
        stated = not rule.startswith(NO_VALUE)
        found.append(Statement(finding, label, attributes, sentence, rule, stated))
    return (*found, *said)


def _verdict(reading: values.Reading | None, value: str, denying: bool) -> tuple[Label, str]:
    if reading is None or reading.verdict == "not stated":
        return "uncertain", f"{NO_VALUE}: {value}"
    if denying:  # "No fracture: yes"
        return ("absent", f"value: {value}") if reading.verdict == "present" else ("uncertain", f"{NO_VALUE}: {value}")
    return reading.verdict, f"value: {value}"


def _attributes_of_field(subject: Subject, start: int, end: int, clauses: Sequence[str]) -> Attributes:
    """Level, location and type from the clauses of a value and from its label, as if they stood in one sentence."""
    found = [attributes_of(subject.text, start, end, ())]
    name = subject.text[start:end]
    for clause in clauses:
        where = re.search(r"\b(?:in|at|on|within|along|over)\b", clause)
        before, after = (clause[: where.start()], clause[where.start() :]) if where else (f"{clause} ", "")
        found.append(attributes_of(f"{before}{name} {after}".rstrip(), len(before), len(before) + len(name), ()))
    return _merged(max(found, key=_filled), found)


def _of_statement(sentence: str, label: str, value: str) -> tuple[Statement, ...]:
    """The statements of "Pneumothorax after biopsy: none" or "Heart normal: no"; none where a colon is one of prose."""
    reading = values.read(value)
    if reading is None or reading.verdict == "present" or _VERB.search(label) or named(plain(value))[1]:
        return ()
    found = []
    for one in _of_prose(sentence, plain(label)):
        denied = reading.verdict == "absent" and one.label != "absent" and not _WORSE.search(label.lower())
        stated = denied or reading.verdict == "uncertain"
        rule = f"value: {value}" if stated else f"{NO_VALUE}: {value}"
        found.append(Statement(one.finding, "absent" if denied else "uncertain", Attributes(), sentence, rule, stated))
    return tuple(found)


def _of_region(sentence: str, subject: Subject, value: str) -> tuple[Statement, ...]:
    """The statements of "Heart: enlarged" or "Pleura: clear"."""
    said = _of_prose(sentence, plain(f"{_REGION.get(subject.text) or subject.text.replace('/', ' and ')} {value}"))
    left = [finding for finding in subject.region or () if finding not in {one.finding for one in said}]
    label: Label | None = None
    if values.healthy(value):
        label, rule, stated = "absent", f"health: {value}", True
    elif values.not_assessed(value) or (fields.is_heart(subject) and value and not said):
        label, rule, stated = "uncertain", f"{NO_VALUE}: {value}", False
    return (*said, *(Statement(finding, label, Attributes(), sentence, rule, stated) for finding in left if label))


def _of_box(sentence: str) -> tuple[Statement, ...]:
    """The statements of "[x] Effusion" and "[ ] Edema": an empty box denies what it names."""
    while sentence[len(values.EMPTY) :].lstrip().startswith((values.TICKED, values.EMPTY)):
        sentence = sentence[len(values.EMPTY) :].lstrip()
    said = in_sentence(sentence[len(values.EMPTY) :].lstrip())
    if sentence.startswith(values.TICKED):
        return tuple(replace(one, label="present", stated=True) if not one.stated else one for one in said)
    return tuple(
        Statement(one.finding, "absent", Attributes(), sentence, "box not ticked")
        if one.label != "absent"
        else Statement(one.finding, "uncertain", Attributes(), sentence, f"{NO_VALUE}: box not ticked", False)
        for one in said
    )


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
    told_after: re.Pattern[str]
    told_right_after: re.Pattern[str]


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
        told_after=re.compile(
            "none|nil|absent|negative|no|free|question|equivoc|possib|unlikely|indeterm|doubt|uncert|n/a|unknown|[?]"
        ),
        told_right_after=re.compile(
            rf"[^\w.?+]{{0,6}}(?:(?:is|are|was|were|has been) )?(?:(?P<absent>(?:{lexicon.ABSENT_AFTER}))"
            rf"|{lexicon.IN_DOUBT_AFTER})"
            r"(?= ?(?:$|[;,.]|and\b|but\b))|[?]"
        ),
    )


def _told_after(text: str, spans: Sequence[tuple[int, int, str]]) -> tuple[dict[int, tuple[Label, str]], str]:
    """Name -> its label, where the word for it stands right after the name ("pneumothorax none", "effusion and edema
    absent"); and the text with these words turned into the ends of clauses, so that they reach nothing else.
    """
    found: dict[int, tuple[Label, str]] = {}
    masked = text
    if not _cues().told_after.search(text):
        return found, text
    for index in range(len(spans) - 1, -1, -1):
        match = _cues().told_right_after.match(text, spans[index][1])
        if not match and index + 1 < len(spans):  # "pneumothorax none effusion small"
            match = _NONE_NEXT.match(text, spans[index][1], spans[index + 1][0])
        if not match:
            continue
        label: Label = "absent" if match["absent"] else "uncertain"
        rule = f"{'denied' if match['absent'] else 'in doubt'}: {match.group().strip(' ;')}"
        if label == "absent":
            masked = masked[: match.start()] + ";" * len(match.group()) + masked[match.end() :]
        for earlier in _listed(text, spans, index):
            found.setdefault(earlier, (label, rule))
    return found, masked


def _listed(text: str, spans: Sequence[tuple[int, int, str]], last: int) -> list[int]:
    """The names of the list that ends with one: "effusion, edema and pneumothorax"."""
    names = [last]
    joined = r" (?:and|or|nor|&) |/"
    while names[-1] > 0:
        index = names[-1] - 1
        between = text[spans[index][1] : spans[names[-1]][0]]
        if not re.fullmatch(
            rf"(?:{joined if len(names) == 1 else joined + '|, '})(?:(?:pulmonary|pleural|the|any) )*", between
        ):
            break
        if attributes_of(text, spans[index][0], spans[index][1], ()).level:
            break
        names.append(index)
    return names


@lru_cache(maxsize=1)
def _stays(plain: str) -> list[re.Match[str]]:
    """Kept for the other names of the sentence."""
    return list(_cues().stays.finditer(plain))


def _label(plain: str, start: int, end: int) -> tuple[Label | None, str]:
    """The label of the finding named at [start, end), and the rule; None where the words are not about this film."""
    cues = _cues()
    stays = [match for match in _stays(plain) if match.end() <= start or end <= match.start()]
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
    if masked[:start].endswith(("?", "? ")):
        return "uncertain", "in doubt: ?"
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
    strongest = max(map(_strength, statements))
    strong = [statement for statement in statements if _strength(statement) == strongest]
    best = max(strong, key=lambda statement: _filled(statement.attributes))
    return replace(best, attributes=_merged(best.attributes, [statement.attributes for statement in strong]))


def _strength(statement: Statement) -> int:
    return _STRENGTH[statement.label] if statement.stated else 0


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
