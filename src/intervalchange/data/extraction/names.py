"""Which findings a text names, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from intervalchange.data.extraction import lexicon
from intervalchange.findings import ALIASES, FINDINGS

_WINDING = ("tortuo", "unfold", "ectatic", "ectasia", "uncoil")
STEMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "pleural effusion": ("effusion", "thora", "pleural"),
        "atelectasis": ("atelect", "collapse", "volume"),
        "cardiomegaly": ("cardiomegal", "larg", "increas"),
        "enlargement of the cardiac silhouette": ("larg", "widen"),
        "edema": ("edema",),
        "hernia": ("hernia", "stomach"),
        "vascular congestion": ("congest", "engorg", "cephali", "prominen", "increas", "disten", "indistinct"),
        "hilar congestion": ("congest", "engorg"),
        "pneumothorax": ("thora",),
        "heart failure": ("failure", "decompens", "chf"),
        "lung opacity": ("opaci", "densit", "infiltrat", "disease", "process"),
        "pneumonia": ("pneumoni", "infect"),
        "tortuosity of the descending aorta": _WINDING,
        "scoliosis": ("scolio", "curv"),
        "gastric distention": ("disten",),
        "hypoxemia": ("hypox",),
        "hypertensive heart disease": ("hypertens", "htn"),
        "hematoma": ("ematoma",),
        "tortuosity of the thoracic aorta": _WINDING,
        "contusion": ("contusion",),
        "emphysema": ("emphysem",),
        "granuloma": ("granulom",),
        "calcification": ("calcif",),
        "pleural thickening": ("thick", "cap"),
        "thymoma": ("thymom",),
        "blunting of the costophrenic angle": ("blunt",),
        "consolidation": ("consolidat",),
        "fracture": ("fractur",),
        "pneumomediastinum": ("mediastin",),
        "air collection": ("collection",),
    }
)
"""Finding -> letters; each of its names holds some of them, and they are looked for only where these are."""


def plain(sentence: str) -> str:
    """Lower case, single blanks; brackets are the ends of clauses, colons and quotation marks are left out."""
    text = re.sub(r"[()\[\]]", " ; ", sentence.lower().replace("\u2019", "'").replace("(no)", "no"))
    text = re.sub(r"[\":]|(?<=\s)-+(?=\s+[a-z_])", " ", text)
    return re.sub(r"\s+", " ", text.replace("-to-", " to ")).strip(" ;")


def named(text: str) -> tuple[list[tuple[int, int, str]], list[tuple[int, int]]]:
    """(start, end, finding) of each name in order, and all spans of names. Of two that overlap the longer wins.

    text: as `plain` gives it. Among the findings is `lexicon.OTHER`; phrases that mean something else are only among
    the spans.
    """
    may_be = {finding for stem in _stem().findall(text) for finding in _findings_of()[stem]}
    spans = [
        (m.start(), m.end(), finding)
        for finding, pattern in _names()
        if finding in may_be or finding not in STEMS
        for m in pattern.finditer(text)
    ]
    longest: list[tuple[int, int, str]] = []
    for start, end, finding in sorted(spans, key=lambda span: (span[0] - span[1], span[2] != "")):
        hides = ("", lexicon.OTHER, finding, *(special for general, special in lexicon.RIVALS if general == finding))
        if not any(begin < end and start < stop and other in hides for begin, stop, other in longest):
            longest.append((start, end, finding))
    return sorted(span for span in longest if span[2]), [(start, end) for start, end, _ in longest]


@cache
def _findings_of() -> Mapping[str, list[str]]:
    """Stem -> the findings that it may name."""
    stems = {stem for some in STEMS.values() for stem in some}
    return {stem: [finding for finding, some in STEMS.items() if stem in some] for stem in stems}


@cache
def _stem() -> re.Pattern[str]:
    return re.compile("|".join(sorted(_findings_of(), key=len, reverse=True)))


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
