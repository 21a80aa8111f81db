"""A structured report's "name: value": what the name is about, and what the value says of it.

"Pneumothorax: none" denies, "Effusion: small left" affirms, "Edema: possible" doubts, "Fracture: n/a" says nothing. A
name with a value that cannot be read, or with none, is a label and not a statement.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from intervalchange.data.extraction import values
from intervalchange.data.extraction.names import named, plain
from intervalchange.findings import PRE_LOCATIONS

_ASKED = re.compile(
    r"[(\[](?:y ?/ ?n|yes ?/ ?no|present ?/ ?absent|\?|circle|tick)[)\]]|\b(?:yes/no|y/n)\b", re.IGNORECASE
)
_NOTE = re.compile(r"\([^()]*[a-z][^()]*\)", re.IGNORECASE)
_LETTERS = {"L": "left", "Lt": "left", "LT": "left", "R": "right", "Rt": "right", "RT": "right"}
_LETTER = re.compile(r"\b(?:L|R|L[tT]|R[tT])\b\.?")
_SCALE = re.compile(r"[(\[]?\b0 ?(?:-|to|/) ?\d\b[)\]]?|\b(?:grade|score|severity)\b", re.IGNORECASE)
_BESIDE_NAMES = """
    is are was were there a an any the of for and or nor evidence presence sign signs status finding findings present
    seen identified visible evident noted acute focal new pulmonary pleural lung lungs lobar rib ribs bony osseous
    parenchymal airspace hiatal tension basal significant definite detected no without & / , - ; s
"""
"""What may stand in a label beside a name: "evidence of acute pulmonary edema"."""
_NEUTRAL = {
    *_BESIDE_NAMES.split(),
    *" ".join(PRE_LOCATIONS).split(),
    "bilateral",
    "both",
    "apical",
    "sided",
    "side",
    "hemithorax",
}
_DENYING = frozenset({"no", "without"})
_PLACES = {"lobe", "upper", "lower", "middle", "lingula", "retrocardiac", "perihilar", "apical", "base"}
_STATES = re.compile(r"there (?:is|are|was)\b")
_OF = r"(?:\s*(?:pertinent|relevant|findings?|features?|abnormalities|signs)\s*)*"
_GROUPS: tuple[tuple[Literal["absent", "uncertain"], re.Pattern[str]], ...] = (
    (
        "absent",
        re.compile(
            rf"{_OF}(?:negatives?|absent|none|no|none of (?:the following|these)|not (?:seen|present|identified"
            rf"|found)|excluded|ruled out"
            rf"|resolved){_OF}"
        ),
    ),
    (
        "uncertain",
        re.compile(
            rf"{_OF}(?:possible|questionable|uncertain|unsure|suspected|equivocal|unlikely|not (?:assessed"
            rf"|evaluated)|cannot exclude){_OF}"
        ),
    ),
)

REGIONS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(rf"\b(?:{words})\b"), findings)
    for words, findings in (
        (
            r"heart(?: size)?|cardi(?:ac|o ?-?mediastinal|opericardial)(?: (?:size|silhouettes?|shadow|contours?))?"
            r"|cardio ?-?mediastinum|heart shadow",
            ("cardiomegaly", "enlargement of the cardiac silhouette"),
        ),
        (r"lungs?(?: (?:fields?|parenchyma|zones?))?|parenchyma|air ?spaces?", ("lung opacity", "consolidation")),
        (r"pleurae?|pleural (?:spaces?|surfaces?|cavit(?:y|ies))", ("pleural effusion", "pneumothorax")),
        (r"bones?|bony (?:structures?|thorax)|osseous structures?|ribs?|skelet\w+|rib ?cage", ("fracture",)),
        (r"(?:pulmonary )?(?:vasculature|vascularity|vessels)", ("vascular congestion",)),
        (r"(?:costophrenic|costodiaphragmatic|cp) (?:angles?|sulc[ui]s?)", ("blunting of the costophrenic angle",)),
        (r"mediastin(?:um|al contours?)", ()),
        (r"aorta", ("tortuosity of the thoracic aorta",)),
        (r"hila|hilum|diaphragms?|airways?|trachea|chest wall|soft tissues?|(?:upper )?abdomen|spine", ()),
    )
)
"""A part of the chest -> the findings that "normal" or "clear" after its name denies."""
_REGION_WORDS = {"and", "the", "of", "right", "left", "size", "both", "&", "/", ",", "bilateral", "upper", "lower"}
_BRACKETED = re.compile(r"^\[([^\[\]]{2,})\]$")
_SPLIT = re.compile(r"[^\s,/&;]+|[,/&;]")
_COLON = re.compile(r"(?<!\d):|:(?!\d)")

Told = Literal["present", "absent", "uncertain", "not stated"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a label is about: findings by name, or by a part of the chest."""

    text: str
    """The label as `names.plain` gives it."""
    names: tuple[tuple[int, int, str], ...] = ()
    """(start, end, finding) in `text`."""
    region: tuple[str, ...] | None = None
    """For a part of the chest: the findings that it has not where it is normal."""
    scaled: bool = False
    """Whether its value is a grade: "Edema (0-3)"."""
    denying: bool = False
    """ "No pneumothorax: yes"."""
    placed: bool = False
    """ "Right lower lobe opacity": more than a name and a side, hence a statement."""


@lru_cache(maxsize=20_000)
def subject_of(label: str) -> Subject | None:
    """What a label is about; None where it is neither the name of findings nor that of a part of the chest."""
    if len(label) > values.LONGEST_LABEL:
        return None
    label = _NOTE.sub(lambda note: note.group() if named(plain(note.group()))[1] else " ", label)
    text = plain(_SCALE.sub(" ", _ASKED.sub(" ", label)).replace("_", " ")).strip(" ?-*#.")
    names, hidden = named(text)
    rest = _SPLIT.findall(_without(text, hidden))
    if names:
        if len(names) < len(hidden) or not all(word in _NEUTRAL for word in rest):
            return None
        if _STATES.match(text) and "?" not in label:
            return None
        return Subject(
            text,
            tuple(names),
            denying=not _DENYING.isdisjoint(rest),
            placed=not _PLACES.isdisjoint(rest),
            scaled=bool(_SCALE.search(label)),
        )
    return _region(text)


def _region(text: str) -> Subject | None:
    spans: list[tuple[int, int]] = []
    findings: list[str] = []
    for pattern, denied in REGIONS:
        if matches := list(pattern.finditer(text)):
            spans += [match.span() for match in matches]
            findings += denied
    if not spans or any(word not in _REGION_WORDS for word in _SPLIT.findall(_without(text, spans))):
        return None
    return Subject(text, region=tuple(dict.fromkeys(findings)))


def is_heart(subject: Subject) -> bool:
    """Whether a label is about the size of the heart."""
    return subject.region is not None and "cardiomegaly" in subject.region


def group_label(label: str) -> Literal["absent", "uncertain", ""]:
    """What the label of a list of findings says of each: "Negatives: effusion, edema"; empty where it says nothing."""
    return next((said for said, pattern in _GROUPS if pattern.fullmatch(plain(label))), "")


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def field_of(sentence: str) -> tuple[str, str] | None:
    """(label, value) of a sentence with a colon, whatever they are; None where it has none."""
    mark = _COLON.search(sentence)
    if not mark:
        return None
    value = sentence[mark.end() :].strip()
    value = _LETTER.sub(lambda side: _LETTERS[side.group().rstrip(".")], value)
    return sentence[: mark.start()].strip(), _BRACKETED.sub(r"\1", value)
