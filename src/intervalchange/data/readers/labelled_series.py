"""Labelled films of one person in the order of time -> what has changed from each to the next."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from intervalchange.data.readers.cases import change_case, neighbours, other_labels_changed
from intervalchange.data.readers.mimic_studies import known
from intervalchange.records import Case, Study

OTHER_LABELS_CHANGED = "other_labels_changed"
"""Tag of a pair that differs in labels outside FINDINGS (mass, infiltration, ...), of which its answer says nothing;
where nothing else changed the answer is empty."""


def change_cases(
    series: Sequence[Study], patient: str, split: str, notes: Counter[str], tags: Iterable[str] = ()
) -> Iterator[Case]:
    """One case for each two neighbours. series: one study a visit, with `order`, in the order of time.

    No pair, and counted: the same order twice, no finding known on both. Where an age falls along the series its
    order is wrong, and nobody can say where: it has no pair at all.
    """
    tags = tuple(tags)
    ages = [study.age for study in series if not math.isnan(study.age)]
    if ages != sorted(ages):
        notes["patients whose age falls along the order of their films, which must be wrong (no pair is made)"] += 1
        return
    for prior, current in neighbours(series):
        if prior.order == current.order:
            notes["neighbouring studies of the same number (no pair is made)"] += 1
        elif not known(prior) & known(current):
            notes["neighbouring studies without a finding known on both (no pair is made)"] += 1
        else:
            yield tagged_change_case(prior, current, patient, split, notes, tags)


def tagged_change_case(
    prior: Study, current: Study, patient: str, split: str, notes: Counter[str], tags: Iterable[str] = ()
) -> Case:
    """One pair, with a tag where labels differ that the answer has no word for."""
    case = change_case(prior, current, patient, split, tags)
    if not other_labels_changed(prior, current):
        return case
    notes["pairs that differ in labels the answers have no word for (tag other_labels_changed)"] += 1
    return replace(case, tags=(*case.tags, OTHER_LABELS_CHANGED))
