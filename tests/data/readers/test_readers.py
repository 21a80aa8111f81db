"""Readers against small trees in the true layout, with everything that goes wrong in real ones."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest
from film_files import chest, save
from mimic_tree import AREA, EDEMA, EFFUSION, GAINED, dicom_id, film, write_tree

from intervalchange.data.readers import READERS, read_source, reader_options, sources
from intervalchange.data.readers.files import read_table
from intervalchange.data.splits import assign, by_patient, split_hash
from intervalchange.errors import ConfigError, SourceError
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING, parse
from intervalchange.records import KINDS, Case, Change, Study


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "root")


def by_pair(cases: list[Case]) -> dict[tuple[str, str, str], Case]:
    """(current, prior, question) -> case."""
    return {(c.current.study_id, c.prior.study_id if c.prior else "", c.question): c for c in cases}


# --- Medical-Diff-VQA ------------------------------------------------------------------------------------------------


def test_every_pair_reads_forward_in_time(tree: Path) -> None:
    source = read_source("mimic_diff_vqa", tree)
    cases = by_pair(source.cases)
    as_it_stands = cases["68000002", "69000001", DIFFERENCE_QUESTION]
    assert as_it_stands.answer == GAINED
    assert as_it_stands.tags == ()
    turned = cases["68000002", "67000003", DIFFERENCE_QUESTION]
    assert turned.answer == GAINED, "the row said `missing` of an earlier main film"
    assert turned.tags == ("swapped_row",)
    wrong_answer = cases["64000006", "65000005", DIFFERENCE_QUESTION]
    assert wrong_answer.answer == GAINED, "the answer was about ref_id as main"
    assert wrong_answer.tags == ("answer_reversed",)
    still = cases["68000002", "67000003", AREA]
    assert still.answer == NOTHING
    assert still.tags == ("swapped_row",)
    for case in source.cases:
        if case.prior is not None and case.question == DIFFERENCE_QUESTION and parse(case.answer).change.added:
            assert parse(case.answer).change.added <= Change.between(case.prior, case.current).added
    assert source.notes["difference rows with the main film earlier (turned round)"] == 2
    assert source.notes["difference rows whose answer is about ref_id as the main film"] == 1


def test_what_is_skipped_is_counted(tree: Path) -> None:
    notes = read_source("mimic_diff_vqa", tree).notes
    assert notes["rows whose film is not known to be frontal (skipped)"] == 1
    assert notes["rows whose image is unknown (skipped)"] == 1
    assert notes["rows whose films are of different patients (skipped)"] == 1
    assert notes["rows of a difference without another film (skipped)"] == 1
    assert notes["rows with an unknown question type or split (skipped)"] == 1
    assert notes["duplicate rows (kept once)"] == 1
    assert notes["metadata dates that cannot be read"] == 1


def test_all_seven_kinds(tree: Path) -> None:
    cases = read_source("mimic_diff_vqa", tree).cases
    assert {case.kind for case in cases} == set(KINDS)
    assert all((case.prior is None) == (case.kind != "difference") for case in cases)
    assert len({case.case_id for case in cases}) == len(cases)
    view = next(case for case in cases if case.kind == "view")
    assert (view.answer, view.split, view.patient_id) == ("PA view", "test", "29000003")


def test_studies_carry_findings_levels_reports_and_time(tree: Path) -> None:
    source = read_source("mimic_diff_vqa", tree)
    current = by_pair(source.cases)["68000002", "69000001", DIFFERENCE_QUESTION].current
    assert len(current.findings) == 30
    assert {name for name, value in current.findings.items() if value == 1} == {EDEMA, EFFUSION}
    assert dict(current.levels) == {EDEMA: "severe"}
    assert "Report of 68000002." in current.report
    assert (current.view, current.acquired_at, current.image) == ("AP", "2180-01-05T23:59:59", film("68000002"))
    unseen = by_pair(source.cases)["68000002", "67000003", DIFFERENCE_QUESTION].prior
    assert unseen is not None
    assert unseen.view == "PA", "the view that mimic_all lacks comes from the metadata"
    undated = by_pair(source.cases)["64000006", "65000005", DIFFERENCE_QUESTION].prior
    assert undated is not None
    assert undated.acquired_at == ""


def test_tables_only_opens_no_report_and_needs_no_film(tree: Path) -> None:
    shutil.rmtree(tree / "mimic-cxr-jpg" / "files")
    source = read_source("mimic_diff_vqa", tree, tables_only=True)
    assert source.cases[0].current.report == ""
    with pytest.raises(SourceError, match="none of the films"):
        read_source("mimic_diff_vqa", tree)


def test_order_without_metadata_or_dates(tree: Path) -> None:
    (tree / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    source = read_source("mimic_diff_vqa", tree)
    pairs = [case for case in source.cases if case.prior is not None]
    assert any("not there" in note for note in source.notes)
    assert any("order_unknown" in case.tags for case in pairs) is False, (
        "67000003 has no view now, so its ties are gone"
    )
    assert by_pair(source.cases)["64000006", "65000005", DIFFERENCE_QUESTION].answer == GAINED, "by study_order"


def test_same_day_without_time_keeps_the_order_of_the_row(tree: Path) -> None:
    (tree / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    table = tree / "medical-diff-vqa" / "mimic_all.csv"
    table.write_text(table.read_text().replace(f"{dicom_id('67000003')},,", f"{dicom_id('67000003')},PA,"))
    source = read_source("mimic_diff_vqa", tree)
    case = by_pair(source.cases)["67000003", "68000002", DIFFERENCE_QUESTION]
    assert "order_unknown" in case.tags
    assert parse(case.answer).change.missing == {EFFUSION}


def test_other_places_versions_and_no_split_column(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "root", split_column=False)
    (tree / "medical-diff-vqa").rename(tmp_path / "elsewhere")
    (tmp_path / "v" / "1.0.1").parent.mkdir()
    (tmp_path / "elsewhere").rename(tmp_path / "v" / "1.0.1")
    source = read_source("mimic_diff_vqa", tree, questions=tmp_path / "v")
    assert source.release == "1.0.1"
    assert {case.split for case in source.cases} == {""}
    films = tree / "mimic-cxr-jpg"
    flat = tmp_path / "flat"
    save(chest(), flat / f"{dicom_id('69000001')}.png")
    assert (
        read_source("mimic_diff_vqa", tree, questions=tmp_path / "v", images=flat)
        .cases[0]
        .current.image.startswith("6")
    )
    (films / "files").rename(films / "2.1.0.tmp")
    (films / "2.1.0").mkdir()
    (films / "2.1.0.tmp").rename(films / "2.1.0" / "files")
    (films / "mimic-cxr-2.0.0-metadata.csv.gz").rename(films / "2.1.0" / "mimic-cxr-2.0.0-metadata.csv.gz")
    assert read_source("mimic_diff_vqa", tree, questions=tmp_path / "v").image_root == films / "2.1.0"


def test_missing_pieces_are_all_named_with_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read_source("mimic_diff_vqa", tmp_path)
    for word in ("mimic_pair_questions.csv", "mimic_all.csv", "mimic-cxr-jpg", "physionet.org", "--questions"):
        assert word in str(caught.value)
    with pytest.raises(SourceError, match="--reports"):
        read_source("mimic_diff_vqa", write_tree(tmp_path / "root"), reports=tmp_path / "none")
    (tmp_path / "root" / "medical-diff-vqa" / "all_diseases.json").write_text("{]")
    with pytest.raises(SourceError, match="key findings"):
        read_source("mimic_diff_vqa", tmp_path / "root")
    (tmp_path / "root" / "medical-diff-vqa" / "all_diseases.json").unlink()
    (tmp_path / "root" / "medical-diff-vqa" / "mimic_pair_questions.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match="study_id"):
        read_source("mimic_diff_vqa", tmp_path / "root")


def test_without_key_findings_the_row_is_taken_at_its_word(tree: Path) -> None:
    (tree / "medical-diff-vqa" / "all_diseases.json").unlink()
    source = read_source("mimic_diff_vqa", tree)
    case = by_pair(source.cases)["68000002", "67000003", DIFFERENCE_QUESTION]
    assert case.answer == GAINED
    assert not case.current.findings
    assert any("all_diseases.json" in note for note in source.notes)


def test_an_answer_that_cannot_be_turned_is_skipped(tree: Path) -> None:
    table = tree / "medical-diff-vqa" / "mimic_pair_questions.csv"
    text = table.read_text().replace(
        "67000003,29000001,68000002,difference,what has changed in the left lung area?,nothing has changed.",
        "67000003,29000001,68000002,difference,what has changed in the left lung area?,the moon is bigger.",
    )
    table.write_text(text)
    notes = read_source("mimic_diff_vqa", tree).notes
    assert notes["difference rows to be turned round whose answer cannot be read (skipped)"] == 1


def test_truth_of_a_simulated_tree(tree: Path) -> None:
    truth = tree / "simulated-truth"
    save(chest(32, 32), truth / "opacity" / f"{dicom_id('69000001')}.png")
    region = {"dicom_id": dicom_id("69000001"), "kind": "anatomy", "name": "left lung"}
    pd.DataFrame([region | {"x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 40.0, "rle": None}]).to_parquet(
        truth / "regions.parquet"
    )
    (truth / "same_state.csv").write_text("subject_id,study_id,ref_id\n29000001,68000002,67000003\n")
    (tree / "SIMULATED").write_text('{"seed": 7}')
    source = read_source("mimic_diff_vqa", tree)
    assert source.simulated == {"seed": 7}
    assert list(source.maps) == [film("69000001")]
    prior = by_pair(source.cases)["68000002", "69000001", DIFFERENCE_QUESTION].prior
    assert prior is not None
    assert prior.regions[0].box == (1, 2, 30, 40)
    assert by_pair(source.cases)["68000002", "67000003", DIFFERENCE_QUESTION].tags == ("swapped_row", "same_state")


# --- pairs -----------------------------------------------------------------------------------------------------------


def write_csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


def test_pairs_smallest_and_fullest(tmp_path: Path) -> None:
    small = write_csv(tmp_path / "small.csv", "patient,prior,current", "7,a.png,b.png")
    (case,) = read_source("pairs", small).cases
    assert (case.case_id, case.patient_id, case.question, case.answer) == ("small:2", "7", DIFFERENCE_QUESTION, "")
    assert (case.prior and case.prior.image, case.current.image) == ("a.png", "b.png")
    full = write_csv(
        tmp_path / "full.csv",
        "Patient ID,Ref-File,Main File,Question,Answer,Split,Case_ID,"
        "ref_date,main_date,ref_view,main_view,main_note,main_findings,change_label",
        f"7,a.png,b.png,what?,{GAINED},validate,one,2020-01-01,2020-02-01,AP Supine,pa,A note.,Effusion|Edema,worsened",
    )
    (case,) = read_source("pairs", full).cases
    assert (case.case_id, case.split, case.question, case.answer) == ("one", "val", "what?", GAINED)
    assert case.prior is not None
    assert (case.prior.view, case.current.view, case.current.report) == ("AP", "PA", "A note.")
    assert case.current.findings == {EFFUSION: 1.0, EDEMA: 1.0}
    assert case.tags == ("change_label=worsened",)


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("prior_date,current_date", "2020-02-01,2020-01-01"),
        ("prior_date,current_date", "20200201,20200101"),
        ("prior_day,current_day", "12,-3"),
        ("prior_date,current_date", "2020-01-01T10:00:00,2020-01-01T09:00:00"),
        ("days_between", "-4"),
    ],
)
def test_pairs_are_turned_by_their_dates(tmp_path: Path, columns: str, row: str) -> None:
    path = write_csv(
        tmp_path / "p.csv", f"patient,prior,current,answer,{columns}", f"7,late.png,early.png,{GAINED},{row}"
    )
    (case,) = read_source("pairs", path).cases
    assert case.prior is not None
    assert (case.prior.image, case.current.image) == ("early.png", "late.png")
    assert parse(case.answer).change.missing == {EFFUSION}
    assert "swapped_row" in case.tags
    free = write_csv(
        tmp_path / "f.csv",
        f"patient,prior,current,answer,{columns}",
        f"7,late.png,early.png,who knows,{row}",
        f"7,late.png,early.png,,{row}",
    )
    source = read_source("pairs", free)
    assert len(source.cases) == 1
    assert any("cannot be reversed" in note for note in source.notes)


def test_pairs_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        read_source("pairs", tmp_path / "none.csv")
    with pytest.raises(SourceError, match=r"no column for prior, current.*patient,prior,current"):
        read_source("pairs", write_csv(tmp_path / "a.csv", "patient,first,second", "1,a,b"))
    with pytest.raises(SourceError, match="line 2: unknown kind"):
        read_source("pairs", write_csv(tmp_path / "b.csv", "patient,prior,current,kind", "1,a,b,opinion"))
    with pytest.raises(SourceError, match="no row"):
        read_source("pairs", write_csv(tmp_path / "c.csv", "patient,prior,current", "1,a,"))
    (tmp_path / "d.csv").write_bytes(b"\xff\xfe\x00\x81" * 30)
    with pytest.raises(SourceError):
        read_source("pairs", tmp_path / "d.csv")
    (tmp_path / "e.csv").touch()
    with pytest.raises(SourceError):
        read_source("pairs", tmp_path / "e.csv")
    twice = write_csv(tmp_path / "g.csv", "patient,prior,current,case_id,prior_date", "1,a,b,x,", "1,a,b,x,yesterday")
    source = read_source("pairs", twice)
    assert len(source.cases) == 1
    assert source.notes["dates that cannot be read"] == 1


def test_the_open_longitudinal_set_is_pairs(shared: Path) -> None:
    folder = shared / "data" / "cxr_longitudinal"
    source = read_source("pairs", folder)
    assert len(source.cases) == 943
    assert all((folder / case.current.image).is_file() for case in source.cases)
    tags = [tag for case in source.cases for tag in case.tags]
    assert tags.count("consecutive=1") == 229
    assert sum(tag.startswith("change_label=") for tag in tags) == 56
    assert tags.count("same_view_group=1") == 919
    low = read_source("pairs", shared / "data" / "cxr_longitudinal_nih" / "pairs.csv")
    assert len(low.cases) == 621


def test_unknown_source_and_options(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="mimic_diff_vqa"):
        read_source("mimic", tmp_path)
    path = write_csv(tmp_path / "p.csv", "patient,prior,current", "7,a.png,b.png")
    assert read_source("pairs", path, images=None).cases
    with pytest.raises(ConfigError, match="--images"):
        read_source("pairs", path, images=tmp_path)


# --- dates and splits ------------------------------------------------------------------------------------------------


def case_of(patient: str, split: str, number: int) -> Case:
    return Case(f"{patient}-{number}", patient, Study("s", "s.png"), None, "q", "a", "view", split)


def test_a_patient_in_several_splits_keeps_the_test_cases() -> None:
    cases = [case_of("a", "train", 0), case_of("a", "test", 1), case_of("b", "train", 2), case_of("b", "val", 3)]
    splits, how, notes = assign([*cases, case_of("c", "train", 4)], "official")
    assert (splits, how) == (["", "test", "", "val", "train"], "official")
    assert notes["cases dropped because their patient is in several splits"] == 2


def test_split_by_patient_and_by_file(tmp_path: Path) -> None:
    cases = [case_of(f"patient{number // 2}", "", number) for number in range(2000)]
    splits, how, notes = assign(cases, "official")
    assert how == "patient"
    assert any("no splits" in note for note in notes)
    assert [by_patient(case.patient_id) for case in cases] == splits
    assert 0.75 < splits.count("train") / 2000 < 0.85
    assert 0.07 < splits.count("test") / 2000 < 0.13
    (tmp_path / "s.json").write_text('{"train": ["patient0"], "validate": ["patient1-2"]}')
    splits, _, notes = assign(cases[:4], str(tmp_path / "s.json"))
    assert splits == ["train", "train", "val", ""]
    (tmp_path / "s.csv").write_text("patient_id,split\npatient0,test\npatient1,train\n")
    assert assign(cases[:4], str(tmp_path / "s.csv"))[0] == ["test", "test", "train", "train"]
    for text in ('{"dev": ["patient0"]}', "[1]", "nonsense"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(SourceError, match="split"):
            assign(cases, str(tmp_path / "bad.json"))
    with pytest.raises(SourceError, match="no such split file"):
        assign(cases, "no.json")
    assert split_hash(["a", "b"], ["train", "test"]) == split_hash(["b", "a"], ["test", "train"])


def test_tables_whose_rows_and_names_do_not_match(tmp_path: Path) -> None:
    def table(text: str) -> dict[str, list[str]]:
        (tmp_path / "a.csv").write_text(text)
        return read_table(tmp_path / "a.csv", "Fetch it again.").to_dict("list")

    assert table("a,b\n1\n1,2\n") == {"a": ["1", "1"], "b": ["", "2"]}
    assert table("a,b,\n1,2,\n") == {"a": ["1"], "b": ["2"]}
    assert table("a,b,a \n1,2,3\n") == {"a": ["1"], "b": ["2"]}
    for text in ("a,b\n1,2,3\n4,5,6\n", "a,b\n1,2,\n", "a,b\n1,2\n1,2,3\n"):
        with pytest.raises(SourceError, match=r"a\.csv: .* Fetch it again"):
            table(text)


def test_a_table_whose_compressed_bytes_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    data = bytearray(gzip.compress(b"a,b\n" + b"1,2\n" * 100))
    data[12:20] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(SourceError, match="not a CSV"):
        read_table(path, "Fetch it again.")


# --- sources of other packages --------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[metadata.EntryPoint]]:
    """The entry points that other packages have: append to it before the sources are asked for."""
    points: list[metadata.EntryPoint] = []
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point for point in points if point.group == group])
    sources.cache_clear()
    yield points
    sources.cache_clear()


def test_an_installed_package_adds_a_source(
    installed: list[metadata.EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_hospital.py").write_text(
        "from intervalchange.data.readers.source import Source\n"
        "def read(root, number: int = 1, tables_only: bool = False):\n"
        "    return Source('mine', str(number), root, [])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    installed.append(metadata.EntryPoint("mine", "my_hospital", "intervalchange.sources"))
    assert list(sources()) == [*READERS, "mine"]
    assert reader_options("mine") == {"number": int}
    source = read_source("mine", tmp_path, number="3")
    assert (source.name, source.release, source.image_root) == ("mine", "3", tmp_path)


def test_two_packages_bring_one_source(installed: list[metadata.EntryPoint]) -> None:
    installed.append(metadata.EntryPoint("nih", "another.nih", "intervalchange.sources"))
    with pytest.raises(ConfigError, match="two packages bring a source 'nih'"):
        sources()
