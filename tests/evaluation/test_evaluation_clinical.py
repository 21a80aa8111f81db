"""Temporal entity F1 in full; the adapters by their calls, and by what they say when something is absent."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from sklearn.metrics import classification_report

from intervalchange.errors import ConfigError, SourceError
from intervalchange.evaluation.metrics.clinical import (
    CHEXBERT_FIVE,
    TEMPORAL_WORDS,
    chexbert_metrics,
    radgraph_metrics,
    read_chexbert,
    temporal_measures,
    temporal_metrics,
    temporal_tally,
    temporal_words,
)
from intervalchange.evaluation.metrics.statistics import point_estimates
from intervalchange.findings import CHEXPERT
from intervalchange.grammar import render
from intervalchange.records import Change


def temporal(answers: list[str], references: list[str]) -> dict[str, float]:
    return point_estimates(temporal_tally(answers, references), temporal_measures)


def test_the_words_of_a_report() -> None:
    assert len(TEMPORAL_WORDS) == 44
    text = "Newly placed tube. The effusion is UNCHANGED, slightly-improved aeration; renewed opacity, stable_heart."
    assert temporal_words(text) == {"unchanged", "improved", "stable"}, "whole words, in any case"


def test_by_hand() -> None:
    """{worse, new} against {worse, stable}: F1 1/2. No word on either side: 1. A word on one side: 0."""
    answers = ["worse edema, new effusion", "no edema", "stable heart", "normal"]
    references = ["worse edema, stable heart", "no effusion", "normal heart", "improved edema"]
    found = temporal(answers, references)
    assert found["f1"] == pytest.approx((0.5 + 1 + 0 + 0) / 4)
    assert found["micro.precision"] == pytest.approx(1 / 3) and found["micro.recall"] == pytest.approx(1 / 3)
    assert found["worded"] == 0.5


def test_order_and_repetition_do_not_count_but_direction_does() -> None:
    assert temporal(["stable stable new"], ["new, then stable"])["f1"] == 1
    assert temporal(["the edema has improved"], ["the edema has worsened"])["f1"] == 0


def test_it_says_nothing_about_template_answers() -> None:
    """The opposite answer scores 1 as well: why `worded` stands beside it."""
    change = Change.of(["edema"], ["pneumothorax"])
    found = temporal([render(change.reverse())], [render(change)])
    assert found["f1"] == 1 and found["worded"] == 0


def test_temporal_names_and_intervals() -> None:
    answers, references = ["stable", "worse"] * 10, ["stable", "improved"] * 10
    found = temporal_metrics(answers, references, [f"p{n // 2 if n % 3 else n}" for n in range(20)], replicates=100)
    assert found["temporal.f1"] == 0.5 and found["temporal.f1.low"] < 0.5 < found["temporal.f1.high"]
    assert temporal_tally([], [])["right"].shape == (0,)


# --- RadGraph -------------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "radgraph-xl").mkdir()
    (tmp_path / "radgraph-xl" / "weights.th").write_bytes(b"w")
    return tmp_path


def test_radgraph_is_called_as_its_package_wants(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    class F1RadGraph:
        def __init__(self, **options: object) -> None:
            seen.update(options)

        def __call__(self, refs: list[str], hyps: list[str]) -> tuple:
            seen.update(refs=refs, hyps=hyps)
            return (0, 0, 0), ([1.0, 0.5], [0.8, 0.2], [0.6, 0.0]), [], []

    monkeypatch.setitem(sys.modules, "radgraph", SimpleNamespace(F1RadGraph=F1RadGraph))
    found = radgraph_metrics(["a", "b"], ["c", "d"], ["p", "q"], weights, replicates=20)
    assert found["radgraph.simple.f1"] == 0.75 and found["radgraph.partial.f1"] == 0.5
    assert found["radgraph.complete.f1"] == pytest.approx(0.3) and "radgraph.partial.f1.low" in found
    assert seen["hyps"] == ["a", "b"] and seen["refs"] == ["c", "d"]
    assert seen["reward_level"] == "all" and seen["model_cache_dir"] == str(weights)


@pytest.mark.parametrize("given", [None, "nowhere", "empty"])
def test_radgraph_without_weights(given: str | None, tmp_path: Path) -> None:
    (tmp_path / "empty" / "radgraph-xl").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"RadGraph F1 needs its weights.*nothing is downloaded"):
        radgraph_metrics(["a"], ["b"], ["p"], None if given is None else tmp_path / given)


def test_radgraph_without_its_package(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "radgraph", None)
    with pytest.raises(ConfigError, match=r"needs the package radgraph.*pip install 'intervalchange\[clinical\]'"):
        radgraph_metrics(["a"], ["b"], ["p"], weights)


# --- CheXbert -------------------------------------------------------------------------------------------------------


def labelled(path: Path, states: Sequence[Mapping[str, float]]) -> Path:
    rows = [{"Report Impression": "text"} | {name: state.get(name) for name in CHEXPERT} for state in states]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_chexbert_is_scikit_learns_f1(tmp_path: Path) -> None:
    references = [{"Edema": 1, "Fracture": 1}, {"Edema": -1, "Cardiomegaly": 0}, {"No Finding": 1}, {"Edema": 1}]
    answers = [{"Edema": 1}, {"Edema": 1, "Cardiomegaly": 1}, {"No Finding": 1}, {"Fracture": 1, "Edema": 0}]
    said, known = (
        read_chexbert(labelled(tmp_path / f"{name}.csv", states))
        for name, states in (("answers", answers), ("references", references))
    )
    found = chexbert_metrics(said, known, list("ppqq"), replicates=20)
    binary = [table.isin((1, -1)).to_numpy(int) for table in (known, said)]
    theirs = classification_report(*binary, target_names=list(CHEXPERT), output_dict=True, zero_division=0)
    assert found["chexbert.14.micro.f1"] == pytest.approx(theirs["micro avg"]["f1-score"])
    assert found["chexbert.14.macro.f1"] == pytest.approx(theirs["macro avg"]["f1-score"])
    assert found["chexbert.Edema.f1"] == pytest.approx(theirs["Edema"]["f1-score"]) == pytest.approx(0.8)
    five = [theirs[name]["f1-score"] for name in CHEXBERT_FIVE]
    assert found["chexbert.5.macro.f1"] == pytest.approx(sum(five) / 5)
    assert {"chexbert.5.micro.f1.low", "chexbert.14.macro.f1.high"} <= found.keys()


def test_chexbert_without_labels(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"CheXbert F1 needs the labels.*Obtain CheXbert with its weights"):
        read_chexbert(tmp_path / "labeled_reports.csv")
    pd.DataFrame({"Edema": [1]}).to_csv(tmp_path / "part.csv")
    with pytest.raises(SourceError, match="labels are missing: Atelectasis"):
        read_chexbert(tmp_path / "part.csv")


def test_chexbert_rows_must_pair_up(tmp_path: Path) -> None:
    one, two = (read_chexbert(labelled(tmp_path / f"{n}.csv", [{"Edema": 1}] * n)) for n in (1, 2))
    with pytest.raises(SourceError, match="in the same order"):
        chexbert_metrics(one, two, ["p"])


def test_the_score_verb_adds_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from intervalchange.cli import main

    known = "the level of edema has worsened from mild to moderate."
    said = {"a": known, "b": "the level of edema has changed from mild to moderate."}
    lines = [
        {"case_id": name, "patient_id": name, "kind": "difference", "question": "q", "reference": known, "answer": text}
        for name, text in said.items()
    ]
    file = tmp_path / "p.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    ours = [*("score", str(file), "--no-meteor", "--metrics", "temporal", "--replicates", "10", "--clinical")]
    assert main([*ours, "temporal"]) == 0
    told = json.loads(capsys.readouterr().out)["p.jsonl"]
    assert (told["temporal.f1"], told["temporal.micro.recall"], told["temporal.worded"]) == (0.5, 0.5, 1.0)
    assert main([*ours, "radgraph"]) == 2
    assert "needs its weights" in capsys.readouterr().err
    assert main([*ours, "invented"]) == 2
    assert "Choose from temporal, radgraph, chexbert" in capsys.readouterr().err
