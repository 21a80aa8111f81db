"""The scene graphs of Chest ImaGenome: words, frames, and one graph read into what it says of a film.

An attribute is `category|relation|label`, relation yes or no, listed by region and sentence. Within a region the last
sentence that names a label wins. A finding is present where any region has it, absent where some region is said not
to have it and none to have it, and unknown where nothing is said.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from intervalchange.data.readers.files import progress
from intervalchange.data.readers.folders import data_folder, is_clutter, walk
from intervalchange.data.readers.mimic_files import plain_id
from intervalchange.errors import SourceError
from intervalchange.findings import RANKED_LEVELS
from intervalchange.records import Box, Region

WHERE = "Fetch it from https://physionet.org/content/chest-imagenome/ (credentialed), or pass --graphs."
ENDING = "_SceneGraph.json"
SMALL = 224
"""Side of the square frame in which the boxes were found."""

MOSTLY = 0.8
"""Share of a region inside another from which it counts as a part of it."""

FINDING_OF_LABEL = {
    "airspace opacity": "lung opacity",
    "linear/patchy atelectasis": "atelectasis",
    "lobar/segmental collapse": "atelectasis",
    "pulmonary edema/hazy opacity": "edema",
    "costophrenic angle blunting": "blunting of the costophrenic angle",
    "enlarged cardiac silhouette": "enlargement of the cardiac silhouette",
    "tortuous aorta": "tortuosity of the thoracic aorta",
    "rib fracture": "fracture",
    "clavicle fracture": "fracture",
    "spinal fracture": "fracture",
    "fluid overload/heart failure": "heart failure",
    "copd/emphysema": "emphysema",
    "granulomatous disease": "granuloma",
}
"""Label -> finding of the library where the meaning is the same; another label is a finding of its own."""
NARROWER = frozenset(
    {"linear/patchy atelectasis", "lobar/segmental collapse", "rib fracture", "clavicle fracture", "spinal fracture"}
)
"""Labels that are one kind of their finding: present says that it is there, absent says nothing."""
DISEASE_CATEGORIES = ("anatomicalfinding", "disease")
DEVICE_CATEGORIES = ("tubesandlines", "device")
PROGRESSION = ("improved", "worsened", "no change")


@dataclass(frozen=True)
class SmallFrame:
    """How a film was brought into the small square: its longer side fills it, the shorter one is centred.

    small = original * ratio + (left, top); back by truncation.
    """

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


@dataclass(frozen=True)
class Relation:
    """How a sentence compares one region with the study before."""

    prior: str
    """dicom_id of the earlier film."""
    findings: frozenset[str]
    word: str
    """improved, worsened, no change; empty where the sentence says two of them."""


@dataclass(frozen=True)
class SceneGraph:
    """One graph: boxes of a film and what its report states."""

    dicom: str
    subject: str
    study: str
    view: str
    when: str
    """Date and time as ISO, or empty."""
    sex: str
    boxes: tuple[tuple[str, Box | None, Box | None], ...]
    """Region, box in pixels of the film, box in the small square."""
    findings: Mapping[str, float]
    levels: Mapping[str, str]
    devices: tuple[str, ...]
    relations: tuple[Relation, ...]
    located: tuple[tuple[str, str], ...] = ()
    """(finding, region) where a sentence says that the finding is in the region."""


def read_graph(data: bytes) -> SceneGraph:
    """One `<dicom>_SceneGraph.json`. Raises ValueError, KeyError, TypeError or AttributeError where it is none."""
    plain = json.loads(data.decode("utf-8-sig"))
    states, levels = _states(plain["attributes"])
    findings = _findings(states)
    return SceneGraph(
        dicom=str(plain["image_id"]).removesuffix(".dcm"),
        subject=plain_id(plain["patient_id"]),
        study=plain_id(plain["study_id"]),
        view=str(plain.get("viewpoint") or ""),
        when=str(plain.get("StudyDateTime") or "").removesuffix("UTC").strip(),
        sex=str(plain.get("gender") or ""),
        boxes=tuple((str(one["bbox_name"]), _box(one, "original_"), _box(one, "")) for one in plain["objects"]),
        findings=findings,
        levels={name: level for name, level in levels.items() if findings.get(name) == 1},
        devices=tuple(sorted({label for (_, category, label), yes in states.items() if yes and _is_device(category)})),
        relations=tuple(_relations(plain["relationships"])),
        located=tuple(
            dict.fromkeys(
                (FINDING_OF_LABEL.get(label, label), region)
                for (region, category, label), yes in states.items()
                if yes and category in DISEASE_CATEGORIES
            )
        ),
    )


def _is_device(category: str) -> bool:
    return category in DEVICE_CATEGORIES


def _box(plain: Mapping[str, Any], prefix: str) -> Box | None:
    try:
        x1, y1, x2, y2 = (float(plain[f"{prefix}{name}"]) for name in ("x1", "y1", "x2", "y2"))
    except (KeyError, TypeError, ValueError):
        return None
    return None if any(math.isnan(edge) for edge in (x1, y1, x2, y2)) else (x1, y1, x2, y2)


def _parts(attributes: Iterable[str]) -> Iterator[tuple[str, bool, str]]:
    """Each `category|relation|label` as category, whether it is said to be so, label."""
    for text in attributes:
        category, relation, label = (*str(text).split("|", 2), "", "")[:3]
        if relation in ("yes", "no"):
            yield category.strip(), relation == "yes", label.strip().lower()


def _states(entries: Iterable[Mapping[str, Any]]) -> tuple[dict[tuple[str, str, str], bool], dict[str, str]]:
    """(region, category, label) -> what the last sentence says; and finding -> the highest level of any region."""
    states: dict[tuple[str, str, str], bool] = {}
    levels: dict[str, str] = {}
    for entry in entries:
        region, graded = str(entry["bbox_name"]), {}
        severities = entry.get("severity_cues") or []
        for row, sentence in enumerate(entry["attributes"]):
            present = set()
            for category, yes, label in _parts(sentence):
                states[region, category, label] = yes
                if yes and category in DISEASE_CATEGORIES:
                    present.add(FINDING_OF_LABEL.get(label, label))
            words = {w for _, yes, w in _parts(severities[row] if row < len(severities) else []) if yes}
            words &= RANKED_LEVELS.keys()
            # A grade belongs to a finding only where the sentence has one of each.
            if len(present) == len(words) == 1:
                graded[present.pop()] = words.pop()
        for finding, word in graded.items():
            levels[finding] = max(levels.get(finding, word), word, key=RANKED_LEVELS.__getitem__)
    return states, levels


def _findings(states: Mapping[tuple[str, str, str], bool]) -> dict[str, float]:
    findings: dict[str, float] = {}
    for (_, category, label), yes in states.items():
        if category not in DISEASE_CATEGORIES or (label in NARROWER and not yes):
            continue
        name = FINDING_OF_LABEL.get(label, label)
        findings[name] = max(findings.get(name, 0.0), float(yes))
    return findings


def _relations(entries: Iterable[Mapping[str, Any]]) -> Iterator[Relation]:
    for entry in entries:
        words = {word for _, yes, word in _parts(entry["relationship_names"]) if yes and word in PROGRESSION}
        named = {
            FINDING_OF_LABEL.get(label, label)
            for category, _, label in _parts(entry["attributes"])
            if category in DISEASE_CATEGORIES
        }
        if words and named:
            prior = str(entry["object_id"]).split("_")[0]
            yield Relation(prior, frozenset(named), words.pop() if len(words) == 1 else "")


# --- regions and files ----------------------------------------------------------------------------------------------


def film_box(graph_box: tuple[str, Box | None, Box | None], height: int, width: int, notes: Counter[str]) -> Box | None:
    """The box of a region in pixels of the film, cut at its edges; None, counted, where nothing is left.

    height, width: of the film, 0 where unknown. Without original coordinates the small square is turned back.
    """
    _, box, small = graph_box
    if box is None and small is not None and height and width:
        frame = SmallFrame.of(height, width)
        box = (*map(float, frame.original(*small[:2])), *map(float, frame.original(*small[2:])))  # type: ignore[assignment]
    if box is None:
        notes["regions without coordinates (dropped)"] += 1
        return None
    x1, x2 = (min(max(x, 0.0), width or math.inf) for x in (box[0], box[2]))
    y1, y2 = (min(max(y, 0.0), height or math.inf) for y in (box[1], box[3]))
    if x2 <= x1 or y2 <= y1:
        notes["region boxes that are empty or beside the film (dropped)"] += 1
        return None
    if (x1, y1, x2, y2) != box:
        notes["region boxes that reach beyond the film (cut)"] += 1
    return x1, y1, x2, y2


def regions_of(graph: SceneGraph, height: int, width: int, notes: Counter[str]) -> tuple[Region, ...]:
    """The regions of anatomy of a film of this size (0 where unknown), and where the graph places findings."""
    regions: dict[str, Region] = {}
    for one in graph.boxes:
        box = film_box(one, height, width, notes)
        if box is not None:
            regions.setdefault(one[0], Region("anatomy", one[0], box))
    return (*regions.values(), *_located(graph, regions))


def _located(graph: SceneGraph, regions: Mapping[str, Region]) -> Iterator[Region]:
    """The regions that a finding is said to be in; of a lung and its zones, the zones."""
    boxes_of: dict[str, list[Box]] = {}
    for finding, name in graph.located:
        if name in regions:
            boxes_of.setdefault(finding, []).append(regions[name].box)
    for finding, boxes in boxes_of.items():
        for box in boxes:
            if not any(other != box and _share(other, box) > MOSTLY for other in boxes):
                yield Region("located", finding, box)


def _share(one: Box, other: Box) -> float:
    """How much of one box lies in the other."""
    across, down = (min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1))
    return max(across, 0.0) * max(down, 0.0) / ((one[2] - one[0]) * (one[3] - one[1]))


def graph_folder(folder: Path) -> Path:
    """The folder that holds `silver_dataset`: this one, or the nearest below it."""
    return data_folder(folder, ("silver_dataset",), Counter(), WHERE)


def read_graphs(folder: Path, notes: Counter[str], wanted: Container[str] | None = None) -> dict[str, SceneGraph]:
    """dicom_id -> graph of the `wanted` films, of all where None; what cannot be read is counted.

    folder: holds `silver_dataset`. Raises SourceError where there are no graphs or none can be read.
    """
    graphs: dict[str, SceneGraph] = {}
    for data in _graph_files(folder, wanted):
        try:
            graph = read_graph(data)
        except (ValueError, KeyError, TypeError, AttributeError):
            notes["scene graphs that cannot be read (skipped)"] += 1
            continue
        graphs[graph.dicom] = graph
    if not graphs:
        raise SourceError("no scene graph could be read.", where=folder, remedy=WHERE)
    return graphs


def _graph_files(folder: Path, wanted: Container[str] | None) -> Iterator[bytes]:
    """The bytes of every wanted graph, from the folder or else from the archive."""
    silver = folder / "silver_dataset"
    unpacked = silver / "scene_graph"
    # Unzipped into a folder of the archive's name, they are in one of the same name in it.
    paths = [unpacked / path for path in sorted(walk(unpacked)) if path.endswith(ENDING)]

    def is_wanted(name: str) -> bool:
        plain = PurePosixPath(name).name
        of_graph = plain.endswith(ENDING) and not is_clutter(plain)
        return of_graph and (wanted is None or plain.removesuffix(ENDING) in wanted)

    if paths:
        paths = [path for path in paths if is_wanted(path.name)]
        for path in progress(paths, "scene graphs", len(paths)):
            yield path.read_bytes()
        return
    archive = silver / "scene_graph.zip"
    if not archive.is_file():
        raise SourceError("there are no scene graphs.", where=silver / "scene_graph", remedy=WHERE)
    try:
        with zipfile.ZipFile(archive) as packed:
            names = sorted(name for name in packed.namelist() if is_wanted(name))
            for name in progress(names, "scene graphs", len(names)):
                yield packed.read(name)
    except zipfile.BadZipFile as error:
        raise SourceError("this archive is broken.", where=archive, remedy=WHERE) from error
