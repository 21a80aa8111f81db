"""MS-CXR 0.1, 1.0.0 and 1.1.0: phrases of reports and the boxes that radiologists drew for them, on MIMIC-CXR-JPG.

**Size.** 1,162 pairs of a film and a phrase, of 8 findings; 1.1.0 has 1,448 boxes, 1,047 films, 851 patients.
**Labels.** A phrase with its finding and one or more boxes. Only what is there is annotated: every finding that is not
named is unknown, not absent.
**Access.** PhysioNet, credentialed; annotations only, the films are those of MIMIC-CXR-JPG. doi 10.13026/b90j-vb87.
**Cite.** Boecking et al., ECCV 2022.
**Defects handled.** One row a box (grouped by film, finding and phrase); records of one film that repeat in the JSON;
x, y, width, height rather than corners; boxes beyond the film or without area; a table without `split` (before 1.1.0).
**Not handled.** Its patients lie 579 / 86 / 165 in the train / valid / test lists of Chest ImaGenome, and in the other
data sets on MIMIC-CXR: keep them out of the training of whatever is tested here.

ROOT holds `ms-cxr/` with `MS_CXR_Local_Alignment_v*.csv` or `.json` (the CSV is taken where both are there) and
`mimic-cxr-jpg/`. Without `split`, everything is test: the set is made to test with.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from intervalchange.data.readers import mimic_files, mimic_studies
from intervalchange.data.readers.files import need_columns, newest_table, number, read_table
from intervalchange.data.readers.folders import family_root
from intervalchange.data.readers.source import Frame, Source, frames_of_copies
from intervalchange.errors import SourceError
from intervalchange.records import Box, Region, Study

WHERE = "Fetch it from https://physionet.org/content/ms-cxr/ (credentialed) into ROOT/ms-cxr."
TABLE = "MS_CXR_Local_Alignment_v"
NEEDED = ("category_name", "label_text", "path", "x", "y", "w", "h")


@dataclass(frozen=True)
class Phrase:
    """One phrase about one film."""

    subject: str
    study: str
    dicom: str
    finding: str
    """In lower case."""
    text: str
    boxes: tuple[Box, ...]
    split: str
    """train, val, test, or empty where the release does not say."""
    frame: Frame | None = None
    """Size of the film that the boxes were drawn on, where the table says it."""


def read(
    root: Path,
    images: Path | None = None,
    reports: Path | None = None,
    report_part: str = "body",
    copies: str = "scaled",
    tables_only: bool = False,
) -> Source:
    """Read the table (and the report texts, unless tables_only).

    images, reports: where these are, if not in ROOT. report_part: body (findings and impression), flat, or whole.
    copies: how films of another size were made of the originals: scaled (their shape kept) or stretched.
    """
    notes: Counter[str] = Counter()
    root = family_root(root, notes)
    paths = mimic_files.locate_films(root, images, reports, expected="ms-cxr and mimic-cxr-jpg")
    phrases = read_phrases(root, notes)
    ids = {phrase.dicom: (phrase.subject, phrase.study) for phrase in phrases}
    films = mimic_studies.named_films(paths, ids, notes)
    studies = mimic_studies.as_studies(paths, films, notes, tables_only, report_part)
    of_film: dict[str, list[Phrase]] = {dicom: [] for dicom in films}
    for phrase in phrases:
        if phrase.dicom in of_film:
            of_film[phrase.dicom].append(phrase)
    studies = {dicom: _with_phrases(study, of_film[dicom]) for dicom, study in studies.items()}
    if not any(phrase.split for phrase in phrases):
        notes["this release has no split: every film is test"] = len(films)
    splits = {dicom: _split(own) for dicom, own in of_film.items()}
    tags = {dicom: [f"phrase:{phrase.finding}={phrase.text}" for phrase in own] for dicom, own in of_film.items()}
    cases = mimic_studies.film_cases(films, studies, splits, tags)
    if not cases:
        raise SourceError("no frontal film could be used.", where=root, remedy=f"Noted: {dict(notes)}.")
    release = _table(root).stem.removeprefix(TABLE)
    drawn_on = {phrase.dicom: phrase.frame for phrase in reversed(phrases) if phrase.frame is not None}
    frames = mimic_studies.frames_of(films, studies)
    frames |= {studies[dicom].image: frame for dicom, frame in drawn_on.items() if dicom in studies}
    return Source(
        "ms_cxr",
        release,
        paths.images,
        cases,
        dict(+notes),
        simulated=paths.simulated,
        frames=frames_of_copies(frames, copies),
    )


def _with_phrases(study: Study, phrases: Sequence[Phrase]) -> Study:
    """The study with a region for each box."""
    findings = dict.fromkeys(sorted({phrase.finding for phrase in phrases}), 1.0)
    regions = tuple(Region("finding", phrase.finding, box) for phrase in phrases for box in phrase.boxes)
    return replace(study, findings=findings, regions=regions)


def _split(phrases: Sequence[Phrase]) -> str:
    """One split for all phrases of a film, test where they differ or say nothing."""
    named = {phrase.split or "test" for phrase in phrases}
    return named.pop() if len(named) == 1 else "test"


# --- the table -------------------------------------------------------------------------------------------------------


def read_phrases(root: Path, notes: Counter[str] | None = None) -> list[Phrase]:
    """Every phrase with its boxes, in the order of the table; what is skipped or repaired is counted in notes.

    Boxes are cut at the edges of the film; a phrase without a box left is skipped.
    """
    notes = Counter() if notes is None else notes
    path = _table(root)
    rows = _csv_rows(path) if path.suffix != ".json" else _json_rows(path, notes)
    grouped: dict[tuple[str, str, str], Phrase] = {}
    for row in rows:
        ids, box = mimic_files.ids_of_path(row["path"]), _box(row, notes)
        if ids is None:
            notes["rows whose path names no film (skipped)"] += 1
        elif box is not None:
            finding, text = row["category_name"].strip().lower(), " ".join(row["label_text"].split())
            split = mimic_files.OFFICIAL_SPLITS.get(row.get("split", "").strip().lower(), "")
            known = grouped.get((ids[2], finding, text)) or Phrase(*ids, finding, text, (), split, _frame(row))
            if box in known.boxes:
                notes["boxes given twice (kept once)"] += 1
                continue
            grouped[ids[2], finding, text] = replace(known, boxes=(*known.boxes, box))
    if not grouped:
        raise SourceError("no row could be used.", where=path, remedy=f"Noted: {dict(notes)}. {WHERE}")
    return list(grouped.values())


def _table(root: Path) -> Path:
    """The newest release; a CSV rather than a JSON."""
    return newest_table(root / "ms-cxr", TABLE, (".csv", ".csv.gz", ".json"), WHERE)


def _csv_rows(path: Path) -> list[dict[str, str]]:
    table = read_table(path, WHERE)
    need_columns(table, NEEDED, path, WHERE)
    rows: list[dict[str, str]] = table.to_dict("records")
    return rows


def _json_rows(path: Path, notes: Counter[str]) -> Iterator[dict[str, str]]:
    """The annotations of the COCO form as rows of the CSV. Records of one film may repeat."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8-sig"))
        images = {image["id"]: image for image in plain["images"]}
        names = {category["id"]: category["name"] for category in plain["categories"]}
        annotations = plain["annotations"]
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError("this is not the COCO form of MS-CXR.", where=path, remedy=WHERE) from error
    for annotation in annotations:
        try:
            yield _json_row(annotation, images[annotation["image_id"]], names)
        except (KeyError, TypeError, ValueError):
            notes["annotations that cannot be read (skipped)"] += 1


