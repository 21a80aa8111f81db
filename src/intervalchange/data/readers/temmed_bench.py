"""TemMed-Bench: what has changed between two visits, on films and reports of CheXpert Plus.

**Size.** For testing 1,000 pairs of films, with yes/no questions (2,000 of them drawn as the published subset) and
the report of the later film; 1,000 choices among three pairs; for training 17,144 pairs with reports.
**Labels.** Yes or no, by a language model from the report; the report's impression, which tells of change.
**Access.** https://huggingface.co/datasets/uclanlp/TemMed-Bench, CC BY 4.0; indices only. Films and reports are those
of CheXpert Plus (Stanford AIMI, registration, non-commercial).
**Cite.** Zhang et al., arXiv:2509.25143.
**Defects handled.** Paths that end in png or jpg whatever is on disk; rows without a report (not in the published
files: they come from `df_chexpert_plus_240401.csv`, or from the `_Final.json` that the authors' notebooks write);
answers with a full stop; questions that repeat; rows that name one film twice, or films of two patients.
**Not handled.** The choice among three pairs of films: a case here has one.

Verified, from the authors' programs: the names of the files, `image_path` (later), `historical_image_path` (earlier),
`VQA_Final` with `VQA_question` and `VQA_answer`, `condition_changes_report`, `img_id` and `question_id` of the
subset, and how reports are looked up. Assumed: that rows of the training part name the earlier film as those of the
test part do.

ROOT holds the JSON files (in ROOT or `Get_Data/`), `PNG/train/patient00001/...`, and the table of CheXpert Plus.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from intervalchange.choices import YES_NO, chosen
from intervalchange.data.readers.benchmark_rows import Row, need_fields, read_rows
from intervalchange.data.readers.chexpert import FilmName, film_name
from intervalchange.data.readers.chexpert_folders import need_films
from intervalchange.data.readers.files import marker, need_columns, plain_or_gzip, read_table
from intervalchange.data.readers.folders import data_folder
from intervalchange.data.readers.source import Source
from intervalchange.errors import ConfigError, SourceError
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.records import CHOICE, Case, Study

TEST, TRAIN = "TestSet_VQA_ReportGeneration", "TrainSet_KnowledgeCorpus"
SELECTED = "TestSet_SelectedVQA_2000.json"
REPORTS = "df_chexpert_plus_240401.csv"
WHERE = (
    "Fetch the JSON files from https://huggingface.co/datasets/uclanlp/TemMed-Bench, films and reports of CheXpert "
    "Plus from https://aimi.stanford.edu (registration), as https://github.com/Levi-ZJY/TemMed-Bench says."
)
FIELDS = ("image_path", "historical_image_path")
ASKED = ("all", "selected")
FOLDERS = ("PNG", "JPG", ".")
"""Where the films lie, below ROOT."""


@dataclass(frozen=True)
class _Visit:
    """A row: two films of a patient, the earlier one first."""

    row: Row
    number: int
    prior: Study
    current: Study
    patient: str
    report: str


def read(root: Path, images: Path | None = None, asked: str = "all", tables_only: bool = False) -> Source:
    """Read questions, and reports where they are.

    images: folder that holds `train/`, if not `PNG/` of ROOT. asked: `all` questions of the test part, or the
    `selected` 2,000.
    """
    if asked not in ASKED:
        raise ConfigError(f"asked is '{asked}'.", remedy=f"Choose one of: {', '.join(ASKED)}.")
    notes: Counter[str] = Counter()
    top = data_folder(root, (f"{TEST}.json", f"{TEST}_Final.json", "Get_Data"), notes, WHERE)
    tables = top / "Get_Data" if (top / "Get_Data").is_dir() else top
    if images is not None and not images.is_dir():
        raise SourceError("there is no such folder of films.", where=images, remedy="Correct --images.")
    beside = (top, top.parent)
    folder = images or next((path for name in FOLDERS for base in beside if (path := base / name).is_dir()), top)
    reports = _reports(beside, notes)
    test = _visits(tables, TEST, folder, reports, notes)
    if test is None:
        raise SourceError(f"there is no {TEST}.json.", where=tables, remedy=WHERE)
    wanted = _selected(tables) if asked == "selected" else None
    cases: dict[str, Case] = {}
    for visit in test:
        for case in (*_questions(visit, wanted, notes), *_report_case(visit, "test", notes)):
            cases.setdefault(case.case_id, case)
    for visit in _visits(tables, TRAIN, folder, reports, notes) or []:
        for case in _report_case(visit, "train", notes):
            cases.setdefault(case.case_id, case)
    if not cases:
        raise SourceError("no question could be used.", where=tables, remedy=f"Noted: {dict(+notes)}. {WHERE}")
    if not tables_only:
        films = [study.image for case in cases.values() for study in (case.prior, case.current) if study is not None]
        need_films(folder, films, f"{TEST}.json", WHERE)
    simulated = marker(top / "SIMULATED") or marker(top.parent / "SIMULATED")
    return Source("temmed_bench", "", folder, list(cases.values()), dict(+notes), {}, simulated)


# --- rows ------------------------------------------------------------------------------------------------------------


def _reports(folders: tuple[Path, Path], notes: Counter[str]) -> Mapping[str, str]:
    """Path of a film, without its ending -> the impression of its report; empty where the table is not there."""
    path = next((found for folder in folders if (found := plain_or_gzip(folder, REPORTS)) is not None), None)
    if path is None:
        notes[f"{REPORTS} is not there: reports come from the _Final.json files alone"] = 1
        return {}
    table = read_table(path, WHERE)
    need_columns(table, ("path_to_image", "section_impression"), path, WHERE)
    pairs = zip(table["path_to_image"], table["section_impression"], strict=True)
    return {_stem(film): " ".join(text.split()) for film, text in pairs if text.strip()}


def _stem(path: str) -> str:
    return re.sub(r"\.(?:png|jpe?g)$", "", path.strip())


def _visits(
    tables: Path, name: str, folder: Path, reports: Mapping[str, str], notes: Counter[str]
) -> list[_Visit | None] | None:
    """The rows of a file, None for one that names no two films of a patient; None where the file is not there."""
    paths = (tables / f"{name}_Final.json", tables / f"{name}.json")
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        notes[f"{name}.json is not there"] = 1
        return None
    rows = read_rows(path, WHERE)
    need_fields(rows, FIELDS, path, WHERE)
    return [_visit(row, number, folder, reports, notes) for number, row in enumerate(rows)]


def _visit(row: Row, number: int, folder: Path, reports: Mapping[str, str], notes: Counter[str]) -> _Visit | None:
    current, prior = (film_name(str(row.get(name) or "")) for name in FIELDS)
    if current is None or prior is None or current.patient != prior.patient or current.image == prior.image:
        notes["rows that do not name two films of one patient (skipped)"] += 1
        return None
    if current.study < prior.study:
        notes["rows whose earlier film has the higher number of study (kept as they are)"] += 1
    report = str(row.get("condition_changes_report") or reports.get(_stem(str(row["image_path"])), ""))
    return _Visit(row, number, _study(prior, folder), _study(current, folder), current.patient, report.strip())


def _study(film: FilmName, folder: Path) -> Study:
    """The film, with the ending that it has on disk."""
    stem = _stem(film.image)
    image = next((f"{stem}{e}" for e in (".png", ".jpg") if (folder / f"{stem}{e}").is_file()), f"{stem}.png")
    return Study(f"{film.patient}-study{film.study}", image, order=float(film.study))


def _selected(tables: Path) -> set[tuple[int, int]]:
    """Row and question of the published subset. Raises SourceError where it is not there."""
    path = tables / SELECTED
    if not path.is_file():
        raise SourceError(f"there is no {SELECTED}.", where=tables, remedy=f"{WHERE} Or leave asked=selected out.")
    rows = read_rows(path, WHERE)
    need_fields(rows, ("img_id", "question_id"), path, WHERE)
    numbers = ((row.get("img_id"), row.get("question_id")) for row in rows)
    return {(one, other) for one, other in numbers if isinstance(one, int) and isinstance(other, int)}


# --- cases -----------------------------------------------------------------------------------------------------------


def _questions(visit: _Visit | None, wanted: set[tuple[int, int]] | None, notes: Counter[str]) -> Iterator[Case]:
    """The yes/no questions of a row."""
    listed = visit.row.get("VQA_Final") if visit is not None else None
    if visit is None or not isinstance(listed, list):
        notes["rows without VQA_Final (no question)"] += visit is not None
        return
    for number, asked in enumerate(listed):
        question = str(asked.get("VQA_question") or "").strip() if isinstance(asked, Mapping) else ""
        answer = chosen(str(asked.get("VQA_answer") or ""), "") if question else ""
        if answer not in YES_NO:
            notes["questions without a text, or whose answer is neither yes nor no (skipped)"] += 1
        elif wanted is None or (visit.number, number) in wanted:
            case_id = f"{visit.current.study_id}-{visit.prior.study_id}-{visit.number}-{number}"
            yield Case(case_id, visit.patient, visit.current, visit.prior, question, answer, CHOICE, "test")


def _report_case(visit: _Visit | None, split: str, notes: Counter[str]) -> Iterator[Case]:
    """What has changed, answered by the report."""
    if visit is None:
        return
    if not visit.report:
        notes["pairs without a report (not asked what has changed)"] += 1
        return
    case_id = f"{visit.current.study_id}-{visit.prior.study_id}-report"
    yield Case(
        case_id, visit.patient, visit.current, visit.prior, DIFFERENCE_QUESTION, visit.report, "difference", split
    )
