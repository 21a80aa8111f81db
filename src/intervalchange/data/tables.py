"""Cases as records <-> the three tables of a prepared folder.

studies.parquet   one row per study: study_id, patient_id, image, row (of the pixel shards), opacity_row (-1: none),
                  view, acquired_at, order, report, findings and levels (JSON objects), age, sex, devices, and the
                  geometry height, width, scale, offset_x, offset_y (stored = original * scale + offset)
cases.parquet     one row per case: case_id, patient_id, kind, question, answer, split, tags, and `current` and `prior`,
                  row numbers of studies.parquet (prior -1: none)
regions.parquet   one row per region: study (row number), kind, name, x1, y1, x2, y2 in original pixels, rle
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from intervalchange.data.film_records import FilmRecord
from intervalchange.records import Case, Region, Study

CASE_COLUMNS = ("case_id", "patient_id", "kind", "question", "answer", "split", "tags", "current", "prior")
REGION_COLUMNS = ("study", "kind", "name", "x1", "y1", "x2", "y2", "rle")


def distinct_studies(cases: Sequence[Case]) -> list[tuple[str, Study]]:
    """(patient_id, study) once each, sorted by patient and time, with what several rows say of one study merged."""
    studies: dict[tuple[str, str, str], Study] = {}
    for case in cases:
        for study in (case.current, case.prior):
            if study is None:
                continue
            key = _key(case.patient_id, study)
            known = studies.get(key)
            studies[key] = study if known is None or known is study else _merged(known, study)

    def order(item: tuple[tuple[str, str, str], Study]) -> tuple[str, float, str, str, str]:
        (patient, study_id, image), study = item
        return patient, math.inf if math.isnan(study.order) else study.order, study.acquired_at, study_id, image

    return [(key[0], study) for key, study in sorted(studies.items(), key=order)]


def _key(patient: str, study: Study) -> tuple[str, str, str]:
    """What makes a study one."""
    return patient, study.study_id, study.image


def _merged(first: Study, second: Study) -> Study:
    """Fill what the first leaves open from the second."""
    return replace(
        first,
        view=first.view or second.view,
        acquired_at=first.acquired_at or second.acquired_at,
        order=second.order if math.isnan(first.order) else first.order,
        report=first.report or second.report,
        findings={**second.findings, **first.findings},
        levels={**second.levels, **first.levels},
        regions=first.regions or second.regions,
        age=second.age if math.isnan(first.age) else first.age,
        sex=first.sex or second.sex,
        devices=first.devices or second.devices,
    )


def study_table(
    studies: Sequence[tuple[str, Study]], films: Mapping[str, FilmRecord], mapped: Collection[str]
) -> pd.DataFrame:
    """The studies whose film could be read.

    films: image -> record, in the order of the rows of the pixel shards. mapped: the images that have an opacity map;
    those in `films` are the rows of its shards, in the same order.
    """
    rows = {image: row for row, image in enumerate(films)}
    opacity_rows = {image: row for row, image in enumerate(image for image in films if image in mapped)}
    geometries = {image: asdict(record.geometry) for image, record in films.items() if record.geometry is not None}
    return pd.DataFrame(
        {
            "study_id": study.study_id,
            "patient_id": patient,
            "image": study.image,
            "row": rows[study.image],
            "opacity_row": opacity_rows.get(study.image, -1),
            "view": study.view,
            "acquired_at": study.acquired_at,
            "order": study.order,
            "report": study.report,
            "findings": json.dumps(_without_unknown(study.findings), sort_keys=True),
            "levels": json.dumps(dict(study.levels), sort_keys=True),
            "age": study.age,
            "sex": study.sex,
            "devices": list(study.devices),
            **geometries[study.image],
        }
        for patient, study in studies
    )


def case_table(cases: Sequence[Case], splits: Sequence[str], studies: Sequence[tuple[str, Study]]) -> pd.DataFrame:
    """The cases. studies: those of the studies table, in its order."""
    rows = {_key(patient, study): row for row, (patient, study) in enumerate(studies)}
    records = [
        (
            *(case.case_id, case.patient_id, case.kind, case.question, case.answer, split, list(case.tags)),
            rows[_key(case.patient_id, case.current)],
            -1 if case.prior is None else rows[_key(case.patient_id, case.prior)],
        )
        for case, split in zip(cases, splits, strict=True)
    ]
    return pd.DataFrame(records, columns=list(CASE_COLUMNS))


def region_table(studies: Sequence[tuple[str, Study]]) -> pd.DataFrame:
    """The regions of the same studies, in the same order."""
    records = [
        (row, region.kind, region.name, *(float(edge) for edge in region.box), region.rle or "")
        for row, (_, study) in enumerate(studies)
        for region in study.regions
    ]
    table = pd.DataFrame(records, columns=list(REGION_COLUMNS))
    kinds = {"study": "int64", **dict.fromkeys(("kind", "name", "rle"), "str")}
    return table.astype(kinds | dict.fromkeys(("x1", "y1", "x2", "y2"), "float64"))


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def study_record(row: Mapping[str, Any], regions: Sequence[Region] = ()) -> Study:
    """A row of studies.parquet as a record."""
    return Study(
        study_id=str(row["study_id"]),
        image=str(row["image"]),
        view=str(row["view"]),
        acquired_at=str(row["acquired_at"]),
        order=float(row["order"]),
        report=str(row["report"]),
        findings=json.loads(str(row["findings"])),
        levels=json.loads(str(row["levels"])),
        regions=tuple(regions),
        age=float(row["age"]),
        sex=str(row["sex"]),
        devices=tuple(row["devices"]),
    )


def _without_unknown(findings: Mapping[str, float]) -> dict[str, float]:
    """Without NaN, which JSON does not have: a finding that is not named is unknown."""
    return {name: float(value) for name, value in findings.items() if not math.isnan(value)}
