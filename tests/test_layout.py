"""The tree guards itself: the direction of imports, the names of modules, what evaluation may touch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "intervalchange"

LAYERS = {
    "records": 0, "findings": 0, "answer_reader": 0, "grammar": 0, "errors": 0,
    "registry": 1, "config": 1, "data": 1, "simulation": 1, "evaluation": 1,
    "blocks": 2, "losses": 2,
    "methods": 3, "tasks": 3,
    "training": 4,
    "inference": 5,
    "report": 6, "consistency": 6, "cli": 7, "__main__": 8,
}  # fmt: skip
FOUNDATION = {"records", "findings", "answer_reader", "grammar", "errors"}
HEAVY = {"torch", "transformers", "torchvision", "timm", "fastapi", "gradio"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module imported anywhere in a file, by full name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "intervalchange":
                found |= {f"intervalchange.{name.name}" for name in node.names}
    return found


def part(path: Path) -> str:
    """First name under the package: `data` for data/readers/pairs.py."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    here = part(path)
    if here == "__init__":
        return
    assert here in LAYERS, f"{here} has no layer: give it one, or a better home"
    for name in imports(path):
        if not name.startswith("intervalchange."):
            continue
        there = name.split(".")[1]
        if there not in LAYERS or there == here:
            continue
        assert LAYERS[there] <= LAYERS[here], f"{path} imports {name}, which stands above it"


@pytest.mark.parametrize("path", sorted((PACKAGE / "evaluation").rglob("*.py")), ids=lambda path: path.name)
def test_evaluation_reads_files_only(path: Path) -> None:
    for name in imports(path):
        if name.startswith("intervalchange."):
            assert name.split(".")[1] in FOUNDATION | {"evaluation"}, f"{path.name} imports {name}"
        assert name.split(".")[0] not in HEAVY, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_unsafe_or_broken_import(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {"torchvision", "timm", "pickle", "dill", "joblib"}, path


def test_foundation_needs_no_torch() -> None:
    for name in FOUNDATION:
        roots = {found.split(".")[0] for found in imports(PACKAGE / f"{name}.py")}
        assert not roots & HEAVY


def test_every_module_has_a_name_of_its_own() -> None:
    nameless = {"utils", "helpers", "common", "misc"}
    assert not [path for path in MODULES if path.stem in nameless or path.parent.name in nameless]


def test_the_command_line_knows_every_source_and_layout() -> None:
    """It lists them itself, so that `--help` imports nothing."""
    from intervalchange import cli
    from intervalchange.data.readers import READERS
    from intervalchange.simulation.layouts import LAYOUTS

    assert sorted(cli.SOURCES) == sorted(READERS)
    assert sorted(cli.LAYOUTS) == sorted(LAYOUTS)
    for module in (*READERS.values(), *LAYOUTS.values()):
        path = PACKAGE.parent / (module.replace(".", "/") + ".py")
        assert path.is_file(), f"{module} is named and not there"
    docs = PACKAGE.parent.parent / "docs" / "data"
    assert all((docs / f"{name}.md").is_file() for name in READERS), "a page for every source"
