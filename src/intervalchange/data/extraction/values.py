"""What stands after the name of a finding in a structured report: a denial, a grade, a doubt, or nothing.

A value is read clause by clause: "none on the left, small on the right" affirms, "small, now resolved" denies. A clause
that names another finding speaks of that one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from intervalchange.data.extraction.attributes import LEVEL_OF
from intervalchange.data.extraction.names import named, plain
from intervalchange.findings import PRE_LOCATIONS, TYPES

Verdict = Literal["present", "absent", "uncertain", "not stated"]
LONGEST_LABEL = 80

_PLACE = (
    r"(?:on|in|at|of|over|within|the|right|left|both|either|bilateral(?:ly)?|sides?|sided|lungs?|bases?|basal"
    r"|apex|apices"
    r"|apical|upper|lower|middle|mid|lobes?|zones?|hemithorax|either)"
)
_FILLER = rf"(?:there|is|are|was|were|has|have|been|currently|now|again|still|also|otherwise|{_PLACE})"
_LEAD = rf"(?:{_FILLER} )*"
_SEEN = (
    r"(?:seen|identified|visuali[sz]ed|evident|present|appreciated|demonstrated|apparent|visible|detected|noted|found"
    r"|observed|shown|developed|recogni[sz]ed)"
)

NOT_STATED = re.compile(
    r"(?:n ?/ ?a|n\.a\.?|na|nan|null|nil reported|unknown|undetermined|pending|tbd|deferred|unavailable|not yet"
    r"|[^\w+?]*)$"
    r"|(?:yes|y|present|positive|normal|\+) ?(?:/|or) ?(?:no|n|absent|negative|abnormal|-)\b"
    r"|(?:no|n|absent|negative|none) ?(?:/|or) ?(?:yes|y|present|positive)\b"
    r"|.*\b(?:not|cannot be|can't be|could not be|unable to be)(?: \w+)?? (?:assess|evaluat|applicable"
    r"|available|examin|report|mention"
    r"|document|state|record|comment|includ|imag|known|determin|specifi|address|interpret|done|perform|complet)"
    r"|(?:unable|limited|obscured|suboptimal|non-?diagnostic|poorly|difficult|incompletely|partially (?:imaged"
    r"|obscured))\b"
    r"|not (?:well|fully|adequately|clearly|completely|optimally)\b(?! resolved| cleared)"
    r"|(?:please )?(?:see|refer|compare)\b|as (?:above|below|described|per|detailed|discussed|noted|reported)\b"
    r"|(?:select|choose|enter|specify|comment|describe|xx+|__+)"
)
"""The value says that there is none."""
_ELSEWHERE = re.compile(r"(?:please )?(?:see|refer|compare|as)\b")
_DENIES_BEFORE_DOUBT = re.compile(
    rf"{_LEAD}(?:(?:none|no|nothing)(?: \w+)? to suggest|no (?:suspicious|suspected|concerning|possible)"
    rf"|neither|none|nil|no(?! (?:doubt|longer certain))|absent|negative|neg|nope|non|without"
    rf"|0(?:\.0+)?(?: ?(?:mm|cm|ml|%|(?:/|of) ?\d))?$|false"
    r"|nothing|never|not? (?:evidence|signs?)|free|grade 0\b|\(-\)|n$)(?![\w])"
)
_CHANGELESS = re.compile(
    r"(?:no|not|without)(?: \w+){0,3}? (?:changes?|changed|difference|different|increased?|decreased?"
    r"|improve\w*|worse\w*|progress\w*"
    r"|resolution|enlarge\w*|clearing|(?:yet |fully |completely )?(?:resolved|cleared))\b"
    r"|\b(?:partial\w*|partly|nearly|almost|mostly|largely|incomplete\w*|near-?complete"
    r"|near complete)(?: \w+)? (?:resol|clear)\w+"
)
"""A "no" or a "resolved" that denies nothing."""
_DOUBTS = re.compile(
    r"\b(?:possib\w+|probab\w+|likely|unlikely|equivocal|question\w*|suspected|suspicio\w+|suspect"
    r"|indeterminate|uncertain\w*|unclear"
    r"|unsure|doubt\w*|maybe|may|might|could|perhaps|if any|versus|vs|consider\w*|concern\w*|suggest\w*"
    r"|presum\w+|inconclusive|r/o"
    r"|rule out|cannot|can't|can not|not (?:\w+ )?(?:excluded|ruled out)|low probability|ambiguous|(?:to"
    r"|or) (?:none|absent|no|nil))\b|\?"
)
_GONE = re.compile(
    rf"\b(?:resolved|resolution|cleared|gone|disappeared|no longer|excluded|ruled out|removed"
    rf"|not (?:\w+ly )?{_SEEN}|absent|negative"
    rf"|none|not? {_SEEN})\b"
)
_HEALTHY = re.compile(
    r"(?:(?:is|are|sides?|left|right|bases?|within|the|top|upper limits? of|limits of|grossly|essentially"
    r"|entirely|appears?|stable|still"
    r"|size|now|remains?|both|all|well aerated and) )*"
    r"(?:normal|unremarkable|clear|wnl|ok|intact|free|sharp|preserved|no(?: \w+)? (?:abnormalit\w+|disease"
    r"|findings?|process)"
    r"|not enlarged|negative|nad)\b(?! (?:of|from|variant|except))"
)
_AFFIRMS = re.compile(
    r"^(?:yes|y|present|positive|pos|true|1|p|abnormal|affirmative|checked|confirmed|definite(?:ly)?"
    r"|there (?:is|are))(?!\w)"
    r"|^(?:now |again |still |also |clearly |well |as )*(?:seen|noted|identified|visible|evident|detected|found"
    r"|observed)\b"
    r"|^(?:[1-4]?\++|\+ve|grade [1-4iv]+)$"
    rf"|\b(?:{'|'.join(map(re.escape, sorted([*LEVEL_OF, *TYPES, *PRE_LOCATIONS], key=len, reverse=True)))})\b"
    r"|\b(?:left|right|bilateral\w*|unilateral|both|apex|apices|apical|biapical|basal|bibasal|bases|base|lobes?"
    r"|lingula\w*|hilar|perihilar"
    r"|central|peripheral|diffuse|zones?|hemithorax|rul|rml|rll|lul|lll|ribs?|retrocardiac|subpleural|loculated"
    r"|layering|anterior|posterior"
    r"|lateral|midlung|clavicle|vertebra\w*)\b"
    r"|\b(?:unchanged|unaltered|stable|same|similar|persist\w*|remains?|residual|increas\w+|decreas\w+|worse\w*"
    r"|improv\w+|enlarg\w+|larger"
    r"|smaller|bigger|progress\w+|regress\w+|new|newly|recurrent|redemonstrated|again|(?:as|like) (?:before"
    r"|prior|previous|on (?:the )?(?:prior|previous))|developing|evolving|reduced|reaccumulat\w+)\b"
    r"|\b(?:chronic|acute|subacute|old|healed|healing|remote|displaced|known|multiple|several|few|numerous"
    r"|extensive|large|huge|big|gross"
    r"|significant|dense|prominent|advanced|early|calcified|some|one|two"
    r"|interstitial|alveolar|subsegmental|segmental|basilar|hiatal|low-?grade|high-?grade)\b"
    r"|\b\d+(?:\.\d+)? ?(?:mm|cm|ml|cc|%|percent)(?!\w)"
)
_PAST = re.compile(r"\b(?:previous(?:ly)?|formerly|earlier|on (?:the )?(?:prior|last)|was|were|had)\b")
_BARE = re.compile(r"no|none|nil|n|absent|negative")
_SINCE = re.compile(r"\b(?:since|prior|previous\w*|compared|improved?)\b")
"""Marks a remark on an earlier film: "no (improved since prior)"."""
_SAME = re.compile(r"\b(?:unchanged|stable|same|similar|since|compared|than|from|persist\w*|again)\b")
_NOW = re.compile(r"\b(?:now|today|currently|current|on (?:the )?current)\b")
_SIDE = re.compile(r"\b(?:left|right)\b")
_CLAUSE = re.compile(
    r"\s*(?:[,;()]|(?<!\d):(?!\d)|\.(?!\d)|(?<=\s)-+(?=\s)|\b(?:but|however|although|though|while|whereas"
    r"|except(?: for)?)\b"
    r"|\band(?= (?:on |the |none |no |is |now )*(?:left|right|none|no longer|resolved)\b)"
    r"|(?<!\bon)(?<!\bthe)(?<!\bin)(?<!\bat)(?<!,)\s(?=(?:left|right) (?:none|no|nil|absent|small|mild|moderate"
    r"|large|trace)\b))\s*"
)
_CONNECTIVE = re.compile(
    r"\b(?:with|and|or|associated|causing|due to|secondary|plus|from|adjacent|overlying|related)\b"
)


DETAIL = re.compile(
    r"\b(?P<name>present|presence|status|result|value|found|side|sides|laterality|location|position|site|size"
    r"|severity|grade|degree|extent"
    r"|change|trend|comparison|type|comments?|notes?)[ \t]*[:=](?P<value>[^;|,\n]*)[;|,]?",
    re.IGNORECASE,
)
"""One part of a value that comes in parts: "status: present; side: left"."""
_STATUS = re.compile(r"present|presence|status|result|value|found")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a value says, and the clauses that affirm: they hold level, location and type."""

    verdict: Verdict
    affirming: tuple[str, ...] = ()


