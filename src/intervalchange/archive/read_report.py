"""A structured report that was filed here -> the change it says, from its codes alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ComprehensiveSRStorage

from intervalchange.archive import codes
from intervalchange.data.dicom import silenced
from intervalchange.errors import InputError
from intervalchange.records import Change, LevelChange

OURS = "Give a structured report that intervalchange wrote."
AGAIN = "Fetch the report again from the archive."
FINDING_OF = {(coded.code, coded.site): finding for finding, coded in codes.FINDINGS.items()}
LEVEL_OF = {code: level for level, code in codes.LEVELS.items()}
WAYS = {
    codes.NEW: "added",
    codes.RESOLVED: "missing",
    **dict.fromkeys((codes.WORSE, codes.BETTER, codes.OTHER_LEVEL), "level"),
}


@dataclass(frozen=True)
class Report:
    """What was filed of an answer."""

    question: str
    answer: str
    """As a reader sees it: "I am not sure." where the model abstained."""
    model: str
    why: str
    """Why this prior film was chosen, where that is said."""
    warnings: tuple[str, ...]
    unsure: bool
    change: Change | None
    """None where the model was not sure, and for a question that is not about change."""
    confidence: Mapping[str, float]
    """As in `Prediction`: `answer`, and `added:`, `missing:` or `level:` with the finding. To six digits."""


def read_report(report: str | Path | Dataset) -> Change:
    """The change of a structured report: exactly the one that was filed.

    Raises InputError for a file that was not written here or is damaged, and where no change was filed, because the
    model was not sure or the question was another one (`whole_report` reads those too).
    """
    found = whole_report(report)
    if found.change is None:
        what = (
            "the model was not sure, so that no change was filed."
            if found.unsure
            else "it answers no question of change."
        )
        raise InputError(
            what, where=_name(report), remedy="Read it with intervalchange.archive.read_report.whole_report."
        )
    return found.change


def whole_report(report: str | Path | Dataset) -> Report:
    """All that was filed of an answer. Raises InputError for a file that was not written here or is damaged."""
    where = _name(report)
    data = report if isinstance(report, Dataset) else _opened(Path(report))
    try:
        with silenced():
            _check_ours(data, where)
            return _read(data)
    except InputError:
        raise
    except Exception as problem:  # a foreign parser fails in every way there is; its message may quote the header
        raise InputError(
            f"the report is damaged or cut short ({type(problem).__name__}).", where=where, remedy=AGAIN
        ) from None


def _name(report: str | Path | Dataset) -> str | None:
    return None if isinstance(report, Dataset) else str(report)


def _opened(path: Path) -> Dataset:
    try:
        with silenced():
            return pydicom.dcmread(path)
    except OSError as problem:
        raise InputError(f"it cannot be read ({problem.strerror}).", where=path, remedy="Check the path.") from None
    except Exception:
        raise InputError("this is no DICOM file.", where=path, remedy=OURS) from None


def _check_ours(data: Dataset, where: str | None) -> None:
    if data.get("SOPClassUID") != ComprehensiveSRStorage:
        raise InputError("this is no Comprehensive SR.", where=where, remedy=OURS)
    schemes = {item.get("CodingSchemeDesignator") for item in data.get("CodingSchemeIdentificationSequence") or ()}
    if codes.SCHEME not in schemes or _code(data.ConceptNameCodeSequence[0]) != codes.REPORT_TITLE:
        raise InputError("this report was not written by intervalchange.", where=where, remedy=OURS)


def _read(data: Dataset) -> Report:
    evaluations = _one(data, codes.EVALUATIONS)
    texts = {name: _texts(evaluations, name) for name in (codes.QUESTION, codes.ANSWER, codes.MODEL, codes.NOTICE)}
    if any(len(found) != 1 for found in texts.values()):
        raise ValueError("what every report has is not there")
    groups = [group for container in _named(data, codes.IMAGING_MEASUREMENTS) for group in container.ContentSequence]
    items = [_item(group) for group in groups]
    whole = [_code(item.ConceptCodeSequence[0]) for item in _named(evaluations, codes.DIFFERENCE)]
    if len(whole) > 1 or bool(items) != (whole == [codes.CHANGED]):
        raise ValueError("the parts contradict each other")
    confidence = (
        {} if not (certainty := _probability(evaluations, codes.CERTAINTY_OF_ANSWER)) else {"answer": certainty[0]}
    )
    for item, group in zip(items, groups, strict=True):
        confidence |= {f"{item[0]}:{item[1]}": value for value in _probability(group, codes.CERTAINTY)}
    return Report(
        question=texts[codes.QUESTION][0],
        answer=texts[codes.ANSWER][0],
        model=texts[codes.MODEL][0],
        why="".join(_texts(evaluations, codes.WHY)),
        warnings=tuple(_texts(evaluations, codes.WARNING)),
        unsure=whole == [codes.UNSURE],
        change=_change(items) if whole in ([codes.CHANGED], [codes.NO_CHANGE]) else None,
        confidence=confidence,
    )


def _change(items: list[tuple[str, ...]]) -> Change:
    return Change(
        frozenset(item[1] for item in items if item[0] == "added"),
        frozenset(item[1] for item in items if item[0] == "missing"),
        frozenset(LevelChange(*item[1:]) for item in items if item[0] == "level"),
    )


def _item(group: Dataset) -> tuple[str, ...]:
    """As in `Change.items`. Raises KeyError for a code that is not in the table."""
    finding = FINDING_OF[_value(group, codes.FINDING), _value(group, codes.FINDING_SITE)]
    way = WAYS[_value(group, codes.DIFFERENCE)]
    if way != "level":
        return way, finding
    return way, finding, LEVEL_OF[_value(group, codes.PRIOR_LEVEL)], LEVEL_OF[_value(group, codes.CURRENT_LEVEL)]


# --- content items -------------------------------------------------------------------------------------------------


def _code(item: Dataset) -> Code:
    return Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)


def _named(parent: Dataset, name: Code) -> Iterator[Dataset]:
    return (item for item in parent.ContentSequence if _code(item.ConceptNameCodeSequence[0]) == name)


def _one(parent: Dataset, name: Code) -> Dataset:
    (item,) = _named(parent, name)
    return item


def _value(parent: Dataset, name: Code) -> Code:
    return _code(_one(parent, name).ConceptCodeSequence[0])


def _texts(parent: Dataset, name: Code) -> list[str]:
    return [str(item.TextValue) for item in _named(parent, name)]


def _probability(parent: Dataset, name: Code) -> list[float]:
    return [round(float(item.MeasuredValueSequence[0].NumericValue) / 100, 6) for item in _named(parent, name)]
