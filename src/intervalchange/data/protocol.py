"""The field's own rows and split, beside ours (`prepare --protocol published`).

    ours        every case reads forward in time, stands once, and a patient is in one split (`splits.assign`)
    published   every row as released, in its order; split by the column of the table, or `--split rows`: the first 80%
                of all rows train, the next 10% validate, the rest tests, as EKAID and C2F cut them

Under `published` one patient may train and test: the doctor says how many, and every number carries the word.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from intervalchange.data.readers.cases import MAIN_EARLIER, ORDER_UNKNOWN
from intervalchange.data.readers.source import OURS, PUBLISHED, Released
from intervalchange.data.splits import NAMES, ROWS
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Case

BY_COLUMN, BY_ROWS = "published, column split", "published, rows 8:1:1"


def row_splits(released: Released, how: str) -> tuple[list[str], str]:
    """The split of every row, and how it was made.

    how: `official` (the column, or `rows` where there is none) or `rows`. Raises ConfigError for another, SourceError
    where the column does not name a split in every row.
    """
    if how not in ("official", ROWS):
        raise ConfigError(
            f"--split {how} is another split than the published one.", remedy="Use --split rows, or leave it out."
        )
    splits = list(released.splits)
    if how == "official" and any(splits):
        unknown = sum(split not in NAMES for split in splits)
        if unknown:
            raise SourceError(
                f"{unknown} rows have no split, or an unknown one.", where=released.path, remedy="Use --split rows."
            )
        return splits, BY_COLUMN
    # In floating point, as the papers' code has it.
    first, second = (math.ceil(share * len(splits)) for share in (0.8, 0.9))
    return ["train"] * first + ["val"] * (second - first) + ["test"] * (len(splits) - second), BY_ROWS


def published_facts(rows: Sequence[str], how: str, cases: Sequence[Case], splits: Sequence[str]) -> dict[str, Any]:
    """What is to be said of the cases that are in the folder, as plain JSON. rows: the split of every released row."""
    splits_of: dict[str, set[str]] = {}
    for case, split in zip(cases, splits, strict=True):
        splits_of.setdefault(case.patient_id, set()).add(split)
    trained = {patient for patient, found in splits_of.items() if "train" in found}
    leaked = Counter(split for case, split in zip(cases, splits, strict=True) if case.patient_id in trained)
    pairs = {(case.current.study_id, case.prior.study_id) for case in cases if _is_difference(case) and case.prior}
    asked = Counter(_asked(case) for case in cases)
    return {
        "name": PUBLISHED,
        "split": how,
        "rows": {name: rows.count(name) for name in NAMES},
        "cases": {name: splits.count(name) for name in NAMES},
        "patients_in_several_splits": sum(len(found) > 1 for found in splits_of.values()),
        "cases_of_training_patients": {name: leaked[name] for name in ("val", "test")},
        "main_earlier": sum(MAIN_EARLIER in case.tags for case in cases),
        "order_unknown": sum(ORDER_UNKNOWN in case.tags for case in cases),
        "repeated": sum(count - 1 for count in asked.values()),
        "both_ways": sum(main < prior and (prior, main) in pairs for main, prior in pairs),
    }


def _is_difference(case: Case) -> bool:
    return case.kind == "difference"


def _asked(case: Case) -> tuple[str, ...]:
    """What is asked, and of which films; rows that share it are doubles."""
    prior = case.prior.study_id if _is_difference(case) and case.prior else ""
    return case.kind, case.question.lower(), case.current.study_id, prior


def published_lines(facts: Mapping[str, Any]) -> list[str]:
    """The facts as lines of the doctor's page."""
    cases, leaked = facts["cases"], facts["cases_of_training_patients"]
    lost = sum(facts["rows"].values()) - sum(cases.values())
    rows = f"{sum(facts['rows'].values()):,} rows as released" + (f", {lost:,} of them lost" if lost else "")
    of = ", ".join(f"{leaked[name]:,} of {cases[name]:,} {name} cases" for name in ("val", "test"))
    return [
        f"protocol    published: {rows}; none turned, merged or left out for its patient; split: {facts['split']}",
        f"            {facts['patients_in_several_splits']:,} patients stand in more than one split; "
        f"of patients who train: {of}",
        f"            {facts['main_earlier']:,} difference rows whose main film is the earlier one by date, "
        f"{facts['order_unknown']:,} whose order is unknown",
        f"            {facts['repeated']:,} rows repeat another; {facts['both_ways']:,} pairs stand both ways round",
    ]


def label(facts: Mapping[str, Any] | None, split: str) -> str:
    """What stands beside a number: `ours`, `published`, or how much of the published split there is.

    facts: `published_facts`, None of a folder that has none. split: one of them, or `all`.
    """
    if not facts:
        return OURS
    names = NAMES if split == "all" else (split,)
    rows, cases = (sum(facts[what][name] for name in names) for what in ("rows", "cases"))
    return PUBLISHED if rows == cases else f"{PUBLISHED}, {cases:,} of {rows:,} rows"
