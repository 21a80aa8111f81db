"""The metrics of one predictions file: one flat mapping of dotted names to values, with what they were made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from intervalchange.evaluation.metrics import change, statistics, text
from intervalchange.evaluation.metrics.statistics import Array, Counts, Interval, Measure
from intervalchange.records import Prediction

NOT_RUN = "not run"
OURS = "ours"
"""The protocol that needs no mention."""
FLOORS = ("constant", "question_only", "other_patient", "blank", "prior_twice")
CONTROLS = (*FLOORS, "swap")
"""The floors, and the films shown in the wrong order but asked as if they were right."""
CHANGE_F1 = "change.findings.micro.f1"
PAIRED = (
    CHANGE_F1,
    "change.micro.f1",
    "change.findings.macro.f1",
    "change.exact.accuracy",
    "change.direction_error.rate",
    "change.false_change.rate",
    "text.bleu4",
    "text.rouge_l_coco",
    "text.cider_d",
)
"""Metrics that are compared between files."""

MetricValue = float | int | str | None
"""None: not defined (0/0)."""


@dataclass(frozen=True)
class Settings:
    """How intervals are drawn."""

    replicates: int
    seed: int


@dataclass
class FileScores:
    """Metrics of one predictions file under dotted names; `name.low` and `name.high` are the 95% interval."""

    name: str
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Sentences a reader of the table should see."""
    predictions: Sequence[Prediction] = field(default=(), repr=False)
    """The difference cases that were scored."""
    references: Sequence[str] = field(default=(), repr=False)
    """Theirs, in the same order."""
    counts: Counts = field(default_factory=dict, repr=False)
    """Theirs too, for comparing files."""

    free: bool = False
    """Whether answers are read as free answers: not all are sentences of the template."""

    @property
    def published(self) -> str:
        """The protocol of its cases, where it is not ours: it must stand beside every number."""
        protocol = str(self.metrics.get("protocol") or "")
        return "" if protocol == OURS else protocol

    @property
    def heading(self) -> str:
        """The name above its numbers, with the protocol where it is not ours."""
        return f"{self.name} [{self.published}]" if self.published else self.name

    @property
    def answers(self) -> list[str]:
        """Of the difference cases."""
        return [prediction.answer for prediction in self.predictions]

    @property
    def patients(self) -> list[str]:
        """Of the difference cases."""
        return [prediction.patient_id for prediction in self.predictions]

    @property
    def case_ids(self) -> list[str]:
        """Of the difference cases."""
        return [prediction.case_id for prediction in self.predictions]

    def put(self, prefix: str, values: Mapping[str, float], intervals: Mapping[str, Interval] | None = None) -> None:
        """Add metrics under a prefix, with their intervals."""
        for name, value in values.items():
            self.metrics[f"{prefix}{name}"] = defined(value)
            if intervals is not None:
                low, high = intervals[name]
                self.metrics |= {f"{prefix}{name}.low": defined(low), f"{prefix}{name}.high": defined(high)}

    def measure(
        self,
        prefix: str,
        counts: Counts,
        patients: Sequence[str],
        measure: Measure,
        settings: Settings,
        without: Sequence[str] = (),
    ) -> None:
        """Add what the counts amount to, with intervals by patient; without: names that are left out."""
        values = statistics.point_estimates(counts, measure)
        intervals = statistics.intervals(counts, patients, measure, settings.replicates, settings.seed)
        self.put(prefix, {name: value for name, value in values.items() if name not in without}, intervals)


def defined(value: float) -> MetricValue:
    """A number as it stands in JSON: None where it is not finite."""
    return float(value) if math.isfinite(value) else None


def measure_difference(sums: Counts) -> dict[str, Array]:
    """Every metric of answers to difference questions: `change.<name>` and `text.<name>`."""
    return {f"change.{name}": value for name, value in change.measures(sums).items()} | {
        f"text.{name}": value for name, value in text.measures(sums).items()
    }
