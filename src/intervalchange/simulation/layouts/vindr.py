"""Writes simulated PA films as VinDr-CXR 1.0.0 of PhysioNet.

    train/<image_id>.dicom, test/<image_id>.dicom    12 to 16 bit, MONOCHROME1 and 2
    annotations/image_labels_train.csv               0 or 1 of 28 labels, three rows per film
    annotations/annotations_train.csv                one row per box and reader
    annotations/image_labels_test.csv, annotations_test.csv    the same of the consensus, without reader

The val patients are among the train films, for the set has no val. AP films are left out, for it has none. A label that
VinDr does not have is replaced by the nearest of its own (`LABEL_OF_FINDING`). The boxes of two readers differ by less
than a pixel. Quirks: readers who miss a finding or see one that is not there, never two of the three on one label;
boxes without an area, and beyond the film; blank views, sex and age; ages of 000Y; headers that claim too many bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.dicom_files import dicom_bytes, uid
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.files import digest, films_with_split, move_films, write_lines
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

LOCAL = (
    *("Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation"),
    *("Edema", "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst"),
    *("Mediastinal shift", "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax"),
    *("Pulmonary fibrosis", "Rib fracture", "Other lesion"),
)
"""Labels that have boxes."""
OTHER = {"train": "Other diseases", "test": "Other disease"}
NO_FINDING = "No finding"
LABEL_OF_FINDING = MappingProxyType(
    {
        "pleural effusion": "Pleural effusion",
        "atelectasis": "Atelectasis",
        "cardiomegaly": "Cardiomegaly",
        "edema": "Edema",
        "hernia": "Other lesion",
        "pneumothorax": "Pneumothorax",
        "lung opacity": "Lung Opacity",
        "scoliosis": OTHER["train"],
        "gastric distention": OTHER["train"],
        "tortuosity of the thoracic aorta": "Aortic enlargement",
        "emphysema": "Emphysema",
        "granuloma": "Nodule/Mass",
        "consolidation": "Consolidation",
        "fracture": "Rib fracture",
    }
)
"""Finding of the simulated cohort -> label."""
MISTAKEN = ("Infiltration", "Pleural thickening", "Lung cyst")
"""What a reader may see that is not there."""
READERS = 17
Labelled = list[tuple[str, tuple[float, float, float, float]]]
"""Label and x1, y1, x2, y2."""


def columns(split: str) -> list[str]:
    """The 28 labels of a table of train or test, in its order."""
    return [*LOCAL, "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", OTHER[split], NO_FINDING]


def image_id(seed: int, index: int, visit: int) -> str:
    """32 hexadecimal digits that begin with noughts."""
    return "0" * 8 + digest(seed, index, visit, "vindr")[:24]


def labels_of(study: SimulatedStudy) -> list[str]:
    """What is true of a film, in the order of the tables; empty where it shows nothing."""
    labels = {LABEL_OF_FINDING[name] for name, value in study.study.findings.items() if value == 1}
    return [label for label in columns("train") if label in labels]


def boxes_of(study: SimulatedStudy) -> Labelled:
    """The boxes of the labels that have one."""
    regions = [region for region in study.study.regions if region.kind == "finding"]
    boxes = [(LABEL_OF_FINDING[region.name], region.box) for region in regions]
    return [(label, box) for label, box in boxes if label in LOCAL]


# --- one patient -----------------------------------------------------------------------------------------------


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the PA films of a patient; return what the readers say about them."""
    rng = patient.generator(1200)
    films = []
    for number, study in enumerate(patient.studies):
        if study.study.view != "PA" or study.film is None:
            continue
        image = image_id(patient.seed, patient.index, number)
        write_atomically(out / "train" / f"{image}.dicom", work, _dicom(image, study, study.film.pixels, rng, quirks))
        labels, boxes = labels_of(study), boxes_of(study)
        films.append(
            {"image": image, "labels": labels, "boxes": boxes, "readers": _readers(labels, boxes, rng, quirks)}
        )
    return {"films": films}


