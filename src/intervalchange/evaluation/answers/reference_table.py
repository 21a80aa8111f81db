"""Questions with their reference answers: the table that answers of any model are joined to, by id.

Read are a prepared folder (its `cases.parquet`), the `mimic_pair_questions.csv` of Medical-Diff-VQA, COCO caption
annotations, and a CSV or JSON lines with an id and a reference (with options it is a choice: so MI-CXR is published).
Rows of the `train` split feed the floors.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intervalchange.cells import plain_id, present
from intervalchange.choices import lettered, options_in
from intervalchange.errors import SourceError
from intervalchange.evaluation.answers.json_lines import decoded, json_line, json_value, lines
from intervalchange.evaluation.metrics.change import read_any
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.records import CHOICE

LARGEST_FILE = 1 << 29
"""Bytes of a file that must be read at once (JSON that is not JSON lines)."""
ID_FIELDS = ("case_id", "image_id", "question_id", "pair_id", "sample_id", "qid", "q_id", "id")
REFERENCE_FIELDS = ("reference", "ground_truth", "gt", "target", "answer", "caption", "label")
PATIENT_FIELDS = ("patient_id", "subject_id", "patient")
KIND_FIELDS = ("kind", "question_type")
DIFF_VQA = frozenset(("study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split"))
"""Columns of mimic_pair_questions.csv."""
TRAIN = "train"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReferenceCase:
    """A question with its answer."""

    case_id: str
    patient_id: str
    kind: str
    question: str
    reference: str
    split: str = ""
    tags: tuple[str, ...] = ()


@dataclass
class ReferenceTable:
    """The cases, and every name by which a prediction may mean one of them."""

    path: Path
    source: str
    cases: list[ReferenceCase] = field(default_factory=list, repr=False)
    index: dict[str, int] = field(default_factory=dict, repr=False)
    """Name -> index in `cases`; -1 for a name of several."""
    simulated: bool = False
    protocol: str = ""
    """`published` of a folder prepared so."""
    notes: list[str] = field(default_factory=list)

    def add(self, case: ReferenceCase, names: Iterable[str] = ()) -> bool:
        """Add a case under its id and other names; False where its id is already known, which gets the names too."""
        index = self.index.get(case.case_id, len(self.cases))
        fresh = index == len(self.cases)
        if fresh:
            self.cases.append(case)
        for name in (case.case_id, *names):
            if self.index.setdefault(name, index) != index:
                self.index[name] = -1
        return fresh

    def training_answers(self) -> dict[str, dict[str, int]]:
        """Question -> answer -> how often, over the cases of the train split."""
        found: dict[str, Counter[str]] = {}
        for case in self.cases:
            if case.split == TRAIN:
                found.setdefault(case.question, Counter())[case.reference] += 1
        return {question: dict(counts) for question, counts in found.items()}


# --- fields ------------------------------------------------------------------------------------------------------


def identifier(value: Any, where: str) -> str:
    """An id as text; 7, 7.0 and "7.0" are one id, as tables that pass through floats need. Raises SourceError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not present(text):
        raise SourceError(
            f"the id is {value!r}.", where=where, remedy="Give every answer the id of its case, as text or number."
        )
    return plain_id(text)


def first_of(row: Row, names: Sequence[str]) -> Any:
    """The value of the first of these fields that the row has; None where it has none."""
    return next((row[name] for name in names if name in row), None)


def one_text(value: Any, what: str, where: str) -> Any:
    """The text of a list of one, as the COCO tools write a caption: ["..."] or [{"caption": "..."}]; any other value as
    it is. Raises SourceError for a list of several."""
    if not isinstance(value, list):
        return value
    if len(value) != 1:
        raise SourceError(
            f"the {what} is a list of {len(value)} texts.",
            where=where,
            remedy=f"Give one {what} per case, as text or as a list of one: only one is scored.",
        )
    text = value[0]
    return first_of(text, ("caption", "text", "answer")) if isinstance(text, dict) else text


def keyed_rows(plain: Any, path: Path) -> list[tuple[str, dict[str, Any]]] | None:
    """(where, row) of pycocoevalcap's own form, {"1": ["..."]}: id -> text, or list of texts. None for another form."""
    if not isinstance(plain, dict) or not plain or not all(isinstance(text, str | list) for text in plain.values()):
        return None
    return [(f"{path}, id {name}", {"case_id": name, "caption": text}) for name, text in plain.items()]


