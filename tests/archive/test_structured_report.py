"""What is where in the structured report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filed import CHANGE, COLUMNS, ROWS, answered, filing, film, header, saved
from highdicom import sr
from pydicom.dataset import Dataset

from intervalchange.archive import codes
from intervalchange.archive.structured_report import region, stored_corners, structured_report
from intervalchange.data.films import film_from_file, fit
from intervalchange.errors import InputError
from intervalchange.inference import NOT_SURE
from intervalchange.policy import RESEARCH_USE
from intervalchange.records import Change


def items(parent: Dataset, name: str) -> list[Dataset]:
    return [item for item in parent.ContentSequence if item.ConceptNameCodeSequence[0].CodeMeaning == name]


def values(parent: Dataset) -> dict[str, str]:
    """Concept -> value of the codes, texts and numbers of a container."""
    found = {}
    for item in parent.ContentSequence:
        name = item.ConceptNameCodeSequence[0].CodeMeaning
        if "ConceptCodeSequence" in item:
            found[name] = item.ConceptCodeSequence[0].CodeMeaning
        elif "TextValue" in item:
            found[name] = item.TextValue
        elif "MeasuredValueSequence" in item:
            found[name] = str(item.MeasuredValueSequence[0].NumericValue)
    return found


def groups(report: Dataset) -> list[dict[str, str]]:
    return [values(group) for container in items(report, "Imaging Measurements") for group in container.ContentSequence]


def whole(report: Dataset) -> dict[str, str]:
    (evaluations,) = items(report, "Qualitative Evaluations")
    return values(evaluations)


def references(sequence: list[Dataset]) -> list[str]:
    return [
        instance.ReferencedSOPInstanceUID
        for study in sequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]


def test_each_finding_has_a_group() -> None:
    report = structured_report(answered(), filing())
    added, level, missing = groups(report)
    assert (added["Finding"], added["Finding Site"]) == ("Pleural effusion", "Pleura")
    assert (added["Qualitative Difference"], added["Certainty of Finding"]) == ("new", "75.0")
    assert (added["Presence on the prior film"], added["Presence on the current film"]) == ("Absent", "Present")
    assert (missing["Finding"], missing["Qualitative Difference"]) == ("Pulmonary edema", "Problem resolved")
    assert (missing["Presence on the prior film"], missing["Presence on the current film"]) == ("Present", "Absent")
    assert level["Qualitative Difference"] == "worse"
    assert (level["Severity on the prior film"], level["Severity on the current film"]) == ("Small", "Severe")
    assert (added["Algorithm Name"], added["Algorithm Parameters"]) == ("intervalchange", "abstain at = 0.2")
    assert "atelectasis" not in str(report)  # considered, and not said


@pytest.mark.parametrize(
    ("prior", "current", "course"),
    [
        ("severe", "mild", "better"),
        ("mild", "mildly", codes.OTHER_LEVEL.meaning),
        ("acute", "severe", codes.OTHER_LEVEL.meaning),
        ("moderate", "moderate to large", "worse"),
    ],
)
def test_a_level_goes_a_way(prior: str, current: str, course: str) -> None:
    change = Change.of(levels=[("edema", prior, current)])
    (group,) = groups(structured_report(answered(change), filing()))
    assert group["Qualitative Difference"] == course
    assert group[codes.PRIOR_LEVEL.meaning] == prior and group[codes.CURRENT_LEVEL.meaning] == current


def test_what_is_said_of_the_whole() -> None:
    answer = answered(warnings=("prior: it is blurred",))
    said = whole(structured_report(answer, filing()))
    assert said["Question"] == answer.prediction.question and said["Impression"] == answer.prediction.answer
    assert (said["Qualitative Difference"], said["Certainty of Impression"]) == ("changed", "50.0")
    assert said["Warning"] == "prior: it is blurred" and said["Why this prior film"] == "the latest one"
    assert (said["Model"], said["Notice"]) == ("run", RESEARCH_USE)


def test_the_films_are_cited_where_they_belong() -> None:
    filed = filing()
    report = structured_report(answered(), filed)
    assert references(report.CurrentRequestedProcedureEvidenceSequence) == [filed.current.SOPInstanceUID]
    assert references(report.PertinentOtherEvidenceSequence) == [filed.prior.SOPInstanceUID]
    (library,) = items(report, "Image Library")
    films = library.ContentSequence[0].ContentSequence
    assert [values(item)["Role in the comparison"] for item in films] == ["current film", "prior film"]
    assert report.VerificationFlag == "UNVERIFIED" and report.PreliminaryFlag == "PRELIMINARY"


def test_an_abstention_says_nothing_of_its_leaning() -> None:
    report = structured_report(answered(warnings=("abstained",)), filing())
    assert groups(report) == []
    assert whole(report)["Impression"] == NOT_SURE and whole(report)["Qualitative Difference"] == "Indeterminate"
    assert "effusion" not in str(report) and "abstained" not in str(report)


def test_no_change_has_no_group() -> None:
    report = structured_report(answered(Change()), filing())
    assert groups(report) == []
    assert whole(report)["Qualitative Difference"] == "No change"


def test_a_question_of_something_else_says_nothing_of_change() -> None:
    assert "Qualitative Difference" not in whole(structured_report(answered(None, answer="yes"), filing()))


def test_a_word_without_a_code_is_refused() -> None:
    with pytest.raises(InputError, match="there is no code for 'added cyst'"):
        structured_report(answered(Change.of(added=["cyst"])), filing())


def test_highdicom_finds_the_region(tmp_path: Path) -> None:
    attribution = np.zeros((8, 8), np.float32)
    attribution[2:4, 3:6], attribution[6, 3] = 0.8, 0.9
    report = structured_report(answered(evidence={"pleural effusion": attribution}), filing())
    read = sr.srread(saved(report, tmp_path / "sr.dcm"))
    (group,) = read.content.get_planar_roi_measurement_groups(finding_type=codes.FINDINGS["pleural effusion"].code)
    # A cell is 12 pixels of the film; its square begins 15 pixels left of the film.
    corners = [[21, 24], [57, 24], [57, 48], [21, 48], [21, 24]]
    np.testing.assert_allclose(group.roi.value, corners)
    assert len(read.content.get_image_measurement_groups()) == len(CHANGE.items) - 1


def test_the_region_is_the_largest_part_above_half_the_peak() -> None:
    _, geometry = fit(np.zeros((64, 64), np.float32), 32)
    attribution = np.zeros((4, 4))
    attribution[0, 0], attribution[2:4, 1:3], attribution[2, 3] = 1, 0.5, 0.49
    assert region(attribution, geometry) == (16, 32, 48, 64)


@pytest.mark.parametrize("attribution", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.zeros((0, 0)), np.ones(4)])
def test_a_map_that_shows_nothing_has_no_region(attribution: np.ndarray) -> None:
    _, geometry = fit(np.zeros((64, 64), np.float32), 32)
    assert region(attribution, geometry) is None


def test_a_region_in_the_padding_is_none() -> None:
    _, geometry = fit(np.zeros((ROWS, COLUMNS // 2), np.float32), 32)
    attribution = np.zeros((8, 8))
    attribution[3, 0] = 1
    assert region(attribution, geometry) is None


@pytest.mark.parametrize("orientation", ["", *(f"{row}\\{column}" for row in "LR" for column in "FH"), "F\\L", "H\\R"])
def test_a_region_is_where_the_file_has_it(orientation: str, tmp_path: Path) -> None:
    """A bright patch of the stored pixels is found there again, whichever way the film was turned to be read."""
    pixels = np.full((ROWS, COLUMNS), 0.1)
    pixels[12:36, 8:24] = 1
    elements = {"PatientOrientation": orientation.split("\\") if orientation else None}
    path = tmp_path / "film.dcm"
    path.write_bytes(film(pixels=pixels, elements=elements))
    square = film_from_file(path, ROWS // 4)
    bright = (square.pixels > 128).astype(np.float32)
    corners = stored_corners(region(bright, square.geometry), square.geometry, header(elements=elements))
    assert corners is not None and np.array_equal(corners[0], corners[-1])
    assert [*corners.min(0), *corners.max(0)] == [8, 12, 24, 36]


def test_a_region_of_a_film_of_another_size_is_left_out() -> None:
    _, geometry = fit(np.zeros((ROWS, COLUMNS), np.float32), 32)
    assert stored_corners((0, 0, 8, 8), geometry, header(elements={"Rows": ROWS + 1})) is None
    assert stored_corners((0, 0, 8, 8), geometry, header(elements={"Rows": None})) is None
