"""What benchmarks/table.py computes by itself: directions, curves, the words of the table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from intervalchange.config import load_preset
from intervalchange.methods import method_class
from intervalchange.records import Change, LevelChange

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import table


@pytest.mark.parametrize("name", table.ROWS)
def test_each_row_spends_its_budget_on_stages_that_know_its_options(name: str) -> None:
    row = table.ROWS[name]
    assert sum(stage.share for stage in row.stages) == pytest.approx(1 if row.encoder != "none" else 0.25)
    assert row.answerer.endswith("/answer")
    for stage in row.stages:
        preset = load_preset(stage.name, "small", {**table.budget(1.0), **stage.options})
        assert method_class(stage.name).config_class(**preset.model).pixels == table.PIXELS


def test_direction_of_an_answer() -> None:
    worse = LevelChange("edema", "mild", "severe")
    assert table.direction(Change(added=frozenset({"edema", "hernia"}), missing=frozenset({"pneumonia"}))) == 1
    assert table.direction(Change(levels=frozenset({worse}))) == 1
    assert table.direction(Change(levels=frozenset({worse.reversed()}))) == -1
    assert table.direction(Change()) == table.direction(None) == 0


def test_the_curve_is_the_best_so_far_at_a_quarter_half_and_all_of_the_steps(tmp_path: Path) -> None:
    seen = {10: 0.1, 25: 0.3, 40: 0.2, 80: 0.5, 100: 0.4}
    lines = [{"step": step, "change.micro.f1": value} for step, value in seen.items()]
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


def row(f1: float, rise: float) -> dict[str, Any]:
    figures = dict.fromkeys((*table.SHOWN, *table.TEXT, "consistency.swap.rate", "consistency.identity.rate"), 0.5)
    figures |= {table.SHOWN[0]: f1, f"{table.SHOWN[0]}.low": f1 - 0.1, f"{table.SHOWN[0]}.high": f1 + 0.1}
    figures["floors.question_only.change.findings.micro.f1"] = 0.143
    figures["floors.blank.change.findings.micro.f1"] = "not run"
    seed = {
        "supervision": ["answers"],
        "curve": {"25": 0.1, "50": f1 - rise, "100": f1},
        "parameters": 2_000_000,
        "training_pairs_per_cpu_second": 80.0,
        "answers_per_cpu_second": 99.0,
        "real": {
            "cxr_longitudinal": {"auc": [0.61, 0.5, 0.7], "any_change": 0.5},
            "nih": {"auc": [0.52, 0.4, 0.6], "any_change": 0.25},
        },
    }
    given = {"seeds": [seed], "f1_of_seeds": [f1], "given": figures, "style_b": {}}
    return given | {"rise_in_the_last_half": rise, "ranked": rise < table.RISING}


def test_what_still_rises_is_marked_and_the_readme_keeps_the_rest(tmp_path: Path) -> None:
    rows = {"low": row(0.2, 0.0), "rising": row(0.6, 0.3), "high": row(0.4, 0.01)}
    text = table.markdown({"minutes": 10, "encoder_minutes": 9, "rows": rows})
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    marks = [line.split(" | ")[:2] for line in lines]
    assert marks == [["| low", "+0.00"], ["| rising", "+0.30, not ranked"], ["| high", "+0.01"]]
    assert "not a ranking on patients" in text
    assert {*table.MAIN} <= {*table.COLUMNS}
    assert "0.400 (0.300-0.500)" in lines[2] and "0.143" in lines[2] and "0.61 (50%)" in lines[2]
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{table.MARKS[0]}\nold\n{table.MARKS[1]}\nbelow\n")
    for _ in range(2):
        table.into_readme(text, readme)
    shown = readme.read_text()
    assert shown.startswith("above\n") and shown.endswith("\nbelow\n") and "old" not in shown
    assert shown.count(lines[0]) == 1
