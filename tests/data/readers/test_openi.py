"""Open-i: read from a simulated tree, from small trees in its three forms, and from broken ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from film_files import chest, save

from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.openi import reports
from intervalchange.data.readers.openi_mesh import MAPPED
from intervalchange.errors import SourceError
from intervalchange.simulation.cohort import simulate, simulate_patient
from intervalchange.simulation.layouts.openi import MESH, image_id, report_id
from intervalchange.simulation.records import SimulatedStudy

PATIENTS, PIXELS, SEED = 4, 64, 88


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("openi") / "cohort"
    return simulate(out, PATIENTS, SEED, "openi", PIXELS, "8:1:1", workers=1, progress=False)


@pytest.fixture(scope="module")
def truth() -> dict[str, SimulatedStudy]:
    patients = [simulate_patient(SEED, index, films=False) for index in range(PATIENTS)]
    return {patient.patient_id: patient.studies[-1] for patient in patients}


def test_films_equal_the_truth(root: Path, truth: dict[str, SimulatedStudy]) -> None:
    source = read_source("openi", root)
    assert source.simulated["seed"] == SEED
    told = {report.report_id: report for report in reports(root)}
    assert set(told) == {report_id(patient) for patient in truth}
    of_patient = {case.patient_id: case for case in source.cases}
    assert set(of_patient) == {name for name, report in told.items() if report.images}
    for patient, study in truth.items():
        case = of_patient.get(report_id(patient))
        if case is None or "No Indexing" in told[report_id(patient)].labels:
            continue
        seen = {name for name, value in study.study.findings.items() if value == 1}
        assert {f: v for f, v in case.current.findings.items() if f in MAPPED} == {f: float(f in seen) for f in MAPPED}
        assert case.current.findings["no finding"] == float(not seen)
        known = [name for name in study.account.attributes if name in MAPPED]
        assert case.answer == (", ".join(known) or ("" if seen else "no abnormality"))
        assert (case.kind, case.prior, case.current.study_id) == ("abnormality", None, image_id(patient))
        assert (source.image_root / case.current.image).is_file()
        assert "IMPRESSION: " in case.current.report
        assert not any(word in case.current.report.lower().split() for word in ("new", "new."))
    assert source.notes["films whose view nobody says (the first of a report, which may be lateral)"] == len(of_patient)


def test_it_is_prepared(root: Path, tmp_path: Path) -> None:
    manifest = prepare("openi", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    assert manifest["doctor"]["films"]["bad"] == 0
    assert manifest["doctor"]["pairs"] == 0
    assert manifest["split"] == "patient"
    dry = prepare("openi", root, tmp_path / "dry", dry_run=True, progress=False)
    assert dry["doctor"]["studies_with_report"] == manifest["doctor"]["studies"] > 0


def test_without_quirks_every_report_is_whole(tmp_path: Path) -> None:
    out = simulate(tmp_path / "plain", 2, 3, "openi", PIXELS, workers=1, progress=False, quirks=False)
    for report in reports(out):
        assert len(report.images) == 1
        assert report.sections["FINDINGS"] and report.labels != ("No Indexing",)
        assert set(report.sections) == {"COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION"}


def test_every_visible_finding_has_a_heading(truth: dict[str, SimulatedStudy]) -> None:
    assert {finding for study in truth.values() for finding in study.account.attributes} <= MESH.keys()


# --- small trees --------------------------------------------------------------------------------------------------


def xml(number: str, labels: str, images: str, findings: str = "Lungs are clear.") -> str:
    majors = "".join(f"<major>{label}</major>" for label in labels.split(";"))
    films = "".join(f'<parentImage id="{image}"><figureId>F1</figureId></parentImage>' for image in images.split())
    return (
        f'<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR{number}"/><pmcId id="{number}"/>'
        f'<MedlineCitation><Article><Abstract><AbstractText Label="COMPARISON">None.</AbstractText>'
        f'<AbstractText Label="INDICATION">Effusion?</AbstractText><AbstractText Label="FINDINGS">{findings}'
        f'</AbstractText><AbstractText Label="IMPRESSION"/></Abstract></Article></MedlineCitation>'
        f"<MeSH>{majors}<automatic>opacity</automatic></MeSH>{films}</eCitation>"
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "NLMCXR_reports" / "ecgen-radiology"
    folder.mkdir(parents=True)
    for name, text in {
        "9001": xml("9001", "Opacity/lung/base/left;Nodule/lung", "CXR9001_1_IM-0001-3001 CXR9001_1_IM-0001-4001"),
        "9002": xml("9002", "normal", "CXR9002_IM-0002-1001"),
        "9003": xml("9003", "No Indexing", "CXR9003_IM-0003-1001-0001 CXR9003_IM-0003-1001-0002"),
        "9004": xml("9004", "normal", ""),
        "9005": "<eCitation><uId id=",
        "9006": "<eCitation><uId/></eCitation>",
        "9007": xml("9002", "Cardiomegaly", "CXR9002_IM-0002-1001"),
        "9008": '<!DOCTYPE e [<!ENTITY a "b">]><eCitation><uId id="CXR9008"/></eCitation>',
    }.items():
        (folder / f"{name}.xml").write_text(text, encoding="utf-8")
    for number, image in enumerate(("CXR9001_1_IM-0001-4001", "CXR9001_1_IM-0001-3001", "CXR9002_IM-0002-1001")):
        save(chest(64, 64, number), tmp_path / "NLMCXR_png" / f"{image}.png")
    return tmp_path


def test_defects_of_the_files_are_counted(small: Path) -> None:
    source = read_source("openi", small)
    cases = {case.patient_id: case for case in source.cases}
    assert list(cases) == ["CXR9001", "CXR9002", "CXR9003"]
    first = cases["CXR9001"]
    assert first.current.image == "NLMCXR_png/CXR9001_1_IM-0001-3001.png"
    assert first.answer == "lung opacity"
    assert (first.current.findings["nodule"], first.current.findings["pneumothorax"]) == (1, 0)
    assert "opacity" not in first.current.findings
    assert first.current.report == "INDICATION: Effusion?\n\nCOMPARISON: None.\n\nFINDINGS: Lungs are clear."
    assert cases["CXR9002"].answer == "no abnormality"
    assert (cases["CXR9003"].answer, dict(cases["CXR9003"].current.findings)) == ("", {})
    assert source.notes == {
        "report files that cannot be read (skipped)": 2,
        "reports without a number, or with one already seen (skipped)": 2,
        "reports without a film (left out)": 1,
        "reports that were not coded (their findings are unknown)": 1,
        "films whose view nobody says (the first of a report, which may be lateral)": 3,
        "films after the first of a report (left out)": 2,
    }


def test_projections_of_the_kaggle_copy_say_which_film_is_frontal(small: Path) -> None:
    (small / "indiana_projections.csv").write_text(
        "uid,filename,projection\r\n9001,9001_IM-0001-3001.dcm.png,Lateral\r\n9001,9001_IM-0001-4001.dcm.png,Frontal\r\n"
        "9002,9002_IM-0002-1001.dcm.png,Sideways\r\n"
    )
    source = read_source("openi", small)
    assert source.cases[0].current.image.endswith("CXR9001_1_IM-0001-4001.png")
    assert source.notes["lateral films, or of unknown view (left out)"] == 1
    assert source.notes["projections that are neither frontal nor lateral"] == 1


def test_the_kaggle_form(tmp_path: Path) -> None:
    (tmp_path / "indiana_reports.csv").write_text(
        "\ufeffuid,MeSH,Problems,image,indication,comparison,findings,impression\n"
        '9001,Opacity/lung/base;Cardiomegaly/mild,Opacity;Cardiomegaly,x,,,"Heart, enlarged.",\n'
        "9002,normal,normal,x,,,,Normal.\n"
    )
    (tmp_path / "indiana_projections.csv").write_text(
        "uid,filename,projection\n9001,9001_IM-0001-3001.dcm.png,Lateral\n9001,9001_IM-0001-4001.dcm.png,Frontal\n"
        "9002,9002_IM-0002-1001.dcm.png,Lateral\n"
    )
    folder = tmp_path / "images" / "images_normalized"
    save(chest(64, 64, 1), folder / "9001_IM-0001-4001.dcm.png")
    source = read_source("openi", tmp_path)
    assert [case.answer for case in source.cases] == ["cardiomegaly, lung opacity"]
    assert (tmp_path / source.cases[0].current.image).is_file()
    elsewhere = read_source("openi", tmp_path, images=folder)
    assert elsewhere.cases[0].current.image == "9001_IM-0001-4001.dcm.png"


def test_one_table_of_reports(tmp_path: Path) -> None:
    table = tmp_path / "openi_reports.csv"
    table.write_text(
        "report_id,findings,impression,mesh_major,image_ids\n"
        "CXR9001,Heart enlarged.,,Cardiomegaly|Opacity/lung,CXR9001_IM-0001-1001|CXR9001_IM-0001-2001\n"
    )
    source = read_source("openi", table, tables_only=True)
    assert source.cases[0].answer == "cardiomegaly, lung opacity"
    with pytest.raises(SourceError, match=r"none of the films that the reports name is here.*openi\.nlm\.nih\.gov"):
        read_source("openi", tmp_path)
    table.write_text("report_id,findings\nCXR9001,x\n")
    with pytest.raises(SourceError, match="columns impression, mesh_major, image_ids are missing"):
        read_source("openi", tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"neither ecgen-radiology.*NLMCXR_reports\.tgz"):
        read_source("openi", tmp_path)
    (tmp_path / "ecgen-radiology").mkdir()
    (tmp_path / "ecgen-radiology" / "1.xml").write_text("<")
    with pytest.raises(SourceError, match=r"no report could be read.*cannot be read"):
        read_source("openi", tmp_path)


def test_the_real_reports(shared: Path) -> None:
    """Counts of the table that lies beside the repository; its text stays there."""
    notes: Counter[str] = Counter()
    found = reports(shared / "data" / "reports", notes)
    assert len(found) == 3164
    assert sum(not report.images for report in found) == 84
    assert sum("No Indexing" in report.labels for report in found) == 75
    assert not notes
