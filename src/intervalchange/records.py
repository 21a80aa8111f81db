"""The records that pass between the parts: studies, cases, changes, predictions. No torch.

Orientation everywhere: `prior` is the earlier film (the reference image, "ref"), `current` the later one (the main
image, "main"). A swapped pair is the pair read backwards in time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

KINDS = ("abnormality", "presence", "view", "location", "level", "type", "difference")
"""Question types of Medical-Diff-VQA."""
CHOICE = "choice"
"""A question of which the possible answers are given: options by letter, or yes and no (`choices`)."""
ALL_KINDS = (*KINDS, CHOICE)

CONDITIONS = ("given", "swap", "identity", "blank", "prior_twice")
"""How the two films of a case are shown: as they are, exchanged, current twice, both blank, prior twice."""

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the original film, origin top left."""


@dataclass(frozen=True, slots=True)
class Region:
    """A named place on one film: a region of anatomy, or where a finding is."""

    kind: Literal["anatomy", "finding", "located"]
    """anatomy; the extent of a finding; or the region of anatomy in which a report places a finding of this name."""
    name: str
    box: Box
    rle: str | None = None
    """Mask as compressed COCO run-length encoding at the size of the original film, where known."""


@dataclass(frozen=True, slots=True)
class Study:
    """One frontal radiograph with what is known about it."""

    study_id: str
    image: str
    """Path of the film, relative to the image root of its source."""
    view: str = ""
    """PA, AP, or empty where unknown."""
    acquired_at: str = ""
    """ISO date or date-time, where known."""
    order: float = math.nan
    """Rank in time within the patient, where only the order is known."""
    report: str = ""
    findings: Mapping[str, float] = field(default_factory=dict)
    """Finding -> 1 present, 0 absent, NaN unknown. A finding that is not named is unknown."""
    levels: Mapping[str, str] = field(default_factory=dict)
    """Finding -> level, for findings that are present and graded."""
    regions: tuple[Region, ...] = ()
    age: float = math.nan
    """Years."""
    sex: str = ""
    """F, M, or empty."""
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One question about one film, or about a pair of films, with its answer."""

    case_id: str
    patient_id: str
    current: Study
    prior: Study | None
    question: str
    answer: str
    kind: str = "difference"
    split: str = ""
    """train, val, test, or empty where the source does not say."""
    tags: tuple[str, ...] = ()
    """Facts a table can be cut by: `same_state`, `swapped_row`, ..."""


@dataclass(frozen=True, slots=True, order=True)
class LevelChange:
    """A finding seen on both films whose level differs."""

    finding: str
    prior: str
    current: str

    def reversed(self) -> LevelChange:
        """The same change read backwards in time."""
        return LevelChange(self.finding, self.current, self.prior)


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between prior and current. Sets: order carries no meaning."""

    added: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    levels: frozenset[LevelChange] = frozenset()

    @classmethod
    def of(cls, added: Any = (), missing: Any = (), levels: Any = ()) -> Change:
        """From any iterables; levels as LevelChange or (finding, prior, current)."""
        changes = (item if isinstance(item, LevelChange) else LevelChange(*item) for item in levels)
        return cls(frozenset(added), frozenset(missing), frozenset(changes))

    @classmethod
    def between(cls, prior: Study, current: Study) -> Change:
        """Set difference of two studies. A finding unknown on either side is skipped."""
        added, missing, levels = set(), set(), set()
        for finding, now in current.findings.items():
            then = prior.findings.get(finding, math.nan)
            if math.isnan(now) or math.isnan(then):
                continue
            if now > then:
                added.add(finding)
            elif now < then:
                missing.add(finding)
            elif now == 1:
                past, present = prior.levels.get(finding, ""), current.levels.get(finding, "")
                if past and present and past != present:
                    levels.add(LevelChange(finding, past, present))
        return cls(frozenset(added), frozenset(missing), frozenset(levels))

    def reverse(self) -> Change:
        """The change as seen when the two films are exchanged."""
        return Change(self.missing, self.added, frozenset(change.reversed() for change in self.levels))

    @property
    def items(self) -> frozenset[tuple[str, ...]]:
        """What is counted by the change F1: (added, f), (missing, f), (level, f, prior, current)."""
        return frozenset(
            {("added", finding) for finding in self.added}
            | {("missing", finding) for finding in self.missing}
            | {("level", change.finding, change.prior, change.current) for change in self.levels}
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.missing or self.levels)

    def as_json(self) -> dict[str, Any]:
        """Plain lists, sorted, for JSON."""
        return {
            "added": sorted(self.added),
            "missing": sorted(self.missing),
            "levels": [
                {"finding": change.finding, "prior": change.prior, "current": change.current}
                for change in sorted(self.levels)
            ],
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Change:
        """The inverse of `as_json`. Raises KeyError or TypeError on another shape."""
        levels = (LevelChange(item["finding"], item["prior"], item["current"]) for item in plain["levels"])
        return cls(frozenset(plain["added"]), frozenset(plain["missing"]), frozenset(levels))


@dataclass(frozen=True)
class Prediction:
    """An answer to one case under one condition. The key is (case_id, condition)."""

    case_id: str
    patient_id: str
    kind: str
    question: str
    answer: str
    condition: str = "given"
    reference: str | None = None
    change: Change | None = None
    confidence: Mapping[str, float] | None = None
    """Probabilities in [0, 1]: `answer` for the whole, `added:<finding>` and `missing:<finding>` where known."""
    evidence: Mapping[str, Any] | None = None
    """Finding (or "change") -> (g, g) attribution map in [0, 1], in the frame of the current film; never in JSON."""
    warnings: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    facts: Mapping[str, str | float] | None = None
    """What a table of confounders is cut by (`evaluation.metrics.confounders.facts_of`), where known."""

    def as_json(self) -> dict[str, Any]:
        """The line of a predictions file; fields that are not known are left out."""
        plain: dict[str, Any] = {
            "case_id": self.case_id,
            "patient_id": self.patient_id,
            "kind": self.kind,
            "condition": self.condition,
            "question": self.question,
            "answer": self.answer,
        }
        if self.reference is not None:
            plain["reference"] = self.reference
        if self.change is not None:
            plain["change"] = self.change.as_json()
        if self.confidence is not None:
            plain["confidence"] = {name: round(float(value), 6) for name, value in self.confidence.items()}
        if self.warnings:
            plain["warnings"] = list(self.warnings)
        if self.tags:
            plain["tags"] = list(self.tags)
        if self.facts:
            plain["facts"] = dict(self.facts)
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Prediction:
        """The inverse of `as_json`; unknown fields are ignored. Raises KeyError where a needed field is absent."""
        change = plain.get("change")
        return cls(
            case_id=str(plain["case_id"]),
            patient_id=str(plain["patient_id"]),
            kind=plain["kind"],
            question=plain["question"],
            answer=plain["answer"],
            condition=plain.get("condition", "given"),
            reference=plain.get("reference"),
            change=None if change is None else Change.from_json(change),
            confidence=plain.get("confidence"),
            warnings=tuple(plain.get("warnings", ())),
            tags=tuple(plain.get("tags", ())),
            facts=dict((plain.get("facts") or {}).items()) or None,
        )
