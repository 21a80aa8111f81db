"""Writes small DICOM files of one hospital, and says which ids the reader should give them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from film_files import chest

from intervalchange.data.readers import read_source
from intervalchange.records import Case
from intervalchange.simulation.dicom_files import dicom_bytes, uid

SALT = bytes(range(32))


def pseudonym(prefix: str, name: str) -> str:
    return prefix + hashlib.sha256(SALT + name.encode()).hexdigest()[:12]


def study_id(person: str, study: str) -> str:
    return pseudonym("S", f"{person}\0{study}")


def of_kind(cases: list[Case], kind: str) -> list[Case]:
    return [case for case in cases if case.kind == kind]


class Archive:
    """Writes small DICOM files of one hospital."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def add(self, study: str, path: str = "", person: str = "A1", date: str = "20200105", **header: object) -> Path:
        self.count += 1
        place = self.root / (path or f"{self.count:04d}")
        place.parent.mkdir(parents=True, exist_ok=True)
        film = chest(48, 40, seed=self.count)
        ids = {"study_uid": uid(study), "instance_uid": uid(study, self.count)}
        known = {"modality": "DX", "view": "PA", "study_time": "081500"}
        given = {name: header.pop(name) for name in tuple(header) if name in (*known, "age", "sex", "description")}
        values = {**known, **given, "study_date": date, "patient_id": person}
        place.write_bytes(dicom_bytes(film, **ids, **values, elements=header))
        return place

    def read(self, salt: Path) -> tuple[dict[str, Case], dict[str, int]]:
        """Study -> its case about the view, and the notes."""
        source = read_source("dicom", self.root, salt=salt)
        return {case.current.study_id: case for case in of_kind(source.cases, "view")}, dict(source.notes)
