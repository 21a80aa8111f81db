"""A method of one's own: registered, with a preset of its own, and the script that shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from intervalchange import methods, registry
from intervalchange.config import load_preset
from intervalchange.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "my_method.py"


def test_a_stage_is_registered_once_and_never_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    for _ in range(2):
        methods.register("mine/answer", "intervalchange.methods.question_only.answer", "QuestionOnly")
    assert (
        methods.method_class("mine/answer") is methods.method_of("mine") is methods.method_class("question_only/answer")
    )
    for stage in ("real/answer", "mine/answer"):
        with pytest.raises(ConfigError, match=stage):
            methods.register(stage, __name__, "Mine")
    assert methods.method_class("real/answer").__name__ == "Real"


def test_a_preset_may_be_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: {pixels: 96}\ntrain: {batch_size: 3}\n", encoding="utf-8")
    preset = load_preset("mine/answer", str(file), {"train.seed": 5})
    assert (preset.model, preset.train.batch_size, preset.train.seed) == ({"pixels": 96}, 3, 5)
    assert preset.size == "mine", "no path of this machine goes into run.json"
    with pytest.raises(ConfigError, match="no such preset"):
        load_preset("mine/answer", str(tmp_path / "other.yaml"))


def test_the_script_is_short() -> None:
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.slow
def test_the_script_trains_and_answers(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), "--out", str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = [line for line in done.stdout.splitlines() if "(truth:" in line]
    assert answers
    assert all(line.split(": ", 1)[1].split(" (truth")[0] for line in answers)
    assert (tmp_path / "run" / "model.safetensors").is_file()


ANSWER = """
class Config:
    model_type = {model_type!r}
class Mine:
    name = "mine/answer"
    config_class = {config_class}
"""


@pytest.mark.parametrize(
    ("model_type", "config_class", "preset", "said"),
    [
        ("mine", "Config", True, ""),
        ("real", "Config", True, 'model_type = "mine"'),
        ("mine", '"Config"', True, "`config_class = Config`"),
        ("mine", "Config", False, "has no preset. Write answer.tiny.yaml"),
    ],
)
def test_what_is_forgotten_in_a_folder_is_named(
    model_type: str, config_class: str, preset: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "forgetful"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "answer.py").write_text(ANSWER.format(model_type=model_type, config_class=config_class))
    if preset:
        (folder / "answer.tiny.yaml").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "packages", lambda: {"mine": "forgetful"})
    registry._stages_of.cache_clear()
    try:
        if said:
            with pytest.raises(ConfigError, match=re.escape(said)):
                registry.stage_class("mine/answer")
        else:
            assert registry.stage_class("mine/answer").__name__ == "Mine"
    finally:
        registry._stages_of.cache_clear()
        for name in ("forgetful", "forgetful.answer"):
            sys.modules.pop(name, None)
