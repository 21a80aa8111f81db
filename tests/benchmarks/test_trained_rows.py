"""What the comparisons train, from what and for how long: recorded instead of trained."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import ablation
import c2f_ablation
import cm_cgns
import pretrained_answers
import table
from harness import trials
from harness.records import Trial

DATA, TEST = Path("train"), Path("test")


@dataclass(frozen=True)
class Call:
    """One call of `train`."""

    stage: str
    folder: str
    size: str
    sources: list[str]
    options: dict[str, Any]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Every stage that is trained, in order; stores, answers and models are stubs."""
    recorded: list[Call] = []

    def train(
        stage: str,
        data: Path,
        out: Path,
        size: str = "small",
        sources: list[Path] | tuple[()] = (),
        *,
        overrides: dict[str, Any],
    ) -> Path:
        assert data == DATA
        recorded.append(Call(stage, out.name, size, [source.name for source in sources], overrides))
        return out

    def stub(module: ModuleType, **replacements: Any) -> None:
        for name, replacement in replacements.items():
            monkeypatch.setattr(module, name, replacement)

    stub(trials, train=train)
    for module in (table, ablation):
        stub(module, train=train)
    for module in (table, c2f_ablation):
        stub(module, region_store=lambda run: f"store of {run.name}")
    for module in (table, c2f_ablation, pretrained_answers):
        stub(module, store_regions=lambda run, data: f"store of {run.name}")
    for module in (ablation, c2f_ablation, pretrained_answers):
        stub(module, load=lambda run: run, predict_to_file=lambda run, data, out, conditions: None)
    return recorded


def stages(calls: list[Call]) -> list[tuple[str, str, list[str]]]:
    return [(call.stage, call.folder, call.sources) for call in calls]


PLAN = table.Plan(DATA, TEST, None, None, Path("out"), 10.0, 9.0)


def test_the_table_gives_a_row_the_common_encoder_as_it_takes_it(calls: list[Call]) -> None:
    table.train_trial(PLAN, Trial(table.ROWS["idcpcl"], 1))
    assert stages(calls) == [
        ("idcpcl/pretrain", "idcpcl.1.pretrain", []),
        ("idcpcl/answer", "idcpcl.1.answer", ["idcpcl.1.pretrain"]),
    ]
    assert [call.options["train.minutes"] for call in calls] == [2.0, 8.0]
    assert [call.options.get("model.backbone_weights") for call in calls] == [str(PLAN.encoder), None]
    assert all(call.options["train.seed"] == 1 for call in calls)
    calls.clear()
    table.train_trial(PLAN, Trial(table.ROWS["ffa_cl"], 0))
    assert stages(calls)[0] == ("ffa_cl/classify", "ffa_cl.0.classify", ["encoder"])
    calls.clear()
    table.train_trial(PLAN, Trial(table.ROWS["question_only"], 0))
    assert calls[0].sources == [] and not {"model.backbone_weights", "model.region_store"} & set(calls[0].options)


def test_the_table_trains_regions_once_for_the_methods_on_them(calls: list[Call]) -> None:
    table.train_regions(PLAN, 2)
    table.train_trial(PLAN, Trial(table.ROWS["c2f"], 2))
    table.train_trial(PLAN, Trial(table.ROWS["ekaid"], 2))
    assert stages(calls) == [
        ("c2f/anatomy", "regions.2.anatomy", ["encoder"]),
        ("c2f/diseases", "regions.2.diseases", ["regions.2.anatomy"]),
        ("c2f/align", "c2f.2.align", ["regions.2.diseases"]),
        ("c2f/answer", "c2f.2.answer", ["c2f.2.align"]),
        ("ekaid/answer", "ekaid.2.answer", ["regions.2.diseases"]),
    ]
    stores = [call.options.get("model.region_store") for call in calls]
    assert stores == [None, None, *["store of regions.2.diseases"] * 3]


