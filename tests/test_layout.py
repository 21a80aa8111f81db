"""The tree guards itself: the direction of imports, the names of modules, what evaluation may touch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "intervalchange"

LAYERS = {
    "records": 0, "findings": 0, "answer_reader": 0, "answer_clauses": 0, "answer_template": 0,
    "question_reader": 0, "grammar": 0, "choices": 0, "lazy_patterns": 0,
    "errors": 0, "cells": 0,
    "atomic_files": 0, "policy": 0, "extras": 0, "report.page": 0,
    "registry": 1, "config": 1, "answers": 1, "data": 1, "simulation": 1, "evaluation": 1,
    "blocks": 2, "losses": 2,
    "methods": 3, "tasks": 3,
    "training": 4,
    "foreign_models": 5, "inference": 5, "runs": 5,
    "report": 6, "consistency": 6, "plugins": 6, "challenge": 6, "serving": 6, "archive": 6, "cli": 7, "__main__": 8,
}  # fmt: skip
FOUNDATION = {
    "records", "findings", "answer_reader", "answer_clauses", "answer_template", "question_reader", "grammar", "errors",
    "cells", "choices", "lazy_patterns", "atomic_files", "policy",
}  # fmt: skip
PAGE = "report.page"
"""The base template of every page: below evaluation, unlike the rest of `report` (decision 008)."""
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


def module_name(path: Path) -> str:
    """`intervalchange.data.readers.pairs`; a package has the name of its folder."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def modules_imported(path: Path, known: frozenset[str]) -> set[str]:
    """The modules of this package that a file imports, in functions too, but not only for types."""
    imported: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
            continue
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {name.name: f"{node.module}.{name.name}" for name in node.names}
            imported |= {name if name in known else node.module for name in full.values()}
        nodes += ast.iter_child_nodes(node)
    return (imported & known) - {module_name(path)}


def circles(graph: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """The strongly connected components of more than one node: all of each reach each other."""
    reach = {node: set(targets) for node, targets in graph.items()}
    for middle in graph:
        for node in graph:
            if middle in reach[node]:
                reach[node] |= reach[middle]
    components = {frozenset(other for other in reach[node] if node in reach[other]) for node in graph}
    return {component for component in components if len(component) > 1}


def part(path: Path) -> str:
    """First name under the package: `data` for data/readers/pairs.py."""
    return part_of_name(".".join(path.relative_to(PACKAGE).with_suffix("").parts))


def part_of_name(name: str) -> str:
    """The same for a module's name under the package."""
    return PAGE if name == PAGE else name.split(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    here = part(path)
    if here == "__init__":
        return
    assert here in LAYERS, f"{here} has no layer: give it one, or a better home"
    for name in imports(path):
        if not name.startswith("intervalchange."):
            continue
        there = part_of_name(name.removeprefix("intervalchange."))
        if there not in LAYERS or there == here:
            continue
        assert LAYERS[there] <= LAYERS[here], f"{path} imports {name}, which stands above it"


@pytest.mark.parametrize("path", sorted((PACKAGE / "evaluation").rglob("*.py")), ids=lambda path: path.name)
def test_evaluation_reads_files_only(path: Path) -> None:
    for name in imports(path):
        if name.startswith("intervalchange."):
            allowed = FOUNDATION | {"evaluation", "answers", PAGE}
            assert part_of_name(name.removeprefix("intervalchange.")) in allowed, f"{path.name} imports {name}"
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


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"f"}, "f": {"g"}, "g": {"e"}}
    assert circles(graph) == {frozenset("bc"), frozenset("efg")}


def test_imports_go_round_in_no_circle() -> None:
    known = frozenset(map(module_name, MODULES))
    found = circles({module_name(path): modules_imported(path, known) for path in MODULES})
    assert not found


def test_layouts_restate_the_formats_that_readers_read() -> None:
    """A layout that took a column name from the reader would pass the reader's test with any name."""
    for path in sorted((PACKAGE / "simulation").rglob("*.py")):
        assert not [name for name in imports(path) if name.startswith("intervalchange.data.readers")], path
        assert "data.readers" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("module", ["intervalchange.data.readers", "intervalchange.simulation.layouts"])
def test_the_lists_of_sources_and_layouts_import_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"numpy", "pandas", "torch", "PIL", "numba", "pydicom"}


def test_every_source_and_layout_has_its_module_and_page() -> None:
    from intervalchange.data.readers import READERS
    from intervalchange.simulation.layouts import LAYOUTS

    for module in (*READERS.values(), *LAYOUTS.values()):
        path = PACKAGE.parent / (module.replace(".", "/") + ".py")
        assert path.is_file(), f"{module} is named and not there"
    docs = PACKAGE.parent.parent / "docs" / "data"
    assert all((docs / f"{name}.md").is_file() for name in READERS), "a page for every source"
