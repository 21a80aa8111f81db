"""A model of others at the cases of a prepared folder: what `predict` asks where a run is not ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, InputError
from intervalchange.evaluation.answers.predictions import Provenance
from intervalchange.evaluation.metrics.confounders import facts_of
from intervalchange.foreign_models.kept_answers import KeptAnswers
from intervalchange.foreign_models.opening import OpenedModel
from intervalchange.foreign_models.records import FilmQuestion, Reply
from intervalchange.foreign_models.replies import replies_once
from intervalchange.records import CONDITIONS, Case, Prediction

CUT = "cut off at the limit of tokens"
"""Warning of an answer without its end."""


class ForeignPredictor:
    """Answers the cases of a split under each condition, as `inference.Predictor` does; what it is told is kept."""

    def __init__(self, opened: OpenedModel, keep: KeptAnswers) -> None:
        self.opened, self.keep = opened, keep

    @property
    def kinds(self) -> tuple[str, ...]:
        """The question kinds that are asked unless others are named."""
        return ("difference",)

    def provenance(self, prepared: Prepared, split: str) -> Provenance:
        """Where the answers come from: the model, how it was asked, the data."""
        return Provenance(
            run=self.opened.name,
            data=prepared.manifest["hash"],
            source=prepared.manifest["source"],
            split=split,
            split_hash=prepared.manifest["split_hash"],
            simulated=bool(prepared.manifest.get("simulated")),
            protocol=prepared.protocol(split),
            more=self.opened.facts,
        )

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
    ) -> Iterator[Prediction]:
        """Answer every case under each condition, in order; keys in `done` are left out."""
        kinds = self.kinds if kinds is None else kinds
        cases = prepared.case_records(split, kinds)
        films = prepared.studies["row"].to_numpy()
        shown = prepared.cases.iloc[prepared.case_rows(split, kinds)]
        rows = [
            (int(films[current]), int(films[prior]) if prior >= 0 else None)
            for current, prior in zip(shown["current"], shown["prior"], strict=True)
        ]
        _refuse_without_prior(cases)
        wanted = [
            (index, condition)
            for condition in conditions
            for index, case in enumerate(cases)
            if (case.case_id, condition) not in done
        ]

        def questions() -> Iterator[tuple[int, FilmQuestion]]:
            for number, (index, condition) in enumerate(wanted):
                current, prior = rows[index]
                pixels = prepared.pixels.read([current] if prior is None else [current, prior])
                yield number, shown_as(pixels[1] if prior is not None else None, pixels[0], condition, cases[index])

        ready: dict[int, Reply] = {}
        next_one = 0
        for number, reply in replies_once(self.opened, self.opened.identity, questions(), self.keep):
            ready[number] = reply
            while next_one in ready:
                index, condition = wanted[next_one]
                yield _prediction(cases[index], condition, ready.pop(next_one))
                next_one += 1


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
    return (None if prior is None else first), second, case.question


def _refuse_without_prior(cases: Sequence[Case]) -> None:
    alone = next((case for case in cases if case.kind == "difference" and case.prior is None), None)
    if alone is not None:
        raise InputError(f"case {alone.case_id} asks what has changed and has no prior.", remedy="Correct the source.")


def _prediction(case: Case, condition: str, reply: Reply) -> Prediction:
    return Prediction(
        case_id=case.case_id,
        patient_id=case.patient_id,
        kind=case.kind,
        question=case.question,
        answer=reply.text,
        condition=condition,
        reference=case.answer or None,
        warnings=(CUT,) if reply.cut else (),
        tags=case.tags,
        facts=facts_of(case) or None,
    )
