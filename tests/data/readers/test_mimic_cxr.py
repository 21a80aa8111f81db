"""MIMIC-CXR-JPG with its reports and labels, read from a simulated tree and from broken ones."""

from __future__ import annotations

import gzip
import math
import shutil
from collections import Counter
from pathlib import Path

import pytest
from mimic_tree import dicom_id, write_tree

from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.label_states import findings_of
from intervalchange.data.readers.mimic_sections import part_of, sections
from intervalchange.errors import ConfigError, SourceError
from intervalchange.findings import CHEXPERT_OF_FINDING, FINDINGS
from intervalchange.grammar import render
from intervalchange.records import Case, Change, Study
from intervalchange.simulation.cohort import simulate, simulate_patient
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

PATIENTS, PIXELS, SEED = 4, 64, 41


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mimic") / "cohort"
    return simulate(out, patients=PATIENTS, seed=SEED, pixels=PIXELS, workers=1, progress=False, splits="2:1:1")


@pytest.fixture(scope="module")
def patients() -> list[SimulatedPatient]:
    return [simulate_patient(SEED, index, PIXELS) for index in range(PATIENTS)]


def labels_of(study: SimulatedStudy) -> dict[str, float]:
    """What the labeller would make of the report of a simulated study."""
    said = dict.fromkeys(study.account.denied, 0.0) | dict.fromkeys(study.account.attributes, 1.0)
    found = {CHEXPERT_OF_FINDING[name].lower(): value for name, value in said.items() if name in CHEXPERT_OF_FINDING}
    if set(study.study.devices) - {"leads"}:
        found["support devices"] = 1.0
    if not study.account.attributes:
        found["no finding"] = 1.0
    return found


def known(study: Study) -> dict[str, float]:
    return {name: value for name, value in study.findings.items() if not math.isnan(value)}


def test_films_equal_the_truth(root: Path, patients: list[SimulatedPatient]) -> None:
    source = read_source("mimic_cxr", root)
    films = {case.current.study_id: case for case in source.cases if case.prior is None}
    truth = {study.study.study_id: (patient, study) for patient in patients for study in patient.studies}
    assert films.keys() == truth.keys()
    assert source.simulated["seed"] == SEED
    for name, (patient, study) in truth.items():
        case, record = films[name], study.study
        assert (case.case_id, case.patient_id, case.kind) == (f"{name}-film", patient.patient_id, "abnormality")
        assert known(case.current) == labels_of(study)
        seen = [f for f in FINDINGS if f in CHEXPERT_OF_FINDING and labels_of(study).get(f) == 1]
        assert case.answer == (", ".join(seen) or "no abnormality")
        assert (case.current.image, case.current.view) == (record.image, record.view)
        assert case.current.acquired_at[:16] == record.acquired_at[:16]
        assert case.current.regions == record.regions
        assert (case.current.age, case.current.sex, case.current.devices) == (record.age, record.sex, record.devices)
        assert source.maps[record.image].is_file()


def test_reports_keep_findings_and_impression_alone(root: Path, patients: list[SimulatedPatient]) -> None:
    for part in ("body", "flat", "whole"):
        told = {c.current.study_id: c.current.report for c in read_source("mimic_cxr", root, report_part=part).cases}
        for patient in patients:
            for study in patient.studies:
                text = study.study.report
                findings, impression = text.split(" FINDINGS: \n")[1].split(" IMPRESSION: \n")
                wanted = {"body": f"{findings.strip()}\n\n{impression.strip()}", "flat": impression.strip()}
                assert told[study.study.study_id] == wanted.get(part, text)


def test_neighbours_in_time_and_their_difference(root: Path, patients: list[SimulatedPatient]) -> None:
    source = read_source("mimic_cxr", root)
    pairs = {(c.prior.study_id, c.current.study_id): c for c in source.cases if c.prior is not None}
    wanted, unknown = {}, 0
    for patient in patients:
        for prior, current in zip(patient.studies, patient.studies[1:], strict=False):
            studies = [
                Study(one.study.study_id, "", findings={n: v for n, v in labels_of(one).items() if n in FINDINGS})
                for one in (prior, current)
            ]
            if not set(studies[0].findings) & set(studies[1].findings):
                unknown += 1
                continue
            wanted[studies[0].study_id, studies[1].study_id] = render(Change.between(*studies))
            if prior.visit.state.lesions == current.visit.state.lesions:
                assert "same_state" in pairs[studies[0].study_id, studies[1].study_id].tags
    assert {key: case.answer for key, case in pairs.items()} == wanted
    note = "neighbouring studies without a finding known on both (no pair is made)"
    assert source.notes.get(note, 0) == unknown


