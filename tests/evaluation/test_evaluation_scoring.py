"""Floors, consistency and the whole path from files to a table."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from intervalchange.errors import ConfigError, SourceError
from intervalchange.evaluation.answers.predictions import Provenance, read_predictions, write_predictions
from intervalchange.evaluation.answers.reference_table import ReferenceCase
from intervalchange.evaluation.metrics.change import change_scores
from intervalchange.evaluation.metrics.consistency import still_measures, still_tally, swap_measures, swap_tally
from intervalchange.evaluation.metrics.statistics import point_estimates
from intervalchange.evaluation.report import table
from intervalchange.evaluation.scoring import floors
from intervalchange.evaluation.scoring.score import score, score_command
from intervalchange.findings import SIMULATED
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING, render
from intervalchange.records import Change, Prediction

EDEMA = "the main image has an additional finding of edema than the reference image."
HERNIA = "the main image is missing the finding of hernia than the reference image."


def cohort(cases: int, seed: int) -> tuple[list[Prediction], Provenance]:
    """Perfect answers to difference and presence questions, four cases a patient."""
    source = random.Random(seed)

    def change() -> Change:
        return Change.of(
            source.sample(SIMULATED[:7], source.randint(0, 2)), source.sample(SIMULATED[7:], source.randint(0, 2))
        )

    training = Counter(render(change()) for _ in range(300))
    predictions = []
    for number in range(cases):
        text = render(change())
        predictions.append(
            Prediction(f"c{number}", f"p{number // 4}", "difference", DIFFERENCE_QUESTION, text, reference=text)
        )
        word = source.choice(["yes", "no"])
        predictions.append(
            Prediction(f"k{number}", f"p{number // 4}", "presence", "is there edema?", word, reference=word)
        )
    answers = {DIFFERENCE_QUESTION: dict(training), "is there edema?": {"yes": 3, "no": 9}}
    return predictions, Provenance("run", "data", "simulated", "test", "5p117", True, answers)


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scored") / "perfect.jsonl"
    write_predictions(path, *cohort(60, 0))
    return path


def scored(path: Path, **more: int) -> dict:
    return score(path, meteor=False, replicates=more.pop("replicates", 60), **more).files[0].metrics


# --- floors ------------------------------------------------------------------------------------------------------


def asked(cases: int, per_patient: int = 3) -> list[ReferenceCase]:
    return [ReferenceCase(f"c{n}", f"p{n // per_patient}", "difference", "q", f"answer {n}") for n in range(cases)]


def test_best_constant_against_trying_them_all() -> None:
    source = random.Random(2)
    counts = Counter(
        render(Change.of(source.sample(SIMULATED[:5], source.randint(0, 3)), source.sample(SIMULATED[5:8], 1)))
        for _ in range(80)
    )
    training = list(counts.elements())
    worth = {text: change_scores([text] * len(training), training)["findings.micro.f1"] for text in counts}
    assert worth[floors.best_constant(counts)] == pytest.approx(max(worth.values()))


def test_constant_is_chosen_on_training_answers_alone() -> None:
    provenance = Provenance(training_answers={"q": {NOTHING: 50, EDEMA: 2, HERNIA: 1}})
    found = floors.constant(asked(6), provenance)
    assert set(found.values()) == {EDEMA}, "the most common answer finds nothing; the test set is not looked at"


def test_question_only_knows_its_question() -> None:
    cases = [
        ReferenceCase("1", "p", "level", "what level?", "mild"),
        ReferenceCase("2", "p", "level", "new question", "mild"),
    ]
    provenance = Provenance(training_answers={"what level?": {"mild": 5, "severe": 1}})
    assert floors.question_only(cases, provenance) == {"1": "mild", "2": "mild"}
    assert str(floors.constant(cases, None)).startswith("not run")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_another_patient_is_another_patient(seed: int) -> None:
    cases = asked(31)
    found = floors.other_patient(cases, seed)
    owner = {case.reference: case.patient_id for case in cases}
    assert len(found) == 31
    assert sorted(found.values()) == sorted(owner), "every answer is given away once"
    for case in cases:
        assert owner[found[case.case_id]] != case.patient_id
    assert floors.other_patient(list(reversed(cases)), seed) == found


def test_one_patient_has_no_other() -> None:
    assert str(floors.other_patient(asked(3), 0)).startswith("not run")


# --- consistency -------------------------------------------------------------------------------------------------


def test_swap_by_hand() -> None:
    back = "the main image is missing the finding of edema than the reference image."
    given = [EDEMA, EDEMA, NOTHING, NOTHING, "zebra"]
    swapped = [back, EDEMA, NOTHING, back, NOTHING]
    counts = swap_tally(given, swapped)
    assert counts["swap_asked"].tolist() == [1, 1, 0, 1, 1], "silence on both sides proves nothing"
    assert point_estimates(counts, swap_measures)["swap.rate"] == pytest.approx(1 / 4)
    assert point_estimates(counts, swap_measures)["swap.items.f1"] == pytest.approx(2 / 5)


def test_identity_by_hand() -> None:
    counts = still_tally([NOTHING, EDEMA, "zebra", ""])
    assert point_estimates(counts, still_measures)["rate"] == pytest.approx(1 / 4)


# --- files to figures --------------------------------------------------------------------------------------------


def test_a_perfect_file(perfect: Path) -> None:
    found = scored(perfect)
    for name in ("change.micro.f1", "change.findings.micro.f1", "change.exact.accuracy", "kinds.presence.accuracy"):
        assert found[name] == found[f"{name}.low"] == found[f"{name}.high"] == 1
    assert found["text.bleu4"] == pytest.approx(1)
    assert found["change.false_change.rate"] == 0
    assert found["split_hash"] == "5p117"
    assert found["difference.count"] == 60
    assert found["caption"] == "simulated; not a ranking on patients"
    assert 0 < found["floors.constant.change.findings.micro.f1"] < 0.6
    assert found["floors.constant.change.micro.f1"] == found["floors.question_only.change.micro.f1"]
    assert 0 < found["floors.other_patient.change.findings.micro.f1"] < 0.6
    assert found["floors.constant.kinds.presence.accuracy"] is not None
    assert found["calibration.answer.ece"] == "not given"
    json.dumps(found, allow_nan=False)


def test_a_control_that_was_not_run_is_not_zero(perfect: Path) -> None:
    found = scored(perfect)
    for name in (
        "floors.blank.change.micro.f1",
        "floors.prior_twice.text.bleu4",
        "consistency.swap.rate",
        "consistency.identity.rate",
        "text.meteor_java15",
    ):
        assert found[name] == "not run"


def test_controls_that_were_run(tmp_path: Path) -> None:
    predictions, provenance = cohort(20, 1)
    difference = [case for case in predictions if case.kind == "difference"]
    backwards = [
        replace(c, condition="swap", answer=render(Change()) if c.answer == NOTHING else "zebra") for c in difference
    ]
    controls = [replace(case, condition=name, answer=NOTHING) for case in difference for name in ("blank", "identity")]
    path = tmp_path / "p.jsonl"
    write_predictions(path, [*predictions, *backwards, *controls], provenance)
    found = scored(path)
    assert found["floors.blank.change.findings.micro.f1"] == 0
    assert found["floors.blank.change.exact.accuracy"] == pytest.approx(
        sum(case.answer == NOTHING for case in difference) / 20
    )
    assert found["consistency.identity.rate"] == 1
    assert found["consistency.swap.rate"] == 0
    assert found["consistency.prior_twice.rate"] == "not run"
    assert found["change.micro.f1"] == 1, "controls do not enter the headline"


def test_lines_are_joined_by_key_and_not_by_position(perfect: Path, tmp_path: Path) -> None:
    provenance, predictions = read_predictions(perfect)
    shuffled = random.Random(0).sample(predictions, len(predictions))
    write_predictions(tmp_path / "shuffled.jsonl", shuffled, provenance)
    # References only in the other file, in another order.
    bare = [replace(case, reference=None) for case in reversed(predictions)]
    write_predictions(tmp_path / "bare.jsonl", bare, provenance)
    straight = scored(perfect)
    found = score([perfect, tmp_path / "bare.jsonl", tmp_path / "shuffled.jsonl"], meteor=False, replicates=60)
    for file in found.files:
        for name, value in straight.items():
            assert file.metrics[name] == (file.name if name == "name" else pytest.approx(value)), name
    assert found.paired["bare.jsonl"]["change.micro.f1"] == 0
    assert found.as_json()["paired"].keys() == {"bare.jsonl", "shuffled.jsonl"}
    compared = sum(name.endswith(".p") for paired in found.paired.values() for name in paired)
    wanted = next(note for note in found.files[0].notes if "--replicates" in note)
    assert int(wanted.split("--replicates ")[1].split()[0]) == 40 * compared


def test_confidence_is_scored_where_it_is(perfect: Path, tmp_path: Path) -> None:
    predictions = [
        replace(case, confidence={"answer": 1.0, "added:edema": 0.0}) if case.kind == "difference" else case
        for case in read_predictions(perfect)[1]
    ]
    write_predictions(tmp_path / "p.jsonl", predictions)
    found = scored(tmp_path / "p.jsonl")
    assert found["calibration.answer.ece"] == found["calibration.answer.aurc"] == 0
    edema = sum("additional" in c.answer and "edema" in c.answer.split("missing")[0] for c in predictions)
    assert found["calibration.findings.brier"] == pytest.approx(edema / 60)
    assert found["floors.constant.change.micro.f1"] == "not run"
    assert found["floors.constant.status"] == "not run: the file has no training answers"


def test_paired_with_another_test_set(perfect: Path, tmp_path: Path) -> None:
    provenance, predictions = read_predictions(perfect)
    write_predictions(tmp_path / "half.jsonl", predictions[:60], provenance)
    found = score([perfect, tmp_path / "half.jsonl"], meteor=False, replicates=20)
    assert found.paired["half.jsonl"]["cases.count"] == 30
    assert str(found.paired["half.jsonl"]["text.cider_d"]).startswith("not run")
    assert any("different cases" in note for note in found.files[0].notes)


def test_references_that_disagree_are_refused(perfect: Path, tmp_path: Path) -> None:
    other = [replace(case, reference="no") for case in read_predictions(perfect)[1]]
    write_predictions(tmp_path / "other.jsonl", other)
    with pytest.raises(SourceError, match="another reference"):
        score([perfect, tmp_path / "other.jsonl"], meteor=False)


def test_without_references_there_is_nothing_to_score(perfect: Path, tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.jsonl", [replace(case, reference=None) for case in read_predictions(perfect)[1]])
    with pytest.raises(SourceError, match="nothing to score against"):
        score(tmp_path / "p.jsonl", meteor=False)


def test_references_that_cannot_be_read_are_left_out(perfect: Path, tmp_path: Path) -> None:
    odd = Prediction("odd", "p0", "difference", "q", NOTHING, reference="zebra")
    write_predictions(tmp_path / "p.jsonl", [*read_predictions(perfect)[1], odd])
    found = score(tmp_path / "p.jsonl", meteor=False, replicates=20).files[0]
    assert found.metrics["change.unreadable_references.count"] == 1
    assert found.metrics["difference.count"] == 60
    assert any("could not be read" in note for note in found.notes)


def test_a_file_of_other_questions_only(perfect: Path, tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.jsonl", [case for case in read_predictions(perfect)[1] if case.kind == "presence"])
    found = scored(tmp_path / "p.jsonl")
    assert found["kinds.presence.accuracy"] == 1
    assert found["change.findings.micro.f1"] == "not run"


def test_every_form_of_the_table(perfect: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score_command([perfect], json=True, meteor=False, replicates=20)
    plain = json.loads(capsys.readouterr().out)
    assert plain["change.micro.f1"] == 1
    assert plain["floors.blank.change.micro.f1"] == "not run"
    for suffix in (".md", ".html", ".json"):
        score_command([perfect], out=tmp_path / f"table{suffix}", meteor=False, replicates=20)
        written = (tmp_path / f"table{suffix}").read_text()
        for word in ("5p117", "not run", "simulated; not a ranking on patients"):
            assert word in written
    printed = capsys.readouterr().out
    for word in ("best constant answer", "not run", "Research use only", "split hash"):
        assert word in printed
    with pytest.raises(ConfigError, match=r"\.pdf"):
        score_command([perfect], out=tmp_path / "table.pdf")


def test_cells() -> None:
    values = {"a": 0.5, "a.low": 0.25, "a.high": 0.75, "b": None, "c": "not run", "d": 3}
    assert [table.cell(values, name) for name in "abcde"] == ["0.500 [0.250, 0.750]", "-", "not run", "3", "-"]


def test_nested_figures(perfect: Path) -> None:
    tree = score(perfect, meteor=False, replicates=5).nested()
    assert tree["change"]["micro"]["f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_the_published_protocol_stands_beside_every_number(perfect: Path, tmp_path: Path) -> None:
    provenance, predictions = read_predictions(perfect)
    assert provenance is not None
    ours = tmp_path / "ours.jsonl"
    write_predictions(ours, predictions, replace(provenance, protocol="ours"))
    theirs = tmp_path / "theirs.jsonl"
    write_predictions(theirs, predictions, replace(provenance, protocol="published, 3 of 4 rows"))
    both = score([theirs, ours], meteor=False, replicates=20)
    page = table.markdown(both.files, both.paired)
    headed = page.count("| theirs.jsonl [published, 3 of 4 rows] | ours.jsonl |")
    assert headed == page.count("## ") > 5, "every block of numbers"
    assert "ours.jsonl minus theirs.jsonl [published, 3 of 4 rows]" in page
    assert "| protocol | published, 3 of 4 rows | ours |" in page
    assert "theirs.jsonl: simulated; not a ranking on patients; protocol published, 3 of 4 rows" in page
    assert "protocol published, 3 of 4 rows" in table.latex(both.files, both.paired)
    assert both.as_json()["files"]["theirs.jsonl"]["protocol"] == "published, 3 of 4 rows"
    assert both.only(["change.micro.f1"])["theirs.jsonl"]["protocol"] == "published, 3 of 4 rows"
    assert "protocol" not in both.only(["change.micro.f1"])["ours.jsonl"]
    assert "| protocol |" not in table.markdown(score(perfect, meteor=False, replicates=20).files, {})
