"""What benchmarks/cm_cgns.py computes by itself: means over seeds, floors, what need not be repeated."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from intervalchange.config import load_preset

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import cm_cgns
from harness.records import Trial


def one_seed(seed: int, aurocs: dict[str, float]) -> dict[str, Any]:
    def gain(name: str, other: str) -> dict[str, float]:
        value = aurocs[name] - aurocs[other]
        return {"value": value, "low": value - 0.02, "high": value + 0.02}

    share = {
        name: {
            "auroc": {"value": value},
            "gain over": {other: gain(name, other) for other in cm_cgns.AGAINST if other != name and other in aurocs},
        }
        for name, value in aurocs.items()
    }
    rows = {name: {"segmentation": {"masks.dice.positive": value}} for name, value in aurocs.items()}
    rows["CM-CGNS"]["zero_shot"] = {
        "zero_shot.accuracy": 0.4, "zero_shot.chance": 0.2, "zero_shot.commonest": 0.3, "retrieval.precision.5": 0.5
    }  # fmt: skip
    floors = {"segmentation": {"mean mask": {"masks.dice.positive": 0.11}, "all": {"masks.dice.positive": 0.22}}}
    return {"seed": seed, "probes": {"0.01": share}, "rows": rows, "floors": floors}


SEEDS = [one_seed(0, {"CM-CGNS": 0.7, "random, frozen": 0.6}), one_seed(1, {"CM-CGNS": 0.8, "random, frozen": 0.64})]


def test_metrics_and_gains_are_means_over_the_seeds_beside_the_best_floor() -> None:
    text = list(cm_cgns.lines(SEEDS))
    assert text[0].startswith("| encoder | AUROC 1% | mAP |")
    ours = text[2].split(" | ")
    assert ours[:2] == ["| CM-CGNS", "0.750 ± 0.071"]
    column = [title for _, _, title in cm_cgns.COLUMNS].index("Dice positive") + 2
    assert ours[column] == "0.750 ± 0.071"
    floors = text[4].split(" | ")
    assert floors[:2] == ["| *floor*", ".500"] and floors[column] == "0.220 (all)"
    assert "0.300 (commonest)" in floors
    assert text[-4] == "| AUROC ahead of, 95% by patient | random, frozen, 1% | CM-CGNS, 1% |"
    assert text[-2] == "| CM-CGNS | +0.130 (+0.110 to +0.150) | - |"
    assert text[-1] == "| random, frozen | - | -0.130 (-0.150 to -0.110) |"


def test_a_table_of_probes_alone_has_no_other_columns() -> None:
    text = list(cm_cgns.lines([{**one, "rows": {name: {} for name in one["rows"]}, "floors": {}} for one in SEEDS]))
    assert text[0] == "| encoder | AUROC 1% |" and text[4] == "| *floor* | .500 |"


def test_seeds_that_were_measured_are_not_repeated_nor_mixed_with_others(tmp_path: Path) -> None:
    path, rows = tmp_path / "cm_cgns.json", cm_cgns.rows_of("small")[:2]
    plan = cm_cgns.Plan(tmp_path, tmp_path, tmp_path, 6.0, 1.0, "small", (0.01,))
    empty = cm_cgns.results_of(path, plan, rows)
    assert empty.entries == [] and not empty.has(0)
    path.write_text(json.dumps({**empty.settings, "seeds": SEEDS}))
    known = cm_cgns.results_of(path, plan, rows)
    assert known.entries == SEEDS and known.has(0) and known.has(1) and not known.has(2)
    for other in (replace(plan, minutes=3.0), replace(plan, shares=(0.01, 0.1)), replace(plan, probes_only=True)):
        with pytest.raises(SystemExit, match="other options"):
            cm_cgns.results_of(path, other, rows)
    with pytest.raises(SystemExit, match="other options"):
        cm_cgns.results_of(path, plan, rows[:1])


def test_a_row_of_probes_alone_is_not_taken_for_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def repeated(*_: object) -> None:
        raise RuntimeError("repeated")

    monkeypatch.setattr(cm_cgns, "train_encoder", repeated)
    trial, paths = Trial(cm_cgns.rows_of("small")[0], 0), (tmp_path / "train", tmp_path / "test", tmp_path)
    (tmp_path / "CM-CGNS.0").mkdir()
    for name in ("probes.json", "probe-0.01.npy"):
        (tmp_path / "CM-CGNS.0" / name).write_text("{}")
    assert cm_cgns.run(cm_cgns.Plan(*paths, 8.0, 1.0, "small", (0.01,), True), trial) == {}
    for shares, alone in (((0.01,), False), ((0.01, 0.1), True)):
        with pytest.raises(RuntimeError, match="repeated"):
            cm_cgns.run(cm_cgns.Plan(*paths, 8.0, 1.0, "small", shares, alone), trial)


def test_rows_name_presets_that_know_their_options() -> None:
    rows = cm_cgns.rows_of("small")
    assert [row.name for row in rows if not row.stages] == [cm_cgns.SCRATCH, cm_cgns.RANDOM]
    for row in (*rows, *cm_cgns.forms_of("small")):
        assert sum(stage.share for stage in row.stages) == (1 if row.stages else 0)
        for stage in row.stages:
            load_preset(stage.name, row.start, {**row.options, **cm_cgns.TRAINING, "train.minutes": 1.0})
