"""The headline by confounders, which have nothing to do with disease: view pair, days between, devices, sex, age.

A model that answers well on PA pairs and badly when a PA film follows an AP film reacts to the view. The facts stand
in the lines of a predictions file (`facts`, written by `predict`); where they do not, the metrics say "not given".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from intervalchange.evaluation.metrics import change, statistics
from intervalchange.evaluation.metrics.statistics import Array, Counts
from intervalchange.records import Case, Prediction

NOT_GIVEN = "not given"

FACTORS = {
    "view_pair": "view pair",
    "days": "time between",
    "devices": "support devices",
    "sex": "sex",
    "age": "age",
}
"""Factor, as in the names of metrics -> in words."""

HEADLINE = (
    "findings.micro.f1",
    "micro.f1",
    "exact.accuracy",
    "detected.accuracy",
    "direction_error.rate",
    "false_change.rate",
)
"""Metrics of `change.measures` that are given for every stratum."""

DAYS = ((1, "less than a day"), (8, "1 to 7 days"), (31, "8 to 30 days"), (366, "31 to 365 days"))
AGES = ((40, "under 40"), (60, "40 to 59"), (80, "60 to 79"))
FEW = 10
"""Fewer patients than this have no interval: draws of so few say little."""
NO_DEVICE = "none named"
"""No device on either film, or the source names none: the two cannot be told apart."""
DEVICES = (NO_DEVICE, "same", "changed")

_COUNTS = (*change.SCALARS, "cases", "same_state", "same_state_false_change")


def facts_of(case: Case) -> dict[str, str | float]:
    """What is known of a case that a table can be cut by; what is not known is left out.

    view_pair "PA to AP" (prior to current), days between the films (negative where the dates are the wrong way round),
    devices (see DEVICES; named devices compared as sets), sex F or M, age in years at the current film.
    """
    prior, current = case.prior, case.current
    facts: dict[str, str | float] = {}
    if prior is not None:
        if prior.view and current.view:
            facts["view_pair"] = f"{prior.view} to {current.view}"
        days = _days_between(prior.acquired_at, current.acquired_at)
        if days is not None:
            facts["days"] = days
        then, now = set(prior.devices), set(current.devices)
        facts["devices"] = "changed" if then != now else "same" if now else NO_DEVICE
    if current.sex:
        facts["sex"] = current.sex
    if math.isfinite(current.age):
        facts["age"] = round(float(current.age), 1)
    return facts


def _days_between(prior: str, current: str) -> float | None:
    """Days with two decimals; whole days where one of the two has no time. None where one is not an ISO date.

    Zones count where both have one; else both are read by the clock on the wall.
    """
    whole = "T" not in prior or "T" not in current
    try:
        dates = [datetime.fromisoformat(text[:10] if whole else text) for text in (prior, current)]
    except ValueError:
        return None
    if any(date.tzinfo is None for date in dates):
        dates = [date.replace(tzinfo=None) for date in dates]
    return round((dates[1] - dates[0]).total_seconds() / 86400, 2)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value)


def _banded(value: float, bands: Sequence[tuple[float, str]], above: str) -> str:
    if not math.isfinite(value) or value < 0:
        return NOT_GIVEN
    return next((name for edge, name in bands if value < edge), above)


def stratum(factor: str, facts: Mapping[str, Any] | None) -> str:
    """The stratum of a case; "not given" where the fact is missing or makes no sense."""
    value = (facts or {}).get(factor)
    if factor == "days":
        return _banded(_number(value), DAYS, "more than a year")
    if factor == "age":
        return _banded(_number(value), AGES, "80 and over")
    text = " ".join(value.split()).replace(".", "") if isinstance(value, str) else ""
    return text[:40] or NOT_GIVEN


def _ordered(factor: str, names: Sequence[str]) -> list[str]:
    """Bands by their size, words by the alphabet, "not given" last."""
    known = {
        "days": [name for _, name in DAYS] + ["more than a year"],
        "age": [name for _, name in AGES] + ["80 and over"],
        "devices": list(DEVICES),
    }.get(factor, [])
    rank = {name: index for index, name in enumerate(known)}
    return sorted(set(names), key=lambda name: (name == NOT_GIVEN, rank.get(name, len(rank)), name))


def _measures(sums: Counts) -> dict[str, Array]:
    measured = change.measures(sums)
    return {name: measured[name] for name in HEADLINE}


def confounder_metrics(
    predictions: Sequence[Prediction], counts: Counts, replicates: int = statistics.REPLICATES, seed: int = 0
) -> dict[str, float | int | str | None]:
    """`by.<factor>.<stratum>.change.<metric>` with `.low` and `.high`, `.count`, `.patients` -> its value.

    counts: of `change.tally`, in the order of `predictions`. A factor of which nothing is known gives one word,
    `by.<factor>.change.findings.micro.f1`: "not given". Strata of few patients have no interval. All strata of a
    factor are drawn together, so that a patient who stands in two of them is drawn into both.
    """
    metrics: dict[str, float | int | str | None] = {}
    patients, codes = np.unique([case.patient_id for case in predictions], return_inverse=True)
    for factor in FACTORS:
        strata = [stratum(factor, case.facts) if case.facts else NOT_GIVEN for case in predictions]
        if set(strata) <= ({NOT_GIVEN, NO_DEVICE} if factor == "devices" else {NOT_GIVEN}):
            metrics[f"by.{factor}.change.findings.micro.f1"] = NOT_GIVEN
            continue
        names = _ordered(factor, strata)
        columns = np.array([names.index(name) for name in strata])
        metrics |= _factor_metrics(factor, names, columns, codes, patients, counts, replicates, seed)
    return metrics


def _factor_metrics(
    factor: str,
    names: Sequence[str],
    columns: np.ndarray,
    codes: np.ndarray,
    patients: np.ndarray,
    counts: Counts,
    replicates: int,
    seed: int,
) -> dict[str, float | int | str | None]:
    """One factor. columns (n): stratum of each case; codes (n): its index among the patients."""
    # Sums per patient and stratum, (p, s): a few columns, however many cases there are.
    cells, shape = codes * len(names) + columns, (len(patients), len(names))
    sums = {
        name: np.bincount(cells, weights=counts[name], minlength=shape[0] * shape[1]).reshape(shape) for name in _COUNTS
    }
    present = (sums["cases"] > 0).sum(0)
    values = _measures(statistics.totals(sums))
    drawn = statistics.replicate(sums, patients.tolist(), _measures, replicates, seed)
    metrics: dict[str, float | int | str | None] = {}
    for column, name in enumerate(names):
        prefix = f"by.{factor}.{name}."
        metrics[f"{prefix}count"] = int(sums["cases"][:, column].sum())
        metrics[f"{prefix}patients"] = int(present[column])
        for metric in HEADLINE:
            interval = (np.nan, np.nan)
            if present[column] >= FEW:
                interval = statistics.percentile_interval(drawn[metric][:, column])
            for ending, value in zip(("", ".low", ".high"), (values[metric][column], *interval), strict=True):
                metrics[f"{prefix}change.{metric}{ending}"] = float(value) if math.isfinite(value) else None
    return metrics
