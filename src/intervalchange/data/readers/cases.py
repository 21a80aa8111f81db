"""Cases from studies that come with labels and without questions.

A film becomes one case that asks what is seen on it; two neighbouring films of one patient become a case that asks
what has changed, answered by the set difference of their labels, as Medical-Diff-VQA was made.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from intervalchange.findings import FINDINGS
from intervalchange.grammar import DIFFERENCE_QUESTION, render
from intervalchange.records import Case, Change, Study

FILM_QUESTION = "what abnormalities are seen in this image?"
NOTHING_SEEN = "no abnormality"


def film_case(study: Study, patient: str, split: str = "", tags: Iterable[str] = ()) -> Case:
    """One film and what its labels say is on it. Labels outside FINDINGS stay in the study and out of the answer."""
    seen = [finding for finding in FINDINGS if study.findings.get(finding) == 1]
    answer = ", ".join(seen) or NOTHING_SEEN
    return Case(
        f"{study.study_id}-film", patient, study, None, FILM_QUESTION, answer, "abnormality", split, tuple(tags)
    )


def change_case(prior: Study, current: Study, patient: str, split: str = "", tags: Iterable[str] = ()) -> Case:
    """Two films in time order and the difference of their labels, over the findings known on both.

    Where only labels outside FINDINGS differ (a mass, an infiltration), the answer is empty: "nothing has changed"
    would be false, and there is no word for what has.
    """
    case_id = f"{current.study_id}-{prior.study_id}-difference"
    change = Change.between(_known_names(prior), _known_names(current))
    answer = "" if not change and other_labels_changed(prior, current) else render(change)
    return Case(case_id, patient, current, prior, DIFFERENCE_QUESTION, answer, "difference", split, tuple(tags))


def other_labels_changed(prior: Study, current: Study) -> bool:
    """Whether a label that no answer has a word for came or went."""
    change = Change.between(prior, current)
    return bool((change.added | change.missing) - set(FINDINGS) - {"no finding", "support devices"})


def neighbours(studies: Sequence[Study]) -> Iterator[tuple[Study, Study]]:
    """(prior, current) of each study and the next, of one patient's studies in time order."""
    yield from itertools.pairwise(studies)


def _known_names(study: Study) -> Study:
    return replace(study, findings={name: value for name, value in study.findings.items() if name in FINDINGS})
