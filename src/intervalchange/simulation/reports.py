"""Report text in the manner of MIMIC-CXR, from what is visible on a film and on the one before it.

Layout rules that real parsers rely on: `FINAL REPORT` far to the right on the first line, then every line begins
with one blank, an empty line is a single blank, headings are capitals with a colon, no line passes 79 columns.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

import numpy as np

from intervalchange.data.extraction.account import Account, Attributes
from intervalchange.findings import RANKED_LEVELS, SIMULATED

COLUMNS = 79

NAMES: Mapping[str, tuple[str, ...]] = {
    "edema": ("pulmonary edema", "edema"),
    "hernia": ("hiatal hernia",),
    "lung opacity": ("opacity", "lung opacity"),
    "emphysema": ("emphysema",),
    "granuloma": ("granuloma",),
    "tortuosity of the thoracic aorta": ("tortuosity of the thoracic aorta",),
}
"""What a finding is called in a report, where that is not its own name; all are names or aliases in findings.py."""

_DENIED: Mapping[str, float] = {
    "pleural effusion": 0.85,
    "pneumothorax": 0.85,
    "consolidation": 0.5,
    "edema": 0.4,
    "fracture": 0.15,
}
"""Findings a report denies when they are absent, and how often."""

_DEVICES: Mapping[str, str] = {
    "endotracheal tube": "An endotracheal tube is in place.",
    "central line": "A central venous line is in place.",
    "pacemaker": "A pacemaker with its leads is seen.",
}


def denials(rng: np.random.Generator, present: Mapping[str, Attributes]) -> tuple[str, ...]:
    """The absent findings that a report denies, in library order."""
    drawn = {finding: rng.random() < share for finding, share in _DENIED.items()}
    return tuple(finding for finding in SIMULATED if drawn.get(finding) and finding not in present)


def write(
    rng: np.random.Generator,
    account: Account,
    prior: Account | None,
    reason: str,
) -> str:
    """The report of one study, compared with the one before it where there is one."""
    study, view = account.study, account.study.view
    examination = "CHEST (PORTABLE AP)" if view == "AP" else "CHEST (PA AND LAT)"
    person = {"F": "woman", "M": "man"}.get(study.sex, "patient")
    sections = [
        ("EXAMINATION", examination),
        ("INDICATION", f"___ year old simulated {person} with {_article(reason) if reason == 'fall' else reason}."),
        ("TECHNIQUE", f"Simulated {'portable AP' if view == 'AP' else 'PA'} view of the chest."),
        ("COMPARISON", "Chest radiograph ___." if prior is not None else "None."),
    ]
    body = [_sentence(rng, finding, account, prior) for finding in _present(account)]
    if prior is not None:
        body += [_resolved(rng, finding, prior) for finding in _present(prior) if finding not in account.attributes]
    body += _normal(rng, account)
    body += [_DEVICES[device] for device in study.devices if device in _DEVICES]
    lines = [" " * 33 + "FINAL REPORT"]
    for heading, text in sections:
        lines += [*_wrapped(f"{heading}:  {text}"), " "]
    lines += [" FINDINGS: ", " ", *_wrapped(" ".join(body)), " "]
    lines += [" IMPRESSION: ", " ", *_wrapped(_impression(account, prior))]
    return "\n".join(lines) + "\n"


def sections(report: str) -> dict[str, str]:
    """Heading -> text of a report of `write`."""
    _, *parts = re.split(r"\n ([A-Z]+):\s", report)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def finding_sentences(report: str) -> list[str]:
    """The sentences of the findings section of a report: its findings in order, then the rest."""
    return re.split(r"(?<=\.)\s+", " ".join(sections(report)["FINDINGS"].split()))


def _present(account: Account) -> list[str]:
    return [finding for finding in SIMULATED if finding in account.attributes]


def _wrapped(text: str) -> list[str]:
    return [f" {line}" for line in textwrap.wrap(text, COLUMNS - 1, break_long_words=False, break_on_hyphens=False)]


def _name(rng: np.random.Generator, finding: str) -> str:
    names = NAMES.get(finding, (finding,))
    return names[int(rng.integers(len(names)))]


def _phrase(finding: str, name: str, attributes: Attributes, level: bool = True) -> str:
    """ "small left pleural effusion", "patchy opacity in the right lower lobe"."""
    words = [attributes.level if level else "", *attributes.locations, *attributes.types, name]
    location = f" in {_as_lobe(attributes.post_location)}" if attributes.post_location else ""
    return " ".join(word for word in words if word) + location


def _as_lobe(phrase: str) -> str:
    """The library's "the left lower lung" in a radiologist's words."""
    return phrase if phrase.endswith("base") or "middle" in phrase else phrase.replace(" lung", " lobe")


def direction(finding: str, prior: Account, current: Account) -> int:
    """+1 where the grade of a finding seen on both rose, -1 where it fell, 0 where it stayed."""
    before = RANKED_LEVELS.get(prior.attributes[finding].level, 0.0)
    now = RANKED_LEVELS.get(current.attributes[finding].level, 0.0)
    return int(now > before) - int(now < before)


def _article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


_COUNTED = ("pleural effusion", "hernia", "pneumothorax", "lung opacity", "granuloma", "consolidation", "fracture")
"""Findings that take an article."""


def _sentence(rng: np.random.Generator, finding: str, account: Account, prior: Account | None) -> str:
    phrase = _phrase(finding, _name(rng, finding), account.attributes[finding])
    counted = _article(phrase) if finding in _COUNTED else phrase
    if prior is None:
        return f"There is {counted}." if rng.random() < 0.7 else f"{counted.capitalize()} is present."
    if finding not in prior.attributes:
        return f"There is now {counted}, new since the prior study."
    verb = {
        1: ("has increased", "has worsened"),
        -1: ("has decreased", "has improved"),
        0: ("is unchanged", "is stable"),
    }[direction(finding, prior, account)]
    return f"{counted.capitalize()} {verb[int(rng.integers(2))]} since the prior study."


def _resolved(rng: np.random.Generator, finding: str, prior: Account) -> str:
    phrase = _phrase(finding, _name(rng, finding), prior.attributes[finding], level=False)
    return f"The previously seen {phrase} has resolved."


def _normal(rng: np.random.Generator, account: Account) -> list[str]:
    sentences = []
    if account.denied:
        listed = list(account.denied)
        text = listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + f" or {listed[-1]}"
        sentences.append(f"No {text}.")
    if "cardiomegaly" not in account.attributes and rng.random() < 0.6:
        sentences.append("The heart size is normal.")
    if not account.attributes:
        sentences.insert(0, "The lungs are well expanded.")
    return sentences


def _impression(account: Account, prior: Account | None) -> str:
    if not account.attributes:
        return "No acute cardiopulmonary process."
    parts = []
    for finding in _present(account)[:3]:
        phrase = _phrase(finding, NAMES.get(finding, (finding,))[0], account.attributes[finding])
        if prior is not None:
            words = {1: "Increased", -1: "Decreased", 0: "Unchanged"}
            continued = finding in prior.attributes
            phrase = f"{words[direction(finding, prior, account)] if continued else 'New'} {phrase}"
        parts.append(phrase[0].upper() + phrase[1:] + ".")
    return "  ".join(parts)
