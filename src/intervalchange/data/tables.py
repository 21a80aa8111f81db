"""Cases as records <-> the three tables of a prepared folder.

studies.parquet   one row a study: study_id, patient_id, image, row (of the pixel shards), opacity_row (-1: none), view,
                  acquired_at, order, report, findings and levels (JSON objects), age, sex, devices, and the geometry
                  height, width, scale, offset_x, offset_y (stored = original * scale + offset)
cases.parquet     one row a case: case_id, patient_id, kind, question, answer, split, tags, and `current` and `prior`,
                  row numbers of studies.parquet (prior -1: none)
regions.parquet   one row a region: study (row number), kind, name, x1, y1, x2, y2 in original pixels, rle
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from intervalchange.data.images import Geometry
from intervalchange.records import Case, Region, Study

CASE_COLUMNS = ("case_id", "patient_id", "kind", "question", "answer", "split", "tags", "current", "prior")
REGION_COLUMNS = ("study", "kind", "name", "x1", "y1", "x2", "y2", "rle")


def distinct_studies(cases: Sequence[Case]) -> list[tuple[str, Study]]:
    """(patient_id, study) once each, sorted by patient and time, what several rows say of one study put together."""
    found: dict[tuple[str, str, str], Study] = {}
    for case in cases:
        for study in (case.current, case.prior):
            if study is None:
                continue
            key = (case.patient_id, study.study_id, study.image)
            known = found.get(key)
            found[key] = study if known is None or known is study else _merged(known, study)

    def place(item: tuple[tuple[str, str, str], Study]) -> tuple[str, float, str, str, str]:
        (patient, study_id, image), study = item
        return patient, math.inf if math.isnan(study.order) else study.order, study.acquired_at, study_id, image

    return [(key[0], study) for key, study in sorted(found.items(), key=place)]


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
    studies: Sequence[tuple[str, Study]],
    rows: Mapping[str, int],
    opacity_rows: Mapping[str, int],
    geometries: Mapping[str, Geometry],
) -> pd.DataFrame:
    """The studies whose film could be read."""
    return pd.DataFrame(
        [
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
                "findings": json.dumps(_known(study.findings), sort_keys=True),
                "levels": json.dumps(dict(study.levels), sort_keys=True),
                "age": study.age,
                "sex": study.sex,
                "devices": list(study.devices),
                "height": geometries[study.image].height,
                "width": geometries[study.image].width,
                "scale": geometries[study.image].scale,
                "offset_x": geometries[study.image].offset_x,
                "offset_y": geometries[study.image].offset_y,
            }
            for patient, study in studies
        ]
    )


def case_table(
    cases: Sequence[Case], splits: Sequence[str], places: Mapping[tuple[str, str, str], int]
) -> pd.DataFrame:
    """The cases; places: (patient_id, study_id, image) -> row of the studies table."""
    records = [
        (
            *(case.case_id, case.patient_id, case.kind, case.question, case.answer, split, list(case.tags)),
            places[case.patient_id, case.current.study_id, case.current.image],
            -1 if case.prior is None else places[case.patient_id, case.prior.study_id, case.prior.image],
        )
        for case, split in zip(cases, splits, strict=True)
    ]
    return pd.DataFrame(records, columns=list(CASE_COLUMNS))


def region_table(studies: Sequence[tuple[str, Study]]) -> pd.DataFrame:
    """The regions of the same studies, in the same order."""
    records = [
        (place, region.kind, region.name, *(float(edge) for edge in region.box), region.rle or "")
        for place, (_, study) in enumerate(studies)
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


def study_record(row: Mapping[str, object], regions: Sequence[Region] = ()) -> Study:
    """A row of studies.parquet as a record."""
    return Study(
        study_id=str(row["study_id"]),
        image=str(row["image"]),
        view=str(row["view"]),
        acquired_at=str(row["acquired_at"]),
        order=float(row["order"]),  # type: ignore[arg-type]
        report=str(row["report"]),
        findings=json.loads(str(row["findings"])),
        levels=json.loads(str(row["levels"])),
        regions=tuple(regions),
        age=float(row["age"]),  # type: ignore[arg-type]
        sex=str(row["sex"]),
        devices=tuple(row["devices"]),  # type: ignore[arg-type]
    )


def _known(findings: Mapping[str, float]) -> dict[str, float]:
    """Without NaN, which JSON does not have: a finding that is not named is unknown."""
    return {name: float(value) for name, value in findings.items() if not math.isnan(value)}
