"""Medical-Diff-VQA 1.0.0 and 1.0.1 on MIMIC-CXR-JPG, with the reports of MIMIC-CXR where they are.

ROOT holds `medical-diff-vqa/`, `mimic-cxr-jpg/`, `mimic-cxr/` (each may have a version folder inside, or be given
elsewhere), and for a simulated cohort `simulated-truth/`.

**Which film is the earlier one, and which way round is the answer?** A difference row names a main film (study_id)
and a reference (ref_id). In release 1.0.0 about 48 % of the rows have the main film taken *before* the reference, and
1.0.1 may still hold some. A row's own order is therefore never trusted:

1. *Time* comes from StudyDate and StudyTime of the MIMIC metadata, else from `study_date`, else from `study_order`.
   `prior` is always the earlier film. Ties (same day, no time) keep the order of the row: tag `order_unknown`.
2. *The answer* was made by comparing two lists of key findings, so the lists themselves (`all_diseases.json`) tell
   which film it calls "main": the reading in which more of its items agree. Where they do not tell (nothing changed,
   no key findings), the row is taken at its word: the answer is about study_id as main. An answer that proves to be
   about ref_id as main is tagged `answer_reversed`.
3. If the film the answer calls main is the earlier one, `grammar.reverse` turns the answer, so that every Case reads
   forward in time: tag `swapped_row`. An answer that cannot be read cannot be turned: its row is skipped.

All of this is counted for the doctor's page. The six single-image kinds use study_id alone; their `prior` is None.
(ref_id means something else there: the other film of the generated group.) (a, b) and (b, a) rows become the same
case and are counted as duplicates; of several, the one in the test split (else val) stays.

`--protocol published` does none of this: its cases are the rows as released (`diff_vqa_published`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from intervalchange.data.readers.cases import MAIN_EARLIER, ORDER_UNKNOWN
from intervalchange.data.readers.diff_vqa_published import published_cases, published_rows
from intervalchange.data.readers.diff_vqa_tables import MimicFilm, Row, order_of, read_films, read_rows
from intervalchange.data.readers.folders import family_root
from intervalchange.data.readers.imagenome_graphs import graph_folder, read_graphs, regions_of
from intervalchange.data.readers.mimic_files import (
    OFFICIAL_SPLITS,
    WHERE,
    DiffVqaPaths,
    FilmIds,
    film_pattern,
    locate,
    plain_id,
    short_hash,
    with_reports,
    with_truth,
)
from intervalchange.data.readers.source import PUBLISHED, Frame, Source, check_protocol, frames_of_copies
from intervalchange.errors import SourceError
from intervalchange.findings import FINDINGS
from intervalchange.grammar import parse, reverse
from intervalchange.records import KINDS, Case, Change, Study

RANK = {"test": 2, "val": 1}


def read(
    root: Path,
    images: Path | None = None,
    reports: Path | None = None,
    questions: Path | None = None,
    graphs: Path | None = None,
    copies: str = "scaled",
    protocol: str = "ours",
    tables_only: bool = False,
) -> Source:
    """Read the tables (and the report texts, unless tables_only).

    images, reports, questions: where these are, if not in ROOT. graphs: Chest ImaGenome, whose regions the films get
    where it is there (`ROOT/chest-imagenome`); C2F and EKAID learn from them.
    copies: how films of another size were made of the originals: scaled (their shape kept) or stretched.
    protocol: `ours`, or `published`: the rows as released.
    """
    check_protocol(protocol)
    notes: Counter[str] = Counter()
    root = family_root(root, notes)
    paths = locate(root, images, reports, questions)
    films = read_films(paths, notes)
    key_findings = _key_findings(paths, notes)
    every_row, released = read_rows(paths), None
    if protocol == PUBLISHED:
        rows, released = published_rows(every_row, films, paths.pair_questions, notes)
    else:
        rows = list(_usable(every_row, films, notes))
    used = {study for row in rows for study in (row.study, row.reference) if study}
    ids = {study: FilmIds(films[study].subject, films[study].dicom) for study in sorted(used)}
    pattern = film_pattern(paths, [(own.subject, study, own.dicom) for study, own in ids.items()], tables_only)
    studies = {study: _study(study, films[study], pattern, key_findings) for study in ids}
    if not tables_only:
        studies = with_reports(paths, ids, studies, notes)
        studies = _with_regions(graphs or root / "chest-imagenome", graphs is not None, films, studies, notes)
    studies, truth = with_truth(paths, ids, studies)
    if released is not None:
        cases = published_cases(rows, studies, films, truth.same_state)
    else:
        cases = _cases(rows, studies, films, truth.same_state, notes)
    if not cases:
        raise SourceError("no question could be used.", where=paths.questions, remedy=f"Noted: {dict(notes)}.")
    differences = sum(case.kind == "difference" for case in cases)
    earlier = notes["difference rows with the main film earlier (turned round)"]
    earlier += sum(MAIN_EARLIER in case.tags for case in cases)
    as_old = earlier > 0.25 * max(1, differences)
    release = paths.release or ("as 1.0.0" if as_old else "as 1.0.1")
    maps = {studies[study].image: path for study, path in truth.maps.items()}
    sizes = {study.image: Frame.known(films[name].height, films[name].width) for name, study in studies.items()}
    frames = {image: frame for image, frame in sizes.items() if frame is not None}
    return Source(
        "mimic_diff_vqa",
        release,
        paths.images,
        cases,
        dict(notes),
        maps,
        paths.simulated,
        frames=frames_of_copies(frames, copies),
        order_open=frozenset(case.case_id for case in cases if ORDER_UNKNOWN in case.tags and released is None),
        released=released,
    )


def _usable(rows: Iterator[Row], films: Mapping[str, MimicFilm], notes: Counter[str]) -> Iterator[Row]:
    """The lines whose films are known and frontal; a question about one film has no reference."""
    for row in rows:
        if row.kind not in KINDS or row.split not in OFFICIAL_SPLITS:
            notes["rows with an unknown question type or split (skipped)"] += 1
            continue
        reference = row.reference if row.kind == "difference" else ""
        trouble = _trouble(row.study, reference, row.subject, row.kind, films)
        if trouble:
            notes[f"rows {trouble} (skipped)"] += 1
            continue
        yield replace(row, reference=reference, split=OFFICIAL_SPLITS[row.split])


def _trouble(study: str, reference: str, subject: str, kind: str, films: Mapping[str, MimicFilm]) -> str:
    """Why a row cannot be used, or nothing."""
    if kind == "difference" and (not reference or reference == study):
        return "of a difference without another film"
    for name in (study, reference) if reference else (study,):
        film = films.get(name)
        if film is None:
            return "whose image is unknown"
        if film.subject != subject:
            return "whose films are of different patients"
        if film.view not in ("PA", "AP"):
            return "whose film is not known to be frontal"
    return ""


def _key_findings(paths: DiffVqaPaths, notes: Counter[str]) -> dict[str, tuple[dict[str, float], dict[str, str]]]:
    """Study -> findings (of the 30: named 1, all others 0, as the answers were made) and levels."""
    path = paths.all_diseases
    if path is None:
        notes["all_diseases.json is not there: findings and levels are unknown"] = 1
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
        return {plain_id(entry["study_id"]): _finding_state(entry["entity"]) for entry in entries}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError("this is not the key findings list.", where=path, remedy=WHERE["questions"]) from error


def _finding_state(entity: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, str]]:
    findings = {name: 1.0 if name in entity else 0.0 for name in FINDINGS}
    levels = {
        name: " ".join(attributes["level"])
        for name, attributes in entity.items()
        if name in findings and isinstance(attributes, Mapping) and attributes.get("level")
    }
    return findings, levels


def _study(study: str, film: MimicFilm, pattern: str, key_findings: Mapping[str, Any]) -> Study:
    findings, levels = key_findings.get(study, ({}, {}))
    image = pattern.format(top=film.subject[:2], subject=film.subject, study=study, dicom=film.dicom)
    return Study(study, image, film.view, film.taken.iso, film.rank.order, findings=findings, levels=levels)


def _with_regions(
    folder: Path, required: bool, films: Mapping[str, MimicFilm], studies: Mapping[str, Study], notes: Counter[str]
) -> dict[str, Study]:
    """The studies with the regions of their scene graphs. required: it is an error where there are none."""
    folder = graph_folder(folder)
    if not required and not (folder / "silver_dataset").is_dir():
        return dict(studies)
    of_dicom = {films[study].dicom: study for study in studies}
    completed = dict(studies)
    for dicom, graph in read_graphs(folder, notes, of_dicom).items():
        study = of_dicom[dicom]
        completed[study] = replace(
            completed[study], regions=regions_of(graph, films[study].height, films[study].width, notes)
        )
    notes["films without a scene graph"] += sum(not study.regions for study in completed.values())
    return completed


def _cases(
    rows: list[Row],
    studies: Mapping[str, Study],
    films: Mapping[str, MimicFilm],
    same_state: frozenset[frozenset[str]],
    notes: Counter[str],
) -> list[Case]:
    """Rows -> cases, forward in time, each once."""
    cases: dict[str, Case] = {}
    for row in rows:
        case = _turned(row, studies, films, notes) if row.reference else _single(row, studies)
        if case is None:
            continue
        if row.reference and frozenset((row.study, row.reference)) in same_state:
            case = replace(case, tags=(*case.tags, "same_state"))
        known = cases.get(case.case_id)
        if known is None:
            cases[case.case_id] = case
            continue
        notes["duplicate rows (kept once)"] += 1
        if _content(known) != _content(case):
            notes["duplicate rows with another answer (the first is kept)"] += 1
        if RANK.get(case.split, 0) > RANK.get(known.split, 0):
            cases[case.case_id] = case
    return list(cases.values())


def _content(case: Case) -> object:
    """The answer without the order of a list, which carries no meaning."""
    return parse(case.answer).change if case.kind == "difference" else case.answer.lower()


def _single(row: Row, studies: Mapping[str, Study]) -> Case:
    case_id = f"{row.study}-{row.kind}-{short_hash(row.question)}"
    return Case(case_id, row.subject, studies[row.study], None, row.question, row.answer, row.kind, row.split)


def _turned(row: Row, studies: Mapping[str, Study], films: Mapping[str, MimicFilm], notes: Counter[str]) -> Case | None:
    """A difference row as a case that reads forward in time."""
    notes["difference rows"] += 1
    tags = []
    order = order_of(films[row.study], films[row.reference])
    if order == 0:
        notes["difference rows whose order in time is unknown (kept as they stand)"] += 1
        tags.append(ORDER_UNKNOWN)
    current, prior = (row.study, row.reference) if order >= 0 else (row.reference, row.study)
    main = row.study
    if _agreement(row.answer, studies[row.study], studies[row.reference]) < 0:
        notes["difference rows whose answer is about ref_id as the main film"] += 1
        tags.append("answer_reversed")
        main = row.reference
    if order < 0:
        notes["difference rows with the main film earlier (turned round)"] += 1
        tags.append("swapped_row")
    answer = row.answer
    if main != current:
        try:
            answer = reverse(answer)
        except ValueError:
            notes["difference rows to be turned round whose answer cannot be read (skipped)"] += 1
            return None
    case_id = f"{current}-{prior}-difference-{short_hash(row.question)}"
    films_of = (studies[current], studies[prior])
    return Case(case_id, row.subject, *films_of, row.question, answer, "difference", row.split, tuple(tags))


def _agreement(answer: str, main: Study, reference: Study) -> int:
    """How many more items of an answer fit `main` as the main film than fit it as the reference."""
    items = parse(answer).change.items
    if not items or not main.findings or not reference.findings:
        return 0
    forward = Change.between(reference, main)
    return len(items & forward.items) - len(items & forward.reverse().items)
