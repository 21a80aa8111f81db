"""Eight simulated films beside eight real ones on one page: docs/images/simulated_beside_real.jpg.

The real films are CC BY 3.0 (COVID-19 Image Repository, Hannover Medical School, doi:10.6084/m9.figshare.12275009).

    python benchmarks/looks.py --real ../shared/data/cxr_longitudinal
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from harness.command import Command
from PIL import Image, ImageDraw

from intervalchange.simulation.cohort import simulate_patient

SIDE, COLUMNS, SEED = 320, 4, 900_777


def real_films(folder: Path, count: int) -> list[Image.Image]:
    """The first CC BY film of each of `count` patients, in the order of the table."""
    table = pd.read_csv(folder / "images.csv")
    table = table[table.licence == "CC BY 3.0"].drop_duplicates("patient_id").iloc[::6].head(count)
    return [Image.open(folder / file).convert("L") for file in table.file]


def simulated_films(count: int) -> list[Image.Image]:
    """The last film of each of `count` patients of an evaluation seed."""
    films = [simulate_patient(SEED, index, pixels=512).studies[-1].film for index in range(count)]
    return [Image.fromarray((255 * film.pixels).astype(np.uint8)) for film in films if film is not None]


def sheet(simulated: list[Image.Image], real: list[Image.Image]) -> Image.Image:
    """Two blocks, simulated above, real below, each film padded to a square."""
    rows = [*range(0, len(simulated), COLUMNS)]
    height = 2 * (len(rows) * SIDE + 28)
    page = Image.new("L", (COLUMNS * SIDE, height), 255)
    pen = ImageDraw.Draw(page)
    top = 0
    for title, films in (("simulated", simulated), ("real (Hannover, CC BY 3.0)", real)):
        pen.text((8, top + 8), title, fill=0)
        top += 28
        for index, film in enumerate(films):
            scale = SIDE / max(film.size)
            small = film.resize((round(film.width * scale), round(film.height * scale)), Image.Resampling.LANCZOS)
            cell = Image.new("L", (SIDE, SIDE), 0)
            cell.paste(small, ((SIDE - small.width) // 2, (SIDE - small.height) // 2))
            page.paste(cell, ((index % COLUMNS) * SIDE, top + (index // COLUMNS) * SIDE))
        top += len(rows) * SIDE
    return page


def main() -> None:
    options = Command(__doc__, "real")
    options.add_argument("--out", type=Path, default=Path("docs/images/simulated_beside_real.jpg"))
    chosen = options.parse_args()
    sheet(simulated_films(8), real_films(chosen.real, 8)).save(chosen.out, quality=85)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
