"""Labels of four states, as the CheXpert and NegBio labellers write them: 1.0, 0.0, -1.0 (uncertain), empty."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from intervalchange.errors import ConfigError

UNCERTAIN = {"unknown": math.nan, "absent": 0.0, "present": 1.0}
"""Name of a policy -> what an uncertain label becomes."""
OTHER_WORDS = {"airspace opacity": "lung opacity"}
"""What the test labels of MIMIC-CXR-JPG 2.1.0 call by another name."""


def uncertain_value(policy: str) -> float:
    """What an uncertain label becomes. Raises ConfigError for a policy that is not known."""
    if policy not in UNCERTAIN:
        raise ConfigError(
            f"unknown policy '{policy}' for uncertain labels.", remedy=f"Choose one of: {', '.join(UNCERTAIN)}."
        )
    return UNCERTAIN[policy]


def findings_of(
    row: Mapping[str, str],
    uncertain: float,
    notes: Counter[str],
    uncertain_of: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, float]:
    """Column -> cell of one study, as finding -> 1 present, 0 absent, NaN unknown; what is not mentioned is left out.

    A finding is the label in lower case. uncertain_of: findings whose uncertain label becomes something else. Cells
    that are none of the four states are counted and left out.
    """
    findings = {}
    for label, cell in row.items():
        text = cell.strip()
        if not text:
            continue
        name = OTHER_WORDS.get(label.lower(), label.lower())
        try:
            state = float(text)
        except ValueError:
            state = math.inf
        if state == -1:
            notes["uncertain labels"] += 1
            findings[name] = uncertain_of.get(name, uncertain)
        elif state in (0, 1):
            findings[name] = state
        elif not math.isnan(state):
            notes["labels that are not 1, 0, -1 or empty (left out)"] += 1
    return findings
