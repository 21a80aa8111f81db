"""Every reader over the tables of its own layout, damaged one at a time: cases, or an error that says what to do."""

from __future__ import annotations

import gzip
import json
import time
import traceback
from collections import Counter
from pathlib import Path

import mutations
import numpy as np
import pytest

from intervalchange.data.readers import read_source
from intervalchange.errors import IntervalChangeError
from intervalchange.simulation.cohort import simulate

LAYOUTS = {"mimic_diff_vqa": ("mimic_diff_vqa", "mimic_cxr", "imagenome")} | {
    name: (name,)
    for name in (
        "nih",
        "chexpert",
        "rsna",
        "siim",
        "object_cxr",
        "covidx",
        "vindr",
        "ms_cxr",
        "ms_cxr_t",
        "chextemporal",
        "mmxu",
        "mi_cxr",
        "temmed_bench",
        "openi",
        "pairs",
    )
}
"""Layout -> the sources that read it. The folder of DICOM has no tables: its files are damaged in `test_fuzz`."""
PATIENTS = {"mi_cxr": 8}
"""Layout -> patients, where three are too few: of MI-CXR one must have five studies."""
TABLES = (".csv", ".gz", ".json", ".jsonl", ".txt", ".xml", ".parquet")
TIMES, SEED = 120, 1
SECONDS = 5.0


def kinds_of_tables(root: Path) -> list[list[Path]]:
    """The tables, those of a kind together: a folder of a thousand reports is not damaged a thousand times as often."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix in TABLES:
            many = len(list(path.parent.iterdir())) > 4
            groups.setdefault(f"{path.parent if many else path}{path.suffix}", []).append(path)
    return list(groups.values())


def add_tables(layout: str, root: Path) -> None:
    """Tables of the published set that its layout does not write, in place of those that say the same."""
    if layout == "rsna":
        rows = [line.split(",") for line in (root / "nih_match.csv").read_text().splitlines()[1:]]
        pairs = [{"subset_img_id": row[0], "img_id": row[1]} for row in rows]
        (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(pairs, indent=1))
        (root / "nih_match.csv").unlink()
    elif layout == "chexpert":
        (labels,) = root.rglob("test_labels.csv")
        lines = [line.split("/view")[0] + line.partition(".jpg")[2] for line in labels.read_text().splitlines()[1:]]
        header = labels.read_text().splitlines()[0].replace("Path", "Study")
        (labels.parent / "groundtruth.csv").write_text("\n".join([header, *dict.fromkeys(lines)]) + "\n")
        labels.unlink()
    elif layout == "vindr":
        names = [path.stem for part in ("train", "test") for path in sorted((root / part).iterdir())]
        lines = ["image_id,dim0,dim1", *(f"{name},64,64" for name in names)]
        (root / "train_meta.csv").write_text("\n".join(lines) + "\n")


def with_a_wrong_cell(data: bytes, rng: mutations.Rng) -> bytes:
    """A line lost or doubled, a column lost or all one text, a cell that is apt to break a reader, no lines at all."""
    lines = data.decode("utf-8", "replace").split("\n")
    line, column = int(rng.integers(len(lines))), int(rng.integers(len(lines[0].split(","))))
    text = (*mutations.CELLS, "", " ", "1e308", "[", "1 1 1 1")[rng.integers(len(mutations.CELLS) + 5)]
    match rng.integers(6):
        case 0:
            cells = lines[line].split(",")
            lines[line] = ",".join([*cells[:column], text, *cells[column + 1 :]])
        case 1:
            del lines[line]
        case 2:
            lines = lines[:1]
        case 3:
            lines = [",".join(cell for place, cell in enumerate(one.split(",")) if place != column) for one in lines]
        case 4:
            lines.insert(line, lines[line])
        case _:
            rows = ([text if p == column else cell for p, cell in enumerate(one.split(","))] for one in lines[1:])
            lines = [lines[0], *(",".join(row) for row in rows)]
    return "\n".join(lines).encode()


def damaged(data: bytes, suffix: str, rng: mutations.Rng) -> bytes:
    """Another content of a table; of a gzipped one mostly inside."""
    inside = suffix == ".gz" and rng.random() < 0.9
    plain = gzip.decompress(data) if inside else data
    as_text = suffix in (".csv", ".txt") or inside
    new = with_a_wrong_cell(plain, rng) if as_text and rng.random() < 0.7 else mutations.mutated(plain + b"  ", rng)
    return gzip.compress(new) if inside else new


def outcome(source: str, root: Path) -> str:
    """`read`, `refused`, or what is wrong."""
    start = time.process_time()
    try:
        read_source(source, root)
        end = "read"
    except IntervalChangeError as error:
        end = "refused" if error.remedy and error.where else f"no remedy or place: {error}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        end = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {error}"
    return end if time.process_time() - start < SECONDS else f"took more than {SECONDS} s"


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_tables_are_read_or_refused(layout: str, tmp_path: Path) -> None:
    root = simulate(tmp_path / "cohort", PATIENTS.get(layout, 3), 5, layout, pixels=64, workers=1, progress=False)
    add_tables(layout, root)
    kinds = kinds_of_tables(root)
    for source in LAYOUTS[layout]:
        rng, ends = np.random.default_rng(SEED), Counter[str]()
        for _ in range(TIMES):
            paths = kinds[rng.integers(len(kinds))]
            path = paths[rng.integers(len(paths))]
            whole = path.read_bytes()
            path.write_bytes(damaged(whole, path.suffix, rng))
            end = outcome(source, root)
            ends[end if end in ("read", "refused") else f"{source}, {path.name}: {end}"] += 1
            path.write_bytes(whole)
        assert set(ends) <= {"read", "refused"}, "\n".join(ends)
        assert ends["read"] > TIMES / 4, "most damage is small, and one bad row is no reason to refuse"
