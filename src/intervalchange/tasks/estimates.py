"""Metrics of a task with intervals by patient, or without while training."""

from __future__ import annotations

from collections.abc import Sequence

from intervalchange.evaluation.metrics.statistics import Counts, Measure, named_metrics, point_estimates


def estimates(
    prefix: str, counts: Counts, patients: Sequence[str], measure: Measure, replicates: int
) -> dict[str, float]:
    """`<prefix>.<name>` of a measure; with `.low` and `.high` unless replicates is 0. NaN where not defined."""
    if replicates:
        return named_metrics(prefix, counts, patients, measure, replicates)
    return {f"{prefix}.{name}": value for name, value in point_estimates(counts, measure).items()}
