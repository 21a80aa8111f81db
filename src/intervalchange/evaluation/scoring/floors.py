"""Floors: the answers of something that has not looked at the films. A table without these rows says little.

Constant and question-only answers are chosen on the training answers of the provenance line, never on the test set.
Another patient's answer is the reference of another patient's case of the same question.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from intervalchange.evaluation.answers.predictions import Provenance
from intervalchange.evaluation.answers.reference_table import ReferenceCase
from intervalchange.evaluation.metrics.change import read_any
from intervalchange.evaluation.scoring.file_scores import NOT_RUN


def best_constant(counts: Mapping[str, int]) -> str:
    """The training answer that, given to every case, has the highest change F1 over the training answers.

    Ties go to the better pooled F1, then to the more frequent answer. Exact and linear in the number of answers.
    """
    findings: Counter[tuple[str, ...]] = Counter()
    pooled: Counter[tuple[str, ...]] = Counter()
    for answer, count in counts.items():
        for item in read_any(answer).change.items:
            pooled[item] += count
            if item[0] != "level":
                findings[item] += count
    cases = sum(counts.values())

    def f1(answer: str, items: Counter[tuple[str, ...]]) -> float:
        reading = read_any(answer)
        named = [item for item in reading.change.items if item[0] != "level" or items is pooled]
        predicted_and_reference = cases * (len(named) + len(reading.unread)) + items.total()
        return 2 * sum(items[item] for item in named) / predicted_and_reference if predicted_and_reference else 0.0

    return max(counts, key=lambda answer: (f1(answer, findings), f1(answer, pooled), counts[answer], answer))


def _pooled(training: Mapping[str, Mapping[str, int]], questions: Sequence[str]) -> Counter[str]:
    pooled: Counter[str] = Counter()
    for question in sorted(set(questions)):
        pooled.update(training.get(question, {}))
    return pooled


def _best(kind: str, counts: Mapping[str, int]) -> str:
    if kind == "difference":
        return best_constant(counts)
    return max(counts, key=lambda answer: (counts[answer], answer))


def constant(cases: Sequence[ReferenceCase], provenance: Provenance | None) -> dict[str, str] | str:
    """One answer per kind: the best for difference questions, the most common for the others. case_id -> answer."""
    if provenance is None or not provenance.training_answers:
        return f"{NOT_RUN}: the file has no training answers"
    answers: dict[str, str] = {}
    for kind in sorted({case.kind for case in cases}):
        counts = _pooled(provenance.training_answers, [case.question for case in cases if case.kind == kind])
        if counts:
            chosen = _best(kind, counts)
            answers |= {case.case_id: chosen for case in cases if case.kind == kind}
    return answers or f"{NOT_RUN}: no question of the file has training answers"


def question_only(cases: Sequence[ReferenceCase], provenance: Provenance | None) -> dict[str, str] | str:
    """One answer per question; a question that training does not know gets the constant of its kind."""
    fallback = constant(cases, provenance)
    if isinstance(fallback, str) or provenance is None:
        return fallback
    chosen: dict[tuple[str, str], str] = {}
    for kind, question in sorted({(case.kind, case.question) for case in cases}):
        counts = provenance.training_answers.get(question)
        if counts:
            chosen[kind, question] = _best(kind, counts)
    answers = {case.case_id: chosen.get((case.kind, case.question), fallback.get(case.case_id, "")) for case in cases}
    return {case_id: answer for case_id, answer in answers.items() if answer}


def other_patient(cases: Sequence[ReferenceCase], seed: int = 0) -> dict[str, str] | str:
    """The reference of another patient's case of the same question. case_id -> answer.

    Patients are put in a seeded order and every case takes the answer that stands further along by the largest
    number of cases of one patient, so that it is never the patient's own. Questions where one patient holds more
    than half of the cases are left out.
    """
    groups: dict[tuple[str, str], list[ReferenceCase]] = defaultdict(list)
    for case in cases:
        groups[case.kind, case.question].append(case)
    answers: dict[str, str] = {}
    for key in sorted(groups):
        group = groups[key]
        patients = sorted({case.patient_id for case in group})
        order = np.random.default_rng(seed).permutation(len(patients))
        rank = {patients[index]: position for position, index in enumerate(order)}
        group.sort(key=lambda case: (rank[case.patient_id], case.case_id))
        largest = max(Counter(case.patient_id for case in group).values())
        if len(group) < 2 * largest:
            continue
        for position, case in enumerate(group):
            answers[case.case_id] = group[(position + largest) % len(group)].reference
    return answers or f"{NOT_RUN}: no question was asked of two patients"
