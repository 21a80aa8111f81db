"""The sections of a MIMIC-CXR report, by the rules of the official sectioniser (MIT-LCP/mimic-cxr, folder txt).

A heading is a new line, one blank, capitals, a colon: ` FINDINGS:`. Spellings of a heading are put together. A few
reports cannot be cut by rules; for these the official lists say what to take.

Differs: a heading that names a finding or a part of the chest ("PLEURAL EFFUSION:") is an observation with its text,
where the official rules make it a section that nothing reads; outside findings and impression it begins the findings.
"""

from __future__ import annotations

import re

from intervalchange.data.extraction.fields import subject_of
from intervalchange.errors import ConfigError

PARTS = ("body", "flat", "whole")
"""What to keep of a report: findings and impression; the one section of the official flat file; everything."""

_HEADING = re.compile(r"\n ([A-Z ()/,-]+):\s", re.DOTALL)
_SPELLINGS = {
    "impression": "conclusion,findings and impression,findings/impression,findings/ impression,ndication,impresson,"
    "imprression,imoression,impressoin,imprssion,impresion,imperssion,mpression,impession",
    "findings": "finding,chest two views,findins,findindgs,findgings,findngs,findnings,finidngs,reference findings",
    "indication": "reason for examination,reason for exam,clinical indication,idication",
    "history": "clinical history,clinical information,patient history,pfi",
    "comparison": "comparisons,reference exam,comparison exam,comparison film,comparision,comparsion,comparrison,"
    "comparisions",
    "examination": "exam,type of examination",
    "recommendations": "recommendation(s),recommendation",
    "wet read": "wetread",
}
_SECTIONS = {other: name for name, others in _SPELLINGS.items() for other in (name, *others.split(","))}
# A comma of its own keeps this heading out of the lists above.
_SECTIONS |= {"chest, two views": "findings"}
_SECTIONS |= {name: name for name in ("preamble", "technique", "notification", "addendum", "date", "comment")}
_WITHIN = ("impression", "findings", "history", "comparison", "addendum")
_VIEWS = (
    *("chest", "portable", "pa and lateral", "lateral and pa", "ap and lateral", "lateral and ap", "frontal and"),
    *("two views", "frontal view", "pa view", "ap view", "one view", "lateral view", "bone window", "frontal upright"),
    *("frontal semi-upright", "ribs", "pa and lat"),
)
_OBSERVED = ("findings", "impression", "wet read", "addendum")
_FLAT = ("impression", "findings", "last_paragraph", "comparison")

_ONE_SECTION = {
    study: section
    for section, studies in {
        "recommendations": "50913680 59768032 59067458 59087630 58157373 56482935 58375018",
        "examination": "59363654 53356173 50743547 59215320 55157853",
        "technique": "59279892 53202765 50808053",
        "indication": "57936451 50058765 51966317 55124749 54365831 54654948",
        "note": "56451190",
        "history": "51491012",
    }.items()
    for study in studies.split()
}
"""Study -> the section that holds what the radiologist saw."""
_RANGE_LIST = """
50525523-201-349 57564132-233-554 59982525-313-717 53488209-149-475 54875119-234-988 50196495-59-399
56579911-59-218 52648681-292-631 59889364-172-453 53514462-73-377 59505494-59-450 53182247-59-412
51410602-47-320 56412866-522-822 54986978-59-306 59003148-262-505 57150433-61-394 56760320-219-457
59562049-158-348 52674888-145-296 55258338-192-568 59330497-140-655 52119491-179-454 58235663-0-0
50798377-0-0 54168089-0-0 53071062-0-0 56724958-0-0 54231141-0-0 53607029-0-0 52035334-0-0
"""
_RANGES = {study: (int(start), int(end)) for study, start, end in (item.split("-") for item in _RANGE_LIST.split())}
"""Study -> the characters [start, end) that hold it; none in eight reports."""


def sections(text: str) -> list[tuple[str, str]]:
    """(name, text) of each section in the order of the report, texts stripped; the first is the preamble."""
    parts, name, start, search = [], "preamble", 0, 0
    while match := _HEADING.search(text, search):
        heading = _section(match.group(1).lower().strip())
        observed = heading not in _SECTIONS and subject_of(heading) is not None
        if not observed or name not in _OBSERVED:
            parts.append((name, text[start : match.start()].strip()))
            name, start = ("findings", match.start()) if observed else (heading, match.end())
        line = text.find("\n", match.end())
        search = line if line >= 0 else len(text)
    parts.append((name, text[start:].strip()))
    parts = [(name, body) for name, body in parts if body or name not in ("impression", "findings")]
    if parts and not {"impression", "findings"} & {name for name, _ in parts} and "\n \n" in parts[-1][1]:
        name, body = parts.pop()
        first, _, rest = body.partition("\n \n")
        parts += [(name, first.strip()), ("last_paragraph", rest.strip())]
    return parts


def _section(heading: str) -> str:
    """One name for all spellings of a heading."""
    if heading in _SECTIONS:
        return _SECTIONS[heading]
    within = next((name for name in _WITHIN if name in heading), "")
    return within or ("findings" if any(view in heading for view in _VIEWS) else heading)


def part_of(text: str, study: str, part: str) -> str:
    """What `part` (of PARTS) keeps of the report of a study. Raises ConfigError for another part.

    body: findings, then impression, each where it is there; else as flat. flat: the last impression, else findings,
    last paragraph, comparison; empty where there is none.
    """
    if part not in PARTS:
        raise ConfigError(f"unknown part of a report '{part}'.", remedy=f"Choose one of: {', '.join(PARTS)}.")
    if part == "whole":
        return text
    if study in _RANGES:
        start, end = _RANGES[study]
        return text[start:end].strip()
    section_of = dict(sections(text))
    if study in _ONE_SECTION:
        return section_of.get(_ONE_SECTION[study], "")
    body = [section_of[name] for name in ("findings", "impression") if name in section_of]
    if part == "body" and body:
        return "\n\n".join(body)
    return next((section_of[name] for name in _FLAT if name in section_of), "")
