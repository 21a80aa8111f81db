"""MI-CXR: what happens to a finding over five films of one patient of MIMIC-CXR-JPG, as pairs of neighbouring films.

**Size.** 5,311 five-way multiple-choice questions, for testing: when something comes or goes (TEL), what changes in
an interval (ICR), and the whole course (GTS).
**Labels.** Made from the scene graphs of MIMIC-Ext-CXR-QBA.
**Access.** https://github.com/AIDASLab/MI-CXR; the films are those of MIMIC-CXR-JPG (PhysioNet, credentialed). No
licence is named.
**Cite.** Cho et al., Findings of ACL 2026, arXiv:2605.15574.
**Defects handled.** `q_id` in the file where its README says `qid`; findings that the answers have no word for; two
courses of one finding on one pair; films that are not five of one patient; pairs in the wrong order by the metadata.
**Not handled.** Questions over all five films (GTS, "first disappears and then reappears", "none of the statements is
true") are not asked of two films: they are counted. `score --reference micxr_test.jsonl` scores answers to them.

Of TEL a right answer that names an interval says that the finding is new, or resolved, between its two films; of ICR
the right statement is read as a free answer is. All that is said of one pair becomes one case (`courses.py`).

ROOT holds `mi-cxr/` with `micxr_test.jsonl`, and `mimic-cxr-jpg/`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from intervalchange.answers import read_answer
from intervalchange.choices import options_in
from intervalchange.data.readers import mimic_files, mimic_studies
from intervalchange.data.readers.benchmark_rows import Film, Row, in_time, mimic_films, need_fields, read_rows
from intervalchange.data.readers.cases import ORDER_UNKNOWN
from intervalchange.data.readers.courses import by_pair, course_case
from intervalchange.data.readers.folders import family_root, named
from intervalchange.data.readers.source import Source
from intervalchange.errors import SourceError

TABLE = "micxr_test.jsonl"
WHERE = f"Fetch {TABLE} from https://github.com/AIDASLab/MI-CXR (it names Hugging Face) into ROOT/mi-cxr."
FIELDS = ("group_type", "images", "question", "choices", "answer")
VISITS = 5
COMES_OR_GOES = {"new appearance": "added", "disappearance": "missing"}
_EVENT = re.compile(r"does (.+?) (?:first |second )?(new appearance|disappearance) occur", re.IGNORECASE)
_INTERVAL = re.compile(r"T(\d)\s*(?:\u2192|->)\s*T(\d)")
_STATEMENT = re.compile(r"between T(\d) and T(\d),?\s*(.+)", re.IGNORECASE | re.DOTALL)
_VISIT = re.compile(r"\bT\d\b")
_COURSE_QUESTION = "what has changed?"

Pair = tuple[Film, Film]


def read(root: Path, images: Path | None = None, reports: Path | None = None, tables_only: bool = False) -> Source:
    """Read the pairs (and the report texts, unless tables_only). images, reports: where these are, if not in ROOT."""
    notes: Counter[str] = Counter()
    root = family_root(root, notes)
    paths = mimic_files.locate_films(root, images, reports, expected="mi-cxr and mimic-cxr-jpg")
    path = named(root / "mi-cxr", TABLE)
    if not path.is_file():
        raise SourceError(f"there is no {TABLE}.", where=root / "mi-cxr", remedy=WHERE)
    rows = read_rows(path, WHERE)
    need_fields(rows, FIELDS, path, f"The fields are q_id, qtype, {', '.join(FIELDS)}. {WHERE}")
    courses = by_pair(_said(rows, notes), notes)
    films = mimic_studies.named_films(paths, {film[2]: film[:2] for pair in courses for film in pair}, notes)
    studies = mimic_studies.as_studies(paths, films, notes, tables_only)
    cases = []
    for (first, second), own in courses.items():
        if first[2] not in films or second[2] not in films:
            notes["pairs with a film that is not frontal (skipped)"] += 1
            continue
        order = in_time(films, first, second, notes)
        if order < 0:
            notes["pairs against the time of the metadata (skipped)"] += 1
            continue
        tags = () if order else (ORDER_UNKNOWN,)
        cases.append(course_case(studies[first[2]], studies[second[2]], first[0], "test", own, tags))
    if not cases:
        raise SourceError("no pair could be used.", where=path, remedy=f"Noted: {dict(+notes)}. {WHERE}")
    return Source("mi_cxr", "", paths.images, cases, dict(+notes), simulated=paths.simulated)


def _said(rows: list[Row], notes: Counter[str]) -> Iterator[tuple[Pair, str, str]]:
    """Pair, finding and course of each right answer that is about one interval."""
    for row in rows:
        films = mimic_films(row.get("images"))
        if len(films) != VISITS or len({film[0] for film in films}) != 1:
            notes["rows that do not name five films of one patient (skipped)"] += 1
            continue
        right = options_in(row).get(str(row.get("answer")).strip().upper(), "")
        group = str(row.get("group_type"))
        found = _event(str(row.get("question")), right) if group == "TEL" else []
        said = _STATEMENT.fullmatch(right.strip()) if group == "ICR" else None
        if said is not None and not _VISIT.search(said[3]):
            found = _statement(said, notes)
        elif not found:
            notes[f"questions over all films, {group} (not asked of a pair)"] += 1
        for (start, end), finding, course in found:
            if 1 < end == start + 1 <= VISITS:
                yield (films[start - 1], films[end - 1]), finding, course


def _event(question: str, right: str) -> list[tuple[tuple[int, int], str, str]]:
    """Interval, finding, course of an event that is located in time."""
    event, interval = _EVENT.search(question), _INTERVAL.search(right)
    if event is None or interval is None:
        return []
    return [((int(interval[1]), int(interval[2])), event[1], COMES_OR_GOES[event[2].lower()])]


def _statement(said: re.Match[str], notes: Counter[str]) -> list[tuple[tuple[int, int], str, str]]:
    """The same of a statement about one interval, where it is read in full."""
    answer = read_answer(said[3], _COURSE_QUESTION)
    if answer.unread or answer.unsure or not answer.change.courses:
        notes["statements about an interval that could not be read (left out)"] += 1
        return []
    interval = (int(said[1]), int(said[2]))
    return [(interval, finding, course) for course, finding in sorted(answer.change.courses)]
