"""A model of others at the cases of a prepared folder: what `predict` asks where a run is not ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, InputError
from intervalchange.evaluation.answers.predictions import Provenance
from intervalchange.evaluation.metrics.calibration import abstain_below
from intervalchange.evaluation.metrics.confounders import facts_of
from intervalchange.foreign_models.confidence import SAMPLED, confidence_of
from intervalchange.foreign_models.kept_answers import KeptAnswers
from intervalchange.foreign_models.opening import OpenedModel
from intervalchange.foreign_models.records import FilmQuestion, Reply
from intervalchange.foreign_models.replies import replies_once
from intervalchange.records import CONDITIONS, Case, Prediction

CUT = "cut off at the limit of tokens"
"""Warning of an answer without its end."""
TOGETHER = 8
"""Cases that are asked about before their samples are: `hf:` answers several cases together."""
NO_CONFIDENCE = "No confidence: the model gives no probabilities of tokens. --samples K takes it from K samples."
"""What is said once."""


class ForeignPredictor:
    """Answers the cases of a split under each condition, as `inference.Predictor` does; what it is told is kept."""

    def __init__(self, opened: OpenedModel, keep: KeptAnswers) -> None:
        self.opened, self.keep = opened, keep
        self._said = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """The question kinds that are asked unless others are named."""
        return ("difference",)

    def provenance(self, prepared: Prepared, split: str) -> Provenance:
        """Where the answers come from: the model, how it was asked, the data."""
        samples = {"samples": self.opened.samples} if self.opened.samples else {}
        return prepared.provenance(self.opened.name, split, more={**self.opened.facts, **samples})

    def case_count(self, prepared: Prepared, split: str, kinds: Sequence[str]) -> int:
        """Cases that `predict` answers under each condition. Raises ConfigError where there are none."""
        count = len(prepared.case_rows(split, kinds))
        if not count:
            raise ConfigError(
                f"no case in split '{split}' for kinds {tuple(kinds)}.", where=prepared.folder, remedy="See doctor.txt."
            )
        return count

    def predict(
        self,
        prepared: Prepared,
        split: str,
        conditions: Sequence[str] = ("given",),
        *,
        kinds: Sequence[str] | None = None,
        done: frozenset[tuple[str, str]] = frozenset(),
        abstain_at: float | None = None,
    ) -> Iterator[Prediction]:
        """Answer every case under each condition, in order; keys in `done` are left out.

        abstain_at: answers with a lower confidence are marked as abstained. Raises InputError for a difference question
        without a prior, and for another question to a model that writes reports.
        """
        kinds = self.kinds if kinds is None else kinds
        cases = prepared.case_records(split, kinds)
        films = prepared.studies["row"].to_numpy()
        shown = prepared.cases.iloc[prepared.case_rows(split, kinds)]
        rows = [
            (int(films[current]), int(films[prior]) if prior >= 0 else None)
            for current, prior in zip(shown["current"], shown["prior"], strict=True)
        ]
        self._refuse(cases)
        wanted = [
            (index, condition)
            for condition in conditions
            for index, case in enumerate(cases)
            if (case.case_id, condition) not in done
        ]

        drawn = [self.opened.samples if condition in SAMPLED else 0 for _, condition in wanted]

        def asked(number: int) -> FilmQuestion:
            index, condition = wanted[number]
            current, prior = rows[index]
            pixels = prepared.pixels.read([current] if prior is None else [current, prior])
            return shown_as(pixels[1] if prior is not None else None, pixels[0], condition, cases[index])

        def questions() -> Iterator[tuple[tuple[int, int], FilmQuestion]]:
            for start in range(0, len(wanted), TOGETHER):
                together: list[tuple[int, FilmQuestion]] = []
                for number in range(start, min(start + TOGETHER, len(wanted))):
                    together.append((number, asked(number)))
                    yield (number, 0), together[-1][1]
                for number, question in together:
                    for sample in _numbers(drawn[number]):
                        yield (number, sample), replace(question, sample=sample)

        ready: dict[int, dict[int, Reply]] = {}
        next_one = 0
        for (number, sample), reply in replies_once(self.opened, self.opened.identity, questions(), self.keep):
            ready.setdefault(number, {})[sample] = reply
            while next_one < len(wanted) and len(ready.get(next_one, ())) == 1 + drawn[next_one]:
                index, condition = wanted[next_one]
                prediction = self._prediction(cases[index], condition, ready.pop(next_one))
                yield abstain_below(prediction, abstain_at)
                next_one += 1

    def _prediction(self, case: Case, condition: str, replies: dict[int, Reply]) -> Prediction:
        """replies: the answer under 0, and its samples."""
        reply, samples = replies[0], [replies[sample] for sample in _numbers(len(replies) - 1)]
        confidence = confidence_of(reply, samples, case.question, case.kind)
        if confidence is None and not self.opened.samples and not self._said:
            print(NO_CONFIDENCE, file=sys.stderr)
            self._said = True
        return Prediction(
            case_id=case.case_id,
            patient_id=case.patient_id,
            kind=case.kind,
            question=case.question,
            answer=reply.text,
            condition=condition,
            reference=case.answer or None,
            confidence=None if confidence is None else {"answer": confidence},
            warnings=(CUT,) if reply.cut else (),
            tags=case.tags,
            facts=facts_of(case) or None,
        )

    def _refuse(self, cases: Sequence[Case]) -> None:
        for case in cases:
            if case.kind == "difference" and case.prior is None:
                raise InputError(
                    f"case {case.case_id} asks what has changed and has no prior.", remedy="Correct the source."
                )
            if case.kind != "difference" and not self.opened.prompt.asks:
                raise InputError(
                    f"{self.opened.profile.name} models write a report, whatever the question.",
                    remedy="Leave out --all-kinds, or add --profile none.",
                )


def _numbers(samples: int) -> range:
    """Of the samples of an answer, which itself is 0."""
    return range(1, samples + 1)


def shown_as(prior: np.ndarray | None, current: np.ndarray, condition: str, case: Case) -> FilmQuestion:
    """A case under a condition of `records.CONDITIONS`; a film that is not there is blank where it would be shown."""
    blank = np.zeros_like(current)
    other = blank if prior is None else prior
    pairs = {
        "given": (prior, current),
        "swap": (current, other),
        "identity": (current, current),
        "prior_twice": (other, other),
        "blank": (blank, blank),
    }
    if condition not in pairs:
        raise InputError(f"unknown condition {condition!r}.", remedy=f"Choose from {', '.join(CONDITIONS)}.")
    first, second = pairs[condition]
    return FilmQuestion(None if prior is None else first, second, case.question)
