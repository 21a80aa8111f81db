"""Location, type and level of a finding, from the words around its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from intervalchange.data.extraction.account import Attributes
from intervalchange.findings import PRE_LOCATIONS, RANKED_LEVELS, TYPES

REACH = 7
"""How many words before a name may belong to it."""

LEVEL_OF = {
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
"""A level in the words of a report -> the word of the library for it. A word that the library lacks gets that of the
same rank, an adverb its adjective, so that two wordings of one level never look like a change."""

_WORDS = {
    **{"basal": "basilar", "bibasal": "bibasilar", "lobe": "lung", "lobes": "lung", "lungs": "lung", "bases": "base"},
    **{"left-sided": "left", "right-sided": "right", "mid": "middle", "ribs": "rib", "both": "bilateral"},
    **{"apex": "apical", "biapical": "bilateral apical", "bilaterally": "bilateral", "lingular": "left"},
}
"""A word of location -> words of the library."""
_TYPE_OF = {
    **dict.fromkeys(("plate-like", "platelike", "plate like", "discoid"), "plate-like"),
    **dict.fromkeys(("ground glass", "groundglass"), "ground-glass"),
    **{"streaky": "linear", "multi-focal": "multifocal"},
}
_LOCATION = frozenset({*PRE_LOCATIONS, *_WORDS})
_STOPS = re.compile(r"[,:]|\b(?:and|or|of|in|at|with|is|are|has|have|there|no|than|from|the|to)\b")
_SIDES = re.compile(r"\b(?:right (?:and|greater than|>)(?: \w+)? left|left (?:and|greater than|>)(?: \w+)? right)\b")
_BOTH_OF = re.compile(r"\b(upper|middle|mid|lower|left|right) and (upper|middle|mid|lower|left|right)\b")


def _alternatives(words: Sequence[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_LEVEL = re.compile(rf"\b(?:{_alternatives(list(LEVEL_OF))})\b")
_TYPE = re.compile(rf"\b(?:{_alternatives([*TYPES, *_TYPE_OF])})\b")
_LEVEL_AFTER = re.compile(
    rf"^ ?,? ?(?:(?:is|are|remains?|now|again|which|and|appears?|unchanged|stable)[, ]+)*"
    rf"({_alternatives(list(LEVEL_OF))})\b"
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
    """Attributes of the finding that a sentence names at [start, end). others: the spans of other findings."""
    left = max([0, *(stop for _, stop in others if stop <= start)])
    right = min([len(sentence), *(begin for begin, _ in others if begin >= end)])
    before = _phrase_before(sentence[left:start])
    name, after = sentence[start:end], sentence[end:right]
    words = " ".join(
        _WORDS.get(word, word) for word in re.findall(r"[a-z-]+|mid to lower", before) if word in _LOCATION
    )
    locations = tuple(dict.fromkeys(word for word in words.split() if word not in ("area", "pleural")))
    if locations == ("lung",):
        locations = ()
    post = "" if locations else _location_after(after)
    return Attributes(locations, post, _types(f"{before} {name}"), _level(before, name, after))


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
        if 1 <= len(earlier) <= 3 and (earlier[-1] in TYPES or earlier[-1] in LEVEL_OF or earlier[-1] in _TYPE_OF):
            tail = " ".join(earlier) + " " + tail
    return " ".join(tail.split()[-REACH:]).replace("~", " to ")


def _types(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_TYPE_OF.get(match.group(), match.group()) for match in _TYPE.finditer(text)))


def _level(before: str, name: str, after: str) -> str:
    """The level nearest to the name: before it, in it, or after it."""
    for text in (before, name):
        words = _LEVEL.findall(text)
        if words:
            return LEVEL_OF[words[-1]]
    match = _LEVEL_AFTER.match(after)
    return LEVEL_OF[match[1]] if match else ""


def _location_after(after: str) -> str:
    """ "in the right lower lobe" -> "the right lower lung"; empty where no location follows."""
    match = _AFTER.match(after)
    if not match:
        return ""
    if match["base"]:
        return "the lung bases"
    side, zone = match["side"] or "", "middle" if match["zone"] == "mid" else match["zone"] or ""
    part = (match["part"] or "").rstrip("s").replace("lobe", "lung").replace("side", "lung")
    part = {"base": "lung base", "apex": "apical area", "lung apex": "apical area", "lung zone": "lung"}.get(part, part)
    if not (side or zone):
        return ""
    if side and not (zone or part):
        part = "lung"
    return " ".join(word for word in ("the", side, zone, part or "lung") if word)
