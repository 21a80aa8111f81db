"""Cases from studies that come with labels and without questions.

A film becomes one case that asks what is seen on it; two neighbouring films of one patient become a case that asks
what has changed, answered by the set difference of their labels, as Medical-Diff-VQA was made.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from intervalchange.findings import FINDINGS
from intervalchange.grammar import DIFFERENCE_QUESTION, render, reverse
from intervalchange.records import Case, Change, Study

ORDER_UNKNOWN = "order_unknown"
"""Tag of a pair of which nobody can tell which film is the earlier one: it stands as its table has it."""
SWAPPED_ROW = "swapped_row"
"""Tag of a pair that its table names the other way round: turned, with its answer, to read forward in time."""
MAIN_EARLIER = "main_earlier"
"""Tag of a difference row as released whose `current`, the main film, is the earlier one by its dates."""
FILM_QUESTION = "what abnormalities are seen in this image?"
NOTHING_SEEN = "no abnormality"
OTHER_LABELS_CHANGED = "other_labels_changed"
"""Tag of a pair that differs in labels outside FINDINGS (mass, infiltration, ...), of which its answer says nothing;
where nothing else changed the answer is empty."""


def film_case(study: Study, patient: str, split: str = "", tags: Iterable[str] = (), *, normal: bool) -> Case:
    """One film and what its labels say is on it. Labels outside FINDINGS stay in the study and out of the answer.

    normal: whether the labels say that nothing is wrong. A film without a named finding that is not labelled normal
    has an empty answer: "no abnormality" would claim more than anybody has looked for.
    """
    present = [finding for finding in FINDINGS if study.findings.get(finding) == 1]
    answer = ", ".join(present) or (NOTHING_SEEN if normal else "")
    return Case(
        f"{study.study_id}-film", patient, study, None, FILM_QUESTION, answer, "abnormality", split, tuple(tags)
    )


def change_case(prior: Study, current: Study, patient: str, split: str = "", tags: Iterable[str] = ()) -> Case:
    """Two films in time order and the difference of their labels, over the findings known on both.

    Where only labels outside FINDINGS differ (a mass, an infiltration), the answer is empty: "nothing has changed"
    would be false, and there is no word for what has.
    """
    case_id = f"{current.study_id}-{prior.study_id}-difference"
    change = Change.between(_in_vocabulary(prior), _in_vocabulary(current))
    answer = "" if not change and _other_labels_changed(prior, current) else render(change)
    return Case(case_id, patient, current, prior, DIFFERENCE_QUESTION, answer, "difference", split, tuple(tags))


def tagged_change_case(
    prior: Study, current: Study, patient: str, split: str, notes: Counter[str], tags: Iterable[str] = ()
) -> Case:
    """`change_case`, tagged and counted where labels differ that the answer has no word for."""
    case = change_case(prior, current, patient, split, tags)
    if not _other_labels_changed(prior, current):
        return case
    notes["pairs that differ in labels the answers have no word for (tag other_labels_changed)"] += 1
    return replace(case, tags=(*case.tags, OTHER_LABELS_CHANGED))


def change_cases(
    series: Sequence[Study], patient: str, split: str, notes: Counter[str], tags: Iterable[str] = ()
) -> Iterator[Case]:
    """One case per two neighbours. series: one study per visit, with `order`, in the order of time.

    No pair, and counted: the same order twice, no finding known on both. Where an age falls along the series its
    order is wrong, and nobody can say where: it has no pair at all.
    """
    tags = tuple(tags)
    ages = [study.age for study in series if not math.isnan(study.age)]
    if ages != sorted(ages):
        notes["patients whose age falls along the order of their films, which must be wrong (no pair is made)"] += 1
        return
    for prior, current in itertools.pairwise(series):
        if prior.order == current.order:
            notes["neighbouring studies of the same number (no pair is made)"] += 1
        elif not known_findings(prior) & known_findings(current):
            notes["neighbouring studies without a finding known on both (no pair is made)"] += 1
        else:
            yield tagged_change_case(prior, current, patient, split, notes, tags)


def turned(case: Case) -> Case:
    """The pair with prior and current exchanged, and its answer about what has changed read backwards in time.

    Raises ValueError where the answer cannot be read.
    """
    assert case.prior is not None
    difference = case.kind == "difference" and case.answer
    answer = reverse(case.answer) if difference else case.answer
    tags = [tag for tag in case.tags if tag != ORDER_UNKNOWN]
    return replace(case, prior=case.current, current=case.prior, answer=answer, tags=(*tags, SWAPPED_ROW))


def known_findings(study: Study) -> set[str]:
    """The findings of the library that are present or absent, not unknown."""
    return {name for name, value in study.findings.items() if name in FINDINGS and not math.isnan(value)}


def _other_labels_changed(prior: Study, current: Study) -> bool:
    """Whether a label that no answer has a word for came or went."""
    change = Change.between(prior, current)
    return bool((change.added | change.missing) - set(FINDINGS) - {"no finding", "support devices"})


def _in_vocabulary(study: Study) -> Study:
    return replace(study, findings={name: value for name, value in study.findings.items() if name in FINDINGS})
