"""The films and the facts of cases by their id, as a report on predictions shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from intervalchange.data.prepared import Prepared
from intervalchange.errors import SourceError
from intervalchange.evaluation.metrics.confounders import facts_of
from intervalchange.records import Prediction


class CaseFilms:
    """A prepared folder, read case by case."""

    def __init__(self, folder: str | Path) -> None:
        self.prepared = Prepared(folder)
        self._row = {case_id: row for row, case_id in enumerate(self.prepared.cases["case_id"].tolist())}

    @cached_property
    def _facts(self) -> dict[str, tuple[str, dict[str, str | float]]]:
        """case_id -> patient_id and facts."""
        return {case.case_id: (case.patient_id, facts_of(case)) for case in self.prepared.case_records("all")}

    def films(self, case_id: str) -> tuple[np.ndarray | None, np.ndarray] | None:
        """(prior or None, current) of a case, (s, s) uint8 each; None where the folder does not know the case."""
        if case_id not in self._row:
            return None
        case = self.prepared.cases.iloc[self._row[case_id]]
        studies = [int(case[side]) for side in ("prior", "current") if int(case[side]) >= 0]
        films = self.prepared.pixels.read(self.prepared.studies["row"].to_numpy()[studies])
        return (films[0] if len(films) == 2 else None), films[-1]

    def with_facts(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """The predictions with the facts of their cases, where they have none and this folder knows case and patient.

        Raises SourceError where the folder knows none of the cases: it is another data set.
        """
        if predictions and not any(prediction.case_id in self._row for prediction in predictions):
            raise SourceError(
                f"knows none of the cases (for example {predictions[0].case_id}).",
                where=self.prepared.folder,
                remedy="Give the prepared folder that the answers are about.",
            )
        return [self._with_facts(prediction) for prediction in predictions]

    def _with_facts(self, prediction: Prediction) -> Prediction:
        patient, facts = self._facts.get(prediction.case_id, ("", {}))
        known = prediction.facts is None and patient == prediction.patient_id
        return replace(prediction, facts=facts) if known else prediction
