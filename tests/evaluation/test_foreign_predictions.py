"""Anyone's answers: every form is joined by id and by nothing else, and what cannot be joined is said."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from intervalchange import cli
from intervalchange.errors import ConfigError, SourceError
from intervalchange.evaluation.answers import json_lines, reference_table
from intervalchange.evaluation.answers.foreign import join, read_answers
from intervalchange.evaluation.answers.reference_table import read_reference
from intervalchange.evaluation.scoring.score import Scores, score
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING

EDEMA = "the main image has an additional finding of edema than the reference image. "
HERNIA = "the main image is missing the finding of hernia than the reference image. "
COLUMNS = ("study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split")
TEST = 24
"""Difference questions of the test split, two a patient."""


def rows() -> list[dict[str, str]]:
    """Rows as mimic_pair_questions.csv has them, ids outside the true ranges."""
    found = []
    for number in range(40):
        row = {
            "study_id": str(69_990_001 + number),
            "subject_id": str(29_990_001 + number // 2),
            "ref_id": str(68_880_001 + number),
            "split": "test" if number < TEST else "train",
        }
        answer = (EDEMA, HERNIA, NOTHING)[number % 3]
        found.append({**row, "question_type": "difference", "question": DIFFERENCE_QUESTION, "answer": answer})
        found.append(
            {**row, "question_type": "view", "question": "which view is this image taken?", "answer": "PA view"}
        )
    return found


def write_csv(path: Path, table: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "mimic_pair_questions.csv", rows())


def wanted() -> dict[str, str]:
    """study_ref -> the true answer, of the test split, in another order than the table's."""
    pairs = {
        f"{row['study_id']}_{row['ref_id']}": row["answer"]
        for row in rows()
        if row["split"] == "test" and row["question_type"] == "difference"
    }
    return {name: pairs[name] for name in random.Random(0).sample(sorted(pairs), len(pairs))}


def coco(path: Path, answers: dict[str, str]) -> Path:
    results = [{"image_id": name, "caption": text, "id": number} for number, (name, text) in enumerate(answers.items())]
    path.write_text(json.dumps(results), encoding="utf-8")
    return path


def as_csv(path: Path, answers: dict[str, str]) -> Path:
    return write_csv(
        path, [{"Image_ID": name, "Prediction": text, "answer": "zebra"} for name, text in answers.items()]
    )


def as_lines(path: Path, answers: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps({"id": name, "response": text}) + "\n" for name, text in answers.items()))
    return path


def by_columns(path: Path, answers: dict[str, str]) -> Path:
    """No id: the pair's columns as pandas writes them once they have been floats."""
    split = [(*name.split("_"), text) for name, text in answers.items()]
    table = [{"study_id": f"{one}.0", "ref_id": f"{two}.0", "prediction": text} for one, two, text in split]
    return write_csv(path, table)


FORMS: dict[str, Callable[[Path, dict[str, str]], Path]] = {
    "answers.json": coco,
    "answers.csv": as_csv,
    "answers.jsonl": as_lines,
    "columns.csv": by_columns,
}


def scored(paths: Path | list[Path], reference: Path, **more: Any) -> Scores:
    return score(paths, reference=reference, meteor=False, replicates=more.pop("replicates", 40), **more)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_joined_by_id(name: str, reference: Path, tmp_path: Path) -> None:
    metrics = scored(FORMS[name](tmp_path / name, wanted()), reference).files[0].metrics
    assert metrics["change.micro.f1"] == metrics["change.exact.accuracy"] == 1
    assert metrics["difference.count"] == metrics["cases.count"] == TEST
    assert metrics["patients.count"] == TEST // 2
    # The train rows of the table feed the floors.
    assert 0 < metrics["floors.question_only.change.findings.micro.f1"] < 1
    assert metrics["floors.question_only.beaten"] == "yes"


