"""Splits: the official lists, with or without a validation part cut from the training patients."""

from __future__ import annotations

import pytest

from intervalchange.data.splits import CUT, assign, validating
from intervalchange.errors import SourceError
from intervalchange.records import Case, Study


def cases_of(splits: dict[str, str], films: int = 2) -> list[Case]:
    """Two films of each patient."""
    return [
        Case(f"{patient}-{film}", patient, Study(f"{patient}-{film}", "a.png"), None, "q", "a", split=split)
        for patient, split in splits.items()
        for film in range(films)
    ]


LISTS = {f"t{n}": "train" for n in range(200)} | {f"e{n}": "test" for n in range(40)}


def test_a_share_of_the_training_patients_validates_each_as_a_whole() -> None:
    cases = cases_of(LISTS)
    splits, how, notes = assign(cases, "official", 0.125)
    of_patient = {case.patient_id: split for case, split in zip(cases, splits, strict=True)}
    assert how == "official"
    assert all(of_patient[case.patient_id] == split for case, split in zip(cases, splits, strict=True))
    assert {name for name, split in of_patient.items() if split == "test"} == {name for name in LISTS if name[0] == "e"}
    assert 15 <= list(of_patient.values()).count("val") == notes[CUT] <= 35
    assert assign(cases[::-1], "official", 0.125)[0] == splits[::-1], "whatever the order of the rows"


def test_a_part_of_the_data_has_the_same_patients_in_it() -> None:
    whole = validating(LISTS, 0.2)
    assert validating(list(LISTS)[:120], 0.2) == {name for name in list(LISTS)[:120] if name in whole}


@pytest.mark.parametrize(("patients", "chosen"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_a_small_set_has_one_patient_to_validate_on(patients: int, chosen: int) -> None:
    assert len(validating([f"p{n}" for n in range(patients)], 1e-9)) == chosen


@pytest.mark.parametrize(
    ("lists", "how", "share"),
    [
        (LISTS, "lists", 0.125),
        (LISTS, "official", 0.0),
        (LISTS | {"v": "val"}, "official", 0.125),
        ({"e": "test"}, "official", 0.125),
    ],
)
def test_nothing_is_cut(lists: dict[str, str], how: str, share: float) -> None:
    cases = cases_of(lists)
    splits, _, notes = assign(cases, how, share)
    assert splits == [case.split for case in cases]
    assert CUT not in notes


def test_a_source_without_splits_is_split_by_patient_or_has_no_lists() -> None:
    cases = cases_of(dict.fromkeys(LISTS, ""))
    _, how, notes = assign(cases, "official", 0.125)
    assert how == "patient" and CUT not in notes
    with pytest.raises(SourceError, match=r"no splits.*--split patient"):
        assign(cases, "lists", 0.125)
