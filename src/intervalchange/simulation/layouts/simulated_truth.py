"""`simulated-truth/`: what no real data set has, beside the tree of `mimic_diff_vqa`.

regions.parquet, latent.parquet, studies.parquet    boxes and masks; severities; exposures
same_state.csv                                      pairs of studies of one state under two exposures
opacity/<dicom>.png                                 opacity maps
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

TRUTH = "simulated-truth"
OPACITY_SIZE = 64
"""Side of the stored opacity maps, which cover the whole film."""


def write_opacity(study: SimulatedStudy, out: Path, work: Path) -> None:
    """Write the opacity map of a film."""
    if study.film is None:
        return
    size = (OPACITY_SIZE, OPACITY_SIZE)
    opacity = Image.fromarray(study.film.opacity.astype(np.float32)).resize(size, Image.Resampling.BOX)
    grey = np.clip(np.round(np.asarray(opacity) * 255), 0, 255).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(grey).save(png, "PNG", optimize=False)
    write_atomically(out / TRUTH / "opacity" / f"{study.dicom_id}.png", work, png.getvalue())


def truth_rows(patient: SimulatedPatient, visit: int) -> Fragment:
    """The rows of one study."""
    study = patient.studies[visit]
    record, account = study.study, study.account
    acquisition = asdict(study.visit.acquisition)
    acquisition["shift_right_cm"], acquisition["shift_down_cm"] = acquisition.pop("shift_cm")
    return {
        "regions": [[study.dicom_id, region.kind, region.name, *region.box, region.rle] for region in record.regions],
        "latent": [
            {
                "finding": name,
                "severity": severity,
                "cnr": study.cnr.get(name, 0.0),
                "visible": name in account.attributes,
                "level": record.levels.get(name, ""),
            }
            for name, severity in study.severity.items()
        ],
        "visit": {
            "visit": visit,
            "days": study.visit.days,
            "same_state_as_previous": study.visit.same_state_as_previous,
            "age": record.age,
            "sex": record.sex,
            "reason": patient.reason,
            "devices": ";".join(record.devices),
            **acquisition,
        },
    }


def same_state_pairs(patient: SimulatedPatient) -> list[dict[str, str]]:
    """Two studies each with the same lesions."""
    return [
        {"study_id": later.study.study_id, "ref_id": earlier.study.study_id}
        for earlier, later in combinations(patient.studies, 2)
        if earlier.visit.state.lesions == later.visit.state.lesions
    ]


def same_state_table(fragments: Sequence[Fragment]) -> pd.DataFrame:
    """subject_id, study_id, ref_id."""
    rows = [{"subject_id": fragment["subject_id"], **pair} for fragment in fragments for pair in fragment["same_state"]]
    return pd.DataFrame(rows, columns=["subject_id", "study_id", "ref_id"])


def write_truth_tables(studies: Sequence[Fragment], out: Path, work: Path) -> None:
    """Write the three Parquet tables."""
    regions = [row for study in studies for row in study["regions"]]
    ids = [{name: study[name] for name in ("subject_id", "study_id", "dicom_id")} for study in studies]
    latent = [key | row for key, study in zip(ids, studies, strict=True) for row in study["latent"]]
    columns = ["subject_id", "study_id", "dicom_id", "finding", "severity", "cnr", "visible", "level"]
    tables = {
        "regions.parquet": pd.DataFrame(regions, columns=["dicom_id", "kind", "name", "x1", "y1", "x2", "y2", "rle"]),
        "latent.parquet": pd.DataFrame(latent, columns=columns),
        "studies.parquet": pd.DataFrame([key | study["visit"] for key, study in zip(ids, studies, strict=True)]),
    }
    for name, table in tables.items():
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        write_atomically(out / TRUTH / name, work, buffer.getvalue())
