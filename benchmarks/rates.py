"""How fast films are made, prepared and read, as ratios against the plain way of doing it in the same run.

    python benchmarks/rates.py --films 200 --many 20000

- rendering: simulated films a second, with labels, masks and visibility, on one process and on two, and the processor
  seconds that a film takes on one, which say more on a machine with other work; `--rendering` measures only this
- preparing: JPEG -> prepared folder with one and two workers, against the naive loop (Pillow open, resize, save a PNG)
- DICOM: our reader against pydicom's own decoding with `apply_voi_lut`
- an epoch: reading every film from the memory-mapped store against decoding every JPEG
- memory: peak resident size while preparing `--many` films against a tenth of them (few files, many names)
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from harness.command import Command, read_result, write_result
from harness.timing import in_own_process, peak_mebibytes, wall_seconds
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from intervalchange.data.film_files import read_film
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.simulation.cohort import simulate
from intervalchange.simulation.dicom_files import dicom_bytes

PIXELS = 256


def rendering(folder: Path, patients: int, pixels: int) -> dict[str, float]:
    """Films a second of `simulate`, after the kernels are compiled."""
    simulate(folder / "compiled", patients=1, pixels=64, workers=1, progress=False)
    rates = {}
    for workers in (1, 2):
        out = folder / f"cohort{pixels}-{workers}"
        start = time.process_time()
        took = wall_seconds(
            lambda out=out, workers=workers: simulate(
                out, patients, 0, "mimic_diff_vqa", pixels, workers=workers, progress=False
            )
        )
        films = len(list(out.rglob("*.jpg")))
        rates[f"films_per_second_{workers}"] = films / took
        if workers == 1:
            rates["processor_seconds_per_film"] = (time.process_time() - start) / films
    return rates


def preparing(cohort: Path, folder: Path) -> dict[str, float]:
    """Films a second of `prepare` (one and two workers) and of the naive loop, and an epoch both ways."""
    films = sorted(cohort.rglob("*.jpg"))

    def naive() -> None:
        (folder / "naive").mkdir()
        for number, film in enumerate(films):
            Image.open(film).convert("L").resize((PIXELS, PIXELS)).save(folder / "naive" / f"{number}.png")

    result = {"naive_films_per_second": len(films) / wall_seconds(naive)}
    for workers in (1, 2):
        out = folder / f"prepared-{workers}"
        took = wall_seconds(
            lambda out=out, workers=workers: prepare(
                "mimic_diff_vqa", cohort, out, PIXELS, workers=workers, progress=False
            )
        )
        result[f"films_per_second_{workers}"] = len(films) / took
    prepared = Prepared(folder / "prepared-2")
    order = np.random.default_rng(0).permutation(len(prepared.pixels))
    stored = wall_seconds(
        lambda: [prepared.pixels.read(order[start : start + 64]).sum() for start in range(0, len(order), 64)]
    )
    decoded = wall_seconds(lambda: [np.asarray(Image.open(films[row])).sum() for row in order % len(films)])
    result |= {"epoch_films_per_second": len(order) / stored, "jpeg_epoch_films_per_second": len(order) / decoded}
    shards = sum(file.stat().st_size for file in (folder / "prepared-2").iterdir())
    return result | {
        "bytes_per_film": shards / len(prepared.pixels),
        "jpeg_bytes_per_film": sum(f.stat().st_size for f in films) / len(films),
    }


def dicom_reading(folder: Path, films: int) -> dict[str, float]:
    """DICOM films a second, ours and pydicom's."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(films):
        path = folder / f"{number}.dcm"
        film = np.clip(rng.normal(0.5, 0.1, (1024, 1024)), 0, 1)
        path.write_bytes(
            dicom_bytes(film, patient_id=str(number), study_uid=f"1.2.{number}", instance_uid=f"1.3.{number}", bits=12)
        )
        paths.append(path)

    def theirs() -> None:
        for path in paths:
            file = pydicom.dcmread(path)
            apply_voi_lut(apply_modality_lut(file.pixel_array, file), file)

    ours = wall_seconds(lambda: [read_film(path) for path in paths])
    return {"films_per_second": films / ours, "pydicom_films_per_second": films / wall_seconds(theirs)}


def peak_megabytes(folder: Path, cohort: Path, films: int) -> float:
    """Peak resident size of a process that prepares so many films, which are few files under many names."""
    source = sorted(cohort.rglob("*.jpg"))[:50]
    root = folder / f"many-{films}"
    root.mkdir()
    lines = ["patient,prior,current,answer"]
    for number in range(0, films, 2):
        for side in (number, number + 1):
            os.link(source[side % len(source)], root / f"{side}.jpg")
        lines.append(f"p{number},{number}.jpg,{number + 1}.jpg,nothing has changed.")
    (root / "pairs.csv").write_text("\n".join(lines) + "\n")
    return float(in_own_process(__file__, "--prepare-only", str(root / "pairs.csv"), str(folder / f"out-{films}")))


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--patients", type=int, default=30)
    options.add_argument("--films", type=int, default=60, help="DICOM films")
    options.add_argument("--many", type=int, default=20_000)
    options.result("--out", "rates.json")
    options.add_argument("--rendering", action="store_true", help="only this; the other measurements of --out stay")
    options.add_argument("--prepare-only", nargs=2, metavar=("CSV", "OUT"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.prepare_only:
        prepare("pairs", chosen.prepare_only[0], chosen.prepare_only[1], PIXELS, split="patient", progress=False)
        print(json.dumps(peak_mebibytes()))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result: dict[str, Any] = {"cores": os.cpu_count()}
        for pixels in (256, 512):
            result[f"rendering_{pixels}"] = rendering(folder, chosen.patients, pixels)
        if chosen.rendering:
            result = read_result(chosen.out) | result
        else:
            cohort = folder / "cohort512-2"
            result["preparing"] = preparing(cohort, folder)
            result["dicom"] = dicom_reading(folder, chosen.films)
            result["peak_megabytes"] = {
                count: peak_megabytes(folder, cohort, count) for count in (chosen.many // 10, chosen.many)
            }
    write_result(chosen.out, result)


if __name__ == "__main__":
    main()
