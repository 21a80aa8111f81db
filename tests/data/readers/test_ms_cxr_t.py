"""MS-CXR-T: progression between two films, and pairs of sentences, simulated and broken."""

from __future__ import annotations

import gzip
import shutil
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.ms_cxr_t import FINDINGS, read_sentences
from intervalchange.errors import ConfigError, SourceError
from intervalchange.grammar import render
from intervalchange.records import Case, Change
from intervalchange.simulation.cohort import simulate, simulate_patient
from intervalchange.simulation.layouts.ms_cxr_t import COLUMNS, progression
from intervalchange.simulation.records import SimulatedPatient

PATIENTS, PIXELS, SEED = 4, 64, 44
NAMES = [name.replace("_", " ") for name in FINDINGS]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ms_cxr_t") / "cohort"
    options = {"layout": "ms_cxr_t", "patients": PATIENTS, "seed": SEED, "pixels": PIXELS}
    return simulate(out, workers=1, progress=False, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def patients() -> list[SimulatedPatient]:
    return [simulate_patient(SEED, index, PIXELS) for index in range(PATIENTS)]


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(root, tmp_path / "copy"))


def table_of(root: Path, name: str = "image_classification") -> Path:
    return root / "ms-cxr-t" / f"MS_CXR_T_temporal_{name}_v1.0.0.csv"


def pairs_of(cases: list[Case]) -> dict[tuple[str, str], Case]:
    return {(case.prior.study_id, case.current.study_id): case for case in cases if case.prior is not None}


def tagged(case: Case, what: str = "progression") -> dict[str, str]:
    """Finding -> word of its tag."""
    return dict(tag.removeprefix(f"{what}:").split("=") for tag in case.tags if tag.startswith(f"{what}:"))


def test_pairs_and_progression_equal_the_truth(root: Path, patients: list[SimulatedPatient]) -> None:
    source = read_source("ms_cxr_t", root)
    pairs = pairs_of(source.cases)
    wanted = {}
    for patient in patients:
        for prior, current in pairwise(patient.studies):
            words = {name: progression(name, prior, current) for name in NAMES}
            words = {name: word for name, word in words.items() if word}
            if words:
                wanted[prior.study.study_id, current.study.study_id] = words
                case = pairs[prior.study.study_id, current.study.study_id]
                assert case.patient_id == patient.patient_id
                assert case.prior is not None
                assert (case.prior.image, case.current.image) == (prior.study.image, current.study.image)
    assert {pair: tagged(case) for pair, case in pairs.items()} == wanted
    assert all(tagged(case, "label_quality").keys() == tagged(case).keys() for case in pairs.values())
    said = {word for words in wanted.values() for word in words.values()}
    assert said == {"improving", "stable", "worsening"}


def test_answers_come_from_the_labels_of_the_films(root: Path) -> None:
    labelled = {case.current.study_id: case.current for case in read_source("mimic_cxr", root).cases}
    answered = 0
    for case in pairs_of(read_source("ms_cxr_t", root).cases).values():
        assert case.prior is not None
        assert case.current.findings.keys() == labelled[case.current.study_id].findings.keys()
        if case.answer:
            answered += 1
            known = {"no finding", "support devices", "lung lesion"}
            change = Change.between(case.prior, case.current)
            assert case.answer == render(Change(change.added - known, change.missing - known))
    assert answered


