"""Open-i, the Indiana University chest X-ray collection: reports with labels by people, one report per patient.

**Size.** 3,955 reports, 7,470 films; 3,851 reports have at least one film.
**Labels.** MeSH words given by curators who read the report (`MeSH/major`), mapped to findings by `openi_mesh`. A
report labelled `No Indexing` was not coded: nothing is known of it.
**Access.** Free, https://openi.nlm.nih.gov (NLMCXR_reports.tgz, NLMCXR_png.tgz). Every report file says
CC BY-NC-ND 4.0.
**Cite.** Demner-Fushman et al., JAMIA 2016;23(2):304-310, doi 10.1093/jamia/ocv080.
**Defects handled.** No field says which film is frontal: the projections of the Kaggle copy are used where they are at
hand, else the first film of a report is taken, counted, and may be lateral. Film ids with a third group of digits and
with a number more (`CXR1_1_IM-...`). Reports without films, without findings or impression. Files that cannot be read.
**Not handled.** De-identification replaced words by `XXXX`, among them every "new". There are no priors: no pairs.

ROOT holds `ecgen-radiology/*.xml` as NLM has it, or `openi_reports.csv` (one row per report), or Kaggle's
`indiana_reports.csv`; and beside it `NLMCXR_png/`, or the films themselves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from intervalchange.cells import plain_id
from intervalchange.data.readers import openi_mesh
from intervalchange.data.readers.cases import film_case
from intervalchange.data.readers.files import PROBED, marker, need_columns, plain_or_gzip, read_table
from intervalchange.data.readers.folders import data_folder, films_by_name
from intervalchange.data.readers.source import Source
from intervalchange.errors import SourceError
from intervalchange.records import Case, Study

WHERE = "Fetch NLMCXR_reports.tgz and NLMCXR_png.tgz from https://openi.nlm.nih.gov (free; CC BY-NC-ND 4.0)."
XML, TABLE, KAGGLE, PROJECTIONS = (
    "ecgen-radiology",
    "openi_reports.csv",
    "indiana_reports.csv",
    "indiana_projections.csv",
)
UNPACKED = "NLMCXR_reports"
SECTIONS = ("INDICATION", "COMPARISON", "FINDINGS", "IMPRESSION")
FOLDERS = ("NLMCXR_png", "images/images_normalized", "images_normalized", "images", ".")
NAMES = ("{id}.png", "{plain}.dcm.png", "{plain}.png", "{id}.jpg", "{id}.dcm", "{plain}.dcm")
PATTERNS = tuple(name if inner == "." else f"{inner}/{name}" for inner in FOLDERS for name in NAMES)
ENDINGS = (".png", ".jpg", ".jpeg", ".dcm")
LARGEST = 2**20
"""Bytes of one report; real ones have a few thousand."""
NOT_A_LABEL = frozenset({"normal", openi_mesh.NOT_CODED, "technical quality of image unsatisfactory"})


@dataclass(frozen=True, slots=True)
class Report:
    """One report as it stands in the collection."""

    report_id: str
    """`CXR` and a number; also the patient."""
    sections: Mapping[str, str]
    labels: tuple[str, ...]
    """MeSH labels by people."""
    images: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sections under their headings, empty ones left out."""
        return "\n\n".join(f"{name}: {self.sections[name]}" for name in SECTIONS if self.sections.get(name))


def read(root: Path, images: Path | None = None, tables_only: bool = False) -> Source:
    """Read the reports. images: the folder of the films, if not under ROOT."""
    notes: Counter[str] = Counter()
    if root.is_dir() and not any(root.glob("[!.]*.xml")):
        root = data_folder(root, (XML, UNPACKED, TABLE, KAGGLE), notes, WHERE)
    folder = root if root.is_dir() else root.parent
    all_reports = reports(root, notes)
    projections = _projections(folder, notes)
    paths = _paths(images, folder, [image for report in all_reports for image in report.images], tables_only)
    cases: list[Case] = []
    for report in all_reports:
        cases += _cases(report, projections, paths, notes)
    if not cases:
        raise SourceError("no report has a frontal film.", where=root, remedy=f"Noted: {dict(notes)}. {WHERE}")
    simulated = marker(folder / "SIMULATED")
    return Source("openi", "NLMCXR", images or folder, cases, dict(+notes), {}, simulated)


