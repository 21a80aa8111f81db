"""Chest ImaGenome 1.0.0 beside a simulated MIMIC tree: a scene graph for each frontal film, and the split lists.

    chest-imagenome/silver_dataset/scene_graph/<dicom>_SceneGraph.json
    chest-imagenome/silver_dataset/splits/{train,valid,test,images_to_avoid}.csv
    chest-imagenome/semantics/*_v1.txt

Not a layout of its own: `mimic_diff_vqa` calls it. Boxes are the true ones, through the small square and back as in
the real files. Attributes come from what the report says, relations from the true change since the study before. No
region but the 36 has a box, and the simulation knows 26 of them. UMLS ids are blank (C0000000).

Quirks: boxes beyond the film's edge, a few without area, a label denied before it is affirmed, relations with two
words, one graph in a hundred missing, and gold patients that the lists put into training.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from intervalchange.atomic_files import write_atomically
from intervalchange.data.extraction.account import Attributes
from intervalchange.simulation.layouts.imagenome_words import (
    BOX_REGIONS,
    LABEL_AND_REGIONS,
    LABELS,
    TEXT_REGIONS,
    WITHOUT_TEXT,
)
from intervalchange.simulation.layouts.mimic_cxr import film_path
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy
from intervalchange.simulation.reports import direction, finding_sentences

FOLDER = "chest-imagenome"
NO_ID = "C0000000"
GOLD_SHARE = 0.008
"""Share of the patients in the gold set, as in the real one."""
MISSING_SHARE = 0.01

_ZONES = {"upper": "upper", "middle": "mid", "lower": "lower"}
_SEVERITY = {"minimal": "mild", "small": "mild", "mild": "mild", "moderate": "moderate", "severe": "severe"}
_TEXTURES = ("interstitial", "calcified")
_DEVICES = {
    "endotracheal tube": ("tubesandlines|yes|endotracheal tube", "trachea"),
    "pacemaker": ("device|yes|cardiac pacer and wires", "cardiac silhouette"),
}
_WORDS = {1: "worsened", 0: "no change", -1: "improved"}
_PREDICATES = {"worsened": "['Worsened']", "no change": "['No status change']", "improved": "['Improved']"}

SMALL = 224
"""Side of the square frame in which the boxes were found."""


@dataclass(frozen=True)
class SmallFrame:
    """How a film was brought into the small square: its longer side fills it, the shorter one is centred."""

    ratio: float
    left: int
    top: int

    @classmethod
    def of(cls, height: int, width: int) -> SmallFrame:
        """The frame of a film of this size in pixels."""
        ratio = SMALL / max(height, width)
        return cls(ratio, (SMALL - int(width * ratio)) // 2, (SMALL - int(height * ratio)) // 2)

    def original(self, x: float, y: float) -> tuple[int, int]:
        """A point of the small square in pixels of the film."""
        return int((x - self.left) / self.ratio), int((y - self.top) / self.ratio)

    def small(self, x: float, y: float) -> tuple[int, int]:
        """The whole point of the small square that comes back nearest to a point of the film."""
        column, row = x * self.ratio + self.left, y * self.ratio + self.top
        return (
            min((math.floor(column), math.ceil(column)), key=lambda column: abs(self.original(column, 0)[0] - x)),
            min((math.floor(row), math.ceil(row)), key=lambda row: abs(self.original(0, row)[1] - y)),
        )


@dataclass(frozen=True)
class _Mention:
    """One sentence about one region."""

    region: str
    sentence: int
    phrase: str
    attributes: tuple[str, ...]
    comparison: str = ""
    severity: str = ""
    texture: str = ""


# --- one patient -----------------------------------------------------------------------------------------------------


def write_patient(patient: SimulatedPatient, out: Path, work: Path, quirks: bool) -> None:
    """Write the scene graph of every film of a patient."""
    rng = patient.generator(1002)
    for number, study in enumerate(patient.studies):
        if study.film is None:
            continue
        prior = patient.studies[number - 1] if number else None
        graph = _graph(patient, number, study, prior, rng, quirks)
        if quirks and rng.random() < MISSING_SHARE:
            continue
        path = out / FOLDER / "silver_dataset" / "scene_graph" / f"{study.dicom_id}_SceneGraph.json"
        write_atomically(path, work, json.dumps(graph).encode())


def _graph(
    patient: SimulatedPatient,
    number: int,
    study: SimulatedStudy,
    prior: SimulatedStudy | None,
    rng: np.random.Generator,
    quirks: bool,
) -> dict[str, Any]:
    record = study.study
    mentions = list(_mentions(study, prior))
    decade = int(record.age // 10 * 10)
    attributes = _attributes(study, [*(_denied_first(mentions, rng) if quirks else ()), *mentions])
    return {
        "image_id": study.dicom_id,
        "viewpoint": record.view,
        "patient_id": int(patient.patient_id),
        "study_id": int(record.study_id),
        "gender": record.sex,
        "age_decile": f"{decade}-{decade + 10}",
        "reason_for_exam": f"___{record.sex} with simulated {patient.reason}.",
        "StudyOrder": number + 1,
        "StudyDateTime": study.acquired.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "objects": list(_objects(study, rng, quirks)),
        "attributes": attributes,
        "relationships": [] if prior is None else _relationships(study, prior, mentions, rng, quirks),
    }


def _objects(study: SimulatedStudy, rng: np.random.Generator, quirks: bool) -> Iterator[dict[str, Any]]:
    """The boxes in the order of the real files, whole pixels in both frames."""
    height, width = study.film.pixels.shape if study.film is not None else (0, 0)
    frame = SmallFrame.of(height, width)
    beyond = max(3, math.ceil(2 * frame.ratio))
    boxes = {region.name: region.box for region in study.study.regions if region.kind == "anatomy"}
    for name in BOX_REGIONS:
        if name not in boxes:
            continue
        (x1, y1), (x2, y2) = frame.small(*boxes[name][:2]), frame.small(*boxes[name][2:])
        x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
        if quirks:
            x1 = x1 - beyond if x1 == frame.left and rng.random() < 0.2 else x1
            y2 = y2 + beyond if y2 == SMALL - frame.top and rng.random() < 0.2 else y2
            x2 = x1 if rng.random() < 0.005 else x2
        small = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "width": x2 - x1, "height": y2 - y1}
        (a, b), (c, d) = frame.original(x1, y1), frame.original(x2, y2)
        original = {"x1": a, "y1": b, "x2": c, "y2": d, "width": c - a, "height": d - b}
        yield {
            "object_id": f"{study.dicom_id}_{name}",
            **small,
            "bbox_name": name,
            "synsets": [NO_ID],
            "name": BOX_REGIONS[name],
            **{f"original_{key}": value for key, value in original.items()},
        }


def _regions(finding: str, attributes: Attributes | None) -> list[str]:
    """Where a finding is; on both sides where no side is said."""
    words = [*attributes.locations, *attributes.post_location.split()] if attributes is not None else []
    sides = [side for side in ("right", "left") if side in words] or ["right", "left"]
    zone = next((_ZONES[word] for word in words if word in _ZONES), "")
    forms = [form for form in LABEL_AND_REGIONS[finding][1] if zone or "{zone}" not in form]
    return list(dict.fromkeys(form.format(side=side, zone=zone) for form in forms for side in sides))


def _mentions(study: SimulatedStudy, prior: SimulatedStudy | None) -> Iterator[_Mention]:
    """What each sentence of the report says about each region.

    A report names its findings first, then what has resolved, then what it denies: the order of `reports.write`.
    """
    account, earlier = study.account, prior.account if prior is not None else None
    sentences = finding_sentences(study.study.report)
    resolved = [] if earlier is None else [name for name in earlier.attributes if name not in account.attributes]
    for number, finding in enumerate([*account.attributes, *resolved]):
        if finding not in LABEL_AND_REGIONS:
            continue
        now = account.attributes.get(finding)
        before = earlier.attributes.get(finding) if earlier is not None else None
        word = ""
        if earlier is not None:
            both = now is not None and before is not None
            word = _WORDS[direction(finding, earlier, account) if both else int(now is not None) - int(now is None)]
        label = LABEL_AND_REGIONS[finding][0].format("yes" if now is not None else "no")
        for region in _regions(finding, now if now is not None else before):
            yield _Mention(
                region,
                number,
                sentences[number],
                (label, f"nlp|yes|{'abnormal' if now is not None else 'normal'}"),
                word,
                _SEVERITY.get(now.level, "") if now is not None else "",
                next((kind for kind in now.types if kind in _TEXTURES), "") if now is not None else "",
            )
    yield from _further(study, sentences)


def _further(study: SimulatedStudy, sentences: Sequence[str]) -> Iterator[_Mention]:
    """Sentences that deny findings or name devices."""
    for number, phrase in enumerate(sentences):
        if phrase.startswith("No "):
            for finding in study.account.denied:
                for region in _regions(finding, None):
                    yield _Mention(
                        region, number, phrase, (LABEL_AND_REGIONS[finding][0].format("no"), "nlp|yes|normal")
                    )
        for device in study.study.devices:
            if device in _DEVICES and device in phrase.lower():
                label, region = _DEVICES[device]
                yield _Mention(region, number, phrase, (label,))


def _denied_first(mentions: Sequence[_Mention], rng: np.random.Generator) -> Iterator[_Mention]:
    """A quirk: now and then a label is denied in an earlier sentence than the one that counts."""
    for mention in mentions:
        if "|yes|" in mention.attributes[0] and rng.random() < 0.02:
            denied = mention.attributes[0].replace("|yes|", "|no|")
            yield _Mention(mention.region, mention.sentence, mention.phrase, (denied, "nlp|yes|normal"))


def _attributes(study: SimulatedStudy, mentions: Sequence[_Mention]) -> list[dict[str, Any]]:
    """One entry per region, its lists aligned by sentence."""

    def cues(category: str, words: Sequence[str]) -> list[list[str]]:
        return [[f"{category}|yes|{word}"] if word else [] for word in words]

    entries = []
    for region in dict.fromkeys(mention.region for mention in mentions):
        own = [mention for mention in mentions if mention.region == region]
        entries.append(
            {
                region: True,
                "bbox_name": region,
                "synsets": [NO_ID],
                "name": BOX_REGIONS.get(region, region.capitalize()),
                "attributes": [list(mention.attributes) for mention in own],
                "attributes_ids": [[NO_ID] * len(mention.attributes) for mention in own],
                "phrases": [mention.phrase for mention in own],
                "phrase_IDs": [f"{study.study.study_id}|{mention.sentence}" for mention in own],
                "sections": ["finalreport"] * len(own),
                "comparison_cues": cues("comparison", [mention.comparison for mention in own]),
                "temporal_cues": [[] for _ in own],
                "severity_cues": cues("severity", [mention.severity for mention in own]),
                "texture_cues": cues("texture", [mention.texture for mention in own]),
                "object_id": f"{study.dicom_id}_{region}",
            }
        )
    return entries


def _relationships(
    study: SimulatedStudy, prior: SimulatedStudy, mentions: Sequence[_Mention], rng: np.random.Generator, quirks: bool
) -> list[dict[str, Any]]:
    """Every sentence that compares, for each of its regions."""
    pair = f"{study.dicom_id[:8]}_{prior.dicom_id[:8]}"
    relationships = []
    for mention in mentions:
        if not mention.comparison:
            continue
        words = [mention.comparison]
        if quirks and rng.random() < 0.02:
            words.append("improved" if mention.comparison != "improved" else "worsened")
        sentence = f"{study.study.study_id}|{mention.sentence}"
        relationships.append(
            {
                "relationship_id": f"{sentence}_{prior.study.study_id}_{NO_ID}_{pair}",
                "predicate": _PREDICATES[mention.comparison],
                "synsets": [NO_ID],
                "relationship_names": [f"comparison|yes|{word}" for word in words],
                "relationship_contexts": [1.0] * len(words),
                "phrase": mention.phrase,
                "attributes": list(mention.attributes),
                "bbox_name": mention.region,
                "subject_id": f"{study.dicom_id}_{mention.region}",
                "object_id": f"{prior.dicom_id}_{mention.region}",
            }
        )
    return relationships


# --- all patients ----------------------------------------------------------------------------------------------------

_COLUMNS = ["subject_id", "study_id", "dicom_id", "path", "ViewPosition"]


def write_tables(
    fragments: Sequence[Mapping[str, Any]], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the split lists and the lists of words, from the fragments of the layout `mimic_diff_vqa`."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0, 3]))
    candidates = [index for index, split in enumerate(splits) if quirks or split == "test"]
    count = min(len(candidates), max(1, round(GOLD_SHARE * len(splits))))
    gold = {candidates[int(row)] for row in rng.choice(len(candidates), count, replace=False)} if candidates else set()
    folder = out / FOLDER / "silver_dataset" / "splits"
    for name, split in (("train", "train"), ("valid", "val"), ("test", "test")):
        own = [fragment for fragment, of_patient in zip(fragments, splits, strict=True) if of_patient == split]
        rows = [row for fragment in own for row in _rows(fragment)]
        text = pd.DataFrame(rows, columns=_COLUMNS).to_csv(lineterminator="\n")
        write_atomically(folder / f"{name}.csv", work, text.encode())
    rows = [row for index, fragment in enumerate(fragments) if index in gold for row in _rows(fragment)]
    text = pd.DataFrame(rows, columns=_COLUMNS).to_csv(index=False, lineterminator="\n")
    write_atomically(folder / "images_to_avoid.csv", work, text.encode())
    for name, lines in _words().items():
        write_atomically(out / FOLDER / "semantics" / f"{name}_v1.txt", work, ",\n".join(lines).encode())


def _rows(fragment: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    subject = fragment["subject_id"]
    for study in fragment["studies"]:
        path = film_path(subject, study["study_id"], study["dicom_id"]).removesuffix("jpg") + "dcm"
        yield subject, study["study_id"], study["dicom_id"], path, study["images"][0]["ViewPosition"]


def _words() -> dict[str, list[str]]:
    """List -> its lines."""
    relations = [f"{category}|yes|{label}" for category, labels in LABELS.items() for label in labels.split(",")]
    with_text = [name for name in BOX_REGIONS if name not in WITHOUT_TEXT]
    return {
        "attribute_relations": relations,
        "comparison_relations": [f"comparison|yes|{word}" for word in ("no change", "improved", "worsened")],
        "objects_detectable_by_bbox_pipeline": list(BOX_REGIONS),
        "objects_extracted_from_reports": [*with_text, *TEXT_REGIONS],
    }
