"""CheXpert: read from a simulated tree and from broken ones."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from film_files import chest, save
from simulated_tree import write_with_truth

from intervalchange.data.prepare import prepare
from intervalchange.data.readers import read_source
from intervalchange.data.readers.chexpert import film_name
from intervalchange.data.splits import NAMES as SPLITS
from intervalchange.data.splits import assign
from intervalchange.errors import ConfigError, SourceError
from intervalchange.findings import CHEXPERT, CHEXPERT_OF_FINDING, FINDINGS
from intervalchange.grammar import render
from intervalchange.records import Case, Change, Study
from intervalchange.simulation.layouts import chexpert
from intervalchange.simulation.records import SimulatedPatient, SimulatedStudy

PIXELS, SEED, PATIENTS = 64, 89, 6
SMALL = chexpert.COPY


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SimulatedPatient]]:
    out = tmp_path_factory.mktemp("chexpert") / "cohort"
    return write_with_truth(out, "chexpert", "4:1:1", PATIENTS, SEED, PIXELS)


@pytest.fixture(scope="module")
def root(written: tuple[Path, list[SimulatedPatient]]) -> Path:
    return written[0]


@pytest.fixture(scope="module")
def patients(written: tuple[Path, list[SimulatedPatient]]) -> list[SimulatedPatient]:
    return written[1]


def truth_of(study: SimulatedStudy, split: str) -> dict[str, float]:
    """What a labeller makes of the report (train), or what can be seen (val, test); NaN where uncertain."""
    seen = {CHEXPERT_OF_FINDING[name].lower() for name, value in study.study.findings.items() if value == 1
            and name in CHEXPERT_OF_FINDING}  # fmt: skip
    seen |= {"support devices"} if set(study.study.devices) - {"leads"} else set()
    seen |= set() if study.account.attributes else {"no finding"}
    if split != "train":
        return {label.lower(): float(label.lower() in seen) for label in CHEXPERT}
    denied = {CHEXPERT_OF_FINDING[name].lower() for name in study.account.denied if name in CHEXPERT_OF_FINDING}
    latent = {CHEXPERT_OF_FINDING[name].lower() for name in study.severity if name in CHEXPERT_OF_FINDING}
    return dict.fromkeys(latent, math.nan) | dict.fromkeys(denied, 0.0) | dict.fromkeys(seen, 1.0)


def films_of(cases: list[Case]) -> dict[str, Case]:
    return {case.current.study_id: case for case in cases if case.prior is None}


def pairs_of(cases: list[Case]) -> dict[tuple[str, str], Case]:
    return {(case.prior.study_id, case.current.study_id): case for case in cases if case.prior is not None}


def plain(findings: dict[str, float]) -> dict[str, float | None]:
    """NaN as None, so that they compare."""
    return {name: None if math.isnan(value) else value for name, value in findings.items()}


def test_films_equal_the_truth(root: Path, patients: list[SimulatedPatient]) -> None:
    source = read_source("chexpert", root)
    films = films_of(source.cases)
    assert len(films) == sum(len(patient.studies) for patient in patients)
    assert (source.release, source.simulated["seed"], source.image_root.name) == ("v1.0-small", SEED, SMALL)
    splits, unsure, answers = set(), 0, set()
    for patient in patients:
        for number, study in enumerate(patient.studies, start=1):
            case, record = films[f"patient{patient.patient_id}-study{number}"], study.study
            wanted = truth_of(study, case.split)
            assert plain(dict(case.current.findings)) == plain(wanted)
            known = [name for name in FINDINGS if wanted.get(name) == 1]
            assert case.answer == (", ".join(known) or ("no abnormality" if wanted.get("no finding") == 1 else ""))
            assert (case.patient_id, case.current.order) == (f"patient{patient.patient_id}", number)
            if case.split != "test":
                who = (case.current.view, case.current.sex, case.current.age)
                assert who == (record.view, record.sex, record.age)
            assert (source.image_root / case.current.image).is_file()
            splits.add(case.split)
            answers.add(case.answer)
            unsure += sum(math.isnan(value) for value in case.current.findings.values())
    assert splits == {"train", "val", "test"}
    assert source.notes["uncertain labels"] == unsure > 0
    assert source.notes["lateral films (left out)"] > 0
    assert len(answers) > 2


def test_pairs_equal_the_truth(root: Path, patients: list[SimulatedPatient]) -> None:
    source = read_source("chexpert", root)
    pairs, split = pairs_of(source.cases), {case.patient_id: case.split for case in source.cases}
    wanted = {}
    for patient in patients:
        name = f"patient{patient.patient_id}"
        numbered = [(f"{name}-study{n}", truth_of(s, split[name])) for n, s in enumerate(patient.studies, start=1)]
        for (one, then), (other, now) in pairwise(numbered):
            known = [f for f in FINDINGS if not math.isnan(then.get(f, math.nan) + now.get(f, math.nan))]
            change = Change.between(
                Study("", "", findings={f: then[f] for f in known}), Study("", "", findings={f: now[f] for f in known})
            )
            if known:
                wanted[one, other] = render(change)
    assert {pair: case.answer for pair, case in pairs.items()} == wanted
    assert len(set(wanted.values())) > 1
    assert all(case.split == split[case.patient_id] for case in source.cases)


def test_preparation(root: Path, tmp_path: Path) -> None:
    manifest = prepare("chexpert", root, tmp_path / "out", pixels=64, workers=1, progress=False)
    assert (manifest["split"], manifest["doctor"]["films"]["bad"]) == ("official", 0)
    assert manifest["simulated"]["layout"] == "chexpert"
    assert manifest["doctor"]["pairs"] == len(pairs_of(read_source("chexpert", root).cases))


# --- a small tree with everything that goes wrong ------------------------------------------------------------------


def row(path: str, who: str = "Female,61,Frontal,AP", **labels: str) -> str:
    cells = ",".join(labels.get(name.replace(" ", "_"), "") for name in chexpert.LABELS)
    return f"CheXpert-v1.0/{path},{who},{cells}"


TRAIN = [
    chexpert.HEADER,
    row("train/patient90001/study10/view1_frontal.jpg", Edema="1.0", Lung_Lesion="1.0", Pneumonia="-1.0"),
    row("train/patient90001/study2/view1_frontal.jpg", Edema="0.0", Lung_Lesion="0.0", Pneumonia="0.0"),
    row("train/patient90001/study1/view1_frontal.jpg", No_Finding="1.0", Edema="0.0", Pneumonia="1.0"),
    row("train/patient90001/study2/view2_frontal.jpg", "Female,61,Frontal,PA", Edema="0.0", Pneumonia="0.0"),
    row("train/patient90001/study2/view3_lateral.jpg", "Female,61,Lateral,", Edema="0.0"),
    row("train/patient90002/study1/view1_frontal.jpg", "Unknown,0,Frontal,PA", Support_Devices="1.0"),
    row("train/patient90002/study2/view1_frontal.jpg", "Male,90,Frontal,PA", Edema="perhaps", Fracture="1.0"),
    row("train/patient90003/study1/view1_frontal.jpg", "Male,60,Frontal,LL", Edema="1.0"),
    row("train/patient90003/study2/view1_frontal.jpg", "Male,60,Frontal,AP", Edema="1.0"),
    row("train/patient90003/study2/view1_frontal.jpg", "Male,60,Frontal,AP", Edema="1.0"),
    row("train/patient90003/study3/view1_frontal.jpg", "Male,59,Frontal,AP", Edema="1.0"),
    row("train/notes.txt"),
]
VALID = [chexpert.HEADER, row("valid/patient90003/study4/view1_frontal.jpg", "Male,60,Frontal,AP", Edema="0.0")]
TEST = ["Airspace Opacity,Cardiomegaly,Path", "1,0,test/patient90004/study1/view1_frontal.jpg"]
TEST += ["0,1,CheXpert/test/patient90004/study2/view1_frontal.jpg"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    folder = root / "CheXpert-v1.0"
    for number, line in enumerate(TRAIN + VALID + TEST):
        named = film_name(next((cell for cell in line.split(",") if cell.endswith(".jpg")), ""))
        if named is not None:
            save(chest(64, 52, number), folder / named.image)
    for name, lines in (("train.csv", TRAIN), ("valid.csv", VALID), ("test_labels.csv", TEST)):
        (folder / name).write_text("\ufeff" + "".join(f"{line}\r\n" for line in lines))
    return root


def test_order_is_the_number_of_the_study(tree: Path) -> None:
    source = read_source("chexpert", tree)
    pairs = pairs_of(source.cases)
    first, second = ("patient90001-study1", "patient90001-study2"), ("patient90001-study2", "patient90001-study10")
    assert [pair for pair in pairs if "90001" in pair[0]] == [first, second]
    assert pairs[first].answer == render(Change.of(missing=["pneumonia"]))
    assert pairs[first].current.view == "PA", "a study is shown by its PA film"
    assert pairs[second].answer == render(Change.of(added=["edema"])), "an uncertain pneumonia is unknown"
    assert source.release == "v1.0"
    assert all((source.image_root / case.current.image).is_file() for case in source.cases)
    assert len({case.case_id for case in source.cases}) == len(source.cases)


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ("present", render(Change.of(added=["edema", "pneumonia"]))),
        ("absent", render(Change.of(added=["edema"]))),
    ],
)
def test_policies_for_uncertain_labels(tree: Path, policy: str, answer: str) -> None:
    source = read_source("chexpert", tree, uncertain=policy)
    pair = pairs_of(source.cases)["patient90001-study2", "patient90001-study10"]
    assert pair.answer == answer
    assert pair.current.findings["pneumonia"] == (1 if policy == "present" else 0)
    with pytest.raises(ConfigError, match="unknown, absent, present"):
        read_source("chexpert", tree, uncertain="maybe")


def test_every_defect_is_counted(tree: Path) -> None:
    source = read_source("chexpert", tree)
    films = films_of(source.cases)
    assert films["patient90001-study1"].answer == "pneumonia"
    assert films["patient90002-study1"].answer == ""
    first, second = (films[f"patient90002-study{number}"].current for number in (1, 2))
    assert (first.sex, second.sex, second.age) == ("", "M", 90)
    assert math.isnan(first.age)
    assert films["patient90004-study1"].answer == "lung opacity", "the test labels call it Airspace Opacity"
    assert {case.patient_id: case.split for case in source.cases} == {
        "patient90001": "train",
        "patient90002": "train",
        "patient90003": "val",
        "patient90004": "test",
    }
    (tested,) = [case for case in pairs_of(source.cases).values() if case.patient_id == "patient90004"]
    assert tested.answer == render(Change.of(added=["cardiomegaly"], missing=["lung opacity"]))
    notes = dict(source.notes)
    assert notes.pop("films without a named finding that are not said to be normal (their answer is empty)") == 4
    assert set(notes.values()) == {1}
    for part in (
        "lateral films (left out)",
        "frontal films that are called LL or RL (left out)",
        "films given twice (the first is kept)",
        "rows whose path names no film (skipped)",
        "ages of 0 (unknown)",
        "uncertain labels",
        "labels that are not 1, 0, -1 or empty (left out)",
        "patients in several splits (the rarest is taken for all of their films)",
        "patients whose age falls along the order of their films, which must be wrong (no pair is made)",
        "neighbouring studies without a finding known on both (no pair is made)",
    ):
        assert part in notes, part


def test_patients_of_5x200_are_kept_out_of_train(tree: Path) -> None:
    lines = "Path,Edema\nCheXpert-v1.0-small/train/patient90001/study2/view1_frontal.jpg,1\nnowhere.jpg,0\n"
    for place in (tree / "CheXpert-v1.0", tree):
        (place / "chexpert_5x200.csv").write_text(lines)
        source = read_source("chexpert", tree)
        tagged = [case for case in source.cases if "chexpert_5x200" in case.tags]
        assert tagged == [case for case in source.cases if case.patient_id == "patient90001"]
        assert len(tagged) == 6
        assert {case.split for case in tagged} == {"test"}
        assert source.notes["patients of 5x200 (kept out of train: tag chexpert_5x200, split test)"] == 1
        assert source.notes["rows of chexpert_5x200.csv whose path names no film"] == 1
        (place / "chexpert_5x200.csv").unlink()
    (tree / "chexpert_5x200.csv").write_text("File\n")
    with pytest.raises(SourceError, match="columns Path are missing"):
        read_source("chexpert", tree)


def test_a_changed_label_without_a_word_is_tagged(tree: Path) -> None:
    one = row("train/patient90001/study1/view1_frontal.jpg", Edema="0.0", Lung_Lesion="0.0")
    other = row("train/patient90001/study2/view1_frontal.jpg", Edema="0.0", Lung_Lesion="1.0")
    (tree / "CheXpert-v1.0" / "train.csv").write_text("\n".join((chexpert.HEADER, one, other)))
    pair = pairs_of(read_source("chexpert", tree).cases)["patient90001-study1", "patient90001-study2"]
    assert (pair.answer, pair.tags) == ("", ("other_labels_changed",))


def test_missing_pieces_say_where_to_get_them(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match=r"neither train\.csv nor valid\.csv.*CheXpert-v1\.0-small.*stanford"):
        read_source("chexpert", empty)
    folder = tree / "CheXpert-v1.0"
    assert read_source("chexpert", folder).release == "v1.0"
    shutil.copytree(folder, tree / SMALL)
    source = read_source("chexpert", tree)
    assert source.image_root == folder
    assert any("two copies are here" in note for note in source.notes)
    for part in ("train", "valid", "test"):
        shutil.move(folder / part, tmp_path / "films" / part)
    with pytest.raises(SourceError, match=r"none of the films.*stanford"):
        read_source("chexpert", tree)
    assert read_source("chexpert", tree, images=tmp_path / "films").image_root == tmp_path / "films"
    (folder / "valid.csv").unlink()
    assert read_source("chexpert", tree, tables_only=True).notes["valid.csv is not there"] == 1
    (folder / "train.csv").write_text("Path,Edema\n")
    with pytest.raises(SourceError, match="columns Cardiomegaly are missing"):
        read_source("chexpert", tree, tables_only=True)
    (folder / "train.csv").write_text(chexpert.HEADER + "\n")
    (folder / "test_labels.csv").unlink()
    with pytest.raises(SourceError, match="no frontal film could be used"):
        read_source("chexpert", tree, tables_only=True)


# --- as AIMI and CheXlocalize hand it out ----------------------------------------------------------------------------

BATCH_OF = {"valid": "CheXpert-v1.0 batch 1 (validate & csv)", "patient90001": "CheXpert-v1.0 batch 2 (train 1)"}
BATCH_OF |= {"patient90002": "CheXpert-v1.0 batch 3 (train 2)", "patient90003": "CheXpert-v1.0 batch 4 (train 3)"}


def as_aimi(tree: Path, out: Path) -> Path:
    """The same films and tables in AIMI's batches; the test set in CheXlocalize's folder beside them."""
    folder = tree / "CheXpert-v1.0"
    for name in ("patient90001", "patient90002", "patient90003"):
        shutil.copytree(folder / "train" / name, out / BATCH_OF[name] / name)
    shutil.copytree(folder / "valid", out / BATCH_OF["valid"] / "valid")
    shutil.copytree(folder / "test", out / "CheXpert" / "test")
    for name in ("train.csv", "valid.csv"):
        shutil.copy(folder / name, out / BATCH_OF["valid"])
    shutil.copy(folder / "test_labels.csv", out / "CheXpert")
    (out / "README.md").write_text("by AIMI")
    return out


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    source = read_source("chexpert", root)
    assert all((source.image_root / case.current.image).is_file() for case in source.cases)
    return {case.case_id: (case.patient_id, case.split, case.answer, case.current.findings) for case in source.cases}


@pytest.mark.parametrize("inner", ["", BATCH_OF["valid"], ".."])
def test_the_batches_of_aimi(inner: str, tree: Path, tmp_path: Path) -> None:
    """ROOT is the folder of the batches, the batch with the tables, or a folder above."""
    batches = as_aimi(tree, tmp_path / "aimi" / "chexpertchestxrays-u20210408")
    found, published = facts(batches / inner), facts(tree)
    assert found == published
    assert {split for _, split, *_ in found.values()} == {"train", "val", "test"}


def test_a_batch_within_a_folder_of_its_name(tree: Path, tmp_path: Path) -> None:
    batches = as_aimi(tree, tmp_path / "aimi")
    for name in BATCH_OF.values():
        (batches / name).rename(tmp_path / "moved")
        (batches / name).mkdir()
        (tmp_path / "moved").rename(batches / name / name)
    assert facts(batches) == facts(tree)


def test_the_first_batch_alone_is_refused(tree: Path, tmp_path: Path) -> None:
    batches = as_aimi(tree, tmp_path / "aimi")
    alone = tmp_path / "alone" / BATCH_OF["valid"]
    shutil.copytree(batches / BATCH_OF["valid"], alone)
    for root in (alone, alone.parent):
        with pytest.raises(SourceError, match=r"none of the films that train\.csv names.*batch 1.*batch 4.*move train"):
            read_source("chexpert", root)
    (alone / "train.csv").unlink()
    assert {case.split for case in read_source("chexpert", alone).cases} == {"val"}


def test_a_part_of_the_training_films_is_enough(tree: Path, tmp_path: Path) -> None:
    batches = as_aimi(tree, tmp_path / "aimi")
    shutil.rmtree(batches / BATCH_OF["patient90002"])
    manifest = prepare("chexpert", batches, tmp_path / "out", pixels=32, workers=1, progress=False)
    assert manifest["doctor"]["films"]["bad"] == 2
    assert manifest["doctor"]["splits"]["train"]["cases"] > 0


@pytest.mark.parametrize("inner", ["", "CheXpert"])
def test_chexlocalize(inner: str, tree: Path, tmp_path: Path) -> None:
    folder, local = tree / "CheXpert-v1.0", tmp_path / "chexlocalize" / "CheXpert"
    shutil.copytree(folder / "valid", local / "val")
    shutil.copytree(folder / "test", local / "test")
    shutil.copy(folder / "valid.csv", local / "val_labels.csv")
    shutil.copy(folder / "test_labels.csv", local)
    found, published = facts(local.parent / inner), facts(tree)
    assert found.keys() == {"patient90003-study4-film", "patient90004-study1-film", "patient90004-study2-film"} | {
        name for name in published if name.endswith("-difference") and "patient90004" in name
    }
    assert all(found[name] == published[name] for name in found if "patient90004" in name)
    assert found["patient90003-study4-film"][1] == "val"


def test_the_labels_of_the_test_studies(tree: Path) -> None:
    """`groundtruth.csv` names studies: each of their frontal films has its labels, no lateral one."""
    folder = tree / "CheXpert-v1.0"
    wanted = facts(tree)
    (folder / "test_labels.csv").unlink()
    study = folder / "test" / "patient90004" / "study1"
    save(chest(64, 52, 91), study / "view2_frontal.jpg")
    save(chest(64, 52, 92), study / "view3_lateral.jpg")
    labels = ["Study,Cardiomegaly,Lung Opacity", "CheXpert-v1.0/test/patient90004/study1,0,1"]
    labels += ["CheXpert-v1.0/test/patient90004/study2,1,0", "CheXpert-v1.0/test/somebody/study2,1,0"]
    (folder / "groundtruth.csv").write_text("\n".join(labels) + "\n")
    found = facts(tree)
    more = found.pop("patient90004-study1-view2_frontal-film")
    assert found == wanted
    assert more[3] == {"cardiomegaly": 0, "lung opacity": 1}
    assert read_source("chexpert", tree).notes["rows whose path names no film (skipped)"] == 2


# --- the labels and splits of published work -----------------------------------------------------------------------


def test_published_labels_know_every_cell(tree: Path) -> None:
    """A blank is absent; an uncertain label of the five tasks is what is laid down for it."""
    unsure = dict.fromkeys(("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural_Effusion"), "-1.0")
    line = row("train/patient90001/study1/view1_frontal.jpg", Pneumonia="-1.0", Fracture="1.0", **unsure)
    (tree / "CheXpert-v1.0" / "train.csv").write_text(f"{chexpert.HEADER}\n{line}\n")
    cases = read_source("chexpert", tree, labels="published", tables_only=True).cases
    (case,) = [case for case in cases if case.current.image.startswith("train/")]
    findings = dict(case.current.findings)
    assert set(findings) == {label.lower() for label in CHEXPERT}
    assert {name for name, value in findings.items() if value == 1} == {
        *("atelectasis", "edema", "pleural effusion"),
        "fracture",
    }
    assert math.isnan(findings["pneumonia"])
    for wrong in ({"labels": "all"}, {"rows": "theirs"}):
        with pytest.raises(ConfigError, match="Choose one of"):
            read_source("chexpert", tree, **wrong)


def published_table(patients: int) -> str:
    """Two frontal films per patient; of the first 20 patients the one shows edema alone, the other a fracture too."""
    lines = [chexpert.HEADER]
    for number in range(patients):
        more = {"Edema": "1.0"} if number < 20 else {}
        lines.append(row(f"train/patient{90000 + number}/study1/view1_frontal.jpg", No_Finding="1.0", **more))
        lines.append(row(f"train/patient{90000 + number}/study2/view1_frontal.jpg", Fracture="1.0", **more))
    return "\n".join(lines) + "\n"


def test_published_protocol_validates_on_rows_of_train_and_tests_on_valid(tree: Path) -> None:
    (tree / "CheXpert-v1.0" / "train.csv").write_text(published_table(100))
    source = read_source("chexpert", tree, rows="published", tables_only=True)
    films = films_of(source.cases)
    splits = Counter(case.split for case in films.values())
    # 200 rows, of which 20 show edema alone and are set apart; a tenth of the others validates.
    assert (splits["train"], splits["val"]) == (162, 18)
    assert {case.current.image.split("/")[0] for case in films.values() if case.split == "test"} == {"valid"}
    assert not any(f"patient{90000 + number}-study1" in films for number in range(20))
    assert source.notes["rows of train.csv that validate (rows=published)"] == 18
    rest = [f"patient{90000 + n}-study{s}" for n in range(100) for s in (1, 2) if s == 2 or n >= 20]
    drawn = np.random.RandomState(0).choice(180, size=18, replace=False)
    assert {name for name, case in films.items() if case.split == "val"} == {rest[index] for index in drawn}
    kept, _, notes = assign(source.cases, "official")
    by_split = {name: {c.patient_id for c, s in zip(source.cases, kept, strict=True) if s == name} for name in SPLITS}
    assert not by_split["train"] & by_split["val"]
    assert notes["patients in several splits (only their test, or else val, cases are kept)"] > 0


def test_5x200_is_drawn_or_read(tree: Path) -> None:
    folder = tree / "CheXpert-v1.0"
    (folder / "train.csv").write_text(published_table(30))
    source = read_source("chexpert", tree, rows="5x200", tables_only=True)
    films = films_of(source.cases)
    assert set(films) == {f"patient{90000 + number}-study1" for number in range(20)}
    assert {(case.split, case.tags) for case in films.values()} == {("test", ("chexpert_5x200",))}
    assert source.notes["films of 5x200 that show edema alone"] == 20
    (folder / "chexpert_5x200.csv").write_text("Path\ntrain/patient90003/study2/view1_frontal.jpg\n")
    listed = read_source("chexpert", tree, rows="5x200", tables_only=True)
    assert set(films_of(listed.cases)) == {"patient90003-study2"}
    (folder / "train.csv").unlink()
    with pytest.raises(SourceError, match=r"train\.csv is not here"):
        read_source("chexpert", tree, rows="published", tables_only=True)