def test_rows_of_the_real_ablation_start_from_one_encoder_for_equal_minutes(calls: list[Call]) -> None:
    ablation.train_encoder(9.0, DATA, Path("out"))
    files = [ablation.run(Trial(row, 0), 12.0, DATA, TEST, Path("out")) for row in ablation.ROWS]
    assert [file.name for file in files] == [
        "no_residual.0.jsonl",
        "residual.0.jsonl",
        "residual_and_alignment.0.jsonl",
    ]
    assert calls[0].stage == "set_difference/answer" and calls[0].folder == "encoder"
    switches = ("model.residual", "model.alignment")
    assert [[call.options.get(name) for name in switches] for call in calls[1:]] == [
        [False, False],
        [None, False],
        [None, None],
    ]
    for call in calls[1:]:
        assert call.options["train.minutes"] == 12.0 and call.options["model.backbone_weights"] == "out/encoder"
        assert "train.learning_rate" not in call.options, "the rate is the preset's"


def test_a_row_of_c2f_without_stage_1_has_the_minutes_of_both(calls: list[Call]) -> None:
    out, minutes = Path("out"), c2f_ablation.Minutes(1.0, 2.0, 3.0, 4.0)
    c2f_ablation.train_films(DATA, out, minutes)
    for name in ("full", "no stage 1", "no graph"):
        c2f_ablation.run(Trial(c2f_ablation.ROWS[name], 0), DATA, TEST, out, minutes)
    assert [(*stage, call.options["train.minutes"]) for stage, call in zip(stages(calls), calls, strict=True)] == [
        ("c2f/anatomy", "anatomy", [], 1.0),
        ("c2f/diseases", "diseases", ["anatomy"], 2.0),
        ("c2f/align", "align.full.0", ["diseases"], 3.0),
        ("c2f/answer", "answer.full.0", ["align.full.0"], 4.0),
        ("c2f/answer", "answer.no_stage_1.0", ["diseases"], 7.0),
        ("c2f/align", "align.no_graph.0", ["diseases"], 3.0),
        ("c2f/answer", "answer.no_graph.0", ["align.no_graph.0"], 4.0),
    ]
    assert all(call.options["model.region_store"] == "store of diseases" for call in calls[2:])
    assert [call.options.get("model.graph") for call in calls[-2:]] == [False, False]


def test_pretrained_answers_differ_in_the_start_alone(calls: list[Call]) -> None:
    plan = pretrained_answers.Plan(DATA, TEST, Path("out"), 8.0, 800)
    pretrained_answers.train_encoder(plan, 0)
    assert stages(calls) == [
        ("cm_cgns/align", "align.0", []),
        ("cm_cgns/reconstruct", "reconstruct.0", ["align.0"]),
    ]
    assert [call.options["train.minutes"] for call in calls] == [4.0, 4.0]
    by_start = {}
    for start in pretrained_answers.STARTS:
        calls.clear()
        pretrained_answers.answer(plan, Trial(pretrained_answers.ROWS["c2f"], 0, start))
        by_start[start] = list(calls)
    blank, ours = (by_start[start] for start in pretrained_answers.STARTS)
    assert [call.folder for call in ours] == [
        f"c2f.0.CM-CGNS.{stage}" for stage in ("anatomy", "diseases", "align", "answer")
    ]
    assert [call.options["train.max_steps"] for call in ours] == [200, 400, 400, 800]
    assert (blank[0].sources, ours[0].sources) == ([], ["reconstruct.0"])
    stores = [call.options.get("model.region_store") for call in ours]
    assert stores == [None, None, *["store of c2f.0.CM-CGNS.diseases"] * 2]
    for first, second in zip(blank, ours, strict=True):
        names = set(first.options) - {"model.region_store"}
        assert {name: first.options[name] for name in names} == {name: second.options[name] for name in names}


def test_encoders_of_cm_cgns_have_equal_minutes(calls: list[Call]) -> None:
    plan = cm_cgns.Plan(DATA, TEST, Path("out"), 8.0, 3.0, "small")
    spent = {}
    for row in cm_cgns.rows_of("small"):
        calls.clear()
        run = cm_cgns.train_encoder(plan, Trial(row, 0))
        assert (run is None) == (not row.stages)
        spent[row.name] = sum(call.options["train.minutes"] for call in calls)
        assert all(call.size == row.start for call in calls)
    assert set(spent.values()) == {0, 8.0} and [name for name, minutes in spent.items() if not minutes] == [
        cm_cgns.SCRATCH,
        cm_cgns.RANDOM,
    ]
