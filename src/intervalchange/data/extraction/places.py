"""Place, type and grade of a finding, from the words around its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from intervalchange.data.extraction.account import Attributes
from intervalchange.findings import PRE_LOCATIONS, RANKED_LEVELS, TYPES

REACH = 7
"""How many words before a name may belong to it."""

GRADES = {
    **{level: level for level in RANKED_LEVELS},
    **{
        "mildly": "mild",
        "moderately": "moderate",
        "minimally": "minimal",
        "severely": "severe",
        "massively": "massive",
    },
    **{"trace": "minimal", "tiny": "minimal", "borderline": "minimal", "subtly": "subtle"},
    **{"slight": "mild", "slightly": "mild", "marked": "severe", "markedly": "severe", "large": "severe"},
    **{"small to moderate": "mild to moderate", "minimal to mild": "mild", "trace to small": "small"},
    **{"mildly to moderately": "mild to moderate", "moderately to severely": "moderate to severe"},
}
"""A grade in the words of a report -> the one word of the library for it. Those that the library lacks get the word
of the same rank, adverbs their adjective, so that two wordings of one grade never look like a change."""

_WORDS = {
    **{"basal": "basilar", "bibasal": "bibasilar", "lobe": "lung", "lobes": "lung", "lungs": "lung", "bases": "base"},
    **{"left-sided": "left", "right-sided": "right", "mid": "middle", "ribs": "rib", "both": "bilateral"},
    **{"apex": "apical", "biapical": "bilateral apical", "bilaterally": "bilateral", "lingular": "left"},
}
"""A word of place -> words of the library."""
_TYPES = {
    "plate-like": "plate-like",
    "platelike": "plate-like",
    "plate like": "plate-like",
    "ground glass": "ground-glass",
}
_TYPES |= {"groundglass": "ground-glass", "discoid": "plate-like", "streaky": "linear", "multi-focal": "multifocal"}
_PLACE = frozenset({*PRE_LOCATIONS, *_WORDS})
_STOPS = re.compile(r"[,:]|\b(?:and|or|of|in|at|with|is|are|has|have|there|no|than|from|the|to)\b")
_SIDES = re.compile(r"\b(?:right (?:and|greater than|>)(?: \w+)? left|left (?:and|greater than|>)(?: \w+)? right)\b")
_BOTH_OF = re.compile(r"\b(upper|middle|mid|lower|left|right) and (upper|middle|mid|lower|left|right)\b")


def _alternatives(words: Sequence[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_GRADE = re.compile(rf"\b(?:{_alternatives(list(GRADES))})\b")
_TYPE = re.compile(rf"\b(?:{_alternatives([*TYPES, *_TYPES])})\b")
_GRADE_AFTER = re.compile(
    rf"^ ?,? ?(?:(?:is|are|remains?|now|again|which|and|appears?|unchanged|stable)[, ]+)*"
    rf"({_alternatives(list(GRADES))})\b"
    r"(?! (?:left|right|bilateral|and|or|pleural|volume|amount)|[a-z ]*(?:effusion|opac))"
)
_AFTER = re.compile(
    r"^ ?,? ?(?:is |are |again |also |now |present |seen |noted |identified |changes? |most |worse |best |located "
    r"|and )*"
    r"(?:in|at|of|within|on|over|overlying|along|involving|throughout|about)(?: (?:the|both))* "
    r"(?:(?P<base>(?:lung|bilateral lung|pulmonary) bases)|(?P<side>left|right|bilateral)?(?: ?hemi)?"
    r"(?: ?(?P<zone>mid to lower|upper|middle|mid|lower))?(?: ?(?P<part>lung base|base|lung apex|apex|lobes?|lungs?"
    r"|hemithorax|costophrenic angle|rib|ribs|lung zones?|side))?)\b"
)


def attributes_of(sentence: str, start: int, end: int, others: Sequence[tuple[int, int]]) -> Attributes:
    """What the sentence says of the finding named at [start, end). others: where other findings are named."""
    left = max([0, *(stop for _, stop in others if stop <= start)])
    right = min([len(sentence), *(begin for begin, _ in others if begin >= end)])
    before = _phrase_before(sentence[left:start])
    name, after = sentence[start:end], sentence[end:right]
    words = " ".join(_WORDS.get(word, word) for word in re.findall(r"[a-z-]+|mid to lower", before) if word in _PLACE)
    locations = tuple(dict.fromkeys(word for word in words.split() if word not in ("area", "pleural")))
    if locations == ("lung",):
        locations = ()
    post = "" if locations else _place_after(after)
    return Attributes(locations, post, _types(f"{before} {name}"), _grade(before, name, after))


def _phrase_before(text: str) -> str:
    """The last words before a name that still belong to it."""
    text = _SIDES.sub("bilateral", text)
    text = _BOTH_OF.sub(r"\1 \2", text)
    text = re.sub(
        r"\b(mild|moderate|small|minimal|mildly|moderately) to (moderate|severe|large|moderately|severely)\b",
        r"\1~\2",
        text,
    )
    text = text.replace("mid to lower", "mid~lower")
    stops = list(_STOPS.finditer(text))
    tail = text[stops[-1].end() :] if stops else text
    if stops and not tail.strip(" ") and stops[-1].group() in ("of", "in"):  # "a small amount of fluid"
        tail = text[stops[-2].end() : stops[-1].start()] if len(stops) > 1 else text[: stops[-1].start()]
    elif stops and stops[-1].group() == "and":  # "patchy and linear opacity"
        earlier = text[stops[-2].end() if len(stops) > 1 else 0 : stops[-1].start()].split()
        if len(earlier) <= 3 and earlier and (earlier[-1] in TYPES or earlier[-1] in GRADES or earlier[-1] in _TYPES):
            tail = " ".join(earlier) + " " + tail
    return " ".join(tail.split()[-REACH:]).replace("~", " to ")


def _types(text: str) -> tuple[str, ...]:
    found = (_TYPES.get(match.group(), match.group()) for match in _TYPE.finditer(text))
    return tuple(dict.fromkeys(found))


def _grade(before: str, name: str, after: str) -> str:
    """The grade nearest to the name: before it, in it, or said of it."""
    for text in (before, name):
        said = _GRADE.findall(text)
        if said:
            return GRADES[said[-1]]
    told = _GRADE_AFTER.match(after)
    return GRADES[told[1]] if told else ""


def _place_after(after: str) -> str:
    """ "in the right lower lobe" -> "the right lower lung"; empty where no place follows."""
    found = _AFTER.match(after)
    if not found:
        return ""
    if found["base"]:
        return "the lung bases"
    side, zone = found["side"] or "", (found["zone"] or "").replace("mid", "middle").replace("middledle", "middle")
    zone = "mid to lower" if found["zone"] == "mid to lower" else zone
    part = (found["part"] or "").rstrip("s").replace("lobe", "lung").replace("side", "lung")
    part = {"base": "lung base", "apex": "apical area", "lung apex": "apical area", "lung zone": "lung"}.get(part, part)
    if not (side or zone):
        return ""
    if side and not (zone or part):
        part = "lung"
    return " ".join(word for word in ("the", side, zone, part or "lung") if word)
