"""PLURAL, the section of findings: see `reports.py`."""

from __future__ import annotations

from typing import ClassVar

from intervalchange.methods.plural.reports import PluralReports, PluralReportsConfig


class PluralFindingsConfig(PluralReportsConfig):
    """Configuration of plural/findings."""

    model_type = "plural_findings"

    targets: tuple[str, ...] = ("findings",)


class PluralFindings(PluralReports):
    """PLURAL on the findings of reports."""

    config_class = PluralFindingsConfig
    config: PluralFindingsConfig
    name: ClassVar[str] = "plural/findings"
