"""MS-CXR 1.1.0 on a simulated MIMIC tree: the tree of `mimic_diff_vqa` and, beside it,

    ms-cxr/MS_CXR_Local_Alignment_v1.1.0.csv    one row per box
    ms-cxr/MS_CXR_Local_Alignment_v1.1.0.json   the same as COCO, one `images` record per phrase

A phrase is the sentence of the report that names a visible finding; its boxes enclose the true mask, one for each
part of it that stands apart from left to right. The order of the columns is from memory. Quirks: boxes that reach
beyond the film.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from intervalchange.atomic_files import write_atomically
from intervalchange.findings import CHEXPERT_OF_FINDING
from intervalchange.simulation.layouts import Fragment, mimic_diff_vqa
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy
from intervalchange.simulation.reports import finding_sentences

NAME = "ms-cxr/MS_CXR_Local_Alignment_v1.1.0"
CATEGORIES = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema"),
    *("Lung Opacity", "Pleural Effusion", "Pneumonia", "Pneumothorax"),
)
COLUMNS = ["category_name", "label_text", "path", "image_width", "image_height", *"xywh", "dicom_id", "split"]
GAP = 0.03
"""Parts of a mask that are nearer to each other than this share of the film's width have one box."""

PixelBox = tuple[int, int, int, int]
"""x, y, width, height in pixels of the film."""


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the MIMIC tree of a patient; its fragment also holds the phrases."""
    fragment = mimic_diff_vqa.write_patient(patient, out, work, release, quirks)
    rng = patient.generator(1003)
    phrases = [phrase for study in patient.studies for phrase in _phrases(study, rng, quirks)]
    return {**fragment, "phrases": phrases}


def _phrases(study: SimulatedStudy, rng: np.random.Generator, quirks: bool) -> Iterator[dict[str, Any]]:
    if study.film is None:
        return
    height, width = study.film.pixels.shape
    # The report names the visible findings first, in this order.
    for finding, sentence in zip(study.account.attributes, finding_sentences(study.study.report), strict=False):
        category, mask = CHEXPERT_OF_FINDING.get(finding, ""), study.film.finding_masks.get(finding)
        if category not in CATEGORIES or mask is None or not mask.any():
            continue
        boxes = boxes_of(mask)
        if quirks and rng.random() < 0.05:
            x, y, _, h = boxes[-1]
            boxes[-1] = (x, y, width - x + 5, h) if x + boxes[-1][2] == width else boxes[-1]
        yield {
            "category_name": category,
            "label_text": sentence.rstrip("."),
            "path": study.study.image,
            "image_width": width,
            "image_height": height,
            "boxes": boxes,
            "dicom_id": study.dicom_id,
        }


def boxes_of(mask: np.ndarray) -> list[PixelBox]:
    """(h, w) bool with something in it -> the box of each part that stands apart from left to right."""
    columns = np.flatnonzero(mask.any(0))
    cuts = np.flatnonzero(np.diff(columns) > max(1, GAP * mask.shape[1])) + 1
    boxes = []
    for part in np.split(columns, cuts):
        left, right = int(part[0]), int(part[-1]) + 1
        rows = np.flatnonzero(mask[:, left:right].any(1))
        boxes.append((left, int(rows[0]), right - left, int(rows[-1]) + 1 - int(rows[0])))
    return boxes


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables of the MIMIC tree, then the phrases as CSV and as COCO."""
    mimic_diff_vqa.write_tables(fragments, out, work, splits, seed, quirks)
    phrases = [
        {**phrase, "split": split}
        for fragment, split in zip(fragments, splits, strict=True)
        for phrase in fragment["phrases"]
    ]
    rows = [{**phrase, **dict(zip("xywh", box, strict=True))} for phrase in phrases for box in phrase["boxes"]]
    table = pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, lineterminator="\n")
    write_atomically(out / f"{NAME}.csv", work, table.encode())
    write_atomically(out / f"{NAME}.json", work, json.dumps(_coco(phrases)).encode())


def _coco(phrases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The phrases in COCO form; one film with two phrases has two records."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, phrase in enumerate(phrases):
        size = {"width": phrase["image_width"], "height": phrase["image_height"]}
        images.append({"id": number, "file_name": f"{phrase['dicom_id']}.jpg", **size, "path": phrase["path"]})
        for box in phrase["boxes"]:
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": CATEGORIES.index(phrase["category_name"]),
                    "bbox": list(box),
                    "label_text": phrase["label_text"],
                    "split": phrase["split"],
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES)]
    return {
        "info": {"version": "1.1.0"},
        "licenses": [],
        "categories": categories,
        "images": images,
        "annotations": annotations,
    }