def _cases(
    report: Report, projections: Mapping[str, str], paths: Mapping[str, str], notes: Counter[str]
) -> Iterable[Case]:
    """One case for each frontal film of a report."""
    if not report.images:
        notes["reports without a film (left out)"] += 1
        return
    coded = openi_mesh.is_coded(report.labels)
    if not coded:
        notes["reports that were not coded (their findings are unknown)"] += 1
    for image in _frontal(report.images, projections, notes):
        study = Study(image, paths[image], report=report.text, findings=labels_of(report.labels))
        normal = coded and any(label.strip().lower() == "normal" for label in report.labels)
        yield film_case(study, report.report_id, normal=normal)


def labels_of(labels: Sequence[str]) -> dict[str, float]:
    """The findings that MeSH can name, 1 or 0, and every other heading in lower case as present; {} if not coded."""
    if not openi_mesh.is_coded(labels):
        return {}
    named = openi_mesh.findings_of(labels)
    findings = {finding: float(finding in named) for finding in sorted(openi_mesh.MAPPED)}
    findings["no finding"] = float(any(label.strip().lower() == "normal" for label in labels))
    for label in labels:
        heading = label.split("/")[0].strip().lower()
        if heading and heading not in NOT_A_LABEL and not openi_mesh.findings_of([label]):
            findings.setdefault(heading, 1.0)
    return findings


def _frontal(images: Sequence[str], projections: Mapping[str, str], notes: Counter[str]) -> list[str]:
    """The frontal films; the first of the report where it is not known which they are."""
    known = [image for image in images if _plain(image) in projections]
    if not known:
        notes["films whose view nobody says (the first of a report, which may be lateral)"] += 1
        notes["films after the first of a report (left out)"] += len(images) - 1
        return [images[0]]
    frontal = [image for image in known if projections[_plain(image)] == "frontal"]
    notes["lateral films, or of unknown view (left out)"] += len(images) - len(frontal)
    return frontal


def _plain(image: str) -> str:
    """`CXR1_1_IM-0001-3001` is `1_IM-0001-3001` elsewhere, `CXR2_IM-0652-1001` is `2_IM-0652-1001`."""
    image = image.removesuffix(".png").removesuffix(".dcm")
    return re.sub(r"^(?:CXR)?(\d+)(?:_\d+)?_IM", r"\1_IM", image)


# --- films --------------------------------------------------------------------------------------------------------


def file_name(pattern: str, image: str) -> str:
    """Path of a film under the image root."""
    return pattern.format(id=image, plain=_plain(image))


def _paths(images: Path | None, folder: Path, ids: Sequence[str], tables_only: bool) -> dict[str, str]:
    """Film -> its path under the image root: as the collection names it, else wherever below a film of its name is."""
    root = images or folder
    pattern = _pattern(root, ids)
    paths = {image: file_name(pattern or (PATTERNS[0] if images is None else NAMES[0]), image) for image in ids}
    if tables_only or not ids or all((root / path).is_file() for path in paths.values()):
        return paths
    below = films_by_name(root, ENDINGS)
    elsewhere = {
        image: below[stem][0]
        for image in ids
        for stem in (f"{_plain(image)}.dcm", _plain(image), image)
        if stem in below and not (root / paths[image]).is_file()
    }
    if not pattern and not elsewhere:
        raise SourceError("none of the films that the reports name is here.", where=root, remedy=WHERE)
    return paths | elsewhere


