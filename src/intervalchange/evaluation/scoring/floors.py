"""What an answer is worth that has not looked: a table without these rows says little.

Constant and question-only answers are chosen on the training answers of the provenance line, never on the test set.
Another patient's answer is the reference of another patient's case of the same question.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from intervalchange.evaluation.answers.predictions import Provenance
from intervalchange.evaluation.metrics.change import read

NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class ReferenceCase:
    """A test case as the floors see it."""

    case_id: str
    patient_id: str
    kind: str
    question: str
    reference: str


def best_constant(counts: Mapping[str, int]) -> str:
    """The training answer that, given to every case, has the highest change F1 over the training answers.

    Ties go to the better pooled F1, then to the more frequent answer. Exact and linear in the number of answers.
    """
    findings: Counter[tuple[str, ...]] = Counter()
    pooled: Counter[tuple[str, ...]] = Counter()
    for answer, count in counts.items():
        for item in read(answer).change.items:
            pooled[item] += count
            if item[0] != "level":
                findings[item] += count
    cases = sum(counts.values())

    def worth(answer: str) -> tuple[float, float, int, str]:
        reading = read(answer)
        scores = []
        for known in (findings, pooled):
            said = [item for item in reading.change.items if item[0] != "level" or known is pooled]
            whole = cases * (len(said) + len(reading.unread)) + known.total()
            scores.append(2 * sum(known[item] for item in said) / whole if whole else 0.0)
        return scores[0], scores[1], counts[answer], answer

    return max(counts, key=worth)


def _pooled(training: Mapping[str, Mapping[str, int]], questions: Sequence[str]) -> Counter[str]:
    pooled: Counter[str] = Counter()
    for question in sorted(set(questions)):
        pooled.update(training.get(question, {}))
    return pooled


def _best(kind: str, counts: Mapping[str, int]) -> str:
    if kind == "difference":
        return best_constant(counts)
    return max(counts, key=lambda answer: (counts[answer], answer))


def constant(asked: Sequence[ReferenceCase], provenance: Provenance | None) -> dict[str, str] | str:
    """One answer a kind: the best for difference questions, the most common for the others. case_id -> answer."""
    if provenance is None or not provenance.training_answers:
        return f"{NOT_RUN}: the file has no training answers"
    answers: dict[str, str] = {}
    for kind in sorted({case.kind for case in asked}):
        counts = _pooled(provenance.training_answers, [case.question for case in asked if case.kind == kind])
        if counts:
            chosen = _best(kind, counts)
            answers |= {case.case_id: chosen for case in asked if case.kind == kind}
    return answers or f"{NOT_RUN}: no question of the file has training answers"


def question_only(asked: Sequence[ReferenceCase], provenance: Provenance | None) -> dict[str, str] | str:
    """One answer a question; a question that training does not know gets the constant of its kind."""
    fallback = constant(asked, provenance)
    if isinstance(fallback, str) or provenance is None:
        return fallback
    chosen: dict[tuple[str, str], str] = {}
    for kind, question in sorted({(case.kind, case.question) for case in asked}):
        counts = provenance.training_answers.get(question)
        if counts:
            chosen[kind, question] = _best(kind, counts)
    answers = {case.case_id: chosen.get((case.kind, case.question), fallback.get(case.case_id, "")) for case in asked}
    return {case_id: answer for case_id, answer in answers.items() if answer}


def other_patient(asked: Sequence[ReferenceCase], seed: int = 0) -> dict[str, str] | str:
    """The reference of another patient's case of the same question. case_id -> answer.

    Patients are put in a seeded order and every case takes the answer that stands further along by the largest
    number of cases of one patient, so that it is never the patient's own. Questions where one patient holds more
    than half of the cases are left out.
    """
    groups: dict[tuple[str, str], list[ReferenceCase]] = defaultdict(list)
    for case in asked:
        groups[case.kind, case.question].append(case)
    answers: dict[str, str] = {}
    for key in sorted(groups):
        cases = sorted(groups[key], key=lambda case: (case.patient_id, case.case_id))
        patients = sorted({case.patient_id for case in cases})
        order = np.random.default_rng(seed).permutation(len(patients))
        rank = {patients[place]: position for position, place in enumerate(order)}
        cases.sort(key=lambda case: (rank[case.patient_id], case.case_id))
        largest = max(Counter(case.patient_id for case in cases).values())
        if len(cases) < 2 * largest:
            continue
        for place, case in enumerate(cases):
            answers[case.case_id] = cases[(place + largest) % len(cases)].reference
    return answers or f"{NOT_RUN}: no question was asked of two patients"