def test_official_split_and_preparation(root: Path, tmp_path: Path) -> None:
    manifest = prepare("mimic_cxr", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    assert {name: count["patients"] for name, count in manifest["doctor"]["splits"].items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    assert manifest["source"] == "mimic_cxr"
    assert read_source("mimic_cxr", root, tables_only=True).cases[0].current.report == ""


# --- a small tree with everything that goes wrong ------------------------------------------------------------------

LABELS = """subject_id,study_id,Atelectasis,Edema,Lung Opacity,No Finding,Pleural Effusion
29000001,69000001,,1.0,-1.0,,0.0
29000001,68000002.0,,1.0,,,1.0
29000001,67000003,,nan,?,,0.0
29000002,65000005,,,,,
29000002,64000006,,,,,1.0
29000003,63000007,,0.0,,1.0,
,,1.0,,,,
29000003,62000008,,,,,1.0
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = write_tree(tmp_path / "root")
    images = root / "mimic-cxr-jpg"
    (images / "mimic-cxr-2.0.0-chexpert.csv.gz").write_bytes(gzip.compress(("\ufeff" + LABELS).encode()))
    return root


def films_of(cases: list[Case]) -> dict[str, Case]:
    return {case.current.study_id: case for case in cases if case.prior is None}


def add_film(root: Path, dicom: str, study: str, view: str, time: str = "80412.5") -> None:
    table = root / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz"
    text = gzip.decompress(table.read_bytes()).decode() + f"{dicom},29000001,{study},{view},64,64,21800101,{time},\n"
    table.write_bytes(gzip.compress(text.encode()))


def test_four_states_and_the_policy_for_uncertain_labels(tree: Path) -> None:
    source = read_source("mimic_cxr", tree)
    findings = films_of(source.cases)["69000001"].current.findings
    assert math.isnan(findings["lung opacity"])
    assert {name: findings[name] for name in ("edema", "pleural effusion")} == {"edema": 1.0, "pleural effusion": 0.0}
    assert "atelectasis" not in findings, "not mentioned is not absent"
    assert source.notes["uncertain labels"] == 1
    assert source.notes["labels that are not 1, 0, -1 or empty (left out)"] == 1
    assert source.notes["label rows without a study_id (skipped)"] == 1
    assert source.notes["films of studies without a label"] == 2
    for policy, value in (("present", 1.0), ("absent", 0.0)):
        cases = films_of(read_source("mimic_cxr", tree, uncertain=policy).cases)
        assert cases["69000001"].current.findings["lung opacity"] == value
    with pytest.raises(ConfigError, match="unknown, absent, present"):
        read_source("mimic_cxr", tree, uncertain="maybe")
    with pytest.raises(ConfigError, match="negbio"):
        read_source("mimic_cxr", tree, labels="guess")
    with pytest.raises(ConfigError, match="flat"):
        read_source("mimic_cxr", tree, report_part="half")


def test_a_study_without_labels_has_no_answer_and_no_pair(tree: Path) -> None:
    source = read_source("mimic_cxr", tree)
    films = films_of(source.cases)
    assert films["65000005"].answer == ""
    assert films["63000007"].answer == "no abnormality"
    pairs = {(c.prior.study_id, c.current.study_id) for c in source.cases if c.prior is not None}
    assert pairs == {("69000001", "67000003"), ("67000003", "68000002")}
    assert source.notes["studies without a date (no pair is made with them)"] == 1
    assert source.notes["neighbouring studies without a finding known on both (no pair is made)"] == 2
    assert source.notes["lateral and other films that are not frontal (left out)"] == 1


def test_order_is_by_date_and_time_and_ties_make_no_pair(tree: Path) -> None:
    add_film(tree, "late", "60000000", "PA", "235959.0")
    add_film(tree, "twin", "60000001", "PA", "80412.5")
    labels = tree / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-chexpert.csv.gz"
    text = gzip.decompress(labels.read_bytes()).decode()
    labels.write_bytes(gzip.compress((text + "29000001,60000000,,1.0,,,\n29000001,60000001,,1.0,,,\n").encode()))
    source = read_source("mimic_cxr", tree)
    pairs = {(c.prior.study_id, c.current.study_id) for c in source.cases if c.prior is not None}
    assert ("69000001", "60000000") in pairs, "80412.5 is eight in the morning"
    assert source.notes["neighbouring studies at the same time (no pair is made)"] == 1


def test_two_frontal_films_of_one_study(tree: Path) -> None:
    add_film(tree, "another", "69000001", "AP")
    add_film(tree, "lordotic", "69000001", "AP AXIAL")
    source = read_source("mimic_cxr", tree)
    ids = [case.case_id for case in source.cases if case.current.study_id == "69000001" and case.prior is None]
    assert ids == ["69000001-film", "69000001-another-film"]
    prior = next(case.prior for case in source.cases if case.current.study_id == "67000003" and case.prior)
    assert prior.image.endswith(f"{dicom_id('69000001')}.jpg"), "the PA film stands for its study"
    assert source.notes["lateral and other films that are not frontal (left out)"] == 2


def test_labels_of_radiologists_win(tree: Path) -> None:
    """The file of release 2.1.0 has another order, another name and no subject."""
    (tree / "mimic-cxr-jpg" / "mimic-cxr-2.1.0-test-set-labeled.csv").write_text(
        "study_id,Pleural Effusion,Airspace Opacity\n69000001,1.0,0.0\n"
    )
    source = read_source("mimic_cxr", tree)
    case = films_of(source.cases)["69000001"]
    assert case.current.findings == {"pleural effusion": 1.0, "lung opacity": 0.0}
    assert case.tags == ("radiologist_labels",)
    assert source.release == "2.1.0"
    assert all(not other.tags for other in source.cases if other.current.study_id != "69000001")


def test_missing_and_broken_files(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"mimic-cxr-jpg.*physionet\.org"):
        read_source("mimic_cxr", tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"negbio.*missing.*physionet"):
        read_source("mimic_cxr", tree, labels="negbio")
    labels = tree / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-chexpert.csv.gz"
    labels.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(SourceError, match="labels by study_id"):
        read_source("mimic_cxr", tree)
    (tree / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    with pytest.raises(SourceError, match="table of the films"):
        read_source("mimic_cxr", tree)
    shutil.rmtree(tree / "mimic-cxr-jpg" / "files")


# --- sections of a report ------------------------------------------------------------------------------------------


def test_official_rules_of_sections() -> None:
    text = " FINAL REPORT\n EXAM:  CHEST\n \n INDICATIONS/HISTORY:  cough\n \n PORTABLE AP CHEST RADIOGRAPH: Clear.\n"
    assert [name for name, _ in sections(text)] == ["preamble", "examination", "history", "findings"]
    assert part_of(text, "1", "body") == "Clear."
    for spelling, name in (("IMPRESSON", "impression"), ("FINDINGS AND IMPRESSION", "impression"), ("PFI", "history")):
        assert sections(f" x\n {spelling}: y\n")[-1] == (name, "y")
    assert sections(" x\n CHEST, TWO VIEWS: y\n")[-1][0] == "findings"
    assert sections(" x\n  IMPRESSION: y\n Impression: z")[0][0] == "preamble", "two blanks, or small letters"
    assert [name for name, _ in sections(" x\n FINDINGS: a\n IMPRESSION: \n \n ")] == ["preamble", "findings"]


def test_what_stands_in_for_an_impression() -> None:
    assert (
        part_of(" FINAL REPORT\n COMPARISON: None.\n \n The lungs are clear.\n", "1", "body") == "The lungs are clear."
    )
    assert part_of(" FINAL REPORT\n COMPARISON: None.\n", "1", "flat") == "None."
    assert part_of(" FINAL REPORT\n NOTE: None.\n", "1", "flat") == ""
    twice = " x\n IMPRESSION: one\n \n IMPRESSION: two\n"
    assert part_of(twice, "1", "flat") == "two"


def test_reports_that_no_rule_cuts() -> None:
    text = " x\n TECHNIQUE: Clear lungs.\n \n IMPRESSION: no\n"
    assert part_of(text, "59279892", "flat") == "Clear lungs."
    assert part_of("0123456789" * 20, "53514462", "body") == ("0123456789" * 20)[73:377]
    assert part_of(text, "58235663", "body") == ""
    assert part_of(text, "58235663", "whole") == text


def test_states_by_name() -> None:
    notes: Counter[str] = Counter()
    row = {"Airspace Opacity": "1", "Lung Lesion": " 0.0 ", "Edema": "", "Fracture": "-1.0"}
    assert findings_of(row, 0.0, notes) == {"lung opacity": 1.0, "lung lesion": 0.0, "fracture": 0.0}
