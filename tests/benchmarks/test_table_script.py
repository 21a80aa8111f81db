"""What benchmarks/table.py computes by itself: directions, curves, the words of the table."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from intervalchange.config import load_preset
from intervalchange.methods import method_class
from intervalchange.records import Change, LevelChange

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import table


@pytest.mark.parametrize("name", table.ROWS)
def test_each_row_spends_its_budget_on_stages_that_know_its_options(name: str) -> None:
    row = table.ROWS[name]
    stages = (*(table.REGIONS.stages if row.start == table.REGION_STAGES else ()), *row.stages)
    assert sum(stage.share for stage in stages) == pytest.approx(1 if row.start != table.NO_ENCODER else 0.25)
    assert stages[-1].name.endswith("/answer")
    for stage in stages:
        preset = load_preset(stage.name, "small", {**table.budget(1.0), **stage.options})
        assert method_class(stage.name).config_class(**preset.model).pixels == table.PIXELS


def test_direction_of_an_answer() -> None:
    worse = LevelChange("edema", "mild", "severe")
    assert table.direction(Change(added=frozenset({"edema", "hernia"}), missing=frozenset({"pneumonia"}))) == 1
    assert table.direction(Change(levels=frozenset({worse}))) == 1
    assert table.direction(Change(levels=frozenset({worse.reversed()}))) == -1
    assert table.direction(Change()) == table.direction(None) == 0


def test_the_curve_is_the_best_so_far_at_a_quarter_half_and_all_of_the_steps(tmp_path: Path) -> None:
    reached = {10: 0.1, 25: 0.3, 40: 0.2, 80: 0.5, 100: 0.4}
    lines = [{"step": step, "change.micro.f1": value} for step, value in reached.items()]
    lines.insert(1, {"step": 20, "loss": 1.0})
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "run.json").write_text(json.dumps({"steps": 100}))
    assert table.curve(tmp_path) == {"25": 0.3, "50": 0.3, "100": 0.5}


def test_real_pairs_have_one_direction(tmp_path: Path) -> None:
    for folder in ("cxr_longitudinal", "cxr_longitudinal_nih"):
        (tmp_path / folder).mkdir()
    own = {
        "consecutive": [1, 1, 0, 1],
        "same_view_group": 1,
        "change_label": ["worsened", "improved", "worsened", "mixed"],
    }
    pd.DataFrame(own).to_csv(tmp_path / "cxr_longitudinal" / "pairs.csv", index=False)
    nih = {
        "new_findings": ["Mass", None, "Mass", None, "Mass"],
        "resolved_findings": [None, "Edema", "Edema", None, None],
        "same_view_group": [1, 1, 1, 1, 0],
    }
    pd.DataFrame(nih).to_csv(tmp_path / "cxr_longitudinal_nih" / "pairs.csv", index=False)
    found = table.real_pairs(tmp_path)
    assert found["cxr_longitudinal"][1].worse.tolist() == [1, 0]
    assert found["nih"][1].worse.tolist() == [1, 0]


def run(name: str, f1: float, rise: float, seed: int = 0) -> dict[str, Any]:
    metrics: dict[str, Any] = dict.fromkeys((*table.SHOWN, *table.TEXT), 0.5)
    metrics |= dict.fromkeys(("consistency.swap.rate", "consistency.identity.rate"), 0.5)
    metrics |= {table.SHOWN[0]: f1, f"{table.SHOWN[0]}.low": f1 - 0.1, f"{table.SHOWN[0]}.high": f1 + 0.1}
    metrics["floors.question_only.change.findings.micro.f1"] = 0.143
    metrics["floors.blank.change.findings.micro.f1"] = "not run"
    return {
        "row": name,
        "seed": seed,
        "minutes": 10.0,
        "encoder_minutes": 9.0,
        "supervision": ["answers"],
        "curve": {"25": 0.1, "50": f1 - rise, "100": f1},
        "parameters": 2_000_000,
        "training_pairs_per_cpu_second": 80.0,
        "answers_per_cpu_second": 99.0,
        "real": {
            "cxr_longitudinal": {"auc": [0.61, 0.5, 0.7], "any_change": 0.5},
            "nih": {"auc": [0.52, 0.4, 0.6], "any_change": 0.25},
        },
        "given": metrics,
        "style_b": {},
        "samples": [{"pair": "one", "truth": "nothing has changed.", "answer": f"{name} says so."}],
    }


RUNS = [run("set_difference", 0.2, 0.0), run("real", 0.6, 0.3), run("ved", 0.3, 0.02), run("ved", 0.5, 0.0, seed=1)]


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")][1:]


def test_metrics_are_means_over_the_seeds_and_what_still_rises_is_marked() -> None:
    text = table.markdown(RUNS)
    marks = [line.split(" | ")[:2] for line in rows(text)]
    assert marks == [["| set_difference", "+0.00"], ["| real", "+0.30, not ranked"], ["| ved", "+0.01"]]
    assert "not a ranking on patients" in text and "1 to 2 training seeds" in text
    assert "1 training seed," in table.markdown(RUNS[:2])
    last = rows(text)[2]
    for shown in ("0.400 (0.300-0.500)", "0.143", "0.61 (50%)", "0.300 0.500", "0.10 0.39 0.40"):
        assert f"| {shown} |" in f"{last} |"
    assert {*table.MAIN} <= {*table.COLUMNS}
    assert "| *truth* | nothing has changed. |" in table.sample_table(RUNS)
    assert "| ved | ved says so. |" in table.sample_table(RUNS)


def test_the_readme_keeps_what_is_around_the_table(tmp_path: Path) -> None:
    text, readme = table.markdown(RUNS, main=True), tmp_path / "README.md"
    readme.write_text(f"above\n{table.README_MARKERS[0]}\nold\n{table.README_MARKERS[1]}\nbelow\n")
    for _ in range(2):
        table.into_readme(text, readme)
    shown = readme.read_text()
    assert shown.startswith("above\n") and shown.endswith("\nbelow\n") and "old" not in shown
    assert shown.count(rows(text)[0]) == 1


def test_runs_that_were_measured_are_not_repeated_nor_mixed_with_others(tmp_path: Path) -> None:
    results = tmp_path / "table.json"
    plan = table.Plan(tmp_path, tmp_path, None, None, tmp_path, minutes=10.0, encoder_minutes=9.0)
    assert table.results_of(results, plan).entries == []
    results.write_text(json.dumps(RUNS))
    known = table.results_of(results, plan)
    assert known.entries == RUNS and known.has("ved", 1) and not known.has("real", 1)
    for other in (replace(plan, minutes=6.0), replace(plan, encoder_minutes=6.0)):
        with pytest.raises(SystemExit, match=r"other options.*Give another --results"):
            table.results_of(results, other)
