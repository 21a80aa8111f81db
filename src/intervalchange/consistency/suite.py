"""The consistency suite: questions that any model of two films should answer in keeping with itself.

    python -m intervalchange.consistency.suite MODEL --data PREPARED --split test --out suite.html

MODEL is a run folder, `demo`, or the URL of an endpoint (`answerers`). In Python, any callable of (prior, current,
question). It stands outside `evaluation` because it calls models, ours or somebody's over HTTP; what it counts is in
`evaluation.consistency`. No truth is needed but for two metrics that say so. Cut off, the same command asks only what
is left: until it is done, answers are kept beside --out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

from intervalchange.consistency.answerers import Answerer, LocalModel, PairQuestion, RemoteModel, answer_many
from intervalchange.consistency.kept_answers import KeptAnswers, identity, key_of
from intervalchange.data.prepared import Prepared
from intervalchange.data.transforms import Affine
from intervalchange.errors import ConfigError, IntervalChangeError
from intervalchange.evaluation.metrics import change, consistency
from intervalchange.evaluation.metrics.statistics import REPLICATES, Counts, Measure, named_metrics
from intervalchange.evaluation.scoring.file_scores import NOT_RUN
from intervalchange.grammar import DIFFERENCE_QUESTION, render
from intervalchange.records import Case, Change

PARAPHRASES = (
    "what is different compared to the prior image?",
    "how does the current image differ from the reference image?",
    "compared with the earlier film, which findings are new, gone or changed?",
    "describe the interval change since the previous radiograph.",
)
"""The difference question in other words."""
Item = TypeVar("Item")

SAME_STATE = frozenset({"same_state", "same_state=true", "same_state=True", "same_state=1", "same_state=yes"})
"""Tags of a pair of films of one state of the patient: the last four from a column of the `pairs` source."""
MISPLACED = 0.02
"""Shift across and down, as a share of the side."""
TURNED = 2.0
"""Degrees."""
TOGETHER = 32
"""Questions asked at once, of what answers several at once."""

SCORES = {
    "swap": ("films swapped: the answer is reversed", "swap.rate"),
    "identity": ("current film twice: nothing has changed", "identity.rate"),
    "identity_moved": ("current film and its moved copy: nothing", "identity_moved.rate"),
    "same_state": ("same state, two acquisitions: nothing", "same_state.rate"),
    "triangle": ("three visits: the whole follows from the steps", "triangle.rate"),
    "paraphrase": ("question in other words: same answer", "paraphrase.rate"),
    "misregistration": ("current film moved by 2%: same answer", "misregistration.rate"),
    "blank": ("two blank films: nothing has changed", "blank.rate"),
    "shuffled": ("another patient's films: another answer", "shuffled.moved"),
}
"""Test -> (in words, its score). Every score is in [0, 1], and 1 is best."""


@dataclass(frozen=True)
class ShownFilm:
    """One film as it is shown: a row of the pixel store, perhaps moved; row -1 is a blank film."""

    row: int
    motion: Affine | None = None


BLANK = ShownFilm(-1)


@dataclass(frozen=True)
class Ask:
    """One question about two films."""

    prior: ShownFilm
    current: ShownFilm
    question: str = DIFFERENCE_QUESTION


@dataclass(frozen=True)
class Pair:
    """A difference case of the prepared folder."""

    case: Case
    prior: int
    current: int
    """Rows of the pixel store."""

    @property
    def given(self) -> Ask:
        """The pair as it is."""
        return Ask(ShownFilm(self.prior), ShownFilm(self.current))


@dataclass
class SuiteScores:
    """Figures by dotted name, `<name>.low` and `<name>.high` their 95% intervals by patient."""

    name: str
    metrics: dict[str, float | str | None] = field(default_factory=dict)
    answers: dict[Ask, str] = field(default_factory=dict, repr=False)

    def as_json(self) -> dict[str, object]:
        """One flat object."""
        return {"name": self.name, **self.metrics}


class _Asker:
    """Asks a model, each question once."""

    def __init__(self, answerer: Answerer, prepared: Prepared, name: str, keep: KeptAnswers | None) -> None:
        self.answerer, self.pixels, self.keep = answerer, prepared.pixels, keep
        self.model = identity(answerer, name) if keep is not None else name
        self.known: dict[Ask, str] = {}

    def film(self, film: ShownFilm) -> np.ndarray:
        """(s, s) uint8."""
        if film == BLANK:
            return np.zeros(self.pixels.shape, np.uint8)
        pixels = self.pixels.read([film.row])[0]
        if film.motion is None:
            return pixels
        return film.motion.warp(pixels.astype(np.float32)).round().clip(0, 255).astype(np.uint8)

    def ask(self, asks: Sequence[Ask]) -> None:
        """Answer what is not known yet."""
        todo = [ask for ask in dict.fromkeys(asks) if ask not in self.known]
        together = TOGETHER if hasattr(self.answerer, "answer_many") else 1
        steps = range(0, len(todo), together)
        for start in track(steps, "asking", console=Console(stderr=True), disable=not sys.stderr.isatty()):
            part = todo[start : start + together]
            shown = [(self.film(ask.prior), self.film(ask.current), ask.question) for ask in part]
            answers = answer_many(self.answerer, shown) if self.keep is None else self._kept(self.keep, shown)
            self.known |= dict(zip(part, answers, strict=True))

    def _kept(self, keep: KeptAnswers, shown: Sequence[PairQuestion]) -> list[str]:
        """The answers, of which only those not on disk are asked for."""
        keys = [key_of(self.model, one) for one in shown]
        todo = {key: one for key, one in zip(keys, shown, strict=True) if key not in keep.known}
        if todo:
            keep.add(list(todo), answer_many(self.answerer, list(todo.values())))
        return [keep.known[key] for key in keys]

    def answers(self, asks: Sequence[Ask]) -> list[str]:
        """One answer an ask, in order."""
        self.ask(asks)
        return [self.known[ask] for ask in asks]


def _spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """At most `limit` of them, evenly over the list."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, limit).round().astype(int)]


