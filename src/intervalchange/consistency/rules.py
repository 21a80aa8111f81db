"""The rules that the suite tests, a function per family: what is asked, and what is counted of the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from intervalchange.consistency.asking import Asker
from intervalchange.consistency.pairs import BLANK, Pair, Question, ShownFilm, motion, other_pairs
from intervalchange.evaluation.metrics import change, consistency
from intervalchange.evaluation.metrics.statistics import Array, Counts, Measure
from intervalchange.grammar import DIFFERENCE_QUESTION, render
from intervalchange.records import Change

PARAPHRASES = (
    "what is different compared to the prior image?",
    "how does the current image differ from the reference image?",
    "compared with the earlier film, which findings are new, gone or changed?",
    "describe the interval change since the previous radiograph.",
)
"""The difference question in other words."""
SAME_STATE = frozenset({"same_state", "same_state=true", "same_state=True", "same_state=1", "same_state=yes"})
"""Tags of a pair of films of one state of the patient; the last four come from a column of the `pairs` source."""


@dataclass(frozen=True)
class Result:
    """Counts of one test with what turns them into metrics."""

    counts: Counts
    measure: Measure
    patients: Sequence[str]
    asked: str = ""
    """Name of the counts whose sum is how many answers the score is over."""


def _free(*answers: Sequence[str]) -> list[str] | None:
    """What was asked, for each answer, where any of a test is free; None where all are of the template.

    The question in other words is the same question.
    """
    if all(change.of_template(answer) for group in answers for answer in group):
        return None
    return [DIFFERENCE_QUESTION] * len(answers[0])


def _still(name: str, answers: Sequence[str], patients: Sequence[str]) -> Result:
    def measure(sums: Counts) -> Mapping[str, Array]:
        return {f"{name}.{key}": value for key, value in consistency.still_measures(sums).items()}

    return Result(consistency.still_tally(answers, _free(answers)), measure, patients, "still_asked")


def _agreement(name: str, given: Sequence[str], other: Sequence[str], patients: Sequence[str]) -> Result:
    counts = consistency.agreement_tally(name, given, other, mirrored=name == "swap", questions=_free(given, other))
    return Result(counts, consistency.agreement_measures(name), patients, f"{name}_asked")


def same_films(pairs: Sequence[Pair], asker: Asker) -> Iterator[Result]:
    """The tests in which nothing has changed, whatever the disease."""
    patients = [pair.case.patient_id for pair in pairs]
    current = [ShownFilm(pair.current) for pair in pairs]
    moved = [ShownFilm(pair.current, motion(index)) for index, pair in enumerate(pairs)]
    yield _still("identity", asker.answers([Question(film, film) for film in current]), patients)
    copies = [Question(film, copy) for film, copy in zip(current, moved, strict=True)]
    yield _still("identity_moved", asker.answers(copies), patients)
    same = [pair for pair in pairs if SAME_STATE.intersection(pair.case.tags)]
    yield _still("same_state", asker.answers([pair.given for pair in same]), [pair.case.patient_id for pair in same])
    # Blank films differ in nothing but the words of the question.
    questions = (DIFFERENCE_QUESTION, *PARAPHRASES)
    answers = asker.answers([Question(BLANK, BLANK, words) for words in questions])
    yield _still("blank", answers, ["no patient"] * len(questions))


def same_answer(pairs: Sequence[Pair], asker: Asker) -> Iterator[Result]:
    """The tests in which the answer follows from the answer to the pair as it is."""
    patients = [pair.case.patient_id for pair in pairs]
    given = asker.answers([pair.given for pair in pairs])
    swapped = asker.answers([Question(pair.given.current, pair.given.prior) for pair in pairs])
    yield _agreement("swap", given, swapped, patients)
    moved = [Question(pair.given.prior, ShownFilm(pair.current, motion(index))) for index, pair in enumerate(pairs)]
    yield _agreement("misregistration", given, asker.answers(moved), patients)
    questions = [Question(pair.given.prior, pair.given.current, words) for words in PARAPHRASES for pair in pairs]
    times = len(PARAPHRASES)
    yield _agreement("paraphrase", given * times, asker.answers(questions), patients * times)


def three_visits(triples: Sequence[tuple[Pair, Pair]], asker: Asker) -> Iterator[Result]:
    patients = [first.case.patient_id for first, _ in triples]
    measure = consistency.agreement_measures("triangle")
    first_step, second_step = (asker.answers([triple[step].given for triple in triples]) for step in (0, 1))
    whole = asker.answers([Question(first.given.prior, second.given.current) for first, second in triples])
    counts = consistency.triangle_tally(first_step, second_step, whole, _free(first_step, second_step, whole))
    yield Result(counts, measure, patients, "triangle_asked")
    counts = consistency.triangle_tally(
        [_reference(first, first) for first, _ in triples],
        [_reference(second, second) for _, second in triples],
        [_reference(first, second) for first, second in triples],
    )
    yield Result(counts, lambda sums: {"triangle.reference.rate": measure(sums)["triangle.rate"]}, patients)


def _reference(first: Pair, second: Pair) -> str:
    """The reference answer from the prior of one pair to the current film of another."""
    prior = first.case.prior
    return render(Change() if prior is None else Change.between(prior, second.case.current))


def other_films(pairs: Sequence[Pair], asker: Asker) -> Iterator[Result]:
    """Does the answer depend on the films? The second and third result compare with the reference answers."""
    asked = [(pair, other) for pair, other in zip(pairs, other_pairs(pairs), strict=True) if other is not None]
    patients = [pair.case.patient_id for pair, _ in asked]
    given = asker.answers([pair.given for pair, _ in asked])
    shuffled = asker.answers([other.given for _, other in asked])
    counts = consistency.reliance_tally(given, shuffled, _free(given, shuffled))
    yield Result(
        counts,
        lambda sums: {"shuffled.moved": consistency.reliance_measures(sums)["moved"]},
        patients,
        "films_asked",
    )
    references = [pair.case.answer for pair, _ in asked]
    for name, answers in (("given", given), ("shuffled", shuffled)):
        yield Result(
            change.tally(answers, references, questions=_free(answers, references)), _change_f1(name), patients
        )


def _change_f1(name: str) -> Callable[[Counts], Mapping[str, Array]]:
    return lambda sums: {f"{name}.change_f1": change.measures(sums)["findings.micro.f1"]}