def _pattern(root: Path, ids: Sequence[str]) -> str:
    """How the films are named under the image root, by the first that are found; empty where none is."""
    step = max(1, len(ids) // PROBED)
    for pattern in PATTERNS:
        if any((root / file_name(pattern, image)).is_file() for image in ids[::step]):
            return pattern
    return ""


def _projections(folder: Path, notes: Counter[str]) -> dict[str, str]:
    """Film -> "frontal" or "lateral", where the Kaggle copy's table is at hand."""
    path = plain_or_gzip(folder, PROJECTIONS)
    if path is None:
        return {}
    table = read_table(path, WHERE)
    need_columns(table, ("filename", "projection"), path, WHERE)
    views = {}
    for name, projection in zip(table["filename"], table["projection"], strict=True):
        if projection.strip().lower() in ("frontal", "lateral"):
            views[_plain(name.strip())] = projection.strip().lower()
        else:
            notes["projections that are neither frontal nor lateral"] += 1
    return views


# --- reports ------------------------------------------------------------------------------------------------------


def reports(root: Path, notes: Counter[str] | None = None) -> list[Report]:
    """The reports of any of the three forms, by number. notes: where troubles are counted.

    Raises SourceError where there is none.
    """
    notes = Counter() if notes is None else notes
    if root.is_file():
        found = _from_kaggle(root) if root.name.startswith("indiana") else _from_table(root)
    else:
        xml = next((p for p in (root / XML, root / UNPACKED / XML, root) if any(p.glob("[!.]*.xml"))), None)
        table, kaggle = plain_or_gzip(root, TABLE), plain_or_gzip(root, KAGGLE)
        if xml is not None:
            found = _from_xml(xml, notes)
        elif table is not None:
            found = _from_table(table)
        elif kaggle is not None:
            found = _from_kaggle(kaggle)
        else:
            raise SourceError(f"neither {XML}/*.xml nor {TABLE} nor {KAGGLE} is here.", where=root, remedy=WHERE)
    usable: dict[str, Report] = {}
    for report in found:
        if not re.fullmatch(r"CXR\d+", report.report_id) or report.report_id in usable:
            notes["reports without a number, or with one already seen (skipped)"] += 1
            continue
        usable[report.report_id] = report
    if not usable:
        raise SourceError("no report could be read.", where=root, remedy=f"Noted: {dict(notes)}. {WHERE}")
    return sorted(usable.values(), key=lambda report: int(report.report_id[3:]))


def _from_xml(folder: Path, notes: Counter[str]) -> list[Report]:
    found = []
    for path in sorted(folder.glob("[!.]*.xml")):
        try:
            data = path.read_bytes()
            if len(data) > LARGEST or b"<!ENTITY" in data:
                raise ValueError("not a report")
            found.append(_of_tree(ElementTree.fromstring(data)))
        except (OSError, ValueError, LookupError, ElementTree.ParseError):  # LookupError: an encoding nobody knows
            notes["report files that cannot be read (skipped)"] += 1
    return found


def _of_tree(tree: ElementTree.Element) -> Report:
    """One `eCitation`."""
    number = tree.find("uId")
    sections = {
        part.get("Label", "").strip().upper(): " ".join("".join(part.itertext()).split())
        for part in tree.iterfind("MedlineCitation/Article/Abstract/AbstractText")
    }
    labels = tuple((label.text or "").strip() for label in tree.iterfind("MeSH/major") if (label.text or "").strip())
    images = tuple(image.get("id", "").strip() for image in tree.iterfind("parentImage") if image.get("id"))
    return Report("" if number is None else number.get("id", "").strip(), sections, labels, images)


def _from_table(path: Path) -> list[Report]:
    """One row per report: report_id, the four sections in lower case, mesh_major and image_ids joined by `|`."""
    table = read_table(path, WHERE)
    need_columns(table, ("report_id", "findings", "impression", "mesh_major", "image_ids"), path, WHERE)
    return [
        Report(
            row["report_id"].strip(),
            {name: str(row.get(name.lower(), "")).strip() for name in SECTIONS},
            _split(row["mesh_major"], "|"),
            _split(row["image_ids"], "|"),
        )
        for row in table.to_dict("records")
    ]


def _from_kaggle(path: Path) -> list[Report]:
    """uid, MeSH joined by `;`, the four sections; the films are those of the table of projections."""
    table = read_table(path, WHERE)
    need_columns(table, ("uid", "MeSH", "findings", "impression"), path, WHERE)
    films: dict[str, list[str]] = {}
    projections = plain_or_gzip(path.parent, PROJECTIONS)
    if projections is not None:
        names = read_table(projections, WHERE)
        need_columns(names, ("uid", "filename"), projections, WHERE)
        for number, name in zip(names["uid"], names["filename"], strict=True):
            films.setdefault(plain_id(number), []).append(f"CXR{_plain(name.strip())}")
    return [
        Report(
            f"CXR{plain_id(row['uid'])}",
            {name: str(row.get(name.lower(), "")).strip() for name in SECTIONS},
            _split(row["MeSH"], ";"),
            tuple(films.get(plain_id(row["uid"]), ())),
        )
        for row in table.to_dict("records")
    ]


def _split(text: str, mark: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(mark) if part.strip())
