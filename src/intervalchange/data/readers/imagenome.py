"""Chest ImaGenome 1.0.0: anatomy boxes, findings by region and comparisons, on the frontal films of MIMIC-CXR-JPG.

**Size.** 242,072 films quoted (243,310 graphs are on disk), more than 670,000 comparison relations; a gold set of 500
patients and 1,000 films. Made by rules from the reports, boxes by a detector.
**Labels.** By region and sentence: yes or no; what is not said is unknown, not absent. Boxes are of anatomy, never of
lesions: a region that has a finding becomes a `located` region under the finding's name, which trains no detector of
lesions. 36 regions have boxes, 29 of these have text too.
**Access.** PhysioNet Credentialed Health Data License 1.5.0; annotations only, no films. doi 10.13026/wv01-y230.
**Cite.** Wu et al., NeurIPS 2021 Datasets and Benchmarks (arXiv:2108.00316).
**Defects handled.** Boxes with negative edges, beyond the film or empty (about 5 % of films lack some of the 29);
regions without a box; the same label said and denied of one region (the last sentence wins); relations that say two
words of progression (dropped); relations that regions disagree on (dropped); rows of the split lists without a graph;
gold patients, which must stay out of training, whatever the lists say.
**Not handled.** Its split is not the official one of MIMIC-CXR-JPG: patients of MIMIC's test set may be in its train.

ROOT holds `chest-imagenome/` (or --graphs), `mimic-cxr-jpg/` and, for the reports, `mimic-cxr/`. The graphs may be
unpacked (`silver_dataset/scene_graph/`) or still in `silver_dataset/scene_graph.zip`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from intervalchange.data.readers import mimic_files, mimic_studies
from intervalchange.data.readers.files import read_table, version_of
from intervalchange.data.readers.folders import family_root
from intervalchange.data.readers.imagenome_graphs import WHERE, SceneGraph, graph_folder, read_graphs, regions_of
from intervalchange.data.readers.mimic_files import FilmMetadata, FilmPaths
from intervalchange.data.readers.moments import Moment, moment
from intervalchange.data.readers.source import Source, frames_of_copies
from intervalchange.errors import SourceError
from intervalchange.records import Case, Study

LISTS = {"train": "train", "valid": "val", "test": "test"}
"""Name of a list -> ours."""


@dataclass(frozen=True)
class _Splits:
    """The split of each film, and who must stay out of training."""

    of_film: Mapping[str, str]
    gold: frozenset[str]
    """Patients of the gold set."""


def read(
    root: Path,
    images: Path | None = None,
    reports: Path | None = None,
    graphs: Path | None = None,
    report_part: str = "body",
    copies: str = "scaled",
    tables_only: bool = False,
) -> Source:
    """Read the graphs, the lists and the MIMIC tables (and the report texts, unless tables_only).

    images, reports, graphs: where these are, if not in ROOT. report_part: body (findings and impression), flat, whole.
    copies: how films of another size were made of the originals: scaled (their shape kept) or stretched.
    """
    notes: Counter[str] = Counter()
    root = family_root(root, notes)
    paths = mimic_files.locate_films(root, images, reports, expected="chest-imagenome and mimic-cxr-jpg")
    folder = graph_folder(graphs or root / "chest-imagenome")
    graph_of = read_graphs(folder, notes)
    splits = _splits(folder, graph_of, notes)
    films = _films(paths, graph_of, notes)
    studies = mimic_studies.as_studies(paths, films, notes, tables_only, report_part)
    studies = {dicom: _study(study, graph_of[dicom], films[dicom], notes) for dicom, study in studies.items()}
    of_film = {
        dicom: "test" if graph_of[dicom].subject in splits.gold else splits.of_film.get(dicom, "") for dicom in films
    }
    notes["films in no split list"] = sum(not split for split in of_film.values())
    cases = mimic_studies.film_cases(films, studies, of_film)
    pairs = mimic_studies.neighbour_cases(films, studies, of_film, notes)
    relations = _relations(graph_of, films)
    cases += [_compared(case, relations, notes) for case in pairs]
    used = {(case.prior.study_id, case.current.study_id) for case in pairs if case.prior is not None}
    notes["pairs of studies that are compared and are not neighbours in time (left out)"] = len(relations.keys() - used)
    cases = [_gold(case, splits.gold) for case in cases]
    release = version_of(folder) or "1.0.0"
    frames = mimic_studies.frames_of(films, studies)
    return Source(
        "imagenome",
        release,
        paths.images,
        cases,
        dict(+notes),
        simulated=paths.simulated,
        frames=frames_of_copies(frames, copies),
    )


# --- the files -------------------------------------------------------------------------------------------------------


def _splits(folder: Path, graphs: Mapping[str, SceneGraph], notes: Counter[str]) -> _Splits:
    """The lists of the data set, and the patients of its gold set."""
    lists = folder / "silver_dataset" / "splits"
    of_film: dict[str, str] = {}
    for name, split in LISTS.items():
        for dicom in read_table(lists / f"{name}.csv", WHERE).get("dicom_id", ()):
            of_film[dicom.strip()] = split
    if not of_film:
        raise SourceError("the split lists name no dicom_id.", where=lists, remedy=WHERE)
    notes["films of the split lists without a scene graph"] = len(of_film.keys() - graphs.keys())
    avoided = lists / "images_to_avoid.csv"
    if not avoided.is_file():
        notes["images_to_avoid.csv is not there: gold patients may be in training"] = 1
        return _Splits(of_film, frozenset())
    gold = frozenset(mimic_files.plain_id(subject) for subject in read_table(avoided, WHERE).get("subject_id", ()))
    notes["patients of the gold set (test, whatever the lists say)"] = len(gold & {g.subject for g in graphs.values()})
    return _Splits(of_film, gold)


# --- studies and cases -----------------------------------------------------------------------------------------------


def _films(paths: FilmPaths, graphs: Mapping[str, SceneGraph], notes: Counter[str]) -> dict[str, FilmMetadata]:
    """dicom_id -> film, its time and size from the MIMIC metadata, else from the graph."""
    metadata = mimic_files.film_metadata(paths, notes)
    films = {}
    for dicom, graph in graphs.items():
        film = metadata.get(dicom) or FilmMetadata(graph.subject, graph.study, "", Moment(), 0, 0)
        if not film.height:
            notes["films of unknown size (boxes are not cut at their edges)"] += 1
        view = graph.view or film.view
        taken = film.taken or moment(graph.when)
        films[dicom] = replace(film, subject=graph.subject, study=graph.study, view=view, taken=taken)
    return mimic_studies.frontal(films, notes)


def _study(study: Study, graph: SceneGraph, film: FilmMetadata, notes: Counter[str]) -> Study:
    return replace(
        study,
        findings=graph.findings,
        levels=graph.levels,
        regions=regions_of(graph, film.height, film.width, notes),
        sex=graph.sex if graph.sex in ("F", "M") else "",
        devices=graph.devices,
    )


Compared = Mapping[tuple[str, str], Mapping[str, set[str]]]
"""(prior study, current study) -> finding -> the words of progression in all regions."""


def _relations(graphs: Mapping[str, SceneGraph], films: Mapping[str, FilmMetadata]) -> Compared:
    relations: dict[tuple[str, str], dict[str, set[str]]] = {}
    for graph in graphs.values():
        for relation in graph.relations:
            prior = films.get(relation.prior)
            if prior is None:
                continue
            pair = relations.setdefault((prior.study, graph.study), {})
            for finding in relation.findings:
                pair.setdefault(finding, set()).add(relation.word)
    return relations


def _compared(case: Case, relations: Compared, notes: Counter[str]) -> Case:
    """The case with a tag `comparison:<finding>=<word>` for each finding that all regions agree on."""
    tags = list(case.tags)
    prior = case.prior.study_id if case.prior is not None else ""
    for finding, words in sorted(relations.get((prior, case.current.study_id), {}).items()):
        if len(words) == 1 and "" not in words:
            tags.append(f"comparison:{finding}={next(iter(words))}")
        else:
            notes["comparisons of a finding that say more than one thing (dropped)"] += 1
    return replace(case, tags=tuple(tags))


def _gold(case: Case, gold: frozenset[str]) -> Case:
    return replace(case, tags=(*case.tags, "gold")) if case.patient_id in gold else case
