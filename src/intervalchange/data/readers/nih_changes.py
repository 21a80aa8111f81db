"""Which of NIH's labels change because the disease does, and which because the label is noise.

The labels are mined from reports. Of three neighbouring films of a patient whose label changes from the first to the
second, the third says whether the change lasted (A-B-B) or went away again (A-B-A). Were the label of a patient drawn
anew for each film, whatever the probability, one half of the changes would go away; a state that lasts gives less.

The rule, fixed before any label was counted: **a change is worth an answer if the 95% interval by patient of the share
of changes that go away lies wholly below one half.** A finding that has not been shown to last is left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from intervalchange.data.readers.cases import OTHER_LABELS_CHANGED
from intervalchange.findings import FINDINGS
from intervalchange.grammar import render
from intervalchange.records import Case, Change, Study

HALF = 0.5
"""Share of changes that go away where every label is drawn anew."""
YEARS = 1.0
"""Three films count as neighbours if the patient is at most this much older on the last than on the first."""
LASTING = (
    "atelectasis",
    "consolidation",
    "pleural effusion",
    "emphysema",
    "fibrosis",
    "mass",
    "nodule",
    "pneumothorax",
)
"""The labels that the rule keeps, on 8,142 films of 3,339 patients that are not in the test list
(`python benchmarks/label_changes.py --nih ../shared/data/nih_films`, benchmarks/results/label_changes.json)."""
NO_WORD = frozenset({"no finding", "support devices"})


@dataclass(frozen=True)
class Triples:
    """Changes of one label of one patient over three neighbouring films."""

    went_away: int = 0
    """A-B-A."""
    lasted: int = 0
    """A-B-B."""


def triples(series: Sequence[Study], finding: str) -> Triples:
    """Counts of one label. series: films of a patient in the order of time."""
    went_away = lasted = 0
    for films in neighbours(series):
        first, second, third = (film.findings.get(finding, math.nan) for film in films)
        if not math.isnan(first + second + third) and first != second:
            went_away += first == third
            lasted += second == third
    return Triples(went_away, lasted)


def neighbours(series: Sequence[Study]) -> Iterator[tuple[Study, Study, Study]]:
    """Three films that follow each other, of known age, within `YEARS`, in three moments."""
    for first, second, third in zip(series, series[1:], series[2:], strict=False):
        if first.order < second.order < third.order and 0 <= third.age - first.age <= YEARS:
            yield first, second, third


def lasts(high: float) -> bool:
    """The rule. high: upper end of the 95% interval, by patient, of the share of changes that go away."""
    return high < HALF


def only_lasting(case: Case, lasting: Iterable[str]) -> Case:
    """A difference case whose answer names changes of these findings alone.

    Where only others changed the answer is empty: "nothing has changed" would be false.
    """
    if case.kind != "difference" or case.prior is None:
        return case
    kept = set(lasting) & set(FINDINGS)
    prior, current = (
        replace(study, findings={name: value for name, value in study.findings.items() if name in kept})
        for study in (case.prior, case.current)
    )
    change, whole = Change.between(prior, current), Change.between(case.prior, case.current)
    others = bool((whole.added | whole.missing) - kept - NO_WORD)
    tags = tuple(dict.fromkeys([*case.tags, *([OTHER_LABELS_CHANGED] if others else [])]))
    return replace(case, answer="" if others and not change else render(change), tags=tags)


def in_order(films: Iterable[Study]) -> list[Study]:
    """The films of a patient as the reader orders them; none where the age falls along them."""
    series = sorted(films, key=lambda film: (film.order, film.study_id))
    ages = [film.age for film in series if not math.isnan(film.age)]
    return series if all(now >= then for then, now in itertools.pairwise(ages)) else []
