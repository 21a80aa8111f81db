"""PLURAL, the section of the impression: see `reports.py`."""

from __future__ import annotations

from typing import ClassVar

from intervalchange.methods.plural.reports import PluralReports, PluralReportsConfig


class PluralImpressionConfig(PluralReportsConfig):
    """Configuration of plural/impression."""

    model_type = "plural_impression"

    targets: tuple[str, ...] = ("impression",)


class PluralImpression(PluralReports):
    """PLURAL on the impressions of reports."""

    config_class = PluralImpressionConfig
    config: PluralImpressionConfig
    name: ClassVar[str] = "plural/impression"
