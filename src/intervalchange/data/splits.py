"""Which patient belongs to which split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from intervalchange.cells import plain_id
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Case

CUT = "training patients taken to validate on, for the official lists have no such part (--split lists: none are)"
NAMES = ("train", "val", "test")
ROWS = "rows"
"""The split of EKAID and C2F: the first rows train, the last test (`data/protocol.py`)."""
FORM = (
    "A split file is JSON {'train': [ids], 'val': [ids], 'test': [ids]} or CSV with patient_id or case_id, and split."
)


def by_patient(patient_id: str) -> str:
    """8:1:1 by a hash of the patient, the same on every machine and in every data set."""
    tenth = int.from_bytes(hashlib.sha256(patient_id.encode()).digest()[:8], "big") % 10
    return NAMES[max(0, tenth - 7)]


def validating(patients: Iterable[str], share: float) -> set[str]:
    """About this share of training patients, by a hash of each, which is the same in every part of a data set.

    At least one of two patients or more, for a set that is small.
    """
    ranks = {
        patient: int.from_bytes(hashlib.sha256(f"validation {patient}".encode()).digest()[:8], "big") / 2**64
        for patient in patients
    }
    chosen = {patient for patient, rank in ranks.items() if rank < share}
    return chosen or ({min(ranks, key=ranks.__getitem__)} if len(ranks) > 1 else set())


def assign(cases: Sequence[Case], how: str, validation_share: float = 0.0) -> tuple[list[str], str, dict[str, int]]:
    """Split of each case ("" = not used), how it was made, and notes for the doctor.

    how: `official` (as the source says, with a validation part from its training patients where it has none; by patient
    where it says nothing), `lists` (as the source says, nothing added), `patient`, or the path of a split file.
    validation_share: of the training patients, for a source whose lists have no validation part; 0: none is cut.
    A patient found in several splits keeps only its test cases, or else its val cases.
    """
    notes: dict[str, int] = {}
    if how == ROWS:
        raise ConfigError(
            "--split rows cuts the rows of a table as released.", remedy="Add --protocol published, or leave it out."
        )
    if how == "lists" and not any(case.split for case in cases):
        raise SourceError("the source has no splits.", where=how, remedy="Use --split patient.")
    if how == "official" and not any(case.split for case in cases):
        how = "patient"
        notes["the source has no splits: patients were split 8:1:1 by hash"] = len({c.patient_id for c in cases})
    if how in ("official", "lists"):
        splits = [case.split for case in cases]
    elif how == "patient":
        splits = [by_patient(case.patient_id) for case in cases]
    else:
        table = _read(Path(how))
        splits = [table.get(plain_id(case.case_id), table.get(plain_id(case.patient_id), "")) for case in cases]
        how = f"file {Path(how).name}"
    unsplit = splits.count("")
    if unsplit:
        notes["cases without a split (dropped)"] = unsplit
    splits_of: dict[str, set[str]] = {}
    for case, split in zip(cases, splits, strict=True):
        if split:
            splits_of.setdefault(case.patient_id, set()).add(split)
    several = {name: "test" if "test" in found else "val" for name, found in splits_of.items() if len(found) > 1}
    kept = [s if several.get(c.patient_id, s) == s else "" for c, s in zip(cases, splits, strict=True)]
    if several:
        notes["patients in several splits (only their test, or else val, cases are kept)"] = len(several)
        notes["cases dropped because their patient is in several splits"] = kept.count("") - unsplit
    if how == "official" and validation_share and "val" not in kept:
        cut = validating({c.patient_id for c, s in zip(cases, kept, strict=True) if s == "train"}, validation_share)
        if cut:
            kept = ["val" if s == "train" and c.patient_id in cut else s for c, s in zip(cases, kept, strict=True)]
            notes[CUT] = len(cut)
    return kept, how, notes


def split_hash(case_ids: Iterable[str], splits: Iterable[str]) -> str:
    """One hash for who is in which split, whatever the order of the rows."""
    lines = sorted(f"{case_id}\t{split}" for case_id, split in zip(case_ids, splits, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _read(path: Path) -> dict[str, str]:
    """Id of a case or a patient -> split."""
    if not path.is_file():
        raise SourceError("no such split file.", where=path, remedy=f"Use official, patient, or a file. {FORM}")
    try:
        if path.suffix == ".json":
            lists = json.loads(path.read_text(encoding="utf-8"))
            table = {str(name): str(split) for split, names in lists.items() for name in names}
        else:
            rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
            key = "case_id" if "case_id" in rows.columns else "patient_id"
            table = dict(zip(rows[key], rows["split"], strict=True))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise SourceError("this split file cannot be read.", where=path, remedy=FORM) from error
    table = {
        plain_id(name): "val" if split in ("validate", "valid", "validation") else split
        for name, split in table.items()
    }
    unknown = sorted(set(table.values()) - set(NAMES))
    if unknown:
        raise SourceError(f"unknown splits {unknown}.", where=path, remedy=FORM)
    return table