def test_every_subject_is_test(root: Path, tmp_path: Path) -> None:
    assert {case.split for case in read_source("ms_cxr_t", root).cases} == {"test"}
    manifest = prepare("ms_cxr_t", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    assert manifest["doctor"]["splits"]["train"]["cases"] == 0
    assert manifest["release"] == "1.0.0"


def test_the_tables_as_they_are_published(root: Path) -> None:
    table = pd.read_csv(table_of(root), dtype=str, keep_default_na=False)
    assert list(table.columns) == COLUMNS
    assert table.dicom_id[0].startswith(f"p2{table.subject_id[0][1]}/p{table.subject_id[0]}/s{table.study_id[0]}/")
    sentences = read_sentences(root)
    assert {pair.category for pair in sentences} == {"paraphrase", "contradiction"}
    assert all(pair.first != pair.second and pair.first.endswith(".") for pair in sentences)


# --- what goes wrong -------------------------------------------------------------------------------------------------


def change_rows(root: Path, change: object) -> None:
    """Rewrite the table; change: a function of the list of rows, as dictionaries."""
    rows = pd.read_csv(table_of(root), dtype=str, keep_default_na=False).to_dict("records")
    rows = change(rows)  # type: ignore[operator]
    table_of(root).write_text("\ufeff" + pd.DataFrame(rows).to_csv(index=False, lineterminator="\r\n"))


def test_a_row_against_time_is_turned_round_with_its_labels(tree: Path, root: Path) -> None:
    def turned(rows: list[dict[str, str]]) -> list[dict[str, str]]:
        row = rows[0]
        for name in ("dicom_id", "study_id"):
            row[name], row[f"previous_{name}"] = row[f"previous_{name}"], row[name]
        return rows

    change_rows(tree, turned)
    straight, source = pairs_of(read_source("ms_cxr_t", root).cases), read_source("ms_cxr_t", tree)
    cases = pairs_of(source.cases)
    assert cases.keys() == straight.keys()
    changed = [pair for pair in cases if ("swapped_row" in cases[pair].tags) != ("swapped_row" in straight[pair].tags)]
    (pair,) = changed
    opposite = {"improving": "worsening", "worsening": "improving", "stable": "stable"}
    assert tagged(cases[pair]) == {name: opposite[word] for name, word in tagged(straight[pair]).items()}
    assert source.notes["pairs whose previous film is the later one (turned round)"] >= 1


def test_bad_rows_are_counted_and_the_rest_is_kept(tree: Path, root: Path) -> None:
    def broken(rows: list[dict[str, str]]) -> list[dict[str, str]]:
        filled = next(name for name in FINDINGS if rows[0][f"{name}_progression"])
        unknown = {**rows[0], f"{filled}_progression": "Better", "edema_label_quality": "a guess"}
        unlabelled = {name: value if "_progression" not in name else "" for name, value in rows[1].items()}
        nowhere = {**rows[1], "dicom_id": "a.jpg"}
        return [*rows, unknown, unlabelled, nowhere, {**rows[1], "previous_dicom_id": rows[1]["dicom_id"]}, rows[0]]

    change_rows(tree, broken)
    source = read_source("ms_cxr_t", tree)
    assert pairs_of(source.cases).keys() == pairs_of(read_source("ms_cxr_t", root).cases).keys()
    assert source.notes["cells of progression with an unknown word (left out)"] == 1
    assert source.notes["rows that do not name two films of one patient (skipped)"] == 2
    assert source.notes["pairs given twice (kept once)"] >= 1
    assert source.notes["rows without a label (skipped)"] >= 1


def test_a_lateral_film_is_left_out(tree: Path) -> None:
    metadata = tree / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz"
    table = pd.read_csv(metadata, dtype=str, keep_default_na=False)
    first = pd.read_csv(table_of(tree), dtype=str).dicom_id[0].split("/")[-1]
    table.loc[table.dicom_id == first, ["ViewPosition", "ViewCodeSequence_CodeMeaning"]] = "LATERAL"
    metadata.write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    notes = read_source("ms_cxr_t", tree).notes
    assert notes["lateral and other films that are not frontal (left out)"] == 1
    assert notes["pairs with a film that is not frontal (skipped)"] >= 1


def test_without_labels_there_is_no_answer(tree: Path) -> None:
    (tree / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-chexpert.csv.gz").unlink()
    source = read_source("ms_cxr_t", tree)
    assert {case.answer for case in source.cases} == {""}
    assert all(case.prior is not None for case in source.cases)
    assert any("no chexpert labels" in note for note in source.notes)
    with pytest.raises(ConfigError, match="negbio"):
        read_source("ms_cxr_t", tree, labels="guess")


def test_missing_pieces_say_where_to_get_them(tree: Path) -> None:
    table_of(tree, "sentence_similarity").write_text("a\n1\n")
    with pytest.raises(SourceError, match="sentence_1"):
        read_sentences(tree)
    change_rows(tree, lambda rows: [{**row, "dicom_id": ""} for row in rows])
    with pytest.raises(SourceError, match="no pair could be used"):
        read_source("ms_cxr_t", tree)
    table_of(tree).write_text("dicom_id,previous_dicom_id\n")
    with pytest.raises(SourceError, match="consolidation_progression"):
        read_source("ms_cxr_t", tree)
    shutil.rmtree(tree / "ms-cxr-t")
    with pytest.raises(SourceError, match=r"MS_CXR_T_temporal_image.*physionet\.org/content/ms-cxr-t/"):
        read_source("ms_cxr_t", tree)
