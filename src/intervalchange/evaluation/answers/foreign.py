"""Anyone's answers: COCO result JSON, CSV or JSON lines, joined to a table of references by id, never by position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from intervalchange.errors import ConfigError, SourceError
from intervalchange.evaluation.answers.json_lines import LONGEST_LINE, decoded, json_line, json_value, lines
from intervalchange.evaluation.answers.predictions import (
    OPENINGS,
    AnsweredKeys,
    Provenance,
    prediction_of,
    provenance_of,
)
from intervalchange.evaluation.answers.reference_table import (
    ID_FIELDS,
    REFERENCE_FIELDS,
    ReferenceCase,
    ReferenceTable,
    document,
    first_of,
    identifier,
    keyed_rows,
    one_text,
    pair_name,
    table_rows,
)
from intervalchange.records import Prediction

Form = Literal["auto", "coco", "csv", "jsonl"]
FORMS = ("auto", "coco", "csv", "jsonl")
ANSWER_FIELDS = (
    "prediction",
    "predicted",
    "predicted_answer",
    "generated_answer",
    "pred",
    "hypothesis",
    "generated",
    "response",
    "output",
    "answer",
    "caption",
    "text",
)
"""Fields of the answer, in this order: where a file has both `prediction` and `answer`, the latter is the reference."""
OUR_FIELDS = ("condition", "confidence", "change", "warnings", "tags", "facts")
"""Fields of our own lines that an answer keeps."""
COCO_FORMS = (
    'It holds [{"image_id": 1, "caption": "..."}], the same under "annotations", or {"1": ["..."]}; JSON with one '
    "answer a line is read with --format jsonl."
)
SHOWN = 5
"""Ids that an error names."""


@dataclass(frozen=True)
class ForeignAnswer:
    """An answer and the name it gives its case."""

    name: str
    answer: str
    where: str
    more: Mapping[str, Any]


JoinedAnswer = tuple[ForeignAnswer, ReferenceCase]


def form_of(path: Path, form: Form = "auto") -> Form:
    """The form of a file: as asked, else by its name and first character."""
    if form not in FORMS:
        raise ConfigError(f"unknown format {form!r}.", where=path, remedy=f"It is one of {', '.join(FORMS)}.")
    if form != "auto":
        return form
    if path.suffix.lower() in (".csv", ".tsv"):
        return "csv"
    try:
        with path.open("rb") as file:
            opening = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
            file.seek(0)
            document = opening.startswith(b"[") or (
                opening.startswith(b"{") and not _is_line(file.readline(LONGEST_LINE), path.suffix.lower() == ".json")
            )
    except OSError:
        return "jsonl"  # Its reader says what is wrong.
    return "coco" if document else "jsonl"


def _is_line(first: bytes, spread: bool) -> bool:
    """Whether the first line of a file is an answer of ours or anyone's, not the beginning of one JSON document."""
    if first.lstrip(b"\xef\xbb\xbf").startswith(OPENINGS):
        return True
    try:
        plain = json_value(decoded(first, ""), "")
    except SourceError:
        return not spread  # Torn: the reader of lines says so.
    known = {"provenance", "study_id", *ID_FIELDS, *ANSWER_FIELDS, *REFERENCE_FIELDS}
    return isinstance(plain, dict) and bool(known & plain.keys())


def read_answers(path: str | Path, form: Form = "auto") -> tuple[Provenance | None, list[ForeignAnswer]]:
    """The answers of a file and its provenance line, if it is one of ours. Raises SourceError naming the line."""
    path = Path(path)
    known_form = form_of(path, form)
    provenance: Provenance | None = None
    answers: list[ForeignAnswer] = []
    shared: dict[str, str] = {}
    rows = {"coco": _coco_rows, "csv": table_rows, "jsonl": _json_rows}[known_form](path)
    for where, row in rows:
        if "provenance" in row and not answers:
            provenance = provenance_of(row, where)
            continue
        answer = _answer(row, where)
        more = (
            {name: row[name] for name in OUR_FIELDS if row.get(name) not in (None, "")} if known_form == "jsonl" else {}
        )
        answers.append(ForeignAnswer(_name(row, where), shared.setdefault(answer, answer), where, more))
    if not answers:
        raise SourceError("holds no answers.", where=path, remedy="Give the file of a model's answers.")
    return provenance, answers


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in lines(path):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, json_line(line, where)


