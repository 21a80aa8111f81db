"""Eight simulated and eight real films in random order on one page without labels: what gives the simulated ones away?

The page is docs/images/mixed_sheet.jpg; the key, and where each film comes from, lies beside the results. Every film is
cropped to its central square and scaled alike, so that shape and size say nothing. The real films are CC BY 3.0
(COVID-19 Image Repository, Hannover Medical School, doi:10.6084/m9.figshare.12275009).

    python benchmarks/mixed_sheet.py --real ../shared/data/cxr_longitudinal
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from harness.command import Command, provenance, write_json
from PIL import Image, ImageDraw

from intervalchange.simulation.cohort import simulate_patient

SIDE, MARGIN, COLUMNS, EACH = 320, 22, 4, 8
SEED = 900_779
LICENCE = "CC BY 3.0"


@dataclass(frozen=True)
class Entry:
    """One film of the page."""

    place: int
    """1 to 16, row after row."""
    simulated: bool
    film: str
    """Image of the real data set, or patient and visit of the simulated one."""
    view: str


def real_films(folder: Path, rng: np.random.Generator) -> list[tuple[Image.Image, str, str]]:
    """A drawn CC BY film of each of EACH drawn patients, with its name and view."""
    table = pd.read_csv(folder / "images.csv")
    table = table[table.licence == LICENCE]
    patients = rng.choice(np.sort(table.patient_id.unique()), EACH, replace=False)
    films = []
    for patient in patients:
        rows = table[table.patient_id == patient]
        row = rows.iloc[int(rng.integers(len(rows)))]
        films.append((Image.open(folder / row.file).convert("L"), f"{row.image_id} ({row.licence})", str(row.view)))
    return films


def simulated_films(rng: np.random.Generator) -> list[tuple[Image.Image, str, str]]:
    """A drawn film of each of the first EACH patients of an evaluation seed."""
    films = []
    for index in range(EACH):
        studies = simulate_patient(SEED, index, pixels=512).studies
        visit = int(rng.integers(len(studies)))
        film = studies[visit].film
        if film is None:
            raise RuntimeError("simulate_patient made no film")
        grey = Image.fromarray(np.round(255 * film.pixels).astype(np.uint8))
        films.append((grey, f"seed {SEED}, patient {index}, visit {visit}", str(studies[visit].study.view)))
    return films


def central_square(film: Image.Image) -> Image.Image:
    """The middle of a film, SIDE by SIDE pixels."""
    short = min(film.size)
    left, top = (film.width - short) // 2, (film.height - short) // 2
    return film.crop((left, top, left + short, top + short)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def page(films: list[Image.Image]) -> Image.Image:
    """All films in rows of COLUMNS, each under its number."""
    rows = -(-len(films) // COLUMNS)
    sheet = Image.new("L", (COLUMNS * (SIDE + 4), rows * (SIDE + MARGIN)), 255)
    pen = ImageDraw.Draw(sheet)
    for index, film in enumerate(films):
        left, top = (index % COLUMNS) * (SIDE + 4), (index // COLUMNS) * (SIDE + MARGIN)
        pen.text((left + 4, top + 5), str(index + 1), fill=0)
        sheet.paste(central_square(film), (left, top + MARGIN))
    return sheet


def main() -> None:
    options = Command(__doc__, "real")
    options.add_argument("--seed", type=int, default=0, help="which films, and their order")
    options.add_argument("--out", type=Path, default=Path("docs/images/mixed_sheet.jpg"))
    options.result("--key", "mixed_sheet.json")
    chosen = options.parse_args()
    rng = np.random.default_rng(chosen.seed)
    films = [(*film, False) for film in real_films(chosen.real, rng)]
    films += [(*film, True) for film in simulated_films(rng)]
    films = [films[row] for row in rng.permutation(len(films))]
    page([film for film, *_ in films]).save(chosen.out, quality=82, optimize=True)
    key = [
        asdict(Entry(place, simulated, name, view)) for place, (_, name, view, simulated) in enumerate(films, start=1)
    ]
    write_json(chosen.key, {"seed": chosen.seed, "films": key, "provenance": provenance()})
    print(f"wrote {chosen.out} and {chosen.key}")


if __name__ == "__main__":
    main()
