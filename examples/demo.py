"""The demo: answers on bundled real pairs and on simulated pairs with known references; writes demo/report.html.

python examples/demo.py --out demo
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console
from rich.table import Table

import intervalchange as ic
from intervalchange import grammar
from intervalchange.inference import Predictor, shown_answer
from intervalchange.policy import RESEARCH_USE
from intervalchange.report.answer import Entry, answer_page
from intervalchange.simulation.cohort import simulate_patient

SAMPLES = Path(ic.__file__).parent / "samples"
CREDITS = {
    "hannover": "COVID-19 Image Repository, Hannover Medical School, CC BY 3.0.",
    "nih": "ChestX-ray14, NIH Clinical Center (https://nihcc.app.box.com/v/ChestXray-NIHCC).",
}
SEED = 900_500
"""An evaluation seed: none of its patients was trained on."""


def real_entries(model: Predictor) -> list[Entry]:
    """The bundled real pairs. The reading by eye is shown, not scored."""
    entries = []
    for pair in pd.read_csv(SAMPLES / "pairs.csv", keep_default_na=False).itertuples():
        answered = model.answer_shown(SAMPLES / str(pair.prior), SAMPLES / str(pair.current))
        apart = f", {pair.days_between} days apart" if pair.days_between else ""
        labels = f" Labels mined from the reports: {pair.labels}." if pair.labels else ""
        note = (
            f"Real films, {pair.prior_view} then {pair.current_view}{apart}; "
            f"by eye (not a radiologist): {pair.seen_by_eye}.{labels} {CREDITS[str(pair.source)]}"
        )
        entries.append(Entry(f"Real pair, patient {pair.patient_id}", answered, note=note))
    return entries


def simulated_entries(model: Predictor, count: int, folder: Path) -> list[Entry]:
    """One consecutive pair of each of `count` simulated patients, saved and read back as a user's files would be."""
    entries = []
    for index in range(count):
        patient = simulate_patient(SEED, index, pixels=512)
        prior, current = patient.studies[-2:]
        paths = []
        for name, study in (("prior", prior), ("current", current)):
            if study.film is None:
                raise RuntimeError("the simulator gave no film")
            paths.append(folder / f"{index}-{name}.png")
            Image.fromarray((255 * study.film.pixels).astype(np.uint8)).save(paths[-1])
        truth = grammar.render(ic.Change.between(prior.study, current.study))
        views = f"{prior.study.view} then {current.study.view}"
        note = f"Simulated films, {views}: a check of the machinery, not of patients."
        entries.append(Entry(f"Simulated pair {index + 1}", model.answer_shown(*paths), truth, note))
    return entries


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("demo"))
    options.add_argument("--simulated", type=int, default=6, help="how many simulated pairs")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    console = Console()
    with console.status("loading the demo model"):
        model = ic.load("demo")
    with console.status("answering on the bundled real pairs"):
        entries = real_entries(model)
    with (
        console.status("simulating pairs (the renderer compiles once) and answering"),
        tempfile.TemporaryDirectory() as folder,
    ):
        entries += simulated_entries(model, chosen.simulated, Path(folder))
    table = Table("pair", "answer", "truth", title="What has changed compared to the reference image?", show_lines=True)
    for entry in entries:
        truth = entry.reference or f"not known ({entry.note.split(': ')[1].split('.')[0]} by eye)"
        prediction = entry.answered.prediction
        table.add_row(entry.title, shown_answer(prediction), truth)
    console.print(table)
    report = chosen.out / "report.html"
    report.write_text(answer_page(entries, "Interval change: the demo"), encoding="utf-8")
    console.print(f"[bold]{report}[/bold] shows the films, the changes with probabilities, and where. {RESEARCH_USE}")


if __name__ == "__main__":
    warnings.simplefilter("default")
    main()
