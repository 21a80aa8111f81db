"""Values from before the redesign, which moved and renamed and was to change nothing else, made anew and compared.

The frozen files were written by `python tests/golden/freeze.py` with the code of commit 8bb1407; see there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import freeze
import pytest


def test_the_demo_says_of_the_samples_what_it_said() -> None:
    """Words, change and warnings exactly, confidences to 1e-5."""
    assert not freeze.differences(freeze.frozen("demo"), freeze.demo_answers(), 0, 1e-5)


@pytest.mark.parametrize("stage", freeze.STAGES)
def test_ten_steps_of_training_lose_what_they_lost(stage: str) -> None:
    """To 1e-6 of each value; the stages in single precision to 1e-3 on another kind of processor."""
    old, same = freeze.frozen("losses"), freeze.frozen("prepared")["made_with"] == freeze.made_with()
    tolerance = 1e-3 if stage in freeze.SINGLE and not same else 1e-6
    assert not freeze.differences(old[stage], freeze.ten_losses(stage), tolerance, 1e-9)


def test_every_stage_is_frozen() -> None:
    assert set(freeze.frozen("losses")) == set(freeze.STAGES)


def test_a_cohort_is_prepared_as_it_was(tmp_path: Path) -> None:
    """The manifest with the hash of every file. With other versions or on another processor, where a last bit may
    differ: all of it but these hashes, and the films to one grey level in the mean of a block."""
    old: dict[str, Any] = freeze.frozen("prepared")
    new = freeze.prepared_facts(freeze.prepared_folder(tmp_path))
    shades = 0
    if old.pop("made_with") != freeze.made_with():
        shades = 1
        for facts in (old, new):
            facts["manifest"] = {**facts["manifest"], "files": sorted(facts["manifest"]["files"]), "hash": ""}
    assert not freeze.differences(old.pop("films"), new.pop("films"), 0, shades)
    assert not freeze.differences(old, new, 0)


def test_answers_are_scored_as_they_were() -> None:
    """Every figure to 1e-9, with intervals, p values and notes; two files side by side."""
    assert not freeze.differences(freeze.frozen("score"), freeze.scored(), 1e-9, 1e-12)
