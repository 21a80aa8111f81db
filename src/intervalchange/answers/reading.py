"""A free answer about change -> what it claims, by rules alone: no network, no model.

Each form (prose, lists, tables, objects, reasoning) becomes headed pieces of text (`Unit`); `clauses` decides what a
piece claims of each finding, and `evidence` what all of them together say. A text in the sentences of the template is
looked up, as `grammar.parse` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from intervalchange.answer_template import read_template
from intervalchange.answers import abstaining
from intervalchange.answers.clauses import Findings, read_sentence
from intervalchange.answers.evidence import COURSES, Evidence, Films, outcome
from intervalchange.answers.lists import units_of
from intervalchange.answers.names import ABNORMALS
from intervalchange.answers.objects import object_of, object_units
from intervalchange.answers.prose import sentences_of
from intervalchange.answers.reasoning import final_answer
from intervalchange.answers.records import Answer, Course
from intervalchange.answers.rewriting import rewritten
from intervalchange.answers.tables import table_of, table_units
from intervalchange.answers.tokens import Token, tokens_of
from intervalchange.answers.units import Unit
from intervalchange.lazy_patterns import lazily
from intervalchange.records import LevelChange

_NONE = lazily(r"^\W*(?:none|nothing|no|nil|no changes?|n/?c|no difference)\W*$", re.IGNORECASE)
_NOT_ASKED = lazily(r"^\s*(?:no|yes)\b", re.IGNORECASE)
_BULLETS = frozenset("-*#>\u2022")
_QUOTED = lazily(r"[\"\u201c][^\"\u201d]*[\"\u201d]")
_CORRECTED = lazily(
    r"\b(?:no, )?correction\b|\bscratch that\b|\bon second thoughts?\b|\bstrike that\b|\bi take that back\b",
    re.IGNORECASE,
)
_CORRECTIONS = ("correct", " that", "thought")
_SPEAKER = lazily(r"\b(?:i|we|me|my|ai)\b|\b(?:provided|available|missing|attached)\b", re.IGNORECASE)
LONGEST = 20_000
"""Characters of an answer that are read; what is beyond is unread."""


def read_answer(text: str, question: str | None = None) -> Answer:
    """What a free answer claims.

    question: what was asked; it names the finding where the answer does not ("has the effusion changed?" "Yes, it is
    gone."). Hedged findings are `unsure`, never items; what cannot be read is in `unread`.
    """
    if (template := read_template(text)) is not None:
        change = template.change
        return Answer(Course(change.added, change.missing), nothing=template.nothing)
    final = final_answer(text[:LONGEST])
    found = Findings()
    if question:
        _ask(question, final, found)
    if not final:
        return Answer(Course(), unread=(text.strip()[:80] or "an empty answer",))
    if _NONE.match(final) and not found.last:
        return Answer(Course(), nothing=True)
    abstains = _read_units(_units(final), found)
    answer = _concluded(found, abstains, final)
    if len(text) > LONGEST:
        return Answer(
            answer.change, answer.unsure, False, answer.abstains, (*answer.unread, text[LONGEST : LONGEST + 80])
        )
    return answer


def _ask(question: str, answer: str, found: Findings) -> None:
    """What a question lends to its answer: the finding that it names, and for a "yes" or "no" its course."""
    tokens = rewritten(tokens_of(question))
    found.last = [(token.value, frozenset()) for token in tokens if token.tag == "F"]
    found.region = next((token.value for token in tokens if token.tag == "R"), "")
    own = {token.tag for token in tokens_of(answer)} if found.last else set()
    found.asked = bool(found.last) and "F" not in own
    course = [token.tag for token in tokens if token.tag in "NGWB"]
    if found.last and course and _NOT_ASKED.match(answer) and not own & set("NGWBSF"):
        denial = answer.strip().lower().startswith("no")
        said = course[0] if not denial else "S" if course[0] in "GWB" else "k"
        found.evidence += [Evidence(name, said) for name, _ in found.last]
        found.denied |= said == "k"


def _units(text: str) -> Iterable[Unit]:
    if "{" in text or "[" in text:
        held = object_of(text)
        if held is not None:
            plain, outside = held
            units = list(object_units(plain))
            return units or [Unit("no change")] if _all_empty(plain) else units + _around(outside)
    if "|" in text or "\t" in text or "<t" in text.lower():
        table = table_of(text)
        if table is not None:
            rows, around = table
            return [*table_units(rows), *[Unit(line) for line in around if ":" not in line or "|" not in text]]
    if "\n" in text or "**" in text or text.lstrip()[:1] in _BULLETS:
        return units_of(text)
    return [Unit(text)]


def _around(text: str) -> list[Unit]:
    return [Unit(line) for line in text.splitlines() if len(line.split()) > 12]


def _all_empty(plain: object) -> bool:
    """Whether an object has lists of changes and all are empty."""
    if isinstance(plain, dict):
        lists = [value for value in plain.values() if isinstance(value, list)]
        return bool(lists) and not any(lists)
    return False


def _read_units(units: Iterable[Unit], found: Findings) -> bool:
    """Read every piece; whether one of them refuses."""
    abstains = False
    heading = ""
    header: list[Token] = []
    for unit in units:
        if unit.heading != heading or not header:
            heading, header = unit.heading, rewritten(tokens_of(unit.heading)) if unit.heading else []
            films = {token.tag for token in header} & {"P", "C"}
            only_film = films and not {token.tag for token in header} & set("NGWBS")
            found.film = films.pop() if only_film and len(films) == 1 else ""
            if found.film:
                found.described.add(found.film)
        for sentence in sentences_of(unit.text):
            abstains |= _read_one(sentence, found, [] if found.film else header)
    return abstains


def _read_one(sentence: str, found: Findings, header: list[Token]) -> bool:
    """Read a sentence; whether it refuses."""
    if abstaining.refuses(sentence) and not abstaining.finds_nothing(sentence):
        kinds = {token.tag for token in tokens_of(sentence)}
        if {"F", "H"} <= kinds and not _SPEAKER.search(sentence):
            read_sentence(sentence, found, header)
            return False
        doubt = abstaining.in_doubt(sentence)
        if {token.tag for token in tokens_of(doubt)} & {"F", "J"}:
            mark = len(found.evidence)
            read_sentence(sentence, found, [Token("H", "", "whether")])
            found.doubted += found.evidence[mark:]
            return False
        rest = abstaining.after_disclaimer(sentence)
        if rest and not abstaining.refuses(rest):
            before = sentence[: len(sentence) - len(rest)]
            if {"F", "H"} <= {token.tag for token in tokens_of(before)}:
                read_sentence(before, found, header)
            read_sentence(rest, found, header)
        return True
    if any(mark in sentence.lower() for mark in _CORRECTIONS) and _CORRECTED.search(sentence):
        parts = _CORRECTED.split(sentence)
        mark = len(found.evidence)
        read_sentence(parts[0], found, header)
        del found.evidence[mark:]
        for part in parts[1:]:
            read_sentence(f"; {part}", found, header)
        return False
    read_sentence(sentence, found, header)
    return False


# --- the whole answer ----------------------------------------------------------------------------------------------


def _concluded(found: Findings, abstains: bool, text: str) -> Answer:
    if abstains and all(one in found.doubted for one in found.evidence):
        found.evidence = []
    films = Films(frozenset(found.described), frozenset(found.healthy))
    said: dict[str, list[Evidence]] = {}
    for one in (*found.evidence, *_of_regions(found)):
        said.setdefault(one.finding, []).append(one)
    courses: dict[str, set[str]] = {course: set() for course in COURSES}
    unsure: set[str] = set()
    levels: set[LevelChange] = set()
    mentioned: set[str] = set()
    for finding, evidence in said.items():
        result = outcome(finding, evidence, films)
        for course in result.courses:
            courses[course].add(finding)
        if result.unsure:
            unsure.add(finding)
        if result.level is not None:
            levels.add(result.level)
        if not result.courses and not result.unsure and any(one.kind in "vj" for one in evidence):
            mentioned.add(finding)
    moved = any(courses[course] for course in "NGWB") or bool(unsure)
    if found.nothing and not moved:
        courses["S"] |= mentioned
    added, missing, worse, better, stable = (frozenset(courses[course]) for course in "NGWBS")
    change = Course(added, missing, frozenset(levels), worse, better, stable)
    quiet = not moved and not found.hedged_nothing
    nothing = quiet and (
        (found.nothing and not (found.other and not found.nothing))
        or (bool(courses["S"]) and not found.other)
        or ((found.nothing_new or found.part_unchanged) and not found.other)
    )
    if found.other and found.nothing and quiet:
        nothing = False
    abstains = abstains and not moved and not courses["S"] and not nothing
    unread = tuple(found.unread) if not (moved or nothing or abstains) else ()
    claims = moved or courses["S"] or nothing or abstains or found.denied or found.other or found.device
    if not claims and not unread and not found.hedged_nothing and not mentioned and not found.evidence:
        unread = (text.strip()[:80],)
    return Answer(change, frozenset(unsure), nothing, abstains, unread)


def _of_regions(found: Findings) -> list[Evidence]:
    """ "The heart got bigger" speaks of cardiomegaly where the answer names it."""
    if not found.regions:
        return []
    named = {one.finding for one in found.evidence}
    said = {one.finding for one in found.evidence if one.kind in "NGWBSpk"}
    out = []
    for region, course in found.regions:
        for (part, _), finding in ABNORMALS.items():
            if part.strip() == region and finding in named - said and course in "WB":
                out.append(Evidence(finding, course))
    return out