def _dicom(image: str, study: SimulatedStudy, pixels: np.ndarray, rng: np.random.Generator, quirks: bool) -> bytes:
    bits, inverted, blank = int(rng.choice([12, 14, 16])), rng.random() < 0.2, rng.random()
    elements: dict[str, object] = {}
    if quirks and blank < 0.3:
        elements |= {"PatientAge": "000Y" if blank < 0.15 else "", "PatientSex": "", "ViewPosition": ""}
    if quirks and not inverted and rng.random() < 0.1:
        # 8 bits of grey in a header that says more.
        pixels = pixels * (255 / ((1 << bits) - 1))
        elements |= {"WindowCenter": None, "WindowWidth": None}
    return dicom_bytes(
        pixels,
        patient_id=image,
        study_uid=uid(image, "study"),
        instance_uid=uid(image),
        view="PA",
        modality="DX" if rng.random() < 0.5 else "CR",
        bits=bits,
        inverted=inverted,
        sex=study.study.sex,
        age=study.study.age,
        elements=elements,
    )


def _readers(labels: Sequence[str], boxes: Labelled, rng: np.random.Generator, quirks: bool) -> list[Fragment]:
    """Three readers. With quirks each label may be missed by one of them, and one may see something of his own."""
    misses = {label: int(rng.integers(3)) for label in labels if quirks and rng.random() < 0.2}
    mistaken = int(rng.integers(3)) if quirks and rng.random() < 0.3 else -1
    readers = []
    for reader, name in enumerate(rng.choice(READERS, 3, replace=False)):
        own = [label for label in labels if misses.get(label) != reader]
        drawn = [(label, _moved(box, rng)) for label, box in boxes if label in own]
        if quirks and drawn and rng.random() < 0.1:
            label, (x1, y1, _, y2) = drawn[0]
            drawn.append((label, (x1, y1, x1, y2)))
        if reader == mistaken:
            own.append(str(rng.choice(MISTAKEN)))
            drawn.append((own[-1], (-3.0, 4.0, 12.0, 20.0)))
        readers.append({"name": f"R{name + 1}", "labels": own, "boxes": drawn})
    return readers


def _moved(box: tuple[float, ...], rng: np.random.Generator) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(edge + float(shift), 2) for edge, shift in zip(box, rng.uniform(-0.4, 0.4, 4), strict=True))
    return x1, y1, x2, y2


# --- all patients ----------------------------------------------------------------------------------------------


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables, and move the films of the test patients to their folder."""
    films = list(films_with_split(fragments, splits))
    train = [film for film, split in films if split != "test"]
    test = [film for film, split in films if split == "test"]
    move_films(out, {f"train/{film['image']}.dicom": f"test/{film['image']}.dicom" for film in test})
    read = [(f"{film['image']},{reader['name']}", reader) for film in train for reader in film["readers"]]
    agreed = [(film["image"], film) for film in test]
    corners = "class_name,x_min,y_min,x_max,y_max"
    for name, header, rows in (
        ("image_labels_train", "image_id,rad_id," + ",".join(columns("train")), _labels(read)),
        ("image_labels_test", "image_id," + ",".join(columns("test")), _labels(agreed)),
        ("annotations_train", f"image_id,rad_id,{corners}", _annotations(read)),
        ("annotations_test", f"image_id,{corners}", _annotations(agreed)),
    ):
        write_lines(out / "annotations" / f"{name}.csv", work, (header, *rows))


def _labels(opinions: Iterable[tuple[str, Fragment]]) -> list[str]:
    """One row per opinion: key, then 0 or 1 of each label. Both tables have their labels in the same places."""
    rows = []
    for key, opinion in opinions:
        labels = opinion["labels"] or [NO_FINDING]
        rows.append(",".join([key, *(str(int(label in labels)) for label in columns("train"))]))
    return rows


def _annotations(opinions: Iterable[tuple[str, Fragment]]) -> list[str]:
    """One row per box; an opinion without any finding has one row with an empty box."""
    rows = []
    for key, opinion in opinions:
        rows += [f"{key},{label},{','.join(map(str, box))}" for label, box in opinion["boxes"]]
        if not opinion["labels"]:
            rows.append(f"{key},{NO_FINDING},,,,")
    return rows
