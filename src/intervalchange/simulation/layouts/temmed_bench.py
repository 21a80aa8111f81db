"""TemMed-Bench on simulated films of CheXpert Plus:

    PNG/train/patient20000001/study1/view1_frontal.png
    df_chexpert_plus_240401.csv                      reports, by section
    Get_Data/TestSet_VQA_ReportGeneration.json       pairs of the test patients, with yes/no questions
    Get_Data/TestSet_SelectedVQA_2000.json           half of the questions
    Get_Data/TestSet_ImagePairSelection.json         which of three pairs fits a statement
    Get_Data/TrainSet_KnowledgeCorpus.json           pairs of the other patients

Reports are not in the JSON files, as in the published ones. Quirks: paths that end in jpg where the film is a PNG,
answers without a full stop, a report without an impression."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.courses import BETTER, NEW, RESOLVED, STABLE, WORSE, courses
from intervalchange.simulation.layouts.files import png_bytes
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

COLUMNS = (
    *(
        "path_to_image",
        "path_to_dcm",
        "frontal_lateral",
        "ap_pa",
        "deid_patient_id",
        "patient_report_date_order",
        "report",
    ),
    *("section_narrative", "section_clinical_history", "section_history", "section_comparison", "section_technique"),
    *("section_procedure_comments", "section_findings", "section_impression", "section_end_of_impression"),
    *("section_summary", "section_accession_number", "age", "sex", "race", "ethnicity", "interpreter_needed"),
    *("insurance_type", "recent_bmi", "deceased", "split"),
)
ASKS = {
    NEW: "Has new {} appeared since the last visit?",
    RESOLVED: "Has the {} resolved since the last visit?",
    WORSE: "Has the {} worsened since the last visit?",
    BETTER: "Has the {} improved since the last visit?",
    STABLE: "Has the {} remained stable since the last visit?",
}
OPTIONS = "ABC"


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the films of a patient; return its pairs and the rows of its reports."""
    rng = patient.generator(1009)
    paths, reports = [], []
    for number, study in enumerate(patient.studies, start=1):
        path = f"train/patient{patient.patient_id}/study{number}/view1_frontal"
        if study.film is not None:
            write_atomically(out / "PNG" / f"{path}.png", work, png_bytes(study.film.pixels))
        paths.append(path)
        reports.append(_report(f"{path}.jpg", number, study, quirks and rng.random() < 0.05))
    pairs = []
    for number, (prior, current) in enumerate(pairwise(patient.studies), start=1):
        ending = "jpg" if quirks and rng.random() < 0.5 else "png"
        pairs.append(
            {
                "image_path": f"{paths[number]}.{ending}",
                "historical_image_path": f"{paths[number - 1]}.{ending}",
                "reference_images": [],
                "VQA_Final": _questions(prior, current, rng, quirks),
            }
        )
    return {"pairs": pairs, "reports": reports}


def _report(path: str, number: int, study: SimulatedStudy, bare: bool) -> Fragment:
    """A row of the table of CheXpert Plus. bare: without an impression."""
    text = " ".join(study.study.report.split())
    return {
        "path_to_image": path,
        "frontal_lateral": "Frontal",
        "ap_pa": study.study.view,
        "deid_patient_id": path.split("/")[1],
        "patient_report_date_order": number,
        "report": text,
        "section_findings": text.partition("FINDINGS:")[2].partition("IMPRESSION:")[0].strip(),
        "section_impression": "" if bare else text.partition("IMPRESSION:")[2].strip(),
        "age": int(study.study.age),
        "sex": "Female" if study.study.sex == "F" else "Male",
        "split": "train",
    }


def _questions(
    prior: SimulatedStudy, current: SimulatedStudy, rng: np.random.Generator, quirks: bool
) -> list[Fragment]:
    """Yes/no: for each finding one that is true, or one that is not."""
    asked = []
    for finding, word in courses(prior, current).items():
        about = word if rng.random() < 0.5 else str(rng.choice([other for other in ASKS if other != word]))
        answer = "Yes" if about == word else "No"
        ending = "" if quirks and rng.random() < 0.3 else "."
        asked.append({"VQA_question": ASKS[about].format(finding), "VQA_answer": f"{answer}{ending}"})
    return asked


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the table of reports and the four files of the benchmark."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0, 10]))
    test: list[Fragment] = []
    train: list[Fragment] = []
    for fragment, split in zip(fragments, splits, strict=True):
        (test if split == "test" else train).extend(fragment["pairs"])
    train = [{name: value for name, value in pair.items() if name != "VQA_Final"} for pair in train]
    asked = [(row, number) for row, pair in enumerate(test) for number in range(len(pair["VQA_Final"]))]
    selected = [{"img_id": row, "question_id": number} for row, number in asked[::2]]
    files = {
        "TestSet_VQA_ReportGeneration": test,
        "TestSet_SelectedVQA_2000": selected,
        "TestSet_ImagePairSelection": _selections(len(test), rng),
        "TrainSet_KnowledgeCorpus": train,
    }
    for name, rows in files.items():
        write_atomically(out / "Get_Data" / f"{name}.json", work, json.dumps(rows, indent=1).encode())
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(row for fragment in fragments for row in fragment["reports"])
    write_atomically(out / "df_chexpert_plus_240401.csv", work, buffer.getvalue().encode())


def _selections(pairs: int, rng: np.random.Generator) -> list[Fragment]:
    """Three pairs by the number of their rows, and which of them fits."""
    if pairs < len(OPTIONS):
        return []
    rows = []
    for right in range(pairs):
        others = rng.choice([pair for pair in range(pairs) if pair != right], len(OPTIONS) - 1, replace=False)
        shown = [int(pair) for pair in rng.permutation([right, *others])]
        option = dict(zip(OPTIONS, shown, strict=True))
        rows.append({"option": option, "right_option": OPTIONS[shown.index(right)], "condition_change": "Changed."})
    return rows
