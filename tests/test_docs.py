"""The documented commands run as written: on the simulated true layout, at the tiny size where a size is named."""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
from pathlib import Path

import pytest

from intervalchange import cli

ROOT = Path(__file__).resolve().parent.parent
METHODS = ("real", "set_difference", "c2f", "ekaid", "idcpcl", "mccformers", "plural", "ved", "question_only")
PAGES = ("README.md", *(f"docs/methods/{name}.md" for name in METHODS))


def commands(page: str) -> list[list[str]]:
    """Every `intervalchange ...` line of the fenced blocks of a page."""
    inside, found = False, []
    for line in (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            inside = not inside
        elif inside and line.startswith("intervalchange "):
            found.append(shlex.split(line, comments=True)[1:])
    return found


def test_every_page_has_commands() -> None:
    assert all(commands(page) for page in PAGES)
    known = cli.parser()
    for page in PAGES:
        for command in commands(page):
            options, rest = known.parse_known_args(command)
            assert options.verb in cli.VERBS
            assert not rest or options.verb == "train", command


def benchmarks() -> list[str]:
    """Every `python benchmarks/...` with options that a page names; one with `...` is told in full elsewhere."""
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages).replace("\\\n", " ")
    start = r"(?:[A-Z_]+=\S+ )?python (benchmarks/\S+\.py\s"
    told = re.findall(f"`{start}[^`]*)`", text) + re.findall(f"^{start}.*)$", text, re.MULTILINE)
    found = {" ".join(command.split()) for command in told}
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


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small cohort in the true layout, which stands in for the real one too."""
    folder = tmp_path_factory.mktemp("cohort") / "sim"
    assert (
        cli.main(["simulate", str(folder), "--patients", "16", "--seed", "0", "--pixels", "128", "--splits", "2:1:1"])
        == 0
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_documented_commands_run(page: str, cohort: Path, tmp_path: Path, monkeypatch, shared: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cohorts").mkdir()
    (tmp_path / "cohorts" / "sim").symlink_to(cohort)
    films = shared / "data" / "cxr_longitudinal" / "images"
    (tmp_path / "a.png").write_bytes(sorted(films.glob("han-*.png"))[0].read_bytes())
    (tmp_path / "b.dcm").write_bytes((shared / "data" / "dicom" / "nih_siim_cr_mono2_jpeg.dcm").read_bytes())
    for command in commands(page):
        assert cli.main(scaled(command, cohort)) == 0, command


def scaled(command: list[str], cohort: Path) -> list[str]:
    """A documented command at a size a test can bear: the prepared cohort for any data, the tiny preset, few pixels."""
    small = [
        word.replace("PREPARED", "prepared/any")
        .replace("cohorts/toy/prepared", "prepared/any")
        .replace("/path/to/mimic", str(cohort))
        for word in command
    ]
    if small[0] == "simulate":
        return ["simulate", str(cohort), "--patients", "16", "--seed", "0", "--pixels", "128", "--splits", "2:1:1"]
    if small[0] == "prepare":
        small = [*small, "--pixels", "128"]
    if small[0] == "train":
        if "--size" in small:
            small[small.index("--size") + 1] = "tiny"
        else:
            small += ["--size", "tiny"]
        small += ["--train.max_steps", "4"]
    if "prepared/any" in small and not Path("prepared/any").exists():
        assert cli.main(["prepare", "mimic_diff_vqa", str(cohort), "prepared/any", "--pixels", "128"]) == 0
    return small