@lru_cache(maxsize=20_000)
def read(value: str) -> Reading | None:
    """What the value of a finding says; None where it cannot be read."""
    text = re.sub(r"\s+", " ", _detailed(ticked(value)).lower().replace("\u2019", "'").replace("|", ",")).strip(
        " .;,:!"
    )
    text = {"(-)": "no", "(+)": "yes", "?": "possible"}.get(text, text)
    if NOT_STATED.match(text):
        return Reading("not stated")
    told = [(clause, _clause(clause)) for clause in _CLAUSE.split(text) if clause]
    if any(verdict == "absent" and _over(clause) for clause, verdict in told):
        return Reading("absent")
    if (
        told
        and told[0][1] == "absent"
        and _BARE.fullmatch(told[0][0])
        and all(_SINCE.search(clause) for clause, _ in told[1:])
    ):
        return Reading("absent")
    stands = [(clause, verdict) for clause, verdict in told if not (verdict == "present" and _past(clause))]
    for verdict in ("present", "uncertain", "absent", "not stated"):
        clauses = tuple(clause for clause, one in stands if one == verdict)
        if clauses:
            return Reading(verdict, clauses if verdict == "present" else ())
    return None


def _detailed(value: str) -> str:
    """A value without the names of its parts: "present: false; side: n/a" -> "false"."""
    return (
        DETAIL.sub(lambda part: _part(part["name"].lower(), part["value"].strip()), value)
        if DETAIL.search(value)
        else value
    )