def _coco_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    plain = document(path)
    rows = _listed(plain) if isinstance(plain, dict) else plain
    if not isinstance(rows, list):
        keyed = keyed_rows(plain, path)
        if keyed is None:
            raise SourceError("is not a COCO result file.", where=path, remedy=COCO_FORMS)
        yield from keyed
        return
    for number, row in enumerate(rows, start=1):
        where = f"{path}, result {number}"
        if not isinstance(row, dict):
            raise SourceError("a result must be an object.", where=where, remedy="It has image_id and caption.")
        if "image_id" in row:  # A result's own `id` is a running number.
            row = {**row, "case_id": row["image_id"]}
        yield where, row


def _listed(plain: Mapping[str, Any]) -> Any:
    """The results of a document that has them under a name: `annotations`, or any but `images` that lists ids."""
    lists = (
        rows
        for name, rows in plain.items()
        if name != "images"
        and isinstance(rows, list)
        and rows
        and all(isinstance(row, dict) and any(field in row for field in ID_FIELDS) for row in rows)
    )
    return plain["annotations"] if "annotations" in plain else next(lists, None)


def _name(row: Mapping[str, Any], where: str) -> str:
    if any(name in row for name in ID_FIELDS):
        return identifier(first_of(row, ID_FIELDS), where)
    name = pair_name(row, where)
    if name is None:
        raise SourceError(
            f"no id among {', '.join(row) or 'no fields'}.",
            where=where,
            remedy=f"Name it {' or '.join(ID_FIELDS)}, or give study_id, ref_id and question.",
        )
    return name


def _answer(row: Mapping[str, Any], where: str) -> str:
    if not any(name in row for name in ANSWER_FIELDS):
        raise SourceError(
            f"no answer among {', '.join(row) or 'no fields'}.",
            where=where,
            remedy=f"Name it {' or '.join(ANSWER_FIELDS)}. One JSON document, as of the COCO tools, is read with "
            "--format coco.",
        )
    answer = one_text(first_of(row, ANSWER_FIELDS), "answer", where)
    if not isinstance(answer, str) or answer.strip() in ("nan", "NaN", "<NA>"):
        raise SourceError(
            f"the answer is {answer!r}, {'not text' if isinstance(answer, int | list | dict) else 'a missing value'}.",
            where=where,
            remedy="An answer is text; write an empty answer as an empty text. It counts as unreadable.",
        )
    return answer


# --- joining -----------------------------------------------------------------------------------------------------


def join(
    answers: list[ForeignAnswer], table: ReferenceTable, where: str | Path, *, split: str = "", partial: bool = False
) -> tuple[list[Prediction], list[str]]:
    """Answers with their question and reference, and what must be said of them.

    Every case of the kinds and split that are answered must be answered, and nothing else: with `partial` the rest
    is left out and counted in a note. split: the split that is scored; by default the one the answers are of.
    Raises SourceError on ids that are unknown, repeated, of several cases, or missing.
    """
    joined, unknown = _joined(answers, table)
    split = split or _split_of(joined, table, where)
    scored = [(answer, case) for answer, case in joined if not split or case.split == split]
    unknown += [answer.name for answer, case in joined if split and case.split != split]
    among = f"{table.path.name}{f' ({split})' if split else ''}"
    notes = list(table.notes)
    if unknown:
        what = f"{len(unknown)} of {len(answers)} answers are to no case of {among}"
        _refuse_or_note(what, unknown, table, where, partial, notes)
    scored, repeated = _each_once(scored)
    if repeated:
        notes.append(f"{repeated} answers are to a repeated row of {table.path.name}; the first of each is scored")
    predictions = _predictions(scored)
    answered = {prediction.case_id for prediction in predictions if prediction.condition == "given"}
    kinds = {case.kind for _, case in scored}
    wanted = [case.case_id for case in table.cases if case.kind in kinds and (not split or case.split == split)]
    missing = [case_id for case_id in wanted if case_id not in answered]
    if missing:
        what = f"{len(missing)} of {len(wanted)} cases of {among} are not answered"
        _refuse_or_note(what, missing, table, where, partial, notes)
    if not scored:
        raise SourceError(f"no answer is to a case of {among}.", where=where, remedy="Check the ids.")
    return predictions, notes


