"""The data set of VLMEvalKit, which is on no package index: against its documented interface.

`ImageBaseDataset(dataset)` calls `load_data`, parses `image_path` as the text of a list, and `build_prompt` gives the
films and then the question; `evaluate` gets the file of the table with a column `prediction`, which `smp.load` reads.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from exam import Exam

from intervalchange.errors import ConfigError
from intervalchange.plugins.scoring import HEADLINE


class ImageBaseDataset:
    """The documented behaviour."""

    def __init__(self, dataset: str) -> None:
        self.data = self.load_data(dataset)  # type: ignore[attr-defined]

    @classmethod
    def supported_datasets(cls) -> list[str]:
        return list(cls.DATASET_URL)  # type: ignore[attr-defined]

    def build_prompt(self, line: Any) -> list[dict[str, str]]:
        films = [{"type": "image", "value": path} for path in ast.literal_eval(line["image_path"])]
        return [*films, {"type": "text", "value": line["question"]}]


@pytest.fixture
def vlmeval(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The plug-in, with a package of the documented names under it."""
    modules = {name: ModuleType(name) for name in ("", ".dataset", ".dataset.image_base", ".smp")}
    modules[".dataset"].DATASET_CLASSES, modules[".dataset"].SUPPORTED_DATASETS = [], []  # type: ignore[attr-defined]
    modules[".dataset.image_base"].ImageBaseDataset = ImageBaseDataset  # type: ignore[attr-defined]
    modules[".smp"].load = pd.read_csv  # type: ignore[attr-defined]
    modules[""].dataset = modules[".dataset"]  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, f"vlmeval{name}", module)
    monkeypatch.delitem(sys.modules, "intervalchange.plugins.vlmeval", raising=False)
    from intervalchange.plugins import vlmeval

    yield vlmeval
    sys.modules.pop("intervalchange.plugins.vlmeval", None)


def test_it_asks_and_scores(vlmeval: ModuleType, exam: Exam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERVALCHANGE_TSV", str(exam.folder / "IntervalChange.tsv"))
    vlmeval.register()
    vlmeval.register()
    (kind,) = vlmeval.known.DATASET_CLASSES
    assert kind.supported_datasets() == vlmeval.known.SUPPORTED_DATASETS == ["IntervalChange"]
    dataset = kind(dataset="IntervalChange")
    pair = exam.pairs[0]
    assert dataset.build_prompt(dataset.data.iloc[0]) == [
        {"type": "image", "value": pair.prior},
        {"type": "image", "value": pair.current},
        {"type": "text", "value": pair.prompt},
    ]
    answered = dataset.data.drop(columns=["image_path"])
    answered["prediction"] = [exam.answers[case_id] for case_id in answered["case_id"]]
    answered.to_csv(tmp_path / "answers.csv", index=False)
    metrics = exam.scores()
    assert dataset.evaluate(str(tmp_path / "answers.csv")) == {
        name: pytest.approx(metrics[name], abs=1e-9) for name in HEADLINE
    }


def test_without_the_table(vlmeval: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERVALCHANGE_TSV", raising=False)
    with pytest.raises(ConfigError, match=r"it is not set.*task_files PREPARED OUT"):
        vlmeval.IntervalChangeDataset("IntervalChange")
