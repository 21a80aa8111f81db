"""What the tables of Medical-Diff-VQA say: one film per study, and the rows with their questions, as released."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from intervalchange.data.readers.files import need_columns, read_table
from intervalchange.data.readers.mimic_files import FRONTAL, WHERE, DiffVqaPaths, film_metadata, plain_id
from intervalchange.data.readers.moments import Moment, later, moment

NEEDED = ("study_id", "subject_id", "ref_id", "question_type", "question", "answer")


@dataclass(frozen=True)
class MimicFilm:
    """What the tables state about one study."""

    subject: str
    dicom: str
    view: str
    taken: Moment
    rank: Moment
    """Its place in the order of study_order, where only that is known."""
    height: int
    """Pixels of the film; 0 where unknown."""
    width: int


@dataclass(frozen=True)
class Row:
    """One line of mimic_pair_questions.csv; kind and split in lower case, texts without blanks around them."""

    number: int
    """From 0, as the papers count rows."""
    study: str
    reference: str
    """For the six kinds of question about one film: the other film of the group that the row was made with."""
    subject: str
    kind: str
    question: str
    answer: str
    split: str
    """As the table spells it; empty where it has no such column."""


def read_films(paths: DiffVqaPaths, notes: Counter[str]) -> dict[str, MimicFilm]:
    """Study -> film, for every study of mimic_all.csv that names one."""
    table = read_table(paths.all_studies, WHERE["questions"])
    need_columns(table, ("study_id", "subject_id", "dicom_id"), paths.all_studies, WHERE["questions"])
    table = table.reindex(
        columns=[*table.columns, *({"view", "study_date", "study_order"} - set(table.columns))], fill_value=""
    )
    metadata = film_metadata(paths, notes)
    films = {}
    columns = (table[name] for name in ("study_id", "subject_id", "dicom_id", "view", "study_date", "study_order"))
    for study, subject, dicom, view, date, order in zip(*columns, strict=True):
        if not dicom.strip():
            notes["studies without an image id"] += 1
            continue
        known = metadata.get(dicom.strip())
        word = view.strip().lower() or (known.view.lower() if known else "")
        taken = known.taken if known else Moment()
        if not taken:
            taken = moment(date)
            if taken.unread:
                notes["study dates that cannot be read"] += 1
        if not word:
            notes["studies without a view"] += 1
        rank = moment(order)
        films[plain_id(study)] = MimicFilm(
            plain_id(subject),
            dicom.strip(),
            FRONTAL.get(word, word),
            taken,
            rank if rank.scale == "number" else Moment(),
            known.height if known else 0,
            known.width if known else 0,
        )
    return films


def read_rows(paths: DiffVqaPaths) -> Iterator[Row]:
    """Every line of the table, in its order."""
    table = read_table(paths.pair_questions, WHERE["questions"])
    need_columns(table, NEEDED, paths.pair_questions, WHERE["questions"])
    splits = table["split"] if "split" in table.columns else [""] * len(table)
    columns = zip(*(table[name] for name in NEEDED), splits, strict=True)
    for number, (study, subject, reference, kind, question, answer, split) in enumerate(columns):
        yield Row(
            number,
            plain_id(study),
            plain_id(reference),
            plain_id(subject),
            kind.strip().lower(),
            question.strip(),
            answer.strip(),
            split.strip().lower(),
        )


def order_of(main: MimicFilm, reference: MimicFilm) -> int:
    """1 where `main` was taken after `reference`, -1 before, 0 where it cannot be told."""
    return later(reference.taken, main.taken) or later(reference.rank, main.rank)
