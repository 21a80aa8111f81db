"""A filed report gives back the change that was filed, or says why it does not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from filed import CHANGE, CONFIDENCE, answered, filing, film, saved
from hypothesis import given, settings
from hypothesis import strategies as st

import intervalchange as ic
from intervalchange.archive import codes
from intervalchange.archive.read_report import read_report, whole_report
from intervalchange.archive.structured_report import structured_report
from intervalchange.errors import InputError
from intervalchange.findings import FINDINGS, LEVELS
from intervalchange.inference import NOT_SURE
from intervalchange.records import Change

FINDING, LEVEL = st.sampled_from(FINDINGS), st.sampled_from(LEVELS)
CHANGES = st.builds(
    Change.of,
    added=st.sets(FINDING, max_size=2),
    missing=st.sets(FINDING, max_size=2),
    levels=st.sets(st.tuples(FINDING, LEVEL, LEVEL), max_size=2),
)
FILING = filing()


def reloaded(data: pydicom.Dataset) -> pydicom.Dataset:
    """Through the bytes of a file."""
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(buffer.getvalue()))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(CHANGES)
def test_nothing_is_lost(change: Change) -> None:
    evidence = {finding: np.eye(4, dtype=np.float32) for finding in change.added}
    assert read_report(reloaded(structured_report(answered(change, evidence=evidence), FILING))) == change


@pytest.mark.slow
def test_the_whole_vocabulary_comes_back() -> None:
    half = FINDINGS[:15]
    pairs = zip(FINDINGS, LEVELS, LEVELS[::-1], strict=False)
    change = Change.of(added=half, missing=set(FINDINGS) - set(half), levels=pairs)
    assert read_report(reloaded(structured_report(answered(change), FILING))) == change


def test_all_of_the_report(tmp_path: Path) -> None:
    answer = answered(warnings=("prior: blurred", "current: turned (R\\F)"))
    report = whole_report(saved(structured_report(answer, FILING), tmp_path / "sr.dcm"))
    assert (report.change, report.unsure) == (CHANGE, False)
    assert (report.question, report.answer) == (answer.prediction.question, answer.prediction.answer)
    assert (report.model, report.why, report.warnings) == ("run", "the latest one", answer.prediction.warnings)
    assert report.confidence == {name: value for name, value in CONFIDENCE.items() if name != "added:atelectasis"}


def test_it_is_offered_by_the_package(tmp_path: Path) -> None:
    assert ic.read_report(saved(structured_report(answered(), FILING), tmp_path / "sr.dcm")) == CHANGE


def test_no_change_is_a_change() -> None:
    assert read_report(structured_report(answered(Change()), FILING)) == Change()


def test_an_abstention_is_not_read_as_no_change() -> None:
    filed = structured_report(answered(warnings=("abstained",)), FILING)
    with pytest.raises(InputError, match=r"not sure.*whole_report"):
        read_report(filed)
    report = whole_report(filed)
    assert (report.change, report.unsure, report.answer) == (None, True, NOT_SURE)


def test_an_answer_to_another_question_has_no_change() -> None:
    with pytest.raises(InputError, match="no question of change"):
        read_report(structured_report(answered(None, answer="yes"), FILING))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other"
    with pytest.raises(InputError, match=r"other: it cannot be read .*Check the path"):
        read_report(path)
    path.write_text("no DICOM", encoding="utf-8")
    with pytest.raises(InputError, match=r"other: this is no DICOM file.*that intervalchange wrote"):
        read_report(path)
    path.write_bytes(film())
    with pytest.raises(InputError, match=r"other: this is no Comprehensive SR"):
        read_report(path)
    foreign = structured_report(answered(), FILING)
    foreign.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator = "99OTHER"
    with pytest.raises(InputError, match="not written by intervalchange"):
        read_report(saved(foreign, path))


def test_a_report_that_was_cut_short_is_never_read_as_another(tmp_path: Path) -> None:
    path = saved(structured_report(answered(), FILING), tmp_path / "sr.dcm")
    data = path.read_bytes()
    for end in range(200, len(data) - 60, 401):
        path.write_bytes(data[:end])
        with pytest.raises(InputError):
            read_report(path)


def test_a_group_that_was_lost_or_changed_is_noticed() -> None:
    def measurements(report: pydicom.Dataset) -> pydicom.Dataset:
        return next(
            item
            for item in report.ContentSequence
            if item.ConceptNameCodeSequence[0].CodeValue == codes.IMAGING_MEASUREMENTS.value
        )

    emptied = reloaded(structured_report(answered(), FILING))
    emptied.ContentSequence.remove(measurements(emptied))
    with pytest.raises(InputError, match="damaged"):
        read_report(emptied)
    changed = reloaded(structured_report(answered(), FILING))
    for item in measurements(changed).ContentSequence[0].ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue == codes.FINDING.value:
            item.ConceptCodeSequence[0].CodeValue = "1"
    with pytest.raises(InputError, match="damaged"):
        read_report(changed)
