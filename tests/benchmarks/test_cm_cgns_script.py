"""What benchmarks/cm_cgns.py computes by itself: means over seeds, floors, what need not be made again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from intervalchange.config import load_preset

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import cm_cgns


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


def test_figures_and_gains_are_means_over_the_seeds_beside_the_best_floor() -> None:
    text = list(cm_cgns.lines(SEEDS))
    assert text[0].startswith("| encoder | AUROC 1% | mAP |")
    ours = text[2].split(" | ")
    assert ours[:2] == ["| CM-CGNS", "0.750 ± 0.071"]
    place = [title for _, _, title in cm_cgns.COLUMNS].index("Dice positive") + 2
    assert ours[place] == "0.750 ± 0.071"
    floors = text[4].split(" | ")
    assert floors[:2] == ["| *floor*", ".500"] and floors[place] == "0.220 (all)"
    assert "0.300 (commonest)" in floors
    assert text[-4] == "| AUROC ahead of, 95% by patient | random, frozen, 1% | CM-CGNS, 1% |"
    assert text[-2] == "| CM-CGNS | +0.130 (+0.110 to +0.150) | - |"
    assert text[-1] == "| random, frozen | - | -0.130 (-0.150 to -0.110) |"


def test_a_table_of_probes_alone_has_no_other_columns() -> None:
    text = list(cm_cgns.lines([{**one, "rows": {name: {} for name in one["rows"]}, "floors": {}} for one in SEEDS]))
    assert text[0] == "| encoder | AUROC 1% |" and text[4] == "| *floor* | .500 |"


def test_seeds_that_were_measured_are_not_made_again_nor_mixed_with_others(tmp_path: Path) -> None:
    results = tmp_path / "cm_cgns.json"
    assert cm_cgns.known_seeds(results, {"minutes": 6.0}) == []
    results.write_text(json.dumps({"minutes": 6.0, "seeds": SEEDS}))
    assert cm_cgns.known_seeds(results, {"minutes": 6.0}) == SEEDS
    with pytest.raises(SystemExit, match="other options"):
        cm_cgns.known_seeds(results, {"minutes": 3.0})


def test_a_row_asked_for_probes_alone_is_not_taken_for_a_whole_one(tmp_path: Path, monkeypatch) -> None:
    def made_again(*_: object) -> None:
        raise RuntimeError("made again")

    monkeypatch.setattr(cm_cgns, "encoder_of", made_again)
    row, paths = cm_cgns.rows_of("small")[0], (tmp_path / "train", tmp_path / "test", tmp_path)
    (tmp_path / "CM-CGNS.0").mkdir()
    for name in ("probes.json", "probe-0.01.npy"):
        (tmp_path / "CM-CGNS.0" / name).write_text("{}")
    assert cm_cgns.tried(cm_cgns.Trial(*paths, 8.0, 1.0, "small", (0.01,), True), row, 0) == {}
    for shares, alone in (((0.01,), False), ((0.01, 0.1), True)):
        with pytest.raises(RuntimeError, match="made again"):
            cm_cgns.tried(cm_cgns.Trial(*paths, 8.0, 1.0, "small", shares, alone), row, 0)


def test_rows_name_presets_that_know_their_options() -> None:
    for row in cm_cgns.rows_of("small"):
        if row.size:
            load_preset(cm_cgns.ALIGN, row.size, {**row.options, **cm_cgns.TRAINING, "train.minutes": 1.0})
    assert cm_cgns.spread([0.5]) == "0.500" and cm_cgns.spread([float("nan")]) == "-"
