"""The same film in three files: does the answer stay? 8-bit PNG, equalised JPEG (as MIMIC-CXR-JPG is), 16-bit DICOM.

    python benchmarks/same_film.py demo --real ../shared/data/cxr_longitudinal --pairs 60

Half of the pairs are simulated, half real. Each pair is written in all three forms and answered; a pair counts when all
three answers mean the same change.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from harness.command import Command, write_result
from PIL import Image, ImageOps

import intervalchange as ic
from intervalchange import grammar
from intervalchange.inference import Predictor
from intervalchange.simulation.cohort import simulate_patient
from intervalchange.simulation.dicom_files import dicom_bytes

SEED = 900_400


def write_forms(film: np.ndarray, folder: Path, name: str) -> list[Path]:
    """The three files of one film."""
    grey = Image.fromarray(np.round(255 * film).astype(np.uint8))
    paths = [folder / f"{name}.png", folder / f"{name}.jpg", folder / f"{name}.dcm"]
    grey.save(paths[0])
    ImageOps.equalize(grey).save(paths[1], quality=95)
    paths[2].write_bytes(dicom_bytes(film, patient_id=name, study_uid="1.2.1", instance_uid="1.2.1.1", bits=12))
    return paths


def simulated_pairs(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for index in range(count):
        films = [study.film for study in simulate_patient(SEED, index, pixels=512).studies[-2:]]
        if films[0] is not None and films[1] is not None:
            yield films[0].pixels, films[1].pixels


def real_pairs(folder: Path, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Consecutive pairs of the Hannover films, spread over the table."""
    table = pd.read_csv(folder / "pairs.csv")
    table = table[(table.consecutive == 1) & table.ref_file.str.contains("han-")]
    for row in table.iloc[np.linspace(0, len(table) - 1, count).astype(int)].itertuples():
        films = [np.asarray(Image.open(folder / str(file)).convert("L")) for file in (row.ref_file, row.main_file)]
        yield films[0].astype(np.float32) / 255, films[1].astype(np.float32) / 255


def agreement(model: Predictor, pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Share of pairs whose three answers mean the same change."""
    same, total = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for prior, current in pairs:
            forms = zip(
                write_forms(prior, Path(folder), "prior"), write_forms(current, Path(folder), "current"), strict=True
            )
            changes = [grammar.parse(model.answer(*paths).answer).change for paths in forms]
            same += all(change == changes[0] for change in changes)
            total += 1
    return {"pairs": total, "same_answer": same / max(total, 1)}


def main() -> None:
    options = Command(__doc__, "real")
    options.add_argument("run")
    options.add_argument("--pairs", type=int, default=60)
    options.result("--out", "same_film.json")
    chosen = options.parse_args()
    model = ic.load(chosen.run)
    result = {
        "simulated": agreement(model, simulated_pairs(chosen.pairs // 2)),
        "real": agreement(model, real_pairs(chosen.real, chosen.pairs - chosen.pairs // 2)),
    }
    write_result(chosen.out, result)


if __name__ == "__main__":
    main()
