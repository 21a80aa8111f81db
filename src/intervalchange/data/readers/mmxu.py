"""MMXU: multiple-choice questions on how a region has changed between two films of MIMIC-CXR-JPG.

**Size.** MMXU-test 3,000 questions of 1,201 patients and 2,469 studies; MMXU-dev 118,000 (announced).
**Labels.** One of the options is right. Made by a language model from the comparisons of Chest ImaGenome; the authors
reviewed the test set.
**Access.** https://huggingface.co/datasets/LinjieMu/MMXU; annotations only and no licence is named there, the films
are those of MIMIC-CXR-JPG (PhysioNet, credentialed).
**Cite.** Mu et al., Findings of ACL 2025, arXiv:2502.11651.
**Defects handled.** Rows that do not name two films of one patient; rows whose answer is none of the options; rows
given twice; films in the wrong order by the MIMIC metadata.
**Not handled.** The patients are those of MIMIC-CXR's splits, training among them: keep them out of what is tested
here.

Verified, from the authors' README and page: the name `MMXU-test.jsonl`, JSON lines, options, and that paths begin at
`files/` of MIMIC-CXR-JPG. Not published in words are the names of the fields. So the films of a row are the two paths
in it, wherever they stand, in the order of the metadata of MIMIC-CXR-JPG; the question is `question`; the options are
`options`, `choices` or A to D; the right one is any of `ANSWERS`.

ROOT holds `mmxu/` with `MMXU-*.jsonl`, and `mimic-cxr-jpg/`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from intervalchange.choices import chosen, lettered, options_in
from intervalchange.data.readers import mimic_files, mimic_studies
from intervalchange.data.readers.benchmark_rows import Film, Row, in_time, mimic_films, need_fields, read_rows
from intervalchange.data.readers.cases import ORDER_UNKNOWN
from intervalchange.data.readers.folders import family_root
from intervalchange.data.readers.source import Source
from intervalchange.errors import SourceError
from intervalchange.records import CHOICE, Case, Study

WHERE = "Fetch MMXU-test.jsonl from https://huggingface.co/datasets/LinjieMu/MMXU into ROOT/mmxu."
SPLITS = {"MMXU-test": "test", "MMXU-dev": "train"}
"""Name of a file -> its split."""
IDS = ("question_id", "qid", "q_id", "id", "index")
ANSWERS = ("answer", "correct_answer", "gt", "label", "correct_option")
FORM = 'A row looks like {"question": ..., "options": {"A": ..., "B": ...}, "answer": "A", "images": [PATH, PATH]}.'


@dataclass(frozen=True)
class _Question:
    """A row that can be asked."""

    row_id: str
    films: tuple[Film, Film]
    """As the row has them."""
    text: str
    answer: str
    """The letter."""
    split: str


def read(root: Path, images: Path | None = None, reports: Path | None = None, tables_only: bool = False) -> Source:
    """Read the questions (and the report texts, unless tables_only).

    images, reports: where these are, if not in ROOT.
    """
    notes: Counter[str] = Counter()
    root = family_root(root, notes)
    paths = mimic_files.locate_films(root, images, reports, expected="mmxu and mimic-cxr-jpg")
    tables = _tables(root / "mmxu")
    questions: dict[str, _Question] = {}
    for path, split in tables.items():
        for question in _questions(path, split, notes):
            if question.row_id in questions:
                notes["rows with an id already seen (skipped)"] += 1
            questions.setdefault(question.row_id, question)
    ids = {film[2]: film[:2] for question in questions.values() for film in question.films}
    films = mimic_studies.named_films(paths, ids, notes)
    studies = mimic_studies.as_studies(paths, films, notes, tables_only)
    cases = []
    for question in questions.values():
        if not all(film[2] in films for film in question.films):
            notes["questions with a film that is not frontal (skipped)"] += 1
            continue
        order = in_time(films, question.films[0], question.films[1], notes)
        cases.append(_case(question, order, studies, notes))
    if not cases:
        path = next(iter(tables))
        raise SourceError("no question could be used.", where=path, remedy=f"Noted: {dict(+notes)}. {FORM} {WHERE}")
    return Source("mmxu", "", paths.images, cases, dict(+notes), simulated=paths.simulated)


def _tables(folder: Path) -> dict[Path, str]:
    """The files of questions -> their split. Raises SourceError where there are none."""
    found = {
        path: SPLITS[path.stem]
        for ending in (".jsonl", ".json")
        for path in sorted(folder.glob(f"MMXU-*{ending}"))
        if path.stem in SPLITS
    }
    if not found:
        raise SourceError("there is no MMXU-test.jsonl.", where=folder, remedy=WHERE)
    return found


def _questions(path: Path, split: str, notes: Counter[str]) -> Iterator[_Question]:
    """The rows that name two films of one patient, options, and which of them is right."""
    rows = read_rows(path, WHERE)
    need_fields(rows, ("question",), path, FORM)
    need_one_of(rows, ANSWERS, path)
    if not any(options_in(row) for row in rows):
        need_fields(rows, ("options",), path, FORM)
    if not any(mimic_films(row) for row in rows):
        what = "no row names a film of MIMIC-CXR-JPG (files/p10/p10000000/s50000000/DICOM.jpg)."
        raise SourceError(what, where=path, remedy=FORM)
    for number, row in enumerate(rows):
        films = mimic_films(row)
        if len(films) != 2 or films[0][0] != films[1][0]:
            notes["rows that do not name two films of one patient (skipped)"] += 1
            continue
        options = options_in(row)
        text = lettered(str(row.get("question") or ""), options)
        answer = right_option(row, text, options)
        if not row.get("question") or not answer:
            notes["rows without a question, or whose answer is none of the options (skipped)"] += 1
            continue
        written = next((str(row[name]) for name in IDS if row.get(name) is not None), str(number))
        yield _Question(f"{path.stem}-{written}", (films[0], films[1]), text, answer, split)


def need_one_of(rows: list[Row], names: tuple[str, ...], path: Path) -> None:
    """Raise SourceError where no row has any of the fields."""
    if not any(name in row for row in rows for name in names):
        need_fields(rows, names[:1], path, FORM)


def right_option(row: Row, text: str, options: Mapping[str, str]) -> str:
    """The letter of the option that a row calls right: by letter, or in the words of one; "" where it is none."""
    written = next((str(row[name]).strip() for name in ANSWERS if row.get(name) is not None), "")
    same = [letter for letter, option in options.items() if written and option == written]
    return same[0] if len(same) == 1 else chosen(written, text) if options else ""


def _case(question: _Question, order: int, studies: Mapping[str, Study], notes: Counter[str]) -> Case:
    """order: of the two films of the row in time, as `in_time` says it."""
    first, second = (studies[film[2]] for film in question.films)
    if order < 0:
        notes["rows that name the later film first (read forward in time)"] += 1
        first, second = second, first
    tags = () if order else (ORDER_UNKNOWN,)
    patient = question.films[0][0]
    return Case(question.row_id, patient, second, first, question.text, question.answer, CHOICE, question.split, tags)
