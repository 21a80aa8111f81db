"""`score val.jsonl --risk 0.1`: below which confidence a run should not answer, chosen on validation answers.

The threshold alone goes to standard output, so that it can be handed on:

    intervalchange predict RUN --data PREPARED --split val --out val.jsonl
    intervalchange predict RUN --data PREPARED --abstain-at "$(intervalchange score val.jsonl --risk 0.1)"
"""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from intervalchange.errors import ConfigError, SourceError
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.evaluation.metrics import calibration, change, statistics
from intervalchange.evaluation.metrics.statistics import Array, Counts, Interval


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """A threshold with what it came to on validation. Intervals: 95%, by patient, at this threshold."""

    point: calibration.OperatingPoint
    risk_interval: Interval
    coverage_interval: Interval
    cases: int
    without_confidence: int
    """Answers that `predict --abstain-at` would always give; they are not counted here."""

    def as_json(self) -> dict[str, float | int | None]:
        """Plain numbers; an interval that is not defined (one patient) is null."""
        low, high = (value if np.isfinite(value) else None for value in self.risk_interval)
        least, most = (value if np.isfinite(value) else None for value in self.coverage_interval)
        return {
            "abstain_at": self.point.threshold,
            "coverage": self.point.coverage,
            "coverage.low": least,
            "coverage.high": most,
            "risk": self.point.risk,
            "risk.low": low,
            "risk.high": high,
            "answered.count": self.point.answered,
            "cases.count": self.cases,
            "without_confidence.count": self.without_confidence,
        }


def choose_threshold(
    path: str | Path,
    *,
    risk: float | None = None,
    coverage: float | None = None,
    replicates: int = statistics.REPLICATES,
    seed: int = 0,
) -> ChosenThreshold:
    """The threshold on the whole answer's confidence, over the difference questions of a predictions file.

    Raises ConfigError where the file says that it answers another split than `val`: a threshold fitted on the cases
    it is tested on looks better than it is. SourceError without confidences, InputError where no threshold will do.
    """
    provenance, predictions = read_predictions(path)
    if provenance is not None and provenance.split not in ("", "val"):
        raise ConfigError(
            f"these are answers to the split `{provenance.split}`; a threshold is chosen on validation cases.",
            where=path,
            remedy="Run `predict --split val` and give that file.",
        )
    answered = [
        case
        for case in predictions
        if case.condition == "given"
        and case.kind == "difference"
        and case.reference is not None
        and change.readable(case.reference)
    ]
    cases = [case for case in answered if "answer" in (case.confidence or {})]
    if not cases:
        raise SourceError(
            "no difference question has both a reference and a confidence.",
            where=path,
            remedy='A line needs `reference` and `confidence`, as in {"answer": 0.8}.',
        )
    confidence = np.array([(case.confidence or {})["answer"] for case in cases], float)
    exact = change.tally([case.answer for case in cases], [str(case.reference) for case in cases])["exact"]
    point = calibration.operating_point(confidence, exact, risk=risk, coverage=coverage)
    given = confidence >= point.threshold
    risk_interval, coverage_interval = _intervals([case.patient_id for case in cases], given, exact, replicates, seed)
    if not point.risk:
        patients = {case.patient_id for case, is_given in zip(cases, given, strict=True) if is_given}
        risk_interval = (0.0, unseen_risk(len(patients)))
    return ChosenThreshold(point, risk_interval, coverage_interval, len(cases), len(answered) - len(cases))


def _intervals(
    patients: Sequence[str], given: NDArray[np.bool_], exact: Array, replicates: int, seed: int
) -> tuple[Interval, Interval]:
    """Of risk and coverage, by patient. given, exact: (n,)."""

    def measure(sums: Counts) -> dict[str, Array]:
        return {
            "risk": statistics.ratio(sums["given"] - sums["right"], sums["given"]),
            "coverage": statistics.ratio(sums["given"], sums["cases"]),
        }

    counts = {"cases": np.ones(len(given)), "given": given.astype(float), "right": given * exact}
    intervals = statistics.intervals(counts, patients, measure, replicates, seed)
    return intervals["risk"], intervals["coverage"]


def unseen_risk(patients: int) -> float:
    """The risk that may still be there (97.5%, Clopper and Pearson 1934) when none of so many patients saw an error.

    Draws of cases without an error never have one: their interval would be [0, 0] for four answers as for thousands.

    >>> round(unseen_risk(4), 3)
    0.602
    """
    return float(1 - 0.025 ** (1 / patients))


def threshold_command(
    paths: Sequence[str | Path], *, risk: float | None = None, coverage: float | None = None, json: bool = False
) -> ChosenThreshold:
    """`score FILE --risk R` or `--coverage C`: the threshold on standard output, what it means on standard error."""
    if len(paths) != 1:
        raise ConfigError("a threshold belongs to one run.", remedy="Give one file with --risk or --coverage.")
    path = paths[0]
    chosen = choose_threshold(path, risk=risk, coverage=coverage)
    if json:
        sys.stdout.write(jsonlib.dumps(chosen.as_json(), indent=1) + "\n")
        return chosen
    point = chosen.point
    (low, high), (least, most) = chosen.risk_interval, chosen.coverage_interval
    sys.stdout.write(f"{point.threshold!r}\n")
    sys.stderr.write(
        f"on {path}: {point.answered} of {chosen.cases} cases answered, coverage {point.coverage:.3f} "
        f"[{least:.3f}, {most:.3f}]; not exactly right: risk {point.risk:.3f} [{low:.3f}, {high:.3f}]\n"
        f"use it with: intervalchange predict RUN --data PREPARED --abstain-at {point.threshold!r}\n"
    )
    if chosen.without_confidence:
        sys.stderr.write(f"{chosen.without_confidence} answers have no confidence and are always given\n")
    return chosen
