"""A fake tree in the true layout of MIMIC-CXR-JPG, MIMIC-CXR and Medical-Diff-VQA, with the troubles of real ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from film_files import chest, save

from intervalchange.grammar import DIFFERENCE_QUESTION, render
from intervalchange.records import Change

AREA = "what has changed in the left lung area?"
ABNORMALITY = "what abnormalities are seen in this image?"
EFFUSION, EDEMA = "pleural effusion", "edema"
GAINED = render(Change.of(added=[EFFUSION]))
LOST = render(Change.of(missing=[EFFUSION]))

# study: subject, view in mimic_all, ViewPosition in the metadata, StudyDate, StudyTime, study_order, entities
STUDIES = {
    "69000001": ("29000001", "postero-anterior", "PA", "21800101", "80412.5", "1.0", {EDEMA: "mild"}),
    "68000002": ("29000001", "antero-posterior", "AP", "21800105", "235959.0", "2.0", {EDEMA: "severe", EFFUSION: ""}),
    "67000003": ("29000001", "", "PA", "21800105", "1.0", "2.0", {EDEMA: "mild"}),  # no view; same day, earlier
    "66000004": ("29000001", "other", "LATERAL", "21800301", "90000.0", "4.0", {}),  # lateral
    "65000005": ("29000002", "antero-posterior", "AP", "not a date", "", "1.0", {}),  # bad date
    "64000006": ("29000002", "antero-posterior", "AP", "21810101", "120000.0", "2.0", {EFFUSION: ""}),
    "63000007": ("29000003", "postero-anterior", "PA", "21820101", "120000.0", "1.0", {}),
    "62000008": ("29000003", "postero-anterior", "PA", "21820501", "120000.0", "2.0", {EFFUSION: ""}),  # film missing
    "61000009": ("29000003", "postero-anterior", "PA", "21820701", "120000.0", "3.0", {EFFUSION: ""}),
}
MISSING = "62000008"

ROWS = [
    # main later, as it should be; trailing space, ids with ".0"
    ("68000002.0", "29000001", "69000001.0", "difference", DIFFERENCE_QUESTION, GAINED + " ", "train"),
    # 1.0.0: main earlier, answer about study_id as main -> must be reversed
    ("67000003", "29000001", "68000002", "difference", DIFFERENCE_QUESTION, LOST, "train"),
    # the same pair the other way round: a duplicate
    ("68000002", "29000001", "67000003", "difference", DIFFERENCE_QUESTION, GAINED, "train"),
    # ids re-ordered without the answer: it is about ref_id as main
    ("64000006", "29000002", "65000005", "difference", DIFFERENCE_QUESTION, LOST, "val"),
    # nothing changed, main earlier
    ("67000003", "29000001", "68000002", "difference", AREA, "nothing has changed.", "train"),
    # lateral, unknown study, another patient, itself, unknown type
    ("66000004", "29000001", "69000001", "difference", DIFFERENCE_QUESTION, "nothing has changed.", "train"),
    ("60000000", "29000001", "69000001", "difference", DIFFERENCE_QUESTION, "nothing has changed.", "train"),
    ("64000006", "29000001", "69000001", "difference", DIFFERENCE_QUESTION, GAINED, "train"),
    ("64000006", "29000002", "64000006", "difference", DIFFERENCE_QUESTION, GAINED, "train"),
    ("64000006", "29000002", "65000005", "opinion", "well?", "well.", "train"),
    # single-image kinds; the film of the second is missing
    ("69000001", "29000001", "68000002", "abnormality", ABNORMALITY, "edema", "train"),
    ("62000008", "29000003", "63000007", "abnormality", ABNORMALITY, EFFUSION, "test"),
    ("63000007", "29000003", "62000008", "presence", "is there edema?", "no", "test"),
    ("63000007", "29000003", "62000008", "view", "which view is this image taken?", "PA view", "test"),
    ("68000002", "29000001", "69000001", "level", "what level is the edema?", "severe", "train"),
    ("68000002", "29000001", "69000001", "location", "where is the pleural effusion?", "left area", "train"),
    ("68000002", "29000001", "69000001", "type", "what type is the edema?", "interstitial", "train"),
    ("61000009", "29000003", "63000007", "difference", DIFFERENCE_QUESTION, GAINED, "test"),
    ("61000009", "29000003", "62000008", "difference", DIFFERENCE_QUESTION, "nothing has changed.", "test"),
]  # fmt: skip

PHYSIONET_ALL = "Atelectasis,Cardiomegaly"


def dicom_id(study: str) -> str:
    return f"{study}-aaaaaaaa-bbbbbbbb-cccccccc-dddddddd"


def film(study: str) -> str:
    subject = STUDIES[study][0]
    return f"files/p{subject[:2]}/p{subject}/s{study}/{dicom_id(study)}.jpg"


def write_tree(root: Path, split_column: bool = True, side: int = 64) -> Path:
    """Write the tree and return its root."""
    questions, images, reports = root / "medical-diff-vqa", root / "mimic-cxr-jpg", root / "mimic-cxr"
    for folder in (questions, images, reports):
        folder.mkdir(parents=True)
    columns = ["study_id", "subject_id", "ref_id", "question_type", "question", "answer"] + ["split"] * split_column
    lines = [",".join(columns)]
    for row in ROWS:
        cells = [f'"{cell}"' if "," in cell or cell.endswith(" ") else cell for cell in row[: len(columns)]]
        lines.append(",".join(cells))
    (questions / "mimic_pair_questions.csv").write_text("\n".join(lines) + "\n")
    table = [f"subject_id,study_id,{PHYSIONET_ALL},dicom_id,view,split,study_date,study_order"]
    metadata = [
        "dicom_id,subject_id,study_id,ViewPosition,Rows,Columns,StudyDate,StudyTime,ViewCodeSequence_CodeMeaning"
    ]
    keys = []
    for number, (study, (subject, view, position, date, time, order, entities)) in enumerate(STUDIES.items()):
        table.append(f"{subject},{study},1.0,,{dicom_id(study)},{view},train,{date},{order}")
        metadata.append(f"{dicom_id(study)},{subject},{study},{position},{side},{side - 8},{date},{time},")
        entity = {name: {"entity_name": name, "level": [level] if level else None} for name, level in entities.items()}
        keys.append({"study_id": study, "subject_id": subject, "entity": entity, "no_entity": ["pneumothorax"]})
        if study != MISSING:
            save(chest(side, side - 8, number), images / film(study), quality=95)
        report = reports / f"files/p{subject[:2]}/p{subject}/s{study}.txt"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(f" FINDINGS: \n \n Report of {study}.\n")
    (questions / "mimic_all.csv").write_text("\r\n".join(table) + "\r\n")
    (questions / "all_diseases.json").write_text("\ufeff" + json.dumps(keys))
    (images / "mimic-cxr-2.0.0-metadata.csv.gz").write_bytes(gzip.compress(("\n".join(metadata) + "\n").encode()))
    return root