def test_the_order_of_lines_means_nothing(reference: Path, tmp_path: Path) -> None:
    answers = wanted()
    wrong = dict(zip(answers, [NOTHING, *list(answers.values())[1:]], strict=True))
    one = scored(coco(tmp_path / "a.json", wrong), reference).files[0].metrics
    back = {name: wrong[name] for name in reversed(list(wrong))}
    two = scored(coco(tmp_path / "b.json", back), reference).files[0].metrics
    assert {**one, "name": ""} == pytest.approx({**two, "name": ""})


def test_all_questions_of_a_table_with_its_own_columns(reference: Path, tmp_path: Path) -> None:
    table = [{**row, "prediction": row["answer"]} for row in rows() if row["split"] == "test"]
    metrics = scored(write_csv(tmp_path / "all.csv", table), reference).files[0].metrics
    assert metrics["kinds.view.accuracy"] == metrics["change.micro.f1"] == 1
    assert metrics["cases.count"] == 2 * TEST


def test_coco_annotations_and_prepared_folders_are_references(tmp_path: Path) -> None:
    answers = wanted()
    annotations = [{"id": n, "image_id": name, "caption": text} for n, (name, text) in enumerate(answers.items())]
    images = [{"id": name, "file_name": "x.png", "subject_id": 7 + n // 4} for n, name in enumerate(answers)]
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"images": images, "annotations": annotations}))
    found = scored(coco(tmp_path / "a.json", answers), truth).files[0]
    assert found.metrics["change.micro.f1"] == 1
    assert found.metrics["patients.count"] == TEST // 4
    cases = [
        {"case_id": f"{name.replace('_', '-')}-difference", "patient_id": name, "kind": "difference", "question": "q"}
        | {"answer": text, "split": "test", "tags": ["same_state"]}
        for name, text in answers.items()
    ]
    pd.DataFrame(cases).to_parquet(tmp_path / "cases.parquet")
    found = scored(coco(tmp_path / "a.json", answers), tmp_path).files[0]
    assert found.metrics["change.micro.f1"] == 1
    assert found.metrics["change.same_state.count"] == sum(text == NOTHING for text in answers.values())


def test_references_without_patients_say_so(tmp_path: Path) -> None:
    truth = write_csv(tmp_path / "truth.csv", [{"id": n, "reference": EDEMA} for n in range(4)])
    notes = scored(as_lines(tmp_path / "a.jsonl", {str(n): EDEMA for n in range(4)}), truth).files[0].notes
    assert any("names no patients" in note for note in notes)


def test_simulated_references_keep_their_caption(reference: Path, tmp_path: Path) -> None:
    (reference.parent / "SIMULATED").touch()
    metrics = scored(coco(tmp_path / "a.json", wanted()), reference).files[0].metrics
    assert metrics["caption"] == "simulated; not a ranking on patients"


# --- what is refused ---------------------------------------------------------------------------------------------


def test_missing_and_extra_ids(reference: Path, tmp_path: Path) -> None:
    answers = wanted()
    gone = next(iter(answers))
    short = {name: text for name, text in answers.items() if name != gone}
    path = coco(tmp_path / "a.json", {**short})
    with pytest.raises(SourceError, match="1 of 24 cases") as caught:
        scored(path, reference)
    assert gone.replace("_", "-") in str(caught.value) and "--partial" in str(caught.value)
    path = coco(tmp_path / "a.json", {**short, "41": EDEMA})
    with pytest.raises(SourceError, match=r"1 of 24 answers are to no case .*: 41\."):
        scored(path, reference)
    found = scored(path, reference, partial=True).files[0]
    assert found.metrics["cases.count"] == TEST - 1
    assert sum("left out" in note for note in found.notes) == 2


def test_answers_of_several_splits(reference: Path, tmp_path: Path) -> None:
    table = [{**row, "prediction": row["answer"]} for row in rows() if row["question_type"] == "difference"]
    path = write_csv(tmp_path / "a.csv", table)
    with pytest.raises(SourceError, match="several splits"):
        scored(path, reference)
    assert scored(path, reference, split="test", partial=True).files[0].metrics["cases.count"] == TEST
    with pytest.raises(SourceError, match=r"to no case of .*val"):
        scored(path, reference, split="val")