def _json_row(annotation: Mapping[str, Any], image: Mapping[str, Any], names: Mapping[Any, str]) -> dict[str, str]:
    row = {
        "category_name": names[annotation["category_id"]],
        "label_text": annotation["label_text"],
        "path": image["path"],
    }
    row |= dict(zip("xywh", map(str, annotation["bbox"]), strict=True))
    row |= {"image_width": str(image.get("width", "")), "image_height": str(image.get("height", ""))}
    return row | {"split": annotation.get("split") or ""}


def _frame(row: Mapping[str, str]) -> Frame | None:
    return Frame.known(*(number(row.get(name, "")) for name in ("image_height", "image_width")))


def _box(row: Mapping[str, str], notes: Counter[str]) -> Box | None:
    """x, y, width, height -> corners inside the film."""
    try:
        x, y, width, height = (float(row[name]) for name in "xywh")
    except ValueError:
        notes["boxes that are not numbers (skipped)"] += 1
        return None
    drawn = (x, y, x + width, y + height)
    frame = _frame(row)
    right, bottom = (math.inf, math.inf) if frame is None else (frame.width, frame.height)
    box = (max(x, 0.0), max(y, 0.0), min(drawn[2], right), min(drawn[3], bottom))
    if not (box[2] > box[0] and box[3] > box[1]):
        notes["boxes that are empty or beside the film (skipped)"] += 1
        return None
    if box != drawn:
        notes["boxes that reach beyond the film (cut)"] += 1
    return box
