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

Films = tuple[np.ndarray | None, np.ndarray]
"""(prior or None, current), (s, s) uint8 each."""


class CaseFilms:
    """A prepared folder, asked for one case at a time."""

    def __init__(self, folder: str | Path) -> None:
        self.prepared = Prepared(folder)
        cases = self.prepared.cases
        self._row = dict(zip(cases["case_id"].tolist(), range(len(cases)), strict=True))

    @cached_property
    def _facts(self) -> dict[str, tuple[str, dict[str, str | float]]]:
        return {case.case_id: (case.patient_id, facts_of(case)) for case in self.prepared.case_records("all")}

    def films(self, case_id: str) -> Films | None:
        """The films of a case; None where the folder does not know it."""
        row = self._row.get(case_id)
        if row is None:
            return None
        case = self.prepared.cases.iloc[row]
        studies = [int(case[side]) for side in ("prior", "current") if int(case[side]) >= 0]
        shown = self.prepared.pixels.read(self.prepared.studies["row"].to_numpy()[studies])
        return (shown[0] if len(shown) == 2 else None), shown[-1]

    def with_facts(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """The answers with the facts of their cases, where the line has none and case and patient are known here.

        Raises SourceError where the folder knows none of the cases: it is another data set.
        """
        if predictions and not any(case.case_id in self._row for case in predictions):
            raise SourceError(
                f"knows none of the cases (for example {predictions[0].case_id}).",
                where=self.prepared.folder,
                remedy="Give the prepared folder that the answers are about.",
            )
        found = []
        for case in predictions:
            patient, facts = self._facts.get(case.case_id, ("", {}))
            found.append(replace(case, facts=facts) if case.facts is None and patient == case.patient_id else case)
        return found
