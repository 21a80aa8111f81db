"""What lm-eval and lmms-eval call, without them: numbers equal to those of `score`."""

from __future__ import annotations

import ast
import csv
import math
from collections.abc import Callable
from dataclasses import asdict

import pytest
import yaml
from exam import Exam

from intervalchange.plugins import harness, task_files
from intervalchange.plugins.scoring import HEADLINE


class Loader(yaml.SafeLoader):
    """Reads `!function` as both harnesses do: an importable name."""


def _function(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Callable[..., object]:
    module, _, name = str(loader.construct_scalar(node)).rpartition(".")
    assert module == harness.__name__
    found: Callable[..., object] = getattr(harness, name)
    return found


Loader.add_constructor("!function", _function)


@pytest.mark.parametrize("package", ["lm_eval", "lmms_eval"])
def test_a_task_file_says_what_score_says(exam: Exam, package: str) -> None:
    task = yaml.load((exam.folder / package / "interval_change.yaml").read_text(encoding="utf-8"), Loader)
    items = [task["process_results"](asdict(pair), [exam.answers[pair.case_id]]) for pair in exam.pairs]
    metrics, better = exam.scores(), {}
    for entry in task["metric_list"]:
        name = entry["metric"]
        assert entry["aggregation"]([item[name] for item in items]) == pytest.approx(metrics[name], abs=1e-9), name
        better[name] = entry["higher_is_better"]
    assert tuple(better) == HEADLINE
    assert better["change.micro.f1"] and not better["change.direction_error.rate"] and better["answers.read.rate"]
    assert metrics["progression.direction_error.rate"] == pytest.approx(2 / 3)


def test_films_and_words(exam: Exam) -> None:
    document = asdict(exam.pairs[0])
    prior, current = harness.films(document)
    assert prior.mode == current.mode == "RGB" and prior.tobytes() != current.tobytes()
    assert harness.prompt_with_films(document).count("<image>") == 2
    around = {"pre_prompt": "Look. ", "post_prompt": " Say it."}
    assert harness.prompt(document, around) == f"Look. {exam.pairs[0].prompt} Say it."


def test_a_metric_that_is_not_defined_is_not_a_number() -> None:
    item = ("nothing has changed.", "nothing has changed.", "what?", "1", "1")
    assert math.isnan(harness.change_findings_micro_f1([item]))
    assert harness.change_exact_accuracy([list(item), list(item)]) == 1.0


def test_a_case_asked_twice_counts_twice() -> None:
    edema = "the main image has an additional finding of edema than the reference image."
    items = [("New edema.", edema, "what?", "1", "1"), ("No change.", edema, "what?", "1", "1")]
    assert harness.change_exact_accuracy(items) == 0.5


def test_the_table_of_vlmevalkit(exam: Exam) -> None:
    with (exam.folder / task_files.TSV).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["index"] for row in rows] == [str(number) for number in range(len(exam.pairs))]
    assert [ast.literal_eval(row["image_path"]) for row in rows] == [[one.prior, one.current] for one in exam.pairs]
    assert [row["question"] for row in rows] == [pair.prompt for pair in exam.pairs]


def test_the_command(exam: Exam, capsys: pytest.CaptureFixture[str]) -> None:
    assert task_files.main([str(exam.prepared), str(exam.folder)]) == 0
    assert f"{len(exam.pairs)} pairs" in capsys.readouterr().err
    assert task_files.main([str(exam.folder), str(exam.folder)]) == 2
    assert "not a prepared folder" in capsys.readouterr().err
