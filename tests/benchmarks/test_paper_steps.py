"""What benchmarks/paper_steps.py tries: every published size, and from what it starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from intervalchange.config import load_preset, preset_sizes
from intervalchange.methods import method_class, stages

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import paper_steps
from paper_steps import Preset

KNOWN = paper_steps.presets()


def test_every_published_size_is_tried_behind_what_it_starts_from() -> None:
    assert {Preset(stage, "paper") for stage in stages() if "paper" in preset_sizes(stage)} <= set(KNOWN)
    assert Preset("cm_cgns/align", "mgca_vit") in KNOWN and Preset("cm_cgns/align", "mgca") not in KNOWN
    for preset in KNOWN:
        start = paper_steps.start_of(preset, KNOWN)
        assert start is None or KNOWN.index(start) < KNOWN.index(preset)
    starts = {preset.name: paper_steps.start_of(preset, KNOWN) for preset in KNOWN}
    assert starts["ved/answer.paper"] == Preset("tasks/classification", "ved")
    assert starts["c2f/answer.paper"] == Preset("c2f/align", "paper")
    assert starts["cm_cgns/reconstruct.vit"] == Preset("cm_cgns/align", "vit")
    assert starts["real/answer.paper"] is None


def test_a_trial_changes_no_size_and_no_choice() -> None:
    for preset in KNOWN:
        published = load_preset(preset.stage, preset.size).model
        tried = load_preset(preset.stage, preset.size, paper_steps.overrides_of(preset, 2)).model
        method_class(preset.stage).config_class(**tried)
        changed = {name for name in published if tried[name] != published[name]}
        assert not changed - {*paper_steps.FROM_HUB, "labels", "text"}, preset.name


def test_the_memory_of_films_and_of_stored_regions_is_told_apart() -> None:
    single, pair, stored = (
        paper_steps.estimate(Preset(*name), 2)
        for name in (("c2f/anatomy", "paper"), ("real/answer", "paper"), ("c2f/align", "paper"))
    )
    films = paper_steps.ACTIVATION / paper_steps.GIB
    for preset, size, pixels in (("c2f/anatomy", single, 2 * 1024**2), ("real/answer", pair, 4 * 512**2)):
        weights = 16 * paper_steps.count_parameters(preset, "paper") / paper_steps.GIB
        assert size == pytest.approx(weights + films * pixels)
    assert stored == pytest.approx(16 * paper_steps.count_parameters("c2f/align", "paper") / paper_steps.GIB)
    assert paper_steps.estimate_with_starts(Preset("c2f/align", "paper"), KNOWN, 2) > stored


def test_the_table_says_what_failed() -> None:
    seconds = {"build, two steps, save": 8.2, "continue from the first step": 5.0, "load": 0.4, "ask": 1.0}
    row = {
        "row": "real/answer.paper",
        "way": "full",
        "parameters": 23_512_005,
        "peak_gib": 1.04,
        "seconds": seconds,
        "difference of the continued weights": 0.0,
        "asked": "15 metrics",
    }
    failed = {"row": "ved/answer.paper", "way": "failed", "error": "Traceback\nConfigError: no film."}
    text = paper_steps.markdown([row, failed]).splitlines()
    assert text[2] == "| `real/answer` `paper` | full | 23.5 | 1.0 | 8 | 5 | 0 | 1 | 0 | 15 metrics |"
    assert text[3].endswith("| ConfigError: no film. |") and text[3].count("|") == text[2].count("|")