def test_no_id_fits(reference: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no answer is to a case"):
        scored(coco(tmp_path / "a.json", {"1": EDEMA}), reference, partial=True)


@pytest.mark.parametrize("name", ["answers.json", "answers.csv", "answers.jsonl"])
def test_a_repeated_id(name: str, reference: Path, tmp_path: Path) -> None:
    path = FORMS[name](tmp_path / name, wanted())
    text = path.read_text()
    again = json.loads(text) * 2 if name.endswith(".json") else None
    path.write_text(json.dumps(again) if again else text + text.splitlines()[-1] + "\n")
    with pytest.raises(SourceError, match="was already answered in"):
        scored(path, reference)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '[{"image_id": 1, "caption": NaN}]', "NaN is not JSON"),
        ("a.json", '[{"image_id": NaN, "caption": "x"}]', "NaN is not JSON"),
        ("a.json", '[{"image_id": 1, "caption": null}]', "the answer is None"),
        ("a.json", '[{"image_id": null, "caption": "x"}]', "the id is None"),
        ("a.json", '[{"image_id": 1.5, "caption": "x"}]', "the id is 1.5"),
        ("a.json", '[{"caption": "x"}]', "no id among caption"),
        ("a.json", '[{"image_id": 1}]', "no answer among"),
        ("a.json", '["x"]', "must be an object"),
        ("a.json", '[{"image_id": 1,', "not valid JSON"),
        ("a.json", "[]", "holds no answers"),
        ("a.jsonl", '{"id": 1, "answer": NaN}', "NaN is not JSON"),
        ("a.jsonl", '{"id": 1, "answer": 3}', "the answer is 3"),
        ("a.csv", "id,answer\n1,nan\n", "the answer is 'nan'"),
        ("a.csv", "id,answer\nnan,x\n", "the id is 'nan'"),
        ("a.csv", "id,answer\n1,a,b\n", "has 3 values for 2 columns"),
        ("a.csv", 'id,answer\n1,"a\n', "not a valid table"),
        ("a.csv", "", "is empty"),
        ("a.csv", "id,words\n1,x\n", "no answer among id, words"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(SourceError, match=said) as caught:
        read_answers(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_another_encoding(name: str, reference: Path, tmp_path: Path) -> None:
    path = FORMS["answers" + Path(name).suffix](tmp_path / name, {"1": "x é y"})
    content = path.read_text(encoding="utf-8").replace("\\u00e9", "é")
    path.write_bytes(content.encode("latin1"))
    with pytest.raises(SourceError, match=r"not UTF-8 .*0xe9.*iconv"):
        read_answers(path)
    path.write_bytes(content.encode("utf-8-sig"))
    assert [answer.answer for answer in read_answers(path)[1]] == ["x é y"], "a byte order mark does no harm"
    if name != "a.json":
        path.write_bytes(content.encode("utf-16"))
        with pytest.raises(SourceError, match="UTF-16"):
            read_answers(path)


@pytest.mark.parametrize("name", ["answers.csv", "answers.jsonl"])
def test_a_line_without_end_is_not_read_into_memory(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 200)
    path = FORMS[name](tmp_path / name, {"1": "a" * 5000})
    with pytest.raises(SourceError, match="longer than 200 bytes"):
        read_answers(path)


def test_a_document_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_table, "LARGEST_FILE", 200)
    with pytest.raises(SourceError, match="the limit is 200"):
        read_answers(coco(tmp_path / "a.json", {"1": "a" * 5000}))


def test_references_that_cannot_be_used(reference: Path, tmp_path: Path) -> None:
    answers = coco(tmp_path / "a.json", wanted())
    with pytest.raises(ConfigError, match="--reference"):
        score(answers, meteor=False)
    with pytest.raises(SourceError, match="does not exist"):
        scored(answers, tmp_path / "none.csv")
    with pytest.raises(SourceError, match="not a COCO caption file"):
        scored(answers, answers)
    with pytest.raises(SourceError, match="two references"):
        read_reference(write_csv(tmp_path / "two.csv", [{"id": 1, "gt": EDEMA}, {"id": 1, "gt": HERNIA}]))
    with pytest.raises(SourceError, match="no id or no reference"):
        read_reference(write_csv(tmp_path / "bare.csv", [{"id": 1}]))


def test_repeated_rows_of_the_published_table_are_counted(reference: Path, tmp_path: Path) -> None:
    table = rows()
    repeated = write_csv(reference, [*table, table[0], {**table[2], "answer": NOTHING}])
    found = read_reference(repeated)
    assert len(found.cases) == len(table)
    assert "2 rows" in found.notes[0] and "1 differ" in found.notes[0]


def test_a_name_of_several_cases(tmp_path: Path) -> None:
    table = [{**row, "question": f"{row['question']} {n}"} for n, row in enumerate(rows())]
    found = read_reference(write_csv(tmp_path / "a.csv", table))
    found.index["short"] = -1
    lines = as_lines(tmp_path / "a.jsonl", {"short": EDEMA})
    with pytest.raises(SourceError, match="several cases"):
        join(read_answers(lines)[1], found, lines)


# --- several files, names, frozen weights ------------------------------------------------------------------------


def test_several_files_are_compared_with_corrected_p_values(reference: Path, tmp_path: Path) -> None:
    answers = wanted()
    worse = dict.fromkeys(answers, NOTHING)
    files = [
        coco(tmp_path / "a.json", answers),
        as_csv(tmp_path / "b.csv", worse),
        as_lines(tmp_path / "c.jsonl", answers),
    ]
    paired = scored(files, reference, replicates=400).paired
    name = "change.findings.micro.f1"
    assert paired["b.csv"][f"{name}.p"] == pytest.approx(2 / 401)
    assert paired["b.csv"][f"{name}.p"] < paired["b.csv"][f"{name}.p_holm"] <= 18 * 2 / 401
    assert paired["c.jsonl"][f"{name}.p"] == paired["c.jsonl"][f"{name}.p_holm"] == 1


def test_a_method_that_has_not_looked_is_marked(reference: Path, tmp_path: Path) -> None:
    found = scored(coco(tmp_path / "a.json", dict.fromkeys(wanted(), EDEMA)), reference).files[0]
    assert found.metrics["floors.question_only.beaten"] == "no"
    assert any("does not beat the question-only floor" in note for note in found.notes)


def run(arguments: list[Any]) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_the_command_line(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = coco(tmp_path / "a.json", wanted())
    given = ["score", "--reference", reference, "--format", "coco", "--replicates", 20, answers]
    table = tmp_path / "idf.json"
    assert run([*given, "--no-meteor", "--json", "--save-idf", table]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["change.micro.f1"] == 1 and plain["text.meteor_java15"] == "not run"
    frozen = [*given, "--idf", table, "--metrics", "text.cider_d", "text.idf"]
    assert run(frozen) == 0
    chosen = json.loads(capsys.readouterr().out)["a.json"]
    assert chosen["text.cider_d"] == pytest.approx(plain["text.cider_d"])
    assert "frozen" in chosen["text.idf"] and "scored references" in plain["text.idf"]
    assert not any(name.startswith("change") for name in chosen)


@pytest.mark.parametrize("name", ["meteor", "METEOR", "text.meteor", "cider", "ROUGE-L", "bleu"])
def test_a_bare_name_is_refused(name: str, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = coco(tmp_path / "a.json", wanted())
    assert run(["score", answers, "--reference", reference, "--metrics", name]) == 2
    assert "Ask for text." in capsys.readouterr().err


def test_a_name_of_no_figure(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = coco(tmp_path / "a.json", wanted())
    given = ["score", answers, "--reference", reference, "--replicates", 5, "--metrics", "change.micro.f2"]
    assert run(given) == 2
    assert "change.micro.f1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    ["[]", '{"format": "other"}', '{"format": "intervalchange idf 1", "references": 2, "ngrams": {"a": 3}}', "{"],
)
def test_a_table_of_weights_that_is_none(content: str, reference: Path, tmp_path: Path) -> None:
    table = tmp_path / "idf.json"
    table.write_text(content)
    with pytest.raises(SourceError):
        scored(coco(tmp_path / "a.json", wanted()), reference, idf=table)


# --- forms of the COCO tools, and metrics that references cannot give -------------------------------------------------

PERFECT = {"1": EDEMA, "2": HERNIA}


def references_of(tmp_path: Path, texts: dict[str, str] = PERFECT) -> Path:
    table = [{"case_id": name, "patient_id": f"p{name}", "reference": text} for name, text in texts.items()]
    return write_csv(tmp_path / "references.csv", table)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "plain",
    [
        PERFECT,
        {"1": [EDEMA], "2": [HERNIA]},
        {"1": [{"caption": EDEMA}], "2": [{"caption": HERNIA}]},
        {"1.0": EDEMA, "2": HERNIA},
        {"annotations": [{"image_id": 1, "caption": EDEMA}, {"image_id": 2, "caption": HERNIA}], "images": []},
        {
            "images": [{"id": 7}],
            "annotations": [{"image_id": 1, "caption": [EDEMA]}, {"image_id": 2, "answer": HERNIA}],
        },
        {"results": [{"question_id": 1, "answer": EDEMA}, {"question_id": 2, "answer": HERNIA}]},
        [{"image_id": 1, "caption": [EDEMA]}, {"image_id": 2.0, "caption": HERNIA}],
        [{"image_id": "1", "id": 9, "caption": EDEMA}, {"image_id": "2", "id": 8, "caption": HERNIA}],
    ],
)
def test_the_forms_of_the_coco_tools(plain: Any, indent: int | None, tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(plain, indent=indent), encoding="utf-8")
    scores = score(path, reference=references_of(tmp_path), replicates=20, meteor=False).files[0]
    assert scores.metrics["change.exact.accuracy"] == 1
    assert scores.metrics["text.bleu4"] == pytest.approx(1)


@pytest.mark.parametrize(
    "plain",
    [
        PERFECT,
        {"1": [EDEMA], "2": [HERNIA]},
        {"annotations": [{"image_id": 1, "caption": EDEMA}, {"image_id": 2, "caption": [HERNIA]}]},
    ],
)
def test_references_in_the_forms_of_the_coco_tools(plain: Any, tmp_path: Path) -> None:
    (tmp_path / "references.json").write_text(json.dumps(plain), encoding="utf-8")
    (tmp_path / "answers.json").write_text(json.dumps(PERFECT), encoding="utf-8")
    found = score(tmp_path / "answers.json", reference=tmp_path / "references.json", replicates=20, meteor=False)
    assert found.files[0].metrics["change.exact.accuracy"] == 1


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({"1": [EDEMA, HERNIA], "2": [HERNIA]}, "id 1: the answer is a list of 2 texts"),
        ([{"image_id": 1, "caption": []}], "result 1: the answer is a list of 0 texts"),
        ({"1": [None]}, "a missing value"),
        ([{"image_id": 1, "caption": 3}], "the answer is 3, not text"),
        ([{"image_id": 1, "caption": "nan"}], "a missing value"),
        ({"1": {"text": EDEMA}}, "not a COCO result file.*annotations"),
    ],
)
def test_what_a_document_may_not_hold(plain: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(SourceError, match=f"(?s){said}"):
        score(tmp_path / "answers.json", reference=references_of(tmp_path), meteor=False)


def test_several_references_are_refused_by_their_case(tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text(json.dumps(PERFECT), encoding="utf-8")
    (tmp_path / "references.json").write_text(json.dumps({"1": [EDEMA, NOTHING], "2": [HERNIA]}), encoding="utf-8")
    with pytest.raises(SourceError, match="id 1: the reference is a list of 2 texts"):
        read_reference(tmp_path / "references.json")


def test_a_document_read_as_lines_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text(json.dumps(PERFECT), encoding="utf-8")
    with pytest.raises(SourceError, match="--format coco"):
        read_answers(tmp_path / "answers.json", "jsonl")


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "NULL", "<NA>", "N/A", " ", "-"])
def test_missing_words_are_no_ids(word: str, tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text(json.dumps([{"image_id": word, "caption": EDEMA}]), encoding="utf-8")
    with pytest.raises(SourceError, match="result 1: the id is"):
        read_answers(tmp_path / "answers.json")


@pytest.mark.parametrize(
    ("texts", "undefined"),
    [
        ({"1": EDEMA}, {"cider_d"}),
        ({"1": EDEMA, "2": EDEMA, "3": EDEMA}, {"cider_d"}),
        ({"1": NOTHING, "2": NOTHING}, {"cider_d", "bleu4"}),
        ({"1": EDEMA, "2": EDEMA, "3": HERNIA}, set()),
        ({"1": NOTHING, "2": EDEMA}, set()),
    ],
)
@pytest.mark.parametrize("right", [True, False])
def test_what_references_cannot_give_is_no_number(
    texts: dict[str, str], undefined: set[str], right: bool, tmp_path: Path
) -> None:
    answers = texts if right else dict.fromkeys(texts, "there is a new rib fracture")
    (tmp_path / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
    how: dict[str, Any] = {"reference": references_of(tmp_path, texts), "replicates": 20, "meteor": False}
    scores = score(tmp_path / "answers.json", **how)
    metrics = scores.files[0].metrics
    for name in ("bleu1", "bleu4", "cider_d", "rouge_l_coco"):
        assert (metrics[f"text.{name}"] is None) == (name in undefined)
        assert any(f"text.{name} is not defined" in note for note in scores.files[0].notes) == (name in undefined)
    for ending in ("md", "html", "tex"):
        cli.main(["score", str(tmp_path / "answers.json"), "--reference", str(how["reference"]), "--no-meteor",
                  "--replicates", "20", "--out", str(tmp_path / f"table.{ending}")])  # fmt: skip
        text = (tmp_path / f"table.{ending}").read_text(encoding="utf-8")
        assert ("is not defined" in text) == bool(undefined)


def test_a_frozen_table_gives_one_case_its_weights(tmp_path: Path) -> None:
    two = {"1": EDEMA, "2": HERNIA}
    (tmp_path / "answers.json").write_text(json.dumps(two), encoding="utf-8")
    table = tmp_path / "idf.json"
    how: list[str] = ["--no-meteor", "--replicates", "20"]
    cli.main(["score", str(tmp_path / "answers.json"), "--reference", str(references_of(tmp_path, two)), *how,
              "--save-idf", str(table)])  # fmt: skip
    (tmp_path / "answers.json").write_text(json.dumps({"1": EDEMA}), encoding="utf-8")
    reference = references_of(tmp_path, {"1": EDEMA})
    found = score(tmp_path / "answers.json", reference=reference, replicates=20, meteor=False, idf=table)
    assert found.files[0].metrics["text.cider_d"] == pytest.approx(10)


def test_two_files_are_not_compared_by_what_is_undefined(tmp_path: Path) -> None:
    texts = {"1": EDEMA, "2": EDEMA}
    for name, answers in (("a", texts), ("b", {"1": EDEMA, "2": HERNIA})):
        (tmp_path / f"{name}.json").write_text(json.dumps(answers), encoding="utf-8")
    reference = references_of(tmp_path, texts)
    found = score([tmp_path / "a.json", tmp_path / "b.json"], reference=reference, replicates=20, meteor=False)
    assert found.paired["b.json"]["text.cider_d"] is None
    assert found.files[0].metrics["floors.blank.text.cider_d"] == "not run"
    assert found.paired["b.json"]["text.rouge_l_coco"] is not None
