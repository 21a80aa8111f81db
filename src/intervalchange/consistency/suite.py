"""The consistency suite: questions that any model of two films should answer consistently.

The command is `intervalchange check`: a model is a run folder, `demo`, the URL of an endpoint (`answerers`) or a model
of others (`openai:`, `hf:`). In Python it is any callable of (prior, current, question). The suite stands outside
`evaluation` because it calls models; what it counts is in `evaluation/metrics/consistency.py`. Only two metrics need
reference answers, and they say so. Answers that are not all sentences of the template are read as free answers.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from intervalchange.consistency.answerers import Answerer, LocalModel, RemoteModel
from intervalchange.consistency.asking import Asker
from intervalchange.consistency.pairs import Question, pairs_of, spread, triangles_of
from intervalchange.consistency.rules import Result, other_films, same_answer, same_films, three_visits
from intervalchange.data.prepared import Prepared
from intervalchange.evaluation.metrics import change
from intervalchange.evaluation.metrics.statistics import REPLICATES, named_metrics
from intervalchange.evaluation.scoring.file_scores import NOT_RUN
from intervalchange.foreign_models.kept_answers import KeptAnswers
from intervalchange.foreign_models.opening import OpenedModel, open_model
from intervalchange.foreign_models.records import ForeignOptions, is_foreign
from intervalchange.grammar import DIFFERENCE_QUESTION

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


@dataclass
class SuiteScores:
    """Metrics by dotted name, `<name>.low` and `<name>.high` their 95% intervals by patient."""

    name: str
    metrics: dict[str, float | str | None] = field(default_factory=dict)
    answers: dict[Question, str] = field(default_factory=dict, repr=False)

    def as_json(self) -> dict[str, object]:
        """One flat object."""
        return {"name": self.name, **self.metrics}


def run_suite(
    answerer: Answerer | OpenedModel,
    data: Prepared | str | Path,
    split: str = "test",
    *,
    name: str = "model",
    limit: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    keep: KeptAnswers | None = None,
) -> SuiteScores:
    """Question a model every question of the suite on the pairs of a prepared folder.

    answerer: (prior, current, question) -> words; films (s, s) uint8 of the stored size. limit: at most so many pairs,
    and triples of visits, spread evenly. keep: answers on disk, which are not asked for again.
    Metrics are `suite.<test>.rate` (`suite.shuffled.moved`), with `.low`, `.high` by patient, and `suite.<test>.count`,
    how many answers the score is over; `suite.unread.rate`, answers to the given pairs that cannot be read in full.
    Against the reference answers: `suite.given.change_f1`, `suite.shuffled.change_f1`, and what these get themselves,
    `suite.triangle.reference.rate`. A test without cases says "not run". Raises ConfigError where the split has no
    pairs, RunError where a run of ours has learnt from one of its patients.
    """
    prepared = data if isinstance(data, Prepared) else Prepared(data)
    every_pair, asker = pairs_of(prepared, split), Asker(answerer, prepared, name, keep)
    if isinstance(answerer, LocalModel):
        answerer.predictor.refuse_training_patients(prepared, [pair.case.patient_id for pair in every_pair], split)
    pairs, triples = spread(every_pair, limit), spread(triangles_of(every_pair), limit)
    scores = SuiteScores(name, answers=asker.known)
    tests = [test(pairs, asker) for test in (same_answer, same_films, other_films)]
    for result in itertools.chain(*tests, three_visits(triples, asker)):
        scores.metrics |= _metrics(result, replicates, seed)
    given = [asker.known[pair.given] for pair in pairs]
    question = None if all(map(change.of_template, given)) else DIFFERENCE_QUESTION
    unread = [bool(change.read(answer, question).unread) for answer in given]
    if prepared.published:
        scores.metrics["protocol"] = prepared.protocol(split)
    scores.metrics |= {"suite.pairs.count": len(pairs), "suite.unread.rate": float(np.mean(unread))}
    return scores


def _metrics(result: Result, replicates: int, seed: int) -> dict[str, float | str | None]:
    if not result.patients:
        empty = {name: np.zeros(np.shape(array)[1:]) for name, array in result.counts.items()}
        return {f"suite.{name}": NOT_RUN for name in result.measure(empty)}
    found = named_metrics("suite", result.counts, result.patients, result.measure, replicates, seed)
    defined: dict[str, float | str | None] = {n: value if np.isfinite(value) else None for n, value in found.items()}
    if result.asked:
        test = next(iter(found)).split(".")[1]
        defined[f"suite.{test}.count"] = int(result.counts[result.asked].sum())
    return defined


def answerer_of(model: str, prepared: Prepared, foreign: ForeignOptions | None = None) -> Answerer | OpenedModel:
    """A URL, a run folder, `demo` or a model of others -> what answers. foreign: how a model of others is asked."""
    if is_foreign(model):
        return open_model(model, foreign or ForeignOptions(), prepared)
    if model.startswith(("http://", "https://")):
        return RemoteModel(model)
    from intervalchange.inference import load

    return LocalModel(load(model))
