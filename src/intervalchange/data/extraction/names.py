"""Which findings a text names, and where."""

from __future__ import annotations

import re
from functools import cache

from intervalchange.data.extraction import lexicon
from intervalchange.findings import ALIASES, FINDINGS


def plain(sentence: str) -> str:
    """Lower case, single blanks; brackets are the ends of clauses, colons and quotation marks are left out."""
    text = re.sub(r"[()\[\]]", " ; ", sentence.lower().replace("\u2019", "'"))
    text = re.sub(r"[\":]|(?<=\s)-+(?=\s+[a-z_])", " ", text)
    return re.sub(r"\s+", " ", text.replace("-to-", " to ")).strip(" ;")


def named(text: str) -> tuple[list[tuple[int, int, str]], list[tuple[int, int]]]:
    """(start, end, finding) of each name in order, and all spans of names. Of two that overlap the longer wins.

    text: as `plain` gives it. Among the findings is `lexicon.OTHER`; phrases that mean something else are only among
    the spans.
    """
    spans = [(m.start(), m.end(), finding) for finding, pattern in _names() for m in pattern.finditer(text)]
    longest: list[tuple[int, int, str]] = []
    for start, end, finding in sorted(spans, key=lambda span: (span[0] - span[1], span[2] != "")):
        hides = ("", lexicon.OTHER, finding, *(special for general, special in lexicon.RIVALS if general == finding))
        if not any(begin < end and start < stop and other in hides for begin, stop, other in longest):
            longest.append((start, end, finding))
    return sorted(span for span in longest if span[2]), [(start, end) for start, end, _ in longest]


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