def pair_name(row: Row, where: str) -> str | None:
    """A name made of study_id, ref_id and question, for a file without an id; None without a study_id."""
    if "study_id" not in row:
        return None
    parts = [identifier(row[name], where) for name in ("study_id", "ref_id") if row.get(name) not in (None, "")]
    question = row.get("question")
    return "|".join([*parts, str(question).strip().lower()]) if question else "-".join(parts)


def table_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(where, row) of a CSV or TSV, column names in lower case. Raises SourceError on a row of another length."""
    separator = "\t" if path.suffix.lower() == ".tsv" else ","

    def texts() -> Iterator[str]:
        for number, line in lines(path):
            yield decoded(line, f"{path}, line {number}")

    reader = csv.reader(texts(), delimiter=separator, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if not names:
            raise SourceError("is empty.", where=path, remedy="Give a table with a line of column names.")
        for values in reader:
            if not values:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(values) != len(names):
                raise SourceError(
                    f"has {len(values)} values for {len(names)} columns.",
                    where=where,
                    remedy="Put text with commas in quotation marks.",
                )
            yield where, dict(zip(names, values, strict=True))
    except csv.Error as error:
        raise SourceError(
            f"not a valid table ({error}).",
            where=f"{path}, line {reader.line_num}",
            remedy="Check its quotation marks.",
        ) from None


def document(path: Path) -> Any:
    """A JSON document read at once. Raises SourceError, also on one that would fill the memory."""
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise SourceError(
                f"is {size:,} bytes in one document; the limit is {LARGEST_FILE:,}.",
                where=path,
                remedy="Write JSON lines, one answer per line.",
            )
        return json_value(decoded(path.read_bytes(), path), path)
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror}).", where=path, remedy="Check the path.") from None


# --- sources -----------------------------------------------------------------------------------------------------


def read_reference(path: str | Path) -> ReferenceTable:
    """The table of a file or prepared folder, by its content. Raises SourceError."""
    path = Path(path)
    if path.is_dir():
        path = path / "cases.parquet"
    if not path.exists():
        raise SourceError(
            "does not exist.",
            where=path,
            remedy="Give a prepared folder, mimic_pair_questions.csv, COCO annotations or a CSV with references.",
        )
    readers: dict[str, Callable[[Path], ReferenceTable]] = {
        ".parquet": _prepared,
        ".json": _coco,
        ".csv": _table,
        ".tsv": _table,
        ".jsonl": _json_lines,
    }
    if path.suffix.lower() not in readers:
        raise SourceError(
            f"references are not read from {path.suffix or 'a file without a suffix'}.",
            where=path,
            remedy=f"Give one of {', '.join(readers)}, or a prepared folder.",
        )
    table = readers[path.suffix.lower()](path)
    if not table.cases:
        raise SourceError("holds no references.", where=path, remedy="Give the file with the reference answers.")
    table.simulated = table.simulated or any((folder / "SIMULATED").exists() for folder in list(path.parents)[:2])
    return table


def _prepared(path: Path) -> ReferenceTable:
    import pandas as pd

    needed = ["case_id", "patient_id", "kind", "question", "answer", "split", "tags"]
    try:
        rows = pd.read_parquet(path, columns=needed)
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(
            f"is not the table of a prepared folder ({error}).", where=path, remedy="Run `prepare` again."
        ) from None
    table = ReferenceTable(path, "prepared")
    manifest = path.with_name("manifest.json")
    if manifest.exists():
        plain = json.loads(manifest.read_text(encoding="utf-8"))
        table.source, table.simulated = str(plain.get("source", "prepared")), bool(plain.get("simulated"))
        table.protocol = str(plain.get("protocol", ""))
    for row in rows.itertuples(index=False):
        case = ReferenceCase(
            row.case_id, row.patient_id, row.kind, row.question, row.answer, row.split, tuple(map(str, row.tags))
        )
        short = case.case_id.removesuffix("-difference")
        table.add(case, (short, short.replace("-", "_")) if case.kind == "difference" else ())
    return table


def _table(path: Path) -> ReferenceTable:
    rows = table_rows(path)
    first = next(rows, None)
    if first is None:
        return ReferenceTable(path, path.name)
    chained = itertools.chain([first], rows)
    return _diff_vqa(path, chained) if set(first[1]) >= DIFF_VQA else _records(path, chained)


def _json_lines(path: Path) -> ReferenceTable:
    numbered = ((f"{path}, line {number}", line) for number, line in lines(path) if line.strip())
    rows = ((where, json_line(line, where)) for where, line in numbered)
    return _records(path, ((where, row) for where, row in rows if "provenance" not in row))


def _same(case: ReferenceCase, repeated: ReferenceCase) -> bool:
    """Equal answers; the order of a list of findings carries no meaning."""
    if case.reference.strip().lower() == repeated.reference.strip().lower():
        return True
    first, second = read_any(case.reference), read_any(repeated.reference)
    return case.kind == "difference" and not first.unread and not second.unread and first.change == second.change


def _diff_vqa(path: Path, rows: Iterable[tuple[str, Row]]) -> ReferenceTable:
    """Rows as they stand: study_id is the main film. Pairs keep their order in time."""
    table = ReferenceTable(path, "medical-diff-vqa")
    repeated = differing = 0
    for where, row in rows:
        study, kind = identifier(row["study_id"], where), row["question_type"].strip()
        name = pair_name(row, where)
        if kind == "difference":
            pair = f"{study}-{identifier(row['ref_id'], where)}"
            names = [pair, pair.replace("-", "_")]
            case_id = f"{pair}-difference"
        else:
            names, case_id = [f"{study}|{row['question'].strip().lower()}"], f"{study}-{kind}-{row['question'].strip()}"
        patient = identifier(row["subject_id"], where)
        case = ReferenceCase(case_id, patient, kind, row["question"], row["answer"], row["split"].strip())
        if not table.add(case, [*names, *([name] if name else [])]):
            repeated += 1
            differing += not _same(table.cases[table.index[case_id]], case)
    if repeated:
        table.notes.append(f"{repeated} rows of {path.name} repeat a question; the first is kept ({differing} differ)")
    return table


def _records(path: Path, rows: Iterable[tuple[str, Row]]) -> ReferenceTable:
    table = ReferenceTable(path, path.name)
    for where, row in rows:
        written = first_of(row, ID_FIELDS)
        case_id = pair_name(row, where) if written is None else identifier(written, where)
        reference = one_text(first_of(row, REFERENCE_FIELDS), "reference", where)
        if case_id is None or not isinstance(reference, str):
            raise SourceError(
                "has no id or no reference.",
                where=where,
                remedy=f"Name the columns {' or '.join(ID_FIELDS)}, and {' or '.join(REFERENCE_FIELDS)}.",
            )
        patient = first_of(row, PATIENT_FIELDS) or _patient_of_films(row)
        options = options_in(row)
        case = ReferenceCase(
            case_id,
            case_id if patient in (None, "") else identifier(patient, where),
            CHOICE if options else str(first_of(row, KIND_FIELDS) or "difference"),
            lettered(str(row.get("question") or DIFFERENCE_QUESTION), options),
            reference,
            str(row.get("split") or ""),
        )
        _once(table, case, where)
    _note_patients(table)
    return table


def _patient_of_films(row: Row) -> str | None:
    """The patient in the paths of films of MIMIC-CXR-JPG, as benchmarks on it name them; None where there are none."""
    films = row.get("images")
    found = re.search(r"\bp(\d{8})/s\d{8}/", json.dumps(films)) if isinstance(films, dict | list) else None
    return found[1] if found else None


def _once(table: ReferenceTable, case: ReferenceCase, where: str) -> None:
    if not table.add(case) and not _same(table.cases[table.index[case.case_id]], case):
        raise SourceError(
            f"case {case.case_id} has two references.", where=where, remedy="Keep one reference per case."
        )


def _note_patients(table: ReferenceTable) -> None:
    if table.cases and all(case.patient_id == case.case_id for case in table.cases):
        table.notes.append(f"{table.path.name} names no patients: intervals are by case, and too narrow")


def _coco(path: Path) -> ReferenceTable:
    plain = document(path)
    annotations = plain.get("annotations") if isinstance(plain, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(row, dict) for row in annotations):
        keyed = keyed_rows(plain, path)
        if keyed is not None:
            return _records(path, keyed)
        raise SourceError(
            "is not a COCO caption file.",
            where=path,
            remedy='It holds {"images": [...], "annotations": [...]}, or {"1": ["..."]}: id and reference.',
        )
    images = {row.get("id"): row for row in plain.get("images", []) if isinstance(row, dict)}
    rows = []
    for number, row in enumerate(annotations, start=1):
        row = {**images.get(row.get("image_id"), {}), **row}
        rows.append((f"{path}, annotation {number}", {**row, "case_id": row.get("image_id")}))
    return _records(path, rows)
