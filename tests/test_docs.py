"""The documented commands run as written: on the simulated true layouts, at the tiny size where a size is named."""

from __future__ import annotations

import argparse
import json
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documented import ROOT, World, all_pages, blocks, commands, needs_the_hub, pages

from intervalchange import cli, registry
from intervalchange.config import preset_sizes

METHOD_PAGE = "docs/how-to/add-a-method.md"


def test_every_command_is_one_of_the_command_line() -> None:
    known = cli.parser()
    for page in pages():
        for command in commands(page):
            options, rest = known.parse_known_args(command)
            assert not rest or options.verb == "train", (page, command)


def test_what_must_have_commands_has_them() -> None:
    data = [page for page in all_pages() if page.startswith("docs/data/")]
    methods = [page for page in all_pages() if page.startswith("docs/methods/")]
    listed = {page for page in [*data, *methods] if Path(page).stem != "index"}
    assert {"README.md", "docs/quickstart.md", METHOD_PAGE, *listed} <= {*pages()}
    stages = {command[1] for page in methods for command in commands(page) if command[0] == "train"}
    paged = {stage for stage in registry.stages() if f"docs/methods/{stage.split('/')[0]}.md" in methods}
    assert paged <= stages, "a page has a command for every stage of its method"


def test_every_published_size_can_be_reproduced_from_one_page() -> None:
    trained = [command for command in commands("docs/reproduce.md") if command[0] == "train"]
    sizes = {(command[1], command[command.index("--size") + 1]) for command in trained}
    answered = {stage for stage in registry.stages() if stage.split("/")[0] not in ("tasks", "question_only")}
    assert sizes >= {(stage, "paper") for stage in answered if "paper" in preset_sizes(stage)}
    assert sizes >= {("cm_cgns/align", f"{peer}_paper") for peer in ("convirt", "gloria", "mgca")}
    answers = [command for command in commands("docs/reproduce.md") if command[0] == "prepare" and "vqa" in command[1]]
    assert all("published" in command for command in answers)


def test_the_seven_tasks_of_the_family_are_on_both_pages() -> None:
    wanted = {("classification", data) for data in ("chexpert", "rsna", "covidx")}
    wanted |= {("detection", "rsna"), ("detection", "objects"), ("segmentation", "rsna"), ("segmentation", "siim")}
    for page in ("docs/methods/tasks.md", "docs/methods/cm_cgns.md"):
        trained = [command for command in commands(page) if command[0] == "train"]
        stages = {(command[1], command[command.index("--data") + 1]) for command in trained}
        assert {(f"tasks/{task}", f"prepared/{data}") for task, data in wanted} <= stages, page


def benchmarks() -> list[str]:
    """Every `python benchmarks/...` with options that a page names; one with `...` is told in full elsewhere."""
    text = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in [*all_pages(), "CHANGELOG.md"])
    text = text.replace("\\\n", " ")
    start = r"(?:[A-Z_]+=\S+ )?python (benchmarks/\S+\.py\s"
    named = re.findall(f"`{start}[^`]*)`", text) + re.findall(f"^{start}.*)$", text, re.MULTILINE)
    found = {" ".join(command.split()) for command in named}
    return sorted(command for command in found if "..." not in command)


def test_benchmark_commands_are_found() -> None:
    scripts = {command.split()[0] for command in benchmarks()}
    assert {"benchmarks/table.py", "benchmarks/cm_cgns.py", "benchmarks/report_clusters.py"} <= scripts


class Accepted(Exception):
    """A command line was read to its end."""


@pytest.mark.parametrize("command", benchmarks())
def test_the_documented_benchmark_commands_are_accepted(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *arguments: object, **options: object) -> None:
        read(self, *arguments, **options)  # type: ignore[call-overload]
        raise Accepted

    words = shlex.split(command, comments=True)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.chdir(ROOT)
    with pytest.raises(Accepted):
        runpy.run_path(words[0], run_name="__main__")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"), shared)
    yield world
    world.close()


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages() if page != METHOD_PAGE])
def test_the_documented_commands_run(page: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    world.furnish(tmp_path)
    run_page(page, world)
    dice: list[float] = []
    for command in commands(page):
        if command[0] == "evaluate" and not needs_the_hub(command):
            metrics = json.loads(Path(command[command.index("--out") + 1]).read_text(encoding="utf-8"))
            assert "--zero-shot" in command or metrics["films.count"] > 0
            dice += [value for name, value in metrics.items() if name.endswith("masks.dice.all")]
    assert all(0 <= value <= 1 for value in dice), dice
    assert dice or page != "docs/methods/tasks.md", "the page of the tasks evaluates a segmentation"


def run_page(page: str, world: World) -> None:
    """Every command and every script of a page, from its top."""
    for block in blocks(page):
        for command in block.commands():
            world.run(command)
        if block.is_script:
            for path in re.findall(r'"(prepared/[\w/]*)"', block.text):
                world.data(path)
            exec(compile(block.text, page, "exec"), {"__name__": "__main__"})


@pytest.mark.slow
def test_a_method_can_be_added_from_the_page_alone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of the page, in a folder; found as an installed package would be, by its entry point."""
    monkeypatch.chdir(tmp_path)
    world.furnish(tmp_path)
    for block in blocks(METHOD_PAGE):
        if block.title.startswith("src/intervalchange/methods/"):
            file = tmp_path / "site" / block.title.removeprefix("src/intervalchange/methods/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
    about = tmp_path / "site" / "mine-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[intervalchange.methods]\nmine = mine\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for cached in (registry.packages, registry._stages_of):
        cached.cache_clear()
    try:
        assert "mine/answer" in registry.stages()
        run_page(METHOD_PAGE, world)
    finally:
        sys.modules.pop("mine", None)
        sys.modules.pop("mine.answer", None)
        monkeypatch.undo()
        for cached in (registry.packages, registry._stages_of):
            cached.cache_clear()
    predictions = (tmp_path / "mine.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(predictions) > 1