def pairs_of(prepared: Prepared, split: str) -> list[Pair]:
    """The cases with a prior that ask the general difference question. Raises ConfigError where there are none."""
    rows = prepared.case_rows(split, ("difference",))
    table, places = prepared.cases.iloc[rows], prepared.studies["row"].to_numpy()
    found = [
        Pair(case, int(places[prior]), int(places[current]))
        for case, prior, current in zip(
            prepared.case_records(split, ("difference",)), table["prior"], table["current"], strict=True
        )
        if prior >= 0 and case.question == DIFFERENCE_QUESTION
    ]
    if not found:
        raise ConfigError(
            f"split '{split}' holds no pair with the general difference question.",
            where=prepared.folder,
            remedy="Choose another split, or prepare a source with pairs.",
        )
    return found


def triangles_of(pairs: Sequence[Pair]) -> list[tuple[Pair, Pair]]:
    """Pairs of pairs that share the middle film: visits 1, 2 and 2, 3 of one patient."""
    later: dict[int, list[Pair]] = {}
    for pair in pairs:
        later.setdefault(pair.prior, []).append(pair)
    return [
        (first, second) for first in pairs for second in later.get(first.current, []) if second.current != first.prior
    ]


def _motion(place: int) -> Affine:
    """The four combinations of signs in turn."""
    across, turn = (1, -1)[place % 2], (1, -1)[place // 2 % 2]
    return Affine(degrees=TURNED * turn, shift_x=MISPLACED * across, shift_y=MISPLACED * turn)


def _foreign(pairs: Sequence[Pair]) -> list[Pair | None]:
    """For each pair one of another patient with another true change, half-way round the list.

    With the same true change, a right answer would not move.
    """
    true = [change.read(pair.case.answer).change for pair in pairs]
    count, found = len(pairs), []
    for place, pair in enumerate(pairs):
        order = ((place + count // 2 + step) % count for step in range(count))
        others = (other for other in order if true[other] != true[place])
        other = next((one for one in others if pairs[one].case.patient_id != pair.case.patient_id), None)
        found.append(None if other is None else pairs[other])
    return found


@dataclass(frozen=True)
class _Result:
    """Counts of one test with what turns them into metrics."""

    counts: Counts
    measure: Measure
    patients: Sequence[str]
    asked: str = ""
    """Name of the counts whose sum is how many answers the score is over."""


def _still(name: str, answers: Sequence[str], patients: Sequence[str]) -> _Result:
    def measure(sums: Counts) -> Mapping[str, np.ndarray]:
        return {f"{name}.{key}": value for key, value in consistency.still_measures(sums).items()}

    return _Result(consistency.still_tally(answers), measure, patients, "still_asked")


def _agreement(name: str, given: Sequence[str], other: Sequence[str], patients: Sequence[str]) -> _Result:
    counts = consistency.agreement_tally(name, given, other, mirrored=name == "swap")
    return _Result(counts, consistency.agreement_measures(name), patients, f"{name}_asked")


def _same_films(pairs: Sequence[Pair], asker: _Asker) -> Iterator[_Result]:
    """The tests in which nothing has changed, whatever the disease."""
    patients = [pair.case.patient_id for pair in pairs]
    current = [ShownFilm(pair.current) for pair in pairs]
    moved = [ShownFilm(pair.current, _motion(place)) for place, pair in enumerate(pairs)]
    yield _still("identity", asker.answers([Ask(film, film) for film in current]), patients)
    copies = [Ask(film, copy) for film, copy in zip(current, moved, strict=True)]
    yield _still("identity_moved", asker.answers(copies), patients)
    same = [pair for pair in pairs if SAME_STATE.intersection(pair.case.tags)]
    yield _still("same_state", asker.answers([pair.given for pair in same]), [pair.case.patient_id for pair in same])
    # Blank films differ in nothing but the words of the question.
    questions = (DIFFERENCE_QUESTION, *PARAPHRASES)
    answers = asker.answers([Ask(BLANK, BLANK, words) for words in questions])
    yield _still("blank", answers, ["no patient"] * len(questions))


def _same_answer(pairs: Sequence[Pair], asker: _Asker) -> Iterator[_Result]:
    """The tests in which the answer follows from the answer to the pair as it is."""
    patients = [pair.case.patient_id for pair in pairs]
    given = asker.answers([pair.given for pair in pairs])
    swapped = asker.answers([Ask(pair.given.current, pair.given.prior) for pair in pairs])
    yield _agreement("swap", given, swapped, patients)
    moved = [Ask(pair.given.prior, ShownFilm(pair.current, _motion(place))) for place, pair in enumerate(pairs)]
    yield _agreement("misregistration", given, asker.answers(moved), patients)
    asks = [Ask(pair.given.prior, pair.given.current, words) for words in PARAPHRASES for pair in pairs]
    times = len(PARAPHRASES)
    yield _agreement("paraphrase", given * times, asker.answers(asks), patients * times)


def _three_visits(triples: Sequence[tuple[Pair, Pair]], asker: _Asker) -> Iterator[_Result]:
    patients = [first.case.patient_id for first, _ in triples]
    measure = consistency.agreement_measures("triangle")
    first_step, second_step = (asker.answers([triple[place].given for triple in triples]) for place in (0, 1))
    whole = asker.answers([Ask(first.given.prior, second.given.current) for first, second in triples])
    counts = consistency.triangle_tally(first_step, second_step, whole)
    yield _Result(counts, measure, patients, "triangle_asked")
    first_truth, second_truth = ([_truth(triple[place], triple[place]) for triple in triples] for place in (0, 1))
    counts = consistency.triangle_tally(first_truth, second_truth, [_truth(*triple) for triple in triples])
    yield _Result(counts, lambda sums: {"triangle.reference.rate": measure(sums)["triangle.rate"]}, patients)


def _truth(first: Pair, second: Pair) -> str:
    """The true answer from the prior of one pair to the current film of another."""
    prior = first.case.prior
    return render(Change() if prior is None else Change.between(prior, second.case.current))


def _other_films(pairs: Sequence[Pair], asker: _Asker) -> Iterator[_Result]:
    """Does the answer hang on the films? The second and third result compare with the truth."""
    asked = [(pair, other) for pair, other in zip(pairs, _foreign(pairs), strict=True) if other is not None]
    patients = [pair.case.patient_id for pair, _ in asked]
    given = asker.answers([pair.given for pair, _ in asked])
    shuffled = asker.answers([other.given for _, other in asked])
    counts = consistency.reliance_tally(given, shuffled)
    yield _Result(
        counts,
        lambda sums: {"shuffled.moved": consistency.reliance_measures(sums)["moved"]},
        patients,
        "films_asked",
    )
    references = [pair.case.answer for pair, _ in asked]
    for name, answers in (("given", given), ("shuffled", shuffled)):
        yield _Result(change.tally(answers, references), _change_f1(name), patients)


def _change_f1(name: str) -> Callable[[Counts], Mapping[str, np.ndarray]]:
    return lambda sums: {f"{name}.change_f1": change.measures(sums)["findings.micro.f1"]}


def run_suite(
    answerer: Answerer,
    data: Prepared | str | Path,
    split: str = "test",
    *,
    name: str = "model",
    limit: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    keep: KeptAnswers | None = None,
) -> SuiteScores:
    """Ask a model every question of the suite on the pairs of a prepared folder.

    answerer: (prior, current, question) -> words; films (s, s) uint8 of the stored size. limit: at most so many pairs,
    and triples of visits, spread evenly. keep: answers on disk, which are not asked for again.
    Figures are `suite.<test>.rate` (`suite.shuffled.moved`), with `.low`, `.high` by patient, and `suite.<test>.count`,
    how many answers the score is over; `suite.unread.rate`, answers to the given pairs that the grammar cannot read in
    full. With the true answers: `suite.given.change_f1`, `suite.shuffled.change_f1`, and what they get themselves,
    `suite.triangle.reference.rate`. A test without cases says "not run". Raises ConfigError where the split has no
    pairs, RunError where a run of ours has learnt from one of its patients.
    """
    prepared = data if isinstance(data, Prepared) else Prepared(data)
    whole, asker = pairs_of(prepared, split), _Asker(answerer, prepared, name, keep)
    if isinstance(answerer, LocalModel):
        answerer.predictor.refuse_training_patients(prepared, [pair.case.patient_id for pair in whole], split)
    pairs, triples = _spread(whole, limit), _spread(triangles_of(whole), limit)
    scores = SuiteScores(name, answers=asker.known)
    tests = [test(pairs, asker) for test in (_same_answer, _same_films, _other_films)]
    for result in itertools.chain(*tests, _three_visits(triples, asker)):
        scores.metrics |= _metrics(result, replicates, seed)
    unread = [bool(change.read(asker.known[pair.given]).unread) for pair in pairs]
    scores.metrics |= {"suite.pairs.count": len(pairs), "suite.unread.rate": float(np.mean(unread))}
    return scores


def _metrics(result: _Result, replicates: int, seed: int) -> dict[str, float | str | None]:
    if not result.patients:
        empty = {name: np.zeros(np.shape(array)[1:]) for name, array in result.counts.items()}
        return {f"suite.{name}": NOT_RUN for name in result.measure(empty)}
    found = named_metrics("suite", result.counts, result.patients, result.measure, replicates, seed)
    defined: dict[str, float | str | None] = {n: value if np.isfinite(value) else None for n, value in found.items()}
    if result.asked:
        test = next(iter(found)).split(".")[1]
        defined[f"suite.{test}.count"] = int(result.counts[result.asked].sum())
    return defined


def answerer_of(model: str) -> Answerer:
    """A URL, a run folder or `demo` -> what answers."""
    if model.startswith(("http://", "https://")):
        return RemoteModel(model)
    from intervalchange.inference import load

    return LocalModel(load(model))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of the suite. Returns the exit code."""
    from intervalchange.consistency.page import consistency_page

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("models", nargs="+", help="run folder, demo, or http(s):// endpoint; several side by side")
    options.add_argument("--data", type=Path, required=True, help="prepared folder")
    options.add_argument("--split", default="test")
    options.add_argument("--limit", type=int, help="at most so many pairs, spread evenly")
    options.add_argument("--out", type=Path, help="suite.html or suite.json; else JSON on standard output")
    chosen = options.parse_args(arguments)
    kept = chosen.out.with_suffix(".answers.jsonl") if chosen.out is not None else None
    try:
        prepared, keep = Prepared(chosen.data), KeptAnswers(kept) if kept is not None else None
        found = [
            run_suite(answerer_of(model), prepared, chosen.split, name=model, limit=chosen.limit, keep=keep)
            for model in chosen.models
        ]
    except (IntervalChangeError, KeyboardInterrupt) as problem:
        print(str(problem) or "\nstopped", file=sys.stderr)
        if kept is not None and kept.exists():
            print(f"The answers so far are in {kept}: the same command asks only what is left.", file=sys.stderr)
        return problem.exit_code if isinstance(problem, IntervalChangeError) else 130
    plain = json.dumps([scores.as_json() for scores in found], indent=1) + "\n"
    if chosen.out is None:
        sys.stdout.write(plain)
    else:
        chosen.out.write_text(consistency_page(found) if chosen.out.suffix == ".html" else plain, encoding="utf-8")
    if kept is not None:
        kept.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
