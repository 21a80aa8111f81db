"""The human MeSH labels of Open-i -> findings. Written from the labels' own words, fixed before any score was seen.

A label is a heading with qualifiers behind slashes: `Opacity/lung/base/left/streaky`. Curators gave them after reading
the report. Three labels say that there is nothing to read: `normal`, `No Indexing` (the report was not coded) and
`Technical Quality of Image Unsatisfactory`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NOT_CODED = "no indexing"
"""A report with this label has no labels; it says nothing of any finding."""

OUTSIDE_THE_LUNG = frozenset(
    (
        *("ribs", "clavicle", "sternum", "spine", "thoracic vertebrae", "lumbar vertebrae", "cervical vertebrae"),
        *("humerus", "shoulder", "scapula", "breast", "abdomen", "neck", "mediastinum", "pleura", "heart", "aorta"),
        *("costophrenic angle", "cardiophrenic angle", "paratracheal", "diaphragm", "stomach", "soft tissue"),
    )
)
"""Qualifiers that place an opacity or a density somewhere else than in the lung."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A heading means `finding` where a qualifier of `needs` (if any are given) is there and none of `without` is."""

    heading: str
    finding: str
    needs: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()


def _rules(finding: str, *headings: str, needs: str = "", without: frozenset[str] = frozenset()) -> list[Rule]:
    qualifiers = frozenset(needs.split(",")) if needs else frozenset()
    return [Rule(heading, finding, qualifiers, without) for heading in headings]


RULES: tuple[Rule, ...] = (
    *_rules("pleural effusion", "pleural effusion", "hydropneumothorax", "hemothorax", "hemopneumothorax"),
    *_rules("atelectasis", "pulmonary atelectasis", "volume loss"),
    *_rules("cardiomegaly", "cardiomegaly"),
    *_rules("enlargement of the cardiac silhouette", "cardiac shadow", needs="enlarged"),
    *_rules("edema", "pulmonary edema"),
    *_rules("hernia", "hernia, hiatal", "hernia, diaphragmatic"),
    *_rules("vascular congestion", "pulmonary congestion", without=frozenset({"hilum"})),
    *_rules("hilar congestion", "pulmonary congestion", needs="hilum"),
    *_rules("pneumothorax", "pneumothorax", "hydropneumothorax", "hemopneumothorax"),
    *_rules("heart failure", "heart failure"),
    *_rules("lung opacity", "opacity", "density", "infiltrate", "airspace disease", without=OUTSIDE_THE_LUNG),
    *_rules("pneumonia", "pneumonia"),
    *_rules("scoliosis", "scoliosis"),
    *_rules("tortuosity of the thoracic aorta", "aorta", "aorta, thoracic", needs="tortuous"),
    *_rules("contusion", "contusions"),
    *_rules("hematoma", "hematoma"),
    *_rules("emphysema", "emphysema", "pulmonary emphysema", "bullous emphysema"),
    *_rules("granuloma", "granuloma", "calcified granuloma", "granulomatous disease"),
    *_rules("calcification", "calcinosis"),
    *_rules("pleural thickening", "thickening", needs="pleura"),
    *_rules("thymoma", "thymoma"),
    *_rules("blunting of the costophrenic angle", "costophrenic angle", "sulcus", needs="blunted"),
    *_rules("consolidation", "consolidation"),
    *_rules("fracture", "fractures, bone", "rib fractures"),
    *_rules("pneumomediastinum", "mediastinal emphysema"),
)
"""Not mapped on purpose, because the meaning is another: COPD, hyperdistention and hyperlucency (not emphysema as
such), atherosclerosis (not calcification as such), nodule, mass, scar (cicatrix), markings, deformity of a rib,
subcutaneous emphysema, pericardial effusion, borderline or prominent cardiac shadow."""

MAPPED: frozenset[str] = frozenset(rule.finding for rule in RULES)
"""The findings that a MeSH label can name. Of the others the labels say nothing."""


def is_coded(labels: Iterable[str]) -> bool:
    """Whether a curator gave labels at all."""
    plain = {label.strip().lower() for label in labels if label.strip()}
    return bool(plain) and NOT_CODED not in plain


def findings_of(labels: Iterable[str]) -> frozenset[str]:
    """The findings that the labels of one report name as present."""
    findings = set()
    for label in labels:
        heading, *qualifiers = (part.strip().lower() for part in label.split("/"))
        for rule in RULES:
            needed = not rule.needs or rule.needs.intersection(qualifiers)
            if rule.heading == heading and needed and not rule.without.intersection(qualifiers):
                findings.add(rule.finding)
    return frozenset(findings)
