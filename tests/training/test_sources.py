"""Training on several prepared folders: what is kept apart, what is recorded, what an interruption must not change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import toy
from safetensors.torch import load_file
from test_training import LONGER, STAGE, killed_run, same

from intervalchange.data.dataset import FilmDataset
from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, RunError
from intervalchange.methods.base.method import Method
from intervalchange.training import train
from intervalchange.training.run_folder import read_json
from intervalchange.training.trainer import scores_together

BRIEF = {"train.epochs": 2, "train.eval_every": 2, "train.batch_size": 16, "model.dropout": 0.1}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two cohorts, of 48 and 24 training patients."""
    base = tmp_path_factory.mktemp("cohorts")
    first, second = toy.cohort(base / "first"), toy.cohort(base / "second", train=24, seed=1)
    return [first.rename(base / "large"), second.rename(base / "little")]


@pytest.fixture(scope="module")
def run(folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(STAGE, folders, tmp_path_factory.mktemp("runs") / "both", "tiny", overrides=BRIEF, mix="1:1")


def test_the_run_folder_says_what_it_was_trained_on(run: Path, folders: list[Path]) -> None:
    facts = read_json(run / "run.json")
    assert [(source["name"], source["share"], source["training_cases"]) for source in facts["data"]] == [
        ("large", 1.0, 48),
        ("little", 1.0, 24),
    ]
    assert facts["fingerprint"]["data_manifest"] == [source["manifest"] for source in facts["data"]]
    assert facts["training_cases"] == 72
    assert sum(facts["training_answers"]["what has changed compared to the reference image?"].values()) == 72
    assert facts["steps"] == 6, "an epoch is 24 + 24 cases, three batches of 16"
    with pytest.raises(RunError, match="shares was"):
        train(STAGE, folders, run, "tiny", overrides=BRIEF, mix="2:1")


def test_validation_is_kept_apart_by_source(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    scores = [line for line in lines if Method.selection in line]
    assert len(scores) == 3
    for line in scores:
        apart = [line[f"{name}: {Method.selection}"] for name in ("large", "little")]
        assert line[Method.selection] == pytest.approx(sum(apart) / 2)
    losses = [line for line in lines if "loss" in line]
    assert [line["known.answers"] for line in losses] == [32, 32, 32], "two steps of 16 cases"


@pytest.mark.slow
def test_shares_change_what_is_learnt(run: Path, folders: list[Path], tmp_path: Path) -> None:
    other = train(STAGE, folders, tmp_path / "other", "tiny", overrides=BRIEF, mix="2:1")
    assert read_json(other / "run.json")["steps"] == 10, "48 + 24 cases, twice"
    assert not same(run, other)
    assert load_file(run / "model.safetensors").keys() == load_file(other / "model.safetensors").keys()


def test_one_folder_twice_is_refused(folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="given twice"):
        train(STAGE, [folders[0], folders[0]], tmp_path / "run", "tiny", overrides=BRIEF)


def test_scores_of_several_sources() -> None:
    assert scores_together({"a": {"f1": 0.5, "n": 3}}, "f1") == {"f1": 0.5, "n": 3}
    together = scores_together({"a": {"f1": 0.5}, "b": {"f1": 0.7}, "c": {"f1": float("nan")}}, "f1")
    assert together["f1"] == pytest.approx(0.6), "a source where it is not defined does not count"
    assert together["b: f1"] == 0.7


def test_labels_that_a_source_lacks_are_unknown_there(folders: list[Path], tmp_path: Path) -> None:
    labels = ("cardiomegaly", "hernia")
    prepared = Prepared(folders[0])
    with pytest.raises(ConfigError, match="no film has the label 'hernia'"):
        FilmDataset(prepared, "train", 64, labels=labels)
    films = FilmDataset(prepared, "train", 64, labels=labels, some_labels=True)
    assert films.label_table is not None
    assert np.isnan(films.label_table).all(axis=0).tolist() == [False, True]
    overrides = {"model.labels": labels, "train.max_steps": 1}
    with pytest.raises(ConfigError, match="no film of these data sets has the label 'hernia'"):
        train("tasks/classification", folders, tmp_path / "run", "tiny", overrides=overrides)
    overrides = {"model.labels": labels[:1], "train.max_steps": 1}
    run = train("tasks/classification", folders, tmp_path / "run", "tiny", overrides=overrides)
    assert read_json(run / "run.json")["steps"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("step", "workers"), [(5, 0), (8, 2)])
def test_killed_and_resumed_ends_with_the_same_weights(
    folders: list[Path], tmp_path: Path, step: int, workers: int
) -> None:
    overrides = {**LONGER, "train.workers": workers}
    whole = train(STAGE, folders, tmp_path / "whole", "tiny", overrides=overrides)
    killed_run(folders, tmp_path / "run", "step", step, overrides)
    assert same(whole, train(STAGE, folders, tmp_path / "run", "tiny", overrides=overrides))
