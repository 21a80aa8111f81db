"""PLURAL, first stage: the findings of reports. See `reports.py`."""

from __future__ import annotations

from typing import ClassVar

from intervalchange.methods.plural.reports import PluralReports, PluralReportsConfig


class PluralFindingsConfig(PluralReportsConfig):
    """The findings are the only target, unless others are named."""

    model_type = "plural_findings"


class PluralFindings(PluralReports):
    """See the module's docstring."""

    config_class = PluralFindingsConfig
    config: PluralFindingsConfig
    name: ClassVar[str] = "plural/findings"
    follows: ClassVar[tuple[str, ...]] = ()
