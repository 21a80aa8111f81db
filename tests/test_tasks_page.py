"""The commands of the seven downstream tasks run as written on the simulated true layout of each data set, small."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from intervalchange import cli

PAGES = Path(__file__).resolve().parent.parent / "docs" / "methods"
SECTIONS = (("tasks.md", "## Commands"), ("cm_cgns.md", "## Downstream"))
DEFAULTS = {"chexpert": "[edema, pleural effusion]", "siim": "[pneumothorax]", "rsna": "[pneumonia]"}
"""Labels where the command leaves them to the paper preset."""


def commands(verb: str, page: str, heading: str) -> list[list[str]]:
    """The `intervalchange VERB` lines of a section of a page."""
    text = (PAGES / page).read_text(encoding="utf-8").replace("\\\n", " ")
    section = text.split(heading)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith(f"intervalchange {verb} ")]
    return [shlex.split(line)[1:] for line in lines]


def changed(command: list[str], **options: str) -> list[str]:
    """The command with options given other values, or added."""
    command = list(command)
    for name, value in options.items():
        flag = f"--{name}".replace("__", ".")
        if flag in command:
            command[command.index(flag) + 1] = value
        else:
            command += [flag, value]
    return command


@pytest.mark.parametrize(("page", "heading"), SECTIONS)
def test_the_seven_tasks_of_the_family_are_on_the_page(page: str, heading: str) -> None:
    known = cli.parser()
    for verb in ("prepare", "train", "evaluate"):
        for command in commands(verb, page, heading):
            options, rest = known.parse_known_args(command)
            assert options.verb == "train" or not rest
    trained = commands("train", page, heading)
    stages = {(command[1], command[command.index("--data") + 1]) for command in trained}
    wanted = {("classification", data) for data in ("chexpert", "rsna", "covidx")}
    wanted |= {("detection", "rsna"), ("detection", "objects"), ("segmentation", "rsna"), ("segmentation", "siim")}
    assert {(f"tasks/{task}", f"prepared/{data}") for task, data in wanted} <= stages


@pytest.mark.slow
def test_they_run_on_the_simulated_true_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in commands("prepare", *SECTIONS[0]):
        layout, source = command[1], f"cohorts/{command[1]}"
        options = ["--layout", layout, "--patients", "24", "--seed", "3", "--pixels", "128", "--splits", "4:1:1"]
        assert cli.main(["simulate", source, *options, "--workers", "1"]) == 0
        assert cli.main(changed([*command[:2], source, *command[3:]], pixels="64")) == 0
    for command in (*commands("train", *SECTIONS[0]), *commands("train", *SECTIONS[1])):
        if "hub" not in command:
            assert cli.main(scaled(command)) == 0, command
    for command in commands("evaluate", *SECTIONS[0]):
        assert cli.main(command) == 0, command
        said = json.loads(Path(command[command.index("--out") + 1]).read_text(encoding="utf-8"))
        assert 0 <= said["masks.dice.all"] <= 1


def scaled(command: list[str]) -> list[str]:
    """A documented command at a size a test can bear: the tiny preset, its encoder, all of few patients, two steps."""
    data = command[command.index("--data") + 1].split("/")[1]
    small = changed(command, size="tiny", train__max_steps="2", train__share="1", train__batch_size="4")
    if "--model.labels" not in small:
        small = changed(small, model__labels=DEFAULTS[data])
    if "--model.decoder_width" in small:
        small = changed(small, model__decoder_width="16")
    if "--model.backbone_weights" in small:
        place = small.index("--model.backbone_weights")
        del small[place : place + 2]
    return changed(small, model__pixels="64")