def _joined(answers: list[ForeignAnswer], table: ReferenceTable) -> tuple[list[JoinedAnswer], list[str]]:
    """Answers with their case, and the names of those that have none."""
    joined, unknown = [], []
    for answer in answers:
        index = table.index.get(answer.name)
        if index == -1:
            raise SourceError(
                f"the id {answer.name} means several cases of {table.path.name}.",
                where=answer.where,
                remedy="Add the question: study_id, ref_id and question name a case.",
            )
        if index is None:
            unknown.append(answer.name)
        else:
            joined.append((answer, table.cases[index]))
    return joined, unknown


def _split_of(joined: list[JoinedAnswer], table: ReferenceTable, where: str | Path) -> str:
    splits = sorted({case.split for _, case in joined})
    if len(splits) > 1:
        raise SourceError(
            f"answers cases of several splits of {table.path.name}: {', '.join(name or 'none' for name in splits)}.",
            where=where,
            remedy="Say which is scored with --split, and --partial to leave the others out.",
        )
    return splits[0] if splits else ""


def _refuse_or_note(
    what: str, names: list[str], table: ReferenceTable, where: str | Path, partial: bool, notes: list[str]
) -> None:
    """An error that shows ids of both sides, or with `partial` a note."""
    if partial:
        notes.append(f"{what}; they were left out")
        return
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    raise SourceError(
        f"{what}: {shown}.",
        where=where,
        remedy=f"Ids there look like {table.cases[0].case_id!r}. With --partial the rest is scored, and the gap noted. "
        "Answers to pairs turned round in time belong to the prepared folder, not to the published CSV.",
    )


def _each_once(joined: list[JoinedAnswer]) -> tuple[list[JoinedAnswer], int]:
    """One answer per case where rows of the reference are the same case under two names; a name given twice stays, and
    is refused later."""
    names: dict[tuple[str, str], str] = {}
    once = [
        (answer, case)
        for answer, case in joined
        if names.setdefault((case.case_id, answer.more.get("condition", "given")), answer.name) == answer.name
    ]
    return once, len(joined) - len(once)


def _predictions(joined: list[JoinedAnswer]) -> list[Prediction]:
    answered = AnsweredKeys()
    predictions = []
    for answer, case in joined:
        plain = {
            "case_id": case.case_id,
            "patient_id": case.patient_id,
            "kind": case.kind,
            "question": case.question,
            "answer": answer.answer,
            "reference": case.reference,
            "tags": list(case.tags),
            **answer.more,
        }
        prediction = prediction_of(plain, answer.where)
        answered.add(prediction.case_id, prediction.condition, answer.where, answer.where)
        predictions.append(prediction)
    return predictions


def with_table(provenance: Provenance | None, table: ReferenceTable, split: str) -> Provenance:
    """What a file says of itself, completed from the table: the training answers, for the floors, above all."""
    known = provenance or Provenance()
    return replace(
        known,
        source=known.source or table.source,
        split=known.split or split,
        simulated=known.simulated or table.simulated,
        protocol=known.protocol or table.protocol,
        training_answers=known.training_answers or table.training_answers(),
    )
