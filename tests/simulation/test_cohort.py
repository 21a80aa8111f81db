"""The simulated cohort: identifiers, true layout on disk, resumption, and labels that no exposure can change."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from intervalchange import grammar
from intervalchange.data import run_length
from intervalchange.errors import ConfigError, SourceError
from intervalchange.findings import CHEXPERT, FINDINGS, SIMULATED
from intervalchange.policy import EVALUATION_SEED
from intervalchange.records import KINDS, Change, Study
from intervalchange.simulation import cohort
from intervalchange.simulation.course import sample_acquisition, sample_course
from intervalchange.simulation.identifiers import dicom_id, patient_number, study_id, subject_id
from intervalchange.simulation.layouts.mimic_cxr import equalise
from intervalchange.simulation.scene import REFERENCE, RenderedFilm, State


def quick_film(anatomy: object, state: State, acquisition: object, pixels: int, truth: bool = True) -> RenderedFilm:
    """A stand-in for the renderer, for tests that are about files."""
    rng = np.random.default_rng(acquisition.seed)  # type: ignore[attr-defined]
    lung = np.zeros((pixels, pixels), bool)
    lung[pixels // 4 : -pixels // 4, pixels // 8 : -pixels // 8] = True
    masks = {lesion.finding: np.zeros((pixels, pixels), bool) for lesion in state.lesions}
    for place, lesion in enumerate(state.lesions):
        masks[lesion.finding][5 : 8 + int(20 * lesion.severity), place : place + 9] = True
    film = rng.random((pixels, pixels), dtype=np.float32)
    return RenderedFilm(film, lung, 0.5 * lung.astype(np.float32), masks, {"right lung": (1.0, 2.0, 30.0, 50.0)})


def make_quick(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cohort, "render", quick_film)
    patch.setattr(
        cohort, "visible", lambda anatomy, state: {lesion.finding: 1e3 * lesion.severity for lesion in state.lesions}
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


def tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


# --- identifiers -----------------------------------------------------------------------------------------------


def test_identifiers_have_the_form_of_simulated_ones() -> None:
    for seed in (0, 7, EVALUATION_SEED):
        assert re.fullmatch(r"2\d{7}", subject_id(seed, 3))
        assert re.fullmatch(r"6\d{7}", study_id(seed, 3, 4))
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}", dicom_id(seed, 3, 4))


def test_patients_of_different_seeds_have_different_identifiers() -> None:
    seeds = [0, 1, 2, 99, EVALUATION_SEED, EVALUATION_SEED + 1, EVALUATION_SEED + 24]
    numbers = [patient_number(seed, index) for seed in seeds for index in (0, 1, 500, 15_999)]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < 2_000_000
    subjects = {subject_id(seed, index) for seed in seeds for index in range(300)}
    studies = {study_id(seed, index, visit) for seed in seeds for index in range(100) for visit in range(5)}
    assert len(subjects) == len(seeds) * 300
    assert len(studies) == len(seeds) * 500


def test_training_and_evaluation_seeds_never_meet() -> None:
    training = {patient_number(seed, index) for seed in (5, 105, 899_999) for index in (0, 15_999, 400_000)}
    evaluation = {patient_number(seed, index) for seed in (900_000, 999_999, 2**40) for index in (0, 15_999, 400_000)}
    assert max(training) < 1_600_000 <= min(evaluation)


def test_study_numbers_say_nothing_of_time() -> None:
    rising = sum(study_id(0, index, 1) > study_id(0, index, 0) for index in range(400))
    assert 150 < rising < 250


# --- masks -----------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**31))
def test_run_lengths_equal_pycocotools(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    counts = run_length.encode(mask)
    assert counts == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert (run_length.decode(counts, height, width) == mask).all()


def test_run_lengths_of_another_size_are_refused() -> None:
    with pytest.raises(SourceError, match="not 3 x 3"):
        run_length.decode(run_length.encode(np.ones((2, 2), bool)), 3, 3)


# --- course ----------------------------------------------------------------------------------------------------


def test_course_moves_lesions_in_place(quick: None) -> None:
    repeats = moved = 0
    for index in range(150):
        studies = cohort.simulate_patient(3, index, films=False).studies
        assert 2 <= len(studies) <= 5
        assert studies[0].visit.days == 0
        for earlier, later in pairwise(studies):
            assert later.visit.days > earlier.visit.days
            then = {lesion.finding: lesion for lesion in earlier.visit.state.lesions}
            for lesion in later.visit.state.lesions:
                if lesion.finding in then and lesion.seed == then[lesion.finding].seed:
                    moved += lesion.severity != then[lesion.finding].severity
                    assert (lesion.side, lesion.zone, lesion.type) == (
                        then[lesion.finding].side,
                        then[lesion.finding].zone,
                        then[lesion.finding].type,
                    )
            if later.visit.same_state_as_previous:
                repeats += 1
                assert later.visit.state.lesions == earlier.visit.state.lesions
                assert later.visit.acquisition != earlier.visit.acquisition
                assert not Change.between(earlier.study, later.study)
    assert repeats > 20
    assert moved > 100


def test_cohort_has_the_intended_mix(quick: None) -> None:
    patients = [cohort.simulate_patient(4, index, films=False) for index in range(400)]
    films = [study for patient in patients for study in patient.studies]
    present = [study.account.attributes for study in films]
    assert 1.5 < np.mean([len(said) for said in present]) < 2.6
    for finding in SIMULATED:
        assert 0.02 < np.mean([finding in said for said in present]) < 0.5, finding
    changes = [
        Change.between(earlier.study, later.study)
        for patient in patients
        for earlier, later in zip(patient.studies, patient.studies[1:], strict=False)
    ]
    assert 0.13 < np.mean([not change for change in changes]) < 0.25
    assert np.mean([len(change.items) <= 3 for change in changes]) > 0.9
    added, missing = (sum(len(getattr(change, side)) for change in changes) for side in ("added", "missing"))
    assert 0.6 < missing / added < 1.6


def test_course_and_exposures_have_their_own_randomness() -> None:
    anatomy = cohort.sample_anatomy(np.random.default_rng(0))
    first, second = (
        sample_course(np.random.default_rng(1), anatomy, np.random.default_rng(seed), style="b") for seed in (2, 3)
    )
    assert [visit.state.lesions for visit in first] == [visit.state.lesions for visit in second]
    assert all(one.acquisition != other.acquisition for one, other in zip(first, second, strict=True))
    assert all(visit.acquisition.style == "b" for visit in first)


def test_bedside_films_are_nearer_and_askew() -> None:
    rng = np.random.default_rng(0)
    bedside, standing = ([sample_acquisition(rng, view=view)[0] for _ in range(300)] for view in ("AP", "PA"))
    assert {exposure.view for exposure in bedside} == {"AP"}
    assert max(exposure.source_distance_cm for exposure in bedside) < 150 < standing[0].source_distance_cm
    assert np.std([exposure.yaw_deg for exposure in bedside]) > 1.5 * np.std(
        [exposure.yaw_deg for exposure in standing]
    )


# --- the tree on disk ------------------------------------------------------------------------------------------

METADATA = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        out = tmp_path_factory.mktemp("simulated") / "cohort"
        return cohort.simulate(out, patients=40, pixels=64, workers=1, progress=False)


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def studies_of(root: Path) -> dict[str, Study]:
    """Every study rebuilt from all_diseases.json, as a reader of the data set would."""
    studies = {}
    for entry in json.loads((root / "medical-diff-vqa/all_diseases.json").read_text("utf-8")):
        studies[entry["study_id"]] = Study(
            entry["study_id"],
            "",
            findings={finding: float(finding in entry["entity"]) for finding in FINDINGS},
            levels={name: " ".join(said["level"]) for name, said in entry["entity"].items() if said["level"]},
        )
    return studies


def test_tables_have_the_published_columns(root: Path) -> None:
    heads = {
        "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz": METADATA,
        "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz": "dicom_id,study_id,subject_id,split",
        "mimic-cxr-jpg/mimic-cxr-2.0.0-chexpert.csv.gz": "subject_id,study_id," + ",".join(CHEXPERT),
        "mimic-cxr/cxr-record-list.csv.gz": "subject_id,study_id,dicom_id,path",
        "mimic-cxr/cxr-study-list.csv.gz": "subject_id,study_id,path",
        "medical-diff-vqa/mimic_pair_questions.csv": "study_id,subject_id,ref_id,question_type,question,answer,split",
        "medical-diff-vqa/mimic_all.csv": "subject_id,study_id,"
        + ",".join(CHEXPERT)
        + ",dicom_id,view,split,study_date,study_order",
    }
    for name, head in heads.items():
        text = gzip.decompress((root / name).read_bytes()) if name.endswith("gz") else (root / name).read_bytes()
        assert text.decode().splitlines()[0] == head, name


def test_every_frontal_film_and_report_is_on_disk(root: Path) -> None:
    metadata = table(root / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz")
    assert metadata[["subject_id", "study_id"]].apply(tuple, axis=1).is_monotonic_increasing
    laterals = 0
    for row in metadata.itertuples():
        folder = f"files/p{row.subject_id[:2]}/p{row.subject_id}/s{row.study_id}"
        assert (root / "mimic-cxr" / f"{folder}.txt").exists()
        film = root / "mimic-cxr-jpg" / folder / f"{row.dicom_id}.jpg"
        if row.ViewPosition == "LATERAL":
            laterals += 1
            assert not film.exists()
            continue
        with Image.open(film) as image:
            assert image.mode == "L"
            assert image.size == (int(row.Columns), int(row.Rows)) == (64, 64)
        assert re.fullmatch(r"\d{8}", row.StudyDate)
        assert re.fullmatch(r"\d+\.\d+", row.StudyTime)
        assert not row.StudyTime.startswith("0")
    assert laterals
    listed = (root / "mimic-cxr-jpg/IMAGE_FILENAMES").read_text().splitlines()
    assert len(listed) == len(metadata) - laterals == len(list((root / "mimic-cxr-jpg/files").rglob("*.jpg")))


def test_films_are_equalised() -> None:
    film = np.random.default_rng(0).normal(0.3, 0.05, (200, 200)).astype(np.float32)
    equal = equalise(film)
    assert equal.min() == 0
    assert equal.max() == 255
    assert np.ptp(np.quantile(equal, [0.1, 0.3, 0.5, 0.7, 0.9])) == pytest.approx(0.8 * 255, abs=4)
    order = np.argsort(film, axis=None)
    assert (np.diff(equal.ravel()[order].astype(int)) >= 0).all()
    assert (equalise(np.ones((4, 4), np.float32)) == 0).all()


def test_splits_share_no_patient(root: Path) -> None:
    rows = table(root / "medical-diff-vqa/mimic_pair_questions.csv")
    assert set(rows.split) == {"train", "val", "test"}
    assert rows.groupby("subject_id").split.nunique().max() == 1
    official = table(root / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz")
    assert set(official.split) == {"train", "validate", "test"}
    assert official.groupby("subject_id").split.nunique().max() == 1
    patients = official.drop_duplicates("subject_id").split.value_counts()
    assert (patients["train"], patients["validate"], patients["test"]) == (32, 4, 4)


@pytest.mark.parametrize(
    ("splits", "patients", "counts"),
    [("8:1:1", 500, (400, 50, 50)), ("8:1:1", 3, (1, 1, 1)), ("0:0:1", 7, (0, 0, 7)), ("0.5:0.25:0.25", 10, (5, 3, 2))],
)
def test_split_counts(splits: str, patients: int, counts: tuple[int, int, int]) -> None:
    assert cohort.split_counts(splits, patients) == counts


@pytest.mark.parametrize("splits", ["8:1", "a:b:c", "0:0:0", "1:-1:1"])
def test_bad_splits_are_refused(splits: str) -> None:
    with pytest.raises(ConfigError, match="8:1:1"):
        cohort.split_counts(splits, 10)


def dates_of(root: Path) -> dict[str, int]:
    return dict(
        zip(
            (metadata := table(root / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz")).study_id,
            metadata.StudyDate.astype(int),
            strict=True,
        )
    )


def difference_rows(root: Path) -> pd.DataFrame:
    rows = table(root / "medical-diff-vqa/mimic_pair_questions.csv")
    return rows[rows.question_type == "difference"]


def test_difference_answers_agree_with_the_entities(root: Path) -> None:
    studies, dates, rows = studies_of(root), dates_of(root), difference_rows(root)
    assert len(rows) > 60
    for row in rows.itertuples():
        assert dates[row.study_id] > dates[row.ref_id]
        change, reading = Change.between(studies[row.ref_id], studies[row.study_id]), grammar.parse(row.answer)
        assert not reading.unread
        if row.question == grammar.DIFFERENCE_QUESTION:
            assert reading.change == change
            assert row.answer.endswith(". ") == bool(change)
        else:
            assert reading.change.levels <= change.levels


def test_release_1_0_0_reads_half_of_the_pairs_backwards(quick: None, tmp_path: Path) -> None:
    root = cohort.simulate(tmp_path / "old", patients=60, pixels=64, workers=1, progress=False, release="1.0.0")
    studies, dates, rows = studies_of(root), dates_of(root), difference_rows(root)
    backwards = [dates[row.study_id] < dates[row.ref_id] for row in rows.itertuples()]
    assert 0.35 < np.mean(backwards) < 0.61
    for row in rows[rows.question == grammar.DIFFERENCE_QUESTION].itertuples():
        assert grammar.parse(row.answer).change == Change.between(studies[row.ref_id], studies[row.study_id])


def test_the_generator_asks_about_a_common_area_wherever_a_level_has_changed(quick: None, tmp_path: Path) -> None:
    """Ours, on the same patients, in a tenth of these."""
    asked = {}
    for release in ("1.0.1", "generator"):
        root = cohort.simulate(tmp_path / release, patients=60, pixels=64, workers=1, progress=False, release=release)
        asked[release] = difference_rows(root)
        assert json.loads((root / "SIMULATED").read_text())["release"] == release
    area = {name: (rows.question != grammar.DIFFERENCE_QUESTION).mean() for name, rows in asked.items()}
    assert area["generator"] > 4 * area["1.0.1"] > 0
    dates, rows = dates_of(root), table(root / "medical-diff-vqa/mimic_pair_questions.csv")
    assert not rows.duplicated().any()
    assert all(dates[row.study_id] > dates[row.ref_id] for row in rows.itertuples()), "main is the later study"
    with pytest.raises(ConfigError, match="layout nih has no questions"):
        cohort.simulate(tmp_path / "nih", layout="nih", release="generator", progress=False)


def test_rows_of_a_group_may_be_about_the_earlier_study(root: Path, quick: None, tmp_path: Path) -> None:
    def backwards(folder: Path) -> float:
        rows, dates = table(folder / "medical-diff-vqa/mimic_pair_questions.csv"), dates_of(folder)
        single = rows[rows.question_type != "difference"]
        assert set(rows.question_type) <= set(KINDS)
        return float(np.mean([dates[row.study_id] < dates[row.ref_id] for row in single.itertuples()]))

    plain = cohort.simulate(tmp_path / "plain", patients=10, pixels=64, workers=1, progress=False, quirks=False)
    assert 0.3 < backwards(root) < 0.65
    assert backwards(plain) == 0


def test_quirks_can_be_left_out(root: Path, quick: None, tmp_path: Path) -> None:
    plain = cohort.simulate(tmp_path / "plain", patients=40, pixels=64, workers=1, progress=False, quirks=False)
    names = ("metadata", "chexpert")
    odd, even = (
        [table(folder / f"mimic-cxr-jpg/mimic-cxr-2.0.0-{name}.csv.gz") for name in names] for folder in (root, plain)
    )
    assert (odd[0].ViewPosition == "").any()
    assert not (even[0].ViewPosition == "").any()
    assert (odd[1] == "-1.0").to_numpy().any()
    assert not (even[1] == "-1.0").to_numpy().any()
    assert len(even[1]) == even[0].study_id.nunique() == len(odd[1]) + 1
    assert not difference_rows(plain).duplicated().any()


def test_truth_lies_beside(root: Path) -> None:
    truth = root / "simulated-truth"
    regions = pd.read_parquet(truth / "regions.parquet")
    assert list(regions.columns) == ["dicom_id", "kind", "name", "x1", "y1", "x2", "y2", "rle"]
    latent = pd.read_parquet(truth / "latent.parquet")
    present = latent[latent.visible].groupby("dicom_id").finding.apply(set)
    boxed = regions[regions.kind == "finding"].groupby("dicom_id").name.apply(set)
    assert present.to_dict() == boxed.to_dict()
    for region in regions[regions.kind == "finding"].head(50).itertuples():
        rows, columns = np.nonzero(run_length.decode(region.rle, 64, 64))
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (region.x1, region.y1, region.x2, region.y2) == box
    studies = pd.read_parquet(truth / "studies.parquet")
    for identity in studies.dicom_id:
        with Image.open(truth / "opacity" / f"{identity}.png") as image:
            assert image.size == (64, 64)
    same = table(truth / "same_state.csv")
    known = studies_of(root)
    assert len(same) >= studies.same_state_as_previous.sum() > 0
    for row in same.itertuples():
        assert not Change.between(known[row.ref_id], known[row.study_id])


def test_marker_says_what_it_is(root: Path, quick: None, tmp_path: Path) -> None:
    marker = json.loads((root / "SIMULATED").read_text())
    assert (marker["seed"], marker["patients"], marker["style"], marker["evaluation_only"]) == (0, 40, "a", False)
    held_back = cohort.simulate(
        tmp_path / "held", patients=1, seed=EVALUATION_SEED, pixels=64, workers=1, progress=False
    )
    assert json.loads((held_back / "SIMULATED").read_text())["evaluation_only"] is True
    assert not (root / ".simulating").exists()


# --- interruption ----------------------------------------------------------------------------------------------


def test_interrupted_cohort_ends_the_same(
    root: Path, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def fails_at_nine(*arguments: object) -> RenderedFilm:
        made.append(1)
        if len(made) == 9:
            raise KeyboardInterrupt
        return quick_film(*arguments[:4])  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(cohort, "render", lambda *given, truth: fails_at_nine(*given))
        with pytest.raises(KeyboardInterrupt):
            cohort.simulate(tmp_path / "again", patients=40, pixels=64, workers=1, progress=False)
    (tmp_path / "again/.simulating/half.jpg.1.part").write_bytes(b"half")
    assert not (tmp_path / "again/SIMULATED").exists()
    with pytest.raises(SourceError, match="unfinished cohort"):
        cohort.simulate(tmp_path / "again", patients=41, pixels=64, workers=1, progress=False)
    cohort.simulate(tmp_path / "again", patients=40, pixels=64, workers=1, progress=False)
    assert tree(tmp_path / "again") == tree(root)


def test_complete_cohort_is_left_alone(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    cohort.simulate(root, patients=40, pixels=64, workers=1, progress=False)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    with pytest.raises(SourceError, match="another cohort"):
        cohort.simulate(root, patients=40, pixels=128, workers=1, progress=False)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SourceError, match="not empty"):
        cohort.simulate(tmp_path, patients=1, progress=False)


@pytest.mark.parametrize(
    "wrong", [{"layout": "nonsense"}, {"patients": 0}, {"style": "c"}, {"release": "2"}, {"pixels": 8}, {"seed": -1}]
)
def test_wrong_settings_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        cohort.simulate(tmp_path / "out", progress=False, **wrong)  # type: ignore[arg-type]


# --- with the true renderer ------------------------------------------------------------------------------------


def test_healthy_noise_free_film_shows_nothing() -> None:
    anatomy = cohort.sample_anatomy(np.random.default_rng(5))
    assert not any(value >= cohort.CNR_THRESHOLD for value in cohort.visible(anatomy, State()).values())
    film = cohort.render(anatomy, State(), REFERENCE, 64)
    assert not film.opacity.any()
    assert film.lung.any()
    assert not any(mask.any() for mask in film.finding_masks.values())


def test_seeds_share_no_identifier_and_no_pixel() -> None:
    films, names = [], []
    for seed in (0, 1):
        patient = cohort.simulate_patient(seed, 0, 64)
        names.append(patient.patient_id)
        for study in patient.studies:
            names += [study.study.study_id, study.dicom_id]
            assert study.film is not None
            films.append(equalise(study.film.pixels).tobytes())
    assert len(set(names)) == len(names)
    assert len(set(films)) == len(films)


@pytest.mark.slow
def test_a_patient_is_the_same_every_time_in_every_process(tmp_path: Path) -> None:
    trees = []
    for workers in (1, 2):
        out = cohort.simulate(tmp_path / str(workers), patients=2, pixels=64, workers=workers, progress=False)
        trees.append(tree(out))
    assert trees[0] == trees[1]


@pytest.mark.slow
def test_same_state_pairs_never_change() -> None:
    """Two hundred repeats: each visit outputs anew, with the devices of its own day, shows the same findings."""
    pairs = 0
    for seed in range(10_000):
        rng = np.random.default_rng([11, seed])
        anatomy = cohort.sample_anatomy(rng)
        for earlier, later in pairwise(sample_course(rng, anatomy)):
            if later.same_state_as_previous:
                pairs += 1
                seen = [cohort.visible(anatomy, visit.state) for visit in (earlier, later)]
                assert seen[0] == seen[1]
        if pairs >= 200:
            return


@pytest.mark.slow
def test_killed_cohort_ends_the_same(tmp_path: Path) -> None:
    code = (
        "import sys; from intervalchange.simulation.cohort import simulate\n"
        "if __name__ == '__main__': simulate(sys.argv[1], patients=12, pixels=64, workers=2, progress=False)"
    )
    script = tmp_path / "go.py"
    script.write_text(code)
    command = [sys.executable, str(script)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    broken = tmp_path / "broken"
    process = subprocess.Popen([*command, str(broken)])
    while process.poll() is None and len(list((broken / ".simulating").glob("[0-9]*.json"))) < 3:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (broken / "SIMULATED").exists()
    subprocess.run([*command, str(broken)], check=True)
    assert tree(broken) == tree(tmp_path / "whole")


def test_findings_as_often_and_as_often_together_as_in_real_reports() -> None:
    from intervalchange.simulation.course import label_sets, sample_course

    sets, shares = label_sets()
    rng = np.random.default_rng(0)
    anatomy = cohort.sample_anatomy(rng)
    first = [sample_course(rng, anatomy, visits=2, prevalence="openi") for _ in range(3000)]
    drawn = [frozenset(lesion.finding for lesion in course[0].state.lesions) for course in first]
    for finding in ("cardiomegaly", "lung opacity", "granuloma"):
        real = sum(share for names, share in zip(sets, shares, strict=True) if finding in names)
        assert abs(np.mean([finding in names for names in drawn]) - real) < 0.02
        later = np.mean([any(one.finding == finding for one in course[1].state.lesions) for course in first])
        assert real / 2 < later < 2 * real, "the second visit is no sicker than the first"
    both = {"atelectasis", "lung opacity"}
    real = sum(share for names, share in zip(sets, shares, strict=True) if both <= set(names))
    assert abs(np.mean([both <= names for names in drawn]) - real) < 0.015
    assert real > 2 * 0.088 * 0.162, "they occur together more often than chance: a table of marginals would not do"


def test_unknown_prevalence_is_refused() -> None:
    with pytest.raises(ConfigError, match="prevalence"):
        cohort.CohortConfig(patients=1, prevalence="invented")  # type: ignore[arg-type]
