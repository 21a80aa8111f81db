"""Writes simulated patients as Open-i has its reports: one XML file and one frontal film per patient, no priors.

    ecgen-radiology/<n>.xml     the last report of a patient, with MeSH labels made from what is visible
    NLMCXR_png/<id>.png         its film

Numbers are the eight digits of a simulated subject; real ones have at most four. Quirks: the reports name a lateral
film too, which is not on disk; words are hidden as `XXXX`, among them every "new"; a few reports are not coded, name no
film, or have no findings section.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from intervalchange.atomic_files import write_atomically
from intervalchange.data.extraction.account import Attributes
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.mimic_cxr import equalise
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy
from intervalchange.simulation.reports import sections

XML, PNG = "ecgen-radiology", "NLMCXR_png"
CAPTION = "Xray Chest PA and Lateral"
LICENCE = "http://creativecommons.org/licenses/by-nc-nd/4.0/"
HIDDEN_SHARE = 0.02
"""Share of words that de-identification hides, besides every "new"."""
MESH = {
    "pleural effusion": "Pleural Effusion",
    "atelectasis": "Pulmonary Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "edema": "Pulmonary Edema",
    "hernia": "Hernia, Hiatal",
    "pneumothorax": "Pneumothorax",
    "lung opacity": "Opacity/lung",
    "scoliosis": "Scoliosis",
    "gastric distention": "Stomach/distended",
    "tortuosity of the thoracic aorta": "Aorta, Thoracic/tortuous",
    "emphysema": "Pulmonary Emphysema",
    "granuloma": "Granuloma/lung",
    "consolidation": "Consolidation/lung",
    "fracture": "Fractures, Bone/ribs",
}
"""Visible finding -> heading. Open-i has none for gastric distention; that of the stomach stands for it."""
_ZONES = {"upper": "upper lobe", "middle": "middle lobe", "lower": "lower lobe", "basilar": "base", "base": "base"}
_ZONES |= {"apical": "apex"}


def report_id(patient_id: str) -> str:
    """`uId` of a patient."""
    return f"CXR{patient_id}"


def image_id(patient_id: str, view: str = "frontal") -> str:
    """Open-i's name of a film."""
    return f"CXR{patient_id}_IM-{int(patient_id) % 10_000:04d}-{'1001' if view == 'frontal' else '2001'}"


def label(finding: str, attributes: Attributes) -> str:
    """`Pleural Effusion/left/small`: heading, zone, side, grade."""
    words = (*attributes.locations, *attributes.post_location.split())
    zones = [_ZONES[word] for word in words if word in _ZONES]
    sides = [word for word in ("bilateral", "right", "left") if word in words]
    if "bibasilar" in words:
        zones, sides = ["base"], ["bilateral"]
    grade = [attributes.level] if attributes.level in ("mild", "moderate", "severe", "small", "large") else []
    return "/".join([MESH[finding], *zones, *sides, *grade])


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the last report of a patient and its film."""
    rng = patient.generator(1200)
    study = patient.studies[-1]
    uncoded, filmless, brief = (bool(quirks and rng.random() < share) for share in (0.03, 0.02, 0.1))
    texts = sections(study.study.report)
    headings = ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION")
    shown = {heading: _plain(texts.get(heading, ""), rng, quirks) for heading in headings}
    if brief:
        shown["FINDINGS"] = ""
    labels = [label(name, attributes) for name, attributes in study.account.attributes.items()] or ["normal"]
    films = [] if filmless else [image_id(patient.patient_id)]
    films += [image_id(patient.patient_id, "lateral")] if quirks and films and study.study.view == "PA" else []
    tree = _tree(patient.patient_id, shown, ["No Indexing"] if uncoded else labels, study, films)
    content = ElementTree.tostring(tree, encoding="utf-8", xml_declaration=True)
    write_atomically(out / XML / f"{patient.patient_id}.xml", work, content + b"\n")
    if study.film is not None and films:
        png = io.BytesIO()
        Image.fromarray(equalise(study.film.pixels)).save(png, "PNG")
        write_atomically(out / PNG / f"{films[0]}.png", work, png.getvalue())
    return {"report": report_id(patient.patient_id)}


def _plain(text: str, rng: np.random.Generator, quirks: bool) -> str:
    """A section in one line, hidden words as Open-i hides them."""
    words = re.sub(r"_{3,}", "XXXX", " ".join(text.split())).split(" ")
    if quirks:
        shown = (("XXXX" if rng.random() < HIDDEN_SHARE and word.isalpha() else word) for word in words)
        words = [re.sub(r"(?i)\bnew\b", "XXXX", word) for word in shown]
    return " ".join(words)


def _tree(
    number: str, texts: dict[str, str], labels: Sequence[str], study: SimulatedStudy, films: Sequence[str]
) -> ElementTree.Element:
    """One `eCitation`, its elements in the order of the real files."""
    root = ElementTree.Element("eCitation")

    def add(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> ElementTree.Element:
        element = ElementTree.SubElement(parent, name, attributes)
        element.text = text or None
        return element

    add(root, "meta", type="rr")
    add(root, "uId", id=report_id(number))
    add(root, "pmcId", id=number)
    add(root, "docSource", "CXR")
    add(root, "IUXRId", id=number)
    for name, text in (("licenseType", "open-access"), ("licenseURL", LICENCE), ("ccLicense", "byncnd")):
        add(root, name, text)
    for name, text in (
        *(("articleURL", ""), ("articleDate", f"{study.acquired:%Y-%m-%d}"), ("articleType", "XR")),
        *(("publisher", "simulated"), ("title", "Simulated chest X-ray"), ("note", "No real patient.")),
        *(("specialty", "pulmonary diseases"), ("subset", "CXR")),
    ):
        add(root, name, text)
    article = add(add(root, "MedlineCitation", Owner="simulated", Status="supplied"), "Article", PubModel="Electronic")
    add(add(article, "Journal"), "JournalIssue")
    add(article, "ArticleTitle", "Simulated chest X-ray")
    abstract = add(article, "Abstract")
    for name, text in texts.items():
        add(abstract, "AbstractText", text, Label=name)
    mesh = add(root, "MeSH")
    for label in labels:
        add(mesh, "major", label)
    for name in study.account.attributes if labels != ["No Indexing"] else ():
        add(mesh, "automatic", name)
    for figure, film in enumerate(films, start=1):
        parent = add(root, "parentImage", id=film)
        add(parent, "figureId", f"F{figure}")
        add(parent, "caption", CAPTION)
        add(add(parent, "panel", type="single"), "url", f"/simulated/{film}.jpg")
    return root


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Open-i has no tables and no splits: every report is a file of its own."""