def _part(name: str, value: str) -> str:
    if _STATUS.fullmatch(name):
        return f"{value}, "
    return "" if NOT_STATED.match(value.lower()) or _DENIES_BEFORE_DOUBT.match(value.lower()) else f"{value}, "


def healthy(value: str) -> bool:
    """Whether the value of a part of the chest says that it is normal."""
    return bool(_HEALTHY.match(plain(value)))


def not_assessed(value: str) -> bool:
    """Whether a value says that a part of the chest could not be judged."""
    text = plain(value)
    return any(letter.isalpha() for letter in text) and bool(NOT_STATED.match(text)) and not _ELSEWHERE.match(text)


def denied(value: str) -> bool:
    """Whether a value is a denial and nothing else."""
    reading = read(value)
    return reading is not None and reading.verdict == "absent" and not named(plain(value))[1]


def _clause(clause: str) -> Verdict | None:
    clause = _own(clause.strip(" -"))
    if not clause:
        return None
    if NOT_STATED.match(clause):
        return "not stated"
    if _CHANGELESS.search(clause):
        return "present"
    denies = _DENIES_BEFORE_DOUBT.match(clause)
    if (_DOUBTS.search(clause[denies.end() :]) if denies else _DOUBTS.search(clause)) and "no doubt" not in clause:
        return "uncertain"
    if denies or _GONE.search(clause) or _HEALTHY.match(clause):
        return "absent"
    return "present" if _AFFIRMS.search(clause) else None


def _own(clause: str) -> str:
    """The words of a clause before those about another finding; empty where the clause is about that alone."""
    spans = named(plain(clause))[1]
    if not spans:
        return clause
    head = plain(clause)[: spans[0][0]]
    if before := _CONNECTIVE.search(head):
        return head[: before.start()].strip()
    return ""


def _over(clause: str) -> bool:
    """Whether a denial is the last word: "small effusion, now resolved"; not of one side alone."""
    return bool(
        (_NOW.search(clause) or (_GONE.search(clause) and re.search("resol|clear|gone|disap|longer", clause)))
        and not _SIDE.search(clause)
    )


def _past(clause: str) -> bool:
    return bool(_PAST.search(clause)) and not _SAME.search(clause)


# --- boxes to tick --------------------------------------------------------------------------------------------------

TICKED, EMPTY = "[x]", "[ ]"
BOX = re.compile(
    r"[\[(][\s_]*(?P<tick>[xX\u2713\u2714\u2717\u2718*]?)[\s_]*[\])]"
    r"|(?P<full>[\u2611\u2612\u2713\u2714\u25a0\u25c9])|(?P<empty>[\u2717\u2718\u2610\u25a1\u25cb\u25ef])"
)


def boxes(text: str) -> str:
    """The text with each box as [x] or [ ]."""
    return BOX.sub(lambda box: f" {TICKED if box['tick'] or box['full'] else EMPTY} ", text)


def ticked(value: str) -> str:
    """A value without its boxes: the text of those that are ticked; "yes" or "no" where boxes have no text."""
    value = boxes(value) if BOX.search(value) else value
    if TICKED not in value and EMPTY not in value:
        return value
    parts = [part.strip(" ,;/") for part in re.split(r"(\[[x ]\])", value)]
    marks, texts = parts[1::2], parts[2::2]
    if parts[0] and not texts[-1]:  # "Yes [x] No [ ]"
        texts = parts[0:-1:2]
    elif parts[0]:
        return f"{parts[0]}, {ticked(value[value.index('[') :])}"
    chosen = [text for mark, text in zip(marks, texts, strict=True) if mark == TICKED]
    if not any(texts):
        return "yes" if chosen else "no"
    if len(marks) == 1:
        return _single(texts[0], bool(chosen))
    return ", ".join(chosen)


def _single(text: str, chosen: bool) -> str:
    """One box with a text: "[x] left", "[ ] left", "[x] none", "[ ] none"."""
    alone = read(text)
    if chosen:
        return text if alone else f"yes, {text}"
    plainly = re.match(r"(?:yes|y|present|positive)\b", text.lower())  # "[ ] yes": whether or not is left open
    return "no" if alone is None or (alone.affirming and not plainly) else ""
