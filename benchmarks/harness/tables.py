"""Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np


def table_lines(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: str = "---|") -> Iterator[str]:
    """A table, line by line. numbers: the rule below every column but the first; `---:|` aligns them right."""
    yield "".join(f"| {name} " if name else "| " for name in head) + "|"
    yield "|---|" + numbers * (len(head) - 1)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def mean_and_deviation(values: Iterable[float]) -> str:
    """Mean over seeds ± their standard deviation; `-` where none is defined."""
    defined = [value for value in values if not math.isnan(value)]
    if not defined:
        return "-"
    return f"{np.mean(defined):.3f}" + (f" ± {np.std(defined, ddof=1):.3f}" if len(defined) > 1 else "")
