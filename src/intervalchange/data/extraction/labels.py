"""Statements of a report -> labels, and an account to make questions from.

Present is 1, absent 0, uncertain unknown. What a report does not mention counts as absent, as in Medical-Diff-VQA,
because a radiologist names what is seen.

Differs: not for `LASTING` findings. A scoliosis or a granuloma that the next report does not repeat has not gone, and
one that it names for the first time need not be new; where they are not mentioned they are unknown. And nothing at all
is absent in a report that names no finding and does not call the film normal ("no change since yesterday").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from intervalchange.data.extraction import lexicon
from intervalchange.data.extraction.account import Account
from intervalchange.data.extraction.reading import Statement, decide, says_normal
from intervalchange.findings import FINDINGS
from intervalchange.records import Study

LASTING: frozenset[str] = frozenset(
    {
        "hernia",
        "tortuosity of the descending aorta",
        "tortuosity of the thoracic aorta",
        "scoliosis",
        "hypertensive heart disease",
        "emphysema",
        "granuloma",
        "calcification",
        "pleural thickening",
        "thymoma",
        "fracture",
    }
)
"""Findings that stay for years, so that a report may well pass them over."""


def account_of(study: Study, statements: Sequence[Statement]) -> Account:
    """The study with the labels and levels of its report, and the attributes of each finding.

    statements: `reading.statements(study.report)`.
    """
    decided = decide(statements)
    silent = not statements and not says_normal(study.report)
    findings: dict[str, float] = {}
    for finding in FINDINGS:
        statement = decided.get(finding)
        if statement is not None and statement.label != "uncertain":
            findings[finding] = float(statement.label == "present")
        elif statement is None and finding not in LASTING and not silent:
            findings[finding] = 0.0
    present = {finding: decided[finding].attributes for finding, value in findings.items() if value}
    levels = {finding: attributes.level for finding, attributes in present.items() if attributes.level}
    other = any(statement.finding == lexicon.OTHER and statement.label != "absent" for statement in statements)
    return Account(
        study=replace(study, findings=findings, levels=levels),
        attributes=present,
        denied=tuple(finding for finding, statement in decided.items() if statement.label == "absent"),
        unknown=tuple(finding for finding in FINDINGS if finding not in findings),
        doubtful=silent or other or any(statement.label == "uncertain" for statement in decided.values()),
    )
