"""PLURAL, second stage: the impressions of reports. See `reports.py`."""

from __future__ import annotations

from typing import ClassVar

from intervalchange.methods.plural.reports import PluralReports, PluralReportsConfig


class PluralImpressionConfig(PluralReportsConfig):
    """The impression is the only target, unless others are named."""

    model_type = "plural_impression"

    targets: tuple[str, ...] = ("impression",)


class PluralImpression(PluralReports):
    """See the module's docstring."""

    config_class = PluralImpressionConfig
    config: PluralImpressionConfig
    name: ClassVar[str] = "plural/impression"
    follows: ClassVar[tuple[str, ...]] = ("plural/findings",)
